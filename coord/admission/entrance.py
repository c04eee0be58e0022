"""One acquisition of a permit and its charges: the algorithm of a permit, asked of both at once."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from coord._engine.checks import patience
from coord.admission.calls import AdmissionCalls
from coord.concurrency.turn import Turn
from coord.errors import RateLimited
from coord.limits.decision import Decision
from coord.limits.gate import Debit, Verdict, combined, decided

if TYPE_CHECKING:
    from coord._engine.checks import Seconds
    from coord.admission.calls import Told
    from coord.concurrency.room import PermitRoom
    from coord.concurrency.terms import Terms
    from coord.limits.gate import Gate, Group
    from coord.locks.asking import Asking
    from coord.locks.lease import AsyncLease

__all__ = ["Entrance", "decision_of"]


def decision_of(rates: Decision, terms: Terms, used: int, until_room: float) -> Decision:
    """Make one decision of what the rates say and of how much room is taken.

    Args:
        rates: What the rates say.
        terms: What the concurrency limit was made with.
        used: How much of its room is taken.
        until_room: Seconds until it may be worth while to look for room again; 0 if there is some.
    """
    left = max(0, terms.limit - used)
    room = Decision(not until_room, terms.limit, left, until_room, 0.0, terms.name)
    return combined([*(rates.parts or (rates,)), room])


class Entrance(Turn):
    """What one permit is acquired through, and the rates are charged with it. Good for one acquisition.

    Args:
        room: What all concurrency limits share.
        terms: What this one was made with.
        key: Whom or what it is for.
        weight: How much room it takes.
        gate: Where charges are corrected.
        group: The rates, and what is charged to each.
    """

    def __init__(
        self, room: PermitRoom, terms: Terms, key: str, weight: int, *, gate: Gate, group: Group
    ) -> None:
        self.gate = gate
        self._group = group
        self._asked = AdmissionCalls(room.keys, terms, key, group, sharded=not room.port.one_slot())
        self._until = math.inf
        super().__init__(room, terms, key, weight, self._asked)

    async def acquire(self, *, timeout: Seconds | None = None) -> AsyncLease:
        """Wait until all of it can be had; not at all, if the rates alone would take longer."""
        self._until = self._port.now() + patience(timeout)
        lease = await super().acquire(timeout=timeout)
        self._asked.kept = True
        return lease

    def verdict(self) -> Verdict:
        """Say what the rates decided, and what was charged to them."""
        debit = Debit(self._group, self._told.rates)
        return Verdict(decided([debit]), (debit,) if debit.answer.granted else ())

    def decision(self) -> Decision:
        """Say what was decided, of the rates and of the room."""
        told = self._told
        return decision_of(self.verdict().decision, self.terms, told.used, told.until_room)

    @property
    def _told(self) -> Told:
        told = self._asked.told
        if told is None:
            raise RuntimeError("nothing was asked yet")
        return told

    async def _attempt(self, asking: Asking) -> AsyncLease | None:
        lease = await super()._attempt(asking)
        wait = self._told.until_rates if lease is None else 0.0
        if wait and wait > self._until - self._port.now():
            raise RateLimited(self.key, self.verdict().decision)
        return lease

    async def _undo(self, asking: Asking, within: float = math.inf) -> None:
        await super()._undo(asking, within)
        self.gate.room.forget(self._group)
