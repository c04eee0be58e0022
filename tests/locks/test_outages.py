"""Who waits goes on while the server cannot be asked: for its timeout, or once it has been answered."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import redis
import redis.asyncio
from redis import exceptions as errors

from coord import AsyncCoord, Coord, LockTimeout
from coord.locks import outages
from tests.support import servers
from tests.support.flavours import awaitable, bare
from tests.support.middleman import Middleman, middleman

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

pytestmark = pytest.mark.anyio

LOADING = b"-LOADING Redis is loading the dataset in memory\r\n"


@contextlib.asynccontextmanager
async def on(port: int, flavour: str, call_timeout: float = 0.3) -> AsyncIterator[Any]:
    """A Coord on a client without limits of its own."""
    options: dict[str, Any] = {"port": port, "socket_timeout": None, "socket_connect_timeout": None}
    if flavour == "sync":
        client = redis.Redis(**options)
        with Coord(client, call_timeout=call_timeout) as hub:
            yield awaitable(hub)
        client.close()
    else:
        twin = redis.asyncio.Redis(**options)
        async with AsyncCoord(twin, call_timeout=call_timeout) as async_hub:
            yield async_hub
        await twin.aclose()


@pytest.fixture
def between(own_server: servers.Process) -> Iterator[Middleman]:
    with middleman(own_server.port) as between:
        yield between


ONES: dict[str, Callable[[Any], Any]] = {
    "a lock": lambda hub: hub.lock("x", ttl=30),
    "a fair lock": lambda hub: hub.lock("x", ttl=30, fair=True),
    "a lock that is polled for": lambda hub: hub.lock("x", ttl=30, wait="poll"),
    "several locks": lambda hub: hub.locks("x", "y", ttl=30),
}


def acquirer(one: Any) -> Any:
    """Find what a thread calls."""
    return _Permits(bare(one.hub)).acquire if isinstance(one, _Permits) else bare(one).acquire


class _Permits:
    """A concurrency limit of one, looked at as a lock."""

    def __init__(self, hub: Any) -> None:
        self.hub = hub
        self._limit = hub.concurrency_limit("c", limit=1, ttl=30)

    def acquire(self, *, timeout: float | None = None) -> Any:
        return self._limit.acquire("k", timeout=timeout)

    def try_acquire(self) -> Any:
        return self._limit.try_acquire("k")


ONES["a permit"] = _Permits


@pytest.mark.parametrize("kind", ONES)
async def test_an_outage_shorter_than_the_timeout_costs_no_waiter_its_turn(
    between: Middleman, flavour: str, kind: str
) -> None:
    async with on(between.port, flavour) as hub, on(between.upstream, "async") as other:
        held = await ONES[kind](other).try_acquire()
        one = ONES[kind](hub)
        assert await one.try_acquire() is None

        def outage() -> None:
            time.sleep(0.2)
            between.says = lambda _: LOADING
            between.reset()
            time.sleep(1)
            between.says = lambda _: None

        thread = threading.Thread(target=outage)
        thread.start()
        letting_go = asyncio.create_task(_let_go(held))
        if flavour == "sync":
            lease = awaitable(await asyncio.to_thread(acquirer(one), timeout=10))
        else:
            lease = await one.acquire(timeout=10)
        await letting_go
        thread.join()
        await lease.release()


async def _let_go(held: Any) -> None:
    await asyncio.sleep(0.6)
    await held.release()


async def test_the_timeout_ends_the_wait_and_what_kept_it_from_asking_is_raised(
    between: Middleman, flavour: str
) -> None:
    async with on(between.port, flavour) as hub:
        lock = hub.lock("x")
        await (await lock.try_acquire()).release()
        between.close()
        begun = time.monotonic()
        with pytest.raises((errors.ConnectionError, errors.TimeoutError)):
            await lock.acquire(timeout=1)
        took = time.monotonic() - begun

    assert 0.8 < took < 1.6


async def test_a_server_that_hangs_does_not_keep_a_waiter_beyond_its_timeout(
    own_server: servers.Process, flavour: str
) -> None:
    async with on(own_server.port, flavour, call_timeout=5) as hub:
        lock = hub.lock("x", ttl=2)
        await (await lock.try_acquire()).release()
        os.kill(own_server.pid, signal.SIGSTOP)
        begun = time.monotonic()
        try:
            with pytest.raises((errors.ConnectionError, errors.TimeoutError)):
                await lock.acquire(timeout=0.5)
            took = time.monotonic() - begun
        finally:
            os.kill(own_server.pid, signal.SIGCONT)
        assert took < 1
        assert await lock.acquire(timeout=15), (
            "what the server executes when it goes on holds nothing for long"
        )


async def test_who_is_told_that_it_is_held_is_not_told_of_an_outage(own_server: servers.Process) -> None:
    async with on(own_server.port, "async") as hub:
        await hub.lock("x").try_acquire()
        with pytest.raises(LockTimeout):
            await hub.lock("x").acquire(timeout=0.3)


async def test_who_waits_for_ever_goes_on_once_the_server_has_answered(
    between: Middleman, flavour: str
) -> None:
    async with on(between.port, flavour) as hub:
        await hub.fixed_window("w", limit=1, per=1).status("u")  # whatever it was asked
        between.says = lambda _: LOADING
        back = threading.Timer(1.5, lambda: setattr(between, "says", lambda _: None))
        back.start()
        begun = time.monotonic()
        lease = await hub.lock("x").acquire()
        assert time.monotonic() - begun > 1
        await lease.release()
        back.join()


@pytest.mark.parametrize("kind", ONES)
async def test_a_wrong_port_is_an_error_and_no_wait_for_ever(flavour: str, kind: str) -> None:
    async with on(servers.free_port(), flavour) as hub:
        begun = time.monotonic()
        with pytest.raises((errors.ConnectionError, errors.TimeoutError)):
            await ONES[kind](hub).acquire()

    assert time.monotonic() - begun < 3


async def test_a_server_that_comes_up_late_is_waited_for_by_who_has_the_time(flavour: str) -> None:
    binary = servers.BINARIES["valkey9"]()
    assert binary is not None
    port = servers.free_port()
    done = threading.Event()

    def come_up() -> None:
        time.sleep(1)
        with servers.running(binary, port=port):
            done.wait(20)

    thread = threading.Thread(target=come_up)
    thread.start()
    try:
        async with on(port, flavour) as hub:
            assert await hub.lock("x").acquire(timeout=15)
    finally:
        done.set()
        thread.join()


async def test_who_does_not_wait_is_told_at_once(between: Middleman, flavour: str) -> None:
    async with on(between.port, flavour) as hub:
        await (await hub.lock("x").try_acquire()).release()
        between.says = lambda _: LOADING
        begun = time.monotonic()
        for attempt in (hub.lock("x").try_acquire(), hub.lock("x").acquire(timeout=0)):
            with pytest.raises(errors.RedisError):
                await attempt

    assert time.monotonic() - begun < 4


async def test_an_outage_is_logged_now_and_then(
    between: Middleman, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outages, "LOGGED_EVERY", 0.5)
    async with on(between.port, "async", call_timeout=0.2) as hub:
        await (await hub.lock("x").acquire(timeout=5)).release()
        between.says = lambda _: LOADING
        with caplog.at_level(logging.WARNING, "coord"):
            ends = await asyncio.gather(
                *(hub.lock(f"x{n}").acquire(timeout=1.3) for n in range(20)), return_exceptions=True
            )
        between.says = lambda _: None
    told = [line.getMessage() for line in caplog.records if "waits on" in line.getMessage()]

    assert all(isinstance(end, errors.RedisError) for end in ends)
    assert 2 <= len(told) <= 4, "one line for all who wait, each half second"


@pytest.mark.parametrize("wait", ["signal", "poll"])
async def test_an_outage_is_no_reason_to_ask_all_the_time(between: Middleman, wait: str) -> None:
    async with on(between.port, "async", call_timeout=0.3) as hub:
        lock = hub.lock("x", wait=wait)
        await (await lock.try_acquire()).release()
        between.says = lambda _: LOADING
        between.heard.clear()
        with pytest.raises(errors.RedisError):
            await lock.acquire(timeout=2)

    asked = sum(words[0].startswith(b"EVAL") for words in between.heard)
    assert asked < 60, "two seconds have room for thousands"
