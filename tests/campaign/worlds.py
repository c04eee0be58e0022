"""What a contender needs of its flavour: threads or tasks, with coord's locks or with a naive one."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Protocol

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from coord import AsyncCoord, AsyncQuorum, Coord, LockTimeout, Quorum

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

CALL_TIMEOUT = 0.4
STEP = 0.01
PERMITS = 2
"""How many may hold a permit at a time."""
CHARGES, PER = 20, 1.0
"""How many may be charged to the limiter in so many seconds."""

FENCED_WRITE = """
local top, fence = tonumber(redis.call('GET', KEYS[1]) or '-1'), tonumber(ARGV[1])
local accepted = fence == nil or fence >= top
if accepted and fence then
  redis.call('SET', KEYS[1], ARGV[1])
end
redis.call('RPUSH', KEYS[2], cjson.encode({ARGV[2], ARGV[1], accepted}))
return accepted and 1 or 0
"""
"""A resource that refuses fences lower than the highest it has seen, and lists what it was asked."""


class Lease(Protocol):
    """What a worker needs of a lease or a permit, of either flavour."""

    def remaining(self) -> float: ...
    async def renew(self) -> None: ...
    async def release(self) -> None: ...


class World(Protocol):
    """What a worker needs of its flavour."""

    async def sleep(self, seconds: float) -> None: ...
    async def write(self, keys: tuple[str, str], *args: str) -> None: ...
    async def get(self, key: str) -> bytes | None: ...
    async def set(self, key: str, value: str) -> None: ...
    async def try_acquire(self, name: str) -> Lease | None: ...
    async def acquire(self, name: str, timeout: float) -> Lease: ...
    async def block(self, name: str, timeout: float, body: Callable[[Lease], Awaitable[None]]) -> None: ...
    async def charge(self, name: str) -> bool: ...


class Keyed:
    """A concurrency limit that looks like a lock: of one key."""

    def __init__(self, limit: Any) -> None:
        self._limit = limit

    def try_acquire(self) -> Any:
        return self._limit.try_acquire("all")

    def acquire(self, *, timeout: float) -> Any:
        return self._limit.acquire("all", timeout=timeout)

    def hold(self, *, timeout: float) -> Any:
        return self._limit.hold("all", timeout=timeout)


class Rooms:
    """Finds what a name stands for: a lock, one that is fair, a lock of a quorum, or permits.

    Args:
        config: What the contender was told.
        hub: A Coord of either flavour.
        quorum: The same of a quorum.
    """

    def __init__(self, config: dict[str, Any], hub: Any, quorum: Any) -> None:
        self._config = config
        self._hub = hub
        self._quorum = quorum

    def lock(self, name: str) -> Any:
        ttl = self._config["ttl"]
        if name in self._config["permits"]:
            return Keyed(self._hub.concurrency_limit(name, limit=PERMITS, ttl=ttl))
        if name in self._config["quorum"]:
            return self._quorum.lock(name, ttl=ttl)
        return self._hub.lock(name, ttl=ttl, fair=name in self._config["fair"])

    def limiter(self, name: str) -> Any:
        return self._hub.sliding_window(name, limit=CHARGES, per=PER, precision="exact")


class Held:
    """A lease of a sync ``Coord``, awaited without ever suspending."""

    def __init__(self, lease: Any) -> None:
        self._lease = lease
        self.fence: int | None = getattr(lease, "fence", None)

    def remaining(self) -> float:
        left: float = self._lease.remaining()
        return left

    async def renew(self) -> None:
        self._lease.renew()

    async def release(self) -> None:
        self._lease.release()


class Blocking:
    """The world of a thread, with coord's lock."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._ttl: float = config["ttl"]
        self._register = redis.Redis.from_url(config["register"], retry=Retry(NoBackoff(), 0))
        self._hub: Any = self._open(config)

    def _open(self, config: dict[str, Any]) -> Any:
        options: Any = {"prefix": config["prefix"], "call_timeout": CALL_TIMEOUT}
        quorum = Quorum.connect(*config["nodes"], **options)
        return Rooms(config, Coord.connect(config["url"], **options), quorum)

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)  # a world that blocks instead of suspending

    async def write(self, keys: tuple[str, str], *args: str) -> None:
        self._register.eval(FENCED_WRITE, 2, *keys, *args)

    async def get(self, key: str) -> bytes | None:
        value: Any = self._register.get(key)
        return value  # type: ignore[no-any-return]

    async def set(self, key: str, value: str) -> None:
        self._register.set(key, value)

    async def try_acquire(self, name: str) -> Lease | None:
        lease = self._hub.lock(name).try_acquire()
        return None if lease is None else Held(lease)

    async def acquire(self, name: str, timeout: float) -> Lease:
        return Held(self._hub.lock(name).acquire(timeout=timeout))

    async def block(self, name: str, timeout: float, body: Callable[[Lease], Awaitable[None]]) -> None:
        with self._hub.lock(name).hold(timeout=timeout) as lease:
            await body(Held(lease))

    async def charge(self, name: str) -> bool:
        return bool(self._hub.limiter(name).try_acquire("all"))


