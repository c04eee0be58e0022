"""What is measured of single calls, as run in the process of one contestant.

Every contestant runs the same script with the same arguments: one decision of a token bucket. Only the
standard library is imported here, and of the contestants only the one asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.benchmarks.harness import Sample

PLENTY = 1_000_000
WARM_UP = 50
POOL = 100


@dataclass(frozen=True, slots=True)
class Decision:
    """What is asked: a script, its keys and its arguments, as coord sends them."""

    text: str
    keys: list[str]
    args: list[str]


@dataclass(frozen=True, slots=True)
class AsyncCaller:
    """How one contestant makes a decision, or several at once if it does that differently."""

    decide: Callable[[], Awaitable[object]]
    close: Callable[[], Awaitable[object]]
    decide_many: Callable[[int], Awaitable[object]] | None = None


async def _coord(url: str, asked: Decision, **options: Any) -> AsyncCaller:
    del asked
    home = import_module("coord").AsyncCoord.connect(url, call_timeout=60, **options)
    bucket = home.token_bucket("calls", rate=PLENTY, burst=PLENTY)
    return AsyncCaller(lambda: bucket.try_acquire("u"), home.close)


async def _coord_alone(url: str, asked: Decision) -> AsyncCaller:
    return await _coord(url, asked, coalesce=False)


async def _redis_py(url: str, asked: Decision) -> AsyncCaller:
    library = import_module("redis.asyncio")
    pool = library.BlockingConnectionPool.from_url(url, max_connections=POOL, timeout=60)
    client = library.Redis(connection_pool=pool)
    sha = await client.script_load(asked.text)
    return AsyncCaller(lambda: client.evalsha(sha, len(asked.keys), *asked.keys, *asked.args), client.aclose)


async def _pipeline(url: str, asked: Decision) -> AsyncCaller:
    client = import_module("redis.asyncio").Redis.from_url(url)
    sha = await client.script_load(asked.text)

    async def decide_many(count: int) -> None:
        batch = client.pipeline(transaction=False)
        for _ in range(count):
            batch.evalsha(sha, len(asked.keys), *asked.keys, *asked.args)
        await batch.execute()

    return AsyncCaller(
        lambda: client.evalsha(sha, len(asked.keys), *asked.keys, *asked.args), client.aclose, decide_many
    )


async def _coredis(url: str, asked: Decision) -> AsyncCaller:
    library = import_module("coredis")
    stack = contextlib.AsyncExitStack()
    pool = library.ConnectionPool.from_url(url, max_connections=POOL, timeout=60)
    client = await stack.enter_async_context(library.Redis(connection_pool=pool))
    sha = await client.script_load(asked.text)
    return AsyncCaller(lambda: client.evalsha(sha, asked.keys, asked.args), stack.aclose)


async def _glide(url: str, asked: Decision) -> AsyncCaller:
    library = import_module("glide")
    where = urlsplit(url)
    node = library.NodeAddress(where.hostname, where.port)
    wanted = library.GlideClientConfiguration([node], request_timeout=60_000, inflight_requests_limit=2000)
    client = await library.GlideClient.create(wanted)
    script = library.Script(asked.text)
    return AsyncCaller(lambda: client.invoke_script(script, asked.keys, asked.args), client.close)


ASYNC_OPENERS: dict[str, Callable[[str, Decision], Awaitable[AsyncCaller]]] = {
    "coord": _coord,
    "coord alone": _coord_alone,
    "redis-py": _redis_py,
    "pipeline": _pipeline,
    "coredis": _coredis,
    "valkey-glide": _glide,
}


def concurrent(
    urls: list[str], contestant: str, asked: dict[str, Any], callers: list[int], calls: int
) -> Sample:
    """Let many tasks of one event loop ask for decisions, each one after the other.

    Returns:
        For each number of callers ``n``: ``rate n`` decisions a second, ``cpu n`` microseconds of this
        process's time for each and ``server n`` of the server's; ``connections`` open after the most of them.
    """
    return asyncio.run(_concurrent(urls[0], contestant, Decision(**asked), callers, calls))


async def _concurrent(url: str, contestant: str, asked: Decision, callers: list[int], calls: int) -> Sample:
    before = _connections(url)
    caller = await ASYNC_OPENERS[contestant](url, asked)
    sample: Sample = {}
    for count in callers:
        await _ask(caller, count, WARM_UP)
        busy, spent, started = _server_cpu(url), _cpu(), time.perf_counter()
        done = await _ask(caller, count, calls)
        took, spent = time.perf_counter() - started, _cpu() - spent
        sample |= {f"rate {count}": done / took, f"cpu {count}": spent / done * 1e6}
        sample[f"server {count}"] = (_server_cpu(url) - busy) / done * 1e6
    sample["connections"] = _connections(url) - before
    await caller.close()
    return sample


async def _ask(caller: AsyncCaller, count: int, calls: int) -> int:
    """Make about ``calls`` decisions, at least one for each caller."""
    turns = max(1, calls // count)

    async def one() -> None:
        for _ in range(turns):
            await caller.decide()

    if caller.decide_many is None:
        await asyncio.gather(*(one() for _ in range(count)))
    else:
        for _ in range(turns):
            await caller.decide_many(count)
    return turns * count


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _connections(url: str) -> int:
    """Ask a server how many clients are connected, this question left out."""
    return int(_info(url, "clients", "connected_clients")[0]) - 1


def _server_cpu(url: str) -> float:
    """Ask a server for the seconds of processor time that it has used."""
    return sum(_info(url, "cpu", "used_cpu_sys", "used_cpu_user"))


def _info(url: str, section: str, *names: str) -> list[float]:
    """Ask a server for figures, without any client library."""
    where = urlsplit(url)
    with socket.create_connection((where.hostname, where.port)) as line:
        line.sendall(f"INFO {section}\r\nQUIT\r\n".encode())
        told = b"".join(iter(lambda: line.recv(65536), b"")).decode()
    return [float(told.partition(f"\n{name}:")[2].split()[0]) for name in names]


def _sync_coord(url: str, asked: Decision) -> Callable[[], object]:
    del asked
    bucket = import_module("coord").Coord.connect(url).token_bucket("calls", rate=PLENTY, burst=PLENTY)
    return lambda: bucket.try_acquire("u")


def _sync_redis_py(url: str, asked: Decision) -> Callable[[], object]:
    client = import_module("redis").Redis.from_url(url)
    sha = client.script_load(asked.text)
    return lambda: client.evalsha(sha, len(asked.keys), *asked.keys, *asked.args)


def _raw_socket(url: str, asked: Decision) -> Callable[[], object]:
    """Send the same bytes each time, and do not read what the answer says."""
    client = import_module("redis").Redis.from_url(url)
    words = ("EVALSHA", client.script_load(asked.text), len(asked.keys), *asked.keys, *asked.args)
    packed = b"".join(client.connection_pool.get_connection().pack_command(*words))
    line = socket.create_connection((urlsplit(url).hostname, urlsplit(url).port))
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def decide() -> bytes:
        line.sendall(packed)
        return line.recv(65536)

    return decide


OPENERS: dict[str, Callable[[str, Decision], Callable[[], object]]] = {
    "coord": _sync_coord,
    "redis-py": _sync_redis_py,
    "raw socket": _raw_socket,
}


def one_by_one(urls: list[str], contestant: str, asked: dict[str, Any], calls: int) -> Sample:
    """Let one thread ask for decisions, one after the other.

    Returns:
        ``rate`` decisions a second, ``cpu`` microseconds of this process's time for each.
    """
    decide = OPENERS[contestant](urls[0], Decision(**asked))
    for _ in range(WARM_UP):
        decide()
    spent, started = _cpu(), time.perf_counter()
    for _ in range(calls):
        decide()
    took = time.perf_counter() - started
    return {"rate": calls / took, "cpu": (_cpu() - spent) / calls * 1e6}


def imported(urls: list[str], statement: str, times: int) -> Sample:
    """Run a program that imports something, and one that does nothing, in turn.

    Returns:
        The difference of the medians: ``cpu`` milliseconds, ``ms`` by the clock; and how many ``modules``.
    """
    del urls
    programs = {"nothing": "pass", "import": statement}
    for program in programs.values():
        _program(program)  # which leaves the modules compiled
    took = {name: [_program(program) for _ in range(times)] for name, program in programs.items()}
    middle = {
        name: [statistics.median(one) for one in zip(*runs, strict=True)] for name, runs in took.items()
    }
    cpu, clock = (after - before for before, after in zip(middle["nothing"], middle["import"], strict=True))
    count = f"import sys; before = len(sys.modules); {statement}; print(len(sys.modules) - before)"
    told = subprocess.run([sys.executable, "-c", count], check=True, capture_output=True, text=True)
    return {"cpu": cpu * 1e3, "ms": clock * 1e3, "modules": int(told.stdout)}


def _program(text: str) -> tuple[float, float]:
    """Run a program; return its seconds of processor time, and by the clock."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-c", text], check=True)
    took, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime, took
