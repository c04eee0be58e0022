from __future__ import annotations

import math
import random
import threading
from datetime import timedelta
from fractions import Fraction
from typing import Any

import pytest
import time_machine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coord import Coord, Decision, WrongKeyType
from tests.conftest import keys_of

pytestmark = pytest.mark.anyio

NEVER = None
GCRA_TABLE = [
    # at ms, cost, limited, remaining, reset s, retry s; limit 5, 1/s
    (0, 6, True, 5, 0, NEVER),
    (0, 1, False, 4, 1, 0),
    (0, 1, False, 3, 2, 0),
    (0, 1, False, 2, 3, 0),
    (0, 1, False, 1, 4, 0),
    (0, 1, False, 0, 5, 0),
    (0, 1, True, 0, 5, 1),
    (3000, 1, False, 2, 3, 0),
    (3100, 1, False, 1, 3.9, 0),
    (4000, 1, False, 1, 4, 0),
    (8000, 1, False, 4, 1, 0),
    (9500, 1, False, 4, 1, 0),
    (9500, 0, False, 4, 1, 0),
    (9500, 2, False, 2, 3, 0),
    (9500, 5, True, 2, 3, 3),
    (15000, 6, True, 5, 0, NEVER),
]
"""The widely published rows of redis-cell's and throttled's own tests."""


def age(client: Any, key: str, seconds: float) -> None:
    """Make a bucket's state look as if it had been written earlier."""
    state = client.get(key)
    if state is not None:
        written, rest = state.decode().split(":", 1)
        client.set(key, f"{int(written) - round(seconds * 1e6)}:{rest}", px=60_000)


async def test_the_published_table_holds_on_every_server(coord: Any, client: Any, prefix: str) -> None:
    bucket = coord.token_bucket("table", rate=1, burst=5)
    last = 0
    for at, cost, limited, remaining, reset, retry in GCRA_TABLE:
        age(client, f"{prefix}:bucket:{{u}}:table", (at - last) / 1000)
        last = at
        if retry is NEVER:
            with pytest.raises(ValueError, match="cost must be from 0 to 5, not 6"):
                await bucket.try_acquire("u", cost)
            decision = await bucket.peek("u")
        else:
            decision = await bucket.try_acquire("u", cost)
            assert decision.allowed is not limited
            assert decision.retry_after == pytest.approx(retry, abs=0.09)

        assert decision.remaining == remaining
        assert decision.reset_after == pytest.approx(reset, abs=0.09)


def test_the_published_table_holds_to_the_microsecond() -> None:
    with time_machine.travel(1_700_000_000, tick=False) as clock, Coord.connect("memory://") as hub:
        bucket = hub.token_bucket("table", rate=1, burst=5)
        last = 0
        for at, cost, limited, remaining, reset, retry in GCRA_TABLE:
            clock.shift((at - last) / 1000)
            last = at
            if retry is NEVER:
                decision = bucket.peek("u")
                assert (decision.remaining, decision.reset_after) == (remaining, reset)
                continue

            assert bucket.try_acquire("u", cost) == Decision(
                allowed=not limited, limit=5, remaining=remaining, retry_after=retry, reset_after=reset
            )


class RationalBucket:
    """A token bucket in exact fractions: the model that the script must equal."""

    def __init__(self, rate: Fraction, burst: int) -> None:
        self.rate, self.burst = rate, burst
        self.tokens, self.at = Fraction(burst), Fraction(0)

    def take(self, now: Fraction, cost: int) -> tuple[bool, int, Fraction]:
        self.tokens = min(Fraction(self.burst), self.tokens + (now - self.at) * self.rate)
        self.at = now
        if cost <= self.tokens:
            self.tokens -= cost
            return True, math.floor(self.tokens), Fraction(0)
        return False, math.floor(self.tokens), (cost - self.tokens) / self.rate


class RationalWindow:
    """A sliding window that remembers everything."""

    def __init__(self, limit: int, period: int) -> None:
        self.limit, self.period = limit, period
        self.log: list[tuple[int, int]] = []

    def take(self, now: int, cost: int) -> tuple[bool, int, int]:
        self.log = [(at, spent) for at, spent in self.log if at + self.period > now]
        used = sum(spent for _, spent in self.log)
        if used + cost <= self.limit:
            if cost:
                self.log.append((now, cost))
            return True, self.limit - used - cost, 0
        left = used
        for at, spent in self.log:
            left -= spent
            if left + cost <= self.limit:
                return False, self.limit - used, at + self.period - now
        raise AssertionError


