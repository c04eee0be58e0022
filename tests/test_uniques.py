from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from coord import Coord, Estimate, WrongKeyType
from tests.conftest import keys_of, server_time

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


def test_the_bounds_hold_about_as_often_as_they_say(real_server: str, prefix: str) -> None:
    """Of 200 different sets, 95 % within; three in a thousand runs of a right estimator fall below 177."""
    with Coord.connect(real_server, prefix=prefix) as hub:
        inside = 0
        for trial in range(200):
            counter = hub.unique_counter(f"t{trial}", retain=60)
            counter.add(*(f"{trial}/{n}" for n in range(3000)), at=MAY)
            estimate = counter.count(at=MAY)
            inside += estimate.low <= 3000 <= estimate.high

    assert 177 <= inside <= 200


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
    [{"period": "decade"}, {"period": []}, {"period": ["day", "day"]}, {"tz": "Mars/Base"}, {"retain": -1}],
)
async def test_a_bad_counter_is_refused_when_it_is_made(coord: Any, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        coord.unique_counter("v", **options)


async def test_a_key_of_another_type_is_named(coord: Any, client: Any, prefix: str) -> None:
    client.lpush(f"{prefix}:unique:{{v}}:day:2015-05-17", "x")
    with pytest.raises(WrongKeyType, match="2015-05-17"):
        await coord.unique_counter("v").add("ann", at=MAY)

    client.delete(f"{prefix}:unique:{{v}}:day:2015-05-17")
