"""Locks of redis-py's interface of either flavour under one test body."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest
import redis

from coord import AsyncCoord, Coord
from coord.compat import RedisPyLock
from tests.support.flavours import out_of_loop

if TYPE_CHECKING:
    import redis.asyncio

pytestmark = pytest.mark.anyio


COROUTINES = {"acquire", "release", "extend", "reacquire", "locked", "owned"}


class Awaitable:
    """Lets one test body run on the sync lock as well."""

    def __init__(self, inner: RedisPyLock) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        member = getattr(self.inner, name)
        if name not in COROUTINES:
            return member

        async def call(*args: Any, **kwargs: Any) -> Any:
            with out_of_loop():
                return member(*args, **kwargs)

        return call

    async def __aenter__(self) -> Any:
        with out_of_loop():
            entered = self.inner.__enter__()
        assert entered is self.inner
        return self

    async def __aexit__(self, *details: object) -> Any:
        leave: Any = self.inner.__exit__
        return leave(*details)


def lose(behind: redis.Redis, prefix: str, name: str = "x") -> None:
    assert behind.delete(f"{prefix}:lock:{{{name}}}") == 1


def pttl(behind: redis.Redis, prefix: str, name: str = "x") -> int:
    left = behind.pttl(f"{prefix}:lock:{{{name}}}")
    assert isinstance(left, int)
    return left


async def in_a_thread_if_sync(lock: Any) -> None:
    def wait() -> None:
        assert lock.inner.acquire(blocking_timeout=10)
        lock.inner.release()

    if isinstance(lock, Awaitable):
        await anyio.to_thread.run_sync(wait)
    else:
        assert await lock.acquire(blocking_timeout=10)
        await lock.release()


def hub_behind(lock: Any) -> Any:
    """The Coord that a lock asks, of its flavour."""
    inner = getattr(lock, "inner", lock)
    return inner._coord(Coord if isinstance(inner, RedisPyLock) else AsyncCoord)


async def close(lock: Any) -> None:
    hub = hub_behind(lock)
    if isinstance(hub, Coord):
        await anyio.to_thread.run_sync(hub.close)
    else:
        await hub.close()
