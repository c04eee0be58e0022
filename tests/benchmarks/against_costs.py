"""What two checkouts leave behind: the server's time, bytes kept, and what an import takes."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import redis

from tests.benchmarks.alternate import Contestant, Results, alternate
from tests.benchmarks.checkouts import PREFIXES, Field, both
from tests.benchmarks.contests.costs import FIRST, FURTHER, IMPORTS, RECORDED, imported, replayed
from tests.benchmarks.coord_operations import OPERATIONS
from tests.benchmarks.recording import QUIET, Relay, connect
from tests.benchmarks.tables import Table
from tests.benchmarks.workers import Worker, WorkerError, crew

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.benchmarks.alternate import Reading

__all__ = ["COSTS"]

UNSENT = ("decision, denied", "with lock, 10,000 held", "quorum pair")
"""What sends nothing, more than matters, or to several servers."""
KEPT = ("decision, slow bucket", "decision, sliding window, exact")
WARM = 3


@contextlib.contextmanager
def _workers(field: Field) -> Iterator[dict[str, Worker]]:
    with contextlib.ExitStack() as stack:
        yield {one: stack.enter_context(crew(path, 1))[0] for one, path in field.folders.items()}


def _server(field: Field) -> Table:
    rows = []
    with _workers(field) as workers:
        for name in OPERATIONS:
            if name in UNSENT or "async" in name:
                continue
            try:
                rows.append([name, *both(_replayed(field, workers, name), [("server", 1), ("bytes", 0)])])
            except WorkerError as error:
                rows.append([name, f"could not be run: {error}", "", "", ""])
    note = "What both send was noted, and is sent again in one go, so that the server is never idle."
    head = ["", "server CPU, µs a call", "this / that", "bytes sent", "this / that"]
    return Table("Server time, saturated", head, rows, note)


def _replayed(field: Field, workers: dict[str, Worker], name: str) -> dict[str, Results]:
    with contextlib.ExitStack() as stack:
        (url,), (pid,) = field.where(1)
        line = stack.enter_context(contextlib.closing(connect(url)))
        relay = stack.enter_context(contextlib.closing(Relay(url)))
        contestants = []
        for one, worker in workers.items():
            block = worker.opened(name, [relay.url], [], PREFIXES[one])
            block(WARM)
            time.sleep(QUIET)
            relay.taken()
            block(RECORDED)
            time.sleep(QUIET)
            contestants.append(Contestant(one, replayed(url, pid, line, relay.taken()), RECORDED))
            worker.ask("close")
        return alternate(contestants, field.seconds / 3)


def _memory(field: Field) -> Table:
    rows = []
    with _workers(field) as workers:
        for name in KEPT:
            found = {one: Results([_kept(field, worker, one, name)]) for one, worker in workers.items()}
            rows.append([name, *both(found, [("one", 0), ("many", 0)])])
    head = ["", "bytes after one call", "this / that", f"after {FURTHER + 1}", "this / that"]
    return Table("Memory", head, rows, "`MEMORY USAGE` of all keys of one user and one limit.")


def _kept(field: Field, worker: Worker, one: str, name: str) -> Reading:
    (url,), _ = field.where(1)
    block = worker.opened(name, [url], [], PREFIXES[one])
    with redis.Redis.from_url(url) as client:
        block(1)
        first = _bytes(client)
        block(FURTHER)
        return {"one": first, "many": _bytes(client)}


def _bytes(client: redis.Redis) -> float:
    return sum(float(client.memory_usage(key, samples=0) or 0) for key in client.keys("*"))


def _imports(field: Field) -> Table:
    rows = []
    for name in ("coord", FIRST):
        blocks = {one: imported(IMPORTS[name], str(path)) for one, path in field.folders.items()}
        contestants = [Contestant(one, block, 1) for one, block in blocks.items()]
        rows.append([name, *both(alternate(contestants, 2 * field.seconds), [("cpu", 0), ("ms", 0)])])
    head = ["", "CPU, ms", "this / that", "by the clock, ms", "this / that"]
    return Table("Import", head, rows, "A program of that one statement, less one of none.")


COSTS: dict[str, Callable[[Field], Table]] = {"server time": _server, "memory": _memory, "import": _imports}
"""By name, as ``--only`` takes them."""
