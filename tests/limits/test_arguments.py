"""What a limiter refuses, and limits that are written in words."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine

from coord import Coord, WrongKeyType
from tests.limits.limiters import FAMILY, KINDS, limiter
from tests.support.rooms import policy_of

pytestmark = pytest.mark.anyio
BUCKETS: list[tuple[dict[str, Any], type]] = [
    ({"rate": 0}, ValueError), ({"rate": -1}, ValueError), ({"rate": True}, TypeError),
    ({"rate": float("nan")}, ValueError),
    ({"rate": float("inf")}, ValueError), ({"rate": "1"}, TypeError), ({}, TypeError),
    ({"rate": 1, "per": 0}, ValueError), ({"rate": 1, "per": -1}, ValueError),
    ({"rate": 1, "per": 10**9}, ValueError),
    ({"rate": 1, "burst": 0}, ValueError), ({"rate": 1, "burst": 1.5}, TypeError),
    ({"rate": 3.14159265358979, "per": 3600, "burst": 10**6}, ValueError),
    ({"spec": "1/s", "rate": 1}, TypeError), ({"spec": 5}, TypeError), ({"spec": "0/s"}, ValueError),
    ({"rate": 1, "overdraft": -1}, ValueError), ({"rate": 1, "on_error": "ignore"}, ValueError),
    ({"rate": 1, "share": 0}, ValueError), ({"rate": 1, "share": float("nan")}, ValueError),
    ({"rate": 1, "budget": 0}, ValueError),
    ({"rate": 1, "prefetch": -1}, ValueError), ({"rate": 1, "deny_cache": -1}, ValueError),
    ({"rate": 1, "on_decision": 7}, TypeError), ({"rate": 1, "bursts": 7}, TypeError),
]  # fmt: skip
SPECS: list[tuple[str, float, float, int | None]] = [
    ("100/minute burst 20", 100, 60, 20), ("10/s", 10, 1, None), ("5 per 10 seconds", 5, 10, None),
    ("1_000/day", 1000, 86_400, None), (" 2.5 / 100ms ", 2.5, 0.1, None), ("3 PER Hour BURST 7", 3, 3600, 7),
    ("1/week", 1, 604_800, None), ("8/0.5 s", 8, 0.5, None),
]  # fmt: skip


@pytest.mark.parametrize(("options", "error"), BUCKETS)
def test_a_bad_bucket_is_refused_when_it_is_made(options: dict[str, Any], error: type) -> None:
    with Coord.connect("redis://127.0.0.1:1") as hub, pytest.raises(error):
        hub.token_bucket("b", **options)


@pytest.mark.parametrize(
    ("rate", "whole"),
    [(1 / 3, (1, 3)), (2 / 7, (2, 7)), (100 / 3, (100, 3)), (1 / 3000, (1, 3000)), (0.1, (1, 10))],
)
def test_a_rate_that_is_a_ratio_of_small_numbers_is_counted_as_that(
    rate: float, whole: tuple[int, int]
) -> None:
    with Coord.connect("memory://") as hub:
        rated, exact = (
            hub.token_bucket("b", rate=rate, burst=10**6),
            hub.token_bucket("b", rate=whole[0], per=whole[1], burst=10**6),
        )
        exact.try_acquire("u", cost=10**6)
        assert abs(rated.status("u", cost=7).retry_after - 7 * whole[1] / whole[0]) < 1
        assert rated.status("u").window == pytest.approx(exact.status("u").window, rel=1e-12)


@pytest.mark.parametrize(
    ("rate", "instead"), [(3.14159265358979, "rate=355, per=113"), (0.31830988618379, "rate=113, per=355")]
)
def test_a_rate_that_cannot_be_counted_is_told_in_whole_numbers(rate: float, instead: str) -> None:
    with Coord.connect("redis://127.0.0.1:1") as hub, pytest.raises(ValueError, match=f"as {instead}$"):
        hub.token_bucket("b", rate=rate, burst=10**6)


@pytest.mark.parametrize(
    ("limit", "per", "error"),
    [(0, 1, ValueError), (1.5, 1, TypeError), (True, 1, TypeError), (1, 0, ValueError), (None, 1, TypeError),
     (1, None, TypeError), (2**52, 1, ValueError), (1, float("nan"), ValueError)],
)  # fmt: skip
def test_a_bad_window_is_refused_when_it_is_made(limit: Any, per: Any, error: type) -> None:
    with Coord.connect("redis://127.0.0.1:1") as hub, pytest.raises(error):
        hub.sliding_window("w", limit=limit, per=per)


def test_a_log_has_a_hard_cap() -> None:
    with Coord.connect("redis://127.0.0.1:1") as hub:
        with pytest.raises(ValueError, match="use precision='approximate'"):
            hub.sliding_window("w", limit=10_001, per=1, precision="exact")
        with pytest.raises(ValueError, match="precision must be one of"):
            hub.sliding_window("w", limit=1, per=1, precision="rough")  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("key", "cost", "error"),
    [("u", -1, ValueError), ("u", 4, ValueError), ("u", True, TypeError), ("u", 1.0, TypeError),
     ("u", float("nan"), TypeError), ("", 1, ValueError), (7, 1, TypeError), (None, 1, TypeError)],
)  # fmt: skip
def test_a_bad_call_is_refused_before_anything_is_sent(kind: str, key: Any, cost: Any, error: type) -> None:
    with Coord.connect("redis://127.0.0.1:1") as hub:
        api = limiter(hub, kind)
        for call in (api.try_acquire, api.acquire, api.status):
            with pytest.raises(error):
                call(key, cost=cost)
        with pytest.raises(ValueError, match="cost must be from 1"):
            api.acquire("u", cost=0)
        with pytest.raises(ValueError, match="cost must be from 1"):
            api.refund("u", 0)


@pytest.mark.parametrize(("spec", "amount", "per", "burst"), SPECS)
def test_a_limit_may_be_written_in_words(spec: str, amount: float, per: float, burst: int | None) -> None:
    with Coord.connect("redis://127.0.0.1:1") as hub:
        words = policy_of(hub.token_bucket("b", spec))
        numbers = policy_of(hub.token_bucket("b", rate=amount, per=per, burst=burst))

        assert words == numbers


def test_a_window_in_words() -> None:
    with Coord.connect("redis://127.0.0.1:1") as hub:
        window = policy_of(hub.fixed_window("f", "10/2 min"))
        assert (window.limit, window.window) == (10, 120)
        for make in (hub.fixed_window, hub.sliding_window):
            for spec in ("10/s burst 5", "1.5/s"):
                with pytest.raises(ValueError, match="a window"):
                    make("w", spec)
            with pytest.raises(TypeError, match="not both"):
                make("w", "10/s", limit=5)


@pytest.mark.parametrize(
    "spec", ["", "10", "10/", "10/fortnight", "-1/s", "1e3/s", "10/s burst", "10/s burst 1.5", "x"]
)
def test_words_that_make_no_sense_are_refused(spec: str) -> None:
    with Coord.connect("redis://127.0.0.1:1") as hub, pytest.raises(ValueError, match="cannot be read"):
        hub.token_bucket("b", spec)


def test_a_limits_time_may_be_a_timedelta_and_shorter_than_a_second() -> None:
    with time_machine.travel(1_700_000_000, tick=False) as clock, Coord.connect("memory://") as hub:
        bucket = hub.token_bucket("b", rate=1, per=timedelta(milliseconds=20), deny_cache=0)
        bucket.try_acquire("u")

        assert bucket.try_acquire("u").retry_after == 0.02
        clock.shift(0.02)
        assert bucket.try_acquire("u")


def test_numbers_that_do_not_fit_microseconds_are_counted_in_longer_units() -> None:
    with time_machine.travel(1_700_000_000, tick=False) as clock, Coord.connect("memory://") as hub:
        bucket = hub.token_bucket("b", rate=999_983, per=86_400, burst=999_983, deny_cache=0)
        assert policy_of(bucket).words[4] > 1
        assert bucket.try_acquire("u", cost=999_983)
        denied = bucket.try_acquire("u", cost=500_000)
        assert denied.retry_after == pytest.approx(500_000 * 86_400 / 999_983, rel=1e-6)
        clock.shift(denied.retry_after - 0.000_010)
        assert not bucket.try_acquire("u", cost=500_000)
        clock.shift(0.000_011)
        assert bucket.try_acquire("u", cost=500_000)
        window = hub.sliding_window("w", limit=10**9, per=30 * 86_400)
        assert window.try_acquire("u", cost=10**9)
        assert window.status("u").remaining == 0


@pytest.mark.parametrize("kind", KINDS)
async def test_a_key_of_another_type_is_named(coord: Any, client: Any, prefix: str, kind: str) -> None:
    key = f"{prefix}:{FAMILY[kind]}:{{u}}:api"
    client.hset(key, "a", "b")
    with pytest.raises(WrongKeyType, match=FAMILY[kind]):
        await limiter(coord, kind).try_acquire("u")
    client.delete(key)
    client.set(key, "what is this", px=60_000)
    with pytest.raises(WrongKeyType, match=FAMILY[kind]):
        await limiter(coord, kind).try_acquire("u")
    assert client.get(key) == b"what is this"

    client.delete(key)
    if FAMILY[kind] == "window":
        client.rpush(key, "what", "is", "this")
        with pytest.raises(WrongKeyType, match="window"):
            await limiter(coord, kind).try_acquire("u")
        client.delete(key)
