"""Reaches inside a ``Coord`` for tests, so that they need not.

Each function stands for something that a test cannot have from outside: time that passes at once, a call that
fails on its way, a message that never comes.
"""

from __future__ import annotations

import contextlib
import math
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import redis
import redis.asyncio

from coord import AsyncCoord, Coord
from coord._engine import trunk, wakeups
from coord._engine.clock import ServerClock
from coord._engine.tasks import TaskPort
from coord._engine.threads import ThreadPort
from coord._engine.uptime import uptime
from coord._engine.urls import open_sync
from tests.support.flavours import awaitable, bare

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

    import pytest

    from coord._engine.script import Call

    Send = Callable[..., Awaitable[Any]]

NEVER = 600.0
"""Seconds that no test lasts."""


def connected(flavour: str, url: str, **options: Any) -> Any:
    """Open a hub of a flavour; the sync one may be awaited too."""
    make: Any = Coord if flavour == "sync" else AsyncCoord
    return awaitable(make.connect(url, **options))


@contextlib.asynccontextmanager
async def hub_of(flavour: str, port: int, prefix: str) -> AsyncIterator[Any]:
    """A Coord of this flavour, awaitable, on a client library's client that is left as it comes."""
    if flavour == "sync":
        with redis.Redis(port=port) as client, Coord(client, prefix=prefix) as hub:
            yield awaitable(hub)
    else:
        async with redis.asyncio.Redis(port=port) as twin, AsyncCoord(twin, prefix=prefix) as async_hub:
            yield async_hub


def port_of(hub: Any) -> Any:
    """What a hub travels by."""
    return bare(hub)._port


@contextlib.contextmanager
def client_of(url: str) -> Iterator[Any]:
    """Open a sync client of any URL that a hub takes."""
    opened = open_sync(url)
    try:
        yield opened.client
    finally:
        for one in (opened.client, *opened.helpers):
            one.close()


# Waiting


def no_second_looks(patch: pytest.MonkeyPatch, fallback: float = NEVER) -> None:
    """Let no waiter look again unasked for so long: who gets what it waits for has been woken."""
    patch.setattr(wakeups, "FALLBACK", fallback)


def listen_briefly(patch: pytest.MonkeyPatch, *, idle: float, read: float) -> None:
    """Let listeners end so many seconds after the last waiter, and look as often whether there is one."""
    patch.setattr(wakeups, "IDLE", idle)
    patch.setattr(wakeups, "READ", read)


# Time


class Clock:
    """A monotonic clock that is set by hand."""

    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time


def set_clock(hub: Any) -> Clock:
    """Give a hub, of which nothing has been made yet, a clock of the test's own."""
    clock = Clock()
    port_of(hub).now = clock.now
    return clock


def sleep_by(hub: Any, nap: Callable[[float], Awaitable[None]]) -> None:
    """Let a hub's flows sleep by calling ``nap`` with the seconds."""
    port_of(hub).sleep = nap


def naps_of(hub: Any) -> list[float]:
    """List for how long a hub's flows would have slept: they wait for nothing from now on."""
    naps: list[float] = []

    async def nap(seconds: float) -> None:
        naps.append(seconds)

    sleep_by(hub, nap)
    return naps


def sleep_raises(hub: Any, error: type[BaseException]) -> None:
    """Let each sleep of a hub's flows be interrupted."""

    async def interrupted(seconds: float) -> None:
        raise error

    sleep_by(hub, interrupted)


