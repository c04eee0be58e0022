"""Room and rates together: all of it in one step or none, in order of arrival."""

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

from coord import (
    Admission,
    AsyncAdmission,
    AsyncCoord,
    Coord,
    Decision,
    Denied,
    PermitLost,
    PermitTimeout,
    RateLimited,
    WrongKeyType,
)
from coord._engine.port import step
from coord.locks import AsyncLock
from tests.limits.test_limiter import dump, same
from tests.support.flavours import assert_refused_unasked, awaitable
from tests.support.keys import keys_of
from tests.support.traffic import scripts_run

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support import servers

pytestmark = pytest.mark.anyio

KINDS = ("bucket", "fixed", "exact", "approximate")


def rate(hub: Any, kind: str, limit: int, name: str = "rpm") -> Any:
    if kind == "bucket":
        return hub.token_bucket(name, rate=limit, per=60)
    if kind == "fixed":
        return hub.fixed_window(name, limit=limit, per=60)
    return hub.sliding_window(name, limit=limit, per=60, precision=kind)


def llm(hub: Any, at_once: int = 2, rpm: int = 5, tpm: int = 1000, **options: Any) -> Any:
    limit = hub.concurrency_limit("calls", limit=at_once, fair=True, **options)
    rates = rate(hub, "exact", rpm), hub.token_bucket("tpm", rate=tpm, per=6000, overdraft=500)
    return hub.admission(*rates, at_once=limit)


async def left(hub: Any, key: str = "u") -> Any:
    """What remains of each rate, and of the room."""
    both = hub.limits(rate(hub, "exact", 5), hub.token_bucket("tpm", rate=1000, per=6000))
    room = await hub.concurrency_limit("calls", limit=2, fair=True).status(key)
    return (*[part.remaining for part in (await both.status(key)).parts], room.available)


async def in_line(hub: Any, number: int, key: str = "u") -> None:
    """Wait until so many wait."""
    limit = hub.concurrency_limit("calls", limit=2, fair=True)
    while True:
        status = limit.status(key)
        if (status if not hasattr(status, "__await__") else await status).waiters == number:
            return
        await asyncio.sleep(0.005)


def charged_at(permit: Any) -> int:
    """When a permit was charged, in microseconds by the server's clock."""
    inner = getattr(permit, "_inner", permit)
    ((_, answer, _),) = getattr(inner, "_flow", inner)._charge._debits
    moment: int = answer.moment
    return moment


# All or nothing


async def test_room_and_rates_are_taken_together(coord: Any) -> None:
    permit = await llm(coord).try_acquire("u", cost={"rpm": 1, "tpm": 300})

    assert permit
    assert permit.valid
    assert await left(coord) == (4, 700, 1)
    assert [(part.name, part.limit, part.remaining) for part in permit.decision.parts] == [
        ("rpm", 5, 4), ("tpm", 1000, 700), ("calls", 2, 1),
    ]  # fmt: skip
    assert permit.decision.name == "calls", "the smallest part of it is left"
    await permit.release()
    await permit.release()
    assert await left(coord) == (4, 700, 2), "a permit is given back, a charge is not"


@pytest.mark.parametrize("kind", KINDS)
async def test_nothing_is_charged_without_room(coord: Any, client: Any, prefix: str, kind: str) -> None:
    at_once = coord.concurrency_limit("calls", limit=2, fair=True)
    both = coord.admission(rate(coord, kind, 5), at_once=at_once)
    held = await at_once.acquire("u", weight=2)
    before = dump(client, prefix)
    denied = await both.try_acquire("u")

    assert not denied
    assert same(before, dump(client, prefix))
    assert (denied.name, denied.allowed) == ("calls", False)
    assert 9 < denied.retry_after <= 10, "when the next lease ends"
    assert [part.allowed for part in denied.parts] == [True, False]
    await held.release()
    async with asyncio.timeout(10):
        assert await both.try_acquire("u")


