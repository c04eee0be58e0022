"""What all locks of one Coord share: the server, the listener, the renewals, and who holds what here."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from coord._engine.listeners import Listeners
from coord._engine.port import all_of
from coord._engine.renewals import BATCH, Renewals
from coord.locks.calls import LockCalls, renewal
from coord.locks.entered import is_anybodys
from coord.locks.eviction import warn_of_eviction
from coord.locks.fenced import AsyncFenced
from coord.locks.outages import Outages

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

    from coord._engine.keys import Keys
    from coord._engine.port import Port
    from coord._engine.renewable import Renewable
    from coord._engine.script import Call
    from coord.locks.calls import Grant, LockStatus
    from coord.locks.lease import AsyncLease

__all__ = ["Holding", "LockRoom", "SharedRoom"]

RENEW_SHARE = 3
"""A renewal may take one part in so many of the shortest lease: until the next one is due."""


@dataclass(slots=True, eq=False, weakref_slot=True)
class Holding:
    """A ``with`` block of one task or thread, which that block holds on to.

    Attributes:
        lease: What it holds.
        frame: Where it was entered.
        blocks: How many blocks of a reentrant lock are inside one another.
    """

    lease: AsyncLease
    frame: FrameType
    blocks: int = 1

    def is_of_caller(self) -> bool:
        """Tell whether the caller, of the same task or thread, is sure to be inside of it, and it good.

        A generator that is suspended inside of a block may be resumed by others, and so left by them.
        """
        return self.lease.valid and not is_anybodys(self.frame)


class LockRoom:
    """What all locks of one Coord share.

    Args:
        port: Where the server is.
        keys: How keys are spelled.
    """

    def __init__(self, port: Port, keys: Keys) -> None:
        self.port = port
        self.keys = keys
        self.wakeups = Listeners(port)
        self.renewals = Renewals(port, self.renew_all, BATCH if port.one_slot() else 1, self.look_out)
        self.holdings: WeakValueDictionary[tuple[str, int], Holding] = WeakValueDictionary()
        self.known_commands: set[str] = set()
        self.outages = Outages(port.now, port.is_outage, lambda: port.answered)
        self.mutex = port.mutex()
        self._aside: LockRoom | None = None

    def close(self) -> None:
        """End what runs beside the callers."""
        self.wakeups.close()
        self.renewals.close()
        if self._aside is not None:
            self._aside.close()

    async def keeper(self, renew_in: str) -> Renewals:
        """Find who renews leases: beside the callers, or where they cannot block it."""
        port = await self.port.aside() if renew_in == "thread" else self.port
        if port is self.port:
            return self.renewals
        if self._aside is None:
            self._aside = LockRoom(port, self.keys)
        return self._aside.renewals

    async def look_out(self, seconds: float) -> None:
        """Warn of what is wrong with the server; once, when there is time for it."""
        await warn_of_eviction(self.port, "the server", seconds)

    def calls(self, name: str, *, fair: bool = False, wakes: bool = True) -> LockCalls:
        """Spell the operations of one lock."""
        return LockCalls(self.keys, name, fair=fair, wakes=wakes, sharded=not self.port.one_slot())

    async def acquire(
        self,
        lock: LockCalls,
        token: str,
        ttl: float,
        waiter: str = "",
        *,
        on_repeat: Callable[[], object],
        within: float | None = None,
    ) -> Grant:
        """Ask for a lock once; a ``waiter`` that is refused stands in the queue.

        ``on_repeat`` is told if an earlier copy of the request may still arrive, and be granted when nobody
        expects it.
        """
        call = lock.acquire(token, ttl, self.port.label(), waiter, on_repeat=on_repeat)
        return await self.port.run(call, timeout=within)

    def renewal(self, wanted: Sequence[tuple[str, str, float]]) -> Call[list[bool]]:
        """Spell how several leases are started anew: for each the key, its token and its length."""
        return renewal(wanted)

    async def renew(self, lock: LockCalls, token: str, ttl: float) -> bool:
        """Start one lease anew; say whether it still lived."""
        return (await self.port.run(self.renewal([(lock.key, token, ttl)])))[0]

    async def renew_all(self, leases: Sequence[tuple[Renewable, float]]) -> list[bool]:
        """Start several leases anew in one script; say of each whether it still lived."""
        wanted = [(key, lease.token, ttl) for lease, ttl in leases for key in lease._keys]
        timeout = min(ttl for _, ttl in leases) / RENEW_SHARE
        alive = iter(await self.renew_keys(wanted, timeout=timeout))
        return [False not in [next(alive) for _ in lease._keys] for lease, _ in leases]

    async def renew_keys(
        self, wanted: Sequence[tuple[str, str, float]], *, timeout: float | None = None
    ) -> list[bool]:
        """Start the leases of some keys anew: for each the key, its token and its length."""
        if len(wanted) == 1 or self.port.one_slot():
            return await self.port.run(self.renewal(wanted), timeout=timeout)
        calls = [self.renewal([one]) for one in wanted]
        answers = await all_of(self.port, [self.port.run(call, timeout=timeout) for call in calls])
        return [alive for answer in answers for alive in answer]

    async def release(
        self,
        lock: LockCalls,
        token: str,
        waiter: str = "",
        *,
        end_anyway: bool = False,
        doubtful: bool = False,
        timeout: float | None = None,
    ) -> bool:
        """Give a lock back, or a place in its queue; say whether it was held until now."""
        call = lock.release(token, waiter, end_anyway=end_anyway, doubtful=doubtful)
        return await self.port.run(call, timeout=timeout)

    async def status(self, lock: LockCalls) -> LockStatus:
        """Look at a lock."""
        return await self.port.run(lock.status())

    async def force_release(self, lock: LockCalls, reason: str) -> bool:
        """Take a lock from whoever holds it; say whether anybody did."""
        broken = await self.port.run(lock.force_release(reason))
        if broken and lock.channel:
            # What finds the lock free wakes who waits; it is not known here which kind of waiters there are.
            for fair in (False, True):
                either = self.calls(lock.name, fair=fair)
                await self.port.run(either.release(secrets.token_hex(16)))
        return broken

    def fenced(self, name: str) -> AsyncFenced:
        """Make a value that is guarded by the fences of these locks."""
        return AsyncFenced(self.port, self.keys, name)


class SharedRoom(LockRoom):
    """A room that asks in another way, and shares all else with the one that it is made from.

    Args:
        room: The room of the Coord, or another such.
    """

    def __init__(self, room: LockRoom) -> None:
        self.port, self.keys = room.port, room.keys
        self.wakeups, self.renewals, self.holdings = room.wakeups, room.renewals, room.holdings
        self.known_commands, self.mutex = room.known_commands, room.mutex
        self.outages = room.outages
        self._origin = room

    async def keeper(self, renew_in: str) -> Renewals:
        """Find who renews leases: that of the room it is made from."""
        return await self._origin.keeper(renew_in)
