"""Judges those who waited or were refused: whether there was a reason, and whether it took too long.

Whether a single wake-up came late may be the fault's doing; so hand-offs and the order of a queue are judged
by how many of them went wrong, among those who waited and had an answer in time.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, NamedTuple

from tests.campaign.history import by_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tests.campaign.history import Attempt, History, Sample

Span = tuple[float, float]

KEPT = 0.06
"""For how long a release may keep the lock for the waiter that it has woken, and a little."""
BLIND = 0.1
"""The longest pause between two looks at the server from which it follows what was in between, in seconds."""
SETTLED = 0.03
"""Seconds after which one who was to wait does wait, if nothing is in its way."""
SLOW = 0.04
"""Seconds from which a hand-off is slow: less than a lock is kept for one who was woken and does not come."""
SLOW_SHARE = 0.25
"""Of the hand-offs: from when on it is not the faults that made them slow."""
OVERTAKING_SHARE = 0.5
"""Of a fair lock's grants to those whom somebody might have been before: the same."""
FEWEST = 20
"""How many it takes to speak of a share."""


class HandOff(NamedTuple):
    """A release for which somebody waited, and the seconds until one had the lock, or all had given up."""

    release: Attempt
    seconds: float


def unexplained_refusals(history: History) -> Iterator[str]:
    """An acquire was refused although nobody can have held the lock while it asked."""
    free, known = surely_free(history), _surely_known(history)
    for attempts in by_name(history.attempts):
        name = attempts[0].name
        if name in history.queues:
            for one in _refused_while_free(attempts, free.get(name, [])):
                yield f"{one}: the server was seen to be free all the time"
            continue
        held = _possibly_held(attempts, history.grace, known.get(name, []))
        for refusal, last in _last_before_refusal(attempts, held):
            if last < refusal.asked:
                yield f"{refusal}: last possibly held {refusal.asked - last:.3f} s before"


def judged_refusals(history: History) -> int:
    """Count the refusals that the check above can judge: those near no hold whose end nobody saw."""
    known = _surely_known(history)
    count = 0
    for attempts in by_name(one for one in history.attempts if one.name not in history.queues):
        vague = [one for one in attempts if one.outcome != "refused" and not _seen_to_end(one)]
        spans = _possibly_held(vague, history.grace, known.get(attempts[0].name, []))
        count += sum(last < refusal.asked for refusal, last in _last_before_refusal(attempts, spans))
    return count


def surely_free(history: History) -> dict[str, list[Span]]:
    """Find from when to when nobody can have held or waited for a lock, as the server was seen.

    Two looks at a free lock show what was between them if no fence was handed out meanwhile.
    """
    return _between_looks(history, lambda seen: not seen.held and not seen.waiters)


def _surely_known(history: History) -> dict[str, list[Span]]:
    """Find from when to when it is known who held a lock, if anybody: one whose hold was seen to end."""
    ended = {(one.name, one.fence) for one in history.attempts if _seen_to_end(one)}

    def known(seen: Sample) -> bool:
        return (seen.name, seen.fence) in ended if seen.held else not seen.waiters

    return _between_looks(history, known)


def _between_looks(history: History, clear: Callable[[Sample], bool]) -> dict[str, list[Span]]:
    spans: dict[str, list[Span]] = {}
    for samples in by_name(history.samples):
        found = spans.setdefault(samples[0].name, [])
        for one, other in pairwise(samples):
            if not (clear(one) and clear(other) and one.fence == other.fence):
                continue
            if other.asked - one.answered > BLIND:
                continue
            if found and found[-1][1] >= one.asked:
                found[-1] = (found[-1][0], other.asked)
            else:
                found.append((one.answered, other.asked))
    return spans


def _refused_while_free(attempts: Sequence[Attempt], free: Sequence[Span]) -> Iterator[Attempt]:
    starts = [start for start, _ in free]
    for one in attempts:
        at = bisect_right(starts, one.asked) - 1
        if one.outcome == "refused" and at >= 0 and one.answered <= free[at][1]:
            yield one


