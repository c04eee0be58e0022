"""The one function that says "again, or raise", over a table."""

from __future__ import annotations

from typing import get_args

import pytest

from coord._engine.retry import (
    FIRST_PAUSE,
    FOLLOWED,
    LEAST_LEFT,
    LONGEST_PAUSE,
    Failure,
    pause_before_next,
    silence_allowed,
)

CERTAIN: tuple[Failure, ...] = ("unsent", "not now", "replica")
SENT_ON: tuple[Failure, ...] = ("moved", "asked", "no script")

TABLE: list[tuple[Failure, bool, bool, bool]] = [
    # how it failed, may be repeated, a fallback stands ready, is asked again
    *((failure, repeatable, False, True) for failure in CERTAIN for repeatable in (True, False)),
    *((failure, repeatable, True, False) for failure in CERTAIN for repeatable in (True, False)),
    *(
        (failure, repeatable, once, True)
        for failure in SENT_ON
        for repeatable in (True, False)
        for once in (True, False)
    ),
    ("lost", True, False, True),
    ("lost", True, True, False),
    ("lost", False, False, False),
    ("lost", False, True, False),
    *(("final", repeatable, once, False) for repeatable in (True, False) for once in (True, False)),
]


@pytest.mark.parametrize(("failure", "repeatable", "once", "again"), TABLE)
def test_again_or_raise(failure: Failure, repeatable: bool, once: bool, again: bool) -> None:
    pause = pause_before_next(failure, 1, 2.0, repeatable=repeatable, once=once)

    assert (pause is not None) is again


def test_the_table_is_complete() -> None:
    assert {row[:3] for row in TABLE} == {
        (failure, repeatable, once)
        for failure in get_args(Failure)
        for repeatable in (True, False)
        for once in (True, False)
    }


@pytest.mark.parametrize("failure", [*CERTAIN, *SENT_ON, "lost"])
def test_nothing_is_asked_again_when_the_deadline_is_near(failure: Failure) -> None:
    assert pause_before_next(failure, FOLLOWED + 1, LEAST_LEFT / 2, repeatable=True) is None
    assert pause_before_next(failure, 1, 0.0, repeatable=True) is None


@pytest.mark.parametrize("failure", [*CERTAIN, "moved", "lost"])
def test_pauses_grow_up_to_a_longest_one(failure: Failure) -> None:
    pauses = [pause_before_next(failure, attempts, 1e6, repeatable=True) or 0 for attempts in range(1, 40)]

    assert pauses == sorted(pauses)
    assert FIRST_PAUSE <= pauses[0] <= 2 * FIRST_PAUSE
    assert pauses[-1] == LONGEST_PAUSE


@pytest.mark.parametrize("attempts", [1, 5, 50])
def test_pauses_are_spread_and_never_none(attempts: int) -> None:
    least, most = (
        pause_before_next("unsent", attempts, 1e6, repeatable=True, chance=chance) or 0 for chance in (0, 1)
    )

    assert 0 < least == most / 2


def test_what_is_sent_on_is_sent_at_once_but_not_for_ever() -> None:
    for failure in ("asked", "no script"):
        pauses = [pause_before_next(failure, n, 9.0, repeatable=False) for n in range(1, FOLLOWED + 3)]
        assert pauses[:FOLLOWED] == [0] * FOLLOWED
        assert all(pause is not None and pause > 0 for pause in pauses[FOLLOWED:])


@pytest.mark.parametrize("left", [0.03, 0.1, 0.5, 2.0, 60.0])
def test_half_of_what_is_left_is_left_for_the_attempt(left: float) -> None:
    assert (pause_before_next("not now", 50, left, repeatable=True) or 0) <= left / 2


def test_silence_ends_an_attempt_at_half_time_where_another_may_follow() -> None:
    assert silence_allowed(2.0, repeatable=True, once=False, lost=False) == 1.0
    assert silence_allowed(1.0, repeatable=True, once=False, lost=True) == 1.0
    assert silence_allowed(2.0, repeatable=False, once=False, lost=False) == 2.0
    assert silence_allowed(2.0, repeatable=True, once=True, lost=False) == 2.0
    assert silence_allowed(0.3, repeatable=True, once=False, lost=False) == 0.3, "a slow link is no dead one"
