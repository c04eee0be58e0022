"""Several locks at once: all of them or none, and never a deadlock.

Theory
------
A deadlock needs somebody who holds one lock while waiting for another. Here nobody does. Whoever is refused
one of the names holds none of them while waiting for that one, and then asks for all of them again.

Rules
-----
1. On one server a single script takes all names or changes nothing. On a cluster, where they lie in different
   slots, they are asked for one by one, in the order of the names; at the first refusal those that were
   granted are given back. So of those who compete, the one that has got furthest in the order goes on.
2. A waiter that was woken to no use, because another of its names is held, passes the wake-up on.
3. A token per attempt: one that was given back can hold nothing again, as for any lock.
4. One lease, and one fence that is good for every name. On a cluster the largest that was granted is written
   back to each name, if that very grant still stands there. That is the second phase of ``coord.redlock``,
   with a name in place of a server, and it keeps the fences of each name in order for the same reason.
5. Lost is the whole, as soon as any name is.

No starvation is ruled out: those who want fewer names may come first, time and again.

Sources: E. W. Dijkstra, "Hierarchical ordering of sequential processes" (1971), and E. G. Coffman et al.,
"System deadlocks" (1971), for hold-and-wait and order; ``std::lock`` of C++, for waiting for what refused.
"""

from __future__ import annotations

import math
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from coord._engine.faces import twin_of
from coord._engine.port import all_of
from coord._engine.replies import as_bool, as_int, as_rows
from coord._engine.script import Script
from coord.locks.blocking import Lock
from coord.locks.calls import Grant, LockCalls, waiter_of
from coord.locks.durable import durable
from coord.locks.lock import AsyncLock
from coord.locks.room import SharedRoom

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from coord._engine.checks import Seconds
    from coord._engine.keys import Keys
    from coord._engine.listeners import Waiting
    from coord._engine.script import Call, Reply
    from coord.locks.asking import Asking
    from coord.locks.blocking import Lease
    from coord.locks.calls import LockStatus
    from coord.locks.lease import AsyncLease
    from coord.locks.options import RenewIn, Wait
    from coord.locks.room import LockRoom

__all__ = ["AsyncLocks", "Locks"]


def _grant(reply: Reply) -> Grant:
    if isinstance(reply, bytes | str):
        return Grant(as_int(reply), 0.0)
    ttl, by = map(as_int, as_rows(reply))
    return Grant(None, math.inf if ttl < 0 else ttl / 1000, by)


def _stands(reply: Reply) -> bool:
    return bool(as_rows(reply)[0])


ACQUIRE_ALL = Script("locks_acquire", parse=_grant, repeatable=True)
RELEASE_ALL = Script("locks_release", parse=as_bool, repeatable=True)
AGREE = Script("quorum_fence", parse=_stands, repeatable=True)


class SeveralCalls(LockCalls):
    """The operations of several locks: each as it would be of one, and all in one script.

    Args:
        keys: How keys are spelled.
        each: The locks, in their order.
    """

    def __init__(self, keys: Keys, each: Sequence[LockCalls]) -> None:
        super().__init__(keys, each[0].name, wakes=bool(each[0].channel))
        self.each = tuple(each)
        self.name = ", ".join(one.name for one in each)

    @property
    def lock_keys(self) -> tuple[str, ...]:
        """The keys that live as long as the lease."""
        return tuple(one.key for one in self.each)

    def acquire(
        self, token: str, ttl: float, label: str, waiter: str = "", *, on_repeat: Callable[[], object]
    ) -> Call[Grant]:
        """Ask for all locks; a ``waiter`` that is refused stands in the queue of the one that refused."""
        calls = [one.acquire(token, ttl, label, waiter, on_repeat=on_repeat) for one in self.each]
        keys = [key for call in calls for key in call.keys]
        words = calls[0].args[:6]  # the same for all, up to the channel
        return ACQUIRE_ALL(keys, *words, on_repeat=on_repeat)

    def release(
        self, token: str, waiter: str = "", *, end_anyway: bool = False, doubtful: bool = False
    ) -> Call[bool]:
        """Give all locks back, and the places in their queues."""
        calls = [one.release(token, waiter, end_anyway=end_anyway, doubtful=doubtful) for one in self.each]
        keys = [key for call in calls for key in call.keys]
        _, memory, end, *_ = calls[0].args
        return RELEASE_ALL(keys, token, memory, end, waiter, *(one.channel for one in self.each))


