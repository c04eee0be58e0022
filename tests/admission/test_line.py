"""Those who wait for an admission: in order of arrival, until there is room and the rates allow it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import pickle
import sys
import threading
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
import redis

from coord import AsyncCoord, Coord, PermitTimeout, RateLimited
from tests.admission.ways_in import in_line, left, llm, rate
from tests.support.hubs import name_of, recorded
from tests.support.rooms import charged_at
from tests.support.traffic import scripts_run

if TYPE_CHECKING:
    from tests.support import servers

pytestmark = pytest.mark.anyio


async def test_whoever_is_cancelled_in_line_harms_nobody(real_server: str, prefix: str) -> None:
    async with AsyncCoord.connect(real_server, prefix=prefix) as hub, asyncio.timeout(60):
        both = llm(hub, rpm=100, ttl=60)
        for turns in range(0, 60, 4):
            held = await both.acquire("u", cost={"rpm": 1, "tpm": 0}, weight=2)
            task = asyncio.create_task(both.acquire("u", cost={"rpm": 1, "tpm": 0}))
            for _ in range(turns):
                await asyncio.sleep(0)
            patient = asyncio.create_task(both.acquire("u", cost={"rpm": 1, "tpm": 0}))
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await held.release()
            permit = await patient
            await permit.release()
            await in_line(hub, 0)
            for one in (held, permit):
                await one.refund()
        assert (await rate(hub, "exact", 100).status("u")).remaining == 100


async def test_waiting_ends_when_there_is_room(real_server: str, prefix: str) -> None:
    async with AsyncCoord.connect(real_server, prefix=prefix) as hub, asyncio.timeout(15):
        both = llm(hub, ttl=60)
        held = await both.acquire("u", cost={"rpm": 1, "tpm": 1}, weight=2)
        waiting = asyncio.create_task(both.acquire("u", cost={"rpm": 1, "tpm": 1}))
        await in_line(hub, 1)
        assert await left(hub) == (4, 999, 0), "whoever waits is not charged"
        await held.release()
        permit = await waiting

        assert await left(hub) == (3, 998, 1)
        assert permit.decision.allowed
        await permit.release()


async def test_waiting_ends_when_the_rate_allows_it(coord: Any) -> None:
    both = coord.admission(
        coord.token_bucket("rpm", "10/second burst 1"),
        at_once=coord.concurrency_limit("calls", limit=2, fair=True),
    )
    permits = [await both.acquire("u", timeout=30) for _ in range(2)]
    await permits[0].release()
    permits.append(await both.acquire("u", timeout=30))
    moments = [charged_at(permit) for permit in permits]

    assert all(late - early >= 100_000 for early, late in itertools.pairwise(moments))
    for permit in permits:
        await permit.release()


async def test_a_rate_that_would_take_longer_than_the_timeout_denies_at_once(coord: Any) -> None:
    both = llm(coord)
    await (await both.acquire("u", cost={"rpm": 1, "tpm": 600})).release()
    with recorded(coord) as calls, pytest.raises(RateLimited) as caught:
        await both.acquire("u", cost={"rpm": 1, "tpm": 900}, timeout=20)

    assert [name_of(call) for call in calls].count("permit_admit") == 1, "who waits asks again"
    assert caught.value.decision.name == "tpm"
    assert caught.value.decision.retry_after == pytest.approx(3000, abs=20)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    with pytest.raises(RateLimited):
        await both.acquire("u", cost={"rpm": 1, "tpm": 900}, timeout=0)
    assert (await left(coord))[::2] == (4, 2)


async def test_room_that_does_not_come_in_time_is_a_timeout(coord: Any) -> None:
    both = llm(coord)
    held = await both.acquire("u", cost={"rpm": 1, "tpm": 1}, weight=2)
    for timeout in (0, 0.05):
        with pytest.raises(PermitTimeout) as caught:
            await both.acquire("u", cost={"rpm": 1, "tpm": 1}, timeout=timeout)
        assert (caught.value.name, caught.value.key) == ("calls", "u")
    assert await left(coord) == (4, 999, 0)
    await held.release()


async def test_nobody_goes_before_the_first_however_little_it_wants(
    coord: Any, other_coord: Any, client: Any, prefix: str
) -> None:
    key = f"{prefix}:concurrency:{{u}}:calls"
    both = llm(coord)
    client.zadd(f"{key}:queue", {"home:somebody.1.2": 1})
    client.zadd(f"{key}:alive", {"home:somebody.1.2": 2**52})
    denied = await both.try_acquire("u", cost={"rpm": 1, "tpm": 1})

    assert not denied, "there is room for two, and the rates allow it"
    assert denied.name == "calls"
    assert denied.retry_after == pytest.approx(0.05)
    looked = await both.status("u", cost={"rpm": 1, "tpm": 1})
    assert (looked.name, looked.retry_after) == ("calls", denied.retry_after), "who looks sees the line too"
    with pytest.raises(PermitTimeout):
        await llm(other_coord).acquire("u", cost={"rpm": 1, "tpm": 1}, timeout=0.05)
    client.zadd(f"{key}:queue", {"home:somebody.1.2": 1})
    client.zadd(f"{key}:alive", {"home:somebody.1.2": 1})  # dead for long
    permit = await both.try_acquire("u", cost={"rpm": 1, "tpm": 1})
    assert permit
    await permit.release()


async def test_one_who_wants_much_of_a_rate_is_not_starved(real_server: str, prefix: str) -> None:
    """At 100 a second, burst 10, one who wants all ten waits while others come who want one each."""
    async with AsyncCoord.connect(real_server, prefix=prefix) as hub, asyncio.timeout(20):
        both = hub.admission(
            hub.token_bucket("rpm", "100/second burst 10"),
            at_once=hub.concurrency_limit("calls", limit=50, fair=True),
        )
        await (await both.acquire("u", cost=10)).release()
        served: list[str] = []

        async def take(name: str, cost: int) -> None:
            async with both.hold("u", cost=cost):
                served.append(name)

        greedy = asyncio.create_task(take("much", 10))
        await in_line(hub, 1)
        others = [asyncio.create_task(take("little", 1)) for _ in range(20)]
        await asyncio.gather(greedy, *others)

        assert served[0] == "much"
        assert len(served) == 21


async def test_a_line_costs_a_few_scripts_for_each_who_is_served(own_server: servers.Process) -> None:
    async with AsyncCoord.connect(f"redis://{own_server.address}") as hub, asyncio.timeout(30):
        both = hub.admission(
            hub.token_bucket("rpm", "200/second burst 1"),
            at_once=hub.concurrency_limit("calls", limit=3, fair=True),
        )
        await (await both.acquire("u")).release()
        moments: list[int] = []

        async def call() -> None:
            async with both.hold("u") as permit:
                moments.append(charged_at(permit))

        with redis.Redis(port=own_server.port) as client:
            before = scripts_run(client)
            await asyncio.gather(*[call() for _ in range(100)])
            spent = scripts_run(client) - before

        moments.sort()
        assert all(late - early >= 5_000 for early, late in itertools.pairwise(moments)), "the rate holds"
        seconds = (moments[-1] - moments[0]) / 1_000_000
        # Arrival, the attempts of who was woken, and the release; and once a second everyone looks.
        assert spent <= 100 * (10 + 2 * seconds)


async def test_a_dead_waiter_is_passed_within_its_heartbeat(real_server: str, prefix: str) -> None:
    program = (
        "import sys; from coord import Coord\n"
        "hub = Coord.connect(sys.argv[1], prefix=sys.argv[2])\n"
        "limit = hub.concurrency_limit('calls', limit=2, fair=True)\n"
        "hub.admission(hub.token_bucket('rpm', rate=9), at_once=limit).acquire('u', weight=2)\n"
    )
    async with AsyncCoord.connect(real_server, prefix=prefix) as hub, asyncio.timeout(30):
        both = hub.admission(
            hub.token_bucket("rpm", rate=9), at_once=hub.concurrency_limit("calls", limit=2, fair=True)
        )
        held = await both.acquire("u")
        victim = await anyio.open_process([sys.executable, "-c", program, real_server, prefix])
        await in_line(hub, 1)
        patient = asyncio.create_task(both.acquire("u"))
        await in_line(hub, 2)
        victim.kill()
        await victim.wait()
        await victim.aclose()
        await (await patient).release()
        await held.release()


async def test_contenders_never_exceed_the_limit_or_the_rate(
    server: str, prefix: str, client: Any, no_leaks: None
) -> None:
    """Threads and tasks, in the order of a line; a counter on the server sees how many are at work."""
    most, counted, done = 3, f"{prefix}:inside:{{u}}", list[int]()
    count = client.register_script(
        "local at = redis.call('INCRBY', KEYS[1], ARGV[1]) redis.call('PEXPIRE', KEYS[1], 60000) return at"
    )
    client.set(counted, 0, px=60_000)
    mutex = threading.Lock()

    def both(hub: Any) -> Any:
        limit = hub.concurrency_limit("calls", limit=most, fair=True)
        return hub.admission(hub.fixed_window("rpm", limit=40, per=600), at_once=limit)

    def enter() -> None:
        with mutex:
            assert count(keys=[counted], args=[1]) <= most

    def leave() -> None:
        with mutex:
            count(keys=[counted], args=[-1])
            done.append(1)

    def sync_contender(hub: Coord) -> None:
        with contextlib.suppress(RateLimited), both(hub).hold("u", timeout=60):
            enter()
            leave()

    async def async_contender(hub: AsyncCoord) -> None:
        with contextlib.suppress(RateLimited):
            async with both(hub).hold("u", timeout=60):
                enter()
                await anyio.lowlevel.checkpoint()
                leave()

    with Coord.connect(server, prefix=prefix) as hub:
        async with AsyncCoord.connect(server, prefix=prefix) as async_hub, anyio.create_task_group() as group:
            for _ in range(24):
                group.start_soon(anyio.to_thread.run_sync, sync_contender, hub)
                group.start_soon(async_contender, async_hub)
    client.delete(counted)

    assert len(done) == 40, "of 48, as many as the rate allows"
    assert client.zcard(f"{prefix}:concurrency:{{u}}:calls:queue") == 0


def test_a_sync_wait_is_woken_too(real_server: str, prefix: str) -> None:
    with Coord.connect(real_server, prefix=prefix) as hub:
        both = llm(hub, ttl=60)
        held = both.acquire("u", cost={"rpm": 1, "tpm": 1}, weight=2)
        threading.Timer(0.1, held.release).start()
        with both.hold("u", cost={"rpm": 1, "tpm": 1}, timeout=10) as permit:
            assert permit
            assert permit.decision.parts[0].remaining == 3
