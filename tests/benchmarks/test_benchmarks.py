"""The benchmarks measure what they say: every script, and pages that have a place for each figure."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis

import coord
from coord._engine.courier import Courier
from tests.benchmarks import pages, script_work
from tests.benchmarks.harness import percentile

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(coord.__file__).parent.parent
SCRIPTS = {path.stem for path in (ROOT / "coord" / "lua").glob("*.lua")}
PAGE = ROOT / "docs" / "explanation" / "speed.md"
PARTS = [
    "machine",
    "goals",
    "scripts",
    "calls",
    "locks",
    "limits",
    "uniques",
    "activity",
    "boards",
    "sharded",
]


def test_every_script_is_measured_at_its_usual_size() -> None:
    assert {one.script for one in script_work.SCENARIOS} == SCRIPTS


@pytest.mark.parametrize("script", sorted(SCRIPTS))
def test_a_scenario_runs_its_script(running_servers: Callable[[str], str], script: str) -> None:
    deliver = Courier.deliver
    url = running_servers("valkey9").removesuffix("/0") + "/9"
    with redis.Redis.from_url(url) as client:
        client.flushdb()
        one = next(one for one in script_work.SCENARIOS if one.script == script)
        act = one.prepare(coord.Coord.connect(url))
        noted = script_work._noted(act, 2)
        client.flushdb()

    assert Courier.deliver is deliver
    assert all(script in [getattr(call.what, "name", "") for call in calls] for calls in noted)


def test_calls_are_put_in_the_order_of_their_steps() -> None:
    acts = [["a1", "b1", "c1"], ["a2", "b2"], ["a3"]]

    assert [*script_work._transposed(acts)] == [["a1", "a2", "a3"], ["b1", "b2"], ["c1"]]


def test_the_page_on_speed_lists_every_script_and_every_suite() -> None:
    text = PAGE.read_text("utf-8")

    assert set(re.findall(r"^\| `(\w+)`, ", text, re.MULTILINE)) >= SCRIPTS
    assert re.findall(r"<!-- measured: (\w+) -->", text) == PARTS
    assert re.findall(r"<!-- end of (\w+) -->", text) == PARTS


def test_a_part_of_a_page_is_replaced_and_nothing_else() -> None:
    page = "# A\n\n<!-- measured: x -->\n\nold\n\n<!-- end of x -->\n\nby hand\n"

    assert pages.fill(page, {"x": "new\n", "y": "elsewhere"}) == page.replace("old", "new")
    assert pages.fill(pages.fill(page, {"x": "new"}), {"x": "old"}) == page


def test_the_pictures_that_are_drawn_are_shown() -> None:
    shown = set(re.findall(r"\(\.\./pictures/(speed-\w+)\.svg\)", PAGE.read_text("utf-8")))

    assert shown == {path.stem for path in (ROOT / "docs" / "pictures").glob("speed-*.svg")}


@pytest.mark.parametrize(("percent", "expected"), [(0, 1), (50, 2), (75, 3), (99, 4), (100, 4)])
def test_a_percentile_is_one_of_the_observations(percent: float, expected: float) -> None:
    assert percentile([4, 1, 3, 2], percent) == expected