class SeveralRoom(SharedRoom):
    """The room of a Coord's locks, to which several of them look like one.

    Args:
        room: The room itself.
    """

    def __init__(self, room: LockRoom) -> None:
        super().__init__(room)
        self._room = room

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
        """Ask for all locks once: together, or in turn where they lie in different slots."""
        if self.port.one_slot():
            return await self._room.acquire(lock, token, ttl, waiter, on_repeat=on_repeat, within=within)
        locks = _each(lock)
        fences: list[int] = []
        for place, one in enumerate(locks):
            grant = await self._room.acquire(one, token, ttl, waiter, on_repeat=on_repeat, within=within)
            if grant.fence is None:
                await self._give_back(locks[:place], token)
                return replace(grant, by=place)
            fences.append(grant.fence)
        stand = await self._agree(locks, fences, token, ttl)
        if all(stand):
            return Grant(max(fences), 0.0)
        await self._give_back(locks, token)
        return Grant(None, 0.0, stand.index(False))

    async def _agree(
        self, locks: Sequence[LockCalls], fences: Sequence[int], token: str, ttl: float
    ) -> list[bool]:
        """Raise the fence of each lock to the largest; say of each whether its grant still stands."""
        calls = [
            AGREE((one.key, one.fence_key), token, granted, max(fences), one.memory(ttl))
            for one, granted in zip(locks, fences, strict=True)
        ]
        return await all_of(self.port, [self.port.run(call) for call in calls])

    async def _give_back(self, locks: Sequence[LockCalls], token: str) -> None:
        await all_of(self.port, [self._room.release(one, token) for one in locks])

    async def renew(self, lock: LockCalls, token: str, ttl: float) -> bool:
        """Start the lease anew; say whether all locks were still held."""
        return all(await self.renew_keys([(key, token, ttl) for key in lock.lock_keys]))

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
        """Give all locks back, or places in their queues; say whether all were held until now."""
        parts = (lock,) if self.port.one_slot() else _each(lock)
        releases = [
            self._room.release(one, token, waiter, end_anyway=end_anyway, doubtful=doubtful, timeout=timeout)
            for one in parts
        ]
        return all(await all_of(self.port, releases))

    async def status(self, lock: LockCalls) -> LockStatus:
        """Look at the one that will be held for longest."""
        found = [await self._room.status(one) for one in _each(lock)]
        return max(found, key=lambda one: (one.held, one.remaining or 0.0, one.fence or 0))

    async def force_release(self, lock: LockCalls, reason: str) -> bool:
        """Take all locks from whoever holds them; say whether anybody held any."""
        return any([await self._room.force_release(one, reason) for one in _each(lock)])


def _each(lock: LockCalls) -> tuple[LockCalls, ...]:
    return cast("SeveralCalls", lock).each


