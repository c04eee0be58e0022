from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from coord import Entry, Season
from tests.support.keys import keys_of, server_time

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 6, 10, 12, tzinfo=UTC)  # a Wednesday
HOUR = 3_600_000
DAY = 24 * HOUR


def names(rows: list[Entry]) -> list[str]:
    return [row.member for row in rows]


async def test_one_submission_feeds_every_period_by_its_own_rule(
    coord: Any, client: Any, prefix: str
) -> None:
    board = coord.leaderboard("g", period={"day": "best", "week": "last", "all": "sum"})
    await board.submit("ann", 10, at=NOON)
    await board.submit("bob", 12, at=NOON)
    done = await board.submit("ann", 5, at=NOON + timedelta(days=1), meta="later")

    assert {kind: one.score for kind, one in done.periods.items()} == {"day": 5, "week": 5, "all": 15}
    assert {kind: one.rank for kind, one in done.periods.items()} == {"day": 1, "week": 2, "all": 1}
    assert (done.score, done.rank, done.previous_rank) == (5, 1, None)
    assert await board.of("day", at=NOON).top(5) == [Entry(1, "bob", 12.0), Entry(2, "ann", 10.0)]
    assert names(await board.of("week", at=NOON).top(5)) == ["bob", "ann"]
    assert await board.of("all").top(5) == [Entry(1, "ann", 15.0, "later"), Entry(2, "bob", 12.0)]
    assert await coord.leaderboard("g").score("ann") == 15  # all time is the board of that name
    assert (await board.submit("ann", 1, keep="worst", at=NOON)).periods["all"].score == 1


async def test_every_period_dies_some_time_after_its_end_and_all_time_never(
    coord: Any, client: Any, prefix: str
) -> None:
    board = coord.leaderboard(
        "g", period=["hour", "day", "all"], retain=timedelta(days=2), tiebreak="first", member_ttl=99
    )
    now = datetime.fromtimestamp(server_time(client), UTC)
    await board.submit("ann", 1, at=now, meta="x")
    left = {key: client.pttl(key) for key in keys_of(client, prefix)}

    assert len(left) == 15
    for key, ttl in left.items():
        if ":hour:" in key:
            assert 2 * DAY < ttl <= 2 * DAY + HOUR
        elif ":day:" in key:
            assert 2 * DAY < ttl <= 3 * DAY
        else:
            assert ttl == -1

    await board.submit("ann", 1, at=now - timedelta(days=50))
    old = (now - timedelta(days=50)).strftime("%Y-%m-%d")
    assert 0 < client.pttl(f"{prefix}:board:{{g}}:day:{old}") <= 2 * DAY  # from now on


async def test_a_key_that_is_made_again_gets_its_ttl_again(coord: Any, client: Any, prefix: str) -> None:
    board = coord.leaderboard("g", period="day", retain=100, tiebreak="first")
    key = f"{prefix}:board:{{g}}:day:2026-06-10"
    await board.submit("ann", 1, at=NOON)
    assert await board.of("day", at=NOON).remove("ann") == 1
    assert client.exists(key) == 0

    await board.submit("ann", 1, at=NOON)
    assert client.pttl(key) > 0
    assert client.pttl(f"{key}:reached") > 0
    assert await board.of("day", at=NOON).set_meta("ann", "x")
    assert 0 < client.pttl(f"{key}:meta") <= 100_000


async def test_periods_before_stay_readable(coord: Any, client: Any) -> None:
    board = coord.leaderboard("g", period=["day", "month"])
    now = datetime.fromtimestamp(server_time(client), UTC)
    for ago in range(3):
        await board.submit(f"p{ago}", 1, at=now - timedelta(days=ago))
    await board.submit("now", 2)

    assert names(await board.top(9)) == ["now", "p0"]
    assert names(await board.of("day").top(9)) == ["now", "p0"]
    assert names(await board.of("day", ago=1).top(9)) == ["p1"]
    assert names(await board.of("day", ago=2).top(9)) == ["p2"]
    assert names(await board.of("day", ago=3).top(9)) == []
    assert await board.of("day", ago=1).rank("p1") == 1
    assert await board.of("day", at=now.date()).len() == 2


