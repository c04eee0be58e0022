"""What is answered when the server cannot be asked."""

from __future__ import annotations

import contextlib
import itertools
import logging
import math
from typing import TYPE_CHECKING, Any

import pytest
import redis

from coord import Coord, RateLimited, WrongKeyType
from coord.limits.fallback import REST, TRIES, Breaker
from tests.limits.limiters import KINDS, limiter
from tests.support.hubs import broken, intercepted, recorded, set_clock, time_given
from tests.support.keys import keys_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

pytestmark = pytest.mark.anyio
NOWHERE = "unix:///no/such/server.sock"


async def test_without_a_fallback_the_clients_exception_is_raised(coord: Any) -> None:
    calls = broken(coord)
    api = limiter(coord, "bucket")
    for _ in range(10):
        with pytest.raises(redis.ConnectionError):
            await api.try_acquire("u")

    assert len(calls) == 10, "the breaker is for those who have something else to answer"


@pytest.mark.parametrize("policy", ["allow", "deny", "local"])
async def test_a_fallback_answers_and_says_so(coord: Any, policy: str) -> None:
    broken(coord)
    for kind in KINDS:
        api = limiter(coord, kind, limit=3, name=kind, on_error=policy, share=1.0)
        answers = [await api.try_acquire("u") for _ in range(5)]

        assert {one.source for one in answers} == {"fallback"}
        expected = {"allow": [True] * 5, "deny": [False] * 5, "local": [True] * 3 + [False] * 2}[policy]
        assert [bool(one) for one in answers] == expected
        assert all(one.retry_after > 0 for one in answers if not one)
        assert (await api.status("u")).source == "fallback"
        await api.refund("u")
        await api.penalize("u", until=3)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_local_limiter_has_its_share_and_its_own_time(coord: Any, kind: str) -> None:
    clock = set_clock(coord)
    broken(coord)
    api = limiter(coord, kind, limit=12, per=60, on_error="local", share=0.25)
    assert [bool(await api.try_acquire("u")) for _ in range(4)] == [True, True, True, False]
    denied = await api.try_acquire("u", cost=2)
    assert denied.limit == 3
    clock.time += denied.retry_after - 0.001
    assert not await api.try_acquire("u", cost=2)
    clock.time += 0.002
    assert await api.try_acquire("u", cost=2)
    assert not await api.try_acquire("u", cost=12), "more than the share is never allowed"


def test_a_local_window_never_admits_more_than_an_exact_one() -> None:
    with Coord.connect(NOWHERE) as hub:
        clock = set_clock(hub)
        broken(hub)
        api = hub.sliding_window("w", limit=7, per=10, on_error="local")
        admitted: list[float] = []
        for _ in range(2000):
            clock.time += 0.037
            if api.try_acquire("u"):
                admitted.append(clock.time)

        assert len(admitted) > 40
        assert all(later - first >= 10 for first, later in zip(admitted, admitted[7:], strict=False))


async def test_several_fall_back_together(coord: Any) -> None:
    broken(coord)
    rpm, tpm = coord.token_bucket("rpm", "3/minute"), coord.token_bucket("tpm", "100/minute")
    both = coord.limits(rpm, tpm, on_error="local")
    assert (await both.try_acquire("u", cost={"rpm": 1, "tpm": 90})).source == "fallback"
    denied = await both.try_acquire("u", cost={"rpm": 1, "tpm": 90})
    assert (denied.allowed, denied.name) == (False, "tpm")
    assert [part.remaining for part in denied.parts] == [2, 10], "all or none"
    charge = await coord.limits(rpm, tpm, on_error="allow").acquire("u", cost=1)
    await charge.settle({"rpm": 1, "tpm": 7})
    assert charge.decision.source == "fallback"


async def test_a_denial_never_leads_to_a_fallback(coord: Any) -> None:
    api = limiter(coord, "bucket", limit=1, on_error="allow", budget=5)
    await api.try_acquire("u")
    for _ in range(2 * TRIES):
        denied = await api.try_acquire("u")
        assert (denied.allowed, denied.source) == (False, "redis")
    with pytest.raises(RateLimited):
        await api.acquire("u", timeout=0)


async def test_what_is_not_the_servers_trouble_is_raised_all_the_same(
    coord: Any, client: Any, prefix: str
) -> None:
    api = limiter(coord, "bucket", on_error="allow", budget=5)
    client.hset(f"{prefix}:bucket:{{u}}:api", "a", "b")
    with pytest.raises(WrongKeyType):
        await api.try_acquire("u")
    client.delete(f"{prefix}:bucket:{{u}}:api")
    with pytest.raises(ValueError, match="cost"):
        await api.try_acquire("u", cost=99)
    await coord.close()
    with pytest.raises(RuntimeError, match="closed"):
        await api.try_acquire("u")


