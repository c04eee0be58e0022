from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coord._engine.port import step
from coord.periods import KINDS, Calendar, PeriodKind, Weekday

if TYPE_CHECKING:
    from coord._engine.clock import ServerClock

NOW = datetime(2026, 11, 21, 13, 5, 9, tzinfo=UTC)


class FixedClock:
    async def now(self) -> float:
        return NOW.timestamp()


def calendar(*kinds: PeriodKind, tz: Any = "UTC", week_start: Weekday = "monday") -> Calendar:
    return Calendar(kinds or KINDS, tz, None, cast("ServerClock", FixedClock()), week_start)


def label(kind: PeriodKind, moment: datetime, tz: Any = "UTC") -> str:
    return calendar(kind, tz=tz).period(kind, moment.astimezone(ZoneInfo(tz) if tz != "UTC" else UTC)).label


def test_labels_of_one_moment() -> None:
    assert [label(kind, NOW) for kind in KINDS] == [
        "2026-11-21T1305", "2026-11-21T13", "2026-11-21", "2026-W47", "2026-11", "2026",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("day", "week"),
    [("2024-12-30", "2025-W01"), ("2021-01-03", "2020-W53"),
     ("2027-01-03", "2026-W53"), ("2026-01-01", "2026-W01")],
)  # fmt: skip
def test_weeks_are_iso_weeks_of_the_iso_year(day: str, week: str) -> None:
    assert label("week", datetime.fromisoformat(f"{day}T12:00+00:00")) == week


def test_a_day_on_which_the_clocks_change_has_23_or_25_hours() -> None:
    berlin = calendar("day", tz="Europe/Berlin")
    zone = ZoneInfo("Europe/Berlin")
    spring = berlin.period("day", datetime(2026, 3, 29, 12, tzinfo=zone))
    autumn = berlin.period("day", datetime(2026, 10, 25, 12, tzinfo=zone))

    assert spring.end - spring.start == timedelta(hours=23)
    assert autumn.end - autumn.start == timedelta(hours=25)


def test_the_hour_that_a_clock_change_repeats_is_two_periods() -> None:
    first, second = (datetime(2026, 10, 25, hour, 30, tzinfo=UTC) for hour in (0, 1))

    assert label("hour", first, "Europe/Berlin") == "2026-10-25T02+0200"
    assert label("hour", second, "Europe/Berlin") == "2026-10-25T02+0100"
    assert label("minute", first, "Asia/Kolkata") == "2026-10-25T0600+0530"


def test_a_week_may_begin_on_another_day_and_is_then_called_after_it() -> None:
    sundays = calendar("week", week_start="sunday")
    week = sundays.period("week", NOW)

    assert week.label == "2026-11-15"
    assert (week.start, week.end) == (datetime(2026, 11, 15, tzinfo=UTC), datetime(2026, 11, 22, tzinfo=UTC))
    assert sundays.period("week", datetime(2026, 11, 22, tzinfo=UTC)).label == "2026-11-22"
    assert calendar("week", week_start="saturday").period("week", NOW).label == "2026-11-21"
    with pytest.raises(ValueError, match="week_start must be one of"):
        calendar("week", week_start="Sunday")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("now", [datetime(2024, 12, 29, 23, 59, 59, tzinfo=UTC),
                                 datetime(2024, 12, 30, tzinfo=UTC), datetime(2027, 1, 3, 23, tzinfo=UTC)],
                         ids=str)  # fmt: skip
def test_the_last_weeks_of_a_year_are_weeks_on_end(now: datetime) -> None:
    weeks = step(calendar("week").resolve(calendar("week").choose(last=60), now))

    assert weeks[-1].label == f"{now.isocalendar().year}-W{now.isocalendar().week:02}"
    assert {week.end - week.start for week in weeks} == {timedelta(days=7)}
    assert all(later.start == earlier.end for earlier, later in pairwise(weeks))
    assert len({week.label for week in weeks}) == 60


