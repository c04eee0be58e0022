"""Boards made of others: merges and snapshots."""

from __future__ import annotations

import threading
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coord import Coord, Entry, Movement
from tests.leaderboard.model import ORDERS, RULES
from tests.support.keys import keys_of, server_time

pytestmark = pytest.mark.anyio


def merged(boards: list[dict[str, float]], weights: list[float], combine: str, how: str) -> dict[str, float]:
    """What boards hold together, in plain Python."""
    every = set().union(*boards) if how == "union" else set.intersection(*map(set, boards))
    result = {}
    for member in every:
        parts = [
            Fraction(board[member]) * Fraction(weight)
            for board, weight in zip(boards, weights, strict=True)
            if member in board
        ]
        found = {"sum": sum, "min": min, "max": max, "count": len}[combine](parts)  # type: ignore[operator]
        result[member] = float(found)
    return result


async def scores(board: Any) -> dict[str, float]:
    return {row.member: row.score for row in await board.top(1000)}


async def test_boards_are_merged_in_every_way(coord: Any, other_coord: Any, client: Any, prefix: str) -> None:
    mon, tue = coord.leaderboard("mon"), coord.leaderboard("tue", tiebreak="first")
    first = {"ann": 5.0, "bob": 0.0, "cyd": -2.5}
    second = {"ann": 7.0, "cyd": 4.0, "dan": 1e15}
    await mon.submit_many(first, meta={"ann": "", "cyd": "monday"})
    await tue.submit_many(second, meta={"ann": "tuesday", "dan": "d"})
    both: Any = [first, second]
    for tiebreak in ("name", "first"):
        board = coord.leaderboard(f"both-{tiebreak}", tiebreak=tiebreak)
        await board.submit("stranger", 1, meta="gone")
        for combine in ("sum", "min", "max", "count"):
            for how in ("union", "intersection"):
                expected = merged(both, [1, 1], combine, how)
                assert await board.merge(mon, tue, combine=combine, how=how) == len(expected)
                assert await scores(board) == expected
                kept = f"{prefix}:board:{{both-{tiebreak}}}:scores"
                assert client.zcard(kept) == len(set(expected.values()))
                assert client.pttl(kept) == -1
        assert await board.merge(mon, tue, weights=[-0.5, 2]) == 4
        assert await scores(board) == {"ann": 11.5, "bob": 0.0, "cyd": 9.25, "dan": 2e15}
        assert str(await board.score("bob")) == "0.0"
        assert [row.meta for row in await board.ranks_of("ann", "bob", "cyd", "dan")] == [
            "", None, "monday", "d",
        ]  # fmt: skip
        assert not [key for key in keys_of(client, prefix) if "making" in key]
        assert await other_coord.leaderboard(f"both-{tiebreak}").rank("dan") == 1
        assert (await board.submit("bob", 3)).score == 3


async def test_a_merge_keeps_who_came_first(coord: Any) -> None:
    one, two = (coord.leaderboard(name, tiebreak="first") for name in ("one", "two"))
    await one.submit("zed", 5)
    await two.submit("ann", 5)
    await one.submit("mid", 3)
    await two.submit("zed", 0)
    await two.submit("mid", 4)
    both = coord.leaderboard("both", tiebreak="first")

    await both.merge(two, one, combine="max")
    assert [row.member for row in await both.top(9, ties="ordinal")] == ["zed", "ann", "mid"]
    await both.merge(two, one)
    assert [row.member for row in await both.top(9, ties="ordinal")] == ["mid", "ann", "zed"]
    await both.submit("new", 5)
    assert [row.member for row in await both.top(9, ties="ordinal")] == ["mid", "ann", "zed", "new"]


async def test_a_board_may_be_merged_with_itself_and_with_periods(coord: Any) -> None:
    board = coord.leaderboard("g", period=["day", "all"])
    await board.submit_many({"ann": 1, "bob": 2})
    total = coord.leaderboard("total")
    await total.submit("ann", 10)

    assert await total.merge(total, board.of("day"), board) == 2
    assert await scores(total) == {"ann": 12.0, "bob": 4.0}
    with pytest.raises(ValueError, match="has periods"):
        await board.merge(total)


async def test_boards_of_different_servers_are_merged(coord: Any, real_server: str, prefix: str) -> None:
    await coord.leaderboard("here").submit("ann", 1)
    with Coord.connect(real_server, prefix=f"{prefix}-there") as other:
        there = other.leaderboard("there")
        there.submit("ann", 2)
        both = coord.leaderboard("both")
        if "Async" in repr(coord):
            with pytest.raises(TypeError, match="flavour"):
                await both.merge(there)
        else:
            assert await both.merge(coord.leaderboard("here"), there) == 1
            assert await both.score("ann") == 3
        there.clear()


