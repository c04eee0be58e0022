from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coord import Coord, WrongKeyType
from coord.activity import CHUNK, MAX_ID
from coord.activity import marks as marks_module
from coord.activity import numbers as numbers_module
from tests.support.hubs import recorded
from tests.support.keys import keys_of, server_time
from tests.support.rooms import hints_of

pytestmark = pytest.mark.anyio

MON = datetime(2026, 3, 2, 12, tzinfo=UTC)
TUE = MON + timedelta(days=1)
WED = MON + timedelta(days=2)
DAY = 86_400.0

_names = count(1)


async def ids_in(cohort: Any) -> list[Any]:
    return [one async for one in cohort]


async def test_marked_ids_are_active_in_their_period_and_no_other(coord: Any, other_coord: Any) -> None:
    logins = coord.activity("logins")
    await logins.mark(0, 7, 7, 1000, at=MON)
    await other_coord.activity("logins").mark(8, at=TUE)

    assert await logins.count(at=MON) == 3
    assert await logins.count(at=date(2026, 3, 3)) == 1
    assert await logins.is_active(7, at=MON)
    assert not await logins.is_active(7, at=TUE)
    assert not await logins.is_active(1001, at=MON)


async def test_marking_without_an_instant_marks_today(coord: Any) -> None:
    logins = coord.activity("logins", period=["day", "week"])
    await logins.mark(5)

    assert await logins.count() == 1
    assert await logins.is_active(5)
    assert await logins.count(period="week") == 1


async def test_marking_nobody_writes_nothing(coord: Any, client: Any, prefix: str) -> None:
    await coord.activity("logins").mark()
    await coord.activity("logins").unmark(1)

    assert keys_of(client, prefix) == []


# Chunks


