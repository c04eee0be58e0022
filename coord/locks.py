"""Locks with a lease and a fence, on one server.

Theory
------
A lock is a key that lives as long as its holder's lease. The holder is known by a random token, one for
each acquisition, and every script compares tokens before it changes anything: whoever has lost the lock
can neither renew it nor release it from under the next holder.

Any lease can be lost without its holder noticing: a process may be stopped for longer than its lease at
any instruction. So each grant carries a *fence*, a number greater than that of every earlier grant of
the same name. A resource that refuses fences lower than the highest it has seen is safe even then.

Rules
-----
1. One token an ``acquire()``. Asking again with the same token, because a reply was lost, gets the same
   answer: granted is granted, with the same fence; released is released.
2. An acquire that ends in any exception, cancellation included, gives its token up on the server, which
   thereafter refuses that token even if the acquire itself arrives late.
3. The lease's local deadline counts from *before* the request was sent, on a monotonic clock, less a
   margin for clocks that drift. ``lease.valid`` never outlives the key.
4. Possession is the ``Lease`` and nothing else; a lock object is a reusable factory.

Sources: https://redis.io/docs/latest/develop/clients/patterns/distributed-locks/; M. Kleppmann, "How to do
distributed locking" (2016), for the fence.
"""

from __future__ import annotations

import contextlib
import random
import secrets
from hashlib import blake2b
from typing import TYPE_CHECKING

from coord._engine.checks import millis, patience, seconds
from coord._engine.faces import twin_of
from coord._engine.port import step
from coord._engine.replies import as_bool, as_int, as_rows
from coord._engine.script import Script
from coord.errors import LockLost, LockTimeout

if TYPE_CHECKING:
    from types import TracebackType

    from coord._engine.checks import Seconds
    from coord._engine.keys import Keys
    from coord._engine.port import Port
    from coord._engine.script import Reply

__all__ = ["AsyncHold", "AsyncLease", "AsyncLock", "Hold", "Lease", "Lock"]

SHORTEST_TTL = 0.01
FENCE_MEMORY = 86_400.0
ENDED_MEMORY = 60.0
GRANT_ATTEMPTS = 3
DRIFT_SHARE = 0.01
DRIFT_FLOOR = 0.002
FIRST_POLL = 0.005
LONGEST_POLL = 0.1


def _grant(reply: Reply) -> int | None:
    fence = as_rows(reply)[0]
    return as_int(fence) if fence else None


_ACQUIRE = Script("lock_acquire", parse=_grant, repeatable=True)
_RENEW = Script("lock_renew", parse=as_bool, repeatable=True)
_RELEASE = Script("lock_release", parse=as_bool, repeatable=True)