async def test_a_charge_whose_reply_was_lost_is_not_sent_again(coord: Any, client: Any) -> None:
    sent: list[bool] = []

    async def lose(call: Any, send: Callable[..., Awaitable[Any]]) -> Any:
        sent.append(call.repeatable)
        await send()
        raise redis.TimeoutError("no answer")

    with intercepted(coord, lose):
        decision = await limiter(coord, "bucket", limit=5, on_error="allow", budget=5).try_acquire("u")

    assert (decision.source, sent) == ("fallback", [False])
    assert (await limiter(coord, "bucket", limit=5).status("u")).remaining == 4, "charged once"


async def test_asking_has_a_budget(coord: Any) -> None:
    budgets: list[float] = []

    async def note(call: Any, send: Callable[..., Awaitable[Any]]) -> Any:
        budgets.append(time_given(send))
        return await send(timeout=5)

    with intercepted(coord, note):
        await limiter(coord, "bucket").try_acquire("u")
        await limiter(coord, "bucket", on_error="deny", budget=2.5).try_acquire("u")
        await limiter(coord, "bucket", on_error="deny").try_acquire("u")
        await limiter(coord, "bucket", on_error="deny", budget=0.25).try_acquire("u")
        await limiter(coord, "bucket", budget=0.5).status("u")

    assert budgets == [math.inf, 2.5, 0.1, 0.25, 0.5]


def test_a_server_that_hangs_costs_the_budget_and_then_nothing(real_server: str, prefix: str) -> None:
    with (
        Coord.connect(real_server, prefix=prefix, call_timeout=0.2) as hub,
        redis.Redis.from_url(real_server) as client,
    ):
        api = hub.token_bucket("api", "5/hour", on_error="allow", budget=0.2)
        assert api.try_acquire("u").source == "redis"
        client.client_pause(2500)
        with recorded(hub) as calls:
            answers = [api.try_acquire("u") for _ in range(50)]
        client.client_unpause()

        assert {one.source for one in answers} == {"fallback"}
        assert len(calls) == TRIES, "the others were not even asked for"
        client.delete(*keys_of(client, prefix))


def test_the_breaker_lets_one_try_at_a_time_and_closes_again() -> None:
    breaker = Breaker(contextlib.nullcontext())
    for now in range(TRIES):
        assert breaker.lets_through(now)
        breaker.failed(now)
    late = TRIES - 1 + REST
    assert not breaker.lets_through(late - 0.01)
    assert [breaker.lets_through(late) for _ in range(3)] == [True, False, False]
    assert breaker.lets_through(late + REST), "also if the one that tried was never heard of again"
    breaker.worked()
    assert all(breaker.lets_through(late) for _ in range(3))


def test_a_small_budget_is_not_a_larger_ones_breaker(real_server: str, prefix: str) -> None:
    with (
        Coord.connect(real_server, prefix=prefix, call_timeout=5) as hub,
        redis.Redis.from_url(real_server) as client,
    ):
        patient = hub.token_bucket("patient", "9/hour", on_error="deny", budget=5)
        hasty = hub.token_bucket("hasty", "9/hour", on_error="allow", budget=0.001)
        assert patient.try_acquire("u").source == "redis"
        client.client_pause(300)
        assert {hasty.try_acquire("u").source for _ in range(2 * TRIES)} == {"fallback"}
        assert patient.try_acquire("u").source == "redis"
        client.delete(*keys_of(client, prefix))


