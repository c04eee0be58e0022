"""Clients of both flavours that make coord's locks, and one lock of them."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pytest
import redis
import redis.asyncio

from coord.compat import AsyncRedisPyLock, RedisPyLock
from tests.compat.awaited import Awaitable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

pytestmark = pytest.mark.anyio


@pytest.fixture
def behind(real_server: str, prefix: str) -> Iterator[redis.Redis]:
    """A client for looking behind the lock's back, which also checks that nothing is left for ever."""
    with redis.Redis.from_url(real_server, decode_responses=True) as client:
        yield client
        keys = list(client.scan_iter(f"{prefix}:*"))
        endless = [key for key in keys if client.pttl(key) == -1]
        for key in keys:
            client.delete(key)
        assert endless == []


@pytest.fixture
def sync_class(prefix: str) -> type[RedisPyLock]:
    return type("OurLock", (RedisPyLock,), {"prefix": prefix})


@pytest.fixture
def async_class(prefix: str) -> type[AsyncRedisPyLock]:
    return type("OurAsyncLock", (AsyncRedisPyLock,), {"prefix": prefix})


@pytest.fixture
def sync_client(real_server: str, behind: redis.Redis) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(real_server) as client:
        yield client


@pytest.fixture
async def async_client(real_server: str, behind: redis.Redis) -> AsyncIterator[redis.asyncio.Redis]:
    async with redis.asyncio.Redis.from_url(real_server) as client:
        yield client


@pytest.fixture
async def lock(flavour: str, sync_client: Any, async_client: Any, sync_class: Any, async_class: Any) -> Any:
    """Make locks as ``client.lock()`` does, of either flavour."""
    client, lock_class = (async_client, async_class) if flavour == "async" else (sync_client, sync_class)
    takes = inspect.signature(client.lock).parameters

    def make(*args: Any, **options: Any) -> Any:
        if options.keys() <= takes.keys():
            made = client.lock(*args, lock_class=lock_class, **options)
        else:
            made = lock_class(client, *args, **options)  # an older client, which passes fewer on
        return Awaitable(made) if flavour == "sync" else made

    return make
