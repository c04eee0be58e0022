"""What is measured of limiters: the work of one contestant, in a process of its own."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.benchmarks.harness import Sample

HOUR = 3600
PLENTY = 9_000
WARM_UP = 30
TURN = 25
"""So many in a row, of each contestant in turn."""
CONNECTIONS = 1000

Ask = Callable[[], bool]
"""Asks about one key, and says whether it is allowed."""


def _coord(url: str, kind: str, limit: int, **options: Any) -> Ask:
    home = import_module("coord").Coord.connect(url)
    if kind == "bucket":
        limiter = home.token_bucket("b", rate=limit, per=HOUR, **options)
    elif kind == "fixed":
        limiter = home.fixed_window("f", limit=limit, per=HOUR, **options)
    else:
        limiter = home.sliding_window("s", limit=limit, per=HOUR, precision=kind, **options)
    return lambda: limiter.try_acquire("user:7").allowed


def _call(url: str, limit: int) -> tuple[str, tuple[Any, ...]]:
    """The script of coord's token bucket, and what coord sends with it."""
    coord = import_module("coord").Coord.connect(url)
    flow = coord.token_bucket("b", rate=limit, per=HOUR)._flow
    call = flow._room.call("take", 0, [flow._item("user:7", 1, at_least=1)])
    words = call.words()
    coord.close()
    return call.what.text, words[1:]


def _evalsha(url: str, limit: int) -> Ask:
    client = import_module("redis").Redis.from_url(url)
    text, words = _call(url, limit)
    client.script_load(text)
    return lambda: client.evalsha(*words)[0] == 1


def _incrby(url: str, limit: int) -> Ask:
    client = import_module("redis").Redis.from_url(url)
    return lambda: client.incrby("user:7", 1) <= limit


def _limits(url: str, kind: str, limit: int) -> Ask:
    package, storage = import_module("limits"), import_module("limits.storage").RedisStorage(url)
    strategies = import_module("limits.strategies")
    name = {"fixed": "FixedWindowRateLimiter", "moving": "MovingWindowRateLimiter"}[kind]
    limiter, item = getattr(strategies, name)(storage), package.parse(f"{limit}/hour")
    return lambda: limiter.hit(item, "user:7")


def _throttled(url: str, kind: str, limit: int) -> Ask:
    package = import_module("throttled")
    limiter = package.Throttled(
        key="user:7",
        using=kind,
        quota=package.per_hour(limit, burst=limit),
        store=package.RedisStore(server=url),
    )
    return lambda: not limiter.limit().limited


def _pyrate(url: str, limit: int) -> Ask:
    package, client = import_module("pyrate_limiter"), import_module("redis").Redis.from_url(url)
    bucket = package.RedisBucket.init([package.Rate(limit, package.Duration.HOUR)], client, "user:7")
    limiter = package.Limiter(bucket)
    return lambda: bool(limiter.try_acquire("user:7", blocking=False))


def _asker(url: str, contestant: str, limit: int) -> Ask:
    kind = contestant.rpartition(" ")[2]
    if contestant.startswith("limits"):
        return _limits(url, kind, limit)
    if contestant.startswith("throttled"):
        return _throttled(url, kind, limit)
    if contestant == "pyrate":
        return _pyrate(url, limit)
    if contestant in ("evalsha", "incrby"):
        return {"evalsha": _evalsha, "incrby": _incrby}[contestant](url, limit)
    if contestant == "bucket asking":
        return _coord(url, "bucket", limit, deny_cache=0)
    return _coord(url, contestant, limit)


def _spent(client: Any) -> float:
    told = client.info("cpu")
    return float(told["used_cpu_user"] + told["used_cpu_sys"])


def decided(urls: list[str], contestant: str, seconds: float) -> Sample:
    """Ask while the answer is yes; where a limit is used up, begin afresh.

    Returns:
        ``rate`` decisions a second, and ``cpu`` microseconds of the server's time for each.
    """
    server = import_module("redis").Redis.from_url(urls[0])
    ask = _asker(urls[0], contestant, PLENTY)
    for _ in range(WARM_UP):
        ask()
    spent, took, done = _spent(server), 0.0, 0
    while took < seconds:
        server.delete(*server.keys("*"))
        started = time.perf_counter()
        for _ in range(500):
            ask()
        took += time.perf_counter() - started
        done += 500
    return {"rate": done / took, "cpu": (_spent(server) - spent) / done * 1e6}


FLOOR = """
local time = redis.call('TIME')
local found = redis.call('GET', KEYS[1])
redis.call('SET', KEYS[1], ARGV[1], 'PX', 3600000)
return {1, time[1], time[2], found}"""
"""The least that a script does for a token bucket: the time, the state, the new state. It decides nothing."""


def answered(urls: list[str], times: int) -> Sample:
    """Ask for one decision after another, in turn with what it is compared with.

    Returns:
        For each ``/delay``: the microseconds until each answer.
    """
    client = import_module("redis").Redis.from_url(urls[0])
    sha = client.script_load(FLOOR)
    asks: dict[str, Callable[[], Any]] = {
        "redis-py, bare `incrby`": _incrby(urls[0], PLENTY),
        "a script that decides nothing": lambda: client.evalsha(sha, 1, "user:8", "1790000000000000:1"),
        "redis-py, bare `evalsha`": _evalsha(urls[0], 10**9),
        "coord, token bucket": _coord(urls[0], "bucket", 10**9),
    }
    sample: Sample = {f"{name}/delay": [] for name in asks}
    for _ in range(times):
        for name, ask in asks.items():
            ask()  # the one before has left its caches
            for _ in range(TURN):
                started = time.perf_counter()
                ask()
                sample[f"{name}/delay"].append((time.perf_counter() - started) * 1e6)
    return sample


