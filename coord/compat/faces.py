"""The two flavours of redis-py's lock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from coord._engine.port import step
from coord._engine.wires import AsyncClient, Client
from coord.compat.lock import SharedLock
from coord.compat.owners import this_task, this_thread
from coord.hub import AsyncCoord, Coord

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from types import TracebackType
    from typing import Any, Self

    from coord.locks import AsyncLock

__all__ = ["AsyncRedisPyLock", "RedisPyLock"]


class RedisPyLock(SharedLock[Client]):
    """A lock with the API of ``redis.lock.Lock``, for the ``lock_class=`` of ``Redis.lock()``.

    A subclass may set three class attributes: ``prefix``, ``endless`` (see below), and ``wait``. That is
    ``"poll"``, so that nothing listens on the client's connections which the client's user did not ask for;
    ``"signal"`` has waiters woken by the release, as ``Coord.lock()`` does.

    Args:
        redis: A sync client; one ``Coord`` is made for it and kept by it.
        name: What is locked. The keys are those of ``Coord.lock()`` with the same name and ``prefix``
            (``"coord"``), and so the two exclude each other. redis-py's own lock has another key: **this
            lock and redis-py's do not exclude each other**.
        timeout: The lease in seconds, at least 0.01. It is not renewed on its own. ``None`` and 0 mean "for
            ever" to redis-py. Here nothing is for ever: **the lease is then** ``endless`` **seconds, which
            is an hour, and it is not renewed**. A holder that disappears blocks the lock for so long; one
            that takes longer loses it, and ``release()`` says so.
        sleep: Accepted and not used: who waits asks again every 5 to 100 milliseconds.
        blocking: Whether ``acquire()`` waits.
        blocking_timeout: How long it waits, in seconds; ``None`` for ever.
        thread_local: If true, only the thread that acquired the lock can release it. If false, a thread that
            acquired nothing releases what another acquired.
        raise_on_release_error: Whether leaving a ``with`` block raises if the lock was lost meanwhile;
            otherwise it is logged.

    Raises:
        TypeError: ``redis`` is an async client, or none.
        ValueError: ``timeout`` is too short, or ``name`` is empty.
    """

    def _flow(self) -> AsyncLock:
        return self._coord(Coord).lock(self._text, ttl=self._ttl(), wait=self.wait)._flow

    def _me(self) -> object:
        return this_thread()

    def _adopts(self) -> Literal["none"]:
        return "none"

    def acquire(
        self,
        sleep: float | None = None,
        blocking: bool | None = None,
        blocking_timeout: float | None = None,
        token: str | bytes | None = None,
    ) -> bool:
        """Take the lock.

        Args:
            sleep: Accepted and not used.
            blocking: Whether to wait; ``None`` for the lock's own setting.
            blocking_timeout: How long to wait, in seconds; ``None`` for the lock's own setting.
            token: Must be ``None``.

        Returns:
            Whether it was acquired.

        Raises:
            LockError: It was granted, but every answer took longer than ``timeout`` to arrive.
            ValueError: ``token`` was given.
        """
        del sleep
        return step(self._acquire(self._me(), self._patience(blocking, blocking_timeout, token)))

    def release(self) -> None:
        """Give the lock back. If the server could not be asked, it may be tried again.

        Raises:
            LockError: The caller holds nothing.
            LockNotOwnedError: The lease ended before.
        """
        step(self._release(self._me()))

    def extend(self, additional_time: float, replace_ttl: bool = False) -> Literal[True]:
        """Lengthen the lease.

        Args:
            additional_time: Seconds to add to what remains, as far as is known here.
            replace_ttl: Whether the lease is to last ``additional_time`` from now on instead.

        Raises:
            LockError: The caller holds nothing, or the lock has no timeout.
            LockNotOwnedError: The lease has ended.
        """
        return step(self._prolong(self._me(), "extend", additional_time, add=not replace_ttl))

    def reacquire(self) -> Literal[True]:
        """Start the lease anew, for ``timeout`` from now on.

        Raises:
            LockError: The caller holds nothing, or the lock has no timeout.
            LockNotOwnedError: The lease has ended.
        """
        return step(self._prolong(self._me(), "reacquire", self._ttl(), add=False))

    def locked(self) -> bool:
        """Ask the server whether anyone holds the lock."""
        return step(self._locked())

    def owned(self) -> bool:
        """Ask the server whether the caller holds the lock."""
        return step(self._owned(self._me()))

    def __enter__(self) -> Self:
        step(self._enter(self._me()))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        step(self._leave(self._me(), error))


class AsyncRedisPyLock(SharedLock[AsyncClient]):
    """A lock with the API of ``redis.asyncio.lock.Lock``, for the ``lock_class=`` of its ``Redis.lock()``.

    As ``RedisPyLock``, with tasks in place of threads: the task that calls ``acquire()`` is the owner, also
    if ``asyncio.wait_for(lock.acquire(), 5)`` runs the rest of it in another.

    Args:
        redis: An async client; one ``AsyncCoord`` is made for it and kept by it.
        name: As for ``RedisPyLock``: **this lock and redis-py's do not exclude each other**.
        timeout: As for ``RedisPyLock``: ``None`` **is an hour, not renewed**.
        sleep: Accepted and not used.
        blocking: Whether ``acquire()`` waits.
        blocking_timeout: How long it waits, in seconds; ``None`` for ever.
        thread_local: If true, only the task that acquired the lock can release it, or any once that task
            has ended. If false, a task that acquired nothing releases what another acquired.
        raise_on_release_error: Whether leaving an ``async with`` block raises if the lock was lost
            meanwhile; otherwise it is logged.

    Raises:
        TypeError: ``redis`` is a sync client, or none.
        ValueError: ``timeout`` is too short, or ``name`` is empty.
    """

    # The methods are not coroutine functions but return coroutines: so the caller is known, even if another
    # task then awaits them.

    def _flow(self) -> AsyncLock:
        return self._coord(AsyncCoord).lock(self._text, ttl=self._ttl(), wait=self.wait)

    def _me(self) -> object | None:
        return this_task()

    def _adopts(self) -> Literal["orphans"]:
        return "orphans"

    def acquire(
        self,
        blocking: bool | None = None,
        blocking_timeout: float | None = None,
        token: str | bytes | None = None,
    ) -> Coroutine[Any, Any, bool]:
        """Take the lock; awaitable. As in ``RedisPyLock``, but for ``sleep``."""
        return self._acquire(self._me(), self._patience(blocking, blocking_timeout, token))

    def release(self) -> Coroutine[Any, Any, None]:
        """Give the lock back; awaitable. As in ``RedisPyLock``."""
        return self._release(self._me())

    def extend(self, additional_time: float, replace_ttl: bool = False) -> Coroutine[Any, Any, Literal[True]]:
        """Lengthen the lease; awaitable. As in ``RedisPyLock``."""
        return self._prolong(self._me(), "extend", additional_time, add=not replace_ttl)

    def reacquire(self) -> Coroutine[Any, Any, Literal[True]]:
        """Start the lease anew; awaitable. As in ``RedisPyLock``."""
        return self._prolong(self._me(), "reacquire", self._ttl(), add=False)

    def locked(self) -> Coroutine[Any, Any, bool]:
        """Ask the server whether anyone holds the lock; awaitable."""
        return self._locked()

    def owned(self) -> Coroutine[Any, Any, bool]:
        """Ask the server whether the caller holds the lock; awaitable."""
        return self._owned(self._me())

    async def __aenter__(self) -> Self:
        await self._enter(self._me())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._leave(self._me(), error)