@pytest.mark.parametrize("kind", KINDS)
async def test_no_room_is_taken_without_the_rate(coord: Any, client: Any, prefix: str, kind: str) -> None:
    at_once = coord.concurrency_limit("calls", limit=2, fair=True)
    limiter = rate(coord, kind, 5)
    both = coord.admission(limiter, at_once=at_once)
    assert await limiter.try_acquire("u", cost=4)
    before = dump(client, prefix)
    denied = await both.try_acquire("u", cost=2)

    assert not denied
    assert same(before, dump(client, prefix))
    assert (await at_once.status("u")).used == 0
    assert denied.name == "rpm"
    alone = await limiter.status("u", cost=2)
    assert denied.retry_after == pytest.approx(alone.retry_after, abs=2)
    assert denied.headers()["RateLimit-Policy"] == '"rpm";q=5;w=60, "calls";q=2'
    assert denied.headers()["RateLimit"].endswith(', "calls";r=2')
    assert [part.allowed for part in denied.parts] == [False, True]
    assert await both.try_acquire("u", cost=1)


async def test_the_one_that_denies_longest_binds(coord: Any) -> None:
    both = llm(coord)
    held = [await both.try_acquire("u", cost={"rpm": 1, "tpm": 490}) for _ in range(2)]
    denied = await both.try_acquire("u", cost={"rpm": 1, "tpm": 1000})

    assert denied.name == "tpm"
    assert 5860 < denied.retry_after <= 5880
    assert [part.allowed for part in denied.parts] == [True, False, False]
    assert denied.retry_after == max(part.retry_after for part in denied.parts)
    for permit in held:
        await permit.release()


async def test_what_costs_nothing_is_not_asked(coord: Any) -> None:
    both = llm(coord)
    assert await coord.token_bucket("tpm", rate=1000, per=6000).try_acquire("u", cost=1000)
    permit = await both.try_acquire("u", cost={"rpm": 1, "tpm": 0}, weight=2)

    assert permit
    assert permit.weight == 2
    assert await left(coord) == (4, 0, 0)
    await permit.release()


async def test_who_is_denied_gets_the_decision_and_no_permit(coord: Any) -> None:
    both = llm(coord)
    held = await both.acquire("u", cost={"rpm": 1, "tpm": 1}, weight=2)
    denied = await both.try_acquire("u", cost={"rpm": 1, "tpm": 1})

    assert isinstance(denied, Denied)
    assert (bool(denied), denied.allowed, denied.name) == (False, False, "calls")
    assert [(part.name, part.remaining) for part in denied.parts] == [("rpm", 4), ("tpm", 999), ("calls", 0)]
    assert "Retry-After" in denied.headers()
    assert not hasattr(denied, "settle")
    assert await left(coord) == (4, 999, 0)
    await held.release()
    permit = await both.try_acquire("u", cost={"rpm": 1, "tpm": 1})
    assert not isinstance(permit, Decision)
    await permit.release()
    assert permit, "true says that it was granted, and not that it is still held"


async def test_to_look_says_what_a_call_would_be_told_and_takes_nothing(
    coord: Any, client: Any, prefix: str
) -> None:
    both = llm(coord)
    free = await both.status("u")
    assert (free.allowed, [part.remaining for part in free.parts]) == (True, [5, 1000, 2])
    assert keys_of(client, prefix) == []

    held = await both.acquire("u", cost={"rpm": 3, "tpm": 1})
    before = dump(client, prefix)
    assert await both.status("u", cost={"rpm": 2, "tpm": 1})
    for cost, weight in [({"rpm": 3, "tpm": 1}, 1), ({"rpm": 1, "tpm": 1}, 2)]:
        looked = await both.status("u", cost=cost, weight=weight)
        told = await both.try_acquire("u", cost=cost, weight=weight)
        assert not looked
        assert (looked.allowed, looked.name) == (told.allowed, told.name)
        assert looked.retry_after == pytest.approx(told.retry_after, abs=1)
        assert [part.allowed for part in looked.parts] == [part.allowed for part in told.parts]
    assert same(before, dump(client, prefix))
    await held.release()


async def test_a_penalty_closes_the_rates_and_takes_no_permit(coord: Any) -> None:
    both = llm(coord)
    held = await both.acquire("u", cost={"rpm": 1, "tpm": 1})
    await both.penalize("u", until=30)
    denied = await both.try_acquire("u", cost={"rpm": 1, "tpm": 1})

    assert denied.retry_after == pytest.approx(30, abs=0.5)
    assert [part.allowed for part in denied.parts] == [False, False, True]
    assert held.valid
    await held.release()


async def test_a_reset_forgets_the_charges_and_takes_the_permits(coord: Any) -> None:
    both = llm(coord)
    held = await both.acquire("u", cost={"rpm": 5, "tpm": 900}, weight=2)
    other = await both.acquire("v", cost={"rpm": 5, "tpm": 900}, weight=2)
    await both.reset("u")

    assert await left(coord) == (5, 1000, 2)
    assert await left(coord, "v") == (0, 100, 0)
    with pytest.raises(PermitLost):
        await held.release()
    await other.release()