steps = st.lists(st.tuples(st.integers(0, 3_000_000), st.integers(0, 7)), max_size=40)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=steps,
    rate=st.one_of(st.integers(1, 50), st.sampled_from([0.1, 0.5, 2.5, 7])),
    period=st.sampled_from([1, 0.25, 3, 60]),
)
def test_a_bucket_equals_the_rational_model(steps: list[tuple[int, int]], rate: float, period: float) -> None:
    start = 1_700_000_000_000_000
    burst, now = 7, start
    model = RationalBucket(Fraction(str(rate)) / Fraction(round(period * 1e6)), burst)
    model.at = Fraction(start)
    with time_machine.travel(start / 1e6, tick=False) as clock, Coord.connect("memory://") as hub:
        bucket = hub.token_bucket("b", rate=rate, period=period, burst=burst)
        for pause, cost in steps:
            now += pause
            clock.move_to(now / 1e6)
            decision = bucket.try_acquire("u", cost)
            allowed, remaining, retry = model.take(Fraction(now), cost)

            assert (decision.allowed, decision.remaining) == (allowed, remaining)
            assert round(decision.retry_after * 1e6) == math.ceil(retry)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps, limit=st.integers(7, 20), period=st.sampled_from([1, 0.25, 3, 60]))
def test_a_window_equals_the_plain_model(steps: list[tuple[int, int]], limit: int, period: float) -> None:
    now = 1_700_000_000_000_000
    model = RationalWindow(limit, round(period * 1e6))
    with time_machine.travel(now / 1e6, tick=False) as clock, Coord.connect("memory://") as hub:
        window = hub.sliding_window("w", limit=limit, period=period)
        for pause, cost in steps:
            now += pause
            clock.move_to(now / 1e6)
            decision = window.try_acquire("u", cost)
            allowed, remaining, retry = model.take(now, cost)

            assert (decision.allowed, decision.remaining) == (allowed, remaining)
            assert round(decision.retry_after * 1e6) == retry


LIMITERS = ["bucket", "window"]


def limiter(coord: Any, kind: str, limit: int = 3, period: float = 60) -> Any:
    if kind == "bucket":
        return coord.token_bucket("api", rate=limit, period=period)
    return coord.sliding_window("api", limit=limit, period=period)


@pytest.mark.parametrize("kind", LIMITERS)
async def test_the_limit_is_admitted_and_not_one_more(coord: Any, other_coord: Any, kind: str) -> None:
    mine, theirs = limiter(coord, kind), limiter(other_coord, kind)
    answers = [await one.try_acquire("user:7") for one in (mine, theirs, mine, theirs, mine)]

    assert [bool(answer) for answer in answers] == [True, True, True, False, False]
    assert [answer.remaining for answer in answers] == [2, 1, 0, 0, 0]
    assert answers[0].limit == 3
    assert 0 < answers[3].retry_after <= 60
    assert 0 < answers[3].reset_after <= 60


@pytest.mark.parametrize("kind", LIMITERS)
async def test_each_key_and_each_name_has_a_limit_of_its_own(coord: Any, kind: str) -> None:
    api = limiter(coord, kind, limit=1)

    assert await api.try_acquire("ann")
    assert await api.try_acquire("bob")
    assert not await api.try_acquire("ann")

    assert await coord.token_bucket("other", rate=1, period=60).try_acquire("ann")
    assert await coord.sliding_window("other", limit=1, period=60).try_acquire("ann")


@pytest.mark.parametrize("kind", LIMITERS)
async def test_a_denied_call_changes_nothing(coord: Any, client: Any, prefix: str, kind: str) -> None:
    api = limiter(coord, kind, limit=4)
    await api.try_acquire("u", 3)
    (key,) = keys_of(client, prefix)
    before = (client.dump(key), client.pexpiretime(key) if kind == "x" else None)
    ttl = client.pttl(key)

    assert not await api.try_acquire("u", 2)
    assert not await api.try_acquire("u", 4)
    assert before[0] == client.dump(key)
    assert client.pttl(key) <= ttl
    assert await api.try_acquire("u", 1)


@pytest.mark.parametrize("kind", LIMITERS)
async def test_peeking_charges_nothing_and_creates_nothing(
    coord: Any, client: Any, prefix: str, kind: str
) -> None:
    api = limiter(coord, kind)
    untouched = await api.peek("u")

    assert untouched == Decision(allowed=True, limit=3, remaining=3, retry_after=0, reset_after=0)
    assert keys_of(client, prefix) == []

    await api.try_acquire("u", 2)

    assert [(await api.peek("u")).remaining for _ in range(3)] == [1, 1, 1]
    assert (await api.try_acquire("u", 0)).remaining == 1


