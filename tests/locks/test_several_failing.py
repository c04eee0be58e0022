"""Several locks when messages are lost, a later one fails, or the taker is cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

import pytest
import redis

from coord import AsyncCoord, Coord, LockTimeout
from tests.locks.several import ABC, held, take_apart
from tests.support.flavours import awaitable
from tests.support.hubs import connected, intercepted, interrupted, name_of
from tests.support.proxy import Mischief, Proxy
from tests.support.rooms import locks_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.support import servers

pytestmark = pytest.mark.anyio


async def test_a_grant_that_fell_before_the_fences_were_agreed_counts_for_nothing(
    real_server: str, prefix: str, flavour: str
) -> None:
    """The first lock's lease ends, and another takes it, before the second one is granted."""
    hub = take_apart(connected(flavour, real_server, prefix=prefix), "in turn")
    with Coord.connect(real_server, prefix=prefix) as other, redis.Redis.from_url(real_server) as client:
        taken: list[Any] = []

        async def act(call: Any, send: Callable[..., Awaitable[Any]]) -> Any:
            if f"{prefix}:lock:{{b}}" in call.keys and not taken:
                client.delete(f"{prefix}:lock:{{a}}")
                taken.append(other.lock("a").acquire())
            return await send()

        with intercepted(hub, act):
            assert await hub.locks("a", "b").try_acquire() is None
        assert held(client, prefix) == ["a"]
        taken[0].release()
    await hub.close()


async def test_what_was_granted_is_given_back_when_a_later_one_fails(
    real_server: str, prefix: str, flavour: str
) -> None:
    hub = take_apart(connected(flavour, real_server, prefix=prefix), "in turn")

    async def act(call: Any, send: Callable[..., Awaitable[Any]]) -> Any:
        if name_of(call) == "lock_acquire" and f"{prefix}:lock:{{c}}" in call.keys:
            raise redis.ConnectionError("its node is down")
        return await send()

    with intercepted(hub, act), pytest.raises(redis.ConnectionError, match="node is down"):
        await hub.locks(*ABC).acquire(timeout=0)
    with redis.Redis.from_url(real_server) as client:
        assert held(client, prefix) == []
    await hub.close()


@pytest.mark.parametrize("way_of_reply", ["request", "reply"])
async def test_a_lost_message_costs_nothing_but_time(
    own_server: servers.Process, flavour: str, way: str, way_of_reply: Any
) -> None:
    """The connection breaks before the server has heard, or before its answer is back: each in its turn."""
    make: Any = Coord if flavour == "sync" else AsyncCoord
    with redis.Redis(port=own_server.port) as client, Proxy(own_server.port) as proxy:
        hub = take_apart(awaitable(make.connect(f"redis://127.0.0.1:{proxy.port}/0")), way)
        await (await hub.locks(*ABC).acquire()).release()
        highest = 0
        for _ in range(3):
            proxy.arm(way_of_reply, Mischief("lost", "drop", hang_up=True))
            lease = await hub.locks(*ABC).acquire(timeout=5)
            assert lease.fence > highest
            highest = lease.fence
            proxy.arm(way_of_reply, Mischief("lost", "drop", hang_up=True))
            await lease.release()
            assert not any(client.exists(f"coord:lock:{{{name}}}") for name in ABC)
        await hub.close()
        assert proxy.hits["lost"] == 6


async def test_a_copy_of_a_request_that_arrives_late_takes_nothing(
    own_server: servers.Process, flavour: str
) -> None:
    """The first copy is held back, its connection breaks, and the second copy is refused."""
    make: Any = Coord if flavour == "sync" else AsyncCoord
    with Proxy(own_server.port) as proxy, Coord.connect(f"redis://{own_server.address}") as direct:
        hub = awaitable(make.connect(f"redis://127.0.0.1:{proxy.port}/0"))
        await (await hub.locks(*ABC).try_acquire()).release()
        for timeout in (0, 0.02):
            block = direct.lock("b", ttl=20).acquire()
            proxy.arm("request", Mischief("late", "late", seconds=0.3))
            await asyncio.sleep(0.05)
            with pytest.raises(LockTimeout):
                await hub.locks(*ABC, ttl=20).acquire(timeout=timeout)
            block.release()
            await asyncio.sleep(0.4)
            assert not direct.locks(*ABC).status().held
        await hub.close()


async def test_cancelling_at_any_await_leaves_nothing_behind(real_server: str, prefix: str, way: str) -> None:
    """One more turn of the loop before the cancellation each time, until the body has ended by itself."""
    with redis.Redis.from_url(real_server) as client:
        async with AsyncCoord.connect(real_server, prefix=prefix) as hub:
            take_apart(hub, way)
            ended = 0
            for turns in range(600):

                async def body() -> None:
                    async with hub.locks(*ABC, ttl=30):
                        await asyncio.sleep(0)

                task = asyncio.create_task(body())
                for _ in range(turns):
                    if task.done():
                        break
                    await asyncio.sleep(0)
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
                ended += not task.cancelled()
                deadline = time.monotonic() + 1
                while held(client, prefix) and time.monotonic() < deadline:
                    await asyncio.sleep(0.001)
                assert held(client, prefix) == [], f"cancelled after {turns} turns"
                if ended > 3:
                    break
            assert ended > 3, "the sweep did not reach the end of the body"


async def test_cancelling_a_waiter_at_any_await_harms_nobody(real_server: str, prefix: str) -> None:
    async with AsyncCoord.connect(real_server, prefix=prefix) as hub:
        for turns in range(0, 80, 2):
            block = await hub.lock("b").acquire()
            task = asyncio.create_task(hub.locks(*ABC).acquire())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await block.release()

            await (await hub.locks(*ABC).acquire(timeout=0.5)).release()


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_keyboard_interrupt_at_any_call_leaves_nothing_behind(
    real_server: str, prefix: str, when: str, way: str
) -> None:
    with redis.Redis.from_url(real_server) as client, Coord.connect(real_server, prefix=prefix) as hub:
        take_apart(hub, way)
        interruptions = 0
        for target in range(12):
            with interrupted(hub, target, when):
                try:
                    with hub.locks(*ABC, ttl=30):
                        pass
                except KeyboardInterrupt:
                    interruptions += 1

            assert held(client, prefix) == [], f"interrupted {when} call {target}"
            assert not locks_of(hub).holdings
        assert interruptions >= 2
