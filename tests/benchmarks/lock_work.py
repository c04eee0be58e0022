"""What is measured of locks, as run in the process of one contestant.

Only the standard library is imported here, and of the contestants only the one asked for.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import time
from collections import Counter
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from multiprocessing.connection import Connection
    from multiprocessing.context import BaseContext
    from multiprocessing.synchronize import Barrier

    from tests.benchmarks.harness import Sample

NAME = "benchmark"
TTL = 10
WARM_UP = 50
WATCHED = 50
SOON = 30.0
SETTLE = (0.02, 0.12)
SETTLED = 1.0


@dataclass(frozen=True, slots=True)
class Pair:
    """A lock of one contestant: how it is taken, waiting if it must, and how it is given back."""

    acquire: Callable[[], object]
    release: Callable[[], object]


@dataclass(frozen=True, slots=True)
class AsyncPair:
    """The same for an event loop."""

    acquire: Callable[[], Awaitable[object]]
    release: Callable[[], Awaitable[object]]
    close: Callable[[], Awaitable[object]]


def _coord(urls: list[str], **options: Any) -> Pair:
    package = import_module("coord")
    # The servers have just started, and have nothing to forget.
    many = len(urls) > 1
    home = package.Quorum.connect(*urls, quarantine=False) if many else package.Coord.connect(urls[0])
    lock = home.lock(NAME, ttl=TTL, **options)
    leases: list[Any] = []
    return Pair(lambda: leases.append(lock.acquire()), lambda: leases.pop().release())


def _coord_fair(urls: list[str]) -> Pair:
    return _coord(urls, fair=True)


def _coord_block(urls: list[str]) -> Pair:
    lock = import_module("coord").Coord.connect(urls[0]).lock(NAME, ttl=TTL)
    return Pair(lock.__enter__, lambda: lock.__exit__(None, None, None))


def _redis_py(urls: list[str]) -> Pair:
    lock = import_module("redis").Redis.from_url(urls[0]).lock(NAME, timeout=TTL)
    return Pair(lock.acquire, lock.release)


def _python_redis_lock(urls: list[str]) -> Pair:
    client = import_module("redis").Redis.from_url(urls[0])
    lock = import_module("redis_lock").Lock(client, NAME, expire=TTL)
    return Pair(lock.acquire, lock.release)


def _pottery(urls: list[str]) -> Pair:
    connect = import_module("redis").Redis.from_url
    lock = import_module("pottery").Redlock(
        key=NAME, masters={connect(url) for url in urls}, auto_release_time=TTL
    )
    return Pair(lock.acquire, lock.release)


OPENERS: dict[str, Callable[[list[str]], Pair]] = {
    "coord": _coord,
    "coord fair": _coord_fair,
    "coord block": _coord_block,
    "redis-py": _redis_py,
    "python-redis-lock": _python_redis_lock,
    "pottery": _pottery,
}


def _async_coord(url: str) -> AsyncPair:
    home = import_module("coord").AsyncCoord.connect(url)
    lock = home.lock(NAME, ttl=TTL)
    leases: list[Any] = []

    async def acquire() -> None:
        leases.append(await lock.acquire())

    return AsyncPair(acquire, lambda: leases.pop().release(), home.close)


def _async_redis_py(url: str) -> AsyncPair:
    client = import_module("redis.asyncio").Redis.from_url(url)
    lock = client.lock(NAME, timeout=TTL)
    return AsyncPair(lock.acquire, lock.release, client.aclose)


MODULES = {"coord": ["coord"], "python-redis-lock": ["redis_lock"], "pottery": ["pottery"]}
ASYNC_OPENERS: dict[str, Callable[[str], AsyncPair]] = {"coord": _async_coord, "redis-py": _async_redis_py}


def uncontended(urls: list[str], contestant: str, seconds: float) -> Sample:
    """Take and give back a lock that nobody else wants, one pair after the other.

    Returns:
        ``rate`` pairs a second, ``cpu`` microseconds of the server's time a pair; with one server,
        ``commands`` that it was sent a pair, and ``spelt`` what they were.
    """
    pair = OPENERS[contestant](urls)
    _repeat(pair, WARM_UP)
    servers = [import_module("redis").Redis.from_url(url) for url in urls]
    spent = sum(map(_server_cpu, servers))
    done, took = _for_a_while(pair, seconds)
    spent = sum(map(_server_cpu, servers)) - spent
    sample: Sample = {"rate": done / took, "cpu": spent / done * 1e6, "pair_ms": took / done * 1e3}
    return sample | _watched(servers[0], pair) if len(urls) == 1 else sample


def _repeat(pair: Pair, times: int) -> None:
    for _ in range(times):
        pair.acquire()
        pair.release()


def _for_a_while(pair: Pair, seconds: float) -> tuple[int, float]:
    acquire, release, clock = pair.acquire, pair.release, time.perf_counter
    done, started = 0, clock()
    while (now := clock()) - started < seconds:
        acquire()
        release()
        done += 1
    return done, now - started


def _server_cpu(client: Any) -> float:
    told = client.info("cpu")
    return float(told["used_cpu_user"] + told["used_cpu_sys"])


def _watched(client: Any, pair: Pair) -> Sample:
    """Have the server tell what it is sent; what a script runs inside is not sent."""
    seen: Counter[str] = Counter()
    with client.monitor() as watch:
        client.echo("begin")
        _repeat(pair, WATCHED)
        client.echo("end")
        for told in watch.listen():
            verb, _, rest = told["command"].partition(" ")
            if verb == "ECHO" and rest == "begin":
                seen.clear()  # what it took to connect
            elif verb == "ECHO":
                break
            elif told["client_type"] != "lua":
                seen[verb.upper()] += 1
    spelt = " + ".join(f"{count / WATCHED:g} {verb}" for verb, count in sorted(seen.items()))
    return {"commands": sum(seen.values()) / WATCHED, "spelt": spelt}


def uncontended_async(urls: list[str], contestant: str, seconds: float) -> Sample:
    """Do what ``uncontended`` does in one task of an event loop; returns ``rate`` pairs a second."""
    return asyncio.run(_uncontended_async(urls[0], contestant, seconds))


async def _uncontended_async(url: str, contestant: str, seconds: float) -> Sample:
    pair = ASYNC_OPENERS[contestant](url)
    for _ in range(WARM_UP):
        await pair.acquire()
        await pair.release()
    done, started = 0, time.perf_counter()
    while (now := time.perf_counter()) - started < seconds:
        await pair.acquire()
        await pair.release()
        done += 1
    await pair.close()
    return {"rate": done / (now - started)}


def _processes() -> BaseContext:
    """Prefer ``fork``: contenders are ready at once, and nothing is connected yet that they would share."""
    known = multiprocessing.get_all_start_methods()
    return multiprocessing.get_context("fork" if "fork" in known else "spawn")


def _preload(contestant: str) -> None:
    """Import once, before contenders are forked, what each of them would import."""
    for module in ("redis", *MODULES.get(contestant.partition(" ")[0], ())):
        import_module(module)


def contended(urls: list[str], contestant: str, contenders: int, work: float, seconds: float) -> Sample:
    """Have processes take one lock in turn, each sleeping for ``work`` seconds while it holds it.

    Returns:
        ``rate`` locks a second, ``waits`` milliseconds for each, ``luck`` how many the luckiest contender
        had for each of the unluckiest's, which counts as one at the least.
    """
    _preload(contestant)
    context = _processes()
    barrier = context.Barrier(contenders)
    ends = [_start(context, _contend, urls, contestant, (work, seconds), barrier) for _ in range(contenders)]
    told = [_receive(end) for end in ends]
    counts = [len(one["waits"]) - one["late"] for one in told]
    return {
        "rate": sum(counts) / seconds,
        "waits": [wait for one in told for wait in one["waits"]],
        "luck": max(counts) / max(1, min(counts)),
    }


def _start(context: BaseContext, target: Callable[..., None], *arguments: object) -> Connection[Any, Any]:
    ours, theirs = context.Pipe()
    process: Any = context
    process.Process(target=_report, args=(target, theirs, *arguments), daemon=True).start()
    return ours


def _report(target: Callable[..., None], end: Connection[Any, Any], *arguments: object) -> None:
    """Run ``target`` in a child; should it fail, the parent is to hear of it."""
    try:
        target(end, *arguments)
    except Exception as error:  # noqa: BLE001  # whatever it is, the table is to say so
        end.send({"error": f"{type(error).__name__}: {error}"})
    os._exit(0)  # what a contestant leaves running is not waited for


def _receive(end: Connection[Any, Any]) -> Any:
    if not end.poll(SOON):
        raise TimeoutError(f"a contender said nothing for {SOON:.0f} s")
    told = end.recv()
    if isinstance(told, dict) and "error" in told:
        raise RuntimeError(told["error"])
    return told


def _contend(
    end: Connection[Any, Any], urls: list[str], contestant: str, shift: tuple[float, float], barrier: Barrier
) -> None:
    work, seconds = shift
    pair = OPENERS[contestant](urls)
    _repeat(pair, 1)  # connected, and its scripts known
    barrier.wait(SOON)
    waits = []
    late = 0
    over = time.perf_counter() + seconds
    while (asked := time.perf_counter()) < over:
        pair.acquire()
        got = time.perf_counter()
        waits.append((got - asked) * 1e3)
        late += got >= over
        time.sleep(work)
        pair.release()
    end.send({"waits": waits, "late": late})


def hand_off(urls: list[str], contestant: str, times: int) -> Sample:
    """Give a lock back while another process waits for it.

    The holder gives it back at a random moment, 20 to 120 ms after the other began to wait, so that those
    who poll are met at any point of their pause.

    Returns:
        ``delays``: milliseconds from the call of release to the moment the waiter's acquire returned.
    """
    _preload(contestant)
    end = _start(_processes(), _wait_and_tell, urls, contestant)
    pair = OPENERS[contestant](urls)
    delays = []
    for _ in range(times):
        pair.acquire()
        end.send(True)
        _receive(end)
        time.sleep(random.uniform(*SETTLE))
        released = time.monotonic_ns()
        pair.release()
        delays.append((_receive(end) - released) / 1e6)
    end.send(False)
    return {"delays": delays}


def _wait_and_tell(end: Connection[Any, Any], urls: list[str], contestant: str) -> None:
    pair = OPENERS[contestant](urls)
    while end.recv():
        end.send("asking")
        pair.acquire()
        got = time.monotonic_ns()
        pair.release()
        end.send(got)


def waited(urls: list[str], waiters: int, times: int) -> Sample:
    """Have as many tasks of another process wait for as many locks, and give some of those back.

    Returns:
        ``connections`` of the process that waits; ``delays``: milliseconds from the call of release here to
        the moment that the waiter's acquire returned there.
    """
    _preload("coord")
    home = import_module("coord").Coord.connect(urls[0])
    client = import_module("redis").Redis.from_url(urls[0])
    leases = [home.lock(f"{NAME}:{n}", ttl=60).acquire() for n in range(waiters)]
    before = client.info("clients")["connected_clients"]
    end = _start(_processes(), _wait_for_all, urls, waiters)
    _receive(end)
    connections = client.info("clients")["connected_clients"] - before
    delays = []
    for n in range(min(waiters, times)):
        time.sleep(random.uniform(*SETTLE) / 5)
        released = time.monotonic_ns()
        leases[n].release()
        delays.append((_receive(end) - released) / 1e6)
    return {"connections": connections, "delays": delays}


def _wait_for_all(end: Connection[Any, Any], urls: list[str], waiters: int) -> None:
    asyncio.run(_wait_for_all_of_them(end, urls[0], waiters))


async def _wait_for_all_of_them(end: Connection[Any, Any], url: str, waiters: int) -> None:
    home = import_module("coord").AsyncCoord.connect(url)

    async def wait(n: int) -> None:
        await home.lock(f"{NAME}:{n}").acquire()
        end.send(time.monotonic_ns())

    tasks = [asyncio.create_task(wait(n)) for n in range(waiters)]
    await asyncio.sleep(SETTLED)  # until all of them have asked, and wait
    end.send("waiting")
    await asyncio.gather(*tasks)


def renewed(urls: list[str], leases: int, ttl: float) -> Sample:
    """Hold many locks in ``with`` blocks for the length of a lease, and count what renewing them takes.

    Returns:
        For a third of a lease: ``scripts`` that the server ran, ``server_ms`` and ``client_ms`` of
        processor time; and ``lost`` leases in all.
    """
    return asyncio.run(_renewed(urls[0], leases, ttl))


async def _renewed(url: str, leases: int, ttl: float) -> Sample:
    client = import_module("redis").Redis.from_url(url)
    inside, over, held = asyncio.Event(), asyncio.Event(), []

    async def hold(lock: Any) -> bool:
        async with lock.hold() as lease:
            held.append(lease)
            if len(held) == leases:
                inside.set()
            await over.wait()
            return bool(lease.valid)

    async with import_module("coord").AsyncCoord.connect(url) as home, asyncio.TaskGroup() as group:
        holders = [group.create_task(hold(home.lock(f"{NAME}:{n}", ttl=ttl))) for n in range(leases)]
        await inside.wait()
        before = (_scripts(client), _server_cpu(client), time.process_time())
        await asyncio.sleep(ttl)
        after = (_scripts(client), _server_cpu(client), time.process_time())
        over.set()
    lost = leases - sum(holder.result() for holder in holders)
    scripts, server, own = (late - early for late, early in zip(after, before, strict=True))
    return {"scripts": scripts / 3, "server_ms": server / 3e-3, "client_ms": own / 3e-3, "lost": lost}


def _scripts(client: Any) -> int:
    told = client.info("commandstats")
    return sum(int(told.get(f"cmdstat_{verb}", {}).get("calls", 0)) for verb in ("eval", "evalsha"))


def round_trip(urls: list[str], seconds: float) -> Sample:
    """Ask each server for a PONG, and return ``pair_ms`` of two such trips to the slowest."""
    clients = [import_module("redis").Redis.from_url(url) for url in urls]
    slowest = 0.0
    for client in clients:
        ping = Pair(client.ping, client.ping)
        _repeat(ping, WARM_UP)
        done, took = _for_a_while(ping, seconds / len(clients))
        slowest = max(slowest, took / done * 1e3)
    return {"pair_ms": slowest, "rate": 1e3 / slowest}
