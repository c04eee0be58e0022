"""The campaign's checker: silent on a good history, and each check seen to fail on a bad one."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest

from tests.campaign.history import Attempt, Claim, History, Probe, Update, Write
from tests.campaign.journal import Journal, Tale, read_lines
from tests.campaign.judgement import CHECKS, judge
from tests.campaign.test_judgement import BAD as FURTHER_BAD
from tests.campaign.waits import judged_refusals


def hold(
    name: str, start: float, stop: float, fence: int | None = None, *, until: float = 0.0, **more: Any
) -> Attempt:
    """A hold that was asked for and granted in no time, released at ``stop``, and good until ``until``."""
    made = Attempt(
        name, name[0], "lock", start, start, "granted", fence=fence, until=until or stop + 1,
        ending=stop, closed=stop, end="released",
    )  # fmt: skip
    return replace(made, **more)


def refusal(name: str, asked: float, answered: float) -> Attempt:
    return Attempt(name, name[0], "lock", asked, answered, "refused")


def found(history: History) -> dict[str, int]:
    """How many violations each check found, those that found none left out."""
    return {name: len(found) for name, found in judge(history).items() if found}


GOOD = History(
    attempts=[
        hold("a1", 1, 2, 10),
        refusal("b1", 1.5, 1.6),
        hold("b2", 2, 3, 11),
        # Stopped while it held: its lease ended at 5, and it came back at 9 to release what was not its own.
        hold("a2", 4, 9, 12, until=5, lost=9, end="lost"),
        hold("b3", 5, 6, 13),
        # Stopped before it could even write down that it was granted: never valid when it did.
        hold("c1", 9.5, 9.5, 14, asked=6.5, until=7),
        hold("b6", 7.5, 8, 15),
        # Killed while it held; nobody knows when its key went.
        hold("a3", 10, 0, 16, until=11, ending=None, closed=10.5, end="unknown"),
        refusal("b4", 11, 13.5),
        # Its outcome is unknown: it may have held.
        Attempt("c2", "c", "lock", 20, 21, "unknown"),
        refusal("b5", 22, 22.1),
    ],
    writes=[
        Write("a1", "lock", 10, accepted=True),
        Write("a1", "lock", 10, accepted=True),
        Write("b3", "lock", 13, accepted=True),
        Write("a2", "lock", 12, accepted=False),
        Write("x1", "other", 3, accepted=True),
    ],
    updates=[
        Update("a1", "lock", 1.1, 1.9, ""),
        Update("b2", "lock", 2.1, 2.9, "a1"),
        Update("b3", "lock", 5.1, 5.9, "b2"),
        Update("a2", "lock", 4.1, 8.9, "b2"),  # its holder could know that it was late
    ],
    probes=[Probe("lock", 0.4, granted=True)],
)


def test_a_good_history_is_good() -> None:
    assert found(GOOD) == {}
    assert found(History()) == {}


BAD: list[tuple[str, History]] = [
    ("overlaps", History([hold("a1", 1, 3, 10), hold("b1", 2, 4, 11)])),
    # One that is inside another, with a short one between them.
    ("overlaps", History([hold("a1", 1, 9, 10), hold("c1", 9, 9.5, 12), hold("b1", 4, 5, 11)])),
    # Never released, but its lease was good until 3.
    ("overlaps", History([hold("a1", 1, 0, 10, ending=None, until=3, end="unknown"), hold("b1", 2, 4, 11)])),
    ("fence regressions", History([hold("a1", 1, 2, 11), hold("b1", 3, 4, 10)])),
    ("fence regressions", History([hold("a1", 1, 2, 11), hold("b1", 3, 4, 11)])),
    ("fence regressions", History([hold("a1", 1, 2, 11), hold("b1", 3, 4, 12), hold("a2", 5, 6, 11)])),
    # It asked before, but was answered, while valid, after.
    ("fence regressions", History([hold("a1", 2, 3, 11), hold("b1", 4, 5, 10, asked=1)])),
    # It was answered too late to be valid, but it asked after the other was answered.
    ("fence regressions", History([hold("a1", 1, 2, 11), hold("b1", 9, 9, 10, asked=3, until=4)])),
    (
        "stale writes accepted",
        History(writes=[Write("b1", "lock", 11, accepted=True), Write("a1", "lock", 10, accepted=True)]),
    ),
    (
        "stale writes accepted",  # without fences, by the order of the grants
        History(
            [hold("a1", 1, 2), hold("b1", 3, 4)],
            [Write("b1", "lock", None, accepted=True), Write("a1", "lock", None, accepted=True)],
        ),
    ),
    (
        "lost updates",
        History(
            [hold("a1", 1, 2, 10), hold("b1", 2, 3, 11)],
            updates=[Update("a1", "lock", 1.1, 1.9, "x"), Update("b1", "lock", 2.1, 2.9, "x")],
        ),
    ),
    ("early losses", History([hold("a1", 1, 2, 10, until=5, lost=2, end="lost")])),
    ("unexplained refusals", History([refusal("a1", 1, 2)])),
    ("unexplained refusals", History([refusal("a1", 1, 2), hold("b1", 3, 4, 10)])),
    ("unexplained refusals", History([hold("b1", 3, 4, 10), refusal("a1", 4.1, 4.2)])),
    ("unexplained refusals", History([Attempt("c1", "c", "lock", 1, 2, "unknown"), refusal("a1", 5, 6)])),
    ("unexplained refusals", History([refusal("b1", 1, 3), replace(hold("a1", 1, 3, 10), name="other")])),
    ("overdue calls", History([Attempt("a1", "a", "lock", 1, 8.5, "unknown", patience=1)])),
    ("stranded", History(probes=[Probe("lock", 1.5, granted=False)])),
    ("leaked keys", History(keys_without_ttl=["campaign:lock:{x}"])),
    ("unexpected errors", History(errors=["a: RuntimeError"])),
]


@pytest.mark.parametrize(("check", "history"), BAD, ids=[check for check, _ in BAD])
def test_a_bad_history_is_caught_by_its_own_check(check: str, history: History) -> None:
    assert found(history) == {check: 1}


def test_every_check_is_seen_to_fail() -> None:
    assert {check for check, _ in BAD} | set(FURTHER_BAD) == set(CHECKS)


@pytest.mark.parametrize("check", ["overlaps", "fence regressions", "unexplained refusals"])
def test_locks_of_other_names_do_not_matter(check: str) -> None:
    attempts = [hold("a1", 1, 3, 11), replace(hold("b1", 2, 4, 10), name="other"), refusal("c1", 1, 2)]

    assert found(History(attempts)) == {}


def test_what_a_lock_with_a_queue_refuses_is_not_judged() -> None:
    attempts = [hold("a1", 1, 2, 10), refusal("b1", 20, 21)]

    assert found(History(attempts)) == {"unexplained refusals": 1}
    assert found(History(attempts, queues=frozenset({"lock"}))) == {}
    assert judged_refusals(History(attempts, queues=frozenset({"lock"}))) == 0


def test_a_refusal_near_a_hold_whose_end_nobody_saw_cannot_be_judged() -> None:
    assert judged_refusals(GOOD) == 1

    clear = [hold("a1", 1, 2, 10), refusal("b1", 1, 2), refusal("b2", 3, 4)]

    assert judged_refusals(History(clear)) == 2


def test_events_become_attempts(tmp_path: Any) -> None:
    path = tmp_path / "events"
    with path.open("wb") as file:
        journal = Journal(file.fileno())
        journal.note("asked", "a#1", t=1, who="a", name="lock", patience=0.5)
        journal.note("granted", "a#1", t=2, fence=7, until=2.5)
        journal.note("alive")
        journal.note("lost", "a#1", t=2.1)
        journal.note("promised", "a#1", t=2.2, until=2.7, asked=2.15)
        journal.note("updated", "a#1", t=2.3, began=2.1, read="x")
        journal.note("ending", "a#1", t=2.4)
        journal.note("ended", "a#1", t=2.5, how="released")
        journal.note("asked", "a#2", t=3, who="a", name="lock", patience=0)
        journal.note("refused", "a#2", t=4)
        journal.note("asked", "a#3", t=5, who="a", name="lock", patience=0)
        journal.note("unknown", "a#3", t=6)
        journal.note("asked", "a#4", t=7, who="a", name="lock", patience=0)
        journal.note("granted", "a#4", t=8, fence=8, until=8.5)
        journal.note("lost", "a#4", t=8.6)
        journal.note("lost", "a#4", t=8.7)
        journal.note("asked", "b#1", t=8, who="b", name="lock", patience=0)
        journal.note("asked", "a#5", t=8, who="a", name="limit", patience=0)
        journal.note("charged", "a#5", t=8.2)
        journal.note("error", text="RuntimeError")
        os.write(file.fileno(), b'{"kind": "cut off by a ki')
    tale = Tale("a")
    with path.open("rb") as file:
        read_lines(file, tale)

    assert tale.holds

    tale.end(9)

    assert not tale.holds
    assert tale.attempts == {
        "a#1": Attempt(
            "a#1", "a", "lock", 1, 2, "granted", patience=0.5, fence=7, until=2.7,
            ending=2.4, closed=2.5, end="released",
        ),
        "a#2": Attempt("a#2", "a", "lock", 3, 4, "refused"),
        "a#3": Attempt("a#3", "a", "lock", 5, 6, "unknown"),
        "a#4": Attempt("a#4", "a", "lock", 7, 8, "granted", fence=8, until=8.5, lost=8.6, closed=9),
        "b#1": Attempt("b#1", "b", "lock", 8, 9, "unknown"),
        "a#5": Attempt(
            "a#5", "a", "limit", 8, 8.2, "granted", until=8.2, ending=8.2, closed=8.2, end="released"
        ),
    }  # fmt: skip
    assert tale.claims == [
        Claim("a#1", "lock", 2, 2.5),
        Claim("a#1", "lock", 2.2, 2.7, 2.15),
        Claim("a#4", "lock", 8, 8.5),
    ]
    assert tale.updates == [Update("a#1", "lock", 2.1, 2.3, "x")]
    assert tale.errors == ["a: RuntimeError"]
