"""Limiters of each kind: the limit is admitted, and not one more."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import redis
import time_machine

from coord import Coord
from tests.limits.limiters import FAMILY, KINDS, dump, limiter, same
from tests.support.keys import keys_of
from tests.support.rooms import policy_of

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
    bucket = coord.token_bucket("table", rate=1, burst=5, deny_cache=0)
    last = 0
    for at, cost, limited, remaining, reset, retry in GCRA_TABLE:
        age(client, f"{prefix}:bucket:{{u}}:table", (at - last) / 1000)
        last = at
        if retry is NEVER:
            with pytest.raises(ValueError, match="cost must be from 0 to 5, not 6"):
                await bucket.try_acquire("u", cost=cost)
            decision = await bucket.status("u")
        else:
            decision = await bucket.try_acquire("u", cost=cost)
            assert decision.allowed is not limited
            assert decision.retry_after == pytest.approx(retry, abs=0.09)

        assert decision.remaining == remaining
        assert decision.reset_after == pytest.approx(reset, abs=0.09)


def test_the_published_table_holds_to_the_microsecond() -> None:
    with time_machine.travel(1_700_000_000, tick=False) as clock, Coord.connect("memory://") as hub:
        bucket = hub.token_bucket("table", rate=1, burst=5, deny_cache=0)
        last = 0
        for at, cost, limited, remaining, reset, retry in GCRA_TABLE:
            clock.shift((at - last) / 1000)
            last = at
            if retry is NEVER:
                decision = bucket.status("u")
                assert (decision.remaining, decision.reset_after) == (remaining, reset)
                continue

            decision = bucket.try_acquire("u", cost=cost)
            assert decision.allowed is not limited
            assert (decision.remaining, decision.retry_after, decision.reset_after) == (
                remaining, retry, reset,
            )  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
async def test_the_limit_is_admitted_and_not_one_more(coord: Any, other_coord: Any, kind: str) -> None:
    mine, theirs = limiter(coord, kind), limiter(other_coord, kind)
    answers = [await one.try_acquire("user:7") for one in (mine, theirs, mine, theirs, mine)]

    assert [bool(answer) for answer in answers] == [True, True, True, False, False]
    assert [answer.remaining for answer in answers] == [2, 1, 0, 0, 0]
    assert (answers[0].limit, answers[0].name, answers[0].source) == (3, "api", "redis")
    assert 0 < answers[3].retry_after <= 120
    assert 0 < answers[3].reset_after <= 120


@pytest.mark.parametrize("kind", KINDS)
async def test_each_key_and_each_name_has_a_limit_of_its_own(coord: Any, kind: str) -> None:
    api = limiter(coord, kind, limit=1)

    assert await api.try_acquire("ann")
    assert await api.try_acquire("bob")
    assert not await api.try_acquire("ann")
    for other in KINDS:
        assert await limiter(coord, other, limit=1, name=f"other-{other}").try_acquire("ann")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_denied_call_changes_nothing(coord: Any, client: Any, prefix: str, kind: str) -> None:
    api = limiter(coord, kind, limit=4)
    await api.try_acquire("u", cost=3)
    before = dump(client, prefix)

    assert not await api.try_acquire("u", cost=2)
    assert not await api.try_acquire("u", cost=4)
    assert same(before, dump(client, prefix))
    assert await api.try_acquire("u", cost=1)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_look_charges_nothing_and_creates_nothing(
    coord: Any, client: Any, prefix: str, kind: str
) -> None:
    api = limiter(coord, kind)
    untouched = await api.status("u")

    assert (untouched.allowed, untouched.remaining, untouched.reset_after) == (True, 3, 0)
    assert await api.try_acquire("u", cost=0)
    assert keys_of(client, prefix) == []

    await api.try_acquire("u", cost=2)

    assert [(await api.status("u")).remaining for _ in range(3)] == [1, 1, 1]
    assert (await api.try_acquire("u", cost=0)).remaining == 1
    wanted = await api.status("u", cost=2)
    assert not wanted
    assert wanted.retry_after == pytest.approx((await api.try_acquire("u", cost=2)).retry_after, abs=1)


@pytest.mark.parametrize("kind", KINDS)
async def test_resetting_forgets_one_key_only(coord: Any, kind: str) -> None:
    api = limiter(coord, kind, limit=1)
    await api.try_acquire("ann")
    await api.try_acquire("bob")
    await api.reset("ann")

    assert await api.try_acquire("ann")
    assert not await api.try_acquire("bob")


@pytest.mark.parametrize("kind", KINDS)
async def test_every_key_lives_as_long_as_it_matters(coord: Any, client: Any, prefix: str, kind: str) -> None:
    api = limiter(coord, kind, limit=10, per=100)
    decision = await api.try_acquire("u", cost=5)
    (key,) = keys_of(client, prefix)

    assert abs(client.pttl(key) / 1000 - decision.reset_after) < 1
    lives = {"bucket": 50, "exact": 100, "approximate": 200, "fixed": 100}[kind]
    assert decision.reset_after == pytest.approx(lives, abs=1)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_key_that_lost_its_ttl_gets_one_on_sight(
    coord: Any, client: Any, prefix: str, kind: str
) -> None:
    api = limiter(coord, kind, limit=1)
    await api.try_acquire("u")
    (key,) = keys_of(client, prefix)
    client.persist(key)
    assert not await api.try_acquire("u")

    assert client.pttl(key) > 0


def test_the_limits_may_change_on_any_call_without_losing_what_was_used() -> None:
    with time_machine.travel(1_700_000_000, tick=False), Coord.connect("memory://") as hub:
        wide = hub.token_bucket("b", rate=10, per=10, burst=10)
        narrow = hub.token_bucket("b", rate=1, per=1, burst=2)
        odd = hub.token_bucket("b", rate=3, per=10, burst=10)
        wide.try_acquire("u", cost=8)

        assert not narrow.try_acquire("u")
        assert wide.status("u").remaining == 2, "a smaller bucket's denial forgives nothing"
        assert odd.status("u").remaining == 2, "what was used carries over"
        odd.try_acquire("u", cost=1)
        assert wide.status("u").reset_after == 9
        assert odd.status("u").reset_after == pytest.approx(30, abs=0.000_002)


@pytest.mark.parametrize(
    ("other", "left"),
    [
        ("200/hour", 120),
        ("1000/hour", 920),
        ("50/hour", 0),
        ("90/hour", 10),
        ("200/day", 120),
        ("7/3s burst 100", 20),
    ],
)
async def test_what_was_used_stays_used_when_the_rate_changes(coord: Any, other: str, left: int) -> None:
    await coord.token_bucket("plan", "100/hour").try_acquire("u", cost=80)
    seen = await coord.token_bucket("plan", other).status("u")
    assert seen.remaining in (left, left + 1), "a token may have come back meanwhile"
    assert (await coord.token_bucket("plan", "100/hour").status("u")).remaining == 20


@pytest.mark.parametrize("other", ["1000/hour", "10/hour", "100/hour burst 500", "100/hour burst 20"])
async def test_a_pause_lasts_as_long_under_other_numbers(coord: Any, other: str) -> None:
    await coord.token_bucket("plan", "100/hour").penalize("u", until=1800)
    later = coord.token_bucket("plan", other)
    assert (await later.status("u", cost=1)).retry_after >= 1799
    await later.try_acquire("u")
    assert (await coord.token_bucket("plan", "100/hour").status("u", cost=1)).retry_after >= 1799


def test_a_denied_cost_of_a_full_exact_window_reads_little_of_it(real_server: str, prefix: str) -> None:
    with Coord.connect(real_server, prefix=prefix) as hub, redis.Redis.from_url(real_server) as client:
        window = hub.sliding_window("w", limit=2000, per=600, precision="exact", deny_cache=0)
        for _ in range(1000):
            window.try_acquire("u", cost=2)
        for cost in (1, 2, 3, 1998, 1999, 2000):
            client.config_resetstat()
            assert not window.try_acquire("u", cost=cost)
            assert client.info("commandstats")["cmdstat_lrange"]["calls"] <= 3
        client.delete(*keys_of(client, prefix))


def test_a_denial_of_any_cost_by_an_exact_window_says_when_it_fits() -> None:
    with time_machine.travel(1_700_000_000, tick=False) as clock, Coord.connect("memory://") as hub:
        window = hub.sliding_window("w", limit=100, per=3600, precision="exact")
        entries = [(number * 7, 1 + number % 3) for number in range(50)]
        for at, cost in entries:
            clock.move_to(1_700_000_000 + at)
            assert window.try_acquire("u", cost=cost)
        now = entries[-1][0]
        for cost in range(1, 101):
            room = 100 - sum(charged for _, charged in entries)
            fits = now
            for at, charged in entries:
                if room >= cost:
                    break
                room, fits = room + charged, at + 3600
            assert window.status("u", cost=cost).retry_after == pytest.approx(fits - now, abs=1e-6)


@pytest.mark.parametrize("kind", ["exact", "approximate", "fixed"])
async def test_a_windows_limit_and_time_may_change_on_any_call(coord: Any, kind: str) -> None:
    await limiter(coord, kind, limit=10).try_acquire("u", cost=6)

    assert (await limiter(coord, kind, limit=20).status("u")).remaining == 14
    assert not await limiter(coord, kind, limit=5).try_acquire("u")
    assert (await limiter(coord, kind, limit=5).status("u")).remaining == 0
    assert (await limiter(coord, kind, limit=10, per=7200).status("u")).remaining == 4


@pytest.mark.parametrize(("before", "after"), [("exact", "approximate"), ("approximate", "exact")])
async def test_a_sliding_window_may_change_its_precision(coord: Any, before: str, after: str) -> None:
    await limiter(coord, before, limit=10).try_acquire("u", cost=6)

    changed = limiter(coord, after, limit=10)
    assert (await changed.status("u")).remaining == 4
    assert (await changed.try_acquire("u", cost=4)).remaining == 0
    assert not await changed.try_acquire("u")
    assert (await limiter(coord, before, limit=10).status("u")).remaining == 0


def test_auto_is_exact_up_to_128_and_remembers_across() -> None:
    with Coord.connect("memory://") as hub:
        assert policy_of(hub.sliding_window("w", "128/hour")).words[0] == "log"
        assert policy_of(hub.sliding_window("w", "129/hour")).words[0] == "counter"
        hub.sliding_window("w", "128/hour").try_acquire("u", cost=100)

        assert hub.sliding_window("w", "129/hour").status("u").remaining == 29


def test_threads_sharing_one_coord_admit_exactly_the_limit(real_server: str, prefix: str) -> None:
    admitted: list[bool] = []
    with Coord.connect(real_server, prefix=prefix) as hub:
        for kind in KINDS:
            admitted.clear()
            api = limiter(hub, kind, limit=50, per=3600, name=kind)

            def work(api: Any = api) -> None:
                admitted.extend(bool(api.try_acquire("u")) for _ in range(20))

            threads = [threading.Thread(target=work) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            api.reset("u")

            assert admitted.count(True) == 50


@pytest.mark.parametrize("kind", KINDS)
async def test_a_lost_script_and_a_lost_key_are_no_trouble(coord: Any, client: Any, kind: str) -> None:
    api = limiter(coord, kind, limit=2)
    await api.try_acquire("u")
    client.script_flush()
    assert (await api.try_acquire("u")).remaining == 0

    for key in client.scan_iter(f"*:{FAMILY[kind]}:{{u}}:api"):
        client.delete(key)
    assert (await api.try_acquire("u")).remaining == 1