def test_a_midnight_that_the_clocks_skip_begins_the_day_when_they_have_moved_on() -> None:
    """In Beirut, 2021-03-28 begins at one o'clock."""
    beirut = calendar(tz="Asia/Beirut")
    (hour,) = step(beirut.select("hour", at=date(2021, 3, 28)))
    (day,) = step(beirut.select("day", at=date(2021, 3, 28)))

    assert hour.label == "2021-03-28T01+0300"
    assert hour.start == day.start == datetime(2021, 3, 27, 22, tzinfo=UTC)
    assert day.end - day.start == timedelta(hours=23)


def test_a_midnight_that_comes_twice_begins_the_day_once() -> None:
    """In Havana, 2020-11-01 has two midnights."""
    havana = calendar(tz="America/Havana")
    twice = [datetime(2020, 11, 1, hour, 30, tzinfo=UTC) for hour in (4, 5)]
    days = {period.label: period.start for at in twice for period in step(havana.select("day", at=at))}

    assert days == {"2020-11-01": datetime(2020, 11, 1, 4, tzinfo=UTC)}
    assert [step(havana.select("hour", at=at))[0].label for at in twice] == [
        "2020-11-01T00-0400",
        "2020-11-01T00-0500",
    ]


def test_a_day_that_a_place_skipped_ends_a_range_and_belongs_to_none() -> None:
    """Samoa had no 2011-12-30."""
    days = step(calendar("day", tz="Pacific/Apia").select(since=date(2011, 12, 28), until=date(2012, 1, 1)))

    assert [day.label for day in days] == ["2011-12-28", "2011-12-29", "2011-12-31", "2012-01-01"]
    since = step(calendar("day", tz="Pacific/Apia").select(since=date(2011, 12, 30), until=date(2012, 1, 1)))
    assert [day.label for day in since] == ["2011-12-31", "2012-01-01"]


def test_an_hour_in_which_the_clocks_change_by_half_an_hour_holds_its_moments() -> None:
    zone = ZoneInfo("Australia/Lord_Howe")
    moment = datetime(2026, 4, 4, 15, 5, tzinfo=UTC).astimezone(zone)
    hour = calendar("hour", tz="Australia/Lord_Howe").period("hour", moment)

    assert hour.label == "2026-04-05T01+1030"
    assert hour.start <= moment < hour.end


moments = st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1))
zones = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"])


@given(moments, zones, st.sampled_from(KINDS))
def test_every_moment_is_in_its_period_and_periods_touch(naive: datetime, tz: str, kind: PeriodKind) -> None:
    zone = UTC if tz == "UTC" else ZoneInfo(tz)
    moment = naive.replace(tzinfo=UTC).astimezone(zone)
    kept = calendar(kind, tz=tz)
    period = kept.period(kind, moment)
    following = kept.period(kind, period.end.astimezone(zone))

    assert period.start <= moment < period.end
    assert following.start <= period.end < following.end
    assert following.start == period.end or tz == "Australia/Lord_Howe", "half an hour, twice a year"
    assert following.label > period.label or "+" in period.label or "-" in period.label[10:]
    assert kept.period(kind, period.start.astimezone(zone)) == period


def test_selections() -> None:
    days = calendar("day")

    def labels(**chosen: Any) -> list[str]:
        return [period.label for period in step(days.select(**chosen))]

    assert labels() == ["2026-11-21"]
    assert labels(at=date(2026, 1, 2)) == ["2026-01-02"]
    assert labels(last=3) == ["2026-11-19", "2026-11-20", "2026-11-21"]
    assert labels(since=date(2026, 11, 20)) == ["2026-11-20", "2026-11-21"]
    assert labels(since=date(2026, 2, 27), until=date(2026, 3, 1)) == [
        "2026-02-27",
        "2026-02-28",
        "2026-03-01",
    ]
    assert len(labels(last=1000)) == 1000


