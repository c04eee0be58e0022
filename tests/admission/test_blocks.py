"""Blocks and functions that are admitted, what they cost in the end, and their loss."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from coord import Admission, AsyncAdmission, AsyncCoord, Coord, PermitLost, RateLimited
from tests.admission.ways_in import left, llm, rate

pytestmark = pytest.mark.anyio


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
