"""How a free lock gets to one who waits for it, and to whom it is kept."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING, Any

import pytest
import redis
import redis.asyncio

from coord import AsyncCoord, Coord, LockTimeout
from coord.locks.asking import LONGEST_POLL
from tests.support.hubs import intercepted, naps_noted
from tests.support.keys import server_time
from tests.support.traffic import commands

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.support import servers

pytestmark = pytest.mark.anyio
KEPT = 0.05
"""Seconds for which a free lock is kept for who was woken."""


@pytest.mark.parametrize("fair", [False, True])
async def test_a_free_lock_is_given_at_once_where_its_wake_ups_are_heard_already(
    own_server: servers.Process, flavour: str, fair: bool
) -> None:
    """In a sync thread that runs a loop, too, as here; and however short the patience."""
    make: Any = Coord if flavour == "sync" else AsyncCoord
    with Coord.connect(own_server.url) as direct:
        hub = make.connect(own_server.url)
        lock = hub.lock("x", fair=fair)
        held = direct.lock("x").acquire()
        waits = asyncio.create_task(asyncio.to_thread(lock.acquire) if flavour == "sync" else lock.acquire())
        with redis.Redis(port=own_server.port) as client:
            while not client.pubsub_channels():
                await asyncio.sleep(0.001)
        held.release()
        lease = await waits  # the wake-up has come, so that this hub knows that it is subscribed
        await (asyncio.to_thread(lease.release) if flavour == "sync" else lease.release())
        for patience in (None, 1e-9):
            lease = lock.acquire(timeout=patience)
            lease = lease if flavour == "sync" else await lease
            released = lease.release()
            await (asyncio.sleep(0) if flavour == "sync" else released)
        await (asyncio.to_thread(hub.close) if flavour == "sync" else hub.close())


async def test_a_waiter_is_woken_by_the_release_and_does_not_poll(
    own_server: servers.Process, no_fallback: None
) -> None:
    with redis.Redis(port=own_server.port) as client, Coord.connect(own_server.url) as holder:
        async with AsyncCoord.connect(own_server.url) as hub:
            lease = holder.lock("x").acquire()
            woken = asyncio.create_task(hub.lock("x").acquire(timeout=10))
            while commands(client).get("subscribe", 0) == 0:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.3)
            attempts = commands(client)["evalsha"] + commands(client).get("eval", 0)
            lease.release()
            got = await woken

            assert got.fence > lease.fence
            assert attempts <= 4, "one by the holder; of the waiter the first, and one when it was subscribed"


async def test_a_release_wakes_one_waiter_among_all_processes(
    own_server: servers.Process, no_fallback: None
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        hubs = [await stack.enter_async_context(AsyncCoord.connect(own_server.url)) for _ in range(5)]
        client = stack.enter_context(redis.Redis(port=own_server.port))
        held = await hubs[0].lock("x").acquire()
        waiting = [asyncio.create_task(hub.lock("x").acquire(timeout=20)) for hub in hubs[1:]]
        while client.zcard("coord:lock:{x}:waiting") < 4:
            await asyncio.sleep(0.01)
        before = commands(client)["evalsha"]
        for left in (3, 2, 1, 0):
            await held.release()
            done, rest = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            assert (len(done), len(rest)) == (1, left)
            held, waiting = done.pop().result(), list(rest)
        await held.release()

        assert commands(client)["evalsha"] - before == 4 + 5, "an attempt of each, and a release of each"


async def test_a_free_lock_is_kept_for_who_was_woken_and_only_for_a_moment(
    coord: Any, client: Any, prefix: str
) -> None:
    """The woken one listens, but does not come: a subscriber of the test's own stands for it."""
    waiting = f"{prefix}:lock:{{x}}:waiting"
    lock = coord.lock("x")
    with contextlib.ExitStack() as stack:
        if hasattr(client, "get_node_from_key"):
            pytest.skip("the listener of a cluster's node is tried elsewhere")
        listener = stack.enter_context(client.pubsub())
        listener.subscribe(f"{prefix}:lock:{{x}}:free:home")
        while (listener.get_message(timeout=5) or {}).get("type") != "subscribe":
            pass
        held = await lock.acquire()
        client.zadd(waiting, {"home:stopped": 1})
        client.pexpire(waiting, 5000)
        since = server_time(client)
        await held.release()

        assert listener.get_message(timeout=5)["data"] in (b"stopped", "stopped")
        early = await lock.try_acquire()
        if early is not None:
            assert server_time(client) - since > KEPT, "only once it is kept no longer"
            await early.release()
        lease = await lock.acquire(timeout=5)
        assert lease.valid
        await lease.release()
    assert await lock.try_acquire() is not None, "it had its chance"


