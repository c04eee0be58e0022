from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coord._engine.port import step
from coord.periods import KINDS, Calendar

if TYPE_CHECKING:
    from coord._engine.clock import ServerClock

NOW = datetime(2026, 11, 21, 13, 5, 9, tzinfo=UTC)


class FixedClock:
    async def now(self) -> float:
        return NOW.timestamp()


def calendar(*kinds: str, tz: Any = "UTC") -> Calendar:
    return Calendar(kinds or KINDS, tz, None, cast("ServerClock", FixedClock()))


def label(kind: str, moment: datetime, tz: Any = "UTC") -> str:
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


moments = st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1))
zones = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"])


@given(moments, zones, st.sampled_from(KINDS))
def test_every_moment_is_in_its_period_and_periods_touch(naive: datetime, tz: str, kind: str) -> None:
    zone = UTC if tz == "UTC" else ZoneInfo(tz)
    moment = naive.replace(tzinfo=UTC).astimezone(zone)
    kept = calendar(kind, tz=tz)
    period = kept.period(kind, moment)
    following = kept.period(kind, period.end.astimezone(zone))

    assert period.start <= moment < period.end
    assert following.start == period.end
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
