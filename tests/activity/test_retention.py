from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coord import Coord
from coord.activity import CHUNK
from tests.support.hubs import server_says

pytestmark = pytest.mark.anyio

MON = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAYS = [MON + timedelta(days=number) for number in range(8)]

_names = count(1)


async def test_each_row_is_a_cohort_and_each_cell_who_came_back(coord: Any) -> None:
    players = coord.activity("players")
    for at, ids in zip(DAYS, ({1, 2, 3, 4, 9 * CHUNK}, {1, 2, 7}, {2, 3, 7, 9 * CHUNK}), strict=False):
        await players.mark(*ids, at=at)
    table = await players.retention(rows=4, columns=3, now=DAYS[3])

    assert [(row.label, row.size, row.cells) for row in table.rows] == [
        ("2026-03-02", 5, (5, 2, 3)),
        ("2026-03-03", 3, (3, 2, None)),
        ("2026-03-04", 4, (4, None, None)),
        ("2026-03-05", 0, (None, None, None)),
    ]
    assert table.rows[0].rates == (1.0, 0.4, 0.6)
    assert table.rows[1].start == datetime(2026, 3, 3, tzinfo=UTC)
    assert (table.name, table.kind, table.as_of) == ("players", "day", DAYS[3])


async def test_a_cell_is_none_until_the_very_end_of_its_period(coord: Any) -> None:
    players = coord.activity("players", period="week", tz="Europe/Berlin")
    await players.mark(1, at=MON)
    for now, cells in (
        ("2026-03-08T22:59:59.999999+00:00", (None, None)),
        ("2026-03-08T23:00:00+00:00", (1, None)),
        ("2026-03-15T22:59:59+00:00", (1, None)),
        ("2026-03-15T23:00:00+00:00", (1, 0)),
    ):
        table = await players.retention(rows=3, columns=2, now=datetime.fromisoformat(now))
        row = next(row for row in table.rows if row.label == "2026-W10")

        assert row.cells == cells, now
        assert row.size == 1


async def test_an_empty_cohort_has_no_rates_and_its_counts_are_zero(coord: Any) -> None:
    table = await coord.activity("players").retention(rows=2, columns=2, now=MON)

    assert [(row.size, row.cells, row.rates) for row in table.rows] == [
        (0, (0, None), (None, None)),
        (0, (None, None), (None, None)),
    ]


@pytest.mark.parametrize("leap", [timedelta(days=1), timedelta(days=400)])
def test_a_report_has_one_now(leap: timedelta, monkeypatch: pytest.MonkeyPatch) -> None:
    with Coord.connect("memory://") as hub:
        times = iter(MON + n * leap for n in range(100))
        asked = []

        def now() -> float:
            asked.append(next(times))
            return asked[-1].timestamp()

        server_says(monkeypatch, now)
        players = hub.activity("players", period=["day", "week"])
        table = players.retention(rows=3, columns=4)

        assert len(asked) == 1
        assert table.as_of == MON
        assert [row.label for row in table.rows] == ["2026-02-28", "2026-03-01", "2026-03-02"]
        week = players.cohort(last=7) - players.cohort(period="week")
        hub.activity("players", period=["day", "week"]).funnel({"a": week, "b": players.cohort()})
        assert len(asked) == 2


async def test_events_make_cohorts_and_returns(coord: Any) -> None:
    """Who signed up, was active and did tasks: each mix of events has the outcome that its sets have."""
    shop = coord.activity("shop", ids="text")
    signup, active, unknown = (shop.event(name) for name in ("signup", "active", "unknown"))
    one, two = shop.event("task 1"), shop.event("task 2")
    await signup.mark("ann", "bob", at=MON)
    await active.mark("ann", "bob", at=MON)
    await active.mark("ann", at=DAYS[1])
    for task in (one, two):
        for at in DAYS[:2]:
            await task.mark("ann", "bob", at=at)

    async def first_row(back: Any, of: Any, also: Any = None) -> tuple[Any, ...]:
        table = await back.retention(rows=3, columns=2, of=of, also=also, now=DAYS[2])
        return (table.rows[0].size, *table.rows[0].rates)

    assert await first_row(active, active) == (2, 1.0, 0.5)
    assert await first_row(active, None) == (2, 1.0, 0.5)
    assert await first_row(unknown, active) == (2, 0.0, 0.0)
    assert await first_row(active, unknown) == (0, None, None)
    assert await first_row(active, [signup, active]) == (2, 1.0, 0.5)
    assert await first_row(active, [signup, active], also=signup) == (2, 1.0, 0.0)
    assert await first_row(two, [one, two], also=[one]) == (2, 1.0, 1.0)
    assert await first_row(one, (one, two), also=(two,)) == (2, 1.0, 1.0)
    assert await first_row(active, signup) == (2, 1.0, 0.5)


async def test_bad_questions_are_refused(coord: Any) -> None:
    players = coord.activity("players")
    for bad in (
        {"rows": 0},
        {"rows": True},
        {"columns": 1001},
        {"period": "week"},
        {"now": datetime(2026, 1, 1)},
    ):
        with pytest.raises((TypeError, ValueError)):
            await players.retention(**bad)
    with pytest.raises(ValueError, match="number their ids apart"):
        await players.retention(of=coord.activity("people", ids="text"))
    for wrong in ("signup", ["signup"], coord.activity("players").cohort()):
        with pytest.raises(TypeError, match="event must be of"):
            await players.retention(also=wrong)


