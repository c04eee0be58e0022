"""Possession of a lock, from one acquisition until it is released or lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from coord._engine.checks import patience, seconds
from coord._engine.faces import no_block
from coord._engine.renewable import Elsewhere
from coord.errors import NotOwned
from coord.locks.fenced import AsyncFenced, AsyncGuarded, Writer

if TYPE_CHECKING:
    from collections.abc import Callable

    from coord._engine.checks import Seconds
    from coord._engine.port import Guard, Signal
    from coord._engine.renewals import Renewals
    from coord.locks.asking import Asking
    from coord.locks.lock import AsyncLock

__all__ = ["SHORTEST_TTL", "AsyncLease", "AsyncLoss"]

SHORTEST_TTL = 0.01
"""Seconds of a lease: some round trips, or it has ended before its answer came."""

DRIFT_SHARE = 0.01
"""The part of a lease by which clocks may drift apart in it: a hundred times what quartz does."""

DRIFT_FLOOR = 0.002
"""Seconds of the same for a short lease: the millisecond to which servers keep time, and one of drift."""


@no_block("async with lock.hold(timeout=...) as lease")
class AsyncLease:
    """Possession of a lock, from one acquisition until it is released or lost.

    Attributes:
        name: The lock's name.
        names: The names of all locks that it holds: one, unless it is of ``locks()``.
        fence: Greater than the fence of every earlier lease of this name. Send it along with every write
            to what the lock guards, and let that refuse a fence lower than the highest it has seen.
        token: What proves possession to the server. Whoever knows it can release the lock.
    """

    def __init__(self, lock: AsyncLock, asking: Asking, fence: int, sent_at: float, ttl: float) -> None:
        self._lock = lock
        self._asking = asking
        self._port = lock._room.port
        self._process = self._port.process()
        self._over = False
        self._told = False
        self._signal: Signal | None = None
        self._guard: Guard | None = None
        self._on_lost: Callable[[], object] | None = None
        self._writer: Writer | None = None
        self._keeper: Renewals | None = None
        self._elsewhere: Elsewhere | None = None
        self.name = lock.name
        self.names = lock.names
        self.token = asking.token
        self.fence = fence
        self._renewed(sent_at, ttl)

    def __repr__(self) -> str:
        state = "over" if self._over else f"{self.remaining():.3f} s left"
        return f"<{type(self).__name__} of {self.name!r}, fence {self.fence}, {state}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a lease cannot be pickled; export() it here and adopt() it in the other process")

    @property
    def _keys(self) -> tuple[str, ...]:
        return self._lock._calls.lock_keys

    @property
    def _what(self) -> str:
        return self._lock._what

    def _renewed(self, sent_at: float, ttl: float) -> None:
        """Count the deadline anew: ``ttl`` seconds from ``sent_at``, less a margin for drifting clocks."""
        self._deadline = sent_at + ttl - (ttl * DRIFT_SHARE + DRIFT_FLOOR)
        if self._guard is not None and self._elsewhere is None:
            self._guard.last(self.remaining())

    def _keep(self, keeper: Renewals, guard: Guard, max_hold: float) -> None:
        """Be renewed by ``keeper``, and cut the guarded body short should that fail."""
        self._guard, self._keeper = guard, keeper
        if keeper is self._lock._room.renewals:
            guard.last(self.remaining())
        else:
            self._elsewhere = Elsewhere(self, guard.bring)
        keeper.add(self._elsewhere or self, self._lock._ttl, max_hold)

    def _let_go(self) -> None:
        """Be renewed no longer."""
        if self._keeper is not None:
            self._keeper.remove(self._elsewhere or self)

    def remaining(self) -> float:
        """Return how many seconds the lease is still good for; 0 when it is not. Local, no round trip."""
        return 0.0 if self._over or self._is_inherited() else max(0.0, self._deadline - self._port.now())

    @property
    def valid(self) -> bool:
        """Whether the lease is good as far as is known here. True may be a moment out of date."""
        return self.remaining() > 0

    @property
    def lost(self) -> AsyncLoss:
        """The event that the lease ended before it was released."""
        return AsyncLoss(self)

    def check(self) -> None:
        """Raise unless the lease is still good, as far as is known here.

        Raises:
            LockLost: It has run out or been released.
            NotOwned: It is held by the process that this one was forked from.
        """
        self._refuse_fork()
        if not self.valid:
            raise self._lock._was_lost()

    async def renew(self, *, ttl: Seconds | None = None) -> None:
        """Start the lease anew, from now on.

        Args:
            ttl: Its length; ``None`` for the lock's own.

        Raises:
            LockLost: The lease had ended; it is not revived.
            NotOwned: It is held by the process that this one was forked from.

        Complexity: O(1), one round trip.
        """
        self._refuse_fork()
        length = self._lock._ttl if ttl is None else seconds(ttl, "ttl", at_least=SHORTEST_TTL)
        sent_at = self._port.now()
        try:
            alive = not self._over and await self._lock._room.renew(self._lock._calls, self.token, length)
        except Exception as error:
            if self.valid:
                raise
            await self._lose()
            raise self._lock._was_lost() from error
        if not alive:
            await self._lose()
            raise self._lock._was_lost()
        self._renewed(sent_at, length)

    async def release(self) -> None:
        """Give the lock back. Releasing twice is harmless.

        Raises:
            LockLost: The lease had ended before, so another may have held the lock meanwhile.
            NotOwned: It is held by the process that this one was forked from.

        Complexity: O(1), one round trip.
        """
        await self._release()

    async def _release(self, *, within: float | None = None) -> None:
        """Give it back; if that takes longer than ``within`` seconds and the lease, the lease is lost."""
        self._refuse_fork()
        if self._over and not self._told:
            return
        try:
            held = await self._lock._room.release(
                self._lock._calls, self.token, doubtful=self._asking.doubtful, timeout=within
            )
        except Exception as error:
            if within is None or self.valid:
                raise
            await self._lose()
            await self._lock._tidy_up(self._asking, 0.0)
            raise self._lock._was_lost() from error
        # Only now that the server has answered: a release that failed may be tried again.
        was_lost, self._over, self._told = self._told, True, False
        if was_lost or not held:
            raise self._lock._was_lost()

    def guard(self, value: str | AsyncFenced) -> AsyncGuarded:
        """Read and write a value under this lease's fence, which refuses earlier holders from then on.

        Args:
            value: The name of one on the lease's own server, as ``fenced()`` of its Coord would make it, or
                one that any ``fenced()`` has made. A lease of a ``Quorum`` has no server of its own.

        Raises:
            TypeError: A name was given to a lease of a ``Quorum``.
        """
        if not isinstance(value, AsyncFenced):
            value = self._lock._room.fenced(value)
        writer = self._writer or Writer(self._port)
        with self._lock._room.mutex:
            self._writer = writer = self._writer or writer
        return AsyncGuarded(value, self.fence, writer)

    def export(self) -> str:
        """Hand the lock over: return what another process needs to ``adopt()`` it.

        This lease is over here; it is neither renewed nor released any more, and runs out unless adopted.
        The text holds the token: treat it as a secret.

        Raises:
            LockLost: The lease has ended.
            NotOwned: It is held by the process that this one was forked from.
        """
        self.check()
        self._over = True
        self._let_go()
        return f"{self.token}:{self.fence}"

    async def _lose(self) -> None:
        """Let everyone know that the lease has ended."""
        if self._over:
            return
        self._over = self._told = True
        if self._signal is not None:
            self._signal.set()
        if self._guard is not None:
            self._guard.cut()
        if self._on_lost is not None:
            await self._port.invoke(self._on_lost)

    def _is_inherited(self) -> bool:
        """Tell whether it is of the process that this one was forked from."""
        return self._process != self._port.process()

    def _refuse_fork(self) -> None:
        if self._is_inherited():
            raise NotOwned(self.name, self._what, self._lock._instead)


class AsyncLoss:
    """The event that a lease ended before it was released. Made by ``lease.lost``."""

    def __init__(self, lease: AsyncLease) -> None:
        self._lease = lease

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._lease.name!r}, {'set' if self.is_set() else 'not set'}>"

    def is_set(self) -> bool:
        """Say whether it has happened, as far as is known here."""
        lease = self._lease
        return lease._told or (not lease._over and not lease.valid)

    async def wait(self, *, timeout: Seconds | None = None) -> bool:
        """Wait until it happens, or until ``timeout``; say whether it did.

        It happens at the lease's local deadline at the latest, even if the server hangs. It never
        happens to a lease that was released.

        Args:
            timeout: How long to wait; ``None`` for ever.
        """
        lease, port = self._lease, self._lease._port
        limit = patience(timeout)
        port.admit(waits=limit > 0 and not self.is_set())
        until = port.now() + limit
        with lease._lock._room.mutex:
            lease._signal = signal = lease._signal or port.signal()
        while not self.is_set():
            left = until - port.now()
            if left <= 0:
                return False
            # A lease that is renewed has a later deadline each time; one that is over has none.
            await port.wait(signal, left if lease._over else min(left, lease.remaining()))
        return True