async def test_limiters_made_on_each_call_share_one_local_limit(coord: Any) -> None:
    broken(coord)
    makers: list[Any] = [
        lambda: coord.token_bucket("m", "3/minute", on_error="local"),
        lambda: coord.sliding_window("m", "3/minute", on_error="local"),
        lambda: coord.fixed_window("m", "3/minute", on_error="local"),
        lambda: coord.limits(coord.token_bucket("n", "3/minute"), on_error="local"),
    ]
    for make in makers:
        assert [bool(await make().try_acquire("u")) for _ in range(5)] == [True] * 3 + [False] * 2
        assert await make().try_acquire("v"), "each key has its own"
    assert not await coord.token_bucket("n", "3/minute", on_error="local").try_acquire("u"), (
        "in a group or alone"
    )
    assert await coord.token_bucket("n", "4/minute", on_error="local").try_acquire("u"), "another policy"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_share_below_one_is_a_share_of_the_rate(coord: Any, kind: str) -> None:
    clock = set_clock(coord)
    broken(coord)
    api = limiter(coord, kind, limit=1, per=10, on_error="local", share=0.25)
    admitted = 0
    for _ in range(4000):
        clock.time += 0.1
        admitted += bool(await api.try_acquire("u"))
    assert 9 <= admitted <= 11, "a quarter of 40 in 400 seconds"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_cost_beyond_the_share_is_refused_at_once(coord: Any, kind: str) -> None:
    broken(coord)
    api = limiter(coord, kind, limit=10, per=1, on_error="local", share=0.25)
    with pytest.raises(RateLimited) as refused:
        await api.acquire("u", cost=5)
    assert refused.value.decision.headers()["Retry-After"] == "1", "when the server may be asked again"
    with pytest.raises(RateLimited):
        await coord.limits(api, coord.token_bucket("other", "9/s"), on_error="local", share=0.25).acquire(
            "u", cost={"api": 5, "other": 1}
        )
    assert await api.try_acquire("u", cost=2), "and nothing was charged"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_local_status_tells_what_a_call_would_be_told(coord: Any, kind: str) -> None:
    set_clock(coord)
    broken(coord)
    api = limiter(coord, kind, limit=4, per=60, on_error="local")
    for cost in (1, 4, 3, 1, 2, 0):
        seen = await api.status("u", cost=cost)
        told = await api.try_acquire("u", cost=cost)
        assert (seen.allowed, seen.retry_after) == (told.allowed, told.retry_after)
        assert seen.remaining == told.remaining + (cost if told.allowed else 0)
        assert not seen or seen.retry_after == 0


@pytest.mark.parametrize("policy", ["allow", "deny", "local"])
async def test_the_first_call_of_a_process_has_time_to_connect(coord: Any, policy: str) -> None:
    budgets: list[float] = []

    async def note(call: Any, send: Callable[..., Awaitable[Any]]) -> Any:
        budgets.append(time_given(send))
        return await send(timeout=5)

    with intercepted(coord, note):
        api = limiter(coord, "bucket", on_error=policy)
        assert [(await api.try_acquire("u")).source for _ in range(2)] == ["redis", "redis"]
        await limiter(coord, "bucket", name="patient", on_error=policy, budget=3).try_acquire("u")

    assert budgets == [1.0, 0.1, 3.0]


async def test_only_the_first_failure_takes_longer_than_the_budget(coord: Any) -> None:
    budgets: list[float] = []

    async def fail(call: Any, send: Callable[..., Awaitable[Any]]) -> Any:
        budgets.append(time_given(send))
        raise redis.TimeoutError("no answer")

    with intercepted(coord, fail):
        api = limiter(coord, "bucket", on_error="allow")
        assert [(await api.try_acquire("u")).source for _ in range(5)] == ["fallback"] * 5
    assert budgets == [1.0, 0.1, 0.1]


async def test_waiting_falls_back_too(coord: Any) -> None:
    broken(coord)
    local = limiter(coord, "bucket", limit=1, per=0.03, on_error="local")
    assert (await local.acquire("u")).decision.source == "fallback"
    assert (await local.acquire("u")).decision
    slow = limiter(coord, "bucket", limit=1, per=60, name="slow", on_error="local")
    assert (await slow.acquire("u")).decision
    with pytest.raises(RateLimited):
        await slow.acquire("u", timeout=1)
    assert (await limiter(coord, "bucket", on_error="allow").acquire("u")).decision
    with pytest.raises(RateLimited):
        await limiter(coord, "bucket", on_error="deny").acquire("u", timeout=60)


def test_an_unreachable_server_is_fallen_back_from() -> None:
    with Coord.connect(NOWHERE) as hub:
        assert hub.token_bucket("b", "5/s", on_error="allow").try_acquire("u").source == "fallback"
        with pytest.raises(redis.ConnectionError):
            hub.token_bucket("b", "5/s").try_acquire("u")


def test_trouble_is_logged_without_its_details(caplog: pytest.LogCaptureFixture) -> None:
    with Coord.connect("redis://:secret@127.0.0.1:1") as hub, caplog.at_level(logging.WARNING, "coord"):
        hub.token_bucket("b", "5/s", on_error="deny").try_acquire("u")

    assert "ConnectionError" in caplog.text
    assert "secret" not in caplog.text


def test_sources_are_the_documented_four() -> None:
    from typing import get_args

    from coord.limits.decision import Source

    assert set(get_args(Source)) == {"redis", "cache", "lease", "fallback"}
    assert list(itertools.islice(KINDS, 4)) == ["bucket", "exact", "approximate", "fixed"]