def test_it_is_one_command_each_way(own_server: servers.Process) -> None:
    with Coord.connect(f"redis://{own_server.address}") as hub, redis.Redis(port=own_server.port) as client:
        both = llm(hub)
        permit = both.acquire("u", cost={"rpm": 1, "tpm": 5})
        permit.settle({"rpm": 1, "tpm": 9})
        permit.release()
        before = scripts_run(client)
        both.acquire("u", cost={"rpm": 1, "tpm": 5}).release()
        with both.hold("u", cost={"rpm": 1, "tpm": 5}) as permit:
            permit.settle({"rpm": 1, "tpm": 9})

        assert scripts_run(client) - before == 5


async def test_those_who_use_the_parts_alone_count_too(coord: Any, other_coord: Any) -> None:
    both = llm(coord)
    alone = await other_coord.concurrency_limit("calls", limit=2, fair=True).acquire("u")
    await rate(other_coord, "exact", 5).try_acquire("u", cost=3)
    permit = await both.try_acquire("u", cost={"rpm": 2, "tpm": 1})

    assert permit
    assert await left(other_coord) == (0, 999, 0)
    await alone.release()
    await permit.release()


async def test_each_key_has_room_and_rates_of_its_own(coord: Any) -> None:
    both = llm(coord)
    cost = {"rpm": 5, "tpm": 1}
    permits = [await both.try_acquire(key, cost=cost, weight=2) for key in ("a", "b", "{c}:d")]

    assert all(permits)
    assert not await both.try_acquire("a", cost={"rpm": 1, "tpm": 1})
    for permit in permits:
        await permit.release()


async def test_no_key_is_ever_without_a_ttl(coord: Any, client: Any, prefix: str) -> None:
    both = llm(coord)
    permit = await both.acquire("u", cost={"rpm": 1, "tpm": 1}, weight=2)
    with pytest.raises(PermitTimeout):
        await both.acquire("u", cost={"rpm": 1, "tpm": 1}, timeout=0.02)

    assert all(client.pttl(key) > 0 for key in keys_of(client, prefix))
    for key in keys_of(client, prefix):
        client.persist(key)
    assert not await both.try_acquire("u", cost={"rpm": 1, "tpm": 1}), "what was left without one is repaired"
    rates = [key for key in keys_of(client, prefix) if ":window:" in key or ":bucket:" in key]
    assert len(rates) == 2
    assert all(client.pttl(key) > 0 for key in rates)
    await permit.release()
    for key in keys_of(client, prefix):
        client.pexpire(key, 1000)


# The same answer to whoever asks again


