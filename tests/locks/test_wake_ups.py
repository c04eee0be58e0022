"""The connection over which those who wait are told."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import pytest
import redis
import redis.asyncio

from coord import AsyncCoord, Coord, LockTimeout
from tests.support.flavours import awaitable, bare
from tests.support.hubs import connected, listen_briefly
from tests.support.traffic import commands, connections, subscribers
from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.support import servers

pytestmark = pytest.mark.anyio


async def test_many_waiters_on_many_names_share_one_connection(own_server: servers.Process) -> None:
    done: list[str] = []
    async with AsyncCoord.connect(own_server.url) as hub:

        async def worker(name: str) -> None:
            async with hub.lock(name).hold(timeout=20):
                done.append(name)

        with Coord.connect(own_server.url) as holder, redis.Redis(port=own_server.port) as client:
            leases = [holder.lock(f"n{number}").acquire() for number in range(5)]
            async with anyio.create_task_group() as group:
                for number in range(100):
                    group.start_soon(worker, f"n{number % 5}")
                while len(client.pubsub_channels()) < 5:
                    await asyncio.sleep(0.01)
                await asyncio.sleep(0.1)
                listening = [one for one in client.client_list() if one["sub"] != "0"]
                assert len(listening) == 1
                for lease in leases:
                    lease.release()

    assert len(done) == 100


async def test_losing_the_wake_up_connection_loses_no_waiter(
    own_server: servers.Process, flavour: str
) -> None:

    with redis.Redis(port=own_server.port) as client, Coord.connect(own_server.url) as holder:
        held = holder.lock("x").acquire()
        got: list[int] = []

        def wait_in_thread() -> None:
            with Coord.connect(own_server.url) as hub:
                got.append(hub.lock("x").acquire(timeout=10).fence)

        async def wait_in_task() -> None:
            async with AsyncCoord.connect(own_server.url) as hub:
                got.append((await hub.lock("x").acquire(timeout=10)).fence)

        async with anyio.create_task_group() as group:
            if flavour == "sync":
                group.start_soon(anyio.to_thread.run_sync, wait_in_thread)
            else:
                group.start_soon(wait_in_task)
            while commands(client).get("subscribe", 0) == 0:
                await asyncio.sleep(0.01)
            client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
            await asyncio.sleep(0.05)
            held.release()
        assert awaitable(got) == got
        assert len(got) == 1


async def test_the_listener_ends_when_nobody_waits_and_comes_back(
    own_server: servers.Process, flavour: str, monkeypatch: pytest.MonkeyPatch, no_fallback: None
) -> None:
    """Each turn waits after the connection has ended, or while it is about to."""

    listen_briefly(monkeypatch, idle=0.05, read=0.02)
    hub = connected(flavour, own_server.url)
    with Coord.connect(own_server.url) as holder, redis.Redis(port=own_server.port) as client:
        listeners: set[str] = set()
        for turn in range(12):
            held = holder.lock(f"n{turn % 3}").acquire()
            timer = threading.Timer(0.05, held.release)
            timer.start()
            lease = await hub.lock(f"n{turn % 3}").acquire(timeout=5)
            listeners |= subscribers(client)
            await lease.release()
            timer.join()
            await asyncio.sleep(turn * 0.01)
        assert listeners
        await until(lambda: not listeners & connections(client), "the listeners end")
    await hub.close()


async def test_channels_that_nobody_waits_on_do_not_pile_up(
    own_server: servers.Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    listen_briefly(monkeypatch, idle=0.2, read=0.05)
    with redis.Redis(port=own_server.port) as client:
        async with AsyncCoord.connect(own_server.url) as hub:
            keeper = await hub.lock("keeper").acquire()
            waiting = asyncio.create_task(hub.lock("keeper").acquire(timeout=10))
            for number in range(30):
                async with hub.lock(f"n{number}"):
                    with pytest.raises(LockTimeout):
                        await hub.lock(f"n{number}").acquire(timeout=0.01)
            deadline = time.monotonic() + 5
            while len(client.pubsub_channels()) > 1 and time.monotonic() < deadline:
                await asyncio.sleep(0.05)
            assert len(client.pubsub_channels()) == 1
            await keeper.release()
            await (await waiting).release()


async def test_those_who_begin_to_wait_together_share_one_connection(
    own_server: servers.Process, flavour: str, no_fallback: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each round finds no listener, so that all of them want to make it; who is not woken waits in vain."""
    listen_briefly(monkeypatch, idle=0.0, read=0.01)
    names = [f"n{number}" for number in range(4)]
    hub = bare(connected(flavour, own_server.url))
    with redis.Redis(port=own_server.port) as client, Coord.connect(own_server.url) as holder:
        for _ in range(20):
            held = [holder.lock(name).acquire() for name in names]
            start = threading.Barrier(len(names))

            def wait_in_thread(name: str, start: threading.Barrier) -> None:
                start.wait()
                hub.lock(name).acquire(timeout=10).release()

            async def wait_in_task(name: str) -> None:
                await (await hub.lock(name).acquire(timeout=10)).release()

            async with anyio.create_task_group() as group:
                for name in names:
                    if flavour == "sync":
                        group.start_soon(anyio.to_thread.run_sync, wait_in_thread, name, start)
                    else:
                        group.start_soon(wait_in_task, name)
                while len(client.pubsub_channels()) < len(names):
                    await asyncio.sleep(0.005)
                assert len(subscribers(client)) == 1
                for lease in held:
                    lease.release()
            while subscribers(client):
                await asyncio.sleep(0.005)
        assert len(client.client_list()) <= 2 * len(names) + 2  # none was left behind in any round
    await awaitable(hub).close()
