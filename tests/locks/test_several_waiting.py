"""Who waits for several locks holds none of them meanwhile, and is woken by the one that refused."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import threading
import time
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import pytest
import redis

from coord import AsyncCoord, Coord, LockTimeout, SelfDeadlock
from tests.locks.several import ABC, held, take_apart
from tests.support.flavours import awaitable
from tests.support.keys import keys_of

if TYPE_CHECKING:
    from collections.abc import Iterator


pytestmark = pytest.mark.anyio


class Table:
    """What philosophers share: nobody may hold what another holds."""

    def __init__(self) -> None:
        self.holders: dict[str, int] = dict.fromkeys("abcde", 0)
        self.fences: dict[str, list[int]] = {name: [] for name in self.holders}
        self.served = 0

    @contextlib.contextmanager
    def seat(self, lease: Any) -> Iterator[None]:
        for name in lease.names:
            self.holders[name] += 1
            assert self.holders[name] == 1, f"two holders of {name}"
            self.fences[name].append(lease.fence)
        yield
        for name in lease.names:
            self.holders[name] -= 1
        self.served += 1


def orders(seed: int) -> list[list[str]]:
    generator = random.Random(seed)
    return [generator.sample("abcde", generator.randint(1, 4)) for _ in range(6)]


async def test_who_waits_holds_none_and_is_woken_by_the_one_that_refused(
    real_server: str, prefix: str, flavour: str, no_fallback: None
) -> None:
    with Coord.connect(real_server, prefix=prefix) as holder, redis.Redis.from_url(real_server) as client:
        lease = holder.lock("b").acquire()
        fences: list[int] = []

        def in_thread() -> None:
            with Coord.connect(real_server, prefix=prefix) as hub, hub.locks(*ABC).hold(timeout=20) as mine:
                fences.append(mine.fence)

        async def in_task() -> None:
            async with (
                AsyncCoord.connect(real_server, prefix=prefix) as hub,
                hub.locks(*ABC).hold(timeout=20) as mine,
            ):
                fences.append(mine.fence)

        async with anyio.create_task_group() as group:
            group.start_soon(*((anyio.to_thread.run_sync, in_thread) if flavour == "sync" else (in_task,)))
            while not client.exists(f"{prefix}:lock:{{b}}:waiting"):
                await asyncio.sleep(0.01)
            assert held(client, prefix) == ["b"]
            for name in "ac":
                holder.lock(name).acquire(timeout=0).release()
            lease.release()

    assert fences[0] > lease.fence


async def test_a_waiter_moves_on_to_the_next_that_refuses(
    real_server: str, prefix: str, flavour: str, no_fallback: None
) -> None:
    make: Any = Coord if flavour == "sync" else AsyncCoord
    hub = awaitable(make.connect(real_server, prefix=prefix))
    with Coord.connect(real_server, prefix=prefix) as holder, redis.Redis.from_url(real_server) as client:
        leases = {name: holder.lock(name, ttl=60).acquire() for name in ABC}

        def free_one_after_another() -> None:
            for name in ABC:
                while not client.exists(f"{prefix}:lock:{{{name}}}:waiting"):
                    time.sleep(0.005)  # in a thread of its own
                leases[name].release()

        freeing = threading.Thread(target=free_one_after_another)
        freeing.start()
        lease = await hub.locks(*ABC, ttl=60).acquire(timeout=20)
        freeing.join()

        assert lease.fence > max(one.fence for one in leases.values())
        assert [key for key in keys_of(client, prefix) if "waiting" in key] == []
        await lease.release()
    await hub.close()


@pytest.mark.parametrize("same", [True, False], ids=["one coord", "two coords"])
async def test_a_wake_up_that_came_to_nothing_is_passed_on(
    real_server: str, prefix: str, no_fallback: None, same: bool
) -> None:
    """The first in the queue of ``a`` wants ``b`` too, which stays held; the second wants nothing else."""
    async with contextlib.AsyncExitStack() as stack:
        hub, other = [
            await stack.enter_async_context(AsyncCoord.connect(real_server, prefix=prefix)) for _ in range(2)
        ]
        client = stack.enter_context(redis.Redis.from_url(real_server))
        a, b = await other.lock("a", ttl=60).acquire(), await other.lock("b", ttl=60).acquire()
        both = asyncio.create_task(hub.locks("a", "b").acquire(timeout=20))
        while client.zcard(f"{prefix}:lock:{{a}}:waiting") < 1:
            await asyncio.sleep(0.005)
        second = asyncio.create_task((hub if same else other).lock("a").acquire(timeout=20))
        while client.zcard(f"{prefix}:lock:{{a}}:waiting") < 2:
            await asyncio.sleep(0.005)
        await a.release()
        got = await asyncio.wait_for(second, 10)
        assert not both.done()
        await got.release()
        await b.release()
        await (await both).release()


async def test_releasing_several_wakes_one_waiter_of_each(
    real_server: str, prefix: str, flavour: str, no_fallback: None
) -> None:
    make: Any = Coord if flavour == "sync" else AsyncCoord
    hub = awaitable(make.connect(real_server, prefix=prefix))
    with redis.Redis.from_url(real_server) as client:
        lease = await hub.locks(*ABC, ttl=300).acquire()
        async with AsyncCoord.connect(real_server, prefix=prefix) as other:
            waiting = [asyncio.create_task(other.lock(name).acquire()) for name in ABC]
            while not all(client.exists(f"{prefix}:lock:{{{name}}}:waiting") for name in ABC):
                await asyncio.sleep(0.005)
            await lease.release()
            async with asyncio.timeout(20):
                leases = await asyncio.gather(*waiting)
            for one in leases:
                await one.release()
    await hub.close()


async def test_a_waiter_that_gives_up_stands_in_no_queue(
    real_server: str, prefix: str, no_fallback: None
) -> None:
    async with AsyncCoord.connect(real_server, prefix=prefix) as hub:
        with redis.Redis.from_url(real_server) as client:
            a, b = await hub.lock("a").acquire(), await hub.lock("b").acquire()
            with pytest.raises(LockTimeout) as caught:
                await hub.locks("a", "b").acquire(timeout=0.1)
            assert caught.value.name == "a"
            await a.release()
            with pytest.raises(LockTimeout, match="'b' was still held") as caught:
                await hub.locks("a", "b").acquire(timeout=0.1)
            assert caught.value.name == "b"
            assert [key for key in keys_of(client, prefix) if "waiting" in key] == []
            await b.release()


async def test_polling_waits_too(coord: Any, other_coord: Any, way: str) -> None:
    """And what was granted and given back on the way is granted again."""
    lease = await coord.lock("b", ttl=0.3, wait="poll").acquire()
    got = await take_apart(other_coord, way).locks(*ABC, wait="poll").acquire(timeout=5)

    assert got.fence > lease.fence


@pytest.mark.parametrize("wait", ["signal", "poll"])
async def test_philosophers_dine(server: str, prefix: str, no_leaks: None, wait: Any, way: str) -> None:
    """Tasks and threads want overlapping locks in every order; all are served, and one at a time."""
    table = Table()

    def in_thread(hub: Coord, seed: int) -> None:
        for names in orders(seed):
            with hub.locks(*names, wait=wait).hold(timeout=60) as lease, table.seat(lease):
                time.sleep(0.001)  # a thread of a sync Coord

    async def in_task(hub: AsyncCoord, seed: int) -> None:
        for names in orders(seed):
            async with hub.locks(*names, wait=wait).hold(timeout=60) as lease:
                with table.seat(lease):
                    await asyncio.sleep(0.001)

    with Coord.connect(server, prefix=prefix) as hub:
        take_apart(hub, way)
        async with AsyncCoord.connect(server, prefix=prefix) as async_hub:
            take_apart(async_hub, way)
            async with anyio.create_task_group() as group:
                for seed in range(4):
                    group.start_soon(anyio.to_thread.run_sync, in_thread, hub, seed)
                    group.start_soon(in_task, async_hub, seed + 100)

    assert table.served == 8 * 6
    assert all(one < two for row in table.fences.values() for one, two in itertools.pairwise(row))


async def test_waiting_for_oneself_is_an_error_at_once(coord: Any) -> None:
    async with coord.locks("a", "b") as outer:
        with pytest.raises(SelfDeadlock, match="'b'"):
            await coord.locks("b", "c").acquire()
        with pytest.raises(SelfDeadlock):
            await coord.lock("a").acquire()
        async with coord.lock("b", reentrant=True) as within:
            assert within.fence == outer.fence
        assert outer.valid
    async with coord.lock("b"):
        with pytest.raises(SelfDeadlock, match="'b'"):
            await coord.locks("a", "b").acquire()
    await (await coord.locks("a", "b").acquire(timeout=0)).release()
