"""Scenarios of unique counters and activities."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tests.benchmarks.rooms.scenarios import FIRST, usual

if TYPE_CHECKING:
    from tests.benchmarks.rooms.scenarios import Act


@usual("unique_add", "one id, counted exactly")
def _counted(coord: Any) -> Act:
    counter = coord.unique_counter("x")
    return lambda n: counter.add(f"user:{n}", at=FIRST)


@usual("unique_add", "one id, estimated")
def _estimated(coord: Any) -> Act:
    counter = coord.unique_counter("x")
    counter.add(*range(2000), at=FIRST)
    return lambda n: counter.add(f"user:{n}", at=FIRST)


@usual("unique_read", "one day, estimated")
def _read(coord: Any) -> Act:
    counter = coord.unique_counter("x")
    counter.add(*range(2000), at=FIRST)
    return lambda n: counter.count(at=FIRST)


@usual("unique_read", "30 days, estimated", times=100)
def _read_a_month(coord: Any) -> Act:
    counter = coord.unique_counter("x")
    days = [FIRST + timedelta(days=number) for number in range(40)]
    for number, day in enumerate(days):
        counter.add(*range(1000 * number, 1000 * number + 2000), at=day)
    return lambda n: counter.count(since=days[3], until=days[32])


@usual("unique_roll", "a month of 31 days, estimated", times=5)
def _rolled(coord: Any) -> Act:
    days = [FIRST + timedelta(days=number) for number in range(31)]
    for n in range(5):
        for day in days:
            coord.unique_counter(f"x{n}").add(*range(1000), at=day)
    return lambda n: coord.unique_counter(f"x{n}").count(since=days[0], until=days[-1])


@usual("unique_restore", "a sketch", times=50)
def _restored(coord: Any) -> Act:
    counter = coord.unique_counter("x")
    counter.add(*range(2000), at=FIRST)
    data = counter.select(at=FIRST).export()
    return lambda n: coord.unique_counter(f"y{n}").restore(data, at=FIRST)


@usual("recent_add", "one id")
@usual("recent_count", "up to 100 ids")
def _recent(coord: Any) -> Act:
    counter = coord.sliding_unique_counter("x", exact=True)

    def act(n: int) -> None:
        counter.add(f"user:{n}")
        counter.count()

    return act


def _active(coord: Any, **options: Any) -> Any:
    activity = coord.activity("x", **options)
    activity.mark(*(("id%d" % n if options else n) for n in range(0, 1000, 2)), at=FIRST)  # noqa: UP031
    return activity


@usual("activity_mark", "one number, in a day")
def _marked(coord: Any) -> Act:
    activity = _active(coord)
    return lambda n: activity.mark(2 * n + 1, at=FIRST)


@usual("activity_mark", "one number, in a day, a week and a month")
def _marked_in_three(coord: Any) -> Act:
    activity = coord.activity("x", period=("day", "week", "month"))
    return lambda n: activity.mark(n, at=FIRST)


@usual("activity_mark", "one text id, in a day")
def _marked_as_text(coord: Any) -> Act:
    activity = _active(coord, ids="text")
    return lambda n: activity.mark(f"id{2 * n + 1}", at=FIRST)


@usual("activity_merge", "10,000 numbers close together", times=20)
def _merged(coord: Any) -> Act:
    return lambda n: coord.activity(f"x{n}").mark(*range(10_000), at=FIRST)


@usual("activity_unmark", "one number, in a day")
def _unmarked(coord: Any) -> Act:
    activity = _active(coord)
    return lambda n: activity.unmark(2 * n, at=FIRST)


@usual("activity_count", "one day")
@usual("activity_test", "one id")
def _asked(coord: Any) -> Act:
    activity = _active(coord)

    def act(n: int) -> None:
        activity.count(at=FIRST)
        activity.is_active(n, at=FIRST)

    return act


@usual("activity_chunks", "two days")
@usual("activity_names", "100 text ids", times=50)
def _cohorts(coord: Any) -> Act:
    activity = _active(coord, ids="text")
    next_day = FIRST + timedelta(days=1)
    activity.mark("id0", at=next_day)
    either = activity.cohort(at=FIRST) | activity.cohort(at=next_day)
    return lambda n: list(either)