class AsyncLock:
    """A lock by name, held by at most one lease at a time among all processes.

    Made by ``lock()`` of a ``Coord`` or ``AsyncCoord``. The object holds nothing itself: share it, reuse
    it, make another with the same name.

    Guarantees, on one server that keeps its data: at most one valid lease a name; fences that strictly
    grow, as long as the server's clock does not step back. Not guaranteed: that a lease is still valid
    the moment after you looked, or that a failover to a replica, an eviction or a restart without
    persistence keeps the lock. Guard what must not break with ``lease.fence``.

    ``with lock as lease:`` waits for as long as it takes, and releases at the end of the block;
    ``with lock.hold(timeout=...) as lease:`` waits for so long.
    """

    def __init__(self, port: Port, keys: Keys, name: str, ttl: Seconds) -> None:
        self._port = port
        self._keys = keys
        self._key = keys("lock", name)
        self._fence_key = keys("lock", name, "fence")
        self._ttl = seconds(ttl, "ttl", at_least=SHORTEST_TTL)
        self._held: dict[int, list[AsyncHold]] = {}
        self.name = name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

    async def try_acquire(self) -> AsyncLease | None:
        """Take the lock if nobody holds it. Never waits.

        Returns:
            The lease, or ``None`` if another holds the lock.

        Raises:
            LockLost: It was granted, but every answer took longer than ``ttl`` to arrive.

        Complexity: O(1), one round trip.
        """
        return await self._attempt(secrets.token_hex(16))

    async def acquire(self, *, timeout: Seconds | None = None) -> AsyncLease:
        """Take the lock, waiting until it is free.

        Args:
            timeout: How long to wait; ``None`` for ever, 0 not at all.

        Returns:
            The lease.

        Raises:
            LockTimeout: Another held the lock all the while.
            LockLost: It was granted, but every answer took longer than ``ttl`` to arrive.

        Complexity: O(1) an attempt. While waiting, an attempt every 5 to 100 milliseconds.
        """
        limit = patience(timeout)
        until = self._port.now() + limit
        token = secrets.token_hex(16)
        longest = FIRST_POLL
        while True:
            lease = await self._attempt(token)
            if lease is not None:
                return lease
            left = until - self._port.now()
            if left <= 0:
                raise LockTimeout(self.name, limit)
            longest = min(LONGEST_POLL, longest * 2)
            await self._port.sleep(min(left, random.uniform(FIRST_POLL, longest)))  # noqa: S311  # jitter

    def hold(self, *, timeout: Seconds | None = None) -> AsyncHold:
        """Hold the lock for a ``with`` block.

        Args:
            timeout: How long to wait for it; ``None`` for ever, 0 not at all.

        Returns:
            A context manager that acquires on entry, gives the lease, and releases on exit.

        Raises:
            LockTimeout: On entry: another held the lock all the while.
            LockLost: On a clean exit: the lease had ended before it.
        """
        patience(timeout)
        return AsyncHold(self, timeout)

    async def __aenter__(self) -> AsyncLease:
        hold = self.hold()
        lease = await hold.__aenter__()
        self._held.setdefault(self._port.whoami(), []).append(hold)
        return lease

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        me = self._port.whoami()
        holds = self._held.get(me)
        if not holds:
            raise RuntimeError(
                f"lock {self.name!r} was entered by another task or thread; "
                "a block of `with lock.hold()` may be left by any"
            )
        hold = holds.pop()
        if not holds:
            del self._held[me]
        await hold.__aexit__(kind, error, trace)

    async def _attempt(self, token: str) -> AsyncLease | None:
        try:
            return await self._ask(token)
        except BaseException:
            # It may have been granted, or be granted yet: whoever is told nothing must hold nothing.
            with contextlib.suppress(Exception):
                await self._port.finish(self._release(token, end_anyway=True))
            raise

    async def _ask(self, token: str) -> AsyncLease | None:
        keys = (self._key, self._fence_key, self._ended_key(token))
        memory = max(FENCE_MEMORY, 2 * self._ttl)
        for _ in range(GRANT_ATTEMPTS):
            sent_at = self._port.now()
            fence = await self._port.run(_ACQUIRE(keys, token, millis(self._ttl), millis(memory)))
            if fence is None:
                return None
            lease = AsyncLease(self, token, fence, sent_at)
            if lease.valid:
                return lease
            # The answer took longer than the lease. Asking again starts the lease anew.
        raise LockLost(self.name)

    async def _renew(self, token: str, ttl: float) -> bool:
        return await self._port.run(_RENEW((self._key,), token, millis(ttl)))

    async def _release(self, token: str, *, end_anyway: bool = False) -> bool:
        call = _RELEASE((self._key, self._ended_key(token)), token, millis(ENDED_MEMORY), int(end_anyway))
        return await self._port.run(call)

    def _ended_key(self, token: str) -> str:
        # Keys are shown in errors and logs, and tokens must not be.
        return self._keys("lock", self.name, "ended", blake2b(token.encode(), digest_size=12).hexdigest())


