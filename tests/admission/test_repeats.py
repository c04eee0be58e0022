"""Requests that are repeated or withdrawn are charged once or not at all."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from coord import AsyncCoord
from tests.admission.ways_in import KINDS, left, llm, rate
from tests.support.rooms import Tokens

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("kind", KINDS)
async def test_a_repeated_request_is_charged_once_and_withdrawn_once(coord: Any, kind: str) -> None:
    """What a client that lost a reply does: send the same thing again."""
    limiter = rate(coord, kind, 5)
    at_once = coord.concurrency_limit("calls", limit=3, fair=True)
    both = coord.admission(limiter, at_once=at_once)
    tokens = Tokens.of_admission(both, "u", 2, 1)
    acquire, release, calls = tokens.acquire, tokens.release, tokens.calls

    async def stand() -> tuple[int, int]:
        return (await at_once.status("u")).used, (await limiter.status("u")).remaining

    assert await acquire("t1 2 me")
    assert await acquire("t1 2 me")
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
    tokens = Tokens.of_admission(both, "u", 2, 1)

    await limiter.try_acquire("u", cost=3)
    assert await tokens.acquire("t1 1 me")
    await limiter.try_acquire("u", cost=1)
    for _ in range(2):
        assert await tokens.release("t1 1 me", end_anyway=True)

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