def suspended(patch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let the time be as after so many seconds in which the machine was suspended."""
    now = uptime()
    for module in ("tasks", "threads"):
        patch.setattr(f"coord._engine.{module}.uptime", lambda: now + seconds)


def server_says(patch: pytest.MonkeyPatch, now: Callable[[], float]) -> None:
    """Let the servers' time, in seconds since the epoch, be what ``now`` returns each time it is asked."""

    async def told(clock: ServerClock) -> float:
        return now()

    patch.setattr(ServerClock, "now", told)


def renew_now(hub: Any) -> None:
    """Let what a hub renews in blocks of locks be due."""
    renewals = bare(hub)._locks.renewals
    with renewals._mutex:
        for entry in list(renewals._entries.values()):
            if entry.renewal is not None and entry.renewal.what is not None:
                renewals._due.cancel(entry.renewal)
                entry.due = renewals._port.now()
                entry.renewal = renewals._due.put(entry.due, entry)


# Calls


def travel_alone() -> None:
    """Let the calls of an ``AsyncCoord`` travel alone from now on, as where ``hiredis`` is not installed."""
    trunk.hiredis = None


def in_many_slots(hub: Any) -> Any:
    """Let a hub believe that its server is a cluster, where names lie in different slots; give the hub."""
    port_of(hub).one_slot = lambda: False
    return hub


def slots_apart(patch: pytest.MonkeyPatch, *, yes: bool) -> None:
    """Let hubs believe that their servers are clusters, or that they are not."""
    for port in (TaskPort, ThreadPort):
        patch.setattr(port, "one_slot", lambda self: not yes)


def name_of(call: Call[Any]) -> str:
    """The script that a call runs, or the command that it is."""
    return call.what if isinstance(call.what, str) else call.what.name


@contextlib.contextmanager
def intercepted(hub: Any, act: Callable[[Call[Any], Send], Awaitable[Any]]) -> Iterator[None]:
    """Let each call of a hub go through ``act``, which is given it and what sends it."""
    port = port_of(hub)
    honest = port.run

    async def run(call: Call[Any], *, timeout: float | None = None) -> Any:
        return await act(call, partial(honest, call, timeout=timeout))

    port.run = run
    try:
        yield
    finally:
        port.run = honest


def time_given(send: Send) -> float:
    """Seconds in which a call that is intercepted must have been answered; infinite if it did not say."""
    words: dict[str, Any] = getattr(send, "keywords", {})
    seconds: float | None = words.get("timeout")
    return math.inf if seconds is None else seconds


@contextlib.contextmanager
def recorded(hub: Any) -> Iterator[list[Call[Any]]]:
    """List the calls that a hub makes in the block, one by one or together."""
    calls: list[Call[Any]] = []
    port = port_of(hub)
    honest = port.together

    async def act(call: Call[Any], send: Send) -> Any:
        calls.append(call)
        return await send()

    async def together(several: Sequence[Call[Any]]) -> list[Any]:
        calls.extend(several)
        answers: list[Any] = await honest(several)
        return answers

    port.together = together
    try:
        with intercepted(hub, act):
            yield calls
    finally:
        port.together = honest


@contextlib.contextmanager
def interrupted(hub: Any, number: int, when: str) -> Iterator[None]:
    """Press Ctrl-C as the main thread makes its call of that number.

    Args:
        hub: Whose calls count, from nought.
        number: Which of them.
        when: ``before`` it is sent, or ``after`` it was answered.
    """
    count = iter(range(1_000_000))

    async def act(call: Call[Any], send: Send) -> Any:
        if threading.current_thread() is not threading.main_thread():
            return await send()  # Ctrl-C is for the main thread alone
        mine = next(count) == number
        if mine and when == "before":
            raise KeyboardInterrupt
        answer = await send()
        if mine:
            raise KeyboardInterrupt
        return answer

    with intercepted(hub, act):
        yield


def answers_of(hub: Any) -> list[Any]:
    """List every answer that a hub gets from now on."""
    answers: list[Any] = []
    port = port_of(hub)
    honest = port.run

    async def run(call: Call[Any], *, timeout: float | None = None) -> Any:
        answers.append(await honest(call, timeout=timeout))
        return answers[-1]

    port.run = run
    return answers


def broken(hub: Any) -> list[str]:
    """Let every call of a hub fail from now on, as where its server is gone; list them."""
    calls: list[str] = []

    async def run(call: Call[Any], *, timeout: float | None = None) -> Any:
        calls.append(name_of(call))
        raise redis.ConnectionError("the server is gone")

    port_of(hub).run = run
    return calls


@contextlib.contextmanager
def naps_noted(hub: Any, note: Callable[[float], None]) -> Iterator[None]:
    """Be told, before each, how long a hub's flows sleep."""
    port = port_of(hub)
    honest = port.sleep

    async def sleep(seconds: float) -> None:
        note(seconds)
        await honest(seconds)

    port.sleep = sleep
    try:
        yield
    finally:
        port.sleep = honest
