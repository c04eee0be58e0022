"""What redis-py's lock does, on coord's, once for both flavours."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, ClassVar, Generic, Literal, TypeVar

from redis.exceptions import LockError, LockNotOwnedError

from coord import errors
from coord._engine.checks import seconds
from coord.compat.owners import Table
from coord.hub import AsyncCoord, Coord

if TYPE_CHECKING:
    from typing import Any

    from coord._engine.checks import Seconds
    from coord.locks import AsyncLock

__all__ = ["SharedLock"]

SHORTEST_TTL = 0.01
"""Seconds of a lease; as for every lock of coord."""

ATTRIBUTE = "_coord_compat"

NOT_ACQUIRED = "Unable to acquire lock within the time specified"
NOT_HELD = "Cannot release a lock that's not owned or is already unlocked."
NO_LONGER = "Cannot {} a lock that's no longer owned"
UNLOCKED = "Cannot {} an unlocked lock"
ENDLESS = "Cannot {} a lock with no timeout"
WHOSE = "Cannot {} a lock that others acquired, of whom several have not released: it is not clear whose"

_log = logging.getLogger("coord")

K = TypeVar("K")
C = TypeVar("C", Coord, AsyncCoord)


class SharedLock(Generic[K]):
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
        self._table = Table(self._adopts() if self.thread_local else "all")
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
        except (errors.LockLost, errors.NotOwned) as error:
            self._table.forget(leases)
            raise self._not_owned(NO_LONGER, "release") from error
        self._table.forget(leases)  # only now that the server has answered

    async def _leave(self, who: object | None, error: BaseException | None) -> None:
        if any(lease._is_inherited() for lease in self._table.of(who or self._me())):
            return  # a forked child holds nothing of its parent's
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
        except (errors.LockLost, errors.NotOwned) as error:
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
