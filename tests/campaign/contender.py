"""One process that contends for locks, holds them, writes under them and tells what happened.

Run by the campaign: ``python -m tests.campaign.contender '{...}'``. Its two workers are threads, or tasks
of one event loop; what a worker does is written once. It is not careful on purpose: it writes under a lease
without asking whether that is still good, as a program does that was stopped between the two.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from coord import AsyncCoord, AsyncLock, Coord, LockLost, LockTimeout
from tests.campaign.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

T = TypeVar("T")

_log = logging.getLogger(__name__)

CALL_TIMEOUT = 0.4
WORKERS = 2
STEP = 0.01
EXPECTED = (redis.ConnectionError, redis.TimeoutError, OSError)
"""What may reach a caller while the network or the server is in trouble."""

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
    """What a worker needs of a lease, of either flavour."""

    @property
    def fence(self) -> int | None: ...
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


class Held:
    """A lease of a sync ``Coord``, awaited without ever suspending."""

    def __init__(self, lease: Any) -> None:
        self._lease = lease
        self.fence: int | None = lease.fence

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
        self._fair: list[str] = config["fair"]
        self._register = redis.Redis.from_url(config["register"], retry=Retry(NoBackoff(), 0))
        self._hub: Any = self._open(config)

    def _open(self, config: dict[str, Any]) -> Any:
        return Coord.connect(config["url"], prefix=config["prefix"], call_timeout=CALL_TIMEOUT)

    def _lock(self, name: str) -> Any:
        return self._hub.lock(name, ttl=self._ttl, fair=name in self._fair)

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
        lease = self._lock(name).try_acquire()
        return None if lease is None else Held(lease)

    async def acquire(self, name: str, timeout: float) -> Lease:
        return Held(self._lock(name).acquire(timeout=timeout))

    async def block(self, name: str, timeout: float, body: Callable[[Lease], Awaitable[None]]) -> None:
        with self._lock(name).hold(timeout=timeout) as lease:
            await body(Held(lease))


class Suspending:
    """The world of a task, with coord's lock."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._ttl: float = config["ttl"]
        self._fair: list[str] = config["fair"]
        self._register = redis.asyncio.Redis.from_url(config["register"], retry=AsyncRetry(NoBackoff(), 0))
        self._hub = AsyncCoord.connect(config["url"], prefix=config["prefix"], call_timeout=CALL_TIMEOUT)

    def _lock(self, name: str) -> AsyncLock:
        return self._hub.lock(name, ttl=self._ttl, fair=name in self._fair)

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
        return await self._lock(name).try_acquire()

    async def acquire(self, name: str, timeout: float) -> Lease:
        return await self._lock(name).acquire(timeout=timeout)

    async def block(self, name: str, timeout: float, body: Callable[[Lease], Awaitable[None]]) -> None:
        async with self._lock(name).hold(timeout=timeout) as lease:
            await body(lease)


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