def _possibly_held(attempts: Iterable[Attempt], grace: float, known: Sequence[Span]) -> Iterator[Span]:
    """Give the spans in which a hold, or what may have become one, can have kept others out."""
    for one in attempts:
        if one.outcome != "refused":
            span = _possible(one, grace)
            yield from [span] if _seen_to_end(one) else _without(span, known)


def _without(span: Span, known: Sequence[Span]) -> Iterator[Span]:
    start, end = span
    for begins, ends in known[max(0, bisect_left(known, (start, start)) - 1) :]:
        if begins >= end:
            break
        if begins > start:
            yield start, begins
        start = max(start, ends)
    if start < end:
        yield start, end


def _seen_to_end(one: Attempt) -> bool:
    return one.outcome == "granted" and one.end == "released"


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


def _waited_well(one: Attempt) -> bool:
    """Say whether it was to wait, and no fault kept its answer from it for long."""
    answered = one.outcome != "unknown" and one.answered <= one.asked + one.patience + 2 * SETTLED
    return one.patience > 0 and answered


def hand_offs(history: History) -> list[HandOff]:
    """Find every release of a lock for which somebody waited who was still to be granted or refused."""
    found = []
    for attempts in by_name(one for one in history.attempts if one.name in history.signalled):
        grants = sorted(one.answered for one in attempts if one.outcome == "granted")
        ordered = sorted((one for one in attempts if _waited_well(one)), key=lambda one: one.asked)
        starts = [one.asked for one in ordered]
        longest = max((one.answered - one.asked for one in ordered), default=0.0)
        for release in attempts:
            if (
                release.ending is None
                or release.end != "released"
                or release.closed > release.ending + SETTLED
            ):
                continue
            first = bisect_left(starts, release.ending - longest)
            last = bisect_right(starts, release.ending - SETTLED)
            waited = [one.answered for one in ordered[first:last] if one.answered > release.closed]
            if not waited:
                continue
            at = bisect_right(grants, release.ending)
            granted = grants[at] if at < len(grants) else math.inf
            found.append(HandOff(release, max(0.0, min(granted, max(waited)) - release.closed)))
    return found


def slow_hand_offs(history: History) -> Iterator[str]:
    """More locks that were waited for came late to the next than faults explain."""
    found = hand_offs(history)
    slow = [one for one in found if one.seconds > SLOW]
    if len(found) >= FEWEST and len(slow) > SLOW_SHARE * len(found):
        worst = max(slow, key=lambda one: one.seconds)
        yield f"{len(slow)} of {len(found)} took over {SLOW} s; {worst.seconds:.3f} s after {worst.release}"


def overtakings(history: History) -> tuple[list[tuple[Attempt, Attempt]], int]:
    """Find the grants of fair locks to somebody who came later than one that still waited.

    Returns:
        The pairs, who was overtaken first; and how many grants there were while anybody waited.
    """
    pairs, among = [], 0
    for attempts in by_name(one for one in history.attempts if one.name in history.fair):
        waits = sorted((one for one in attempts if _waited_well(one)), key=lambda one: one.asked)
        for grant in (one for one in attempts if one.outcome == "granted"):
            beside = [
                one for one in waits if one.asked < grant.answered and one.answered > grant.answered + SETTLED
            ]
            among += bool(beside)
            before = [one for one in beside if one.asked + SETTLED < grant.asked]
            if before:
                pairs.append((before[0], grant))
    return pairs, among


def unfair_order(history: History) -> Iterator[str]:
    """More of a fair lock's grants went to somebody who came later than faults explain."""
    pairs, among = overtakings(history)
    if among >= FEWEST and len(pairs) > OVERTAKING_SHARE * among:
        yield f"{len(pairs)} of {among}; {pairs[0][0]} was overtaken by {pairs[0][1]}"
