"""The async port, on anyio; what outlives its caller is an asyncio task, as the client libraries are."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import math
import os
import platform
from typing import TYPE_CHECKING, TypeVar

import anyio
import anyio.to_thread

from coord._engine.coalescing import CoalescingWire
from coord._engine.convoys import deliver_together
from coord._engine.courier import Courier
from coord._engine.forks import Mutex, forget_in_child
from coord._engine.guards import TaskGuard
from coord._engine.port import Outcome, all_of, step
from coord._engine.taps import SuspendingTap, place_of
from coord._engine.threads import ThreadPort
from coord._engine.twins import blocking_twin
from coord._engine.uptime import uptime
from coord._engine.wires import AsyncClient, SuspendingWire, heed_cancellation, require_flavour

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from contextlib import AbstractContextManager

    from coord._engine.port import Guard, Place, Port, Signal, Tap
    from coord._engine.script import Call
    from coord._engine.urls import Opened

__all__ = ["TaskPort"]

T = TypeVar("T")

_first = Mutex()
"""Decides between event loops of several threads that use a port for the first time at once."""


def _running_loop() -> asyncio.AbstractEventLoop:
    """Return the event loop.

    Raises:
        RuntimeError: None is running, or it is of a library that the clients do not know.
    """
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError(
            "an AsyncCoord or AsyncQuorum runs on asyncio (with uvloop too), as the Redis clients do, and no "
            "asyncio event loop is running here; under trio, use Coord or Quorum in a thread"
        ) from None


class _TaskSignal:
    """An event of one loop that any thread may set."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.event = asyncio.Event()

    def set(self) -> None:
        """See ``Signal``."""
        try:
            here = asyncio.get_running_loop()
        except RuntimeError:
            here = None
        if here is self._loop:
            self.event.set()
        else:
            with contextlib.suppress(RuntimeError):  # the loop is closed, and nobody waits
                self._loop.call_soon_threadsafe(self.event.set)

    def is_set(self) -> bool:
        """See ``Signal``."""
        return self.event.is_set()