@pytest.mark.parametrize("kind", KINDS)
async def test_a_repeated_request_is_charged_once_and_withdrawn_once(coord: Any, kind: str) -> None:
    """What a client that lost a reply does: send the same thing again."""
    limiter = rate(coord, kind, 5)
    at_once = coord.concurrency_limit("calls", limit=3, fair=True)
    both = coord.admission(limiter, at_once=at_once)
    flow = getattr(getattr(both, "_inner", both), "_flow", getattr(both, "_inner", both))
    entrance = flow._entrance("u", 2, 1)
    room, calls = entrance._room, entrance.calls

    async def run(flow: Any) -> Any:
        return step(flow) if type(room.port).__name__ == "ThreadPort" else await flow

    async def acquire(token: str) -> bool:
        grant = await run(room.acquire(calls, token, 5.0, on_repeat=bool))
        return grant.fence is not None

    async def release(token: str, *, end_anyway: bool = False) -> bool:
        held: bool = await run(room.release(calls, token, end_anyway=end_anyway))
        return held

    async def stand() -> tuple[int, int]:
        return (await at_once.status("u")).used, (await limiter.status("u")).remaining

    assert [await acquire("t1 2 me"), await acquire("t1 2 me")] == [True, True]
    assert await stand() == (2, 3), "granted and charged once"
    charged = calls.told.rates.moment
    assert await acquire("t1 2 me")
    assert calls.told.rates.moment == charged
    assert [await release("t1 2 me", end_anyway=True) for _ in range(2)] == [True, True]
    assert await stand() == (0, 5), "given back, and once"
    assert not await acquire("t1 2 me"), "a token that was given up cannot come back"
    assert not await release("t2 1 me", end_anyway=True)
    assert not await acquire("t2 1 me"), "it was given up before it came"
    assert await stand() == (0, 5)

    assert await acquire("t3 2 me")
    await at_once.reset("u")
    assert await stand() == (0, 3), "its lease has ended before the answer arrived"
    assert await acquire("t3 2 me")
    assert await stand() == (2, 3), "and is charged no second time"
    await at_once.reset("u")
    assert not await release("t3 2 me", end_anyway=True)
    assert await stand() == (0, 5), "nor loses what it was charged"

    assert await acquire("t4 1 me")
    calls.kept = True
    assert await release("t4 1 me", end_anyway=True)
    assert await stand() == (0, 3), "whoever was told of it has paid for it"


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_withdrawn_is_this_charge_and_no_other(coord: Any, kind: str) -> None:
    limiter = rate(coord, kind, 9)
    both = coord.admission(limiter, at_once=coord.concurrency_limit("calls", limit=3, fair=True))
    flow = getattr(getattr(both, "_inner", both), "_flow", getattr(both, "_inner", both))
    entrance = flow._entrance("u", 2, 1)

    async def run(flow: Any) -> Any:
        return step(flow) if type(entrance._room.port).__name__ == "ThreadPort" else await flow

    await limiter.try_acquire("u", cost=3)
    assert (await run(entrance._room.acquire(entrance.calls, "t1 1 me", 5.0, on_repeat=bool))).fence
    await limiter.try_acquire("u", cost=1)
    for _ in range(2):
        assert await run(entrance._room.release(entrance.calls, "t1 1 me", end_anyway=True))

    assert (await limiter.status("u")).remaining == 5


async def test_whoever_is_cancelled_holds_nothing_and_has_paid_nothing(real_server: str, prefix: str) -> None:
    async with AsyncCoord.connect(real_server, prefix=prefix) as hub, asyncio.timeout(60):
        both = llm(hub, ttl=60)
        for turns in range(40):
            before = await left(hub)
            task = asyncio.create_task(both.acquire("u", cost={"rpm": 1, "tpm": 10}))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                permit = await task
                await permit.refund()
                await permit.release()
            rpm, tpm, room = await left(hub)
            assert (rpm, room) == (before[0], 2), f"after {turns} turns"
            assert tpm >= before[1]


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


# Waiting


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


