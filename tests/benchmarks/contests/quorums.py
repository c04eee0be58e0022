"""Contests of a lock on five servers: near, and behind a link."""

from __future__ import annotations

import contextlib
import select
import time
from importlib import import_module
from statistics import median
from typing import TYPE_CHECKING, Any

from tests.benchmarks.alternate import Contestant, alternate, measured, middle, ratio
from tests.benchmarks.contests.bench import Bench, beside, contest
from tests.benchmarks.coord_operations import OPERATIONS
from tests.benchmarks.operation import Operation, Place, each
from tests.benchmarks.peer_operations import POTTERY
from tests.benchmarks.recording import Relay, Renewed, connect, evaluations, packed, recorded
from tests.benchmarks.tables import TIMES, Table, figure, times

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.benchmarks.operation import Run

__all__ = ["COORD", "LINK", "NODES", "PINGS", "POLLER", "QUORUM", "TRIP", "suite"]

NODES, MAJORITY = 5, 3
QUORUM, LINK = "A quorum of 5", "A quorum of 5 over a link"
POLLER, COORD, PINGS = "one poller, the same commands", "coord", "redis-py, two PINGs to one server"
TRIP = "redis-py, a PING to one server"
FAR = 0.001
"""Seconds that the link takes each way: a round trip of 2 ms."""
PATIENCE_MS = 5_000
CHUNK = 1 << 16
BLOCK = 25
TRIES = 10
"""Times to note a pair until one is clean."""


def suite(bench: Bench) -> Iterator[Table]:
    """Measure a quorum; a table at a time, as it is done."""
    rows = {
        POLLER: Operation(POLLER, _poller, BLOCK),
        COORD: OPERATIONS["quorum pair"],
        "pottery, `with`": POTTERY,
        PINGS: Operation(PINGS, _pings, BLOCK),
    }
    note = (
        f"One thread takes a lock on {NODES} independent servers, which share one core, and gives it back.\n"
        "The poller sends what coord sends, from one thread over bare sockets, and waits for a majority in\n"
        "each phase: it is the limit of anything in Python with these scripts."
    )
    yield beside(contest(bench, QUORUM, rows, 3, NODES), POLLER, QUORUM, note)
    yield _far(bench)


class _Poller:
    """Sends to all at once, and waits for some."""

    def __init__(self, place: Place) -> None:
        self._lines = [connect(url) for url in place.urls]
        reader = import_module("hiredis").Reader
        self._readers = [reader() for _ in self._lines]
        self._owed = [0 for _ in self._lines]
        self._poll, self._numbers = select.poll(), {}
        for number, line in enumerate(self._lines):
            place.stack.callback(line.close)
            self._poll.register(line, select.POLLIN)
            self._numbers[line.fileno()] = number

    def ask(self, sent: Sequence[bytes]) -> None:
        """Send to each its part, and wait for a majority of those who have one."""
        needed = min(MAJORITY, sum(map(bool, sent)))
        for number, part in enumerate(sent):
            if part:
                self._lines[number].sendall(part)
                self._owed[number] += 1
        while needed > 0:
            for number in self._read():
                needed -= bool(sent[number]) and not self._owed[number]

    def _read(self) -> Iterator[int]:
        for descriptor, _ in self._poll.poll(PATIENCE_MS):
            number = self._numbers[descriptor]
            reader = self._readers[number]
            reader.feed(self._lines[number].recv(CHUNK))
            while reader.gets() is not False:
                self._owed[number] -= 1
                yield number


def _phases(place: Place) -> tuple[list[list[tuple[bytes, ...]]], list[bytes]]:
    """Note what a pair sends to each server, and the scripts of its phases, in order.

    Servers that were not needed for a majority may still be sent the end of the pair before; then again.
    """
    for _ in range(TRIES):
        sent = [evaluations(one) for one in recorded(place, OPERATIONS["quorum pair"])]
        scripts = [[words[1] for words in one] for one in sent]
        firsts, lasts = ({one[end] for one in scripts if one} for end in (0, -1))
        if (
            all(scripts)
            and len(firsts) == len(lasts) == 1
            and all(len(set(one)) == len(one) for one in scripts)
        ):
            between = dict.fromkeys(script for one in scripts for script in one[1:-1])
            return sent, [*firsts, *between, *lasts]
    raise RuntimeError(f"no clean pair was noted in {TRIES} times")


def _poller(place: Place) -> Run:
    sent, phases = _phases(place)
    whole = Renewed(b"|".join(packed(words) for one in sent for words in one))
    sizes = [[len(packed(words)) for words in one] for one in sent]
    places = [[phases.index(words[1]) for words in one] for one in sent]
    poller = _Poller(place)

    def call() -> None:
        pieces, at = whole.again(), 0
        turns = [[b""] * len(sent) for _ in phases]
        for number, lengths in enumerate(sizes):
            for phase, length in zip(places[number], lengths, strict=True):
                turns[phase][number] = pieces[at : at + length]
                at += length + 1
        for turn in turns:
            poller.ask(turn)

    return each(call)


def _pings(place: Place) -> Run:
    client = import_module("redis").Redis.from_url(place.url)
    place.close_with(client.close)

    def call() -> None:
        client.ping()
        client.ping()

    return each(call)


def _far(bench: Bench) -> Table:
    bench.empty()
    with contextlib.ExitStack() as stack:
        place = bench.place(stack, NODES)
        relays = [stack.enter_context(contextlib.closing(Relay(url, FAR))) for url in place.urls]
        far = Place([relay.url for relay in relays], place.pids, place.loop, stack)
        rows = {TRIP: _far_ping(far), COORD: _far_acquire(far)}
        contestants = [Contestant(name, measured(run, place.pids), BLOCK) for name, run in rows.items()]
        found = bench.note(LINK, alternate(contestants, bench.seconds(8), bench.least))
    problem = found[TRIP].problem or found[COORD].problem
    cells = [[name, figure(middle(one, "trip"), 2)] for name, one in found.items()]
    cells[0].append(f"{TIMES}1")
    cells[1].append(problem or times(ratio(found[COORD], found[TRIP], "trip")))
    note = (
        "The same with each server behind a relay that takes 1 ms each way: how long acquire takes, in\n"
        "round trips. What the relays cost in this process is in both rows."
    )
    return Table("A quorum of 5 over a link of 2 ms", ["", "ms", "round trips"], cells, note)


def _far_ping(place: Place) -> Run:
    client = import_module("redis").Redis.from_url(place.url)
    place.close_with(client.close)
    return lambda count: {"trip": median(_timed(client.ping) for _ in range(count))}


def _far_acquire(place: Place) -> Run:
    quorum = import_module("coord").Quorum.connect(*place.urls, quarantine=False)
    place.close_with(quorum.close)
    lock = quorum.lock("far")

    def run(count: int) -> dict[str, float]:
        took = []
        for _ in range(count):
            leases: list[Any] = []
            took.append(_timed(lambda: leases.append(lock.acquire())))  # noqa: B023  # called at once
            leases.pop().release()
        return {"trip": median(took)}

    return run


def _timed(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return (time.perf_counter() - started) * 1e3