@pytest.mark.parametrize(
    "case",
    [
        ({"period": "week"}, [date(2024, 12, 30), date(2026, 12, 31), date(2027, 1, 3)],
         ["week:2025-W01", "week:2026-W53", "week:2026-W53"]),
        ({"period": "week", "week_start": "sunday"}, [date(2026, 6, 6), date(2026, 6, 7)],
         ["week:2026-05-31", "week:2026-06-07"]),
        ({"period": "day", "tz": "Europe/Berlin"}, [datetime(2026, 6, 9, 22, 30, tzinfo=UTC)],
         ["day:2026-06-10"]),
        ({"period": "day", "tz": "America/New_York"}, [datetime(2026, 11, 1, 3, 30, tzinfo=UTC)],
         ["day:2026-10-31"]),
        ({"period": "hour", "tz": ZoneInfo("Europe/Berlin")},
         [datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 25, 1, 30, tzinfo=UTC)],
         ["hour:2026-10-25T02+0200", "hour:2026-10-25T02+0100"]),
        ({"period": ["month", "year"]}, [date(2026, 2, 28)], ["month:2026-02", "year:2026"]),
    ],
)  # fmt: skip
async def test_instants_fall_into_the_periods_of_the_boards_own_calendar(
    coord: Any, client: Any, prefix: str, case: tuple[dict[str, Any], list[Any], list[str]]
) -> None:
    options, moments, labels = case
    board = coord.leaderboard("g", **options)
    for moment in moments:
        await board.submit("ann", 1, at=moment)

    found = {key for key in keys_of(client, prefix) if not key.endswith(":scores")}
    assert found == {f"{prefix}:board:{{g}}:{label}" for label in labels}


async def test_seasons_are_periods_of_ones_own_making(coord: Any, client: Any, prefix: str) -> None:
    now = datetime.fromtimestamp(server_time(client), UTC)
    past = Season("first: open", now - timedelta(days=30), now - timedelta(days=20))
    last = Season("second", now - timedelta(days=20), now - timedelta(days=1))
    board = coord.leaderboard("g", period=["season", "all"], seasons=[last, past], retain=60)
    for days in (25, 20, 15, 0):
        done = await board.submit(f"p{days}", 1, at=now - timedelta(days=days))
        assert list(done.periods) == (["season", "all"] if days else ["all"])

    assert names(await board.of("season", at=now - timedelta(days=22)).top(9)) == ["p25"]
    assert names(await board.of("season").top(9)) == ["p15", "p20"]  # over, and no other has begun
    assert names(await board.top(9)) == ["p0", "p15", "p20", "p25"]  # where a submission goes meanwhile
    assert names(await board.of("season", ago=1).top(9)) == ["p25"]
    assert names(await board.of("all").top(9)) == ["p0", "p15", "p20", "p25"]
    for missing in (board.of("season", ago=2), board.of("season", at=now)):
        with pytest.raises(ValueError, match="no such season"):
            await missing.top(1)
    assert f"{prefix}:board:{{g}}:season:first%3A%20open" in keys_of(client, prefix)
    with pytest.raises(ValueError, match="no season is on"):
        await coord.leaderboard("h", period="season", seasons=[last]).submit("ann", 1)


async def test_between_seasons_a_submission_and_a_read_speak_of_one_board(coord: Any, client: Any) -> None:
    now = datetime.fromtimestamp(server_time(client), UTC)
    over = Season("over", now - timedelta(days=20), now - timedelta(days=1))
    board = coord.leaderboard("g", period=["season", "all"], seasons=[over])
    await board.submit("bob", 9, at=now - timedelta(days=2))
    done = await board.submit("ann", 1)

    assert await board.rank("ann") == done.rank == 2
    assert await board.score("ann") == done.score == 1

    alone = coord.leaderboard("h", period="season", seasons=[over])
    await alone.submit("bob", 9, at=now - timedelta(days=2))
    assert await alone.rank("bob") == 1  # where nothing can be submitted, the last is read