async def test_a_rate_that_would_take_longer_than_the_timeout_denies_at_once(
    coord: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def wait(*_: object) -> None:
        pytest.fail("nobody may wait")

    both = llm(coord)
    await (await both.acquire("u", cost={"rpm": 1, "tpm": 600})).release()
    monkeypatch.setattr(AsyncLock, "_wait", wait)
    with pytest.raises(RateLimited) as caught:
        await both.acquire("u", cost={"rpm": 1, "tpm": 900}, timeout=20)

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


# Corrections, blocks and loss


async def test_what_it_cost_is_settled_while_it_is_held_or_later(coord: Any) -> None:
    both = llm(coord)
    async with both.hold("u", cost={"rpm": 1, "tpm": 500}) as permit:
        await permit.settle({"rpm": 1, "tpm": 200})
        await permit.settle({"rpm": 1, "tpm": 200})
        assert await left(coord) == (4, 800, 1)
    await permit.settle({"rpm": 1, "tpm": 700})
    assert (await left(coord))[1] == 300
    await permit.settle({"rpm": 1, "tpm": 1400})
    assert not await both.try_acquire("u", cost={"rpm": 1, "tpm": 1}), "overdrawn"
    await permit.refund()
    assert await left(coord) == (5, 1000, 2)
    with pytest.raises(ValueError, match="'rpm', 'tpm'"):
        await permit.settle({"tpm": 1})


async def test_a_block_that_fails_may_be_refunded(coord: Any) -> None:
    both = llm(coord)
    with pytest.raises(ConnectionError):
        async with both.hold("u", cost={"rpm": 1, "tpm": 500}, refund_on=(OSError,)):
            raise ConnectionError
    assert await left(coord) == (5, 1000, 2)
    with pytest.raises(ZeroDivisionError):
        async with both.hold("u", cost={"rpm": 1, "tpm": 500}, refund_on=(OSError,)):
            raise ZeroDivisionError
    assert await left(coord) == (4, 500, 2)
    block = both.hold("u", cost={"rpm": 1, "tpm": 1})
    with pytest.raises(RuntimeError, match="never entered"):
        await block.__aexit__(None, None, None)
    async with block:
        pass
    with pytest.raises(RuntimeError, match="used before"):
        async with block:
            pass


async def test_a_permit_that_is_lost_ends_its_block_and_stays_charged(real_server: str, prefix: str) -> None:
    async with AsyncCoord.connect(real_server, prefix=prefix) as hub:
        both, told = llm(hub, ttl=0.3), list[str]()
        with pytest.raises(PermitLost):
            async with both.hold("u", cost={"rpm": 1, "tpm": 1}, on_lost=lambda: told.append("u")):
                await hub.concurrency_limit("calls", limit=2, fair=True).reset("u")
                await asyncio.sleep(5)
        assert told == ["u"]
        assert await left(hub) == (4, 999, 2), "the work was begun"


async def test_a_permit_is_renewed_while_its_block_runs(coord: Any) -> None:
    both = llm(coord, ttl=0.3)
    async with both.hold("u", cost={"rpm": 1, "tpm": 1}) as permit:
        waited = 0.0
        while waited < 0.9:
            await asyncio.sleep(0.05)
            waited += 0.05
            permit.check()
        assert (await left(coord))[::2] == (4, 1), "renewed, and charged no second time"


async def test_a_decorated_function_is_admitted(server: str, prefix: str, no_leaks: None) -> None:
    with Coord.connect(server, prefix=prefix) as hub:
        both: Admission = llm(hub)
        at_once = hub.concurrency_limit("calls", limit=2, fair=True)

        @both.around(key=lambda model: f"m:{model}", cost={"rpm": 2, "tpm": 5}, weight=2)
        def complete(model: str) -> int:
            return at_once.status(f"m:{model}").used

        assert [complete("a"), complete("a")] == [2, 2]
        assert rate(hub, "exact", 5).status("m:a").remaining == 1
        with pytest.raises(TypeError, match="use AsyncCoord"):

            @both.around("x", cost={"rpm": 1, "tpm": 1})
            async def other() -> None: ...

    async with AsyncCoord.connect(server, prefix=prefix) as async_hub:
        async_both: AsyncAdmission = llm(async_hub)

        @async_both.around("x", cost={"rpm": 5, "tpm": 1}, timeout=0)
        async def work() -> int:
            return 7

        assert await work() == 7
        with pytest.raises(RateLimited):
            await work()


# What is refused


async def test_a_sync_one_waits_in_no_loop_and_takes_what_is_free(real_server: str, prefix: str) -> None:
    with Coord.connect(real_server, prefix=prefix) as hub:
        both = llm(hub)
        held = both.acquire("u", cost={"rpm": 1, "tpm": 1}, weight=2)
        with pytest.raises(RuntimeError, match="event loop"):
            both.acquire("u", cost={"rpm": 1, "tpm": 1}, timeout=5)
        held.release()
        assert hub.concurrency_limit("calls", limit=2, fair=True).status("u").waiters == 0


def plain(hub: Any) -> Any:
    return hub.concurrency_limit("calls", limit=2, fair=True)


def bucket(hub: Any, name: str = "rpm") -> Any:
    return hub.token_bucket(name, rate=5)


@pytest.mark.parametrize(
    ("what", "error"),
    [
        (lambda hub: hub.admission(at_once=plain(hub)), ValueError),
        (lambda hub: hub.admission(bucket(hub)), TypeError),
        (lambda hub: hub.admission(bucket(hub), bucket(hub), at_once=plain(hub)), ValueError),
        (lambda hub: hub.admission(bucket(hub, "calls"), at_once=plain(hub)), ValueError),
        (lambda hub: hub.admission(bucket(hub), at_once=hub.concurrency_limit("c", limit=1)), ValueError),
        (lambda hub: llm(hub).try_acquire({"rpm": "a", "tpm": "a"}), TypeError),
        (lambda hub: llm(hub).try_acquire(""), ValueError),
        (lambda hub: llm(hub).try_acquire(None), TypeError),
        (lambda hub: llm(hub).try_acquire("u", cost={"rpm": 1}), ValueError),
        (lambda hub: llm(hub).try_acquire("u", cost={"rpm": 1, "tpm": 1, "calls": 1}), ValueError),
        (lambda hub: llm(hub).try_acquire("u", cost=6), ValueError),
        (lambda hub: llm(hub).try_acquire("u", cost=-1), ValueError),
        (lambda hub: llm(hub).try_acquire("u", cost=True), TypeError),
        (lambda hub: llm(hub).try_acquire("u", cost=float("nan")), TypeError),
        (lambda hub: llm(hub).try_acquire("u", weight=3), ValueError),
        (lambda hub: llm(hub).try_acquire("u", weight=0), ValueError),
        (lambda hub: llm(hub).acquire("u", weight=1.0), TypeError),
        (lambda hub: llm(hub).acquire("u", timeout=-1), ValueError),
        (lambda hub: llm(hub).status("u", weight=3), ValueError),
        (lambda hub: llm(hub).status({"rpm": "a", "tpm": "a"}), TypeError),
        (lambda hub: llm(hub).status("u", cost=6), ValueError),
        (lambda hub: llm(hub).penalize("u", until=-1), ValueError),
        (lambda hub: llm(hub).penalize({"rpm": "a", "tpm": "a"}, until=1), TypeError),
        (lambda hub: llm(hub).reset({"rpm": "a", "tpm": "a"}), TypeError),
        (lambda hub: llm(hub).hold("u", timeout=float("nan")), ValueError),
    ],
)
@pytest.mark.parametrize("kind", [Coord, AsyncCoord])
async def test_what_cannot_be_is_refused_before_anything_is_sent(
    kind: Any, what: Callable[[Any], Any], error: type[Exception]
) -> None:
    await assert_refused_unasked(kind, what, error)


async def test_limits_of_another_coord_are_refused() -> None:
    with Coord.connect("memory://") as hub, Coord.connect("memory://") as other:
        with pytest.raises(ValueError, match="this Coord"):
            hub.admission(bucket(hub), at_once=plain(other))
        with pytest.raises(ValueError, match="this Coord"):
            hub.admission(bucket(other), at_once=plain(hub))


@pytest.mark.parametrize("what", ["concurrency:{u}:calls", "window:{u}:rpm", "bucket:{u}:tpm"])
async def test_a_key_of_another_type_is_named_and_nothing_is_taken(
    coord: Any, client: Any, prefix: str, what: str
) -> None:
    both, key = llm(coord), f"{prefix}:{what}"
    client.set(key, "mine", px=5000)

    for attempt in (both.try_acquire, both.acquire):
        with pytest.raises(WrongKeyType) as caught:
            await attempt("u", cost={"rpm": 1, "tpm": 1})
        assert key in caught.value.keys
    assert client.get(key) in {b"mine", "mine"}
    assert not client.exists(f"{prefix}:concurrency:{{u}}:calls") or "concurrency" in what
    assert not client.exists(f"{prefix}:concurrency:{{u}}:calls:queue")


async def test_it_says_what_it_is(coord: Any, client: Any, prefix: str) -> None:
    both = llm(coord)
    permit = await both.acquire("u", cost={"rpm": 1, "tpm": 1})

    assert "Admission 'rpm', 'tpm', 'calls'" in repr(both)
    assert "AdmissionPermit of 'u' from 'calls'" in repr(permit)
    assert "AdmissionHold of 'u'" in repr(both.hold("u"))
    assert isinstance(permit.decision, Decision)
    inner = getattr(permit, "_inner", permit)
    token = getattr(inner, "_flow", inner)._lease.token.split()[0]
    shown = [repr(permit), repr(both), repr(permit.decision)]
    await permit.release()
    assert token not in " ".join([*shown, *keys_of(client, prefix)])
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(inner)


def test_a_sync_wait_is_woken_too(real_server: str, prefix: str) -> None:
    with Coord.connect(real_server, prefix=prefix) as hub:
        both = llm(hub, ttl=60)
        held = both.acquire("u", cost={"rpm": 1, "tpm": 1}, weight=2)
        threading.Timer(0.1, held.release).start()
        with both.hold("u", cost={"rpm": 1, "tpm": 1}, timeout=10) as permit:
            assert permit
            assert permit.decision.parts[0].remaining == 3


async def test_both_flavours_see_the_same(server: str, prefix: str, no_leaks: None) -> None:
    with Coord.connect(server, prefix=prefix) as hub:
        async with AsyncCoord.connect(server, prefix=prefix) as async_hub:
            for number, one in enumerate((awaitable(hub), async_hub, awaitable(hub), async_hub)):
                permit = await llm(one).try_acquire("u", cost={"rpm": 1, "tpm": 10})
                assert permit.decision.parts[0].remaining == 4 - number
                await permit.release()
