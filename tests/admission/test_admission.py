"""Room and rates together: all of it in one step or none, in order of arrival."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import redis

from coord import AsyncCoord, Coord, Decision, Denied, PermitLost, PermitTimeout
from tests.admission.ways_in import KINDS, left, llm, rate
from tests.limits.limiters import dump, same
from tests.support.flavours import awaitable
from tests.support.keys import keys_of
from tests.support.traffic import scripts_run

if TYPE_CHECKING:
    from tests.support import servers

pytestmark = pytest.mark.anyio


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


async def test_both_flavours_see_the_same(server: str, prefix: str, no_leaks: None) -> None:
    with Coord.connect(server, prefix=prefix) as hub:
        async with AsyncCoord.connect(server, prefix=prefix) as async_hub:
            for number, one in enumerate((awaitable(hub), async_hub, awaitable(hub), async_hub)):
                permit = await llm(one).try_acquire("u", cost={"rpm": 1, "tpm": 10})
                assert permit.decision.parts[0].remaining == 4 - number
                await permit.release()
