"""Guards over the bodies of ``with`` blocks, which cut a body short where that can be done cleanly.

Theory
------
A cancel scope belongs to the task that has entered it. One that is left in another task, as when an async
generator is closed by its event loop or a fixture is torn down, stays behind in the first and cancels that.
So a guard is no scope. It cancels a task as ``asyncio.timeout`` does: it asks the task to be cancelled, and
takes the request back when the block is left, wherever that happens.

Rules
-----
1. The request is made by the event loop between two steps of the task, and so it is over by the task's next
   step. A task that asked for its own cancellation would carry that out of the block.
2. If others have asked for the task's cancellation too, theirs goes on, in the form that they know it by.
3. Who leaves the block elsewhere only disarms the guard. So does a forked child, which has no such task.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel

from coord._engine.port import step

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["NoGuard", "TaskGuard"]


class NoGuard:
    """A thread's body cannot be cut short cleanly, and so it is not."""

    def begin(self) -> None:
        """See ``Guard``."""

    def end(self, error: BaseException | None) -> bool:
        """See ``Guard``."""
        del error
        return False

    def last(self, seconds: float) -> None:
        """See ``Guard``."""

    def cut(self) -> None:
        """See ``Guard``."""

    def bring(self, flow: Callable[[], Coroutine[object, None, None]]) -> None:
        """See ``Guard``. Whoever renews leases is in a thread already."""
        step(flow())

    async def give_way(self) -> None:
        """See ``Guard``."""


class TaskGuard:
    """Cuts the body of a task short by cancelling the task.

    Args:
        start: Runs a flow in the event loop of the task, beside it.
    """

    def __init__(self, start: Callable[[Coroutine[object, None, None]], object]) -> None:
        self._start = start
        self._loop = asyncio.get_running_loop()
        self._process = os.getpid()
        self._task: asyncio.Task[object] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._until = 0.0
        self._before = 0
        self._has_cut = self._yields = False

    def begin(self) -> None:
        """See ``Guard``."""
        self._task = task = asyncio.current_task()
        self._before = 0 if task is None else task.cancelling()

    def end(self, error: BaseException | None) -> bool:
        """See ``Guard``."""
        task, self._task = self._task, None
        if _running_loop() is not self._loop:
            self._disarm_from_afar(task)
            return False
        if self._timer is not None:
            self._timer.cancel()
        if task is None or not self._has_cut:
            return False
        others = task.uncancel() > self._before or anyio.current_effective_deadline() == -math.inf
        if asyncio.current_task() is not task or not isinstance(error, asyncio.CancelledError):
            return False
        self._yields = others
        return not others

    def _disarm_from_afar(self, task: asyncio.Task[object] | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed, and its tasks are over
            if self._timer is not None:
                self._loop.call_soon_threadsafe(self._timer.cancel)
            if task is not None and self._has_cut:
                self._loop.call_soon_threadsafe(task.uncancel)

    def last(self, seconds: float) -> None:
        """See ``Guard``."""
        self._until = until = self._loop.time() + seconds
        if self._timer is not None:
            if self._timer.when() <= until:
                return  # it looks again when it is over: to let it be is cheaper than another
            self._timer.cancel()
        self._timer = self._loop.call_at(until, self._look)

    def _look(self) -> None:
        if self._loop.time() < self._until:
            self._timer = self._loop.call_at(self._until, self._look)
        else:
            self._cancel()

    def cut(self) -> None:
        """See ``Guard``."""
        self._loop.call_soon(self._cancel)

    def _cancel(self) -> None:
        if self._task is not None and not self._has_cut and self._process == os.getpid():
            self._has_cut = True
            self._task.cancel()

    def bring(self, flow: Callable[[], Coroutine[object, None, None]]) -> None:
        """See ``Guard``."""
        with contextlib.suppress(RuntimeError):  # the loop is closed, and the body over
            self._loop.call_soon_threadsafe(lambda: self._start(flow()))

    async def give_way(self) -> None:
        """See ``Guard``. A cancelled scope of anyio knows no cancellation but its own."""
        if self._yields:
            await anyio.lowlevel.checkpoint_if_cancelled()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
