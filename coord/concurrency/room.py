"""What all concurrency limits of one Coord share: the server, the locks' listener, and the renewals."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from coord._engine.renewals import BATCH, Renewals
from coord.concurrency.calls import RENEW, PermitCalls
from coord.locks.calls import renewal
from coord.locks.room import LockRoom

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coord._engine.script import Call
    from coord.concurrency.terms import Terms
    from coord.locks.room import Holding

__all__ = ["PermitRoom"]


class PermitRoom(LockRoom):
    """What all concurrency limits of one Coord share.

    Args:
        locks: The room of its locks, whose connection for wake-ups they use too.
    """

    def __init__(self, locks: LockRoom) -> None:
        self.port, self.keys, self._locks = locks.port, locks.keys, locks
        self.wakeups, self.mutex, self.outages = locks.wakeups, locks.mutex, locks.outages
        batch = BATCH if self.port.one_slot() else 1
        self.renewals = Renewals(self.port, self.renew_all, batch, locks.look_out)
        self.holdings: WeakValueDictionary[tuple[str, int], Holding] = WeakValueDictionary()

    def close(self) -> None:
        """End the renewals."""
        self.renewals.close()

    def permits(self, terms: Terms, key: str) -> PermitCalls:
        """Spell the operations of one key's permits."""
        return PermitCalls(self.keys, terms, key, sharded=not self.port.one_slot())

    def renewal(self, wanted: Sequence[tuple[str, str, float]]) -> Call[list[bool]]:
        """Spell how several leases are started anew: for each the key, its token and its length."""
        return renewal(wanted, RENEW)
