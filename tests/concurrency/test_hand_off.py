"""How free room gets to those who wait for it, in what order, and to whom it is kept."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import pytest
import redis
import redis.asyncio

from coord import AsyncCoord, Coord, PermitTimeout
from tests.support.hubs import NEVER, no_second_looks
from tests.support.keys import keys_of, server_time
from tests.support.traffic import scripts_run

if TYPE_CHECKING:
    from tests.support import servers

pytestmark = pytest.mark.anyio
KEPT = 0.05
"""Seconds for which room is kept for who was woken."""
SUBSCRIBED = 4
"""How many may look once more, because their subscription was confirmed just now: one a Coord."""


async def standing(limit: Any, number: int) -> None:
    """Wait until so many wait."""
    while True:
        status = limit.status("u")
        if (status if not hasattr(status, "__await__") else await status).waiters == number:
            return
        await asyncio.sleep(0.005)


async def test_a_release_wakes_as_many_as_there_is_room_for(
    own_server: servers.Process, no_fallback: None
) -> None:
    async with contextlib.AsyncExitStack() as stack, asyncio.timeout(15):
        hubs = [await stack.enter_async_context(AsyncCoord.connect(own_server.url)) for _ in range(4)]
        limits = [hub.concurrency_limit("d", limit=5, ttl=60) for hub in hubs]
        client = stack.enter_context(redis.Redis(port=own_server.port))
        heavy, light = await limits[0].acquire("u", weight=3), await limits[0].acquire("u", weight=2)
        waiting = [asyncio.create_task(limits[n % 4].acquire("u")) for n in range(12)]
        await standing(limits[0], 12)
        before = scripts_run(client)
        await heavy.release()
        done: set[Any] = set()
        while len(done) < 3:
            finished, rest = await asyncio.wait(set(waiting) - done, return_when=asyncio.FIRST_COMPLETED)
            done |= finished
        attempts = scripts_run(client) - before

        assert len(done) == 3
        assert attempts <= 1 + 3 + SUBSCRIBED, "the release, and an attempt of each who was woken"
        await light.release()
        held = [task.result() for task in done]
        waiting = [task for task in waiting if task not in done]
        while waiting:
            if held:
                await held.pop().release()
            finished, rest = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            held += [task.result() for task in finished]
            waiting = list(rest)
        for permit in held:
            await permit.release()
        assert scripts_run(client) - before <= 12 + 14 + SUBSCRIBED, "an attempt and a release of each"


async def test_who_wants_less_may_go_before_who_wants_more(
    real_server: str, prefix: str, no_fallback: None
) -> None:
    async with AsyncCoord.connect(real_server, prefix=prefix) as hub, asyncio.timeout(15):
        limit = hub.concurrency_limit("d", limit=3, ttl=60)
        first, second = await limit.acquire("u", weight=2), await limit.acquire("u")
        heavy = asyncio.create_task(limit.acquire("u", weight=3))
        await standing(limit, 1)
        light = asyncio.create_task(limit.acquire("u"))
        await standing(limit, 2)
        await second.release()
        passing = await light
        assert not heavy.done()
        await first.release()
        await passing.release()
        await (await heavy).release()


async def test_a_free_place_is_kept_for_who_was_woken_and_only_for_a_moment(
    coord: Any, client: Any, prefix: str
) -> None:
    """The woken one listens, but does not come: a subscriber of the test's own stands for it."""
    if hasattr(client, "get_node_from_key"):
        pytest.skip("the listener of a cluster's node is tried elsewhere")
    key = f"{prefix}:concurrency:{{u}}:d"
    limit = coord.concurrency_limit("d", limit=2, ttl=60)
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(client.pubsub())
        listener.subscribe(f"{key}:free:home")
        while (listener.get_message(timeout=5) or {}).get("type") != "subscribe":
            pass
        held = [await limit.acquire("u") for _ in range(2)]
        client.zadd(f"{key}:waiting", {"home:gone.1.2": 1, "home:stopped.1.2": 2, "nowhere:x.1.2": 3})
        client.pexpire(f"{key}:waiting", 5000)
        since = server_time(client)
        for permit, woken in zip(held, ("gone.1.2", "stopped.1.2"), strict=True):
            await permit.release()

            assert listener.get_message(timeout=5)["data"] in {woken.encode(), woken}
            early = await limit.try_acquire("u")
            if early is not None:
                assert server_time(client) - since > KEPT, "only once it is kept no longer"
                await early.release()
        permits = [await limit.acquire("u", timeout=5) for _ in range(2)]
        assert all(permit.valid for permit in permits)
        for permit in permits:
            await permit.release()
    assert client.exists(f"{key}:waiting") == 0, "they had their chance"


async def test_a_dropped_message_delays_a_hand_off_by_a_second_at_most(
    coord: Any, client: Any, prefix: str
) -> None:
    limit = coord.concurrency_limit("d", limit=1, ttl=60)
    await limit.acquire("u")
    timer = threading.Timer(0.1, lambda: client.delete(f"{prefix}:concurrency:{{u}}:d"))  # tells nobody
    timer.start()
    assert (await limit.acquire("u", timeout=5)).valid
    timer.join()