class Worker:
    """Takes one lock after another, for as long as it lives.

    Args:
        who: Its name.
        world: Its flavour.
        journal: Where it tells what happened.
        names: The locks.
        ttl: Their lease.
        seed: Of what it decides.
    """

    def __init__(
        self, who: str, world: World, journal: Journal, *, names: list[str], ttl: float, seed: int
    ) -> None:
        self._who = who
        self._names = names
        self._ttl = ttl
        self._world = world
        self._journal = journal
        self._rng = random.Random(f"{seed} {who}")

    async def work(self) -> None:
        """Work until killed."""
        number = 0
        while True:
            number += 1
            attempt = f"{self._who}#{number}"
            styles = (self._try, self._acquire, self._block)
            try:
                await self._rng.choice(styles)(attempt, self._rng.choice(self._names))
            except Exception:  # noqa: BLE001  # whatever it is, the campaign must hear of it
                _log.exception("%s met what it did not expect", attempt)
            await self._world.sleep(self._rng.uniform(0, STEP))

    def _ask(self, attempt: str, name: str, patience: float) -> None:
        self._journal.note("asked", attempt, who=self._who, name=name, patience=patience)

    async def _try(self, attempt: str, name: str) -> None:
        self._ask(attempt, name, 0)
        try:
            lease = await self._world.try_acquire(name)
        except (LockLost, *EXPECTED):
            self._journal.note("unknown", attempt)
            return
        if lease is None:
            self._journal.note("refused", attempt)
            return
        self._grant(attempt, lease)
        await self._hold_and_release(attempt, name, lease)

    async def _acquire(self, attempt: str, name: str) -> None:
        patience = self._rng.choice((0.0, 0.1, 0.3, 0.8))
        self._ask(attempt, name, patience)
        try:
            lease = await self._world.acquire(name, patience)
        except LockTimeout:
            self._journal.note("refused", attempt)
            return
        except (LockLost, *EXPECTED):
            self._journal.note("unknown", attempt)
            return
        self._grant(attempt, lease)
        await self._hold_and_release(attempt, name, lease)

    async def _block(self, attempt: str, name: str) -> None:
        patience = self._rng.choice((0.1, 0.3, 0.8))
        entered = False

        async def body(lease: Lease) -> None:
            nonlocal entered
            entered = True
            self._grant(attempt, lease)
            await self._hold(attempt, name, lease, self._length(), renewing=False)
            self._journal.note("ending", attempt)

        self._ask(attempt, name, patience)
        how = "released"
        try:
            await self._world.block(name, patience, body)
        except LockTimeout:
            self._journal.note("refused", attempt)
            return
        except LockLost:
            if entered:
                self._journal.note("lost", attempt)
            how = "lost"
        except EXPECTED:
            how = "unknown"
        if entered:
            self._journal.note("ended", attempt, how=how)
        else:
            self._journal.note("unknown", attempt)

    def _length(self) -> float:
        kind = self._rng.random()
        if kind < 0.9:
            return self._rng.uniform(0, 0.02)
        if kind < 0.97:
            return self._rng.uniform(0.05, 0.15)
        return self._rng.uniform(0.5, 2) * self._ttl

    def _grant(self, attempt: str, lease: Lease) -> None:
        now = time.monotonic()  # before remaining(): to be stopped in between must not lengthen the claim
        self._journal.note("granted", attempt, fence=lease.fence, until=now + lease.remaining())

    async def _hold_and_release(self, attempt: str, name: str, lease: Lease) -> None:
        await self._hold(attempt, name, lease, self._length(), renewing=self._rng.random() < 0.5)
        self._journal.note("ending", attempt)
        for _ in range(2):  # a release that failed may be tried again
            try:
                await lease.release()
            except LockLost:
                self._journal.note("lost", attempt)
                self._journal.note("ended", attempt, how="lost")
                return
            except EXPECTED:
                continue
            self._journal.note("ended", attempt, how="released")
            return
        self._journal.note("ended", attempt, how="unknown")

    async def _hold(self, attempt: str, name: str, lease: Lease, seconds: float, *, renewing: bool) -> None:
        """Hold for so long, or longer if stopped; write down what the lease claims, and write under it."""
        told = False
        renewed = claimed = time.monotonic()
        read, began = await self._read(name)
        for _ in range(round(seconds / STEP)):
            await self._world.sleep(STEP)
            now = time.monotonic()
            left = lease.remaining()
            if left > 0 and now + left > claimed:
                told = False
                claimed = now + left + STEP  # the next that is worth a line
                self._journal.note("promised", attempt, until=now + left)
            elif left <= 0 and not told:
                told = True
                self._journal.note("lost", attempt)
            if renewing and now - renewed > self._ttl / 3:
                renewed = now
                with contextlib.suppress(*EXPECTED):
                    renewing = await self._renew(attempt, lease)
        fence = "" if lease.fence is None else str(lease.fence)
        await self._world.write((f"fence:{name}", f"log:{name}"), fence, attempt)
        await self._world.set(f"value:{name}", attempt)
        self._journal.note("updated", attempt, began=began, read=read)

    async def _renew(self, attempt: str, lease: Lease) -> bool:
        try:
            await lease.renew()
        except LockLost:
            self._journal.note("lost", attempt)
            return False
        return True

    async def _read(self, name: str) -> tuple[str, float]:
        began = time.monotonic()
        value = await self._world.get(f"value:{name}")
        return ("" if value is None else value.decode()), began


class _Tells(logging.Handler):
    """Lets no error pass that only a log would have shown."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(logging.ERROR)
        self._journal = journal

    def emit(self, record: logging.LogRecord) -> None:
        self._journal.note("error", text=self.format(record)[-1500:])


def _run(flow: Coroutine[Any, None, None]) -> None:
    flow.send(None)  # it never suspends, and never ends


def main() -> None:
    """Contend until killed, or until nobody listens any more."""
    config: dict[str, Any] = json.loads(sys.argv[1])
    journal = Journal(sys.stdout.fileno())
    logging.basicConfig(handlers=[_Tells(journal)], level=logging.ERROR)
    threading.excepthook = lambda hook: _log.error("a thread died", exc_info=hook.exc_value)
    kinds: dict[str, Callable[[dict[str, Any]], World]] = {
        "sync": Blocking,
        "async": Suspending,
        "naive": Naive,
    }
    world = kinds[config["flavour"]](config)
    workers = [
        Worker(
            f"{config['who']}/{number}",
            world,
            journal,
            names=config["names"],
            ttl=config["ttl"],
            seed=config["seed"],
        )
        for number in range(WORKERS)
    ]
    if config["flavour"] != "async":
        for worker in workers:
            threading.Thread(target=_run, args=(worker.work(),), daemon=True).start()
        while True:
            time.sleep(0.2)
            journal.note("alive")  # which ends this process if nobody listens any more

    async def together() -> None:
        await asyncio.gather(*(worker.work() for worker in workers))

    asyncio.run(together())


if __name__ == "__main__":
    main()