def by_threads(urls: list[str], contestant: str, threads: int, times: int) -> Sample:
    """Let threads ask about one key, so many times each.

    Returns:
        ``rate`` decisions a second.
    """
    ask = _asker(urls[0], contestant, 10**9)
    ask()

    def work() -> None:
        for _ in range(times):
            ask()

    crew = [threading.Thread(target=work) for _ in range(threads)]
    started = time.perf_counter()
    for one in crew:
        one.start()
    for one in crew:
        one.join()
    return {"rate": threads * times / (time.perf_counter() - started)}


def by_tasks(urls: list[str], contestant: str, tasks: int, times: int) -> Sample:
    """Let tasks of one loop ask about one key, so many times each.

    Returns:
        ``rate`` decisions a second.
    """
    return asyncio.run(_by_tasks(urls[0], contestant, tasks, times))


async def _by_tasks(url: str, contestant: str, tasks: int, times: int) -> Sample:
    ask: Callable[[], Any]
    if contestant == "bucket":
        home = import_module("coord").AsyncCoord.connect(url)
        limiter = home.token_bucket("b", rate=10**9, per=HOUR)
        ask, close = (lambda: limiter.try_acquire("user:7")), home.close
    else:
        package = import_module("throttled.asyncio")
        throttle = package.Throttled(
            key="user:7",
            using=contestant.rpartition(" ")[2],
            quota=package.rate_limiter.per_hour(10**9, burst=10**9),
            store=package.store.RedisStore(server=url),
        )
        ask, close = throttle.limit, None

    async def work() -> None:
        for _ in range(times):
            await ask()

    await ask()
    started = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(tasks)))
    took = time.perf_counter() - started
    if close is not None:
        await close()
    return {"rate": tasks * times / took}


def denied(urls: list[str], contestant: str, seconds: float) -> Sample:
    """Ask while the answer is no.

    Returns:
        ``rate`` denials a second, ``cpu_rate`` the same a second of this process's CPU, and how many
        commands were ``sent``.
    """
    server = import_module("redis").Redis.from_url(urls[0])
    ask = _asker(urls[0], contestant, 5)
    for _ in range(WARM_UP):
        ask()
    if ask():
        raise RuntimeError("it allows more than its limit")
    before = server.info("stats")["total_commands_processed"]
    started, cpu, done = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - started < seconds:
        for _ in range(200):
            ask()
        done += 200
    took, cpu = time.perf_counter() - started, time.process_time() - cpu
    sent = server.info("stats")["total_commands_processed"] - before - 1
    return {"rate": done / took, "cpu_rate": done / cpu, "sent": sent}


def remembered(urls: list[str], contestant: str, entries: int) -> Sample:
    """Look at what is kept of one limit.

    Returns:
        The bytes of all keys after ``one`` call and after ``many``, and how many keys are ``lasting``.
    """
    server = import_module("redis").Redis.from_url(urls[0])
    ask = _asker(urls[0], contestant, 2 * entries)
    ask()
    one = _bytes(server)
    for _ in range(entries - 1):
        ask()
    return {
        "one": one,
        "many": _bytes(server),
        "lasting": sum(server.pttl(key) == -1 for key in server.keys("*")),
    }


def _bytes(server: Any) -> int:
    return sum(server.memory_usage(key, samples=0) for key in server.keys("*"))


def at_once(urls: list[str], contestant: str, callers: int, seconds: float) -> Sample:
    """Let many tasks ask at the same time.

    Returns:
        ``rate`` decisions a second, over so many ``connections``.
    """
    return asyncio.run(_at_once(urls[0], contestant, callers, seconds))


async def _at_once(url: str, contestant: str, callers: int, seconds: float) -> Sample:
    server = import_module("redis").Redis.from_url(url)
    before, done = server.info("clients")["connected_clients"], 0
    ask: Callable[[], Any]
    close: Callable[[], Any]
    if contestant == "evalsha":
        asyncio_redis = import_module("redis.asyncio")
        pool = asyncio_redis.BlockingConnectionPool.from_url(url, max_connections=CONNECTIONS, timeout=None)
        client = asyncio_redis.Redis(connection_pool=pool)
        text, words = _call(url, 10**9)
        await client.script_load(text)
        ask, close = (lambda: client.evalsha(*words)), client.aclose
    else:
        home = import_module("coord").AsyncCoord.connect(url, call_timeout=60)
        limiter = home.token_bucket("b", rate=10**9, per=HOUR)
        ask, close = (lambda: limiter.try_acquire("user:7")), home.close

    async def caller(until: float) -> None:
        nonlocal done
        while time.perf_counter() < until:
            await ask()
            done += 1

    await ask()
    started = time.perf_counter()
    await asyncio.gather(*(caller(started + seconds) for _ in range(callers)))
    took = time.perf_counter() - started
    connections = server.info("clients")["connected_clients"] - before
    await close()
    return {"rate": done / took, "connections": connections}
