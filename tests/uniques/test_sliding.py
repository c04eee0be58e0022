from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import Any

import pytest

from coord import Estimate
from tests.support.hubs import server_says
from tests.support.keys import keys_of, server_time

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock(monkeypatch: Any, client: Any) -> Any:
    """A clock for the ring that stands until it is moved; it begins at the server's time."""

    class Clock:
        now = float(int(server_time(client)))

    server_says(monkeypatch, lambda: Clock.now)
    return Clock


async def test_who_has_left_the_window_is_no_longer_counted(coord: Any, clock: Any) -> None:
    online = coord.sliding_unique_counter("online", window=60, buckets=6)
    await online.add("ann", "bob")
    clock.now += 30
    await online.add("bob", "cyd")
    assert await online.count() == Estimate(3, 3, 3, exact=True)

    clock.now += 29
    assert int(await online.count()) == 3
    clock.now += 12
    assert int(await online.count()) == 2, "ann was seen 71 seconds ago"
    clock.now += 30
    assert int(await online.count()) == 0


@pytest.mark.parametrize("buckets", [1, 7, 60])
async def test_the_ring_misses_nobody_and_reaches_back_one_bucket_at_the_most(
    coord: Any, clock: Any, buckets: int
) -> None:
    online = coord.sliding_unique_counter("online", window=60, buckets=buckets)
    began = clock.now
    for second in range(0, 120, 5):
        clock.now = began + second
        await online.add(f"at {second}")
    for last in (60, 30, 1):
        within = sum(second > 115 - last for second in range(0, 120, 5))
        widened = sum(second > 115 - last - 60 / buckets for second in range(0, 120, 5))
        assert within <= int(await online.count(within=last)) <= widened + 1


async def test_the_exact_window_is_exact(coord: Any, client: Any) -> None:
    online = coord.sliding_unique_counter("online", window=60, exact=True)
    now = server_time(client)
    for ago in (0, 10, 20, 59, 61, 600):
        await online.add(f"{ago} ago", "again", at=now - ago)

    assert await online.count() == Estimate(5, 5, 5, exact=True)
    assert int(await online.count(within=15)) == 3, "and not as of their latest addition"
    await online.add("59 ago")
    assert int(await online.count(within=15)) == 4
    assert int(await online.count(within=0.001)) <= 1


async def test_the_future_is_now(coord: Any, client: Any, prefix: str) -> None:
    for exact in (False, True):
        online = coord.sliding_unique_counter(f"online {exact}", window=60, exact=exact)
        await online.add("ann", at=datetime(2100, 1, 1, tzinfo=UTC))
        assert int(await online.count()) == 1
        assert int(await online.count(within=30)) == 1
    assert all(0 < client.pttl(key) <= 122_000 for key in keys_of(client, prefix))


@pytest.mark.parametrize("exact", [False, True])
async def test_what_left_the_window_long_ago_is_not_even_sent(
    coord: Any, client: Any, prefix: str, exact: bool
) -> None:
    online = coord.sliding_unique_counter("online", window=60, exact=exact)
    await online.add("ann", at=server_time(client) - 100)
    await online.add()

    assert keys_of(client, prefix) == []
    assert int(await online.count()) == 0


async def test_the_exact_window_forgets_in_passing(coord: Any, client: Any, prefix: str) -> None:
    """Twice as many as are added: no call is long, and what is gone does not pile up."""
    online = coord.sliding_unique_counter("online", window=60, exact=True)
    await online.add(*range(1500))
    key = f"{prefix}:recent:{{online}}:seen:60000000"
    for one in client.zrange(key, 0, 999):
        client.zadd(key, {one: 1})
    assert int(await online.count()) == 500
    await online.add(*range(2000, 2100))

    assert client.zcard(key) == 1500 + 100 - 200
    assert int(await online.count()) == 600
    for number in range(5):
        await online.add(*range(3000 + 100 * number, 3100 + 100 * number))
    assert client.zcard(key) == int(await online.count()) == 1100


@pytest.mark.parametrize("exact", [False, True])
async def test_bulk_adds_are_sliced(coord: Any, exact: bool) -> None:
    online = coord.sliding_unique_counter("online", exact=exact)
    await online.add(*range(5000))
    counted = await online.count()

    assert counted.exact is exact
    assert counted.low <= 5000 <= counted.high


async def test_rings_of_different_widths_do_not_meet(coord: Any, clock: Any) -> None:
    for window, buckets in itertools.product((60, 120), (6, 12)):
        await coord.sliding_unique_counter("online", window=window, buckets=buckets).add(
            f"{window}/{buckets}"
        )
    widths = {
        (60, 6): 2, (120, 12): 2, (60, 12): 1, (120, 6): 1
    }  # fmt: skip
    for (window, buckets), count in widths.items():
        online = coord.sliding_unique_counter("online", window=window, buckets=buckets)
        assert int(await online.count()) == count, "the same width is the same ring"


@pytest.mark.parametrize("exact", [False, True])
async def test_a_shorter_window_of_the_same_name_takes_nothing_from_a_longer_one(
    coord: Any, client: Any, prefix: str, exact: bool
) -> None:
    """Buckets of the same length are shared, and kept for the longer window."""
    longer, shorter = (
        coord.sliding_unique_counter("online", window=window, buckets=window // 10, exact=exact)
        for window in (3600, 60)
    )
    await longer.add(*range(40), at=server_time(client) - 600)
    await longer.add(*range(100))
    await shorter.add(*range(1000, 1020))

    assert int(await longer.count()) == (100 if exact else 120)
    lives = [client.pttl(key) for key in keys_of(client, prefix)]
    assert sum(one > 2_500_000 for one in lives) >= 1
    assert exact or min(lives) > 2_500_000


@pytest.mark.parametrize(
    ("options", "error"),
    [({"window": 0}, ValueError), ({"window": "5"}, TypeError), ({"window": float("nan")}, ValueError),
     ({"buckets": 0}, ValueError), ({"buckets": 1001}, ValueError), ({"buckets": 1.5}, TypeError)],
)  # fmt: skip
async def test_a_bad_window_is_refused(coord: Any, options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=next(iter(options))):
        coord.sliding_unique_counter("online", **options)


async def test_a_bad_question_is_refused(coord: Any, client: Any, prefix: str) -> None:
    online = coord.sliding_unique_counter("online", window=60)
    with pytest.raises(ValueError, match="at most the window of 60 s"):
        await online.count(within=61)
    with pytest.raises(ValueError, match="within must be"):
        await online.count(within=0)
    with pytest.raises(TypeError, match="an id must be"):
        await online.add("ann", 1.5)
    with pytest.raises(TypeError, match="an instant is"):
        await online.add("ann", at="now")

    assert keys_of(client, prefix) == []
