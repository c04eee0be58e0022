"""One worker of the fleet, sync or async.

Its work is written once, as a generator that yields the calls it wants made and is sent their answers.
A sync worker makes the calls of a ``Coord`` one after another; an async worker awaits those of an
``AsyncCoord``, all of a batch at once. Both get their orders as JSON on stdin, tell their news as JSON
lines on stdout, and exit when stdin closes, because then the parent is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import redis

from coord import AsyncCoord, Coord, LockError, LockLost, LockTimeout
from coord._engine.urls import open_async, open_sync
from coord.demo.ledger import Ledger, Record, ledger_key
from coord.demo.logfile import Range, Tally, parse, read_lines

if TYPE_CHECKING:
    from coord import AsyncLease, AsyncLock, Lease, Lock
    from coord.demo.ledger import PlainClient

__all__ = ["BURST", "RATE", "RETAIN", "STRETCH", "TTL", "Orders"]

TTL = 2.0
"""Seconds of a chunk's lease: some times what a chunk takes, and as long as the others wait for a killed
worker's."""

RATE = 5
"""Requests a second of one address: what a person's browser does not reach for long, and a crawler does."""

BURST = 20
"""Requests of one address at once: a page with all that belongs to it."""

RETAIN = 3600
"""Seconds that what a run counts is kept, should nobody sweep: an hour, much more than a run takes."""

BATCH = 32
"""Lines, or pages, that are dealt with at once: few enough to be asked side by side over a worker's
connections."""

STRETCH = 1000
"""Rows of a board read at once: as many as it answers."""

T = TypeVar("T")
Calls = list[Callable[[], Any]]
Steps = Generator[Calls, list[Any], T]


