from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coord import Coord, WrongKeyType
from coord.activity import MAX_ID
from tests.conftest import keys_of

pytestmark = pytest.mark.anyio

MON = datetime(2026, 3, 2, 12, tzinfo=UTC)
TUE = MON + timedelta(days=1)
WED = MON + timedelta(days=2)


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


async def test_a_cohort_of_several_periods_holds_who_was_active_in_each(coord: Any) -> None:
    logins = coord.activity("logins")
    await logins.mark(1, 2, 3, 900, at=MON)
    await logins.mark(2, 3, 4, at=TUE)
    await logins.mark(3, 4, 5, at=WED)
    both = logins.cohort(at=MON) & logins.cohort(at=TUE)
    all_three = both & logins.cohort(at=WED)

    assert [await both.count(), await all_three.count()] == [2, 1]
    assert [await all_three.is_active(one) for one in (2, 3)] == [False, True]
    assert await (logins.cohort(at=MON) & logins.cohort(at=MON + timedelta(hours=1))).count() == 4
    assert await (both & logins.cohort(at=MON + timedelta(days=9))).count() == 0


async def test_combining_leaves_no_key_behind(coord: Any, client: Any, prefix: str) -> None:
    logins = coord.activity("logins")
    await logins.mark(1, at=MON)
    await logins.mark(1, at=TUE)
    before = sorted(keys_of(client, prefix))
    await (logins.cohort(at=MON) & logins.cohort(at=TUE)).count()

    assert sorted(keys_of(client, prefix)) == before


async def test_cohorts_of_different_activities_do_not_combine(coord: Any) -> None:
    with pytest.raises(ValueError, match="within one activity"):
        coord.activity("a").cohort() & coord.activity("b").cohort()


@settings(max_examples=25, deadline=None)
@given(days=st.lists(st.sets(st.integers(0, 300)), min_size=2, max_size=4))
def test_cohorts_equal_sets(days: list[set[int]]) -> None:
    with Coord.connect("memory://") as hub:
        logins = hub.activity("logins")
        for number, ids in enumerate(days):
            logins.mark(*ids, at=MON + timedelta(days=number))
        cohort = logins.cohort(at=MON)
        for number in range(1, len(days)):
            cohort = cohort & logins.cohort(at=MON + timedelta(days=number))
        expected = set.intersection(*days)

        assert cohort.count() == len(expected)
        assert {one for one in range(301) if cohort.is_active(one)} == expected


async def test_text_ids_are_numbered_densely_in_order_of_appearance(
    coord: Any, other_coord: Any, client: Any, prefix: str
) -> None:
    readers = coord.activity("readers", ids="text")
    await readers.mark("ann", "bob", at=MON)
    await other_coord.activity("readers", ids="text").mark("cid", "ann", b"bob", 17, at=TUE)

    assert await readers.count(at=MON) == 2
    assert await readers.count(at=TUE) == 4
    assert await (readers.cohort(at=MON) & readers.cohort(at=TUE)).count() == 2
    assert await readers.is_active("cid", at=TUE)
    assert not await readers.is_active("cid", at=MON)
    assert not await readers.is_active("never seen", at=MON)
    assert client.hgetall(f"{prefix}:activity:{{readers}}:numbers") == {
        b"ann": b"0", b"bob": b"1", b"cid": b"2", b"17": b"3",
    }  # fmt: skip


async def test_the_numbers_outlive_every_bitmap_that_uses_them(coord: Any, client: Any, prefix: str) -> None:
    readers = coord.activity("readers", ids="text", period=["day", "year"], retain=3600)
    await readers.mark("ann")
    await coord.activity("readers", ids="text", retain=1).mark("bob")
    numbers = f"{prefix}:activity:{{readers}}:numbers"
    bitmaps = [key for key in keys_of(client, prefix) if key != numbers]

    assert len(bitmaps) == 2
    assert client.pttl(numbers) > max(client.pttl(key) for key in bitmaps)


async def test_a_thousand_and_more_are_marked_in_slices(coord: Any) -> None:
    logins = coord.activity("logins", ids="text")
    await logins.mark(*(f"user {n}" for n in range(2345)), at=MON)

    assert await logins.count(at=MON) == 2345


@pytest.mark.parametrize(
    ("bad", "error"),
    [(-1, ValueError), (MAX_ID + 1, ValueError), (True, TypeError), ("7", TypeError), (1.0, TypeError)],
)
async def test_a_bad_number_is_refused_and_nothing_is_marked(
    coord: Any, client: Any, prefix: str, bad: Any, error: type
) -> None:
    logins = coord.activity("logins")
    with pytest.raises(error, match="an id"):
        await logins.mark(1, bad)
    with pytest.raises(error, match="an id"):
        await logins.is_active(bad)

    assert keys_of(client, prefix) == []


async def test_a_bad_kind_of_ids_is_refused(coord: Any) -> None:
    with pytest.raises(ValueError, match="ids must be one of 'int', 'text'"):
        coord.activity("a", ids="uuid")


async def test_a_key_of_another_type_is_named(coord: Any, client: Any, prefix: str) -> None:
    client.lpush(f"{prefix}:activity:{{a}}:day:2026-03-02", "x")
    with pytest.raises(WrongKeyType, match="2026-03-02"):
        await coord.activity("a").mark(1, at=MON)

    client.delete(f"{prefix}:activity:{{a}}:day:2026-03-02")