def test_a_list_of_instants_chooses_the_period_of_each_once() -> None:
    days = step(calendar("day").select(at=[date(2026, 5, 2), NOW, date(2026, 5, 1), date(2026, 5, 2)]))

    assert [day.label for day in days] == ["2026-05-01", "2026-05-02", "2026-11-21"]
    with pytest.raises(ValueError, match="at least one instant"):
        calendar("day").choose(at=[])
    with pytest.raises(TypeError, match="an instant is"):
        calendar("day").choose(at="2026-05-01")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="more than 1000 periods"):
        step(calendar("day").select(at=[date(2000 + n // 12, n % 12 + 1, 1) for n in range(1001)]))


def test_a_choice_is_resolved_by_the_now_that_it_is_given() -> None:
    days = calendar("day")
    now = datetime(2024, 12, 30, 0, 0, 1, tzinfo=UTC)

    assert [day.label for day in step(days.resolve(days.choose(), now))] == ["2024-12-30"]
    assert [day.label for day in step(days.resolve(days.choose(since=date(2024, 12, 29)), now))] == [
        "2024-12-29",
        "2024-12-30",
    ]


def grouped(kind: PeriodKind, tz: str = "UTC", now: datetime = NOW, **chosen: Any) -> list[str]:
    kept = calendar(kind, tz=tz)
    groups = kept.grouped(step(kept.resolve(kept.choose(kind, **chosen), now)), now)
    assert [part for group in groups for part in group.parts] == step(
        kept.resolve(kept.choose(kind, **chosen), now)
    )
    return [
        group.whole.label if group.whole else f"{group.parts[0].label}..{group.parts[-1].label}"
        for group in groups
    ]


def test_the_days_of_a_month_that_is_over_are_one_group() -> None:
    assert grouped("day", since=date(2026, 1, 1), until=date(2026, 12, 31)) == [
        *(f"2026-{month:02}" for month in range(1, 11)),
        "2026-11-01..2026-11-30",
        "2026-12-01..2026-12-31",
    ]
    assert grouped("day", since=date(2026, 5, 2), until=date(2026, 7, 30)) == [
        "2026-05-02..2026-05-31", "2026-06", "2026-07-01..2026-07-30",
    ]  # fmt: skip
    assert grouped("month", last=13) == ["2025-11..2025-12", "2026-01..2026-11"]
    assert grouped("week", since=date(2026, 1, 1)) == ["2026-W01..2026-W47"]


def test_days_with_a_gap_do_not_make_up_a_month() -> None:
    june = [date(2026, 6, day) for day in range(1, 31)]

    assert grouped("day", at=june) == ["2026-06"]
    assert grouped("day", at=june[:9] + june[10:]) == ["2026-06-01..2026-06-30"]


def test_the_hours_of_a_day_on_which_the_clocks_change_are_a_group_too() -> None:
    for day in (date(2026, 3, 29), date(2026, 10, 25)):
        after = datetime.combine(day + timedelta(days=1), time(), ZoneInfo("Europe/Berlin"))
        chosen: dict[str, Any] = {"since": day, "until": after - timedelta(seconds=1)}

        assert grouped("hour", "Europe/Berlin", **chosen) == [day.isoformat()]


def test_months_and_years_go_back_without_skipping() -> None:
    months = [period.label for period in step(calendar("month").select(last=14))]

    assert months[0] == "2025-10"
    assert months[-1] == "2026-11"
    assert len(set(months)) == 14


def test_days_go_back_across_clock_changes_without_skipping() -> None:
    days = step(calendar("day", tz="Europe/Berlin").select(since=date(2026, 3, 28), until=date(2026, 3, 31)))

    assert [day.label for day in days] == ["2026-03-28", "2026-03-29", "2026-03-30", "2026-03-31"]


@pytest.mark.parametrize("at", ["2026-11-21", True, object(), b""])
def test_what_is_no_instant_is_refused(at: Any) -> None:
    with pytest.raises(TypeError, match="an instant is"):
        calendar("day").check(at)


def test_the_usual_retention_is_each_kinds_own() -> None:
    kept = calendar("minute", "day")
    lifetimes = kept.lifetimes(kept.around(NOW))

    assert lifetimes[2:] == [86_400_000, 400 * 86_400_000]
    assert lifetimes[0] == int(NOW.replace(minute=6, second=0).timestamp() * 1000)