@pytest.mark.parametrize("number", [3_000_000_000, 3_000_000_000 // CHUNK * CHUNK + CHUNK - 1, MAX_ID])
async def test_an_id_costs_one_chunk_a_period_whatever_its_number(
    coord: Any, client: Any, server: str, prefix: str, number: int
) -> None:
    await coord.activity("logins", period=["day", "week", "month"]).mark(number)
    keys = keys_of(client, prefix)

    assert len(keys) == 6
    if server.startswith("memory"):  # which does not know MEMORY USAGE
        return
    assert sum(client.memory_usage(key, samples=0) for key in keys) < 64 * 1024


EDGES = (0, 1, 7, 8, CHUNK - 1, CHUNK, CHUNK + 1, 2**32 - 1, 2**32, 2**53, 2**53 + 1, MAX_ID - 1, MAX_ID)


async def test_ids_at_every_edge_are_told_apart(coord: Any) -> None:
    logins = coord.activity("logins")
    for at in range(0, len(EDGES), 2):
        await logins.mark(EDGES[at], at=MON)

    assert await ids_in(logins.cohort(at=MON)) == list(EDGES[::2])
    assert [await logins.is_active(one, at=MON) for one in EDGES] == [at % 2 == 0 for at in range(len(EDGES))]
    assert await logins.count(at=MON) == len(EDGES[::2])


@pytest.mark.parametrize(
    ("bad", "error"),
    [(-1, ValueError), (MAX_ID + 1, ValueError), (True, TypeError), ("7", TypeError), (1.0, TypeError)],
)
async def test_a_bad_number_is_refused_and_nothing_is_marked(
    coord: Any, client: Any, prefix: str, bad: Any, error: type
) -> None:
    logins = coord.activity("logins")
    for call in (logins.mark, logins.unmark):
        with pytest.raises(error, match="an id"):
            await call(1, bad)
    with pytest.raises(error, match="an id"):
        await logins.is_active(bad)

    assert keys_of(client, prefix) == []


async def test_many_ids_are_marked_in_short_calls_and_crowded_ones_as_a_bitmap(
    coord: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    logins = coord.activity("logins", period=["day", "week"])
    scattered = range(0, 40 * CHUNK, CHUNK // 7)
    crowd = range(100_000, 200_000, 3)
    await logins.mark(*scattered, at=MON)
    await logins.mark(*crowd, at=MON)

    assert await ids_in(logins.cohort(at=MON)) == sorted({*scattered, *crowd})
    assert await logins.count(at=MON, period="week") == len({*scattered, *crowd})


async def test_a_call_touches_few_chunks_and_sets_few_bits(coord: Any) -> None:
    with recorded(coord) as calls:
        await coord.activity("a", period=["day", "week"]).mark(*range(0, 100 * CHUNK, CHUNK), at=MON)
        await coord.activity("a").mark(*range(500), at=MON)
        await coord.activity("b", ids="text").mark(*(f"user {n}" for n in range(3000)), at=MON)

    assert len(calls) >= 7 + 1 + 6
    assert max(len(call.keys) for call in calls) <= 1 + 2 + marks_module.BITMAPS
    assert max(len(call.args) for call in calls) <= marks_module.BITS


# How long marks live


async def test_every_key_lives_until_the_end_of_its_period_and_the_retention(
    coord: Any, client: Any, prefix: str
) -> None:
    now = server_time(client)
    logins = coord.activity("logins", period=["day", "week"], retain=30 * DAY, tz="Europe/Berlin")
    at = now - 10 * DAY
    await logins.mark(7 * CHUNK, *range(0, 2 * CHUNK, 90), at=at)  # both as single bits and as bitmaps
    midnight = datetime.fromtimestamp(at, ZoneInfo("Europe/Berlin")).replace(hour=0, minute=0, second=0)
    midnight = midnight.replace(microsecond=0)
    ends = {
        "day": (midnight + timedelta(days=1)).timestamp(),
        "week": (midnight + timedelta(days=7 - midnight.weekday())).timestamp(),
    }

    for key in keys_of(client, prefix):
        kind = key.split("}:")[1].split(":")[0]
        assert client.pttl(key) / 1000 == pytest.approx(ends[kind] + 30 * DAY - now, abs=5), key


async def test_what_is_past_its_retention_already_is_kept_for_it_from_now_on(
    coord: Any, client: Any, prefix: str
) -> None:
    await coord.activity("logins", retain=7 * DAY).mark(1, *range(1000, 2000), at=date(2020, 1, 1))

    assert [client.pttl(key) / 1000 for key in keys_of(client, prefix)] == [pytest.approx(7 * DAY, abs=5)] * 2


async def test_a_late_mark_lets_no_part_of_a_period_outlive_the_rest(
    coord: Any, client: Any, prefix: str
) -> None:
    now = server_time(client)
    logins = coord.activity("logins", retain=30 * DAY)
    for number in (1, 5 * CHUNK, 1):
        await logins.mark(number, at=now - 3 * DAY)

    lives = [client.pttl(key) / 1000 for key in keys_of(client, prefix)]
    assert len(lives) == 3
    assert max(lives) - min(lives) < 5


async def test_a_wrong_type_is_named_and_leaves_no_key_without_ttl(
    coord: Any, client: Any, prefix: str
) -> None:
    client.lpush(f"{prefix}:activity:{{a}}:day:2026-03-02", "x")
    client.lpush(f"{prefix}:activity:{{a}}:text:day:2026-03-02", "x")
    for activity in (coord.activity("a"), coord.activity("a", ids="text")):
        with pytest.raises(WrongKeyType, match="2026-03-02"):
            await activity.mark(1, at=MON)
        assert not client.exists(f"{prefix}:activity:{{a}}:day:2026-03-02:0")
        assert not client.exists(f"{prefix}:activity:{{a}}:text:day:2026-03-02:0")
    with pytest.raises(WrongKeyType, match="2026-03-02"):
        await coord.activity("a").count(at=MON)

    client.delete(f"{prefix}:activity:{{a}}:day:2026-03-02", f"{prefix}:activity:{{a}}:text:day:2026-03-02")


# Text ids


async def test_text_ids_are_numbered_densely_in_order_of_appearance(
    coord: Any, other_coord: Any, client: Any, prefix: str
) -> None:
    readers = coord.activity("readers", ids="text")
    await readers.mark("zoe", "bob", at=MON)
    await other_coord.activity("readers", ids="text").mark("cid", "zoe", b"bob", 17, "17", at=TUE)

    assert await readers.count(at=MON) == 2
    assert await readers.count(at=TUE) == 4
    assert await (readers.cohort(at=MON) & readers.cohort(at=TUE)).count() == 2
    assert await readers.is_active("cid", at=TUE)
    assert await readers.is_active(b"17", at=TUE)
    assert not await readers.is_active("cid", at=MON)
    assert not await readers.is_active("never seen", at=MON)
    numbers = client.zrange(f"{prefix}:activity:{{readers}}:numbers", 0, -1, withscores=True)
    assert [(name, int(number)) for name, number in numbers] == [
        (b"", -4), (b"zoe", 0), (b"bob", 1), (b"cid", 2), (b"17", 3),
    ]  # fmt: skip
    assert await ids_in(readers.cohort(at=TUE)) == ["zoe", "bob", "cid", "17"]


async def test_ids_that_are_no_utf_8_come_back_as_bytes(coord: Any) -> None:
    readers = coord.activity("readers", ids="text")
    await readers.mark("ä", b"\xff", at=MON)

    assert await ids_in(readers.cohort(at=MON)) == ["ä", b"\xff"]


@pytest.mark.parametrize("gone", [["ann"], ["cyd"], ["cyd", "bob", "ann"]])
async def test_a_number_is_never_given_twice(coord: Any, client: Any, prefix: str, gone: list[str]) -> None:
    readers = coord.activity("readers", ids="text")
    await readers.mark("ann", "bob", "cyd", at=MON)
    client.zrem(f"{prefix}:activity:{{readers}}:numbers", *gone)
    await readers.mark("dan", gone[0], at=TUE)

    assert set(await ids_in(readers.cohort(at=TUE))) == {"dan", gone[0]}
    assert await (readers.cohort(at=MON) & readers.cohort(at=TUE)).count() == 0
    left = [one for one in ("ann", "bob", "cyd") if one not in gone]
    assert await ids_in(readers.cohort(at=MON)) == left  # nobody has an old number


async def test_an_id_is_marked_wherever_its_number_turns_out_to_lie(
    coord: Any, other_coord: Any, client: Any, prefix: str
) -> None:
    readers = coord.activity("readers", ids="text", period=["day", "week"])
    await readers.mark("ann", at=MON)
    numbers = f"{prefix}:activity:{{readers}}:numbers"
    client.zadd(numbers, {"": 1 - 5 * CHUNK})
    await readers.mark("bob", "cyd", "dan", at=MON)  # around the edge of chunks that it had no hint of
    await other_coord.activity("readers", ids="text").mark("dan", "ann", "eve", at=TUE)

    assert await ids_in(readers.cohort(at=MON)) == ["ann", "bob", "cyd", "dan"]
    assert await readers.count(period="week", at=MON) == 4
    assert await ids_in(readers.cohort(at=TUE)) == ["ann", "dan", "eve"]
    assert int(client.zscore(numbers, "dan")) == 5 * CHUNK + 1


async def test_stale_hints_never_mark_a_wrong_bit(coord: Any, client: Any, prefix: str) -> None:
    readers = coord.activity("readers", ids="text")
    await readers.mark("ann", at=MON)
    client.zadd(f"{prefix}:activity:{{readers}}:numbers", {"": -3 * CHUNK})
    await readers.mark("bob", at=MON)
    for key in keys_of(client, prefix):
        client.delete(key)
    await readers.mark("cyd", "bob", at=MON)  # the hint still says that bob lies in chunk 3

    assert sorted(await ids_in(readers.cohort(at=MON))) == ["bob", "cyd"]
    assert await readers.count(at=MON) == 2


async def test_the_hints_are_bounded(coord: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numbers_module, "REMEMBERED", 10)
    readers = coord.activity("readers", ids="text")
    for start in range(0, 100, 7):
        await readers.mark(*(f"user {n}" for n in range(start, start + 14)), at=MON)
    assert hints_of(readers) == 10
    assert await readers.count(at=MON) == 112


async def test_the_numbers_outlive_every_bitmap_that_uses_them(coord: Any, client: Any, prefix: str) -> None:
    readers = coord.activity("readers", ids="text", period=["day", "year"], retain=3600)
    await readers.mark("ann")
    await coord.activity("readers", ids="text", retain=1).mark("bob")
    numbers = f"{prefix}:activity:{{readers}}:numbers"
    bitmaps = [key for key in keys_of(client, prefix) if key != numbers]

    assert len(bitmaps) == 4
    assert client.pttl(numbers) > max(client.pttl(key) for key in bitmaps)


async def test_an_id_that_is_numbered_and_not_marked_leaves_no_key_for_ever(
    coord: Any, client: Any, prefix: str
) -> None:
    shop = coord.activity("shop", ids="text", retain=DAY)
    await shop.ordered_funnel("checkout", "visit", "pay").mark("pay", "ann")

    assert keys_of(client, prefix) == [f"{prefix}:activity:{{shop}}:numbers"]
    assert 0 < client.pttl(f"{prefix}:activity:{{shop}}:numbers") <= DAY * 1000

    await shop.mark("ann")
    assert client.pttl(f"{prefix}:activity:{{shop}}:numbers") > 2 * DAY * 1000


async def test_asking_about_an_id_gives_it_no_number(coord: Any, client: Any, prefix: str) -> None:
    readers = coord.activity("readers", ids="text")
    assert not await readers.is_active("ann")
    await readers.unmark("ann")

    assert keys_of(client, prefix) == []


def test_threads_that_race_give_every_id_one_number(real_server: str, prefix: str) -> None:
    with Coord.connect(real_server, prefix=prefix) as hub, ThreadPoolExecutor(8) as threads:
        readers = hub.activity("readers", ids="text", retain=60)
        names = [f"user {n % 100}" for n in range(400)]
        list(threads.map(readers.mark, names))

        assert readers.count() == 100
        assert sorted(map(str, readers.cohort())) == sorted(set(names))


async def test_thousands_of_text_ids_are_marked_in_slices(coord: Any) -> None:
    logins = coord.activity("logins", ids="text")
    everyone = [f"user {n}" for n in range(2345)]
    await logins.mark(*everyone, at=MON)

    assert await logins.count(at=MON) == 2345
    assert await ids_in(logins.cohort(at=MON)) == everyone


async def test_a_bad_kind_of_ids_is_refused(coord: Any) -> None:
    with pytest.raises(ValueError, match="ids must be one of 'int', 'text'"):
        coord.activity("a", ids="uuid")


# Events


async def test_events_are_apart_and_share_their_ids(coord: Any, other_coord: Any) -> None:
    shop = coord.activity("shop", ids="text")
    visits, orders = shop.event("visits"), shop.event("orders")
    await shop.mark("eve", at=MON)
    await visits.mark("ann", "bob", at=MON)
    await other_coord.activity("shop", ids="text").event("orders").mark("bob", "cyd", at=MON)

    assert [await one.count(at=MON) for one in (shop, visits, orders)] == [1, 2, 2]
    both = visits.cohort(at=MON) & orders.cohort(at=MON)
    assert await ids_in(both) == ["bob"]
    assert await both.is_active("bob")
    assert not await both.is_active("cyd")
    assert repr(visits).endswith("Activity 'shop/visits'>")


# Taking marks back


async def test_a_week_stays_marked_for_who_was_active_on_another_of_its_days(coord: Any) -> None:
    logins = coord.activity("logins", period=["week", "day", "month"])
    await logins.mark(1, 2, CHUNK + 5, at=MON)
    await logins.mark(1, at=TUE)
    await logins.unmark(1, 2, 3, CHUNK + 5, at=MON)

    assert await logins.count(period="day", at=MON) == 0
    for kind in ("week", "month"):
        assert await ids_in(logins.cohort(period=kind, at=MON)) == [1]
    await logins.unmark(1, at=TUE)
    assert await logins.count(period="week", at=MON) == 0
    assert await logins.count(period="month", at=MON) == 0


async def test_a_year_is_worked_out_from_months_worked_out_from_days(coord: Any) -> None:
    logins = coord.activity("logins", period=["year", "month", "week", "day"], retain=99 * 365 * DAY)
    new_year = date(2024, 12, 30)  # of ISO week 2025-W01
    await logins.mark(1, 2, at=new_year)
    await logins.mark(1, at=date(2025, 1, 2))
    await logins.mark(2, at=date(2024, 2, 29))
    await logins.unmark(1, 2, at=new_year)

    assert await ids_in(logins.cohort(period="week", at=new_year)) == [1]
    assert await ids_in(logins.cohort(period="month", at=new_year)) == []
    assert await ids_in(logins.cohort(period="year", at=new_year)) == [2]


async def test_only_the_shortest_period_is_needed_to_take_a_mark_back(coord: Any) -> None:
    readers = coord.activity("readers", ids="text", period="week")
    await readers.mark("ann", "bob", at=MON)
    await readers.unmark("ann", "nobody", at=TUE)

    assert await ids_in(readers.cohort(at=MON)) == ["bob"]


async def test_a_month_cannot_be_told_from_weeks(coord: Any, client: Any, prefix: str) -> None:
    logins = coord.activity("logins", period=["week", "month"])
    with pytest.raises(ValueError, match="tell a month from shorter periods"):
        await logins.unmark(1, at=MON)

    assert keys_of(client, prefix) == []


async def test_a_longer_period_stays_if_its_parts_may_be_forgotten(coord: Any, client: Any) -> None:
    now = server_time(client)
    logins = coord.activity("logins", period=["day", "year"], retain=DAY)
    await logins.mark(1, at=now)
    first = datetime.fromtimestamp(now, UTC).replace(month=1, day=1)
    if now - first.timestamp() < 3 * DAY:
        pytest.skip("no part of this year is past its retention yet")
    await logins.unmark(1, at=now)

    assert not await logins.is_active(1, at=now)
    assert await logins.is_active(1, period="year", at=now)


async def test_taking_back_what_is_not_marked_creates_nothing(coord: Any, client: Any, prefix: str) -> None:
    logins = coord.activity("logins", period=["day", "week"])
    await logins.unmark(1, CHUNK, at=MON)

    assert keys_of(client, prefix) == []


# The calendar


@pytest.mark.parametrize(
    ("kind", "tz", "instants", "same"),
    [
        ("week", "UTC", ("2024-12-30T00:00+00:00", "2025-01-05T23:59+00:00"), True),  # 2025-W01
        ("week", "UTC", ("2020-12-31T12:00+00:00", "2021-01-03T12:00+00:00"), True),  # 2020-W53
        ("week", "UTC", ("2021-01-03T12:00+00:00", "2021-01-04T00:00+00:00"), False),
        ("year", "UTC", ("2024-12-30T12:00+00:00", "2025-01-02T12:00+00:00"), False),
        ("day", "Europe/Berlin", ("2026-03-28T23:00+00:00", "2026-03-29T21:59+00:00"), True),  # 23 hours
        ("day", "Europe/Berlin", ("2026-03-29T21:59+00:00", "2026-03-29T22:00+00:00"), False),
        ("day", "Europe/Berlin", ("2026-10-24T22:00+00:00", "2026-10-25T22:59+00:00"), True),  # 25 hours
        ("hour", "Europe/Berlin", ("2026-10-25T00:30+00:00", "2026-10-25T01:30+00:00"), False),  # 2 twice
    ],
)  # fmt: skip
async def test_marks_fall_into_the_periods_of_the_calendar(
    coord: Any, kind: str, tz: str, instants: tuple[str, str], same: bool
) -> None:
    one, other = map(datetime.fromisoformat, instants)
    logins = coord.activity("logins", period=kind, tz=tz)
    await logins.mark(1, at=one)

    assert await logins.is_active(1, at=other) is same


async def test_a_week_may_begin_on_another_day(coord: Any) -> None:
    logins = coord.activity("logins", period="week", week_start="sunday")
    await logins.mark(1, at=date(2026, 3, 1))

    assert await logins.is_active(1, at=date(2026, 3, 7))
    assert not await logins.is_active(1, at=date(2026, 3, 8))


# Against a model


IDS = st.sets(
    st.one_of(st.integers(0, 40), st.sampled_from(EDGES), st.integers(CHUNK - 5, CHUNK + 5)), max_size=12
)
STEPS = st.lists(st.tuples(st.sampled_from(["mark", "unmark"]), st.integers(0, 9), IDS), max_size=12)


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(steps=STEPS, by_text=st.booleans())
async def test_marks_equal_a_set_of_marks(coord: Any, steps: list[Any], by_text: bool) -> None:
    ids = "text" if by_text else "int"
    logins = coord.activity(f"model {next(_names)}", period=["day", "week"], ids=ids)
    days: list[set[int]] = [set() for _ in range(10)]
    for verb, day, chosen in steps:
        at = MON + timedelta(days=day)
        await (logins.mark(*chosen, at=at) if verb == "mark" else logins.unmark(*chosen, at=at))
        days[day] = days[day] | chosen if verb == "mark" else days[day] - chosen

    for day, expected in enumerate(days):
        cohort = logins.cohort(at=MON + timedelta(days=day))
        assert {int(one) for one in await ids_in(cohort)} == expected
        assert await cohort.count() == len(expected)
    for monday, week in ((MON, days[:7]), (MON + timedelta(days=7), days[7:])):
        assert {int(one) for one in await ids_in(logins.cohort(period="week", at=monday))} == set().union(
            *week
        )