# How it is shown


async def shown(coord: Any) -> Any:
    players = coord.activity("players", period="week")
    for number, ids in enumerate((range(120), range(60, 100), range(90, 130))):
        await players.mark(*ids, at=MON + timedelta(weeks=number))
    return await players.retention(rows=3, now=date(2026, 3, 20))


async def test_it_prints_as_a_table(coord: Any) -> None:
    table = await shown(coord)

    assert str(table) == (
        "retention of 'players' by week, as of 2026-03-20 00:00 UTC\n"
        "week      size    +0   +1  +2\n"
        "2026-W10   120  100%  33%   -\n"
        "2026-W11    40  100%    -   -\n"
        "2026-W12    40     -    -   -"
    )
    assert table.text(counts=True).splitlines()[2:4] == [
        "2026-W10   120  120  40   -",
        "2026-W11    40   40   -   -",
    ]


async def test_it_is_exported_as_records_and_csv(coord: Any) -> None:
    table = await shown(coord)
    records = table.records()
    read = list(csv.DictReader(io.StringIO(table.csv())))

    assert len(records) == len(read) == 9
    assert records[1] == {
        "period": "2026-W10",
        "start": "2026-03-02T00:00:00+00:00",
        "size": 120,
        "offset": 1,
        "active": 40,
        "rate": 40 / 120,
    }
    assert (records[2]["active"], records[2]["rate"]) == (None, None)
    assert (read[1]["active"], read[2]["active"], read[2]["rate"]) == ("40", "", "")


async def test_it_is_drawn_as_a_heat_map(coord: Any) -> None:
    figures = pytest.importorskip("matplotlib.figure")
    table = await shown(coord)
    figure = table.plot()
    axes = figures.Figure().add_subplot()

    assert [text.get_text() for text in figure.axes[0].texts] == ["100%", "33%", "100%"]
    assert next(label.get_text() for label in figure.axes[0].get_yticklabels()) == "2026-W10 (120)"
    assert table.plot(axes) is axes.figure
    out = io.BytesIO()
    figure.savefig(out, format="png")
    assert out.getvalue().startswith(b"\x89PNG")


async def test_without_matplotlib_the_extra_is_named(coord: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    table = await coord.activity("players").retention(rows=1, now=MON)

    with pytest.raises(ImportError, match=r"coord\[plots\]"):
        table.plot()


# Against a model


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(
    days=st.lists(
        st.sets(st.one_of(st.integers(0, 20), st.integers(CHUNK - 3, CHUNK + 3)), max_size=12),
        min_size=5,
        max_size=5,
    ),
    rows=st.integers(1, 6),
    columns=st.integers(1, 7),
)
async def test_every_cell_equals_sets(coord: Any, days: list[set[int]], rows: int, columns: int) -> None:
    players = coord.activity(f"players {next(_names)}")
    for at, ids in zip(DAYS, days, strict=False):
        await players.mark(*ids, at=at)
    today = len(days)
    table = await players.retention(rows=rows, columns=columns, now=DAYS[today])
    sets = dict(enumerate(days))

    for row, day in zip(table.rows, range(today - rows + 1, today + 1), strict=True):
        cohort = sets.get(day, set())
        assert row.size == len(cohort)
        assert row.cells == tuple(
            len(cohort & sets.get(day + column, set())) if day + column < today else None
            for column in range(columns)
        )


async def test_an_event_of_an_event_is_its_own(coord: Any) -> None:
    shop = coord.activity("shop", retain=9e8)
    web, ios = shop.event("web"), shop.event("ios")
    await web.event("buy").mark(1, at=MON)
    await web.ordered_funnel("f", "see", "buy").mark("see", 2, at=MON)

    assert [await one.count(at=MON) for one in (web.event("buy"), ios.event("buy"), web, shop)] == [
        1,
        0,
        0,
        0,
    ]
    assert await web.ordered_funnel("f", "see", "buy").cohort("see", at=MON).count() == 1
    assert await ios.ordered_funnel("f", "see", "buy").cohort("see", at=MON).count() == 0
    assert await shop.ordered_funnel("f", "see", "buy").cohort("see", at=MON).count() == 0
    assert "'shop/web/buy'" in repr(web.event("buy"))


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"period": "day"}, "keeps no week"),
        ({"period": ["day", "week"], "tz": "Asia/Tokyo"}, "time zones are UTC and Asia/Tokyo"),
        ({"period": ["day", "week"], "week_start": "sunday"}, "weeks begin on monday and sunday"),
    ],
)
@pytest.mark.parametrize("way", ["of", "also"])
async def test_a_table_of_two_activities_needs_the_same_periods(
    coord: Any, other: dict[str, Any], why: str, way: str
) -> None:
    mine, theirs = coord.activity("a", period=["day", "week"]), coord.activity("b", **other)

    with pytest.raises(ValueError, match=why):
        await mine.retention(period="week", **{way: theirs})