class Suspending:
    """The world of a task, with coord's lock."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._register = redis.asyncio.Redis.from_url(config["register"], retry=AsyncRetry(NoBackoff(), 0))
        options: Any = {"prefix": config["prefix"], "call_timeout": CALL_TIMEOUT}
        quorum = AsyncQuorum.connect(*config["nodes"], **options)
        self._hub = Rooms(config, AsyncCoord.connect(config["url"], **options), quorum)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def write(self, keys: tuple[str, str], *args: str) -> None:
        await self._register.eval(FENCED_WRITE, 2, *keys, *args)

    async def get(self, key: str) -> bytes | None:
        value: Any = await self._register.get(key)
        return value  # type: ignore[no-any-return]

    async def set(self, key: str, value: str) -> None:
        await self._register.set(key, value)

    async def try_acquire(self, name: str) -> Lease | None:
        lease: Lease | None = await self._hub.lock(name).try_acquire()
        return lease

    async def acquire(self, name: str, timeout: float) -> Lease:
        lease: Lease = await self._hub.lock(name).acquire(timeout=timeout)
        return lease

    async def block(self, name: str, timeout: float, body: Callable[[Lease], Awaitable[None]]) -> None:
        async with self._hub.lock(name).hold(timeout=timeout) as lease:
            await body(lease)

    async def charge(self, name: str) -> bool:
        return bool(await self._hub.limiter(name).try_acquire("all"))


class NaiveLease:
    """What the naive lock gives: a deadline of its own, and no fence."""

    fence: int | None = None

    def __init__(self, client: redis.Redis, key: str, deadline: float) -> None:
        self._client = client
        self._key = key
        self._deadline = deadline

    def remaining(self) -> float:
        return max(0.0, self._deadline - time.monotonic())

    async def renew(self) -> None: ...

    async def release(self) -> None:
        self._client.delete(self._key)


class Naive(Blocking):
    """The lock that is often written by hand, on a client that is left as it comes.

    ``SET NX PX`` and an unconditional ``DEL``. It is careful in one thing: its deadline counts from before
    it asked, so it claims no more than its key should last.
    """

    def _open(self, config: dict[str, Any]) -> redis.Redis:
        self._prefix: str = config["prefix"]
        client: redis.Redis = redis.Redis.from_url(config["url"], socket_timeout=CALL_TIMEOUT)
        return client

    async def try_acquire(self, name: str) -> Lease | None:
        key = f"{self._prefix}:{name}"
        asked = time.monotonic()
        if not self._hub.set(key, "locked", nx=True, px=int(self._ttl * 1000)):
            return None
        return NaiveLease(self._hub, key, asked + self._ttl)

    async def acquire(self, name: str, timeout: float) -> Lease:
        until = time.monotonic() + timeout
        while (lease := await self.try_acquire(name)) is None:
            if time.monotonic() >= until:
                raise LockTimeout(name, timeout)
            await self.sleep(STEP)
        return lease

    async def block(self, name: str, timeout: float, body: Callable[[Lease], Awaitable[None]]) -> None:
        lease = await self.acquire(name, timeout)
        try:
            await body(lease)
        finally:
            await lease.release()
