"""A lease lives for as long as its block runs, and no longer."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import redis
import redis.asyncio

from coord import AsyncCoord, Coord, LockLost
from tests.support.hubs import connected, intercepted, name_of, renew_now
from tests.support.traffic import commands
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.support import servers

pytestmark = pytest.mark.anyio


async def test_a_lease_is_renewed_while_its_block_runs_and_not_after(
    coord: Any, client: Any, prefix: str
) -> None:
    lock = coord.lock("x", ttl=0.5)
    async with lock as lease:
        for _ in range(12):
            await asyncio.sleep(0.1) if "Async" in repr(lease) else time.sleep(0.1)
            assert lease.valid
            assert await lock.try_acquire() is None
    manual = await lock.acquire()
    await asyncio.sleep(0.55)

    assert not manual.valid
    assert client.exists(f"{prefix}:lock:{{x}}") == 0


async def test_renewal_can_be_left_out_and_capped(coord: Any) -> None:
    with pytest.raises(LockLost):
        async with coord.lock("a", ttl=0.1, renew=False) as lease:
            await asyncio.sleep(0.3) if "Async" in repr(lease) else time.sleep(0.3)
    begun = time.monotonic()
    with pytest.raises(LockLost):
        async with coord.lock("b", ttl=0.15, max_hold=0.4) as lease:
            while lease.valid:
                await asyncio.sleep(0.01) if "Async" in repr(lease) else time.sleep(0.01)
    assert time.monotonic() - begun > 0.3, "it was renewed until the cap"


async def test_a_thousand_leases_are_renewed_in_few_scripts(own_server: servers.Process) -> None:
    with redis.Redis(port=own_server.port) as client:
        async with (
            AsyncCoord.connect(own_server.url, call_timeout=10) as hub,
            contextlib.AsyncExitStack() as stack,
        ):
            for number in range(1000):
                await stack.enter_async_context(hub.lock(f"n{number}", ttl=6))
            before = commands(client)["evalsha"]
            await asyncio.sleep(2.2)
            scripts = commands(client)["evalsha"] - before

            assert 0 < scripts <= 30
            assert client.pttl("coord:lock:{n0}") > 3000


async def test_an_outage_shorter_than_the_lease_costs_nothing(own_server: servers.Process) -> None:
    async with AsyncCoord.connect(own_server.url) as hub, hub.lock("x", ttl=1.5) as lease:
        os.kill(own_server.pid, signal.SIGSTOP)
        await asyncio.sleep(0.7)
        os.kill(own_server.pid, signal.SIGCONT)
        await asyncio.sleep(1.5)

        assert lease.valid


async def test_a_renewal_that_fails_is_tried_again(
    real_server: str, prefix: str, flavour: str, caplog: pytest.LogCaptureFixture
) -> None:
    hub = connected(flavour, real_server, prefix=prefix)
    failures = iter([redis.ConnectionError(), ZeroDivisionError(), OSError()])
    renewed = threading.Event()

    async def fail_at_first(call: Any, send: Callable[..., Awaitable[Any]]) -> Any:
        if name_of(call) != "lock_renew":
            return await send()
        for failure in failures:
            raise failure
        answer = await send()
        renewed.set()
        return answer

    with intercepted(hub, fail_at_first):
        async with hub.lock("x", ttl=6) as lease:
            renew_now(hub)
            await until(renewed.is_set, "it is renewed", within=5)
            assert lease.valid
    await hub.close()


async def test_a_renewal_that_a_release_overtakes_is_no_loss(
    real_server: str, prefix: str, flavour: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The server has released it, its answer is on the way, and the renewal finds the lock gone."""
    asked, released, answered = (threading.Event() for _ in range(3))
    told: list[str] = []
    hub = connected(flavour, real_server, prefix=prefix)

    async def pause() -> None:
        time.sleep(0.005) if flavour == "sync" else await asyncio.sleep(0.005)

    async def overtake(call: Any, send: Callable[..., Awaitable[Any]]) -> Any:
        if name_of(call) == "lock_renew":
            asked.set()
            while not released.is_set():
                await pause()
            gone = await send()
            answered.set()
            return gone
        answer = await send()
        if name_of(call) == "lock_release":
            released.set()
            while not answered.is_set():
                await pause()
            for _ in range(10):
                await pause()
        return answer

    with intercepted(hub, overtake):
        async with hub.lock("x", ttl=3).hold(on_lost=lambda: told.append("x")):
            while not asked.is_set():
                renew_now(hub)
                await asyncio.sleep(0.005)
    await hub.close()

    assert told == []
    assert caplog.messages == []


def test_a_forgotten_block_is_not_renewed_for_ever(real_server: str, prefix: str) -> None:
    with Coord.connect(real_server, prefix=prefix) as hub:
        hub.lock("x", ttl=0.2).hold().__enter__()
        gc.collect()
        with hub.lock("x").hold(timeout=3):
            pass


def test_a_block_that_was_dropped_is_let_go_and_said(
    real_server: str, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "coord")
    with Coord.connect(real_server, prefix=prefix) as hub:
        hub.lock("x", ttl=0.3).hold().__enter__()
        gc.collect()
        with hub.lock("x").hold(timeout=5):
            pass

    assert "the lease of lock 'x' no longer: it was dropped inside its block" in caplog.text
