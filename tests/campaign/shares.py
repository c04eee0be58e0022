"""Judges what several may have at a time: permits, charges, and connections that listen."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

from tests.campaign.history import by_name, valid_holds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.campaign.history import History


def too_many_permits(history: History) -> Iterator[str]:
    """More permits of one name were valid at the same time than there are."""
    for holds in by_name(one for one in valid_holds(history) if one.name in history.permits):
        limit = history.permits[holds[0].name]
        ends: list[float] = []
        for hold in sorted(holds, key=lambda hold: hold.answered):
            ends = [end for end in ends if end > hold.answered]
            ends.append(hold.valid_to)
            if len(ends) > limit:
                yield f"{len(ends)} where {limit} may: {hold}"


def too_many_charges(history: History) -> Iterator[str]:
    """More was certainly charged within a window than the limiter allows."""
    for attempts in by_name(one for one in history.attempts if one.name in history.limits):
        limit, seconds = history.limits[attempts[0].name]
        charged = sorted((one.asked, one.answered) for one in attempts if one.outcome == "granted")
        for first, (asked, _) in enumerate(charged):
            over = bisect_left(charged, (asked + seconds, 0.0))
            within = sum(answered < asked + seconds for _, answered in charged[first:over])
            if within > limit:
                yield f"{within} of {limit} within {seconds} s from {asked:.6f}"


def unexplained_denials(history: History) -> Iterator[str]:
    """A charge was denied although fewer than the limit can have been made in the window before."""
    for attempts in by_name(one for one in history.attempts if one.name in history.limits):
        limit, seconds = history.limits[attempts[0].name]
        possible = [one for one in attempts if one.outcome != "refused"]
        starts = sorted(one.asked for one in possible)
        # One without an answer may arrive later, by as much as what a hold may outlive its last sign.
        ends = sorted(one.answered + (0 if one.outcome == "granted" else history.grace) for one in possible)
        for one in (one for one in attempts if one.outcome == "refused"):
            begun = bisect_right(starts, one.answered)
            over = bisect_right(ends, one.asked - seconds)
            if begun - over < limit:
                yield f"{one}: {begun - over} of {limit} can have been charged"


def too_many_listeners(history: History) -> Iterator[str]:
    """More connections listen than there are processes, of one Coord each."""
    for one in history.listening:
        if one.connections > one.processes:
            yield f"{one.connections} of {one.processes} processes at {one.server}"
