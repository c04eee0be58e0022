"""Judges what contenders for a lock recorded, after the fact and without a server.

Every time is a reading of one host's CLOCK_MONOTONIC, which its processes share. Where a reading cannot
be exact it errs to the side that makes a hold look *shorter* for the checks of exclusion, and *longer* for
the check that a refusal had a reason. So a violation is never an artefact of when something was written down.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence


class Named(Protocol):
    """What belongs to a lock."""

    @property
    def name(self) -> str: ...


T = TypeVar("T", bound=Named)
Outcome = Literal["granted", "refused", "unknown"]
End = Literal["released", "lost", "unknown"]


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
class Claim:
    """What a lease said of itself: at its grant, when it was renewed, or when looked at later.

    Attributes:
        attempt: The id of the hold.
        name: The lock.
        told: When that was written down.
        until: Until when it claimed to be good.
        asked: Before the renewal that it is the answer to, if that is known.
    """

    attempt: str
    name: str
    told: float
    until: float
    asked: float | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """What the server itself said of a lock, to somebody who looks and contends for nothing.

    Attributes:
        name: The lock.
        asked: Before the look.
        answered: After it.
        held: Whether somebody held the lock.
        fence: The holder's, or the last one handed out.
        left: How long its lease was to run.
        waiters: How many waited.
    """

    name: str
    asked: float
    answered: float
    held: bool
    fence: int | None
    left: float = 0.0
    waiters: int = 0


@dataclass(frozen=True, slots=True)
class Listening:
    """How many connections listened for messages when no fault was on any more.

    Attributes:
        server: Which server was asked.
        connections: How many listened.
        processes: How many contenders there were, of one Coord each.
    """

    server: str
    connections: int
    processes: int


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
        keys_without_ttl: Those of the campaign's prefix that were seen, at any time.
        claims: What leases said of themselves.
        samples: What the server said, in order.
        listening: One a server.
        signalled: The locks whose waiters are woken by a release.
        fair: Those among them that are fair.
        permits: What several may hold at a time, and how many.
        limits: What is charged for: how much, and in how many seconds.
        errors: What no contender expected.
        queues: The locks that also others than a holder keep one out of: those who wait for a fair one, or
            split the votes of a quorum. What they refuse is judged only where the server was seen to be free.
        grace: How long after the last sign of a hold that was not seen to end its key may live.
        overrun: How much longer than its patience a call may take before it counts as stuck.
    """

    attempts: list[Attempt] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    updates: list[Update] = field(default_factory=list)
    probes: list[Probe] = field(default_factory=list)
    keys_without_ttl: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    listening: list[Listening] = field(default_factory=list)
    signalled: frozenset[str] = frozenset()
    fair: frozenset[str] = frozenset()
    permits: dict[str, int] = field(default_factory=dict)
    limits: dict[str, tuple[int, float]] = field(default_factory=dict)
    queues: frozenset[str] = frozenset()
    grace: float = 1.6
    overrun: float = 6.0


def overlaps(history: History) -> Iterator[str]:
    """Two holds of one name were valid at the same time."""
    for holds in by_name(_exclusive(history)):
        longest: Attempt | None = None
        for hold in sorted(holds, key=lambda hold: hold.answered):
            if longest is not None and hold.answered < longest.valid_to:
                common = min(hold.valid_to, longest.valid_to) - hold.answered
                yield f"{common * 1000:.1f} ms: {longest} | {hold}"
            if longest is None or hold.valid_to > longest.valid_to:
                longest = hold


def lost_updates(history: History) -> Iterator[str]:
    """Two updates, each within its valid hold from beginning to end, started from the same value."""
    holds = {hold.id: hold for hold in valid_holds(history)}
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
    for holds in by_name(fenced):
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


def _exclusive(history: History) -> Iterator[Attempt]:
    shared = {*history.permits, *history.limits}
    return (one for one in valid_holds(history) if one.name not in shared)


def valid_holds(history: History) -> list[Attempt]:
    """Find the holds that were good when their holder learnt of them."""
    return [one for one in history.attempts if one.outcome == "granted" and one.valid_to > one.answered]


def by_name(things: Iterable[T]) -> Iterator[list[T]]:
    """Give those of one name together, in the order in which they came."""
    groups: dict[str, list[T]] = defaultdict(list)
    for one in things:
        groups[one.name].append(one)
    yield from groups.values()