class AsyncLocks(AsyncLock):
    """Several locks, held together by one lease or not at all.

    Made by ``locks()`` of a ``Coord`` or ``AsyncCoord``. It has the verbs of a lock, and its leases are those
    of a lock: renewed together, released together, and lost as soon as any of the names is. ``lease.fence``
    is greater than the fence of every earlier lease of each of the names.

    Guarantees: those of a lock, for each name; and that nobody deadlocks by this, in whatever order the names
    are given, since whoever waits holds none of them. Blocks of different locks inside one another are as
    dangerous as ever. Not guaranteed: that a waiter for many names is ever served while those who want fewer
    of them keep coming.

    ``name`` is what to call all of them, for people; ``names`` are the names in their order, each once.
    """

    def __init__(
        self,
        room: LockRoom,
        names: Sequence[str],
        *,
        ttl: Seconds = 10,
        renew: bool = True,
        renew_in: RenewIn = "loop",
        max_hold: Seconds | None = None,
        wait: Wait = "signal",
        replicas: int = 0,
        fsync: bool = False,
    ) -> None:
        if not names:
            raise ValueError("locks() needs the name of at least one lock")
        for one in names:
            room.keys("lock", one)  # it refuses a bad name
        ordered = tuple(sorted(set(names)))
        several = SeveralRoom(durable(room, replicas, fsync))
        super().__init__(
            several, ordered[0], ttl=ttl, renew=renew, renew_in=renew_in, max_hold=max_hold, wait=wait
        )
        self._one_room = room
        each = [room.calls(name, wakes=self._listens) for name in ordered]
        self._calls = self._several = SeveralCalls(room.keys, each)
        self.name = self._several.name
        self.names = ordered

    async def try_acquire(self) -> AsyncLease | None:
        """Take all of the locks if nobody holds any of them. Never waits.

        The lease is not renewed on its own: that is what a ``with`` block does.

        Returns:
            The lease, or ``None`` if another holds one of the locks; then nothing has changed.

        Raises:
            LockLost: They were granted, but every answer took longer than ``ttl`` to arrive.
            NotDurable: They were granted, but not as safe as asked for, and are given back.

        Complexity: O(n) for n names, one round trip. On a cluster n round trips and one more; a refusal there
        gives back what was granted before it, which others may have found held meanwhile.
        """
        return await super().try_acquire()

    async def acquire(self, *, timeout: Seconds | None = None) -> AsyncLease:
        """Take all of the locks, waiting until they are free together.

        Whoever waits holds none of them. It waits for the one that was refused, as for a single lock, and
        then asks for all again.

        Args:
            timeout: How long to wait; ``None`` for ever, 0 not at all.

        Returns:
            The lease. It is not renewed on its own, as it is in a ``with`` block.

        Raises:
            LockTimeout: Until the end one of them was held by another; the last such is its ``name``.
            LockLost: They were granted, but every answer took longer than ``ttl`` to arrive.
            NotDurable: They were granted, but not as safe as asked for, and are given back.
            SelfDeadlock: This task or thread holds one of them itself, and would wait for ever.

        Complexity: As ``try_acquire()``, an attempt.
        """
        return await super().acquire(timeout=timeout)

    async def status(self) -> LockStatus:
        """Look at the locks, whoever holds them.

        Returns:
            Of those that are held, what the server knows of the one whose lease runs longest; ``held`` is
            false if none is. It may have changed when you read it.

        Complexity: O(n) for n names, n round trips.
        """
        return await super().status()

    async def force_release(self, *, reason: str) -> bool:
        """Take the locks from whoever holds them, who will learn of it at the next renewal or release.

        Args:
            reason: Why; the ``status()`` of each lock shows it for a day.

        Returns:
            Whether anybody held any of them.

        Complexity: O(n) for n names, n round trips.
        """
        return await super().force_release(reason=reason)

    @property
    def _channel(self) -> str:
        """It is not known where to listen until one of the locks refuses."""
        return ""

    async def _attempt(self, asking: Asking) -> AsyncLease | None:
        """Ask once, with a new token: what is given back on the way ends a token."""
        fresh = replace(asking, token=secrets.token_hex(16), doubtful=False, keeps=False)
        lease = await super()._attempt(fresh)
        asking.held_for, asking.refused_by = fresh.held_for, fresh.refused_by
        if lease is None and fresh.doubtful:
            fresh.waiter = ""  # who goes on waiting keeps its place
            await self._give_up(fresh)
        return lease

    async def _wait(self, asking: Asking, until: float, place: Waiting | None) -> AsyncLease | None:
        del place  # there is none yet: it depends on who refuses
        lease = None
        while self._listens and lease is None and self._port.now() < until:
            lease = await self._wait_for_one(asking, until)
        return lease or await self._poll(asking, until)

    async def _wait_for_one(self, asking: Asking, until: float) -> AsyncLease | None:
        """Wait for the lock that has refused, until all are granted or another refuses."""
        place, wakeups = asking.refused_by, self._room.wakeups
        one = self._several.each[place]
        waiter = await wakeups.join(f"{one.channel}:{wakeups.home}", waiter_of(asking.token))
        if waiter is None:
            return await self._poll(asking, until)
        asking.waiter = self._waiter(asking)
        lease = None
        try:
            while lease is None and asking.refused_by == place and (left := until - self._port.now()) > 0:
                await wakeups.wait(waiter, asking.patience(left), asking.lease())
                lease = await self._look(asking)
        finally:
            wakeups.leave(waiter)
        if lease is None and asking.refused_by != place:
            # It may have been woken to no use: let the next of that queue be woken, if there is reason to.
            await self._one_room.release(one, asking.token, asking.waiter)
        return lease


@twin_of(AsyncLocks)
class Locks(Lock):
    def __init__(
        self,
        room: LockRoom,
        names: Sequence[str],
        *,
        ttl: Seconds = 10,
        renew: bool = True,
        max_hold: Seconds | None = None,
        wait: Wait = "signal",
        replicas: int = 0,
        fsync: bool = False,
    ) -> None:
        self._flow = AsyncLocks(
            room, names, ttl=ttl, renew=renew, max_hold=max_hold, wait=wait, replicas=replicas, fsync=fsync
        )
        self.name = self._flow.name
        self.names = self._flow.names

    def try_acquire(self) -> Lease | None:
        return super().try_acquire()

    def acquire(self, *, timeout: Seconds | None = None) -> Lease:
        return super().acquire(timeout=timeout)

    def status(self) -> LockStatus:
        return super().status()

    def force_release(self, *, reason: str) -> bool:
        return super().force_release(reason=reason)