async def test_a_lock_is_kept_no_longer_for_who_was_woken_if_the_clock_steps_back(
    coord: Any, client: Any, prefix: str, no_leaks: None
) -> None:
    waiting = f"{prefix}:lock:{{x}}:waiting"
    for ahead in (0.045, 3600):
        until = server_time(client) + ahead
        client.zadd(waiting, {"home:woken": -until * 1_000_000})
        client.expire(waiting, 60)
        lease = await coord.lock("x").try_acquire()
        if lease is None:
            assert ahead < 1, "nobody is kept it for an hour"
        else:
            assert ahead > 1 or server_time(client) > until, "it is kept for this moment"
            await lease.release()


async def test_a_release_passes_over_waiters_whose_process_is_gone(
    real_server: str, prefix: str, no_fallback: None
) -> None:
    waiting = f"{prefix}:lock:{{x}}:waiting"
    with redis.Redis.from_url(real_server) as client:
        async with AsyncCoord.connect(real_server, prefix=prefix) as hub:
            held = await hub.lock("x").acquire()
            client.zadd(waiting, {f"nowhere:{number}": number for number in range(1, 4)})
            patient = asyncio.create_task(hub.lock("x").acquire(timeout=20))
            while client.zcard(waiting) < 4:
                await asyncio.sleep(0.01)
            await held.release()
            await (await patient).release()

        assert client.exists(waiting) == 0


async def test_a_dropped_message_delays_a_hand_off_by_a_second_at_most(
    coord: Any, client: Any, prefix: str
) -> None:
    held = await coord.lock("x", wait="poll").try_acquire()
    timer = threading.Timer(0.2, lambda: client.delete(f"{prefix}:lock:{{x}}"))  # which tells nobody
    timer.start()
    lease = await coord.lock("x").acquire(timeout=5)  # the holder's lease would end after 10

    assert lease.fence > held.fence
    timer.join()


async def test_an_expired_holder_is_replaced_when_its_lease_ends(coord: Any, no_fallback: None) -> None:
    lease = await coord.lock("x", ttl=0.3).try_acquire()
    await coord.lock("x").acquire(timeout=5)

    assert not lease.valid


async def test_a_waiter_that_is_cancelled_when_signalled_passes_the_signal_on(
    real_server: str, prefix: str, no_fallback: None
) -> None:
    async with AsyncCoord.connect(real_server, prefix=prefix) as hub:
        for turn in range(8):
            held = await hub.lock("x").acquire()
            first, second = (asyncio.create_task(hub.lock("x").acquire(timeout=5)) for _ in range(2))
            await asyncio.sleep(0.03)
            await held.release()
            for _ in range(turn):
                await asyncio.sleep(0)
            first.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await (await first).release()
            await (await second).release()


async def test_polling_begins_at_once_then_at_random_and_ends_in_time(coord: Any) -> None:
    await coord.lock("x").try_acquire()
    events: list[Any] = []

    async def note(call: Any, send: Callable[..., Awaitable[Any]]) -> Any:
        events.append("asked")
        return await send()

    with intercepted(coord, note), naps_noted(coord, events.append), pytest.raises(LockTimeout):
        await coord.lock("x", wait="poll").acquire(timeout=0.5)
    pauses = [event for event in events if event != "asked"]

    assert events[0] == "asked"
    assert len(set(pauses)) > 4, "no two are alike"
    assert max(pauses) < LONGEST_POLL, "and none is just what it may be at the most"
    assert max(pauses) > 2 * min(pauses[:-1])
    assert sum(pauses) < 0.501, "no pause outlasts the patience"