async def test_a_merge_that_cannot_be_leaves_the_board_as_it_was(
    coord: Any, client: Any, prefix: str
) -> None:
    one, two, board = (coord.leaderboard(name) for name in ("one", "two", "both"))
    await one.submit_many({"ann": 2**53, "big": 1e308})
    await two.submit_many({"ann": 1, "big": 1})
    await board.submit("old", 1, meta="x")
    before = keys_of(client, prefix)
    lossy: list[dict[str, Any]] = [{}, {"weights": [1e10, 1]}, {"combine": "max", "weights": [3e300, 1]}]
    for options in lossy:
        with pytest.raises(ValueError, match="combined score"):
            await board.merge(one, two, **options)
    bad: list[tuple[dict[str, Any], type[Exception]]] = [
        ({"weights": [1]}, ValueError), ({"weights": [1, float("nan")]}, ValueError),
        ({"weights": [1, "2"]}, TypeError), ({"combine": "mean"}, ValueError), ({"how": "both"}, ValueError),
        ({"combine": "count", "weights": [1, 1]}, ValueError),
    ]  # fmt: skip
    for options, error in bad:
        with pytest.raises(error):
            await board.merge(one, two, **options)
    with pytest.raises(ValueError, match="at least one"):
        await board.merge()
    with pytest.raises(TypeError, match="flavour"):
        await board.merge("one")

    assert await board.top(5) == [Entry(1, "old", 1.0, "x")]
    assert sorted(keys_of(client, prefix)) == sorted(before)


async def test_a_merge_that_fails_midway_leaves_nothing_behind(coord: Any, client: Any, prefix: str) -> None:
    one, two, board = (coord.leaderboard(name) for name in ("one", "two", "both"))
    await one.submit_many({f"m{n}": n for n in range(300)})
    await two.submit("big", 1e200)
    with pytest.raises(ValueError, match="combined score of 'big'"):
        await board.merge(one, two, weights=[1, 1e200])

    assert not [key for key in keys_of(client, prefix) if ":{both}" in key]