@pytest.mark.parametrize("kind", LIMITERS)
async def test_resetting_forgets_one_key_only(coord: Any, kind: str) -> None:
    api = limiter(coord, kind, limit=1)
    await api.try_acquire("ann")
    await api.try_acquire("bob")
    await api.reset("ann")

    assert await api.try_acquire("ann")
    assert not await api.try_acquire("bob")


@pytest.mark.parametrize("kind", LIMITERS)
async def test_every_key_lives_as_long_as_it_matters(coord: Any, client: Any, prefix: str, kind: str) -> None:
    api = limiter(coord, kind, limit=10, period=100)
    decision = await api.try_acquire("u", 5)
    (key,) = keys_of(client, prefix)

    assert abs(client.pttl(key) / 1000 - decision.reset_after) < 1
    assert decision.reset_after == pytest.approx(50 if kind == "bucket" else 100, abs=1)


@pytest.mark.parametrize("kind", LIMITERS)
async def test_retry_after_is_sufficient(coord: Any, kind: str) -> None:
    import anyio

    api = limiter(coord, kind, limit=1, period=0.05)
    await api.try_acquire("u")
    denied = await api.try_acquire("u")

    assert not denied
    await anyio.sleep(denied.retry_after)
    assert await api.try_acquire("u")


@pytest.mark.parametrize("kind", LIMITERS)
def test_retry_after_is_minimal(kind: str) -> None:
    with time_machine.travel(1_700_000_000, tick=False) as clock, Coord.connect("memory://") as hub:
        api = limiter(hub, kind, limit=3, period=1)
        for _ in range(3):
            api.try_acquire("u")
            clock.shift(0.1)
        denied = api.try_acquire("u", 2)
        clock.shift(denied.retry_after - 0.000_002)

        assert not api.try_acquire("u", 2)
        clock.shift(0.000_003)
        assert api.try_acquire("u", 2)


@pytest.mark.parametrize("kind", LIMITERS)
def test_a_clock_that_steps_back_blocks_nobody_longer_than_a_full_refill(kind: str) -> None:
    with time_machine.travel(1_700_000_000, tick=False) as clock, Coord.connect("memory://") as hub:
        api = limiter(hub, kind, limit=3, period=3)
        assert api.try_acquire("u", 3)
        clock.shift(-3600)
        denied = api.try_acquire("u", 3)

        assert not denied
        assert denied.retry_after == 3
        clock.shift(3)
        assert api.try_acquire("u", 3)


def test_the_limits_may_change_on_any_call_without_losing_what_was_used() -> None:
    with time_machine.travel(1_700_000_000, tick=False), Coord.connect("memory://") as hub:
        wide = hub.token_bucket("b", rate=10, period=10, burst=10)
        narrow = hub.token_bucket("b", rate=1, period=1, burst=2)
        odd = hub.token_bucket("b", rate=3, period=10, burst=10)
        wide.try_acquire("u", 8)

        assert not narrow.try_acquire("u")
        assert wide.peek("u").remaining == 2, "a smaller bucket's denial forgives nothing"
        assert odd.peek("u").reset_after == 8, "time to full carries over"
        odd.try_acquire("u", 1)
        assert wide.peek("u").reset_after == 10, "no bucket is emptier than empty"
        assert odd.peek("u").reset_after == pytest.approx(8 + 10 / 3, abs=0.000_002)


def test_a_million_decisions_do_not_drift() -> None:
    """Counted in a model of the script's own integer steps, with the real script checked along the way."""
    with time_machine.travel(1_700_000_000, tick=False) as clock, Coord.connect("memory://") as hub:
        bucket = hub.token_bucket("b", rate=7, period=1, burst=7)
        model = RationalBucket(Fraction(7, 1_000_000), 7)
        now = 1_700_000_000_000_000
        model.at = Fraction(now)
        dice = random.Random(7)
        for _ in range(2000):
            now += dice.randrange(200_000)
            clock.move_to(now / 1e6)
            cost = dice.randrange(1, 3)
            assert bucket.try_acquire("u", cost).allowed is model.take(Fraction(now), cost)[0]


