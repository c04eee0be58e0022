"""Limiters that only look on, and who is told of decisions."""

from __future__ import annotations

from typing import Any

import pytest

from coord import AsyncCoord, Decision, RateLimited
from tests.limits.limiters import KINDS, limiter

pytestmark = pytest.mark.anyio


def decision(**other: Any) -> Decision:
    fields = {
        "allowed": False, "limit": 20, "remaining": 0, "retry_after": 1.2, "reset_after": 60.000_01,
        "name": "api", "window": 60.0,
    }  # fmt: skip
    return Decision(**{**fields, **other})


@pytest.mark.parametrize("kind", KINDS)
async def test_shadow_mode_charges_and_never_denies(coord: Any, kind: str) -> None:
    seen: list[Decision] = []
    shadow = limiter(
        coord, kind, limit=2, shadow=True, deny_cache=5, on_decision=lambda key, one: seen.append(one)
    )
    answers = [await shadow.try_acquire("u") for _ in range(4)]

    assert [bool(one) for one in answers] == [True] * 4
    assert [one.shadowed for one in answers] == [False, False, True, True]
    assert answers[2].retry_after > 0
    assert [one.source for one in answers] == ["redis", "redis", "redis", "cache"]
    assert seen == answers
    charge = await shadow.acquire("u", timeout=0)
    assert charge.decision.shadowed
    await charge.settle(0)
    assert (await limiter(coord, kind, limit=2).status("u")).remaining == 0, "what was not charged stays so"
    assert not await limiter(coord, kind, limit=2).try_acquire("u")


async def test_a_hook_sees_every_decision(coord: Any, caplog: pytest.LogCaptureFixture) -> None:
    seen: list[tuple[str, bool, str, float]] = []

    def hook(key: str, decision: Decision) -> None:
        seen.append((key, decision.allowed, decision.source, decision.delay))
        raise ZeroDivisionError

    api = limiter(coord, "bucket", limit=2, prefetch=1, deny_cache=5, on_decision=hook)
    for _ in range(4):
        await api.try_acquire("u")
    with pytest.raises(RateLimited):
        await api.acquire("u", timeout=0)
    assert [one[1:3] for one in seen] == [
        (True, "redis"), (True, "lease"), (False, "redis"), (False, "cache"), (False, "redis"),
    ]  # fmt: skip
    assert "on_decision failed" in caplog.text
    soon = limiter(coord, "bucket", limit=50, per=1, name="soon", on_decision=hook)
    await soon.acquire("u", cost=50)
    await soon.acquire("u", cost=1)
    assert seen[-1][3] > 0


async def test_an_async_hook_is_awaited() -> None:
    seen: list[str] = []

    async def hook(key: str, decision: Decision) -> None:
        seen.append(key)

    async with AsyncCoord.connect("memory://") as hub:
        await hub.token_bucket("b", "1/s", on_decision=hook).try_acquire("u")

    assert seen == ["u"]
