from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from coord import AsyncCoord, Coord, Estimate, WrongKeyType
from coord.uniques.sketch import Sketch
from coord.uniques.store import hash_of
from tests.support.hubs import server_says
from tests.support.keys import keys_of, server_time

pytestmark = pytest.mark.anyio

MAY = datetime(2015, 5, 17, 10, 5, tzinfo=UTC)


async def test_an_id_counts_once_however_often_it_comes(coord: Any, other_coord: Any) -> None:
    visitors = coord.unique_counter("visitors")
    await visitors.add("ann", "bob")
    await visitors.add("bob", "ann", "ann")
    await other_coord.unique_counter("visitors").add("cid", "ann")

    assert (await visitors.count()).value == 3


async def test_numbers_text_and_bytes_that_read_alike_are_one_id(coord: Any) -> None:
    visitors = coord.unique_counter("visitors")
    await visitors.add(1, "1", b"1")

    assert int(await visitors.count()) == 1


async def test_nothing_seen_counts_zero_and_creates_no_key(coord: Any, client: Any, prefix: str) -> None:
    visitors = coord.unique_counter("visitors")
    await visitors.add()

    assert await visitors.count() == Estimate(0, 0, 0, exact=True)
    assert keys_of(client, prefix) == []


async def test_several_periods_are_kept_by_one_add(coord: Any, client: Any, prefix: str) -> None:
    visitors = coord.unique_counter("v", period=["minute", "hour", "day", "week", "month", "year"])
    await visitors.add("ann", at=MAY)

    assert sorted(key.split("{v}:")[1] for key in keys_of(client, prefix)) == [
        "day:2015-05-17", "hour:2015-05-17T10", "minute:2015-05-17T1005", "month:2015-05",
        "week:2015-W20", "year:2015",
    ]  # fmt: skip
    assert int(await visitors.count(period="week", at=MAY)) == 1
    assert int(await visitors.count(period="day", at=date(2015, 5, 17))) == 1
    assert int(await visitors.count(period="day", at=MAY.timestamp() + 86400)) == 0


async def test_a_union_over_periods_counts_nobody_twice(coord: Any) -> None:
    visitors = coord.unique_counter("v")
    for day in range(4):
        await visitors.add("always", f"day {day}", at=MAY + timedelta(days=day))

    assert int(await visitors.count(at=MAY)) == 2
    assert int(await visitors.count(since=MAY, until=MAY + timedelta(days=3))) == 5
    assert int(await visitors.count(since=MAY + timedelta(days=1), until=MAY + timedelta(days=2))) == 3


async def test_the_last_days_are_counted_back_from_the_servers_today(coord: Any, client: Any) -> None:
    visitors = coord.unique_counter("v")
    now = server_time(client)
    await visitors.add("today")
    await visitors.add("yesterday", at=now - 86400)
    await visitors.add("long ago", at=now - 9 * 86400)

    assert int(await visitors.count()) == 1
    assert int(await visitors.count(last=2)) == 2
    assert int(await visitors.count(last=7)) == 2
    assert int(await visitors.count(last=10)) == 3
    assert int(await visitors.count(since=now - 9 * 86400)) == 3


