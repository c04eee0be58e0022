"""Two objects of one name whose options differ: the table of the reference, tried row by row."""

from __future__ import annotations

import inspect
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from coord import AsyncCoord, ConcurrencyOptions, Season

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.anyio

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "two-of-a-name.md"
TABLE = {
    (maker, option): outcome
    for maker, option, outcome in re.findall(
        r"^\| `(\w+)` \| `(\w+)` \| (\w+) \|", PAGE.read_text(), re.MULTILINE
    )
}
MAKERS = sorted({maker for maker, _ in TABLE})
NOW = datetime.now(UTC)
SEASONS = [Season("s", NOW - timedelta(days=1), NOW + timedelta(days=1))]
OTHERS = [Season("s", NOW - timedelta(days=2), NOW + timedelta(days=2))]

PAIRS: dict[tuple[str, str], tuple[dict[str, Any], dict[str, Any]]] = {
    ("lock", "ttl"): ({"ttl": 30}, {"ttl": 1}),
    ("lock", "renew"): ({}, {"renew": False}),
    ("lock", "renew_in"): ({}, {"renew_in": "thread"}),
    ("lock", "max_hold"): ({}, {"max_hold": 5}),
    ("lock", "fair"): ({}, {"fair": True}),
    ("lock", "reentrant"): ({}, {"reentrant": True}),
    ("lock", "wait"): ({}, {"wait": "poll"}),
    ("concurrency_limit", "limit"): ({"limit": 1}, {"limit": 2}),
    ("concurrency_limit", "ttl"): ({"limit": 1, "ttl": 30}, {"limit": 1, "ttl": 1}),
    ("concurrency_limit", "renew"): ({"limit": 1}, {"limit": 1, "renew": False}),
    ("concurrency_limit", "max_hold"): ({"limit": 1}, {"limit": 1, "max_hold": 5}),
    ("concurrency_limit", "fair"): ({"limit": 1}, {"limit": 1, "fair": True}),
    ("concurrency_limit", "wait"): ({"limit": 1}, {"limit": 1, "wait": "poll"}),
    ("token_bucket", "rate"): ({"rate": 10, "per": 600}, {"rate": 20, "per": 600}),
    ("token_bucket", "per"): ({"rate": 10, "per": 600}, {"rate": 10, "per": 900}),
    ("token_bucket", "burst"): ({"rate": 10, "per": 600}, {"rate": 10, "per": 600, "burst": 30}),
    ("sliding_window", "limit"): ({"limit": 10, "per": 600}, {"limit": 20, "per": 600}),
    ("sliding_window", "per"): ({"limit": 10, "per": 600}, {"limit": 10, "per": 900}),
    ("sliding_window", "precision"): (
        {"limit": 10, "per": 600, "precision": "exact"},
        {"limit": 10, "per": 600, "precision": "approximate"},
    ),
    ("fixed_window", "limit"): ({"limit": 10, "per": 600}, {"limit": 20, "per": 600}),
    ("fixed_window", "per"): ({"limit": 10, "per": 600}, {"limit": 10, "per": 900}),
    ("unique_counter", "period"): ({"period": "day"}, {"period": ["day", "hour"]}),
    ("unique_counter", "tz"): ({"period": "year"}, {"period": "year", "tz": "Asia/Tokyo"}),
    ("unique_counter", "week_start"): ({"period": "week"}, {"period": "week", "week_start": "sunday"}),
    ("unique_counter", "retain"): ({}, {"retain": 60}),
    ("unique_counter", "raw"): ({}, {"raw": True}),
    ("sliding_unique_counter", "window"): ({"window": 60}, {"window": 120}),
    ("sliding_unique_counter", "buckets"): ({"buckets": 6}, {"buckets": 60}),
    ("sliding_unique_counter", "exact"): ({}, {"exact": True}),
    ("activity", "period"): ({"period": "day"}, {"period": ["day", "week"]}),
    ("activity", "ids"): ({}, {"ids": "text"}),
    ("activity", "tz"): ({"period": "year"}, {"period": "year", "tz": "Asia/Tokyo"}),
    ("activity", "week_start"): ({"period": "week"}, {"period": "week", "week_start": "sunday"}),
    ("activity", "retain"): ({}, {"retain": 60}),
    ("leaderboard", "order"): ({}, {"order": "asc"}),
    ("leaderboard", "keep"): ({}, {"keep": "best"}),
    ("leaderboard", "ties"): ({}, {"ties": "dense"}),
    ("leaderboard", "tiebreak"): ({}, {"tiebreak": "first"}),
    ("leaderboard", "member_ttl"): ({}, {"member_ttl": 60}),
    ("leaderboard", "period"): ({}, {"period": ["all", "day"]}),
    ("leaderboard", "tz"): ({"period": "year"}, {"period": "year", "tz": "Asia/Tokyo"}),
    ("leaderboard", "week_start"): ({"period": "week"}, {"period": "week", "week_start": "sunday"}),
    ("leaderboard", "retain"): ({"period": "day"}, {"period": "day", "retain": 60}),
    ("leaderboard", "seasons"): (
        {"period": "season", "seasons": SEASONS},
        {"period": "season", "seasons": OTHERS},
    ),
    ("sharded_leaderboard", "shards"): ({"shards": 2}, {"shards": 3}),
    ("sharded_leaderboard", "order"): ({}, {"order": "asc"}),
    ("sharded_leaderboard", "keep"): ({}, {"keep": "best"}),
    ("sharded_leaderboard", "ties"): ({}, {"ties": "modified"}),
    ("sharded_leaderboard", "member_ttl"): ({}, {"member_ttl": 60}),
}
PAIRS |= {
    ("locks", option): PAIRS["lock", option] for option in ("ttl", "renew", "renew_in", "max_hold", "wait")
}


