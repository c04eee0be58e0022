"""One acquisition of a lock that is under way."""

from __future__ import annotations

import math
import random
import secrets
from dataclasses import dataclass, field

__all__ = ["UNDO_TIME", "Asking"]

UNDO_TIME = 1.0
"""Seconds for the request that gives a token up: more than a round trip over any network, and no longer than
who was cancelled can be kept waiting; a token that it does not end ends with its lease."""

LEAST_TIME = 0.1
"""Seconds for an attempt at the least, however short the wait: more than the way to most servers and back, so
that who waits hardly at all is told by the server that it has waited in vain, and not by a deadline."""

FIRST_POLL = 0.005
"""Seconds until a poll at the soonest: some round trips of a local network, so that polls do not crowd."""

LONGEST_POLL = 0.1
"""Seconds until a poll at the latest: how long a free lock may lie idle, for ten requests a second."""

OUTAGE_PAUSE = 0.5
"""Seconds between attempts while the server cannot be asked, at the most: how late it is noticed that it is
back."""


@dataclass(slots=True)
class Asking:
    """One acquisition that is under way.

    Attributes:
        token: Its token; the same for every attempt.
        waiter: As whom it stands in the queue; empty if it does not.
        held_for: What the last refusal said of the holder's lease.
        refused_by: Which of several locks refused it last: how many come before it.
        doubtful: Whether a copy of a request may still be on its way, so that the token has to be ended.
        until: When its caller wants to wait no longer; before all time for who does not wait at all.
        keeps: Whether the token is kept while the server cannot be asked, for the next attempt.
        outage: What kept the last attempt from being answered, if anything did.
        longest_poll: Seconds that the last poll was put off by at the most.
    """

    token: str = field(default_factory=lambda: secrets.token_hex(16))
    waiter: str = ""
    held_for: float = 0.0
    refused_by: int = 0
    doubtful: bool = False
    until: float = -math.inf
    keeps: bool = True
    outage: Exception | None = None
    longest_poll: float = FIRST_POLL

    def doubt(self) -> None:
        """Note that a copy may be on its way."""
        self.doubtful = True

    def time_for_one(self, now: float, longest: float) -> float:
        """Say how many seconds an attempt may take: as long as a call may, and as it is waited."""
        return longest if self.until == -math.inf else min(longest, max(LEAST_TIME, self.until - now))

    def time_to_end(self, now: float) -> float:
        """Say for how many seconds its caller can be kept while the token is ended."""
        is_kept = self.outage is None or self.until == -math.inf
        return UNDO_TIME if is_kept else max(LEAST_TIME, self.until - now)

    def patience(self, left: float) -> float:
        """Say for how many of the seconds ``left`` to wait for a wake-up, which none sends in an outage."""
        return left if self.outage is None else min(left, _outage_pause())

    def lease(self) -> float:
        """Say for how many seconds the holder's lease still runs, as far as is known."""
        return self.held_for if self.outage is None else math.inf

    def poll(self) -> float:
        """Say for how many seconds to sleep before the next poll."""
        if self.outage is not None:
            return _outage_pause()
        self.longest_poll = min(LONGEST_POLL, 2 * self.longest_poll)
        return random.uniform(FIRST_POLL, self.longest_poll)  # noqa: S311  # jitter


def _outage_pause() -> float:
    return random.uniform(OUTAGE_PAUSE / 2, OUTAGE_PAUSE)  # noqa: S311  # jitter
