"""Giving back, settling, and slowing down for a server beyond."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
import time_machine

from coord import Coord, upstream_pause
from tests.limits.limiters import KINDS, dump, limiter, same
from tests.support.keys import keys_of

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("kind", KINDS)
async def test_a_refund_gives_back_and_never_more_than_was_charged(
    coord: Any, other_coord: Any, client: Any, prefix: str, kind: str
) -> None:
    api = limiter(coord, kind, limit=5)
    await api.refund("u", 3)
    assert keys_of(client, prefix) == [], "nothing is made of nothing"

    await api.try_acquire("u", cost=5)
    await limiter(other_coord, kind, limit=5).refund("u", 2)
    assert (await api.status("u")).remaining == 2
    assert await api.try_acquire("u", cost=2)
    await api.refund("u", 100)
    assert (await api.status("u")).remaining == 5
    assert keys_of(client, prefix) == []


@pytest.mark.parametrize("kind", KINDS)
async def test_a_charge_is_settled_at_what_it_cost(coord: Any, kind: str) -> None:
    api = limiter(coord, kind, limit=10)
    charge = await api.acquire("u", cost=4)
    await charge.settle(1)
    assert (await api.status("u")).remaining == 9
    await charge.settle(1)
    assert (await api.status("u")).remaining == 9, "to settle again changes nothing"
    await charge.settle(7)
    assert (await api.status("u")).remaining == 3
    await charge.refund()
    await charge.refund()
    assert (await api.status("u")).remaining == 10


async def test_several_limits_are_settled_by_name_or_given_all_back(coord: Any) -> None:
    requests = coord.token_bucket("requests", "60/minute")
    tokens = coord.token_bucket("tokens", "60_000/minute")
    both = coord.limits(requests, tokens)
    charge = await both.acquire("u", cost={"requests": 1, "tokens": 900})
    with pytest.raises(TypeError, match=r"'tokens': \.\.\.\}\), not settle\(50\)"):
        await charge.settle(50)
    parts = (await both.status("u")).parts
    assert parts[0].remaining == 59, "nothing was sent"
    await charge.settle({"requests": 1, "tokens": 50})
    await charge.settle(0)
    await charge.refund()
    assert [part.remaining for part in (await both.status("u")).parts] == [60, 60_000]

    alone = await coord.limits(requests).acquire("u", cost=9)
    await alone.settle(2)
    assert (await requests.status("u")).remaining == 58

    seats = coord.concurrency_limit("seats", limit=1, fair=True)
    permit = await coord.admission(requests, tokens, at_once=seats).try_acquire("v")
    with pytest.raises(TypeError, match="settled by name"):
        await permit.settle(50)
    await permit.release()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("flock", ["alone", "several", "admission"])
async def test_a_pause_has_bounds(coord: Any, client: Any, prefix: str, kind: str, flock: str) -> None:
    api = limiter(coord, kind, limit=5)
    makers: dict[str, Any] = {
        "alone": lambda: api,
        "several": lambda: coord.limits(api, coord.token_bucket("other", "1/s")),
        "admission": lambda: coord.admission(api, at_once=coord.concurrency_limit("c", limit=1, fair=True)),
    }
    who = makers[flock]()
    for until in (1e18, 11 * 366 * 86_400, timedelta(days=4000), datetime(9999, 1, 1, tzinfo=UTC)):
        with pytest.raises(ValueError, match="until must be at most"):
            await who.penalize("u", until=until)
    for until in (float("nan"), float("inf"), -1, -timedelta(1)):
        with pytest.raises(ValueError, match="until"):
            await who.penalize("u", until=until)
    assert keys_of(client, prefix) == []

    await who.penalize("u", until=timedelta(days=3650))
    denied = await who.status("u")
    assert (await api.status("u", cost=1)).retry_after == pytest.approx(3650 * 86_400, rel=0.01)
    assert denied.remaining == 0
    await who.reset("u")


async def test_a_bucket_that_refills_fast_cannot_pause_for_longer_than_it_can_count(coord: Any) -> None:
    fast = coord.token_bucket("fast", rate=10**10, burst=1000)
    with pytest.raises(ValueError, match="until must be at most"):
        await fast.penalize("u", until=timedelta(days=3650))
    await fast.penalize("u", until=timedelta(days=1))
    assert (await fast.status("u", cost=1)).retry_after == pytest.approx(86_400, abs=5)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_settlement_stops_at_the_limit_and_what_was_not_charged_is_not_given_back(
    coord: Any, kind: str
) -> None:
    api = limiter(coord, kind, limit=10)
    await api.try_acquire("u", cost=5)
    charge = await api.acquire("u", cost=1)
    await charge.settle(1000)
    assert (await api.status("u")).remaining == 0
    assert (await api.status("u", cost=1)).retry_after <= (66 if kind == "approximate" else 60)
    await charge.settle(0)
    assert (await api.status("u")).remaining == 5


@pytest.mark.parametrize("kind", KINDS)
async def test_an_overdraft_is_paid_back_before_anything_is_admitted(coord: Any, kind: str) -> None:
    api = limiter(coord, kind, limit=10, overdraft=10)
    charge = await api.acquire("u", cost=1)
    await charge.settle(1000)
    assert (await api.status("u")).remaining == 0
    owed = (await api.status("u", cost=1)).retry_after
    await charge.settle(10)
    at_the_limit = (await api.status("u", cost=1)).retry_after

    assert (
        owed > at_the_limit
        if kind in ("bucket", "approximate")
        else owed == pytest.approx(at_the_limit, abs=1)
    )
    await charge.settle(9)
    assert (await api.status("u")).remaining == 1


@pytest.mark.parametrize("kind", ["exact", "approximate", "fixed"])
def test_what_has_left_the_window_is_not_given_back(kind: str) -> None:
    """Else it would free what another call was charged."""
    with time_machine.travel(1_700_000_000, tick=False) as clock, Coord.connect("memory://") as hub:
        api = limiter(hub, kind, limit=10, per=10)
        old = api.acquire("u", cost=4)
        clock.shift(25)
        new = api.acquire("u", cost=6)
        old.settle(0)
        assert api.status("u").remaining == 4
        clock.shift(1)
        api.try_acquire("u", cost=2)
        new.settle(1)
        assert api.status("u").remaining == 7


def test_a_charge_of_an_exact_window_gives_back_its_own_entry() -> None:
    with time_machine.travel(1_700_000_000, tick=False) as clock, Coord.connect("memory://") as hub:
        api = limiter(hub, "exact", limit=4, per=10)
        first = api.acquire("u", cost=2)
        clock.shift(5)
        api.try_acquire("u", cost=2)
        first.refund()
        clock.shift(6)

        assert api.status("u").remaining == 2, "the other's entry is still there"


async def test_several_limits_are_settled_each_at_its_own_cost(coord: Any) -> None:
    rpm, tpm = coord.token_bucket("rpm", "60/minute"), coord.token_bucket("tpm", "1000/minute")
    charge = await coord.limits(rpm, tpm).acquire("u", cost={"rpm": 1, "tpm": 900})
    await charge.settle({"rpm": 1, "tpm": 120})
    assert (await tpm.status("u")).remaining == pytest.approx(880, abs=5)
    assert (await rpm.status("u")).remaining == 59
    with pytest.raises(ValueError, match="'rpm', 'tpm'"):
        await charge.settle({"tpm": 3})
    with pytest.raises(ValueError, match="cost"):
        await charge.settle(-1)
    with pytest.raises(TypeError, match="cost"):
        await charge.settle(True)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_penalty_slows_everybody_down(coord: Any, other_coord: Any, kind: str) -> None:
    mine, theirs = limiter(coord, kind, limit=5), limiter(other_coord, kind, limit=5)
    await mine.try_acquire("u")
    await mine.penalize("u", until=30)
    denied = await theirs.try_acquire("u")

    assert not denied
    assert denied.retry_after == pytest.approx(30, abs=0.5)
    assert denied.remaining == 0
    await theirs.penalize("u", until=timedelta(seconds=10))
    assert (await mine.try_acquire("u")).retry_after == pytest.approx(30, abs=0.5), "it is not cut short"
    await theirs.penalize("u", until=datetime.now(UTC) + timedelta(seconds=45))
    assert (await mine.try_acquire("u")).retry_after == pytest.approx(45, abs=1)
    assert await mine.try_acquire("another")
    await mine.reset("u")
    assert await theirs.try_acquire("u")


@pytest.mark.parametrize("kind", KINDS)
def test_after_a_penalty_things_go_on(kind: str) -> None:
    with time_machine.travel(1_700_000_000, tick=False) as clock, Coord.connect("memory://") as hub:
        api = limiter(hub, kind, limit=5, per=5)
        for _ in range(100):
            api.penalize("u", until=7)
        clock.shift(7 - 0.000_002)
        assert not api.try_acquire("u")
        clock.shift(0.000_003)
        assert api.try_acquire("u")
        api.refund("u", 5)
        clock.shift(11)
        assert api.try_acquire("u", cost=5)


def test_a_penalty_frees_nothing() -> None:
    with time_machine.travel(1_700_000_000, tick=False) as clock, Coord.connect("memory://") as hub:
        for kind in KINDS:
            api = limiter(hub, kind, limit=5, per=100, name=kind)
            api.try_acquire("u", cost=4)
            api.penalize("u", until=1)
            clock.shift(1.1)
            assert api.status("u").remaining <= 1


def test_a_penalty_and_its_repetition_take_no_more_memory_than_one(real_server: str, prefix: str) -> None:
    with Coord.connect(real_server, prefix=prefix) as hub, redis.Redis.from_url(real_server) as client:
        api = limiter(hub, "exact", limit=5)
        for late in range(50):
            api.penalize("u", until=30 + late)
        (key,) = keys_of(client, prefix)
        length = client.llen(key)
        client.delete(key)

        assert length == 4


@pytest.mark.parametrize(
    ("until", "error"),
    [(-1, ValueError), (float("nan"), ValueError), ("soon", TypeError), (True, TypeError),
     (datetime(2030, 1, 1), ValueError)],
)  # fmt: skip
def test_a_bad_penalty_is_refused_before_anything_is_sent(until: Any, error: type) -> None:
    with Coord.connect("redis://127.0.0.1:1") as hub, pytest.raises(error, match="until"):
        hub.token_bucket("b", "1/s").penalize("u", until=until)


async def test_corrections_change_nothing_for_a_denied_bystander(
    coord: Any, client: Any, prefix: str
) -> None:
    api = limiter(coord, "exact", limit=2)
    await api.try_acquire("u", cost=2)
    before = dump(client, prefix)
    await api.refund("another")

    assert same(before, dump(client, prefix))


DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
HEADERS: list[tuple[dict[str, str], float | None]] = [
    ({}, None),
    ({"Retry-After": "120"}, 120),
    ({"retry-after": " 0 "}, 0),
    ({"Retry-After": "Sun, 06 Nov 1994 08:50:37 GMT", "Date": DATE}, 60),
    ({"Retry-After": "Sun, 06 Nov 1994 08:49:00 GMT", "Date": DATE}, 0),
    ({"Retry-After": "later"}, None),
    ({"RateLimit": '"default";r=0;t=30'}, 30),
    ({"RateLimit": '"default";r=5;t=30'}, None),
    ({"RateLimit": '"burst";r=0;t=5, "day, \\"all\\"";r=0;t=900, "hour";r=7;t=3000'}, 900),
    ({"RateLimit": '"default";r=0;t=30', "Retry-After": "7"}, 7),
    ({"RateLimit": "limit=5, remaining=0"}, None),
    ({"RateLimit-Remaining": "0", "RateLimit-Reset": "12"}, 12),
    ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "784111797", "Date": DATE}, 20),
    ({"X-RateLimit-Remaining": "1", "X-RateLimit-Reset": "12"}, None),
    ({"x-rate-limit-remaining": "0", "x-rate-limit-reset": "9"}, 9),
    ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "6m0s"}, None),
]


@pytest.mark.parametrize(("headers", "pause"), HEADERS)
def test_a_response_says_for_how_long(headers: dict[str, str], pause: float | None) -> None:
    assert upstream_pause(headers) == pause


def test_a_date_without_a_date_header_counts_from_now() -> None:
    with time_machine.travel(datetime(1994, 11, 6, 8, 49, 7, tzinfo=UTC), tick=False):
        assert upstream_pause({"Retry-After": DATE}) == 30
