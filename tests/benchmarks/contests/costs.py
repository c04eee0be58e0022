"""Contests of what is left behind: the server's time, bytes kept, and what an import takes."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import redis

from tests.benchmarks.alternate import Contestant, Results, alternate, middle, ratio, server_time
from tests.benchmarks.coord_operations import ENTRIES, OPERATIONS, SLOW_BUCKET
from tests.benchmarks.operation import Operation, each
from tests.benchmarks.peer_operations import limiters, locks
from tests.benchmarks.peers import compiling
from tests.benchmarks.recording import commands, connect, recorded, replay
from tests.benchmarks.tables import TIMES, Table, figure, times

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    from tests.benchmarks.alternate import Block, Reading
    from tests.benchmarks.contests.bench import Bench
    from tests.benchmarks.operation import Place, Run

__all__ = [
    "BASE", "BUCKET", "FIRST", "FURTHER", "IMPORT", "IMPORTS", "LOG", "LOGS", "MEMORY", "PAIR", "RECORDED",
    "SERVER", "imported", "replayed", "server_contest", "suite",
]  # fmt: skip

SERVER, MEMORY, IMPORT = "Server time, saturated", "Memory of a limiter", "Import"
BASE, BUCKET, LOG = "`GET`", "coord, token bucket", "coord, sliding window, exact"
PAIR, FIRST = "coord, lock and release", "coord, and a first `Coord`"
LOGS = ("limits, moving window", "pyrate-limiter")
"""Those of others that keep every call."""
FURTHER = ENTRIES - 2
"""Calls between the two times that memory is looked at."""
RECORDED = 400
"""Calls that are noted, and sent again in one go."""
IMPORTS = {
    "redis": "import redis",
    "coord": "import coord",
    FIRST: "import coord; coord.Coord.connect('redis://localhost')",
}


def suite(bench: Bench) -> Iterator[Table]:
    """Measure costs; a table at a time, as it is done."""
    yield _server(bench)
    yield _memory(bench)
    yield _imports(bench)


def _commands(*several: tuple[str, ...]) -> Callable[[Place], Run]:
    def opened(place: Place) -> Run:
        client: Any = redis.Redis.from_url(place.url)
        place.close_with(client.close)

        def call() -> None:
            for words in several:
                client.execute_command(*words)

        return each(call)

    return opened


def _yardsticks() -> dict[str, Operation]:
    lock = ("SET", "lock", "token", "NX", "PX", "10000")
    rank = (("ZADD", "board", "7", "player:7"), ("ZREVRANK", "board", "player:7"))
    made = {
        BASE: _commands(("GET", "key")),
        "`SET NX PX`, `DEL`": _commands(lock, ("DEL", "lock")),
        "a script that does nothing": _commands(("EVAL", "return 1", "0")),
        "`ZADD`, `ZREVRANK`": _commands(*rank),
        "`PFADD`": _commands(("PFADD", "sketch", "user-7")),
        "`SETBIT`": _commands(("SETBIT", "bits", "7", "1")),
    }
    return {name: Operation(name, opened) for name, opened in made.items()}


def _rows() -> dict[str, Operation]:
    ours = {
        BUCKET: "decision",
        "coord, fixed window": "decision, fixed window",
        "coord, sliding window, approximate": "decision, sliding window, approximate",
        LOG: "decision, sliding window, exact",
        PAIR: "lock pair",
        "coord, lock and release, fair": "lock pair, fair",
        "coord, permit and release": "permit pair",
        "coord, submit": "submit",
        "coord, rank": "rank",
        "coord, add": "add",
        "coord, mark": "mark",
    }
    peers = {
        name: one
        for name, one in (limiters() | locks()).items()
        if "socket" not in name and "renewed" not in name
    }
    return _yardsticks() | {row: OPERATIONS[name] for row, name in ours.items()} | peers


def _server(bench: Bench) -> Table:
    found = server_contest(bench, _rows(), bench.seconds(20))
    bench.note(SERVER, found)
    rows = []
    for name, one in found.items():
        if one.problem:
            rows.append([name, f"could not be run: {one.problem}", "", "", ""])
            continue
        beside = f"{TIMES}1" if name == BASE else times(ratio(one, found[BASE], "server"), 1)
        sizes = [figure(middle(one, key), digits) for key, digits in (("commands", 1), ("bytes", 0))]
        rows.append([name, figure(middle(one, "server")), beside, *sizes])
    note = (
        "What each package sends was noted down, and is sent again in one go: so the server's processor is\n"
        "never idle, and what is counted is its time a call, by the scheduler. A server that is mostly idle\n"
        "takes longer for each, since caches are cold."
    )
    return Table(
        SERVER, ["", "server CPU, µs a call", "to `GET`", "commands a call", "bytes sent"], rows, note
    )


def server_contest(bench: Bench, rows: dict[str, Operation], seconds: float) -> dict[str, Results]:
    """Note what each sends, then send all of it again in turn, and count the server's time."""
    contestants, failed = [], {}
    with contextlib.ExitStack() as stack:
        line = stack.enter_context(contextlib.closing(connect(bench.url)))
        for row, operation in rows.items():
            bench.empty()
            try:
                with contextlib.ExitStack() as alone:
                    (sent,) = recorded(bench.place(alone), operation, RECORDED)
            except Exception as error:  # noqa: BLE001  # whatever it is, the table is to say so
                failed[row] = Results(problem=f"{type(error).__name__}: {error}")
            else:
                contestants.append(
                    Contestant(row, replayed(bench.url, bench.nodes[0].pid, line, sent), RECORDED)
                )
        found = alternate(contestants, seconds, bench.least)
    return {row: (found | failed)[row] for row in rows}