def test_threads_sharing_one_coord_admit_exactly_the_limit(real_server: str, prefix: str) -> None:
    admitted: list[bool] = []
    with Coord.connect(real_server, prefix=prefix) as hub:
        for kind in LIMITERS:
            admitted.clear()
            api = limiter(hub, kind, limit=50, period=3600)

            def work(api: Any = api) -> None:
                admitted.extend(bool(api.try_acquire("u")) for _ in range(20))

            threads = [threading.Thread(target=work) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            api.reset("u")

            assert admitted.count(True) == 50


async def test_a_long_window_is_walked_in_slices(coord: Any, client: Any, prefix: str) -> None:
    window = coord.sliding_window("w", limit=300, period=60)
    for _ in range(300):
        await window.try_acquire("u")
    denied = await window.try_acquire("u", 250)
    key = f"{prefix}:window:{{u}}:w"

    assert not denied
    assert client.llen(key) == 601
    times = [int(at) for at in client.lrange(key, 1, -1)[::2]]
    assert denied.retry_after == pytest.approx(60 - (times[-1] - times[249]) / 1e6, abs=0.5)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"rate": 0}, ValueError), ({"rate": -1}, ValueError), ({"rate": True}, TypeError),
        ({"rate": float("nan")}, ValueError),
        ({"rate": float("inf")}, ValueError), ({"rate": "1"}, TypeError),
        ({"rate": 1, "period": 0}, ValueError), ({"rate": 1, "period": -1}, ValueError),
        ({"rate": 1, "burst": 0}, ValueError), ({"rate": 1, "burst": 1.5}, TypeError),
        ({"rate": 7, "period": 86400, "burst": 10**6}, ValueError),
    ],
)  # fmt: skip
def test_a_bad_bucket_is_refused_when_it_is_made(options: dict[str, Any], error: type) -> None:
    with Coord.connect("redis://127.0.0.1:1") as hub, pytest.raises(error):
        hub.token_bucket("b", **options)


@pytest.mark.parametrize(
    ("limit", "period", "error"),
    [
        (0, 1, ValueError),
        (1.5, 1, TypeError),
        (True, 1, TypeError),
        (1, 0, ValueError),
        (10**7, 1, ValueError),
    ],
)
def test_a_bad_window_is_refused_when_it_is_made(limit: Any, period: Any, error: type) -> None:
    with Coord.connect("redis://127.0.0.1:1") as hub, pytest.raises(error):
        hub.sliding_window("w", limit=limit, period=period)


@pytest.mark.parametrize("kind", LIMITERS)
@pytest.mark.parametrize(
    ("key", "cost", "error"),
    [("u", -1, ValueError), ("u", 4, ValueError), ("u", True, TypeError), ("u", 1.0, TypeError),
     ("u", float("nan"), TypeError), ("", 1, ValueError), (7, 1, TypeError), (None, 1, TypeError)],
)  # fmt: skip
def test_a_bad_call_is_refused_before_anything_is_sent(kind: str, key: Any, cost: Any, error: type) -> None:
    with Coord.connect("redis://127.0.0.1:1") as hub, pytest.raises(error):
        limiter(hub, kind).try_acquire(key, cost)


def test_periods_may_be_timedeltas_and_shorter_than_a_second() -> None:
    with time_machine.travel(1_700_000_000, tick=False) as clock, Coord.connect("memory://") as hub:
        bucket = hub.token_bucket("b", rate=1, period=timedelta(milliseconds=20))
        bucket.try_acquire("u")

        assert bucket.try_acquire("u").retry_after == 0.02
        clock.shift(0.02)
        assert bucket.try_acquire("u")


@pytest.mark.parametrize("kind", LIMITERS)
async def test_a_key_of_another_type_is_named(coord: Any, client: Any, prefix: str, kind: str) -> None:
    key = f"{prefix}:{kind}:{{u}}:api"
    client.hset(key, "a", "b")
    with pytest.raises(WrongKeyType, match=kind):
        await limiter(coord, kind).try_acquire("u")

    client.delete(key)


async def test_a_bucket_takes_little_memory(real_server: str, prefix: str) -> None:
    from coord._engine.urls import open_sync

    with Coord.connect(real_server, prefix=prefix) as hub, open_sync(real_server).client as client:
        hub.token_bucket("x", rate=1, period=60, burst=100).try_acquire("user:123")
        (key,) = keys_of(client, prefix)

        assert client.memory_usage(key) <= 104
        window = hub.sliding_window("w", limit=1000, period=60)
        for _ in range(1000):
            window.try_acquire("u")

        assert client.memory_usage(f"{prefix}:window:{{u}}:w") <= 16 * 1000 + 512
        client.delete(*keys_of(client, prefix))
