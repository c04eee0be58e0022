"""Decorators, blocks, shadow mode, the hook, and headers."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coord import AsyncCoord, Coord, Decision, RateLimited
from tests.limits.test_limiter import KINDS, limiter

pytestmark = pytest.mark.anyio


def test_a_function_is_limited_by_its_arguments() -> None:
    with Coord.connect("memory://") as hub:
        api = hub.token_bucket("api", "2/hour")

        @api.around(lambda user, *, loud=False: f"user:{user}", timeout=0)
        def greet(user: str, *, loud: bool = False) -> str:
            """Greet."""
            return user.upper() if loud else user

        assert [greet("ann"), greet("ann", loud=True)] == ["ann", "ANN"]
        with pytest.raises(RateLimited, match="user:ann"):
            greet("ann")
        assert greet("bob") == "bob"
        assert (greet.__name__, greet.__doc__) == ("greet", "Greet.")

        both = hub.limits(api, hub.token_bucket("tpm", "9/hour"))

        @both.around("all", cost={"api": 1, "tpm": 5}, timeout=0)
        def costly() -> int:
            return 5

        assert costly() == 5
        with pytest.raises(RateLimited, match="'tpm'"):
            costly()


async def test_a_coroutine_function_is_limited() -> None:
    async with AsyncCoord.connect("memory://") as hub:
        api = hub.token_bucket("api", "2/hour")

        @api.around("all", cost=2, timeout=0)
        async def work(x: int) -> int:
            return x + 1

        assert await work(1) == 2
        with pytest.raises(RateLimited):
            await work(1)

        with pytest.raises(TypeError, match="use Coord"):
            api.around("x")(lambda: None)
        with Coord.connect("memory://") as sync, pytest.raises(TypeError, match="use AsyncCoord"):
            sync.token_bucket("b", "1/s").around("x")(work)


async def test_a_block_has_its_charge(coord: Any) -> None:
    api = limiter(coord, "bucket", limit=5)
    async with api.charge("u", cost=3) as charge:
        assert charge.decision.remaining == 2
        await charge.settle(1)
    assert (await api.status("u")).remaining == 4
    with pytest.raises(RateLimited):
        async with api.charge("u", cost=5, timeout=0):
            pytest.fail("the block must not run")
    block = api.charge("u")
    async with block:
        pass
    with pytest.raises(RuntimeError, match="used before"):
        async with block:
            pass


async def test_a_block_gives_back_after_the_exceptions_named(coord: Any) -> None:
    api = limiter(coord, "bucket", limit=5)
    with pytest.raises(ConnectionError):
        async with api.charge("u", cost=3, refund_on=(ConnectionError,)):
            raise ConnectionResetError
    assert (await api.status("u")).remaining == 5
    with pytest.raises(ValueError, match="mine"):
        async with api.charge("u", cost=3, refund_on=(ConnectionError,)):
            raise ValueError("mine")
    assert (await api.status("u")).remaining == 2
    both = coord.limits(api, limiter(coord, "fixed", limit=9, name="other"))
    with pytest.raises(ConnectionError):
        async with both.charge("u", cost={"api": 1, "other": 4}, refund_on=(ConnectionError,)):
            raise ConnectionError
    assert [part.remaining for part in (await both.status("u")).parts] == [2, 9]


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


def decision(**other: Any) -> Decision:
    fields = {
        "allowed": False, "limit": 20, "remaining": 0, "retry_after": 1.2, "reset_after": 60.000_01,
        "name": "api", "window": 60.0,
    }  # fmt: skip
    return Decision(**{**fields, **other})


def test_headers_as_structured_fields() -> None:
    assert decision().headers() == {
        "RateLimit-Policy": '"api";q=20;w=60',
        "RateLimit": '"api";r=0;t=61',
        "Retry-After": "2",
    }
    allowed = decision(allowed=True, remaining=7, retry_after=0.0, reset_after=0.5, window=0.25)
    assert allowed.headers() == {"RateLimit-Policy": '"api";q=20;w=1', "RateLimit": '"api";r=7;t=1'}
    both = decision(parts=(decision(name="rpm", remaining=3), decision(name='t"ü\\\n')))
    assert both.headers()["RateLimit"] == '"rpm";r=3;t=61, "t%22%C3%BC%5C%0A";r=0;t=61'
    assert decision(name="").headers()["RateLimit"].startswith('"default"')


def test_headers_in_the_older_style() -> None:
    assert decision(retry_after=0.000_001).headers("x") == {
        "X-RateLimit-Limit": "20",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": "61",
        "Retry-After": "1",
    }
    with pytest.raises(ValueError, match="style"):
        decision().headers("y")  # type: ignore[arg-type]


@given(
    retry=st.floats(0, 1e9, allow_nan=False),
    reset=st.floats(0, 1e9, allow_nan=False),
    jitter=st.floats(0, 100),
)
def test_headers_are_whole_seconds_and_never_earlier_than_the_truth(
    retry: float, reset: float, jitter: float
) -> None:
    fields = decision(retry_after=retry, reset_after=reset).headers(jitter=jitter)
    after = int(fields["Retry-After"])

    assert max(1, retry - 1e-6) <= after <= math.ceil(retry + jitter) + 1
    found = re.fullmatch(r'"api";r=0;t=(\d+)', fields["RateLimit"])
    assert found is not None
    assert int(found[1]) >= reset - 1e-6
