"""The checks of who waited, of what leases claimed and of what several share: silent on good histories."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.campaign.history import Attempt, Claim, History, Listening, Outcome, Sample
from tests.campaign.judgement import judge
from tests.campaign.waits import hand_offs, judged_refusals, surely_free

LOCK = frozenset({"lock"})


def found(history: History) -> dict[str, int]:
    return {name: len(found) for name, found in judge(history).items() if found}


def hold(who: str, asked: float, granted: float, closed: float, fence: int | None, **more: Any) -> Attempt:
    """A hold that was waited for up to ten seconds and released."""
    made = Attempt(
        who, who[0], "lock", asked, granted, "granted", patience=10, fence=fence, until=closed + 1,
        ending=closed, closed=closed, end="released",
    )  # fmt: skip
    return replace(made, **more)


def answer(who: str, asked: float, answered: float, outcome: Outcome = "refused", **more: Any) -> Attempt:
    return replace(Attempt(who, who[0], "lock", asked, answered, outcome), **more)


def relay(pause: float, times: int = 30) -> list[Attempt]:
    """One after the other has the lock for a second, each waiting since before; ``pause`` between them."""
    step = 1 + pause
    return [hold(f"a{n}", n * step - 0.5, n * step, n * step + 1, n + 10) for n in range(times)]


def overtaken(times: int = 30) -> list[Attempt]:
    """Each waits for ten seconds while one who came later has the lock."""
    pairs = []
    for n in range(times):
        pairs += [
            hold(f"late{n}", 20 * n + 5, 20 * n + 6, 20 * n + 7, 20 * n + 1),
            hold(f"early{n}", 20 * n, 20 * n + 9, 20 * n + 10, 20 * n + 2),
        ]
    return pairs


def in_turn(times: int = 30) -> list[Attempt]:
    """The same, but who came first has it first."""
    pairs = []
    for n in range(times):
        pairs += [
            hold(f"early{n}", 20 * n, 20 * n + 6, 20 * n + 7, 20 * n + 1),
            hold(f"late{n}", 20 * n + 5, 20 * n + 9, 20 * n + 10, 20 * n + 2),
        ]
    return pairs


def looks(start: float, stop: float, *, held: bool = False, fence: int = 9, waiters: int = 0) -> list[Sample]:
    """A look each hundredth of a second."""
    times = [start + n / 100 for n in range(round((stop - start) * 100))]
    return [Sample("lock", t, t + 0.001, held, fence, 0.5 if held else 0.0, waiters) for t in times]


UNKNOWN = answer("c1", 1, 2, "unknown")
"""An acquire without an answer, so that nobody knows from when to when it held, if it did."""

PERMIT = hold("a1", 1, 1, 4, None)
CHARGES = [hold(f"a{n}", n / 10, n / 10, n / 10, None, until=0.0, patience=0) for n in range(3)]

BAD: dict[str, History] = {
    "slow hand-offs": History(relay(0.2), signalled=LOCK),
    "unfair order": History(overtaken(), fair=LOCK),
    "overstated leases": History(
        [hold("a1", 1, 1, 4, 10, until=2)],
        claims=[Claim("a1", "lock", 1, 2)],
        samples=[Sample("lock", 1.1, 1.101, held=True, fence=10, left=0.8)],
    ),
    "revived leases": History(
        [hold("a1", 1, 1, 9, 10, lost=2, until=2), hold("b1", 3, 3, 4, 11)],
        claims=[Claim("a1", "lock", 5.1, 6, asked=5)],
    ),
    "too many permits": History(
        [PERMIT, replace(PERMIT, id="b1", answered=2), replace(PERMIT, id="c1", answered=3)],
        permits={"lock": 2},
    ),
    "too many charges": History(CHARGES, limits={"lock": (2, 1.0)}),
    "unexplained denials": History(
        [*CHARGES, answer("b1", 0.9, 0.91)], limits={"lock": (4, 1.0)}, queues=LOCK
    ),
    "too many listeners": History(listening=[Listening("server", 5, 4)]),
    # Near an unknown outcome, but the server was seen to be free all the time.
    "unexplained refusals": History([UNKNOWN, answer("a1", 1.2, 1.4)], samples=looks(0.5, 2)),
}

GOOD: dict[str, History] = {
    "hand-offs at once": History(relay(0.01), signalled=LOCK),
    "few hand-offs": History(relay(0.2, 10), signalled=LOCK),
    "no signal to hand over by": History(relay(0.2)),
    "one after the other": History(in_turn(), fair=LOCK),
    "any order": History(overtaken()),
    "a lease that the server has for longer": History(
        [hold("a1", 1, 1, 4, 10, until=2)],
        claims=[Claim("a1", "lock", 1, 2)],
        samples=[Sample("lock", 1.1, 1.101, held=True, fence=10, left=0.91)],
    ),
    "a lease that the server has no more, when its holder knows": History(
        [hold("a1", 1, 1, 4, 10, until=2)],
        claims=[Claim("a1", "lock", 1, 2)],
        samples=[Sample("lock", 2.1, 2.101, held=False, fence=10)],
    ),
    "a lease renewed before another": History(
        [hold("a1", 1, 1, 4, 10), hold("b1", 4, 4, 5, 11)], claims=[Claim("a1", "lock", 2.1, 3, asked=2)]
    ),
    "as many permits as there are": History(
        [PERMIT, replace(PERMIT, id="b1", answered=2), replace(PERMIT, id="c1", answered=4.5)],
        permits={"lock": 2},
    ),
    "charges": History([*CHARGES, answer("b1", 0.9, 0.91)], limits={"lock": (3, 1.0)}, queues=LOCK),
    "a charge whose outcome is unknown": History(
        [*CHARGES, answer("c1", 0.5, 0.6, "unknown"), answer("b1", 0.9, 0.91)],
        limits={"lock": (4, 1.0)},
        queues=LOCK,
    ),
    "listeners": History(listening=[Listening("server", 4, 4)]),
    "a refusal near an unknown outcome": History([UNKNOWN, answer("a1", 1.2, 1.4)]),
    "the same, and it is seen that it held": History(
        [UNKNOWN, answer("a1", 1.2, 1.4)], samples=[*looks(0.5, 1.3), *looks(1.3, 2, held=True, fence=10)]
    ),
    "the same, and it must have held between two looks": History(
        [UNKNOWN, answer("a1", 1.2, 1.4)], samples=[*looks(0.5, 1.3), *looks(1.3, 2, fence=10)]
    ),
    "a refusal by a queue": History(
        [answer("a1", 1.2, 1.4)], samples=looks(0.5, 2, waiters=1), queues=LOCK
    ),
}  # fmt: skip


@pytest.mark.parametrize("check", BAD)
def test_a_bad_history_is_caught_by_its_own_check(check: str) -> None:
    assert found(BAD[check]) == {check: 1}


@pytest.mark.parametrize("what", GOOD)
def test_a_good_history_is_good(what: str) -> None:
    assert found(GOOD[what]) == {}


def test_a_fair_lock_that_was_seen_to_be_free_refuses_nobody() -> None:
    history = History([answer("a1", 1.2, 1.4)], samples=looks(0.5, 2), queues=LOCK)

    assert found(history) == {"unexplained refusals": 1}


def test_a_lease_that_the_server_has_no_more_is_overstated() -> None:
    history = History(
        [hold("a1", 1, 1, 4, 10)],
        claims=[Claim("a1", "lock", 1, 5)],
        samples=[Sample("lock", 2.1, 2.101, held=False, fence=10)],
    )

    assert found(history) == {"overstated leases": 1}


def test_what_was_seen_lets_refusals_near_unknown_outcomes_be_judged() -> None:
    attempts = [UNKNOWN, answer("a1", 1.2, 1.4), hold("b1", 1.1, 1.1, 1.5, 9)]

    assert judged_refusals(History(attempts)) == 0
    assert judged_refusals(History(attempts, samples=looks(0.5, 2))) == 1


def test_a_refusal_by_a_hold_that_was_seen_is_judged_near_an_unknown_outcome() -> None:
    attempts = [UNKNOWN, answer("a1", 1.2, 1.21), hold("b1", 1.1, 1.1, 1.5, 9)]

    assert judged_refusals(History(attempts, samples=looks(1, 2, held=True))) == 1
    assert judged_refusals(History(attempts, samples=looks(1, 2, held=True, fence=10))) == 0


def test_looks_too_far_apart_say_nothing_of_what_was_between() -> None:
    seen = [*looks(1, 1.05), *looks(2, 2.05)]

    assert len(surely_free(History(samples=seen))["lock"]) == 2


def test_a_hand_off_counts_only_for_who_waited_and_was_answered_in_time() -> None:
    release = hold("a1", 0, 0, 1, 10)
    waited, late = hold("b1", 0.5, 1.3, 2, 11), hold("b1", 0.5, 1.3, 2, 11, patience=0.1)
    unknown = answer("b1", 0.5, 1.3, "unknown", patience=1)

    def seconds(*attempts: Attempt) -> list[float]:
        return [round(one.seconds, 3) for one in hand_offs(History([release, *attempts], signalled=LOCK))]

    assert seconds(waited) == [0.3]
    assert seconds(late) == []
    assert seconds(unknown) == []
    assert seconds(answer("b1", 0.5, 1.2, patience=0.7)) == [0.2], "nobody had it while anybody waited"
