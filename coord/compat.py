"""redis-py's ``Lock``, on coord: for code that is written against it and is to change in one word.

``client.lock("invoice:42", timeout=10, lock_class=RedisPyLock)`` has the methods, the arguments and the
exceptions (``redis.exceptions.LockError``, ``LockNotOwnedError``) of redis-py's own lock. A lost reply does
not leave it held by nobody, a cancelled acquire does not leak it, a release that failed can be tried again,
and ``lock.fence`` is there for what must not break. New code wants ``Coord.lock()``: its possession is a
handle, which says more than an object shared by all who use it can.

This module is an adapter, not a room: it knows redis-py's exceptions, threads and tasks, which rooms do not,
and it has no algorithm of its own.

Whose lock it is
----------------
The API has no handle, so possession is looked up by who asks:

1. Whoever acquired, a thread or a task, means its own lease, lost or not. A late release of a lost lease
   therefore raises, and never frees the next holder's.
2. Who did not acquire means the lease of another: of anyone with ``thread_local=False``; otherwise, in async
   code only, of a task that has ended, since helpers such as ``asyncio.wait_for`` may run a coroutine in a
   task of its own. If several are not released yet, none is freed.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import weakref
from typing import TYPE_CHECKING, ClassVar, Generic, Literal, TypeVar

from redis.exceptions import LockError, LockNotOwnedError

from coord import errors
from coord._engine.checks import seconds
from coord._engine.port import step
from coord._engine.wires import AsyncClient, Client
from coord.hub import AsyncCoord, Coord

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from types import TracebackType
    from typing import Any, Self

    from coord._engine.checks import Seconds
    from coord.locks import AsyncLease, AsyncLock

__all__ = ["AsyncRedisPyLock", "RedisPyLock"]

SHORTEST_TTL = 0.01
ATTRIBUTE = "_coord_compat"

NOT_ACQUIRED = "Unable to acquire lock within the time specified"
NOT_HELD = "Cannot release a lock that's not owned or is already unlocked."
NO_LONGER = "Cannot {} a lock that's no longer owned"
UNLOCKED = "Cannot {} an unlocked lock"
ENDLESS = "Cannot {} a lock with no timeout"
WHOSE = "Cannot {} a lock that others acquired, of whom several have not released: it is not clear whose"

_log = logging.getLogger("coord")
_here = threading.local()

K = TypeVar("K")
C = TypeVar("C", Coord, AsyncCoord)


class _Thread:
    """Stands for a thread for as long as it lives. Idents are used again by later threads."""


def _this_thread() -> object:
    me: object = getattr(_here, "me", None)
    if me is None:
        me = _here.me = _Thread()
    return me


def _this_task() -> object | None:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None  # called before there is a loop, as by ``asyncio.run(lock.acquire())``


class _Possession:
    """A lease and who acquired it."""

    def __init__(self, owner: object, lease: AsyncLease) -> None:
        self._owner = weakref.ref(owner)
        self.lease = lease

    def is_of(self, who: object) -> bool:
        return self._owner() is who

    def is_orphan(self) -> bool:
        owner = self._owner()
        return owner is None or (isinstance(owner, asyncio.Task) and owner.done())


class _Table:
    """The leases of one lock object.

    Args:
        adopts: Whose leases are also those of a caller who acquired none: ``"none"``, ``"orphans"``
            or ``"all"``.
    """

    def __init__(self, adopts: Literal["none", "orphans", "all"]) -> None:
        self._adopts = adopts
        self._mutex = threading.Lock()
        self._rows: list[_Possession] = []

    def of(self, who: object) -> list[AsyncLease]:
        """List what ``who`` may mean: one, if it is clear."""
        with self._mutex:
            mine = [row.lease for row in self._rows if row.is_of(who)]
            return mine or [row.lease for row in self._rows if self._may_adopt(row)]

    def _may_adopt(self, row: _Possession) -> bool:
        return self._adopts == "all" or (self._adopts == "orphans" and row.is_orphan())

    def keep(self, who: object, lease: AsyncLease) -> None:
        """Note down an acquisition, in place of the caller's earlier one."""
        with self._mutex:
            others = [row for row in self._rows if not row.is_of(who)]
            # That there is one of these is worth knowing; how many there were is not.
            past = [row for row in others if row.is_orphan() and not row.lease.valid][:-1]
            self._rows = [*(row for row in others if row not in past), _Possession(who, lease)]

    def forget(self, leases: list[AsyncLease]) -> None:
        """Note down that they are over."""
        with self._mutex:
            self._rows = [row for row in self._rows if not any(row.lease is lease for lease in leases)]


