"""Judges what leases said of themselves, by what the server said and by what others were granted."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING

from tests.campaign.history import by_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.campaign.history import Attempt, Claim, History, Sample

ROUNDING = 0.002
"""Seconds by which a server's answer of how long a key lives may be short of it: it counts milliseconds."""


def overstated_leases(history: History) -> Iterator[str]:
    """A lease claimed to be good for longer than the server then kept it, or when that had it no more."""
    holds = _fenced(history)
    samples = {some[0].name: some for some in by_name(history.samples)}
    starts = {name: [one.asked for one in some] for name, some in samples.items()}
    for claim in history.claims:
        hold = holds.get(claim.attempt)
        at = bisect_right(starts.get(claim.name, []), claim.told)
        if hold is None or at >= len(samples.get(claim.name, [])):
            continue
        over = _overstated(claim, hold, samples[claim.name][at])
        if over > ROUNDING:
            yield f"{hold}: said until {claim.until:.6f}, {over * 1000:.1f} ms too long"


def _overstated(claim: Claim, hold: Attempt, seen: Sample) -> float:
    if seen.held and seen.fence == hold.fence:
        return claim.until - (seen.answered + seen.left)
    return hold.valid_to - seen.answered  # the server has it no more


def revived_leases(history: History) -> Iterator[str]:
    """A lease was renewed after somebody else had been granted the lock, with a higher fence."""
    holds = _fenced(history)
    granted = {
        some[0].name: sorted((one.answered, one.fence or 0) for one in some)
        for some in by_name(holds.values())
    }
    highest = {name: list(accumulate((fence for _, fence in some), max)) for name, some in granted.items()}
    for claim in history.claims:
        hold = holds.get(claim.attempt)
        if hold is None or claim.asked is None:
            continue
        before = bisect_left(granted[claim.name], (claim.asked, 0))
        if before and highest[claim.name][before - 1] > (hold.fence or 0):
            yield f"{hold}: renewed at {claim.asked:.6f}, after fence {highest[claim.name][before - 1]}"


def _fenced(history: History) -> dict[str, Attempt]:
    return {one.id: one for one in history.attempts if one.outcome == "granted" and one.fence is not None}
