"""Who lost a lock is told, in time, and in what order with other exceptions."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import pytest
import redis

from coord import AsyncCoord, Coord, LockLost
from tests.support.flavours import awaitable
from tests.support.hubs import connected, renew_now, suspended

if TYPE_CHECKING:
    from tests.support import servers

pytestmark = pytest.mark.anyio


async def test_an_async_block_is_cancelled_when_its_lock_is_lost(real_server: str, prefix: str) -> None:
    with redis.Redis.from_url(real_server) as client:
        async with AsyncCoord.connect(real_server, prefix=prefix) as hub:
            told = []
            with pytest.raises(LockLost):
                async with hub.lock("x", ttl=0.3).hold(on_lost=lambda: told.append("x")):
                    client.delete(f"{prefix}:lock:{{x}}")
                    await asyncio.sleep(5)
            assert told == ["x"]
            await asyncio.sleep(0)  # the task is not cancelled any more
            assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]


def test_a_sync_block_is_told_and_not_interrupted(real_server: str, prefix: str) -> None:
    with redis.Redis.from_url(real_server) as client, Coord.connect(real_server, prefix=prefix) as hub:
        told = threading.Event()
        with pytest.raises(LockLost), hub.lock("x", ttl=0.3).hold(on_lost=told.set) as lease:
            assert not lease.lost.is_set()
            client.delete(f"{prefix}:lock:{{x}}")

            assert lease.lost.wait(timeout=2)
            assert told.wait(2)
            with pytest.raises(LockLost):
                lease.check()


async def test_loss_is_told_even_while_the_server_hangs(own_server: servers.Process, flavour: str) -> None:

    make: Any = Coord if flavour == "sync" else AsyncCoord
    hub = awaitable(make.connect(own_server.url))
    told = threading.Event()
    try:
        with pytest.raises(LockLost):
            async with hub.lock("x", ttl=0.4).hold(on_lost=told.set) as lease:
                os.kill(own_server.pid, signal.SIGSTOP)
                if flavour == "sync":
                    assert await lease.lost.wait(timeout=30)
                    assert told.wait(30)
                else:
                    await asyncio.sleep(30)
        assert told.is_set()
    finally:
        os.kill(own_server.pid, signal.SIGCONT)
    await hub.close()


async def test_a_renewal_that_hangs_past_the_deadline_means_lost(
    own_server: servers.Process, flavour: str
) -> None:
    hub: Any = (
        Coord.connect(own_server.url, call_timeout=0.3)
        if flavour == "sync"
        else AsyncCoord.connect(own_server.url, call_timeout=0.3)
    )
    hub = awaitable(hub)
    lease = await hub.lock("x", ttl=0.2).acquire()
    os.kill(own_server.pid, signal.SIGSTOP)
    try:
        with pytest.raises(LockLost):
            await lease.renew()
        assert lease.lost.is_set()
    finally:
        os.kill(own_server.pid, signal.SIGCONT)
    await hub.close()


async def test_a_loss_that_a_renewal_finds_is_told_long_before_the_deadline(
    real_server: str, prefix: str, flavour: str
) -> None:
    hub = connected(flavour, real_server, prefix=prefix)
    with pytest.raises(LockLost), anyio.fail_after(20):
        async with hub.lock("x", ttl=60) as lease:
            await hub.lock("x").force_release(reason="a test")
            if flavour == "sync":
                threading.Timer(0.05, renew_now, (hub,)).start()  # once somebody waits
                assert await lease.lost.wait(timeout=20)
            else:
                waiting = asyncio.create_task(lease.lost.wait())
                await asyncio.sleep(0)
                renew_now(hub)
                await asyncio.sleep(20)
    if flavour == "async":
        with anyio.fail_after(5):
            assert await waiting
    await hub.close()


async def test_the_users_own_exception_and_an_outer_cancellation_come_first(
    real_server: str, prefix: str
) -> None:
    with redis.Redis.from_url(real_server) as client:
        async with AsyncCoord.connect(real_server, prefix=prefix) as hub:
            with pytest.raises(ZeroDivisionError) as caught:
                async with hub.lock("x", ttl=0.2):
                    client.delete(f"{prefix}:lock:{{x}}")
                    try:
                        await asyncio.sleep(5)
                    except asyncio.CancelledError:
                        raise ZeroDivisionError from None
            assert "LockLost" in caught.value.__notes__[0]

            async def body() -> None:
                async with hub.lock("y", ttl=5):
                    await asyncio.sleep(5)

            task = asyncio.create_task(body())
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await hub.lock("y").try_acquire() is not None

            with anyio.move_on_after(0.05) as outer:
                async with hub.lock("z", ttl=5):
                    await asyncio.sleep(5)
            assert outer.cancelled_caught
            assert await hub.lock("z").try_acquire() is not None


async def test_a_stalled_event_loop_is_noticed(
    real_server: str, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "coord")
    async with AsyncCoord.connect(real_server, prefix=prefix) as hub, hub.lock("x", ttl=2):
        await asyncio.sleep(0)
        time.sleep(1.2)  # what it must notice
        await asyncio.sleep(0.05)

    assert "something blocked the event loop" in caplog.text


def test_a_failing_callback_ends_nothing_but_itself(
    real_server: str, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    with redis.Redis.from_url(real_server) as client, Coord.connect(real_server, prefix=prefix) as hub:

        def fail() -> None:
            raise ZeroDivisionError

        with hub.lock("other", ttl=0.3) as other:
            with pytest.raises(LockLost), hub.lock("x", ttl=0.3).hold(on_lost=fail) as lease:
                client.delete(f"{prefix}:lock:{{x}}")
                lease.lost.wait(timeout=2)
            time.sleep(0.5)  # a sync Coord, in a test of its threads

            assert other.valid
    assert "on_lost callback of lock 'x' failed" in caplog.text


async def test_the_deadline_is_counted_on_that_clock(coord: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lease = await coord.lock("x", ttl=5).try_acquire()
    assert lease.valid
    suspended(monkeypatch, 5)

    assert not lease.valid
    assert lease.lost.is_set()