async def test_a_snapshot_of_a_period_serves_in_the_next(coord: Any) -> None:
    board = coord.leaderboard("g", period=["day", "all"])
    days = [board.of("day", ago=ago) for ago in (1, 0)]
    await board.submit_many({"ann": 2, "bob": 1}, at=date.today() - timedelta(days=1))  # noqa: DTZ011
    await board.submit_many({"ann": 1, "bob": 2})
    await days[0].snapshot("before")

    moved = await days[1].movement("ann", "bob", snapshot="before")
    assert [(one.rank, one.previous_rank) for one in moved] == [(2, 1), (1, 2)]
    with pytest.raises(ValueError, match="snapshot 'before'"):
        await board.of("all").movement("ann", snapshot="before")  # each kind has its own
    await board.of("all").snapshot("before")
    assert [one.up for one in await board.of("all").movement("ann", "bob", snapshot="before")] == [0, 0]


async def test_of_two_retentions_under_one_name_the_longer_counts(
    coord: Any, client: Any, prefix: str
) -> None:
    longer, shorter = (coord.leaderboard("g", period="day", retain=keep) for keep in (9e6, 60))
    await longer.submit("ann", 1)
    (key,) = [key for key in keys_of(client, prefix) if not key.endswith((":scores", "}"))]
    lives = client.pttl(key)
    await shorter.submit("ann", 2)

    assert lives - 60_000 < client.pttl(key) <= lives
    await shorter.submit("bob", 2, at=datetime.fromtimestamp(server_time(client), UTC) - timedelta(days=3))
    await longer.submit("bob", 3, at=datetime.fromtimestamp(server_time(client), UTC) - timedelta(days=3))
    assert all(client.pttl(key) > 8_000_000_000 for key in keys_of(client, prefix))


async def test_what_a_period_refuses_is_refused_by_all(coord: Any) -> None:
    board = coord.leaderboard("g", period={"day": "last", "all": "sum"})
    await board.submit("ann", 2**53, at=NOON)
    with pytest.raises(ValueError, match="cannot hold"):
        await board.submit("ann", 1, at=NOON)

    assert await board.of("day", at=NOON).score("ann") == 2**53


async def test_bad_periods_are_refused(coord: Any, client: Any, prefix: str) -> None:
    day = Season("s", date(2026, 1, 1), date(2026, 1, 2))
    bad: list[dict[str, Any]] = [
        {"period": "fortnight"}, {"period": []}, {"period": ["day", "day"]}, {"period": {"day": "max"}},
        {"period": "day", "week_start": "someday"}, {"period": "day", "tz": "Mars"}, {"period": "season"},
        {"seasons": [day]}, {"period": "day", "seasons": [day]}, {"period": "day", "retain": -1},
        {"period": "season", "seasons": [day, day]},
        {"period": "season", "seasons": [Season("s", date(2026, 1, 2), date(2026, 1, 1))]},
        {"period": "season", "seasons": [Season("", date(2026, 1, 1), date(2026, 1, 2))]},
        {"period": "season",
         "seasons": [day, Season("s", date(2026, 2, 1), date(2026, 2, 2))]},
    ]  # fmt: skip
    for options in bad:
        with pytest.raises(ValueError, match=r"must|together|overlap"):
            coord.leaderboard("g", **options)
    board = coord.leaderboard("g", period=["day", "all"])
    unread: list[dict[str, Any]] = [
        {"period": "week"}, {"period": "day", "ago": -1}, {"period": "day", "ago": 1, "at": NOON},
        {"period": "all", "ago": 1}, {"period": "day", "at": datetime(2026, 1, 1)}]  # fmt: skip
    for words in unread:
        with pytest.raises(ValueError, match=r"must|not both|no other|naive"):
            board.of(**words)
    with pytest.raises(ValueError, match="no periods"):
        coord.leaderboard("g").of("day")
    with pytest.raises(ValueError, match="naive"):
        await board.submit("ann", 1, at=datetime(2026, 1, 1))
    with pytest.raises(TypeError, match="instant"):
        await board.submit("ann", 1, at="today")

    assert keys_of(client, prefix) == []
