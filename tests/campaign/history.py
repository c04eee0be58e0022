"""Judges what contenders for a lock recorded, after the fact and without a server.

Every time is a reading of one host's CLOCK_MONOTONIC, which its processes share. Where a reading cannot
be exact it errs to the side that makes a hold look *shorter* for the checks of exclusion, and *longer* for
the check that a refusal had a reason. So a violation is never an artefact of when something was written down.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

Outcome = Literal["granted", "refused", "unknown"]
End = Literal["released", "lost", "unknown"]


KEPT = 0.06
"""For how long a release may keep the lock for the waiter that it has woken, and a little."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One acquire, and the hold that came of it.

    Attributes:
        id: Unique in the history.
        who: The task or thread of a contender.
        name: The lock.
        asked: Before the call.
        answered: After it; when the contender died, if it had no answer.
        outcome: ``unknown`` if it ended in an error, or not at all.
        patience: How long it was to wait.
        fence: The grant's, if the lock gives any.
        until: The latest moment for which the lease claimed to be good, as ``remaining()`` said.
        ending: Before the call that gave it back.
        lost: When its holder was told that it was lost.
        closed: After that call; when the contender died, if there was none.
        end: How it ended; ``unknown`` if that call failed or was never made.
    """

    id: str
    who: str
    name: str
    asked: float
    answered: float
    outcome: Outcome
    patience: float = 0.0
    fence: int | None = None
    until: float = 0.0
    ending: float | None = None
    lost: float | None = None
    closed: float = 0.0
    end: End = "unknown"

    @property
    def valid_to(self) -> float:
        """When the hold ceased to be one that its holder may count on."""
        ends = (self.until, self.ending, self.lost)
        return min(end for end in ends if end is not None)

    def __str__(self) -> str:
        text = f"{self.id} of {self.name!r} asked {self.asked:.6f} {self.outcome} {self.answered:.6f}"
        if self.outcome != "granted":
            return text
        return f"{text} fence {self.fence} good until {self.valid_to:.6f} {self.end} {self.closed:.6f}"


@dataclass(frozen=True, slots=True)
class Write:
    """A write to the fenced resource, which lists them in the order in which they came.

    Attributes:
        attempt: The id of the hold that it was made under.
        name: The lock that guards the resource.
        fence: What was sent along, if anything.
        accepted: Whether the resource took it.
    """

    attempt: str
    name: str
    fence: int | None
    accepted: bool


@dataclass(frozen=True, slots=True)
class Update:
    """A read and a later write of a resource that nothing but the lock guards.

    Attributes:
        attempt: The id of the hold that it was made under.
        name: The lock.
        began: Before the read.
        ended: After the write.
        read: What was read. Every value is written once, so it names the write that it came from.
    """

    attempt: str
    name: str
    began: float
    ended: float
    read: str


@dataclass(frozen=True, slots=True)
class Probe:
    """An acquire after the faults, when every contender is gone.

    Attributes:
        name: The lock.
        waited: How long it took.
        granted: Whether it was granted within a lease and a second; and a heartbeat, if it is fair.
    """

    name: str
    waited: float
    granted: bool


@dataclass(slots=True)
class History:
    """What is judged.

    Attributes:
        attempts: Every acquire.
        writes: Every write to the fenced resources, in the resources' order.
        updates: Every finished update of the unfenced resources.
        probes: One a lock.
        keys_without_ttl: Those of the campaign's prefix that were left.
        errors: What no contender expected.
        queues: The locks that also those keep others out of who only wait for them: what they refuse is not
            judged.
        grace: How long after the last sign of a hold that was not seen to end its key may live.
        overrun: How much longer than its patience a call may take before it counts as stuck.
    """

    attempts: list[Attempt] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    updates: list[Update] = field(default_factory=list)
    probes: list[Probe] = field(default_factory=list)
    keys_without_ttl: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    queues: frozenset[str] = frozenset()
    grace: float = 1.6
    overrun: float = 6.0


def judge(history: History) -> dict[str, list[str]]:
    """Apply every check; return what each found, an empty list where all is well."""
    return {name: list(check(history)) for name, check in CHECKS.items()}


def overlaps(history: History) -> Iterator[str]:
    """Two holds of one name were valid at the same time."""
    for holds in _by_name(_valid_holds(history)):
        longest: Attempt | None = None
        for hold in sorted(holds, key=lambda hold: hold.answered):
            if longest is not None and hold.answered < longest.valid_to:
                common = min(hold.valid_to, longest.valid_to) - hold.answered
                yield f"{common * 1000:.1f} ms: {longest} | {hold}"
            if longest is None or hold.valid_to > longest.valid_to:
                longest = hold


def lost_updates(history: History) -> Iterator[str]:
    """Two updates, each within its valid hold from beginning to end, started from the same value."""
    holds = {hold.id: hold for hold in _valid_holds(history)}
    seen: dict[tuple[str, str], Update] = {}
    for update in history.updates:
        hold = holds.get(update.attempt)
        if hold is None or update.began < hold.answered or update.ended > hold.valid_to:
            continue  # its holder could know that it was late
        other = seen.setdefault((update.name, update.read), update)
        if other is not update:
            yield f"of {update.name!r}: {other.attempt} and {update.attempt} both read {update.read!r}"


def fence_regressions(history: History) -> Iterator[str]:
    """A later grant of one name has a fence that is not greater.

    One grant is later than another if it was asked for after the other was answered; or, if both were
    answered while valid, if it was answered later: a valid answer means that no other grant came between.
    """
    fenced = [one for one in history.attempts if one.outcome == "granted" and one.fence is not None]
    for holds in _by_name(fenced):
        alive = [hold for hold in holds if hold.valid_to > hold.answered]
        bad = [
            *_regressions(holds, lambda hold: hold.asked),
            *_regressions(alive, lambda hold: hold.answered),
        ]
        yield from dict.fromkeys(bad)


def _regressions(holds: Sequence[Attempt], begins: Callable[[Attempt], float]) -> Iterator[str]:
    answered = iter(sorted(holds, key=lambda hold: hold.answered))
    earlier = next(answered, None)
    highest: Attempt | None = None
    for hold in sorted(holds, key=begins):
        while earlier is not None and earlier.answered < begins(hold):
            if highest is None or _fence(earlier) > _fence(highest):
                highest = earlier
            earlier = next(answered, None)
        if highest is not None and _fence(hold) <= _fence(highest):
            yield f"{highest} | {hold}"


def _fence(hold: Attempt) -> int:
    return -1 if hold.fence is None else hold.fence


def stale_writes(history: History) -> Iterator[str]:
    """The fenced resource took a write from an earlier hold after one from a later hold.

    Without fences, a hold is earlier if it was granted earlier.
    """
    granted = {one.id: one.answered for one in history.attempts if one.outcome == "granted"}
    highest: dict[str, tuple[float, Write]] = {}
    for write in history.writes:
        if not write.accepted:
            continue
        rank = granted.get(write.attempt, 0.0) if write.fence is None else float(write.fence)
        top = highest.get(write.name)
        if top is not None and rank < top[0]:
            later = f"{top[1].attempt} ({top[1].fence})"
            yield f"of {write.name!r}: {write.attempt} ({write.fence}) after {later}"
        else:
            highest[write.name] = (rank, write)


def early_losses(history: History) -> Iterator[str]:
    """A holder was told that its lease is lost, before the moment for which it was told that it is good."""
    for hold in history.attempts:
        if hold.lost is not None and hold.lost < hold.until:
            yield f"{hold}: told {hold.until - hold.lost:.3f} s too early"


def unexplained_refusals(history: History) -> Iterator[str]:
    """An acquire was refused although nobody can have held the lock while it asked."""
    for attempts in _by_name(one for one in history.attempts if one.name not in history.queues):
        held = [_possible(one, history.grace) for one in attempts if one.outcome != "refused"]
        for refusal, last in _last_before_refusal(attempts, held):
            if last < refusal.asked:
                yield f"{refusal}: last possibly held {refusal.asked - last:.3f} s before"


def judged_refusals(history: History) -> int:
    """Count the refusals that the check above can judge: those near no hold whose end nobody saw."""
    count = 0
    for attempts in _by_name(one for one in history.attempts if one.name not in history.queues):
        vague = [
            _possible(one, history.grace)
            for one in attempts
            if one.outcome != "refused" and not (one.outcome == "granted" and one.end == "released")
        ]
        count += sum(last < refusal.asked for refusal, last in _last_before_refusal(attempts, vague))
    return count


def _last_before_refusal(
    attempts: Iterable[Attempt], spans: Iterable[tuple[float, float]]
) -> Iterator[tuple[Attempt, float]]:
    """Give each refusal, and the latest end of the spans that began before its answer."""
    ordered = sorted(spans)
    starts = [start for start, _ in ordered]
    latest = list(accumulate((end for _, end in ordered), max))
    for one in attempts:
        if one.outcome == "refused":
            before = bisect_right(starts, one.answered)
            yield one, latest[before - 1] if before else -math.inf


def _possible(one: Attempt, grace: float) -> tuple[float, float]:
    """From when to when a hold, or what may have become one, can have kept others out."""
    if one.outcome == "granted" and one.end == "released":
        return one.asked, one.closed + KEPT
    return one.asked, max(one.answered, one.until, one.closed) + grace


def overdue_calls(history: History) -> Iterator[str]:
    """An acquire took much longer than it was to wait."""
    for one in history.attempts:
        over = one.answered - one.asked - one.patience
        if over > history.overrun:
            yield f"{one}: {over:.3f} s more than its patience of {one.patience} s"


def stranded(history: History) -> Iterator[str]:
    """A lock could not be had although every holder was gone for longer than a lease."""
    for probe in history.probes:
        if not probe.granted:
            yield f"{probe.name!r}: still refused after {probe.waited:.3f} s"


def leaked_keys(history: History) -> Iterator[str]:
    """A key has no TTL."""
    yield from history.keys_without_ttl


def unexpected_errors(history: History) -> Iterator[str]:
    """A contender met an exception that the lock does not document."""
    yield from history.errors


CHECKS: dict[str, Callable[[History], Iterator[str]]] = {
    "overlaps": overlaps,
    "lost updates": lost_updates,
    "fence regressions": fence_regressions,
    "stale writes accepted": stale_writes,
    "early losses": early_losses,
    "unexplained refusals": unexplained_refusals,
    "overdue calls": overdue_calls,
    "stranded": stranded,
    "leaked keys": leaked_keys,
    "unexpected errors": unexpected_errors,
}


def _valid_holds(history: History) -> list[Attempt]:
    return [one for one in history.attempts if one.outcome == "granted" and one.valid_to > one.answered]


def _by_name(attempts: Iterable[Attempt]) -> Iterator[list[Attempt]]:
    groups: dict[str, list[Attempt]] = defaultdict(list)
    for one in attempts:
        groups[one.name].append(one)
    yield from groups.values()