def replayed(url: str, pid: int, line: socket.socket, sent: bytes) -> Block:
    """Make a block that sends again, on an empty server, what so many calls have sent."""

    def block(count: int) -> Reading:
        with redis.Redis.from_url(url) as client:
            client.flushall()
        before = server_time([pid])
        replay(line, sent)
        spent = (server_time([pid]) - before) / 1e3
        told = {"server": spent, "commands": len([*commands(sent)]), "bytes": len(sent)}
        return {name: value / count for name, value in told.items()}

    return block


def _memory(bench: Bench) -> Table:
    found = {}
    names = {
        BUCKET: SLOW_BUCKET,
        "coord, fixed window": OPERATIONS["decision, fixed window"],
        "coord, sliding window, approximate": OPERATIONS["decision, sliding window, approximate"],
        LOG: OPERATIONS["decision, sliding window, exact"],
    }
    for row, operation in (names | limiters()).items():
        bench.empty()
        try:
            found[row] = Results([_kept(bench, operation)])
        except Exception as error:  # noqa: BLE001  # whatever it is, the table is to say so
            found[row] = Results(problem=f"{type(error).__name__}: {error}")
    bench.note(MEMORY, found)
    rows = [[row, one.problem or figure(middle(one, "one"), 0), *_entries(one)] for row, one in found.items()]
    note = (
        f"`MEMORY USAGE` of all keys of one user and one limit, after one call and after {ENTRIES - 1}:\n"
        "what keeps every call grows, what counts does not."
    )
    head = ["", "bytes after one call", f"bytes after {ENTRIES - 1}", "bytes a further call"]
    return Table(MEMORY, head, rows, note)


def _entries(one: Results) -> list[str]:
    many = middle(one, "many")
    return [figure(many, 0), figure((many - middle(one, "one")) / FURTHER, 1)]


def _kept(bench: Bench, operation: Operation) -> Reading:
    with contextlib.ExitStack() as stack, redis.Redis.from_url(bench.url) as client:
        run = operation.open(bench.place(stack))
        run(1)
        one = _bytes(client)
        run(FURTHER)
        return {"one": one, "many": _bytes(client)}


def _bytes(client: redis.Redis) -> float:
    return sum(float(client.memory_usage(key, samples=0) or 0) for key in client.keys("*"))


def imported(statement: str, folder: str = "") -> Block:
    """Make a block that runs a program of one statement, less one of none, in milliseconds."""
    environment = compiling(PYTHONPATH=folder) if folder else compiling()

    def program(text: str) -> tuple[float, float]:
        before, started = os.times(), time.perf_counter()
        subprocess.run([sys.executable, "-c", text], check=True, env=environment)
        after = os.times()
        cpu = after.children_user + after.children_system - before.children_user - before.children_system
        return cpu * 1e3, (time.perf_counter() - started) * 1e3

    def block(count: int) -> Reading:
        del count
        nothing, something = program("pass"), program(statement)
        return {"cpu": something[0] - nothing[0], "ms": something[1] - nothing[1]}

    return block


def _imports(bench: Bench) -> Table:
    contestants = [Contestant(name, imported(statement), 1) for name, statement in IMPORTS.items()]
    found = bench.note(IMPORT, alternate(contestants, bench.seconds(12), bench.least))
    rows = [
        [
            name,
            figure(middle(one, "cpu"), 0),
            times(ratio(one, found["redis"], "cpu")),
            figure(middle(one, "ms"), 0),
        ]
        for name, one in found.items()
    ]
    rows[0][2] = f"{TIMES}1"
    note = "A program of that one statement, less one of none. Processor time is of the program."
    return Table(IMPORT, ["", "CPU, ms", "to redis", "by the clock, ms"], rows, note)
