"""What is asked of a server about the permits of one key: the scripts, with their keys spelled once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coord._engine.checks import millis
from coord._engine.replies import as_bool, as_int, as_rows, text
from coord._engine.script import Script
from coord.locks.calls import ENDED_MEMORY, HEARTBEAT, RELEASED_MEMORY, Grant, LockCalls, flags, waiter_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from coord._engine.keys import Keys
    from coord._engine.script import Call, Reply
    from coord.concurrency.terms import Terms

__all__ = ["RENEW", "ConcurrencyHolder", "ConcurrencyStatus", "PermitCalls"]

FAMILY = "concurrency"
MOST_LISTED = 100
"""Holders that a status lists: as many as people read, and few enough for one short reply."""

ROW = 3
"""Words that a status has of each holder: see ``permit_status.lua``."""


@dataclass(frozen=True, slots=True)
class ConcurrencyHolder:
    """Who holds a permit.

    Attributes:
        holder: Who, as a label for people: host and process.
        weight: How much room it takes.
        remaining: Seconds that its lease still runs, by the server's clock.
    """

    holder: str
    weight: int
    remaining: float


@dataclass(frozen=True, slots=True)
class ConcurrencyStatus:
    """What the server knows of one key's permits at one moment.

    Attributes:
        limit: How much room there is, as the limit that was asked has it.
        used: How much of it is taken; more than ``limit`` if others were admitted by a higher one.
        available: How much is left, at least 0. A waiter that was just woken may have it kept for itself.
        permits: How many permits there are.
        waiters: How many wait, as far as they have said so: those with ``wait="poll"`` do not, unless the
            limit is fair; and one that died counts for some seconds.
        holders: Whose leases end first: 100 of them at the most.
    """

    limit: int
    used: int
    available: int
    permits: int
    waiters: int
    holders: tuple[ConcurrencyHolder, ...]


def _grant(reply: Reply) -> Grant:
    if isinstance(reply, int):
        return Grant(reply, 0.0)  # a permit has no fence: this is how much is used
    left, before = map(as_int, as_rows(reply))
    return Grant(None, math.inf if before else left / 1000)


def _rows(reply: Reply) -> tuple[int, int, int, tuple[ConcurrencyHolder, ...]]:
    used, permits, waiters, *rows = as_rows(reply)
    holders = tuple(
        [
            ConcurrencyHolder(text(rows[at + 1]), as_int(rows[at]), as_int(rows[at + 2]) / 1000)
            for at in range(0, len(rows), ROW)
        ]
    )
    return as_int(used), as_int(permits), as_int(waiters), holders


ACQUIRE = Script("permit_acquire", parse=_grant, repeatable=True)
RENEW = Script("permit_renew", parse=flags, repeatable=True)
RELEASE = Script("permit_release", parse=as_bool, repeatable=True)
STATUS = Script("permit_status", parse=_rows, repeatable=True)
RESET = Script("permit_reset", parse=as_int, repeatable=False)


class PermitCalls(LockCalls):
    """The operations of one key's permits, as values that a port can run.

    Args:
        keys: How keys are spelled.
        terms: What the limit was made with.
        subject: Whom or what it is about.
        sharded: Whether waiters are woken by messages that only the key's own node of a cluster hears.
    """

    def __init__(self, keys: Keys, terms: Terms, subject: str, *, sharded: bool) -> None:
        self.name = terms.name
        self.key = permits = keys.of_subject(FAMILY, terms.name, subject)
        self._limit = terms.limit
        self._ended = f"{permits}:ended:"
        self._waiting, self._queue = f"{permits}:waiting", f"{permits}:queue"
        self._line = (self._queue, f"{permits}:alive") if terms.fair else (self._waiting,)
        self.channel = f"{permits}:free" if terms.wait == "signal" else ""
        self._publish = "SPUBLISH" if sharded else "PUBLISH"

    def acquire(
        self, token: str, ttl: float, label: str, waiter: str = "", *, on_repeat: Callable[[], object]
    ) -> Call[Grant]:
        """Ask for a permit; a ``waiter`` that is refused stands in the queue. The token has the label."""
        del label
        line = (waiter, millis(HEARTBEAT), self.channel, self._publish)
        return ACQUIRE(self._keys(token), token, millis(ttl), self._limit, *line, on_repeat=on_repeat)

    def release(
        self, token: str, waiter: str = "", *, end_anyway: bool = False, doubtful: bool = False
    ) -> Call[bool]:
        """Give the permit back, or a place in the queue; ``end_anyway`` if it is not known what is held."""
        memory = ENDED_MEMORY if end_anyway or doubtful else RELEASED_MEMORY
        line = (self.channel, waiter, self._publish)
        return RELEASE(self._keys(token), token, millis(memory), int(end_anyway), *line)

    def look(self) -> Call[tuple[int, int, int, tuple[ConcurrencyHolder, ...]]]:
        """Look at the permits: how much is used, how many there are, how many wait, and who holds them."""
        return STATUS((self.key, self._waiting, self._queue), MOST_LISTED)

    def reset(self) -> Call[int]:
        """Take all permits from whoever holds them."""
        return RESET((self.key, self._waiting, self._queue), self.channel, self._publish)

    def _keys(self, token: str) -> tuple[str, ...]:
        return (self.key, self._ended + waiter_of(token), *self._line)
