"""Each read of small boards is held against a plain one; ``tests.leaderboard.every_board`` has all."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis

from coord import AsyncLeaderboard, Coord, Entry, Scroll
from tests.leaderboard.model import ORDERS, RULES, PlainBoard
from tests.support.together import reading, together

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.anyio

LARGEST = 12
ALL_SHAPES_UP_TO = 4
NAMES = ["m10", "b", "é", "a", "m9", "z", "B", "m1", "aa", "~", "0", "m"]


def shapes(length: int) -> Iterator[list[int]]:
    """How ``length`` members can be level: scores for each way to cut a row into groups.

    All ways for short boards; for the others all level, pairs, and groups at the ends among rows without
    ties. ``python -m tests.leaderboard.every_board`` has all of them.
    """
    if length <= ALL_SHAPES_UP_TO:
        for cuts in product((0, 1), repeat=length - 1):
            yield [sum(cuts[:place]) for place in range(length)]
        return
    yield [0] * length
    yield [place // 2 for place in range(length)]
    yield [min(max(0, place - 1), length - 4) for place in range(length)]


def filled(board: Any, shape: list[int], tiebreak: str) -> PlainBoard:
    """Put a board and its model into one shape; members come in another order than they stand in."""
    model = PlainBoard(tiebreak=tiebreak)
    mixed = sorted(range(len(shape)), key=lambda place: (place * 5) % 7)
    scores = {NAMES[place]: shape[place] - 2 for place in mixed}
    notes = {member: f"note {member}" for member in list(scores)[::2]}
    board.submit_many(scores, meta=notes)
    for member, score in scores.items():
        model.submit(member, score, meta=notes.get(member))
    return model


@pytest.mark.parametrize("tiebreak", ["name", "first"])
@pytest.mark.parametrize("length", range(1, LARGEST + 1))
def test_every_read_of_every_small_board_is_right(
    real_server: str, prefix: str, length: int, tiebreak: Any
) -> None:
    reader = AsyncLeaderboard(reading(prefix))
    with Coord.connect(real_server, prefix=prefix) as hub, Redis.from_url(real_server) as client:
        for shape in shapes(length):
            board = hub.leaderboard("b", tiebreak=tiebreak)
            model = filled(board, shape, tiebreak)
            asked = [
                one for order, ties in product(ORDERS, RULES) for one in reads(reader, model, order, ties)
            ]
            for order in ORDERS:
                asked += shares(AsyncLeaderboard(reading(prefix, order=order)), model, order)
            got = together(client, [flow for flow, _ in asked])
            board.clear()

            assert got == [expected for _, expected in asked]


def reads(board: Any, model: PlainBoard, order: str, ties: str) -> Iterator[tuple[Any, Any]]:
    """Every read there is, and what it should return."""
    rules = {"order": order, "ties": ties}
    rows = model.rows(ties, order)
    by_member = {row.member: row for row in rows}
    length = len(rows)
    yield board.ranks_of(*NAMES, "nobody", **rules), [by_member.get(one) for one in [*NAMES, "nobody"]]
    for size in range(1, length + 3):
        yield board.top(size, **rules), rows[:size]
        yield board.bottom(size, **rules), rows[max(0, length - size) :]
        for place, row in enumerate(rows):
            start = max(0, min(place - size // 2, length - size))
            window = rows[start : start + size]
            assert row in window
            assert len(window) == min(size, length)
            yield board.around(row.member, size, **rules), window
        for number in range(1, -(-length // size) + 2):
            yield board.page(number, size, **rules), rows[(number - 1) * size : number * size]
        yield scrolled(board, size, rules), rows
    for place in range(1, length + 2):
        yield board.at(place, **rules), rows[place - 1] if place <= length else None
    for low, high in ((None, None), (None, 0), (0, None), (-1, 1), (0.5, 0.7), (-2, -2)):
        least, most = (-9 if low is None else low), (99 if high is None else high)
        inside = [row for row in rows if least <= row.score <= most]
        yield board.count(low, high), len(inside)
        yield board.by_score(low, high, size=50, **rules), inside
        yield board.by_score(low, high, size=2, skip=1, **rules), inside[1:3]


async def scrolled(board: Any, size: int, rules: dict[str, Any]) -> list[Entry]:
    rows: list[Entry] = []
    cursor = None
    while True:
        stretch = await board.scroll(size, cursor=cursor, **rules)
        rows += stretch.rows
        cursor = stretch.cursor
        if cursor is None:
            return rows
        assert len(stretch.rows) == size


def shares(board: Any, model: PlainBoard, order: str) -> Iterator[tuple[Any, Any]]:
    model.order = order
    for member, score in model.scores.items():
        share = model.percentile(member)
        yield board.percentile(member), pytest.approx(share)
        yield board.score_at(share), score
    for share in (0, 1, 12.5, 33, 50, 66.6, 75, 99.9, 100):
        yield board.score_at(share), model.score_at(share)


async def test_every_server_and_flavour_reads_alike(coord: Any) -> None:
    for tiebreak in ("name", "first"):
        board = coord.leaderboard(tiebreak, tiebreak=tiebreak)
        model = PlainBoard(tiebreak=tiebreak)
        for member, score in {"cyd": 5, "ann": 5, "dan": 9, "bob": 5, "eve": -1.5}.items():
            await board.submit(member, score)
            model.submit(member, score)
        for order, ties in product(ORDERS, RULES):
            rules = {"order": order, "ties": ties}
            rows = model.rows(ties, order)

            assert await board.top(9, **rules) == rows
            assert await board.page(2, 2, **rules) == rows[2:4]
            assert await board.bottom(2, **rules) == rows[-2:]
            assert await board.at(3, **rules) == rows[2]
            assert await board.around("ann", 3, **rules) == model.around("ann", 3, ties, order)
            assert await board.rank("bob", **rules) == next(row.rank for row in rows if row.member == "bob")
            first = await board.scroll(3, **rules)
            second = await board.scroll(3, cursor=first.cursor, **rules)
            assert (first.rows + second.rows, second.cursor) == (rows, None)
        assert await board.by_score(0, 6, size=2) == model.rows()[1:3]
        assert await board.count(5, 5) == 3
        assert await board.percentile("ann") == model.percentile("ann") == 50
        assert await board.score_at(50) == 5
        await board.clear()


async def test_an_empty_board_has_nothing_to_read(coord: Any) -> None:
    board = coord.leaderboard("empty")

    assert await board.top(3) == await board.bottom(3) == await board.page(1, 3) == []
    assert await board.by_score(size=3) == await board.around("nobody", 3) == []
    assert await board.scroll(3) == Scroll([], None)
    assert await board.ranks_of("nobody") == [None]
    assert await board.ranks_of() == []
    assert await board.at(1) is await board.percentile("nobody") is await board.score_at(50) is None
    assert await board.len() == await board.count(0, 9) == 0


async def test_a_cursor_misses_and_repeats_no_row_that_stays_while_others_move(coord: Any) -> None:
    for tiebreak, order in product(("name", "first"), ORDERS):
        board = coord.leaderboard("b", tiebreak=tiebreak, order=order)
        await board.submit_many({f"m{number}": number % 3 for number in range(12)})
        first = await board.scroll(5)
        moving = [row.member for row in first.rows[1:5]]  # the last row, where the cursor is, among them
        await board.submit_many(dict.fromkeys(moving, 50 if order == "asc" else -50))
        await board.submit("new", 50 if order == "desc" else -50)
        stretch = first
        seen = [row.member for row in first.rows]
        while stretch.cursor is not None:
            stretch = await board.scroll(5, cursor=stretch.cursor)
            seen += [row.member for row in stretch.rows]

        still = {f"m{number}" for number in range(12)} - set(moving)
        assert sorted(member for member in seen if member in still) == sorted(still)
        assert "new" not in seen
        await board.clear()


async def test_a_page_by_number_shows_what_a_cursor_is_for(coord: Any) -> None:
    board = coord.leaderboard("b")
    await board.submit_many({"a": 4, "b": 3, "c": 2, "d": 1})
    stretch = await board.scroll(2)
    await board.submit("d", 9)

    assert [row.member for row in await board.page(2, 2)] == ["b", "c"]  # b again
    assert [row.member for row in (await board.scroll(2, cursor=stretch.cursor)).rows] == ["c"]
    await board.clear()


@pytest.mark.parametrize("cursor", ["", "x", "1", "1 ", "nan a", " a", "inf b"])
async def test_what_is_no_cursor_is_refused(coord: Any, cursor: str) -> None:
    with pytest.raises(ValueError, match="cursor must be"):
        await coord.leaderboard("b").scroll(3, cursor=cursor)
    with pytest.raises(TypeError, match="cursor must be"):
        await coord.leaderboard("b").scroll(3, cursor=7)


async def test_bad_reads_are_refused_before_anything_is_sent(coord: Any) -> None:
    board = coord.leaderboard("b")
    for refused in (
        board.top(0), board.top(1001), board.bottom(-1), board.page(0, 5), board.page(1, 0), board.at(0),
        board.by_score(2, 1, size=5), board.by_score(size=0), board.by_score(size=1, skip=-1),
        board.by_score(float("nan"), size=1), board.count(2, 1), board.score_at(101), board.score_at(-0.5),
        board.score_at(float("nan")), board.top(1, ties="shared"), board.rank("a", order="up"),
        board.around("", 3), board.around("\ud800", 3),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"must|surrogates"):
            await refused
    for refused in (
        board.top(1.0), board.page("1", 5), board.ranks_of("ann", 7), board.ranks_of(["ann"]),
        board.score_at("50"),
        board.by_score("low", size=1), board.at(True),
    ):  # fmt: skip
        with pytest.raises(TypeError, match="must"):
            await refused


async def test_a_thousand_friends_are_one_call_and_stay_aligned(coord: Any) -> None:
    board = coord.leaderboard("b")
    await board.submit_many({f"m{n}": n for n in range(0, 1200, 2)}, meta={"m2": "", "m4": "0"})
    friends = [f"m{n}" for n in range(1100, -1, -1)]
    rows = await board.ranks_of(*friends, "m2")

    assert [row and row.member for row in rows] == [
        one if int(one[1:]) % 2 == 0 else None for one in friends
    ] + ["m2"]
    assert rows[-1] == Entry(599, "m2", 2.0, "")
    assert rows[friends.index("m4")].meta == "0"
    assert rows[friends.index("m6")].meta is None
    await board.clear()


@settings(max_examples=60, deadline=None)
@given(
    scores=st.lists(st.sampled_from([-2.5, -1, 0, 0.1, 1, 7, 1e15, 5e-324]), min_size=1, max_size=25),
    order=st.sampled_from(ORDERS),
)
def test_a_percentile_is_monotone_equal_for_ties_and_within_bounds(scores: list[float], order: Any) -> None:
    with Coord.connect("memory://") as hub:
        board = hub.leaderboard("b", order=order)
        board.submit_many({f"m{number}": score for number, score in enumerate(scores)})
        shares = [(score, board.percentile(f"m{number}")) for number, score in enumerate(scores)]
        by_worst = sorted(shares, reverse=order == "asc")

        assert all(0 < share < 100 for _, share in shares if share is not None)
        assert [share for _, share in by_worst] == sorted(share for _, share in shares if share is not None)
        assert len(set(shares)) == len(set(scores))
        assert sum(share for _, share in shares if share is not None) / len(scores) == pytest.approx(50)
