"""The benchmarks measure what they say: every operation runs, and every page has a place for each figure."""

from __future__ import annotations

import asyncio
import contextlib
import re
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis

import coord
from coord._engine.courier import Courier
from tests.benchmarks import coord_operations, pages, summary
from tests.benchmarks.alternate import Contestant, Results, alternate, middle, ratio
from tests.benchmarks.contests.bench import Bench
from tests.benchmarks.operation import Place
from tests.benchmarks.recording import Renewed, commands, packed, recorded
from tests.benchmarks.rooms import script_work
from tests.benchmarks.rooms.scenarios import SCENARIOS
from tests.benchmarks.rounds import percentile
from tests.benchmarks.workers import ROOT, Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.benchmarks.alternate import Reading

SCRIPTS = {path.stem for path in (ROOT / "coord" / "lua").glob("*.lua")}
PAGE = ROOT / "docs" / "explanation" / "speed.md"
README = ROOT / "README.md"
PARTS = [
    "machine", "summary", "calls", "locks", "sharing", "quorums", "growth", "costs", "scripts",
    "uniques", "activity", "boards", "sharded",
]  # fmt: skip


def _reading(value: float) -> Reading:
    return {"wall": value, "client": value, "server": value}


@pytest.fixture
def place(running_servers: Callable[[str], str]) -> Iterator[Place]:
    url = running_servers("valkey9").removesuffix("/0") + "/9"
    with redis.Redis.from_url(url) as client, contextlib.ExitStack() as stack:
        client.flushdb()
        stack.callback(client.flushdb)
        yield Place([url], [], stack.enter_context(asyncio.Runner()), stack)


@pytest.mark.parametrize("name", [name for name in coord_operations.OPERATIONS if name != "quorum pair"])
def test_an_operation_of_coord_runs(place: Place, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(coord_operations, "HELD", 3)
    run = coord_operations.OPERATIONS[name].open(place)

    assert (run(2) or {}).keys() <= {"held"}


def test_a_process_measures_a_checkout(place: Place) -> None:
    worker = Worker(ROOT)
    try:
        block = worker.opened("decision", [place.url], [], "this")
        assert block(2).keys() == {"wall", "client", "server"}
    finally:
        worker.end()


def test_blocks_alternate_and_every_other_round_is_in_the_opposite_order() -> None:
    asked: list[str] = []

    def block_of(name: str) -> Callable[[int], Reading]:
        def block(count: int) -> Reading:
            asked.append(f"{name}{count}")
            return _reading(count)

        return block

    found = alternate([Contestant(name, block_of(name), 7) for name in "ab"], seconds=0, least=2)

    assert asked == ["a7", "b7", "a7", "b7", "b7", "a7"]
    assert found["a"].readings == [_reading(7), _reading(7)]


def test_who_fails_is_named_and_not_run_again() -> None:
    calls = 0

    def fail(count: int) -> Reading:
        nonlocal calls
        calls += 1
        raise OSError("gone")

    found = alternate([Contestant("a", fail, 1), Contestant("b", _reading, 1)], seconds=0, least=3)

    assert (calls, found["a"].problem, found["a"].readings) == (1, "OSError: gone", [])
    assert len(found["b"].readings) == 3


def test_a_ratio_is_the_median_of_the_rounds_ratios() -> None:
    # The second half of the time is ten times as slow for both: a ratio of medians would not be 2.
    theirs = Results([_reading(value) for value in (1, 1, 10, 10, 10)])
    ours = Results([_reading(value) for value in (2, 2, 20, 20, 500)])

    assert ratio(ours, theirs, "wall").value == 2
    assert middle(ours, "client") == 20
    assert isnan(ratio(Results(), theirs, "wall").value)


def test_commands_sent_are_taken_apart_and_put_together() -> None:
    sent = packed((b"SET", b"a\r\nb", b"")) + packed((b"GET", b"a"))

    assert [*commands(sent)] == [(b"SET", b"a\r\nb", b""), (b"GET", b"a")]
    assert b"".join(map(packed, commands(sent))) == sent


def test_what_is_sent_again_has_other_tokens_of_the_same_length() -> None:
    digest, token, mark = b"0123456789abcdef" * 2 + b"01234567", b"a" * 32, b"b" * 20
    sent = b" ".join((digest, token, mark, token))

    renewed = Renewed(sent)
    first, second = renewed.again().split(), renewed.again().split()

    assert [len(word) for word in first] == [40, 32, 20, 32]
    assert first[0] == second[0] == digest
    assert first[1] == first[3] not in {second[1], first[2], token}


def test_a_relay_notes_what_is_sent(place: Place) -> None:
    (sent,) = recorded(place, coord_operations.OPERATIONS["decision"], count=2)

    assert [words[0] for words in commands(sent)] == [b"EVALSHA", b"EVALSHA"]


def test_every_figure_to_reach_has_a_row_in_short() -> None:
    table = summary.summary(Bench([], quick=True))
    told = " ".join(row[0] for row in table.rows)

    for word in ("decision", "100 async", "1,000 async", "denied", "lock and release", "with lock", "10,000",
                 "hand-off", "waiters", "contenders", "quorum", "link", "server CPU", "memory", "import",
                 "cache"):  # fmt: skip
        assert word in told


def test_every_script_is_measured_at_its_usual_size() -> None:
    assert {one.script for one in SCENARIOS} == SCRIPTS


@pytest.mark.parametrize("script", sorted(SCRIPTS))
def test_a_scenario_runs_its_script(place: Place, script: str) -> None:
    deliver = Courier.deliver
    one = next(one for one in SCENARIOS if one.script == script)
    act = one.prepare(coord.Coord.connect(place.url))
    noted = script_work._noted(act, 2)

    assert Courier.deliver is deliver
    assert all(script in [getattr(call.what, "name", "") for call in calls] for calls in noted)


def test_calls_are_put_in_the_order_of_their_steps() -> None:
    acts = [["a1", "b1", "c1"], ["a2", "b2"], ["a3"]]

    assert [*script_work._transposed(acts)] == [["a1", "a2", "a3"], ["b1", "b2"], ["c1"]]


def test_the_pages_have_a_place_for_every_suite_and_list_every_script() -> None:
    text, readme = PAGE.read_text("utf-8"), README.read_text("utf-8")

    assert set(re.findall(r"^\| `(\w+)`, ", text, re.MULTILINE)) >= SCRIPTS
    assert re.findall(r"<!-- measured: (\w+) -->", text) == PARTS
    assert re.findall(r"<!-- end of (\w+) -->", text) == PARTS
    assert re.findall(r"<!-- measured: (\w+) -->", readme) == ["peers"]


def test_a_part_of_a_page_is_replaced_and_nothing_else() -> None:
    page = "# A\n\n<!-- measured: x -->\n\nold\n\n<!-- end of x -->\n\nby hand\n"

    assert pages.fill(page, {"x": "new\n", "y": "elsewhere"}) == page.replace("old", "new")
    assert pages.fill(pages.fill(page, {"x": "new"}), {"x": "old"}) == page


def test_the_pictures_that_are_drawn_are_shown() -> None:
    shown = set(re.findall(r"\(\.\./pictures/(speed-\w+)\.svg\)", PAGE.read_text("utf-8")))

    assert shown == {path.stem for path in Path(ROOT / "docs" / "pictures").glob("speed-*.svg")}


@pytest.mark.parametrize(("percent", "expected"), [(0, 1), (50, 2), (75, 3), (99, 4), (100, 4)])
def test_a_percentile_is_one_of_the_observations(percent: float, expected: float) -> None:
    assert percentile([4, 1, 3, 2], percent) == expected
