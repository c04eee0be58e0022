"""What the packages do that people use for the same things, as their documents advise; and the raw limits.

``asked`` is what coord sends for one decision: the bare clients send the very same.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tests.benchmarks.coord_operations import ENTRIES, HOUR, OPERATIONS, PLENTY
from tests.benchmarks.joined import Joined
from tests.benchmarks.operation import Operation, each, tasks
from tests.benchmarks.recording import Renewed, commands, connect, evaluations, packed, recorded, scripts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.benchmarks.operation import Place, Run

__all__ = [
    "ASYNC_LOCK",
    "BENCHMARK",
    "POOL",
    "Asked",
    "asked_for",
    "async_decisions",
    "decisions",
    "denials",
    "limiters",
    "locks",
]  # fmt: skip

POOL = 100
"""Connections of a pool, of which redis-py's documents say that callers are to wait for one."""
PATIENCE_MS = 60_000
IN_FLIGHT = 2_000
"""Calls that valkey-glide lets be under way; its default, of 1,000, fails with 1,000 callers."""
TTL = 10
"""A lease in seconds, coord's default."""
FEW = 5
"""A limit that is used up at once."""
MANY = 1_000
"""Calls of a block of a program that has to be started for it."""
BENCHMARK = "redis-benchmark, the same call"
CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Asked:
    """A call of a script: its text, its keys and its arguments."""

    text: str
    sha: str
    keys: list[str]
    args: list[str]

    @property
    def words(self) -> tuple[str | int, ...]:
        """What ``evalsha`` is called with."""
        return (self.sha, len(self.keys), *self.keys, *self.args)


def asked_for(place: Place, name: str = "decision") -> Asked:
    """Note what coord sends for one decision, and have the server know its script."""
    with import_module("redis").Redis.from_url(place.url) as client:
        client.script_flush()
        sent = recorded(place, OPERATIONS[name], warm=0)[0]
        texts = scripts(sent)
        words = [one for one in commands(sent) if one[0].upper() in {b"EVAL", b"EVALSHA"}][-1]
        sha = next(sha for sha, text in texts.items() if words[1] in {sha, text})
        client.script_load(texts[sha])
    count = int(words[2])
    keys, args = ([word.decode() for word in some] for some in (words[3 : 3 + count], words[3 + count :]))
    return Asked(texts[sha].decode(), sha.decode(), keys, args)


def _client(place: Place) -> Any:
    client = import_module("redis").Redis.from_url(place.url)
    place.close_with(client.close)
    return client


def _raw(place: Place, steps: Sequence[bytes]) -> Run:
    """Send the same bytes each time over a bare socket, and read the reply with hiredis."""
    line, reader = connect(place.url), import_module("hiredis").Reader()
    place.stack.callback(line.close)
    whole = Renewed(b"".join(steps))
    sizes = [len(step) for step in steps]

    def call() -> None:
        sent, at = whole.again(), 0
        for size in sizes:
            line.sendall(sent[at : at + size])
            at += size
            while reader.gets() is False:
                reader.feed(line.recv(CHUNK))

    return each(call)


def _raw_decision(asked: Asked) -> Callable[[Place], Run]:
    words = [str(word).encode() for word in ("EVALSHA", *asked.words)]
    return lambda place: _raw(place, [packed(words)])


def _evalsha(asked: Asked) -> Callable[[Place], Run]:
    def opened(place: Place) -> Run:
        client = _client(place)
        return each(lambda: client.evalsha(*asked.words))

    return opened


def _glide_sync(asked: Asked) -> Callable[[Place], Run]:
    def opened(place: Place) -> Run:
        glide, where = import_module("glide_sync"), urlsplit(place.url)
        node = glide.NodeAddress(where.hostname, where.port)
        client = glide.GlideClient.create(glide.GlideClientConfiguration([node], request_timeout=PATIENCE_MS))
        place.close_with(client.close)
        script = glide.Script(asked.text)
        return each(lambda: client.invoke_script(script, asked.keys, asked.args))

    return opened