class _Lock(Generic[K]):
    """All that the two flavours share; the faces below run it, each in its own way."""

    prefix: ClassVar[str] = "coord"
    endless: ClassVar[float] = 3600.0
    wait: ClassVar[Literal["signal", "poll"]] = "poll"

    def __init__(  # noqa: PLR0917  # redis-py's signature
        self,
        redis: K,
        name: str | bytes | memoryview,
        timeout: Seconds | None = None,
        sleep: float = 0.1,
        blocking: bool = True,
        blocking_timeout: float | None = None,
        thread_local: bool = True,
        raise_on_release_error: bool = True,
    ) -> None:
        self.redis = redis
        self.name = name
        self.timeout = timeout
        self.sleep = sleep
        self.blocking = blocking
        self.blocking_timeout = blocking_timeout
        self.thread_local = bool(thread_local)
        self.raise_on_release_error = raise_on_release_error
        self._text = name if isinstance(name, str) else bytes(name).decode()
        self._table = _Table(self._adopts() if self.thread_local else "all")
        self._flow()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._text!r}>"

    @property
    def fence(self) -> int | None:
        """The fence of the caller's lease, greater than every earlier one of this name, or ``None``."""
        leases = self._table.of(self._me())
        return leases[0].fence if len(leases) == 1 else None

    def _flow(self) -> AsyncLock:
        """Make coord's lock, with the timeout of this moment, since it may be assigned to."""
        raise NotImplementedError

    def _me(self) -> object | None:
        raise NotImplementedError

    def _adopts(self) -> Literal["none", "orphans"]:
        raise NotImplementedError

    def _coord(self, kind: type[C]) -> C:
        """Give the one Coord of this client. The client keeps it, so that the two end together."""
        key = (self.prefix, id(self.redis))  # a copied client has its original's attributes
        found: C | None = getattr(self.redis, ATTRIBUTE, {}).get(key)
        if found is not None:
            return found
        client: Any = self.redis  # it is the Coord that tells the flavours apart
        made = kind(client, prefix=self.prefix)
        kept: dict[tuple[str, int], C] = vars(self.redis).setdefault(ATTRIBUTE, {})
        return kept.setdefault(key, made)

    def _ttl(self) -> float:
        return seconds(self.timeout, "timeout", at_least=SHORTEST_TTL) if self.timeout else self.endless

    def _patience(
        self, blocking: bool | None, blocking_timeout: float | None, token: str | bytes | None
    ) -> float | None:
        if token is not None:
            raise ValueError(
                "token= is not supported: each acquisition has a token of its own, so that late commands are "
                "told apart; to hand a lock over use export() and adopt() of Coord.lock()"
            )
        if not (self.blocking if blocking is None else blocking):
            return 0.0
        patience = self.blocking_timeout if blocking_timeout is None else blocking_timeout
        return None if patience is None else max(0.0, patience)

    async def _acquire(self, who: object | None, patience: float | None) -> bool:
        try:
            lease = await self._flow().acquire(timeout=patience)
        except errors.LockTimeout:
            return False
        except errors.LockError as error:
            raise self._error(str(error)) from error
        # No await from here on: what is acquired is noted down before anything can cancel.
        self._table.keep(who or self._me(), lease)
        return True

    async def _enter(self, who: object | None) -> None:
        if not await self._acquire(who, self._patience(None, None, None)):
            raise self._error(NOT_ACQUIRED)

    async def _release(self, who: object | None) -> None:
        leases = self._table.of(who or self._me())
        if not leases:
            raise self._error(NOT_HELD)
        if len(leases) > 1:
            self._table.forget(leases)  # what is still held runs out
            raise self._not_owned(WHOSE, "release")
        try:
            await leases[0].release()
        except errors.LockLost as error:
            self._table.forget(leases)
            raise self._not_owned(NO_LONGER, "release") from error
        self._table.forget(leases)  # only now that the server has answered

    async def _leave(self, who: object | None, error: BaseException | None) -> None:
        try:
            await self._flow()._port.finish(self._release(who))
        except Exception as problem:
            if isinstance(problem, LockError) and not self.raise_on_release_error:
                _log.warning("lock %r was unlocked or no longer owned when its block ended", self._text)
                return
            if error is None:
                raise
            # The body's own exception is the one to see; this one must not hide it.
            error.add_note(f"and on leaving lock {self._text!r}: {type(problem).__name__}: {problem}")

    async def _prolong(self, who: object | None, verb: str, ttl: float, *, add: bool) -> Literal[True]:
        leases = self._table.of(who or self._me())
        if not leases:
            raise self._error(UNLOCKED.format(verb))
        if not self.timeout:
            raise self._error(ENDLESS.format(verb))
        if len(leases) > 1:
            raise self._not_owned(WHOSE, verb)
        try:
            await leases[0].renew(ttl=ttl + (leases[0].remaining() if add else 0.0))
        except errors.LockLost as error:
            raise self._not_owned(NO_LONGER, verb) from error
        return True

    async def _locked(self) -> bool:
        return (await self._flow().status()).held

    async def _owned(self, who: object | None) -> bool:
        leases = self._table.of(who or self._me())
        if len(leases) != 1:
            return False
        status = await self._flow().status()
        return status.held and status.fence == leases[0].fence

    def _error(self, message: str) -> LockError:
        return LockError(message, lock_name=self._text)

    def _not_owned(self, message: str, verb: str) -> LockNotOwnedError:
        return LockNotOwnedError(message.format(verb), lock_name=self._text)


class RedisPyLock(_Lock[Client]):
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
        return _this_thread()

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


class AsyncRedisPyLock(_Lock[AsyncClient]):
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
        return _this_task()

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