async def test_all_that_a_crash_leaves_free_is_taken_when_its_leases_end(
    real_server: str, prefix: str, no_fallback: None
) -> None:
    """Of several who wait only one stands guard; it lets the others know."""
    async with AsyncCoord.connect(real_server, prefix=prefix) as hub:
        limit = hub.concurrency_limit("d", limit=3, ttl=0.4)
        for _ in range(3):
            await limit.acquire("u")  # and nothing more is heard of them
        patient = hub.concurrency_limit("d", limit=3, ttl=60)
        async with asyncio.timeout(15):
            permits = await asyncio.gather(*[patient.acquire("u") for _ in range(3)])

        assert all(permit.valid for permit in permits)


@pytest.mark.parametrize("fair", [False, True])
async def test_a_reset_wakes_who_waits(
    real_server: str, prefix: str, fair: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_second_looks(monkeypatch, 2.0 if fair else NEVER)  # a fair waiter has to be heard of
    async with AsyncCoord.connect(real_server, prefix=prefix) as hub, asyncio.timeout(15):
        limit = hub.concurrency_limit("d", limit=2, ttl=60, fair=fair)
        await limit.acquire("u", weight=2)
        waiting = [asyncio.create_task(limit.acquire("u")) for _ in range(2)]
        await standing(limit, 2)
        await limit.reset("u")
        for permit in await asyncio.gather(*waiting):
            await permit.release()


async def test_a_fair_limit_serves_in_order_of_arrival_whatever_the_weight(
    server: str, prefix: str, no_leaks: None
) -> None:
    served: list[int] = []
    with Coord.connect(server, prefix=prefix) as hub, Coord.connect(server, prefix=prefix) as holder:
        async with AsyncCoord.connect(server, prefix=prefix) as async_hub:
            weights = [1, 3, 1, 1, 3, 2, 2, 1]
            turns = [asyncio.Event() for _ in weights]
            loop = asyncio.get_running_loop()

            def sync_waiter(number: int) -> None:
                with hub.concurrency_limit("d", limit=3, fair=True).hold("u", weight=weights[number]):
                    served.append(number)
                    loop.call_soon_threadsafe(turns[number].set)
                    while number and not turns[number - 1].is_set():
                        time.sleep(0.001)

            async def async_waiter(number: int) -> None:
                limit = async_hub.concurrency_limit("d", limit=3, fair=True)
                async with limit.hold("u", weight=weights[number]):
                    served.append(number)
                    turns[number].set()
                    if number:
                        await turns[number - 1].wait()

            limit = holder.concurrency_limit("d", limit=3, fair=True)
            held = limit.acquire("u", weight=3)
            async with anyio.create_task_group() as group:
                for number in range(len(weights)):
                    if number % 2:
                        group.start_soon(anyio.to_thread.run_sync, sync_waiter, number)
                    else:
                        group.start_soon(async_waiter, number)
                    await standing(limit, number + 1)
                held.release()

    # Two who fit together are admitted together, and note themselves down in either order.
    assert sorted(served) == list(range(len(weights)))
    for heavy in (1, 4):
        at = served.index(heavy)
        assert set(served[:at]) == set(range(heavy)), "all before, and none of those behind"
    assert set(served[5:7]) <= {5, 6, 7}


async def test_at_a_fair_limit_nobody_gets_past_one_who_wants_much(
    coord: Any, other_coord: Any, client: Any, prefix: str
) -> None:
    key = f"{prefix}:concurrency:{{u}}:d"
    limit = coord.concurrency_limit("d", limit=3, fair=True)
    held = await limit.acquire("u")
    client.zadd(f"{key}:queue", {"home:somebody.3.3": 1})
    client.zadd(f"{key}:alive", {"home:somebody.3.3": 2**52})

    assert await limit.try_acquire("u") is None, "although there is room"
    with pytest.raises(PermitTimeout):
        await other_coord.concurrency_limit("d", limit=3, fair=True).acquire("u", timeout=0.05)
    client.zadd(f"{key}:queue", {"home:somebody.3.3": 1})
    client.zadd(f"{key}:alive", {"home:somebody.3.3": 1})  # dead for long
    assert await limit.try_acquire("u")
    await held.release()


async def test_a_dead_waiter_is_passed_within_its_heartbeat(real_server: str, prefix: str) -> None:
    program = (
        "import sys; from coord import Coord; "
        "Coord.connect(sys.argv[1], prefix=sys.argv[2])"
        ".concurrency_limit('d', limit=2, fair=True).acquire('u', weight=2)"
    )
    async with AsyncCoord.connect(real_server, prefix=prefix) as hub, asyncio.timeout(30):
        limit = hub.concurrency_limit("d", limit=2, fair=True, ttl=60)
        held = await limit.acquire("u")
        victim = await anyio.open_process([sys.executable, "-c", program, real_server, prefix])
        await standing(limit, 1)
        patient = asyncio.create_task(limit.acquire("u"))
        await standing(limit, 2)
        victim.kill()
        await victim.wait()
        await victim.aclose()
        await (await patient).release()
        await held.release()


async def test_a_waiter_leaves_no_key_without_a_ttl(coord: Any, client: Any, prefix: str) -> None:
    for fair in (False, True):
        limit = coord.concurrency_limit(f"d{fair}", limit=1, ttl=5, fair=fair)
        async with limit.hold("u"):
            with pytest.raises(PermitTimeout):
                await limit.acquire("u", timeout=0.02)
            assert all(client.pttl(key) > 0 for key in keys_of(client, prefix))
