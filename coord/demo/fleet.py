"""The fleet: worker processes, what they say, and the one that is killed."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from coord.demo.worker import Orders

__all__ = ["Claim", "Fleet", "Log", "Member", "Watcher"]

PATIENCE = 3.0
"""Seconds for a worker to end by itself, longer than the lease that it may wait for."""


class Claim(NamedTuple):
    """A chunk was handed to a worker under a fence."""

    worker: int
    chunk: int
    fence: int


@dataclass(slots=True)
class Log:
    """What the fleet has said so far.

    Attributes:
        claims: Chunks handed out, in order.
        committed: The chunks of the records that were accepted.
        discarded: How many records came too late, for a chunk that had one.
        lost: How many chunks a worker dropped because its lease had run out.
        lines: Lines in the accepted records.
        kill: The last claim of the worker that was killed, if one was.
        failed: The workers that ended with an error.
        started: When the processes were started, on a monotonic clock.
        ready: When the first of them was at work.
        ended: When the last of them was gone.
    """

    claims: list[Claim] = field(default_factory=list[Claim])
    committed: set[int] = field(default_factory=set[int])
    discarded: int = 0
    lost: int = 0
    lines: int = 0
    kill: Claim | None = None
    failed: list[int] = field(default_factory=list[int])
    started: float = 0.0
    ready: float | None = None
    ended: float = 0.0

    def handed_out_twice(self) -> dict[int, list[Claim]]:
        """Return the chunks that were claimed more than once, with their claims in order."""
        by_chunk: dict[int, list[Claim]] = {}
        for claim in self.claims:
            by_chunk.setdefault(claim.chunk, []).append(claim)
        return {chunk: claims for chunk, claims in by_chunk.items() if len(claims) > 1}


class Watcher(Protocol):
    """Whoever is told how it goes."""

    def progress(self, log: Log, working: int) -> None:
        """Something was said; so many workers are left."""

    def killed(self, claim: Claim) -> None:
        """A worker was killed, as asked."""

    def died(self, worker: int, status: int, said: str, others: int) -> None:
        """A worker ended with an error, and said this on stderr; so many others are left."""


@dataclass(slots=True)
class Member:
    """One worker as its parent sees it.

    Attributes:
        orders: What it was told.
        process: Its process.
        stderr: What it says there.
        ops: How many operations it has made, as of its last news.
    """

    orders: Orders
    process: subprocess.Popen[str]
    stderr: IO[bytes]
    ops: int = 0

    @classmethod
    def start(cls, orders: Orders) -> Member:
        """Start the process and give it its orders."""
        stderr = tempfile.TemporaryFile()  # noqa: SIM115  # closed in `close`
        process = subprocess.Popen(
            [sys.executable, "-m", "coord.demo.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            encoding="utf-8",
            start_new_session=True,  # a terminal's Ctrl-C is for the parent, who then stops its workers
        )
        member = cls(orders, process, stderr)
        with contextlib.suppress(BrokenPipeError):  # it died at once; its end will be noticed
            assert process.stdin is not None  # noqa: S101
            process.stdin.write(orders.dumps() + "\n")
            process.stdin.flush()
        return member

    def said(self) -> str:
        """Return what it has said on stderr."""
        self.stderr.seek(0)
        return self.stderr.read().decode(errors="replace").strip()

    def end(self) -> None:
        """Wait for the process to end, and kill it if it takes too long."""
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def close(self) -> None:
        """Close its pipes."""
        for pipe in (self.process.stdin, self.process.stdout, self.stderr):
            with contextlib.suppress(BrokenPipeError):
                if pipe is not None:
                    pipe.close()


class Fleet:
    """The workers of one run.

    Args:
        orders: One for each worker.
        kill_one: Whether to kill one of them midway, as it takes a chunk.
        watcher: Who is told how it goes.
    """

    def __init__(self, orders: Sequence[Orders], *, kill_one: bool, watcher: Watcher) -> None:
        self.members: list[Member] = []
        self.log = Log(started=time.monotonic())
        self._orders = orders
        self._chunks = len(orders[0].chunks)
        self._kill_one = kill_one
        self._watcher = watcher
        self._news: SimpleQueue[tuple[Member, dict[str, Any] | None]] = SimpleQueue()
        self._readers: list[threading.Thread] = []

    def __enter__(self) -> Self:
        try:
            for orders in self._orders:
                self._start(orders)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _start(self, orders: Orders) -> None:
        member = Member.start(orders)
        self.members.append(member)
        reader = threading.Thread(target=self._read, args=(member,), daemon=True)
        self._readers.append(reader)
        reader.start()

    def _stop(self) -> None:
        for member in self.members:
            if member.process.poll() is None:
                member.process.terminate()
        for member in self.members:
            member.end()
        for reader in self._readers:
            reader.join()
        for member in self.members:
            member.close()

    @property
    def ops(self) -> int:
        """Operations of all workers, as of their last news."""
        return sum(member.ops for member in self.members)

    def run(self) -> Log:
        """Listen to the workers until the last one has ended."""
        working = len(self.members)
        while working:
            member, news = self._news.get()
            if news is None:
                working -= 1
                self._ended(member, working)
            else:
                member.ops = news["ops"]
                self._heard(member, news, working)
            self._watcher.progress(self.log, working)
        self.log.ended = time.monotonic()
        return self.log

    def _read(self, member: Member) -> None:
        assert member.process.stdout is not None  # noqa: S101
        for line in member.process.stdout:
            with contextlib.suppress(json.JSONDecodeError):  # cut off, if it was killed while it wrote
                self._news.put((member, json.loads(line)))
        self._news.put((member, None))

    def _heard(self, member: Member, news: dict[str, Any], working: int) -> None:
        log = self.log
        match news["event"]:
            case "ready":
                log.ready = log.ready or time.monotonic()
            case "claim":
                claim = Claim(member.orders.worker, news["chunk"], news["fence"])
                log.claims.append(claim)
                if self._kill_one and working > 1 and len(log.committed) >= self._chunks // 3:
                    self._kill(member, claim)
                elif log.kill and log.kill.worker == claim.worker:
                    log.kill = claim  # it was quick: this was its last word
            case "commit" if news["new"]:
                log.committed.add(news["chunk"])
                log.lines += news["lines"]
            case "commit":
                log.discarded += 1
            case "lost":
                log.lost += 1
            case _:
                pass  # "done": its end will follow

    def _kill(self, member: Member, claim: Claim) -> None:
        if member.process.poll() is not None:
            return
        member.process.kill()
        self._kill_one = False
        self.log.kill = claim
        self._watcher.killed(claim)

    def _ended(self, member: Member, others: int) -> None:
        status = member.process.wait()
        if status and not (self.log.kill and self.log.kill.worker == member.orders.worker):
            self.log.failed.append(member.orders.worker)
            self._watcher.died(member.orders.worker, status, member.said(), others)