UNTRIED = ("replicas", "fsync")
"""The servers at hand have no replica and no file, so that these locks are never granted here."""


async def _held(first: Any, second: Any) -> bool:
    assert await first.try_acquire() is not None
    return await second.try_acquire() is None


async def _admitted(first: Any, second: Any) -> bool:
    assert await first.try_acquire("k") is not None
    return bool((await second.status("k")).used == 1)


async def _charged(first: Any, second: Any) -> bool:
    assert await first.try_acquire("k", cost=5)
    status = await second.status("k")
    return bool(status.remaining < status.limit)


async def _added(first: Any, second: Any) -> bool:
    await first.add("ann")
    return int(await second.count()) == 1


async def _marked(first: Any, second: Any) -> bool:
    await first.mark(1)
    return bool(await second.is_active(1))


async def _submitted(first: Any, second: Any) -> bool:
    await first.submit("ann", 1)
    return await second.score("ann") is not None


SEEN: dict[str, Callable[[Any, Any], Any]] = {
    "lock": _held,
    "locks": _held,
    "concurrency_limit": _admitted,
    "token_bucket": _charged,
    "sliding_window": _charged,
    "fixed_window": _charged,
    "unique_counter": _added,
    "sliding_unique_counter": _added,
    "activity": _marked,
    "leaderboard": _submitted,
    "sharded_leaderboard": _submitted,
}


@pytest.mark.parametrize("maker", MAKERS)
def test_the_table_has_every_option(maker: str) -> None:
    parameters = inspect.signature(getattr(AsyncCoord, maker)).parameters.values()
    options = {one.name for one in parameters if one.kind is inspect.Parameter.KEYWORD_ONLY}
    if maker == "concurrency_limit":
        options |= set(ConcurrencyOptions.__annotations__)

    assert {option for name, option in TABLE if name == maker} == options


def test_the_table_has_every_kind_of_object() -> None:
    made_of_others = {"limits", "admission", "fenced", "connect", "close"}
    makers = {name for name, _ in inspect.getmembers(AsyncCoord, inspect.isfunction) if name[0] != "_"}

    assert set(MAKERS) == makers - made_of_others
    assert {pair for pair in TABLE if pair[1] not in UNTRIED} == set(PAIRS)


@pytest.mark.parametrize(("maker", "option"), sorted(PAIRS))
async def test_two_of_a_name_are_what_the_table_says(
    no_leaks: None, server: str, prefix: str, maker: str, option: str
) -> None:
    one, other = PAIRS[maker, option]
    ways = ((one, other), (other, one))
    async with AsyncCoord.connect(server, prefix=prefix) as coord:
        for way, (first, second) in enumerate(ways):
            make = getattr(coord, maker)
            objects = [make(f"name-{way}", **options) for options in (first, second)]
            if TABLE[maker, option] == "refused":
                await objects[0].submit("ann", 1)
                with pytest.raises(ValueError, match=option):
                    await objects[1].submit("ann", 2)
            else:
                assert await SEEN[maker](*objects) is (TABLE[maker, option] == "same"), (first, second)
