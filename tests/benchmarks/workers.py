"""Processes that measure for this one: started, asked, and ended."""

from __future__ import annotations

import contextlib
import json
import select
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks.peers import compiling

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.benchmarks.alternate import Block

__all__ = ["ROOT", "Worker", "WorkerError", "crew"]

ROOT = Path(__file__).resolve().parents[2]
LONGEST = 120.0
"""Seconds in which an answer must come: more than 10,000 leases take on a slow machine."""
PATIENCE = 10.0
"""Seconds that a process has to end by itself."""


class WorkerError(Exception):
    """A process could not do what it was asked."""


class Worker:
    """A process that has ``coord`` from one checkout."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "tests.benchmarks.tree_worker", str(folder)]
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=compiling(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        try:
            self._check(folder)
        except BaseException:
            self.end()
            raise

    def _check(self, folder: Path) -> None:
        if not self._line().get("found"):
            raise WorkerError(f"{folder} has no package `coord`")

    def ask(self, do: str, **arguments: Any) -> Any:
        """Ask for something, and wait for the answer."""
        self.tell(do, **arguments)
        return self.answer()

    def tell(self, do: str, **arguments: Any) -> None:
        """Ask for something."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self._process.stdin.flush()

    def answer(self) -> Any:
        """Wait for the answer to what was asked last."""
        told = self._line()
        if "error" in told:
            raise WorkerError(told["error"])
        return told["answer"]

    def _line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], LONGEST)[0]:
            raise WorkerError(f"no answer within {LONGEST:.0f} s")
        line = self._process.stdout.readline()
        if not line:
            raise WorkerError("the process ended without an answer")
        told: dict[str, Any] = json.loads(line)
        return told

    def opened(self, operation: str, urls: list[str], pids: list[int], prefix: str) -> Block:
        """Have it make an operation ready; gives what has it run a block."""
        self.ask("open", operation=operation, urls=urls, pids=pids, prefix=prefix)
        return lambda count: self.ask("block", count=count)

    def end(self) -> None:
        """End it, by force if it takes long."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


@contextlib.contextmanager
def crew(folder: Path, count: int) -> Iterator[list[Worker]]:
    """Have so many processes of one checkout until the block ends."""
    with contextlib.ExitStack() as stack:
        workers = []
        for _ in range(count):
            worker = Worker(folder)
            stack.callback(worker.end)
            workers.append(worker)
        yield workers
