"""Whether a call that failed is asked again, and after what pause.

A pure function of what happened, which a table of tests holds. Nothing here knows a clock, a connection or a
client library: ``faults`` says what an exception means, and ``courier`` acts on the answer.
"""

from __future__ import annotations

from typing import Final, Literal

__all__ = ["Failure", "pause_before_next", "silence_allowed"]

Failure = Literal["unsent", "not now", "replica", "moved", "asked", "no script", "lost", "final"]
"""How an attempt failed.

``unsent``
    There was no connection, or none in time: nothing left.
``not now``
    The server answered that it did not execute it, and may later: it loads its data, is busy with a script,
    or its cluster is not whole.
``replica``
    The server takes no writes: a failover has made it a replica, or will make another the master.
``moved``, ``asked``
    Another node serves the slot, from now on or this once.
``no script``
    The server does not have the script cached.
``lost``
    It left, and no answer came: whether it was executed is unknown.
``final``
    An answer, or a mistake: to ask again would change nothing.
"""

FOLLOWED = 3
"""Times that a call is sent on without a pause, when it is told where or how to go: as many as an honest
server needs while a slot moves (to the new node, there by its text, and once more); a server that sends
callers round in circles is asked at the pace of any other failure."""

FIRST_PAUSE = 0.01
"""Seconds before the second attempt, about: some round trips, so that a connection that was closed, or a slot
that has just moved, costs hardly anything."""

LONGEST_PAUSE = 0.5
"""Seconds between attempts at the most: how late it is noticed that a server is back, for two calls a
second."""

LEAST_LEFT = 0.02
"""Seconds that must be left for another attempt: below, there is hardly time for a connection and a reply."""

SHORTEST_SILENCE = 0.2
"""Seconds without any answer until a connection counts as dropped, at the least: a lost packet is sent again
by the kernel after 0.2 s, and an answer from the other side of the world takes as long."""

_FOLLOWS: Final = frozenset({"asked", "no script"})
_CERTAIN: Final = frozenset({"unsent", "not now", "replica"})


def pause_before_next(
    failure: Failure, attempts: int, left: float, *, repeatable: bool, once: bool = False, chance: float = 1.0
) -> float | None:
    """Say whether to ask again.

    Args:
        failure: How the last attempt failed.
        attempts: How many there were.
        left: Seconds until the call's deadline.
        repeatable: Whether to execute it twice does what once does.
        once: Whether the caller has a fallback, and is better off with that than with waiting.
        chance: What spreads the pauses of many callers: from 0 to 1.

    Returns:
        Seconds to pause before the next attempt; ``None`` if there is to be none.
    """
    if failure == "final" or (failure == "lost" and not repeatable):
        return None
    if once and (failure == "lost" or failure in _CERTAIN):
        return None
    if failure in _FOLLOWS and attempts <= FOLLOWED:
        return 0.0 if left > 0 else None
    if left < LEAST_LEFT:
        return None
    longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(attempts, 10))
    # The last attempts come closer together: a server that is back shortly before the deadline is in time.
    return min(longest * (1 + chance) / 2, left / 2)


def silence_allowed(left: float, *, repeatable: bool, once: bool, lost: bool) -> float:
    """Say after how many seconds without any answer a connection counts as dropped, within one attempt.

    A firewall or a balancer that forgets a connection tells nobody. What may be repeated keeps half of its
    time for a second attempt, over another connection; what may not waits for its answer until the end.

    Args:
        left: Seconds until the call's deadline.
        repeatable: As above.
        once: As above.
        lost: Whether an answer was waited for in vain already.
    """
    half = left / 2
    return left if lost or once or not repeatable or half < SHORTEST_SILENCE else half