@dataclass(frozen=True, slots=True)
class Orders:
    """What a worker is told.

    Attributes:
        worker: Its number.
        is_async: Which flavour of coord it uses.
        url: Where the server is, password included; hence over a pipe, and not on a command line.
        prefix: The run's namespace.
        path: The log.
        size: How many bytes of it count.
        chunks: How it is cut up.
    """

    worker: int
    is_async: bool
    url: str
    prefix: str
    path: str
    size: int
    chunks: list[Range]

    def dumps(self) -> str:
        """Spell them as a line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def loads(cls, text: str) -> Orders:
        """Read what ``dumps`` wrote."""
        fields: dict[str, Any] = json.loads(text)
        cut = [Range(*part) for part in fields.pop("chunks")]
        return cls(**fields, chunks=cut)


class Shift:
    """A worker's work, from the first chunk it claims until none is left.

    Args:
        orders: What it was told.
        coord: The primitives, of either flavour.
        client: A plain client of the same flavour, for the ledger.
    """

    def __init__(self, orders: Orders, coord: Coord | AsyncCoord, client: PlainClient) -> None:
        self._orders = orders
        self._coord = coord
        self._client = client
        self._key = ledger_key(orders.prefix)
        self._ledger = Ledger(len(orders.chunks))
        self._bucket = coord.token_bucket("address", rate=RATE, burst=BURST)
        self._visitors = coord.unique_counter("visitors", period="day", retain=RETAIN)
        self._active = coord.activity("visitors", period="day", ids="text", retain=RETAIN)
        self._board = coord.leaderboard("pages", keep="best")
        self._on_board: dict[str, float] = {}
        self._ops = 0

    def work(self) -> Steps[None]:
        """Claim chunks and work through them until every chunk has its record."""
        self._say("ready")
        yield from self._read_ledger()
        while claim := (yield from self._claim()):
            chunk, lease = claim
            self._say("claim", chunk=chunk, fence=lease.fence)
            try:
                record = yield from self._read_chunk(chunk, lease)
            except LockLost:
                self._say("lost", chunk=chunk)
                yield from self._read_ledger()
                continue
            yield from self._commit(record)
            with contextlib.suppress(LockLost):  # the record is in: whoever has the lock now will see it
                yield from self._ask(lease.release)
            yield from self._read_ledger()
            yield from self._submit(record.pages)
        yield from self._complete_board()
        self._say("done")

    def _claim(self) -> Steps[tuple[int, Lease | AsyncLease] | None]:
        """Take the lock of a chunk that is not in the ledger; ``None`` when all are."""
        while missing := self._ledger.missing():
            for chunk in missing:
                lease = yield from self._ask(self._lock(chunk).try_acquire)
                if lease is not None:
                    break
            else:
                # Others hold all that is left: wait for one of them to finish, or to have died.
                chunk, lease = missing[0], None
                with contextlib.suppress(LockTimeout):
                    lease = yield from self._ask(self._lock(chunk).acquire, timeout=TTL)
            if lease is not None:
                if not (yield from self._ask(self._client.hexists, self._key, str(chunk))):
                    return chunk, lease
                with contextlib.suppress(LockLost):
                    yield from self._ask(lease.release)
            yield from self._read_ledger()
        return None

    def _lock(self, chunk: int) -> Lock | AsyncLock:
        return self._coord.lock(f"chunk-{chunk}", ttl=TTL)

    def _read_chunk(self, chunk: int, lease: Lease | AsyncLease) -> Steps[Record]:
        """Count a chunk's lines, and send each on to what it drives.

        Raises:
            LockLost: Another has the chunk by now.
        """
        ops_before = self._ops
        tally = Tally()
        throttled: Counter[str] = Counter()
        lines = read_lines(Path(self._orders.path), self._orders.chunks[chunk], self._orders.size)
        while batch := list(islice(lines, BATCH)):
            entries = [parse(line) for line in batch]
            for entry in entries:
                tally.add(entry)
            hosts = [entry.host for entry in entries if entry is not None]
            decisions = yield from self._ask_all([partial(self._bucket.try_acquire, host) for host in hosts])
            throttled.update(host for host, allowed in zip(hosts, decisions, strict=True) if not allowed)
            yield from self._keep(lease)
        for day, visitors in tally.visitors.items():
            yield from self._ask(self._visitors.add, *visitors, at=day)
            yield from self._ask(self._active.mark, *visitors, at=day)
        yield from self._keep(lease)
        return Record(
            chunk=chunk,
            worker=self._orders.worker,
            fence=lease.fence,
            requests=tally.requests,
            bad=tally.bad,
            days={day.isoformat(): requests for day, requests in tally.days.items()},
            pages=dict(tally.pages),
            throttled=dict(throttled),
            ops=self._ops - ops_before,
        )

    def _keep(self, lease: Lease | AsyncLease) -> Steps[None]:
        if lease.remaining() < TTL / 2:
            yield from self._ask(lease.renew)

    def _commit(self, record: Record) -> Steps[None]:
        new = yield from self._ask(self._client.hsetnx, self._key, str(record.chunk), record.dumps())
        yield from self._ask(self._client.expire, self._key, RETAIN)
        self._say("commit", chunk=record.chunk, lines=record.requests + record.bad, new=bool(new))

    def _read_ledger(self) -> Steps[None]:
        committed = yield from self._ask(self._client.hkeys, self._key)
        if unread := self._ledger.unread(committed):
            for text in (yield from self._ask(self._client.hmget, self._key, list(map(str, unread)))):
                self._ledger.add(Record.loads(text))

    def _submit(self, pages: dict[str, int]) -> Steps[None]:
        """Bring the board up to the ledger's totals for ``pages``, where it is known to be behind."""
        behind = [page for page in pages if self._on_board.get(page, 0) < self._ledger.pages[page]]
        for start in range(0, len(behind), BATCH):
            batch = behind[start : start + BATCH]
            standings = yield from self._ask_all(
                [partial(self._board.submit, page, self._ledger.pages[page]) for page in batch]
            )
            for page, standing in zip(batch, standings, strict=True):
                self._on_board[page] = standing.score

    def _complete_board(self) -> Steps[None]:
        """Submit whatever totals the board lacks, such as those of a worker killed before it could."""
        totals = self._ledger.pages
        if totals:
            stretch = yield from self._ask(self._board.scroll, STRETCH)
            self._on_board = {row.member: row.score for row in stretch.rows}
            while stretch.cursor is not None:
                stretch = yield from self._ask(self._board.scroll, STRETCH, cursor=stretch.cursor)
                self._on_board |= {row.member: row.score for row in stretch.rows}
            yield from self._submit(totals)

    def _ask(self, call: Callable[..., Any], *args: object, **options: object) -> Steps[Any]:
        answers = yield from self._ask_all([partial(call, *args, **options)])
        return answers[0]

    def _ask_all(self, calls: Calls) -> Steps[list[Any]]:
        self._ops += len(calls)
        return (yield calls)

    def _say(self, event: str, **details: object) -> None:
        print(json.dumps({"event": event, "ops": self._ops, **details}), flush=True)


def run_blocking(orders: Orders) -> None:
    """Work with ``Coord``, a call at a time."""
    with open_sync(orders.url).client as client, Coord(client, prefix=orders.prefix) as coord:
        steps = Shift(orders, coord, client).work()
        with contextlib.suppress(StopIteration):
            calls = next(steps)
            while True:
                try:
                    answers = [call() for call in calls]
                except LockError as error:
                    calls = steps.throw(error)
                else:
                    calls = steps.send(answers)


async def run_async(orders: Orders) -> None:
    """Work with ``AsyncCoord``, a batch of calls at a time."""
    async with open_async(orders.url).client as client, AsyncCoord(client, prefix=orders.prefix) as coord:
        steps = Shift(orders, coord, client).work()
        with contextlib.suppress(StopIteration):
            calls = next(steps)
            while True:
                try:
                    answers = await asyncio.gather(*(call() for call in calls))
                except LockError as error:
                    calls = steps.throw(error)
                else:
                    calls = steps.send(answers)


def _exit_with_parent() -> None:
    # Not sys.stdin: a thread inside its buffer would be in the way of the interpreter's exit.
    while os.read(0, 1):
        pass
    os._exit(1)


def main() -> None:
    """Take orders and carry them out."""
    orders = Orders.loads(sys.stdin.readline())
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    try:
        if orders.is_async:
            asyncio.run(run_async(orders))
        else:
            run_blocking(orders)
    except redis.RedisError as error:  # the server's fault, which no traceback explains
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