class AsyncLease:
    """Possession of a lock, from one acquisition until it is released or lost.

    Attributes:
        name: The lock's name.
        fence: Greater than the fence of every earlier lease of this name. Send it along with every write
            to what the lock guards, and let that refuse a fence lower than the highest it has seen.
    """

    def __init__(self, lock: AsyncLock, token: str, fence: int, sent_at: float) -> None:
        self._lock = lock
        self._released = False
        self._start(sent_at, lock._ttl)
        self.name = lock.name
        self.token = token
        self.fence = fence

    def __repr__(self) -> str:
        state = "released" if self._released else f"{self.remaining():.3f} s left"
        return f"<{type(self).__name__} of {self.name!r}, fence {self.fence}, {state}>"

    def _start(self, sent_at: float, ttl: float) -> None:
        self._deadline = sent_at + ttl - (ttl * DRIFT_SHARE + DRIFT_FLOOR)

    def remaining(self) -> float:
        """Return how many seconds the lease is still good for; 0 when it is not. Local, no round trip."""
        return 0.0 if self._released else max(0.0, self._deadline - self._lock._port.now())

    @property
    def valid(self) -> bool:
        """Whether the lease is good as far as is known here. True may be a moment out of date."""
        return self.remaining() > 0

    def check(self) -> None:
        """Raise unless the lease is still good, as far as is known here.

        Raises:
            LockLost: It has run out or been released.
        """
        if not self.valid:
            raise LockLost(self.name)

    async def renew(self, *, ttl: Seconds | None = None) -> None:
        """Start the lease anew, from now on.

        Args:
            ttl: Its length; ``None`` for the lock's own.

        Raises:
            LockLost: The lease had ended; it is not revived.

        Complexity: O(1), one round trip.
        """
        length = self._lock._ttl if ttl is None else seconds(ttl, "ttl", at_least=SHORTEST_TTL)
        sent_at = self._lock._port.now()
        if self._released or not await self._lock._renew(self.token, length):
            self._released = True
            raise LockLost(self.name)
        self._start(sent_at, length)

    async def release(self) -> None:
        """Give the lock back. Releasing twice is harmless.

        Raises:
            LockLost: The lease had ended before, so another may have held the lock meanwhile.

        Complexity: O(1), one round trip.
        """
        if self._released:
            return
        held = await self._lock._release(self.token)
        self._released = True  # only now that the server has answered: a failed release may be tried again
        if not held:
            raise LockLost(self.name)


class AsyncHold:
    """A lock held for one ``with`` block. Made by ``lock.hold()``; good for one use."""

    def __init__(self, lock: AsyncLock, timeout: Seconds | None) -> None:
        self._lock = lock
        self._timeout = timeout
        self._lease: AsyncLease | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._lock.name!r}>"

    async def __aenter__(self) -> AsyncLease:
        if self._lease is not None:
            raise RuntimeError(
                f"this hold of lock {self._lock.name!r} was used before; call hold() for each block"
            )
        self._lease = await self._lock.acquire(timeout=self._timeout)
        return self._lease

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lease is None:
            raise RuntimeError(f"this hold of lock {self._lock.name!r} was never entered")
        try:
            await self._lock._port.finish(self._lease.release())
        except Exception as problem:
            if error is None:
                raise
            # The body's own exception is the one to see; this one must not hide it.
            error.add_note(f"and on leaving lock {self._lock.name!r}: {type(problem).__name__}: {problem}")


@twin_of(AsyncLock)
class Lock:
    def __init__(self, port: Port, keys: Keys, name: str, ttl: Seconds) -> None:
        self._flow = AsyncLock(port, keys, name, ttl)
        self.name = name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

    def try_acquire(self) -> Lease | None:
        lease = step(self._flow.try_acquire())
        return None if lease is None else Lease(lease)

    def acquire(self, *, timeout: Seconds | None = None) -> Lease:
        return Lease(step(self._flow.acquire(timeout=timeout)))

    def hold(self, *, timeout: Seconds | None = None) -> Hold:
        return Hold(self._flow.hold(timeout=timeout))

    def __enter__(self) -> Lease:
        return Lease(step(self._flow.__aenter__()))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        step(self._flow.__aexit__(kind, error, trace))


@twin_of(AsyncLease)
class Lease:
    def __init__(self, flow: AsyncLease) -> None:
        self._flow = flow
        self.name = flow.name
        self.token = flow.token
        self.fence = flow.fence

    def __repr__(self) -> str:
        return repr(self._flow).replace("AsyncLease", "Lease", 1)

    def remaining(self) -> float:
        return self._flow.remaining()

    @property
    def valid(self) -> bool:
        return self._flow.valid

    def check(self) -> None:
        self._flow.check()

    def renew(self, *, ttl: Seconds | None = None) -> None:
        step(self._flow.renew(ttl=ttl))

    def release(self) -> None:
        step(self._flow.release())


@twin_of(AsyncHold)
class Hold:
    def __init__(self, flow: AsyncHold) -> None:
        self._flow = flow

    def __repr__(self) -> str:
        return repr(self._flow).replace("AsyncHold", "Hold", 1)

    def __enter__(self) -> Lease:
        return Lease(step(self._flow.__aenter__()))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        step(self._flow.__aexit__(kind, error, trace))
