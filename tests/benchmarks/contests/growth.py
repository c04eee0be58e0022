"""How cost grows: with waiters, with leases, with threads."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tests.benchmarks.alternate import Results, middle, server_time
from tests.benchmarks.contests.bench import Bench, beside, contest
from tests.benchmarks.coord_operations import bucket_of, home_of
from tests.benchmarks.operation import Operation
from tests.benchmarks.peer_operations import asked_for
from tests.benchmarks.tables import Table, figure

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from tests.benchmarks.alternate import Reading
    from tests.benchmarks.operation import Place, Run
    from tests.benchmarks.peer_operations import Asked

__all__ = ["LEASES", "NUMBERS", "THREADS", "WAITERS", "suite"]

WAITERS, LEASES, THREADS = (
    "Waiters on one lock, by their number",
    "Leases renewed, by their number",
    "Threads",
)
NUMBERS, QUICK_NUMBERS = (1, 10, 100, 1_000, 10_000), (100, 1_000)
CREWS, QUICK_CREWS = (1, 8, 32), (1, 8)
ASKED = 960
"""Decisions of a block, divided among threads."""
LASTING, IDLE = 600.0, 1.0
TTL, MANY, MANY_TTL = 3.0, 1_000, 12.0
"""Leases in seconds; many need longer ones, since it takes a while to acquire them."""
SETTLED = 0.5
WITHIN = 60.0
"""Seconds in which each number is to be measured: ten times what 10,000 take on a machine left alone."""


def suite(bench: Bench) -> Iterator[Table]:
    """Measure growth; a table at a time, as it is done."""
    yield _waiters(bench)
    yield _leases(bench)
    yield _threads(bench)


def _by_number(
    bench: Bench,
    name: str,
    measure: Callable[[Bench, int], Awaitable[Reading]],
    figures: dict[str, tuple[str, int]],
    note: str,
) -> Table:
    found = {}
    for number in QUICK_NUMBERS if bench.quick else NUMBERS:
        bench.empty()
        try:
            found[f"{number:,}"] = Results([asyncio.run(_in_time(measure(bench, number)))])
        except TimeoutError:
            found[f"{number:,}"] = Results(problem=f"not within {WITHIN:g} s")
        except Exception as error:  # noqa: BLE001  # whatever it is, the table is to say so
            found[f"{number:,}"] = Results(problem=f"{type(error).__name__}: {error}")
    bench.note(name, found)
    rows = [[row, *_cells(one, figures)] for row, one in found.items()]
    return Table(name, ["", *(heading for heading, _ in figures.values())], rows, note)


def _cells(one: Results, figures: dict[str, tuple[str, int]]) -> list[str]:
    if one.problem:
        return [f"could not be run: {one.problem}", *[""] * (len(figures) - 1)]
    return [figure(middle(one, key), digits) for key, (_, digits) in figures.items()]


async def _in_time(measuring: Awaitable[Reading]) -> Reading:
    async with asyncio.timeout(WITHIN):
        return await measuring


def _waiters(bench: Bench) -> Table:
    figures = {
        "join": ("client CPU to join, µs each", 0),
        "idle": ("idle, ms of client CPU a second", 2),
        "client": ("client CPU a hand-off, µs", 0),
        "server": ("server CPU a hand-off, µs", 0),
        "wall": ("clock a hand-off, µs", 0),
        "connections": ("connections", 0),
    }
    note = (
        "So many tasks of one process wait for one lock. Then it is given back, and goes from one to the\n"
        "next until all have had it. Once each."
    )
    return _by_number(bench, WAITERS, _waited, figures, note)


async def _waited(bench: Bench, number: int) -> Reading:
    coord = import_module("coord").AsyncCoord
    pids, clock = [bench.nodes[0].pid], time.process_time
    async with coord.connect(bench.url) as holder, coord.connect(bench.url, call_timeout=60) as home:
        lease = await holder.lock("one", ttl=LASTING).acquire()
        lock, status = home.lock("one", ttl=LASTING), holder.lock("one")

        async def turn() -> None:
            await (await lock.acquire()).release()

        spent = clock()
        waiters = [asyncio.create_task(turn()) for _ in range(number)]
        while (await status.status()).waiters < number:
            await asyncio.sleep(0.05)
        join = clock() - spent
        await asyncio.sleep(SETTLED)
        spent = clock()
        await asyncio.sleep(IDLE)
        idle = clock() - spent
        with import_module("redis").Redis.from_url(bench.url) as client:
            connections = len(client.client_list()) - 2  # this one, and the holder's
        server, spent, started = server_time(pids), clock(), time.perf_counter()
        await lease.release()
        await asyncio.gather(*waiters)
        wall, spent, server = time.perf_counter() - started, clock() - spent, server_time(pids) - server
    return {
        "join": join / number * 1e6, "idle": idle / IDLE * 1e3, "client": spent / number * 1e6,
        "server": server / number / 1e3, "wall": wall / number * 1e6, "connections": connections,
    }  # fmt: skip


def _leases(bench: Bench) -> Table:
    figures = {
        "enter": ("client CPU to enter a block, µs", 0),
        "scripts": ("scripts a third of a lease", 1),
        "server": ("server CPU in it, ms", 2),
        "client": ("client CPU in it, ms", 2),
        "lost": ("leases lost", 0),
    }
    note = (
        "So many tasks of one loop, each inside an `async with` block of its own lock, whose lease is\n"
        f"renewed. Leases are of {TTL:g} s; those of more than {MANY:,}, which take a while to acquire, of\n"
        f"{MANY_TTL:g} s. Once each."
    )
    return _by_number(bench, LEASES, _renewed, figures, note)


async def _renewed(bench: Bench, number: int) -> Reading:
    ttl, pids, clock = MANY_TTL if number > MANY else TTL, [bench.nodes[0].pid], time.process_time
    inside, over, held = asyncio.Event(), asyncio.Event(), []

    async def hold(lock: Any) -> bool:
        async with lock.hold() as lease:
            held.append(lease)
            if len(held) == number:
                inside.set()
            await over.wait()
            return bool(lease.valid)

    home = import_module("coord").AsyncCoord.connect(bench.url, call_timeout=60)
    with import_module("redis").Redis.from_url(bench.url) as client:
        async with home, asyncio.TaskGroup() as group:
            spent = clock()
            holders = [group.create_task(hold(home.lock(f"lease:{n}", ttl=ttl))) for n in range(number)]
            await inside.wait()
            enter = clock() - spent
            before = (_scripts(client), server_time(pids), clock())
            await asyncio.sleep(ttl)
            after = (_scripts(client), server_time(pids), clock())
            over.set()
    scripts, server, own = (late - early for late, early in zip(after, before, strict=True))
    return {
        "enter": enter / number * 1e6, "scripts": scripts / 3, "server": server / 3e6, "client": own / 3e-3,
        "lost": number - sum(holder.result() for holder in holders),
    }  # fmt: skip


def _scripts(client: Any) -> float:
    told = client.info("commandstats")
    return sum(float(told.get(f"cmdstat_{verb}", {}).get("calls", 0)) for verb in ("eval", "evalsha"))


def _threads(bench: Bench) -> Table:
    with contextlib.ExitStack() as stack:
        asked = asked_for(bench.place(stack))
    rows = {}
    for count in QUICK_CREWS if bench.quick else CREWS:
        name = f"{count} thread{'s' if count > 1 else ''}"
        rows[f"redis-py, {name}"] = Operation(name, _bare_threads(count, asked), ASKED)
        rows[f"coord, {name}"] = Operation(name, _coord_threads(count), ASKED)
    found = contest(bench, THREADS, rows, 2)
    note = (
        "Threads of one `Coord`, or of one `redis.Redis` with its pool as it comes, ask for decisions, each\n"
        "one after the other. `redis-py` runs the same script."
    )
    return beside(found, "redis-py, 1 thread", THREADS, note)


def _coord_threads(count: int) -> Callable[[Place], Run]:
    def opened(place: Place) -> Run:
        bucket = bucket_of(home_of(place))
        return _crew(count, lambda: bucket.try_acquire("u"))

    return opened


def _bare_threads(count: int, asked: Asked) -> Callable[[Place], Run]:
    def opened(place: Place) -> Run:
        client = import_module("redis").Redis.from_url(place.url)
        place.close_with(client.close)
        return _crew(count, lambda: client.evalsha(*asked.words))

    return opened


def _crew(count: int, call: Callable[[], object]) -> Run:
    def run(calls: int) -> None:
        def turns() -> None:
            for _ in range(calls // count):
                call()

        crew = [threading.Thread(target=turns) for _ in range(count)]
        for one in crew:
            one.start()
        for one in crew:
            one.join()

    return run