def _benchmark(asked: Asked) -> Callable[[Place], Run]:
    """The program that comes with Redis, or Valkey's: C, one connection, and it tells its own rate."""

    def opened(place: Place) -> Run:
        program = shutil.which("valkey-benchmark") or shutil.which("redis-benchmark")
        if program is None:
            raise FileNotFoundError("neither valkey-benchmark nor redis-benchmark is installed")
        options = ["-p", str(urlsplit(place.url).port), "-c", "1", "--csv", "-n"]

        def run(count: int) -> dict[str, float]:
            command = [program, *options, str(count), "EVALSHA", *map(str, asked.words)]
            before = os.times()
            told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            after = os.times()
            spent = (
                after.children_user + after.children_system - before.children_user - before.children_system
            )
            rate = float(told.strip().splitlines()[-1].split('","')[1])
            return {"wall": 1e6 / rate, "client": spent / count * 1e6}

        return run

    return opened


def _limits(strategy: str, text: str, entries: int = 0) -> Callable[[Place], Run]:
    """``limits``; with ``entries``, a key for so many calls, as for coord's exact window."""

    def opened(place: Place) -> Run:
        storage = import_module("limits.storage").RedisStorage(place.url)
        limiter = getattr(import_module("limits.strategies"), strategy)(storage)
        item, count = import_module("limits").parse(text), 0

        def hit() -> None:
            nonlocal count
            count += 1
            limiter.hit(item, f"u{count // entries:09}" if entries else strategy)

        return each(hit)

    return opened


def _throttled(using: str, limit: int = PLENTY) -> Callable[[Place], Run]:
    def opened(place: Place) -> Run:
        package = import_module("throttled")
        quota = package.per_hour(limit, burst=limit)
        store = package.RedisStore(server=place.url)
        limiter = package.Throttled(key="u", using=using, quota=quota, store=store)
        return each(limiter.limit)

    return opened


def _pyrate(limit: int = PLENTY) -> Callable[[Place], Run]:
    def opened(place: Place) -> Run:
        package = import_module("pyrate_limiter")
        rates = [package.Rate(limit, int(HOUR * 1000))]
        limiter = package.Limiter(package.RedisBucket.init(rates, _client(place), "u"))
        return each(lambda: limiter.try_acquire("u", blocking=False))

    return opened


def decisions(asked: Asked) -> dict[str, Operation]:
    """The script of one decision, by bare clients."""
    made = {
        "redis-py, bare `evalsha`": _evalsha(asked),
        "valkey-glide-sync, the same script": _glide_sync(asked),
        "bare socket and hiredis, the same bytes": _raw_decision(asked),
    }
    several = {name: Operation(name, opened, 100) for name, opened in made.items()}
    return several | {BENCHMARK: Operation(BENCHMARK, _benchmark(asked), MANY)}


def limiters() -> dict[str, Operation]:
    """One decision by other packages, each by a rule of its own."""
    made = {
        "limits, fixed window": _limits("FixedWindowRateLimiter", f"{PLENTY}/hour"),
        "limits, moving window": _limits("MovingWindowRateLimiter", f"{ENTRIES}/hour", ENTRIES),
        "limits, sliding window counter": _limits("SlidingWindowCounterRateLimiter", f"{PLENTY}/hour"),
        "throttled-py, token bucket": _throttled("token_bucket"),
        "throttled-py, GCRA": _throttled("gcra"),
        "pyrate-limiter": _pyrate(),
    }
    return {name: Operation(name, opened, 100) for name, opened in made.items()}


def denials(asked: Asked) -> dict[str, Operation]:
    """A key that is denied; the bare client asks each time, whatever the answer."""
    made = {
        "redis-py, bare `evalsha`": _evalsha(asked),
        "limits, fixed window": _limits("FixedWindowRateLimiter", f"{FEW}/hour"),
        "limits, moving window": _limits("MovingWindowRateLimiter", f"{FEW}/hour"),
        "throttled-py, token bucket": _throttled("token_bucket", FEW),
        "pyrate-limiter": _pyrate(FEW),
    }
    return {name: Operation(name, opened, 100) for name, opened in made.items()}


def _async_redis(asked: Asked, place: Place, callers: int) -> Run:
    library = import_module("redis.asyncio")
    pool = library.BlockingConnectionPool.from_url(place.url, max_connections=POOL, timeout=60)
    client = library.Redis.from_pool(pool)
    place.close_with(client.aclose)
    return tasks(place, callers, lambda: client.evalsha(*asked.words))


