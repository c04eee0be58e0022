"""The blocking port: its methods never suspend, so ``step`` can run a flow over it."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import math
import os
import platform
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from coord._engine.convoys import deliver_together
from coord._engine.courier import Courier
from coord._engine.forks import Mutex, forget_in_child, renew_in_child
from coord._engine.guards import NoGuard
from coord._engine.port import Outcome, Tap, step
from coord._engine.taps import BlockingTap, place_of
from coord._engine.uptime import uptime
from coord._engine.wires import BlockingWire, Client, require_flavour

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from contextlib import AbstractContextManager

    from coord._engine.port import Guard, Place, Port, Signal
    from coord._engine.script import Call
    from coord._engine.urls import Opened

__all__ = ["ThreadPort"]

T = TypeVar("T")

LOOP_END = 5.0
"""Seconds that closing waits for a thread: more than a call's deadline, after which it looks whether to
end."""

MOST_RACERS = 1000
"""Threads for flows that run side by side. Far more than ever run at once: a flow that waited for a free
thread might wait for itself."""


class ThreadPort:
    """Runs flows in the calling thread. Safe to share between threads.

    Args:
        client: A sync client.
        call_timeout: Seconds until a call must have been answered.
        owned: What closing the port closes; ``None`` if the client is somebody else's.
    """

    def __init__(self, client: Client, *, call_timeout: float, owned: Opened | None) -> None:
        require_flavour(client, is_async=False)
        self._wire = BlockingWire(client)
        for one in (client, *(owned.helpers if owned is not None else ())):
            renew_in_child(one)
        self._courier = Courier(self._wire, self.now, self.sleep)
        self._owned = owned
        self.call_timeout = call_timeout
        self.is_outage: Callable[[Exception], bool] = self._wire.faults.is_outage
        self._closed = False
        self._mutex = Mutex()
        self._me = threading.local()
        self._numbers = itertools.count(1)
        self._loops: list[threading.Thread] = []
        self._racers: tuple[int, ThreadPoolExecutor] | None = None

    @property
    def answered(self) -> bool:
        """See ``Port``."""
        return self._courier.answered

    async def run(self, call: Call[T], *, timeout: float | None = None) -> T:
        """See ``Port``."""
        if self._closed:
            raise RuntimeError("this Coord is closed")
        return await self._courier.deliver(call, self.call_timeout if timeout is None else timeout)

    async def together(self, calls: Sequence[Call[T]]) -> list[T]:
        """See ``Port``."""
        if self._closed:
            raise RuntimeError("this Coord is closed")
        return await deliver_together(self._courier, self._wire, calls, self.call_timeout)

    async def sleep(self, seconds: float) -> None:
        """See ``Port``."""
        time.sleep(seconds)

    def now(self) -> float:
        """See ``Port``."""
        return uptime()

    def whoami(self) -> int:
        """See ``Port``."""
        try:
            number: int = self._me.number
        except (
            AttributeError
        ):  # this thread has not asked before; its ident may be that of one that has ended
            with self._mutex:  # a count gives a number twice to threads that no GIL keeps apart
                number = self._me.number = next(self._numbers)
        return number

    def admit(self, *, waits: bool = False) -> None:
        """See ``Port``. A thread that runs an event loop must not wait: all the loop's tasks would."""
        if not waits:
            return
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return
        raise RuntimeError(
            "a sync Coord or Quorum cannot wait here: the event loop that runs in this thread would stop; "
            "use AsyncCoord or AsyncQuorum with await, or asyncio.to_thread()"
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
        """See ``Port``."""
        if forget is not None:
            forget_in_child(forget)
        return Mutex()

    async def finish(self, flow: Coroutine[object, None, T]) -> T:
        """See ``Port``. Nothing cancels a thread."""
        return await flow

    async def race(
        self, flows: Sequence[Coroutine[object, None, T]], enough: Callable[[list[Outcome[T] | None]], bool]
    ) -> list[Outcome[T] | None]:
        """See ``Port``. A thread for each flow, of those kept for that."""
        outcomes: list[Outcome[T] | None] = [None] * len(flows)
        changed = threading.Condition()

        def run(number: int, flow: Coroutine[object, None, T]) -> None:
            outcome: Outcome[T]
            try:
                outcome = Outcome(step(flow))
            except Exception as error:  # noqa: BLE001  # it is the caller's to judge
                outcome = Outcome(error=error)
            with changed:
                outcomes[number] = outcome
                changed.notify_all()

        crew = self._crew()
        for number, flow in enumerate(flows):
            try:
                crew.submit(run, number, flow)
            except RuntimeError:  # the process ends, and no thread is to be had any more
                run(number, flow)
        with changed:
            changed.wait_for(lambda: None not in outcomes or enough(outcomes))
            return list(outcomes)

    def _crew(self) -> ThreadPoolExecutor:
        """Find the threads that run flows beside their caller; a forked child has none of its parent's."""
        with self._mutex:
            if self._racers is None or self._racers[0] != os.getpid():
                self._racers = os.getpid(), ThreadPoolExecutor(MOST_RACERS, "coord race")
            return self._racers[1]

    def spawn(self, loop: Callable[[], Coroutine[object, None, None]], name: str) -> Callable[[], bool]:
        """See ``Port``. A daemon thread."""
        if sys.is_finalizing():
            raise RuntimeError("the interpreter ends: no thread can be started any more")
        thread = threading.Thread(target=lambda: step(loop()), name=name, daemon=True)
        with self._mutex:  # one that is not started yet does not look alive
            thread.start()
            self._loops = [*filter(threading.Thread.is_alive, self._loops), thread]
        return thread.is_alive

    async def aside(self) -> Port:
        """See ``Port``."""
        return self

    def signal(self) -> Signal:
        """See ``Port``."""
        return threading.Event()

    async def wait(self, signal: Signal, seconds: float) -> bool:
        """See ``Port``."""
        assert isinstance(signal, threading.Event)  # noqa: S101  # made by this port
        limit = None if math.isinf(seconds) else min(max(0.0, seconds), threading.TIMEOUT_MAX)
        return signal.wait(limit)

    def guard(self) -> Guard:
        """See ``Port``."""
        return NoGuard()

    def place(self, channel: str) -> Place:
        """See ``Port``."""
        return place_of(self._wire, channel) if self._wire.is_cluster else None

    def tap(self, place: Place) -> Tap | None:
        """See ``Port``."""
        return BlockingTap(self._wire, place)

    async def invoke(self, callback: Callable[[], object]) -> None:
        """See ``Port``."""
        answer = callback()
        if inspect.iscoroutine(answer):
            answer.close()
            raise TypeError(f"{callback!r} is a coroutine function; a sync Coord calls plain functions")

    async def close(self) -> None:
        """See ``Port``. Loops have been told to end, and are waited for."""
        if self._closed:
            return
        for thread in self._loops:
            if thread is not threading.current_thread():
                thread.join(LOOP_END)
        self._closed = True
        if self._racers is not None and self._racers[0] == os.getpid():
            self._racers[1].shutdown(wait=False)
        await self._wire.close(self._owned)
        if self._owned is not None and self._owned.server is not None:
            self._owned.server.close()
