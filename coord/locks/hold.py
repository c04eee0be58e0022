"""A lock held for one ``with`` block: entered, renewed, lost or left, and always let go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coord.locks.entered import caller
from coord.locks.room import Holding

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, TracebackType

    from coord._engine.checks import Seconds
    from coord.locks.lease import AsyncLease
    from coord.locks.lock import AsyncLock

__all__ = ["AsyncHold"]


class AsyncHold:
    """A lock held for one ``with`` block. Made by ``lock.hold()``; good for one use.

    The block may be left by another task or thread than has entered it. In a forked child it ends in silence,
    as the child holds nothing of its parent's.
    """

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

    @property
    def _what(self) -> str:
        """What it is a block of, for people."""
        return self._lock._what

    def _is_open(self) -> bool:
        """Tell whether it has been entered."""
        return self._lease is not None

    async def __aenter__(self) -> AsyncLease:
        return await self._begin(caller())

    async def _begin(self, frame: FrameType) -> AsyncLease:
        if self._lease is not None:
            raise RuntimeError(
                f"this hold of lock {self._lock.name!r} was used before; call hold() for each block"
            )
        try:
            return await self._enter(frame)
        except BaseException:
            await self._abandon()
            raise

    async def _enter(self, frame: FrameType) -> AsyncLease:
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
        self._holdings = [Holding(lease, frame) for _ in lock.names]
        room.holdings.update(zip(((name, self._owner) for name in lock.names), self._holdings, strict=True))
        lease._on_lost = self._on_lost
        guard = room.port.guard()
        guard.begin()
        lease._keep(keeper, guard, lock._max_hold)
        return lease

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end(error)

    async def _end(self, error: BaseException | None) -> None:
        if self._lease is None:
            raise RuntimeError(f"this hold of lock {self._lock.name!r} was never entered")
        if self._lease._is_inherited():
            return
        try:
            await self._leave(self._lease, error)
        except Exception:
            raise
        except BaseException:
            await self._abandon()
            raise

    async def _leave(self, lease: AsyncLease, error: BaseException | None) -> None:
        """Let go first, and complain afterwards. Up to the first await nothing can come between."""
        port = self._lock._room.port
        self._strike_out(lease)
        if self._inner:
            return
        lease._let_go()
        guard, lease._guard = lease._guard, None
        was_cut = guard is not None and guard.end(error)
        if was_cut:
            error = None  # the guard's own cancellation, which becomes LockLost
        try:
            await port.finish(self._release(lease, was_cut=was_cut))
        except Exception as problem:
            if error is None:
                raise
            # The body's own exception is the one to see; this one must not hide it.
            error.add_note(f"and on leaving {lease._what}: {type(problem).__name__}: {problem}")
        if guard is not None:
            await guard.give_way()

    def _strike_out(self, lease: AsyncLease) -> None:
        holdings = self._lock._room.holdings
        for name in self._lock.names:
            holding = holdings.get((name, self._owner))
            if holding is not None and holding.lease is lease:
                holding.blocks -= 1
                if not holding.blocks:
                    del holdings[name, self._owner]
        self._holdings = []

    async def _release(self, lease: AsyncLease, *, was_cut: bool) -> None:
        """Give it back while it lasts; that it is lost is told at once, and tidied up beside."""
        if not was_cut and not lease.lost.is_set():
            await lease._release(within=min(lease.remaining(), lease._port.call_timeout))
            return
        await lease._lose()
        await self._lock._tidy_up(lease._asking, lease._deadline - lease._port.now())
        raise self._lock._was_lost()

    async def _abandon(self) -> None:
        """Give up what was acquired, if anything, after an interruption anywhere in entering or leaving."""
        lease = self._lease
        if lease is None or self._inner or lease._is_inherited():
            return
        lease._let_go()
        lease._over = True
        await self._lock._give_up(lease._asking)
