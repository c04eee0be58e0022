"""Denials that are remembered, so that they need not be asked for again."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from coord import Coord
from coord.limits.denials import MOST_COSTS, MOST_KEYS, Denials
from coord.limits.room import MOST_POLICIES
from coord.limits.stock import Stock
from tests.limits.limiters import KINDS, limiter
from tests.support.hubs import answers_of, port_of, set_clock

pytestmark = pytest.mark.anyio
NOWHERE = "unix:///no/such/server.sock"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_hot_denied_key_costs_no_round_trip(coord: Any, kind: str) -> None:
    clock, answers = set_clock(coord), answers_of(coord)
    api = limiter(coord, kind, limit=2, deny_cache=5)
    await api.try_acquire("u", cost=2)
    denied = await api.try_acquire("u")
    asked = len(answers)
    clock.time += 1
    again = [await api.try_acquire("u") for _ in range(100)]

    assert len(answers) == asked
    assert {one.source for one in again} == {"cache"}
    assert (denied.source, again[0].allowed, again[0].name) == ("redis", False, "api")
    assert again[0].retry_after == pytest.approx(denied.retry_after - 1, abs=0.001)
    assert again[0].reset_after == pytest.approx(denied.reset_after - 1, abs=0.001)
    clock.time += 4
    assert (await api.try_acquire("u")).source == "redis", "not for longer than the bound"


async def test_a_remembered_denial_ends_when_the_call_becomes_possible(coord: Any) -> None:
    clock = set_clock(coord)
    api = coord.fixed_window("api", limit=1, per=0.03, deny_cache=60)
    import anyio

    while denied := await api.try_acquire("u"):
        pass  # the machine was slow
    clock.time += denied.retry_after
    await anyio.sleep(denied.retry_after)
    assert await api.try_acquire("u")


async def test_denials_are_told_apart_by_cost_policy_and_key(coord: Any) -> None:
    set_clock(coord)
    api = limiter(coord, "bucket", limit=5, deny_cache=5)
    await api.try_acquire("u", cost=3)
    assert not await api.try_acquire("u", cost=3)
    assert (await api.try_acquire("u", cost=3)).source == "cache"

    assert await api.try_acquire("u", cost=1), "a smaller cost was not denied"
    wider = limiter(coord, "bucket", limit=50, deny_cache=5)
    assert await wider.try_acquire("u", cost=3), "nor by another policy"
    assert (await api.try_acquire("v", cost=3)).source == "redis"
    twin = limiter(coord, "bucket", limit=5, deny_cache=5)
    assert (await twin.try_acquire("u", cost=3)).source == "cache", "the same policy of the same Coord"
    for wrong in (True, 3.0):
        with pytest.raises(TypeError):
            await api.try_acquire("u", cost=wrong)


@pytest.mark.parametrize("how", ["reset", "refund", "settle", "several"])
async def test_own_refunds_and_resets_clear_what_is_remembered(coord: Any, how: str) -> None:
    set_clock(coord)
    api = limiter(coord, "bucket", limit=5, deny_cache=5)
    other = limiter(coord, "bucket", limit=6, deny_cache=5)
    charge = await api.acquire("u", cost=5)
    assert not await api.try_acquire("u", cost=2)
    assert not await other.try_acquire("u", cost=2)
    if how == "reset":
        await other.reset("u")
    elif how == "refund":
        await other.refund("u", 5)
    elif how == "settle":
        await charge.settle(1)
    else:
        await coord.limits(other).reset("u")

    assert await api.try_acquire("u", cost=2)
    assert (await other.try_acquire("u", cost=2)).source == "redis"


async def test_what_is_remembered_is_bounded(coord: Any) -> None:
    clock = set_clock(coord)
    api = limiter(coord, "bucket", limit=100)
    await api.try_acquire("u", cost=100)
    store, decision = Denials(port_of(coord)), await api.status("u", cost=100)
    for number in range(MOST_KEYS + 10):
        store.remember(f"u{number}", 1, decision, asked=clock.time, longest=5)
    for cost in range(1, 2 * MOST_COSTS):
        store.remember("v", cost, decision, asked=clock.time, longest=5)

    found = [number for number in range(MOST_KEYS + 10) if store.find(f"u{number}", 1) is not None]
    assert found == list(range(11, MOST_KEYS + 10)), "the latest, and one other key beside them"
    assert sum(store.find("v", cost) is not None for cost in range(1, 2 * MOST_COSTS)) == MOST_COSTS


def test_limiters_that_are_made_on_each_call_leave_nothing_behind() -> None:
    def alive(kind: type) -> int:
        return sum(isinstance(one, kind) for one in gc.get_objects())

    gc.collect()
    before = alive(Denials), alive(Stock)
    with Coord.connect(NOWHERE) as hub:
        for rate in range(1, 2 * MOST_POLICIES):
            hub.token_bucket("b", rate=rate, prefetch=1)
        gc.collect()

        assert (alive(Denials) - before[0], alive(Stock) - before[1]) == (MOST_POLICIES, MOST_POLICIES)


async def test_without_a_cache_each_denial_is_asked_for(coord: Any) -> None:
    api = limiter(coord, "bucket", limit=1, deny_cache=0)
    await api.try_acquire("u")

    assert [(await api.try_acquire("u")).source for _ in range(3)] == ["redis"] * 3