def _glide(asked: Asked, place: Place, callers: int) -> Run:
    glide, where = import_module("glide"), urlsplit(place.url)
    node = glide.NodeAddress(where.hostname, where.port)
    wanted = glide.GlideClientConfiguration(
        [node], request_timeout=PATIENCE_MS, inflight_requests_limit=IN_FLIGHT
    )
    client = place.wait(glide.GlideClient.create(wanted))
    place.close_with(client.close)
    script = glide.Script(asked.text)
    return tasks(place, callers, lambda: client.invoke_script(script, asked.keys, asked.args))


def _coredis(asked: Asked, place: Place, callers: int) -> Run:
    library = import_module("coredis")
    pool = library.ConnectionPool.from_url(place.url, max_connections=POOL, timeout=60)
    client = place.wait(_entered(place, library.Redis(connection_pool=pool)))
    return tasks(place, callers, lambda: client.evalsha(asked.sha, asked.keys, asked.args))


async def _entered(place: Place, manager: Any) -> Any:
    """Enter a block, and leave it at the end in the same task, as task groups want it."""
    inside, over = asyncio.get_running_loop().create_future(), asyncio.Event()

    async def hold() -> None:
        async with manager as entered:
            inside.set_result(entered)
            await over.wait()

    async def leave() -> None:
        over.set()
        await task

    task = asyncio.create_task(hold())
    await asyncio.wait([task, inside], return_when=asyncio.FIRST_COMPLETED)
    place.close_with(leave)
    return inside.result() if inside.done() else await task


def _least(asked: Asked, place: Place, callers: int) -> Run:
    words = [str(word).encode() for word in ("EVALSHA", *asked.words)]
    joined = place.wait(Joined.connected(place.url))
    place.close_with(joined.close)
    sent = packed(words)
    return tasks(place, callers, lambda: joined.ask(sent))


_ASYNC: dict[str, Callable[[Asked, Place, int], Run]] = {
    f"redis.asyncio, pool of {POOL}": _async_redis,
    "valkey-glide": _glide,
    f"coredis, pool of {POOL}": _coredis,
    "bare protocol and hiredis, the same bytes": _least,
}


def async_decisions(asked: Asked, callers: int, size: int) -> dict[str, Operation]:
    """The same script by bare asynchronous clients, asked by so many tasks."""

    def made(opened: Callable[[Asked, Place, int], Run]) -> Callable[[Place], Run]:
        return lambda place: opened(asked, place, callers)

    return {name: Operation(name, made(opened), size) for name, opened in _ASYNC.items()}


def _with(lock: Any) -> Run:
    def block() -> None:
        with lock:
            pass

    return each(block)


def _redis_lock(place: Place) -> Run:
    return _with(_client(place).lock("redis-py", timeout=TTL))


def _python_redis_lock(place: Place) -> Run:
    return _with(import_module("redis_lock").Lock(_client(place), "python-redis-lock", expire=TTL))


def _renewing_lock(place: Place) -> Run:
    lock = import_module("redis_lock").Lock
    return _with(lock(_client(place), "renewing", expire=TTL, auto_renewal=True))


def _pottery(place: Place) -> Run:
    masters = {import_module("redis").Redis.from_url(url) for url in place.urls}
    return _with(import_module("pottery").Redlock(key="pottery", masters=masters, auto_release_time=TTL))


def _raw_pair(place: Place) -> Run:
    return _raw(place, [packed(words) for words in evaluations(recorded(place, OPERATIONS["lock pair"])[0])])


def _async_redis_lock(place: Place) -> Run:
    client = import_module("redis.asyncio").Redis.from_url(place.url)
    place.close_with(client.aclose)
    lock = client.lock("redis.asyncio", timeout=TTL)

    async def block() -> None:
        async with lock:
            pass

    return tasks(place, 1, block)


def locks() -> dict[str, Operation]:
    """A lock taken and given back, by ``with`` where that is how it is used."""
    made = {
        "redis-py, `with`": _redis_lock,
        "python-redis-lock, `with`": _python_redis_lock,
        "python-redis-lock, `with`, renewed": _renewing_lock,
        "pottery, `with`": _pottery,
        "bare socket and hiredis, the same bytes": _raw_pair,
    }
    return {name: Operation(name, opened) for name, opened in made.items()}


ASYNC_LOCK = Operation("redis.asyncio, `async with`", _async_redis_lock)
POTTERY = Operation("pottery, `with`", _pottery, 25)
