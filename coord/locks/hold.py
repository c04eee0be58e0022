"""A lock held for one ``with`` block: entered, renewed, lost or left, and always released."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coord.locks.room import Holding

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from coord._engine.checks import Seconds
    from coord.locks.lease import AsyncLease
    from coord.locks.lock import AsyncLock

__all__ = ["AsyncHold"]


class AsyncHold:
    """A lock held for one ``with`` block. Made by ``lock.hold()``; good for one use."""

    def __init__(
        self, lock: AsyncLock, timeout: Seconds | None, on_lost: Callable[[], object] | None
    ) -> None:
        self._lock = lock
        self._timeout = timeout
        self._on_lost = on_lost
        self._lease: AsyncLease | None = None
        self._owner = 0
        self._inner = False
        self._holdings: list[Holding] = []

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._lock.name!r}>"

    async def __aenter__(self) -> AsyncLease:
        if self._lease is not None:
            raise RuntimeError(
                f"this hold of lock {self._lock.name!r} was used before; call hold() for each block"
            )
        try:
            return await self._enter()
        except BaseException:
            await self._abandon()
            raise

    async def _enter(self) -> AsyncLease:
        lock, room = self._lock, self._lock._room
        self._owner = room.port.whoami()
        outer = room.holdings.get((lock.name, self._owner))
        if lock._reentrant and outer is not None and outer.lease.valid:
            outer.blocks += 1
            self._lease, self._inner, self._holdings = outer.lease, True, [outer]
            return outer.lease
        keeper = await room.keeper(lock._renew_in)
        self._lease = lease = await lock.acquire(timeout=self._timeout)
        # No await from here on: nothing is cancelled between a grant and its guard.
        self._holdings = [Holding(lease) for _ in lock.names]
        room.holdings.update(zip(((name, self._owner) for name in lock.names), self._holdings, strict=True))
        lease._on_lost = self._on_lost
        guard = room.port.guard()
        guard.__enter__()
        lease._keep(keeper, guard, lock._max_hold)
        return lease

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lease is None:
            raise RuntimeError(f"this hold of lock {self._lock.name!r} was never entered")
        try:
            await self._leave(self._lease, kind, error, trace)
        except Exception:
            raise
        except BaseException:
            await self._abandon()
            raise

    async def _leave(
        self,
        lease: AsyncLease,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        room = self._lock._room
        self._strike_out(lease)
        if self._inner:
            return
        lease._let_go()
        guard, lease._guard = lease._guard, None
        if guard is not None and guard.__exit__(kind, error, trace):
            error = None  # the guard's own cancellation, which becomes LockLost
        try:
            await room.port.finish(self._release(lease))
        except Exception as problem:
            if error is None:
                raise
            # The body's own exception is the one to see; this one must not hide it.
            error.add_note(f"and on leaving {lease._what}: {type(problem).__name__}: {problem}")

    def _strike_out(self, lease: AsyncLease) -> None:
        holdings = self._lock._room.holdings
        for name in self._lock.names:
            holding = holdings.get((name, self._owner))
            if holding is not None and holding.lease is lease:
                holding.blocks -= 1
                if not holding.blocks:
                    del holdings[name, self._owner]
        self._holdings = []

    async def _release(self, lease: AsyncLease) -> None:
        if lease.lost.is_set():
            await lease._lose()
            await self._lock._give_up(lease._asking)  # it is lost already; this only tidies up
            raise self._lock._was_lost()
        await lease.release()

    async def _abandon(self) -> None:
        """Give up what was acquired, if anything, after an interruption anywhere in entering or leaving."""
        lease = self._lease
        if lease is None or self._inner:
            return
        lease._let_go()
        lease._over = True
        await self._lock._give_up(lease._asking)