async def test_a_period_lives_until_its_end_and_its_retention(coord: Any, client: Any, prefix: str) -> None:
    now = server_time(client)
    await coord.unique_counter("live", retain=timedelta(hours=5)).add("ann")
    await coord.unique_counter("past", retain=timedelta(hours=5)).add("ann", at=MAY)
    end = (now // 86400 + 1) * 86400
    (live,) = [key for key in keys_of(client, prefix) if "{live}" in key]
    (past,) = [key for key in keys_of(client, prefix) if "{past}" in key]

    assert client.pttl(live) / 1000 == pytest.approx(end - now + 5 * 3600, abs=5)
    assert client.pttl(past) / 1000 == pytest.approx(5 * 3600, abs=5), "what is over is kept from now on"


async def test_a_bulk_of_any_size_is_added_in_slices(coord: Any) -> None:
    visitors = coord.unique_counter("v")
    await visitors.add(*range(12_345), at=MAY)
    estimate = await visitors.count(at=MAY)

    assert estimate.low <= estimate.value <= estimate.high
    assert abs(estimate.value - 12_345) < 5 * 0.0081 * 12_345
    assert not estimate.exact


async def test_up_to_512_ids_are_counted_exactly_and_more_are_not(coord: Any) -> None:
    visitors = coord.unique_counter("v")
    await visitors.add(*range(500), at=MAY)
    await visitors.add(*range(100, 512), at=MAY)
    assert await visitors.count(at=MAY) == Estimate(512, 512, 512, exact=True)

    await visitors.add(*range(512), at=MAY)
    assert await visitors.count(at=MAY) == Estimate(512, 512, 512, exact=True), "all of them are known"

    await visitors.add("one more", at=MAY)
    promoted = await visitors.count(at=MAY)
    assert not promoted.exact
    assert promoted.low <= 513 <= promoted.high


@pytest.mark.parametrize(
    "sizes", [[513], [512, 1], [1, 512], [511, 1, 1], [700, 700], [1000, 3000], [300] * 5]
)
async def test_promotion_counts_nobody_twice(
    coord: Any, client: Any, prefix: str, server: str, sizes: list[int]
) -> None:
    """However the ids come, the sketch is the one of all their hashes, and stays it."""
    visitors = coord.unique_counter("v")
    expected = Sketch()
    for number, size in enumerate(sizes):
        ids = [f"{number}/{one}" for one in range(size)]
        await visitors.add(*ids, at=MAY)
        for one in ids:
            expected.add(b"%d" % hash_of(one.encode()))
    total = sum(sizes) if server.startswith("memory") else expected.count()
    assert (await visitors.count(at=MAY)).value == total

    for number, size in enumerate(sizes):
        await visitors.add(*(f"{number}/{one}" for one in range(size)), at=MAY)
    (key,) = keys_of(client, prefix)

    assert (await visitors.count(at=MAY)).value == total
    assert not (await visitors.count(at=MAY)).exact
    if not server.startswith("memory"):
        assert client.type(key) == b"string"


async def test_an_exact_period_is_small(coord: Any, client: Any, prefix: str, server: str) -> None:
    if server.startswith("memory"):
        pytest.skip("nothing to measure")
    await coord.unique_counter("v").add(*range(512), at=MAY)
    (key,) = keys_of(client, prefix)

    assert client.object("encoding", key) == b"intset"
    assert client.memory_usage(key) <= 5300


def test_many_adders_at_once_lose_nobody_where_the_set_becomes_a_sketch(
    real_server: str, prefix: str
) -> None:
    with Coord.connect(real_server, prefix=prefix) as hub:
        visitors = hub.unique_counter("v")

        def work(number: int) -> None:
            for one in range(60):
                visitors.add(f"{number}/{one}", f"{number}/{one + 1}", at=MAY)

        with ThreadPoolExecutor(16) as pool:
            list(pool.map(work, range(16)))
        together = visitors.count(at=MAY)
        alone = hub.unique_counter("alone")
        alone.add(*(f"{number}/{one}" for number in range(16) for one in range(61)), at=MAY)

        assert together == alone.count(at=MAY)
        assert not together.exact


async def test_one_add_gives_every_key_its_time_to_live_whatever_is_there(
    coord: Any, client: Any, prefix: str
) -> None:
    visitors = coord.unique_counter("v", period=["hour", "day", "week"], retain=timedelta(hours=1))
    await visitors.add("ann")
    for key in keys_of(client, prefix):
        client.persist(key)
    await visitors.add(*range(600))

    assert all(client.pttl(key) > 3_599_000 for key in keys_of(client, prefix))
    assert len(keys_of(client, prefix)) == 3


@pytest.mark.parametrize("verb", ["lpush", "set"])
async def test_an_add_refused_at_its_second_key_has_not_written_the_first(
    coord: Any, client: Any, prefix: str, verb: str
) -> None:
    getattr(client, verb)(f"{prefix}:unique:{{v}}:month:2015-05", "x")
    visitors = coord.unique_counter("v", period=["day", "month"])
    with pytest.raises(WrongKeyType):
        await visitors.add("ann", at=MAY)
    with pytest.raises(WrongKeyType):
        await visitors.count(period="month", at=MAY)

    assert len(keys_of(client, prefix)) == 1
    client.delete(f"{prefix}:unique:{{v}}:month:2015-05")


async def test_a_string_that_is_no_sketch_is_named(coord: Any, client: Any, prefix: str, server: str) -> None:
    key = f"{prefix}:unique:{{v}}:day:2015-05-17"
    client.set(key, "not a sketch")
    with pytest.raises(WrongKeyType, match="2015-05-17"):
        await coord.unique_counter("v").add("ann", at=MAY)
    with pytest.raises(WrongKeyType, match="2015-05-17"):
        await coord.unique_counter("v").count(at=MAY)

    assert client.get(key) == b"not a sketch"
    client.delete(key)


async def test_nothing_tells_whether_one_id_was_seen(coord: Any) -> None:
    for hub in (Coord.connect("memory://"), AsyncCoord.connect("memory://")):
        counter: Any = hub.unique_counter("v")
        with pytest.raises(TypeError, match=r"argument of type|iterable|container"):
            assert "ann" in counter
    assert await coord.unique_counter("v").add("ann", at=MAY) is None, "nor whether it is new"


@pytest.mark.parametrize(
    "case",
    [
        # Of two ids, one now and one this long ago: how many are seen in the current period?
        (datetime(2024, 12, 30, 1, tzinfo=UTC), "UTC", "week", timedelta(hours=2), 1),
        (datetime(2025, 1, 1, 1, tzinfo=UTC), "UTC", "week", timedelta(hours=2), 2),
        (datetime(2025, 1, 1, 1, tzinfo=UTC), "UTC", "year", timedelta(hours=2), 1),
        (datetime(2025, 1, 1, 1, tzinfo=UTC), "America/New_York", "year", timedelta(hours=2), 2),
        (datetime(2021, 1, 3, 23, tzinfo=UTC), "UTC", "week", timedelta(days=6), 2),
        (datetime(2021, 1, 4, 0, tzinfo=UTC), "UTC", "week", timedelta(seconds=1), 1),
        (datetime(2026, 3, 29, 21, 59, tzinfo=UTC), "Europe/Berlin", "day", timedelta(hours=22.9), 2),
        (datetime(2026, 3, 29, 21, 59, tzinfo=UTC), "Europe/Berlin", "day", timedelta(hours=23), 1),
        (datetime(2026, 10, 25, 22, 59, tzinfo=UTC), "Europe/Berlin", "day", timedelta(hours=24.9), 2),
        (datetime(2026, 10, 25, 22, 59, tzinfo=UTC), "Europe/Berlin", "day", timedelta(hours=25), 1),
        (datetime(2026, 10, 25, 1, 30, tzinfo=UTC), "Europe/Berlin", "hour", timedelta(hours=1), 1),
        (datetime(2024, 3, 1, 0, tzinfo=UTC), "UTC", "month", timedelta(days=1), 1),
    ],
)  # fmt: skip
async def test_the_current_period_begins_where_the_calendar_says(
    coord: Any, monkeypatch: Any, case: tuple[datetime, str, str, timedelta, int]
) -> None:
    now, tz, kind, ago, expected = case
    server_says(monkeypatch, now.timestamp)
    visitors = coord.unique_counter("v", period=kind, tz=tz, retain=60)
    await visitors.add("now")
    await visitors.add("before", at=now - ago)

    assert int(await visitors.count()) == expected
    assert int(await visitors.count(last=2)) == 2


async def test_a_week_may_begin_on_sunday(coord: Any, client: Any, prefix: str) -> None:
    visitors = coord.unique_counter("v", period="week", week_start="sunday")
    await visitors.add("ann", at=date(2025, 6, 7))
    await visitors.add("bob", at=date(2025, 6, 8))

    assert sorted(key.rsplit(":", 1)[1] for key in keys_of(client, prefix)) == ["2025-06-01", "2025-06-08"]
    assert int(await visitors.count(at=date(2025, 6, 14))) == 1


async def test_days_begin_at_midnight_where_asked(coord: Any) -> None:
    tokyo = coord.unique_counter("v", tz="Asia/Tokyo")
    await tokyo.add("ann", at=datetime(2015, 5, 17, 15, 0, tzinfo=UTC))

    assert int(await tokyo.count(at=date(2015, 5, 18))) == 1
    assert int(await tokyo.count(at=date(2015, 5, 17))) == 0


@pytest.mark.parametrize("bad", [None, 1.5, True, object()])
async def test_an_id_of_the_wrong_type_is_refused_and_none_is_added(
    coord: Any, client: Any, prefix: str, bad: Any
) -> None:
    with pytest.raises(TypeError, match="an id must be"):
        await coord.unique_counter("v").add("ann", bad)

    assert keys_of(client, prefix) == []


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"last": 0}, "last must be"), ({"last": 1001}, "last must be"),
        ({"last": 2, "at": MAY}, "not a mixture"), ({"until": MAY}, "not a mixture"),
        ({"since": MAY, "last": 1}, "not a mixture"),
        ({"since": MAY, "until": MAY - timedelta(days=1)}, "later than"),
        ({"since": date(1900, 1, 1), "until": MAY}, "more than 1000 periods"),
        ({"at": datetime(2015, 5, 17)}, "naive"), ({"at": float("nan")}, "an instant must lie"),
        ({"at": 1e20}, "an instant must lie"), ({"since": date(9999, 1, 1)}, "an instant must lie"),
        ({"period": "week"}, "one that is kept"),
    ],
)  # fmt: skip
async def test_a_bad_choice_of_periods_is_refused(coord: Any, options: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        await coord.unique_counter("v").count(**options)


@pytest.mark.parametrize(
    "options",
    [{"period": "decade"}, {"period": []}, {"period": ["day", "day"]}, {"tz": "Mars/Base"}, {"retain": -1},
     {"week_start": "someday"}],
)  # fmt: skip
async def test_a_bad_counter_is_refused_when_it_is_made(coord: Any, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        coord.unique_counter("v", **options)


async def test_a_choice_is_refused_before_anything_is_asked(coord: Any) -> None:
    with pytest.raises(ValueError, match="last must be"):
        coord.unique_counter("v").select(last=0)
    with pytest.raises(ValueError, match="at least one instant"):
        coord.unique_counter("v").select(at=[])
    with pytest.raises(TypeError, match="last must be"):
        coord.unique_counter("v").select(last=True)


async def test_a_key_of_another_type_is_named(coord: Any, client: Any, prefix: str) -> None:
    client.lpush(f"{prefix}:unique:{{v}}:day:2015-05-17", "x")
    with pytest.raises(WrongKeyType, match="2015-05-17"):
        await coord.unique_counter("v").add("ann", at=MAY)

    client.delete(f"{prefix}:unique:{{v}}:day:2015-05-17")
