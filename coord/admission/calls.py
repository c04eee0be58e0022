"""What is asked of a server about a permit that comes with charges, and what it last said of them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, cast

from coord._engine.checks import millis
from coord._engine.replies import as_bool
from coord._engine.script import Script
from coord.concurrency.calls import PermitCalls
from coord.limits.room import Answer, rows_of, words_of
from coord.locks.calls import ENDED_MEMORY, HEARTBEAT, RELEASED_MEMORY, Grant, waiter_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from coord._engine.keys import Keys
    from coord._engine.script import Call, Reply
    from coord.concurrency.terms import Terms
    from coord.limits.gate import Group

__all__ = ["AdmissionCalls", "Told"]

HEAD = 5
"""Words that ``permit_admit.lua`` says before those of each rate."""


class Told(NamedTuple):
    """What the server said of room and rates together.

    Attributes:
        used: How much room is taken; with this permit, if it was granted.
        until_room: Seconds until it may be worth while to look for room again; 0 if there is some.
        rates: What it said of the rates.
    """

    used: int
    until_room: float
    rates: Answer

    @property
    def until_rates(self) -> float:
        """Seconds until the rates allow it, if nobody else is charged."""
        return max(until for _, until, _ in self.rates.rows) / 1_000_000


def _unread(reply: Reply) -> Grant:
    raise AssertionError(f"each call reads its own answer, not {reply!r}")


ADMIT = Script("permit_admit", parse=_unread, repeatable=True)
WITHDRAW = Script("permit_withdraw", parse=as_bool, repeatable=True)


class AdmissionCalls(PermitCalls):
    """The operations of one acquisition, as values that a port can run.

    Args:
        keys: How keys are spelled.
        terms: What the concurrency limit was made with.
        subject: Whom or what it is about.
        group: The rates, and what is charged to each.
        sharded: As for a permit.

    Attributes:
        told: What the server said last, if it was asked.
        kept: Whether the caller has been given what was granted: then an end takes back no charge.
    """

    def __init__(self, keys: Keys, terms: Terms, subject: str, group: Group, *, sharded: bool) -> None:
        super().__init__(keys, terms, subject, sharded=sharded)
        self._states = tuple([item.key for item in group])
        self._rates = words_of(group)
        self._charged = f"{self.key}:charged:"
        self.told: Told | None = None
        self.kept = False

    def acquire(
        self, token: str, ttl: float, label: str, waiter: str = "", *, on_repeat: Callable[[], object]
    ) -> Call[Grant]:
        """Ask for a permit and charge the rates; a ``waiter`` that is refused stands in the line."""
        del label
        line = (waiter, millis(HEARTBEAT), self.channel, self._publish, millis(RELEASED_MEMORY))
        words = (token, millis(ttl), self._limit, *line, *self._rates)
        return replace(ADMIT(self._all_keys(token), *words, on_repeat=on_repeat), parse=self._read)

    def release(
        self, token: str, waiter: str = "", *, end_anyway: bool = False, doubtful: bool = False
    ) -> Call[bool]:
        """Give the permit back; and what was charged, if nobody has been told of it."""
        if self.kept or not end_anyway:
            return super().release(token, waiter, end_anyway=end_anyway, doubtful=doubtful)
        line = (self.channel, waiter, self._publish)
        return WITHDRAW(self._all_keys(token), token, millis(ENDED_MEMORY), *line, *self._rates)

    def _all_keys(self, token: str) -> tuple[str, ...]:
        return (*self._keys(token), self._charged + waiter_of(token), *self._states)

    def _read(self, reply: Reply) -> Grant:
        words = cast("list[int]", reply)
        granted, used, until_room, before, moment = words[:HEAD]
        rates = Answer(granted == 1, 0, moment, 0, -1, rows_of(words[HEAD:]))
        self.told = told = Told(used, until_room / 1000, rates)
        if granted:
            return Grant(used, 0.0)
        return Grant(None, math.inf if before else max(told.until_room, told.until_rates))
