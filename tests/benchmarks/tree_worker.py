"""A process that measures one checkout, told by its standard input what to do and when.

``python -m tests.benchmarks.tree_worker DIR`` takes ``coord`` from ``DIR``, and what is done with it from
this checkout. A request is a line of JSON, and so is an answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks.alternate import measured
from tests.benchmarks.coord_operations import OPERATIONS
from tests.benchmarks.lock_roles import ROLES
from tests.benchmarks.operation import Place

if TYPE_CHECKING:
    from tests.benchmarks.alternate import Block

__all__ = ["main"]


class Worker:
    """Answers requests, each by the method of its name."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._block: Block | None = None
        self._roles: dict[str, Any] = {}

    def open(self, operation: str, urls: list[str], pids: list[int], prefix: str) -> None:
        """Make an operation ready, and put away the one before."""
        self.close()
        place = self._place(urls, pids, prefix)
        self._block = measured(OPERATIONS[operation].open(place), pids)

    def block(self, count: int) -> dict[str, float]:
        """Run so many calls of it."""
        assert self._block is not None
        return self._block(count)

    def play(self, role: str, urls: list[str], prefix: str) -> None:
        """Take up the part of one who shares a lock with other processes, beside those taken up before."""
        self._roles[role] = ROLES[role](self._place(urls, [], prefix))

    def act(self, role: str, what: str, **arguments: Any) -> Any:
        """Do what belongs to a part."""
        return getattr(self._roles[role], what)(**arguments)

    def close(self) -> None:
        """Put away what was made ready."""
        self._block = None
        self._roles.clear()
        self._stack.close()

    def _place(self, urls: list[str], pids: list[int], prefix: str) -> Place:
        loop = self._stack.enter_context(asyncio.Runner())
        return Place(urls, pids, loop, self._stack, prefix)


def main(folder: str) -> None:
    """Answer until the input ends."""
    home = Path(folder).resolve()
    sys.path.insert(0, str(home))
    found = Path(str(import_module("coord").__file__)).resolve()
    worker, answers = Worker(), sys.stdout
    sys.stdout = sys.stderr  # what a package prints is no answer
    started: dict[str, Any] = {"found": found.is_relative_to(home) and str(found.parent)}
    answers.write(json.dumps(started) + "\n")
    answers.flush()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            told: dict[str, Any] = {"answer": getattr(worker, request.pop("do"))(**request)}
        except Exception as error:  # noqa: BLE001  # whatever it is, the table is to say so
            told = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(told) + "\n")
        answers.flush()
    worker.close()


if __name__ == "__main__":
    main(sys.argv[1])