class TaskPort:
    """Runs flows in the calling task. Safe to share between the tasks of one event loop.

    Args:
        client: An async client.
        call_timeout: Seconds until a call must have been answered.
        owned: What closing the port closes; ``None`` if the client is somebody else's.
        coalesce: Whether concurrent calls share a connection, where they can.
    """

    def __init__(
        self, client: AsyncClient, *, call_timeout: float, owned: Opened | None, coalesce: bool = True
    ) -> None:
        require_flavour(client, is_async=True)
        self._wire = SuspendingWire(client)
        self._courier = Courier(self._wire, self.now, self.sleep)
        self._shared = CoalescingWire(self._wire, call_timeout, wanted=coalesce)
        self._bundler = Courier(self._shared, self.now, self.sleep)
        self._owned = owned
        self.call_timeout = call_timeout
        self.is_outage: Callable[[Exception], bool] = self._wire.faults.is_outage
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._loops: set[asyncio.Task[None]] = set()
        self._aside: ThreadPort | None = None

    @property
    def answered(self) -> bool:
        """See ``Port``."""
        return self._courier.answered or self._bundler.answered

    async def run(self, call: Call[T], *, timeout: float | None = None) -> T:
        """See ``Port``."""
        if self._closed:
            raise RuntimeError("this AsyncCoord is closed")
        self.admit()
        seconds = self.call_timeout if timeout is None else timeout
        if self._shared.is_possible and call.then is None:
            return await self._bundler.deliver(call, seconds)
        with heed_cancellation():
            return await self._courier.deliver(call, seconds)

    async def together(self, calls: Sequence[Call[T]]) -> list[T]:
        """See ``Port``."""
        if self._closed or self._shared.is_possible:
            return await all_of(self, [self.run(call) for call in calls])
        self.admit()
        with heed_cancellation():
            return await deliver_together(self._courier, self._wire, calls, self.call_timeout)

    async def sleep(self, seconds: float) -> None:
        """See ``Port``."""
        await anyio.sleep(seconds)

    def now(self) -> float:
        """See ``Port``."""
        return uptime()

    def whoami(self) -> int:
        """See ``Port``."""
        try:
            return anyio.get_current_task().id  # a guard holds on to its task, so that no other gets this id
        except RuntimeError:  # a forked child runs none of its parent's loops, and may yet leave its blocks
            return 0

    def admit(self, *, waits: bool = False) -> None:
        """See ``Port``. The port belongs to the loop that first uses it, as its connections do."""
        del waits
        here = _running_loop()
        if self._loop is None:
            with _first:
                self._loop = self._loop or here
        if self._loop is not here:
            state = "has ended" if self._loop.is_closed() else "is another than this"
            raise RuntimeError(
                "an AsyncCoord or AsyncQuorum, and its client, belong to the event loop that first uses "
                f"them, which {state}; make one in each event loop, or use Coord or Quorum in threads"
            )

    def process(self) -> int:
        """See ``Port``."""
        return os.getpid()

    def label(self) -> str:
        """See ``Port``."""
        return f"{platform.node()}:{os.getpid()}"

    def one_slot(self) -> bool:
        """See ``Port``."""
        return not self._wire.is_cluster

    def mutex(self, forget: Callable[[], object] | None = None) -> AbstractContextManager[object]:
        """See ``Port``. Between awaits a task has its loop to itself."""
        if forget is not None:
            forget_in_child(forget)
        return contextlib.nullcontext()

    async def finish(self, flow: Coroutine[object, None, T]) -> T:
        """See ``Port``. However often the caller is cancelled, by asyncio or by anyio."""
        task = asyncio.ensure_future(flow)
        cancelled: asyncio.CancelledError | None = None
        while not task.done():
            try:
                with anyio.CancelScope(shield=True):
                    await asyncio.wait([task])
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            if not task.cancelled():
                task.exception()  # looked at, so that asyncio does not report it
            raise cancelled
        return task.result()

    async def race(
        self, flows: Sequence[Coroutine[object, None, T]], enough: Callable[[list[Outcome[T] | None]], bool]
    ) -> list[Outcome[T] | None]:
        """See ``Port``. A task for each flow."""
        outcomes: list[Outcome[T] | None] = [None] * len(flows)
        decided = asyncio.Event()

        async def run(number: int, flow: Coroutine[object, None, T]) -> None:
            try:
                outcomes[number] = Outcome(await flow)
            except Exception as error:  # noqa: BLE001  # it is the caller's to judge
                outcomes[number] = Outcome(error=error)
            if None not in outcomes or enough(outcomes):
                decided.set()

        for number, flow in enumerate(flows):
            self._start(run(number, flow), "coord race", self._tasks)
        if flows:
            await decided.wait()
        return list(outcomes)

    def spawn(self, loop: Callable[[], Coroutine[object, None, None]], name: str) -> Callable[[], bool]:
        """See ``Port``."""
        task = self._start(loop(), name, self._loops)
        process = os.getpid()
        return lambda: os.getpid() == process and not task.done() and not task.get_loop().is_closed()

    def _start(
        self, flow: Coroutine[object, None, None], name: str, kept_in: set[asyncio.Task[None]]
    ) -> asyncio.Task[None]:
        task = _running_loop().create_task(_as_coroutine(flow), name=name)
        kept_in.add(task)  # asyncio itself holds on to no task
        task.add_done_callback(kept_in.discard)
        task.add_done_callback(lambda _: flow.close())  # cancelled before it has begun, it was never awaited
        return task

    async def aside(self) -> Port:
        """See ``Port``. With a sync client of its own, which asks nothing of the event loop."""
        if self._aside is None:
            twin = await anyio.to_thread.run_sync(blocking_twin, self._wire.client, self.call_timeout)
            port = ThreadPort(twin.client, call_timeout=self.call_timeout, owned=twin)
            if self._aside is None and not self._closed:
                self._aside = port
            else:  # another task was faster
                await port.close()
        return self._aside or self

    def signal(self) -> Signal:
        """See ``Port``."""
        return _TaskSignal()

    async def wait(self, signal: Signal, seconds: float) -> bool:
        """See ``Port``."""
        assert isinstance(signal, _TaskSignal)  # noqa: S101  # made by this port
        if math.isinf(seconds):
            await signal.event.wait()
        else:
            with anyio.move_on_after(seconds):
                await signal.event.wait()
        return signal.is_set()

    def guard(self) -> Guard:
        """See ``Port``."""
        return TaskGuard(lambda flow: self._start(flow, "coord", self._tasks))

    def place(self, channel: str) -> Place:
        """See ``Port``."""
        return place_of(self._wire, channel) if self._wire.is_cluster else None

    def tap(self, place: Place) -> Tap | None:
        """See ``Port``."""
        return SuspendingTap(self._wire, place)

    async def invoke(self, callback: Callable[[], object]) -> None:
        """See ``Port``."""
        answer = callback()
        if inspect.isawaitable(answer):
            await answer

    async def close(self) -> None:
        """See ``Port``. Loops are cancelled; what else is under way has a deadline, and is waited for."""
        if self._closed:
            return
        here = _running_loop()
        for task in self._loops:
            if task.get_loop() is here:
                task.cancel()
        if pending := [task for task in self._tasks | self._loops if task.get_loop() is here]:
            await asyncio.wait(pending)
        self._closed = True
        if self._aside is not None:
            await anyio.to_thread.run_sync(step, self._aside.close())
        await self._shared.close(self._owned)
        if self._owned is not None and self._owned.server is not None:
            await anyio.to_thread.run_sync(self._owned.server.close)


async def _as_coroutine(flow: Coroutine[object, None, T]) -> T:
    return await flow