async def test_a_snapshot_that_fails_midway_leaves_nothing_behind(
    coord: Any, client: Any, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = coord.leaderboard("g")
    await board.submit_many({f"m{n}": n for n in range(300)})

    async def fail(*args: Any, **options: Any) -> None:
        raise RuntimeError("midway")

    monkeypatch.setattr("coord.leaderboard.copies._Making.finish", fail)
    with pytest.raises(RuntimeError, match="midway"):
        await board.snapshot("s")

    assert not [key for key in keys_of(client, prefix) if "making" in key]


async def test_large_boards_pass_in_parts(coord: Any) -> None:
    one, two = coord.leaderboard("one"), coord.leaderboard("two")
    await one.submit_many({f"m{n}": n for n in range(300)})
    await two.submit_many({f"m{n}": 1 for n in range(150, 450)})
    both = coord.leaderboard("both")

    assert await both.merge(one, two) == 450
    assert await both.score("m10") == 10
    assert await both.score("m200") == 201
    assert await both.score("m449") == 1
    assert await both.merge(one, two, how="intersection") == 150


@settings(max_examples=25, deadline=None)
@given(
    boards=st.lists(
        st.dictionaries(st.sampled_from("abcdef"), st.sampled_from([0, 1, -1, 2.5, 0.1, 7, 1e15])),
        min_size=1,
        max_size=3,
    ),
    weights=st.lists(st.sampled_from([1, 0, -1, 0.5, 2]), min_size=3, max_size=3),
    combine=st.sampled_from(["sum", "min", "max", "count"]),
    how=st.sampled_from(["union", "intersection"]),
    tiebreak=st.sampled_from(["name", "first"]),
)
def test_a_merge_equals_that_of_plain_boards(
    boards: list[dict[str, float]], weights: list[float], combine: Any, how: Any, tiebreak: Any
) -> None:  # fmt: skip
    with Coord.connect("memory://") as hub:
        sources = [hub.leaderboard(f"s{n}", tiebreak=tiebreak) for n in range(len(boards))]
        for source, held in zip(sources, boards, strict=True):
            source.submit_many(held)
        used = weights[: len(boards)] if combine != "count" else None
        board = hub.leaderboard("both", tiebreak=tiebreak)
        board.submit("old", 5)
        board.merge(*sources, weights=used, combine=combine, how=how)

        expected = merged(boards, used or [1.0] * len(boards), combine, how)
        assert {row.member: row.score for row in board.top(10)} == expected
        assert board.rank("old") is None
        dense = board.top(10, ties="dense")
        assert not dense or dense[-1].rank == len(set(expected.values()))


def test_a_member_whose_score_moves_all_the_while_is_in_every_snapshot(real_server: str, prefix: str) -> None:
    with Coord.connect(real_server, prefix=prefix) as hub:
        for tiebreak in ("name", "first"):
            board = hub.leaderboard(tiebreak, tiebreak=tiebreak)  # type: ignore[call-overload, unused-ignore]
            board.submit_many({f"m{n}": n for n in range(600)})
            over = threading.Event()

            def move(board: Any = board, over: threading.Event = over) -> None:
                number = 0
                while not over.is_set():
                    number += 1
                    board.submit("mover", (number * 7919) % 600)

            mover = threading.Thread(target=move)
            board.submit("mover", 0)
            mover.start()
            try:
                for _ in range(3):
                    assert board.snapshot("s") == 601
                    moved = board.movement("mover", snapshot="s")[0]
                    assert moved.previous_rank is not None
            finally:
                over.set()
                mover.join()
            board.clear()


async def test_a_snapshot_says_who_has_moved_since(coord: Any, client: Any, prefix: str) -> None:
    for tiebreak in ("name", "first"):
        board = coord.leaderboard("g", tiebreak=tiebreak)
        await board.submit_many({"ann": 10, "bob": 20, "cyd": 30, "dan": 30}, meta={"ann": "x"})
        assert await board.snapshot("day:1", ttl=60) == 4
        await board.submit("ann", 40)
        await board.submit("new", 35)
        await board.remove("cyd")

        moved = await board.movement("ann", "bob", "dan", "cyd", "new", "nobody", snapshot="day:1")
        since = moved[0].since
        assert abs(since - server_time(client)) < 30
        assert moved == [
            Movement("ann", 1, 4, 3, since), Movement("bob", 4, 3, -1, since),
            Movement("dan", 3, 1, -2, since), Movement("cyd", None, 1, None, since),
            Movement("new", 2, None, None, since), Movement("nobody", None, None, None, since),
        ]  # fmt: skip
        assert [one.up for one in await board.movement("ann", "dan", snapshot="day:1", ties="dense")] == [
            2,
            -2,
        ]
        assert [one.up for one in await board.movement("ann", snapshot="day:1", order="asc")] == [-3]
        snapshot = [key for key in keys_of(client, prefix) if ":snapshot:day%3A1" in key]
        assert len(snapshot) == (4 if tiebreak == "first" else 3)
        assert all(0 < client.pttl(key) <= 60_000 for key in snapshot)

        assert await board.snapshot("day:1") == 4  # anew
        assert [one.up for one in await board.movement("ann", "bob", snapshot="day:1")] == [0, 0]
        await board.clear()
        assert (await board.movement("ann", snapshot="day:1"))[0].rank is None
        assert await board.snapshot("day:1") == 0
        assert (await board.movement("ann", snapshot="day:1"))[0].previous_rank is None


async def test_movement_needs_a_snapshot(coord: Any) -> None:
    board = coord.leaderboard("g")
    await board.submit("ann", 1)
    for members in (["ann"], []):
        with pytest.raises(ValueError, match="snapshot 'monday'"):
            await board.movement(*members, snapshot="monday")
    with pytest.raises(ValueError, match="label"):
        await board.snapshot("")
    with pytest.raises(ValueError, match="ttl"):
        await board.snapshot("x", ttl=0)
    with pytest.raises(TypeError, match="member must be a str, not list"):
        await board.movement(["ann"], snapshot="x")


async def test_a_period_has_snapshots_of_its_own(coord: Any, client: Any, prefix: str) -> None:
    board = coord.leaderboard("g", period=["day", "all"])
    await board.submit_many({"ann": 1, "bob": 2})
    await board.of("all").snapshot("then")
    await board.submit("ann", 3)

    assert [one.up for one in await board.of("all").movement("ann", snapshot="then")] == [1]
    with pytest.raises(ValueError, match="snapshot"):
        await board.movement("ann", snapshot="then")


@settings(max_examples=20, deadline=None)
@given(
    before=st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 3), max_size=6),
    after=st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 3), max_size=6),
    order=st.sampled_from(ORDERS),
    ties=st.sampled_from(RULES),
)
def test_movement_is_the_difference_of_ranks(
    before: dict[str, float], after: dict[str, float], order: Any, ties: Any
) -> None:
    with Coord.connect("memory://") as hub:
        board = hub.leaderboard("g", order=order, ties=ties, tiebreak="first")
        board.submit_many(before)
        then = {one: board.rank(one) for one in "abcdef"}
        board.snapshot("s")
        board.submit_many(after)
        for moved in board.movement("a", "b", "c", "d", "e", "f", snapshot="s"):
            assert moved.previous_rank == then[moved.member]
            assert moved.rank == (now := board.rank(moved.member))
            assert moved.up == (
                None if now is None or moved.previous_rank is None else moved.previous_rank - now
            )
