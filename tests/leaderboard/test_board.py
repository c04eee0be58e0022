from __future__ import annotations

import threading
from typing import Any

import anyio
import pytest

from coord import AsyncCoord, Coord, Entry, Submission, WrongKeyType
from tests.support.keys import keys_of, server_time

pytestmark = pytest.mark.anyio


async def test_a_submission_says_what_it_did(coord: Any, other_coord: Any) -> None:
    board = coord.leaderboard("season")

    assert await board.submit("ann", 10) == Submission(10.0, changed=True, rank=1, previous_rank=None)
    assert await board.submit("bob", 20) == Submission(20.0, changed=True, rank=1, previous_rank=None)
    assert await other_coord.leaderboard("season").submit("ann", 30) == Submission(
        30.0, changed=True, rank=1, previous_rank=2, previous_score=10.0
    )
    again = await board.submit("ann", 30)
    assert again == Submission(30.0, changed=False, rank=1, previous_rank=1, previous_score=30.0)
    assert hash(again) == hash(await board.submit("ann", 30))


async def test_the_rule_for_keeping_is_the_boards_or_the_calls(coord: Any) -> None:
    best = coord.leaderboard("best", keep="best")
    await best.submit("ann", 10)

    assert (await best.submit("ann", 5)).score == 10
    assert not (await best.submit("ann", 5)).changed
    assert (await best.submit("ann", 15)).score == 15
    assert (await best.submit("ann", 1, keep="last")).score == 1
    assert (await best.submit("ann", 2.5, keep="sum")).score == 3.5
    assert (await best.submit("ann", 7, keep="worst")).score == 3.5
    assert (await best.submit("ann", 3, keep="worst")).score == 3
    assert (await best.submit("ann", 4, keep="first")).score == 3
    assert (await best.submit("bob", 4, keep="first")).score == 4

    fastest = coord.leaderboard("fastest", keep="best", order="asc")
    await fastest.submit("ann", 10)
    assert (await fastest.submit("ann", 12)).score == 10
    assert (await fastest.submit("ann", 8)).score == 8
    assert (await fastest.submit("ann", 7, keep="worst")).score == 8


async def test_equal_scores_share_a_place_or_take_one_each(coord: Any) -> None:
    board = coord.leaderboard("ties")
    for member, score in [("a", 5), ("b", 5), ("c", 5), ("d", 9), ("e", 1)]:
        await board.submit(member, score)

    assert [await board.rank(one) for one in "dabce"] == [1, 2, 2, 2, 5]
    assert sorted([await board.rank(one, ties="ordinal") for one in "abc"]) == [2, 3, 4]
    assert [row.rank for row in await board.top(9)] == [1, 2, 2, 2, 5]
    assert [row.rank for row in await board.top(9, ties="ordinal")] == [1, 2, 3, 4, 5]
    assert [row.rank for row in await board.around("e", 2)] == [2, 5]


async def test_a_member_that_is_not_there_has_no_rank_and_no_score(coord: Any) -> None:
    board = coord.leaderboard("x")

    assert await board.rank("nobody") is None
    assert await board.score("nobody") is None
    assert await board.around("nobody", 5) == []
    assert await board.top(3) == []
    assert await board.len() == 0
    assert await board.remove("nobody") == 0
    assert await board.remove() == 0


async def test_removed_members_are_gone(coord: Any) -> None:
    board = coord.leaderboard("x")
    for member in "abc":
        await board.submit(member, 0)

    assert await board.remove("a", "b", "z") == 2
    assert await board.len() == 1
    assert await board.top(5) == [Entry(1, "c", 0.0)]


async def test_zero_negative_and_minus_zero_are_scores_like_any_other(coord: Any) -> None:
    board = coord.leaderboard("x")
    await board.submit("zero", -0.0)
    await board.submit("minus", -5)

    assert await board.rank("zero") == 1
    assert str(await board.score("zero")) == "0.0"
    assert await board.submit("zero", 0, keep="sum") == Submission(
        0.0, changed=False, rank=1, previous_rank=1, previous_score=0.0
    )


@pytest.mark.parametrize("score", [2**53, -(2**53), 0.1, 1e300, 5e-324, 1 / 3, 2**60])
async def test_every_score_that_a_double_holds_comes_back_as_it_was(coord: Any, score: float) -> None:
    board = coord.leaderboard("x")
    done = await board.submit("ann", score)

    assert done.score == score == await board.score("ann") == (await board.top(1))[0].score


@pytest.mark.parametrize(
    ("score", "error"),
    [(2**53 + 1, ValueError), (-(2**53) - 1, ValueError), (10**400, ValueError), (float("nan"), ValueError),
     (float("inf"), ValueError), (float("-inf"), ValueError), (True, TypeError), ("1", TypeError),
     (None, TypeError)],
)  # fmt: skip
async def test_a_score_that_a_double_cannot_hold_is_refused(
    coord: Any, client: Any, prefix: str, score: Any, error: type
) -> None:
    with pytest.raises(error, match="score"):
        await coord.leaderboard("x").submit("ann", score)

    assert keys_of(client, prefix) == []


async def test_a_sum_that_would_lose_points_is_refused_and_nothing_changes(coord: Any) -> None:
    board = coord.leaderboard("x", keep="sum")
    await board.submit("ann", 2**53 - 1)
    with pytest.raises(ValueError, match=r"a sum that a double cannot hold"):
        await board.submit("ann", 2)

    assert await board.score("ann") == 2**53 - 1


@pytest.mark.parametrize(("member", "error"), [("", ValueError), (7, TypeError), (b"ann", TypeError)])
async def test_a_bad_member_is_refused(coord: Any, member: Any, error: type) -> None:
    board = coord.leaderboard("x")
    for call in (board.submit(member, 1), board.rank(member), board.remove("a", member), board.score(member)):
        with pytest.raises(error, match="member must"):
            await call


@pytest.mark.parametrize(
    "options", [{"order": "up"}, {"keep": "max"}, {"ties": "shared"}, {"tiebreak": "last"}]
)
async def test_a_bad_rule_is_refused(coord: Any, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be one of"):
        coord.leaderboard("x", **options)


async def test_a_bad_number_of_rows_is_refused(coord: Any) -> None:
    board = coord.leaderboard("x")
    for size in (0, -1):
        with pytest.raises(ValueError, match="number of rows"):
            await board.top(size)
    with pytest.raises(TypeError, match="number of rows"):
        await board.around("ann", 2.0)


def test_concurrent_submissions_lose_nothing(real_server: str, prefix: str) -> None:
    with Coord.connect(real_server, prefix=prefix) as hub:
        board = hub.leaderboard("b")

        def work(number: int) -> None:
            for step in range(20):
                board.submit("best", number * 20 + step, keep="best")
                board.submit("sum", 1, keep="sum")

        threads = [threading.Thread(target=work, args=(number,)) for number in range(64)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert board.score("best") == 64 * 20 - 1
        assert board.score("sum") == 1280
        board.remove("best", "sum")


async def test_a_key_of_another_type_is_named(coord: Any, client: Any, prefix: str) -> None:
    client.hset(f"{prefix}:board:{{x}}", "a", "b")
    with pytest.raises(WrongKeyType, match="board"):
        await coord.leaderboard("x").submit("ann", 1)
    with pytest.raises(WrongKeyType, match="board"):
        await coord.leaderboard("x").score("ann")


async def test_no_sum_loses_a_point_unnoticed(coord: Any) -> None:
    board = coord.leaderboard("x", keep="sum")
    await board.submit("ann", 2**53)
    with pytest.raises(ValueError, match="cannot hold"):
        await board.submit("ann", 1)
    assert (await board.submit("ann", 2)).score == 2**53 + 2
    assert not (await board.submit("ann", 0)).changed
    await board.submit("big", 1e308)
    with pytest.raises(ValueError, match="cannot hold"):
        await board.submit("big", 1e308)
    assert (await board.submit("cents", 0.1)).score + 0.2 == (await board.submit("cents", 0.2)).score

    with pytest.raises(ValueError, match="'ann'"):
        await board.submit_many({"bob": 1, "ann": 1, "cyd": 1})
    assert await board.score("bob") is None
    assert await board.score("ann") == 2**53 + 2


async def test_many_scores_are_taken_one_after_the_other_in_one_step(coord: Any) -> None:
    board = coord.leaderboard("x", keep="best")
    done = await board.submit_many({"ann": 5, "bob": 9, "cyd": 5}, meta={"bob": "b"})

    assert list(done) == ["ann", "bob", "cyd"]
    assert [done[one].rank for one in done] == [1, 1, 2]
    again = await board.submit_many({"cyd": 10, "bob": 1}, overtaken=5)
    assert again["cyd"] == Submission(
        10.0,
        changed=True,
        rank=1,
        previous_rank=2,
        overtaken=(Entry(2, "bob", 9.0, "b"),),
        previous_score=5.0,
    )
    assert again["bob"] == Submission(9.0, changed=False, rank=2, previous_rank=2, previous_score=9.0)
    assert await board.submit_many({}) == {}

    many = {f"m{number}": number for number in range(230)}
    assert len(await board.submit_many(many)) == 230
    assert await board.len() == 233


async def test_those_overtaken_are_named_nearest_first_and_no_more_than_asked(coord: Any) -> None:
    board = coord.leaderboard("x")
    await board.submit_many({"a": 10, "b": 20, "b2": 20, "c": 30, "d": 40, "e": 10})

    def names(done: Any) -> list[str]:
        return [row.member for row in done.overtaken]

    # Level with c now, and past b and b2; e was level with it, and so was not ahead.
    level = await board.submit("a", 30, overtaken=9)
    assert names(level) == ["b", "b2"]
    assert [row.rank for row in level.overtaken] == [4, 4]
    assert names(await board.submit("a", 50, overtaken=9)) == ["d"]
    assert names(await board.submit("a", 50, overtaken=9)) == []
    assert names(await board.submit("a", 5, overtaken=9)) == []
    assert names(await board.submit("new", 25, overtaken=9)) == ["b", "b2", "e", "a"]
    assert names(await board.submit("new", 29)) == []
    assert names(await board.submit("new", 45, overtaken=1)) == ["d"]

    strict = coord.leaderboard("x", ties="ordinal")  # rows: new 45, d 40, c 30, b 20, b2 20, e 10, a 5
    assert names(await strict.submit("e", 20, overtaken=9)) == []
    assert names(await strict.submit("a", 20, overtaken=9)) == ["b", "b2", "e"]
    lowest = coord.leaderboard("x", order="asc")
    assert names(await lowest.submit("d", 25, overtaken=9)) == ["c"]
    assert names(await lowest.submit("d", 1, overtaken=2)) == ["a", "b"]


async def test_many_that_name_whom_they_passed_go_in_smaller_steps(coord: Any) -> None:
    board, alone = coord.leaderboard("x"), coord.leaderboard("y")
    before = {f"m{number:03}": number for number in range(150)}
    await board.submit_many(before)
    await alone.submit_many(before)
    moving = {f"m{number:03}": 1000 - number for number in range(40)}
    done = await board.submit_many(moving, overtaken=100)

    assert done == {one: await alone.submit(one, score, overtaken=100) for one, score in moving.items()}
    assert {len(one.overtaken) for one in done.values()} == {100}
    assert [done["m000"].overtaken[0].member, done["m001"].overtaken[0].member] == ["m149", "m149"]


async def test_ties_go_to_whoever_reached_the_score_first(coord: Any, other_coord: Any) -> None:
    board = coord.leaderboard("x", tiebreak="first", ties="ordinal", keep="best")
    for member, score in [("zed", 1e15), ("ann", 1e15), ("bob", 1e15 + 1), ("cyd", 0.1 + 0.2), ("abe", 0.3)]:
        await board.submit(member, score)

    async def standing() -> list[str]:
        return [row.member for row in await board.top(9)]

    assert await standing() == ["bob", "zed", "ann", "cyd", "abe"]  # 0.1 + 0.2 is more than 0.3
    assert not (await board.submit("zed", 1e15)).changed  # to reach it again changes nothing
    assert not (await board.submit("zed", 5)).changed
    assert await standing() == ["bob", "zed", "ann", "cyd", "abe"]
    await board.submit("zed", 5, keep="last")
    await other_coord.leaderboard("x", tiebreak="first").submit("zed", 1e15)
    assert await standing() == ["bob", "ann", "zed", "cyd", "abe"]  # it left, and came back later
    assert [row.member for row in await board.top(9, order="asc")] == ["abe", "cyd", "ann", "zed", "bob"]


async def test_a_board_keeps_the_tiebreak_that_it_was_begun_with(coord: Any) -> None:
    first, named = coord.leaderboard("x", tiebreak="first"), coord.leaderboard("x")
    await first.submit("ann", 1)
    with pytest.raises(ValueError, match="begun with 'first'"):
        await named.submit("bob", 1)
    assert await named.rank("ann") == 1  # to read it makes no difference
    assert await named.remove("ann") == 1
    await named.submit("bob", 1)
    with pytest.raises(ValueError, match="begun with 'name'"):
        await first.submit("ann", 1)
    await named.clear()
    await first.submit("ann", 1)


@pytest.mark.parametrize(
    "ask",
    [
        lambda board: board.len(),
        lambda board: board.rank("ann"),
        lambda board: board.top(2),
        lambda board: board.score_at(100),
        lambda board: board.set_meta("ann", "x"),
        lambda board: board.remove("ann"),
        lambda board: board.snapshot("s"),
        lambda board: board.submit("bob", 1),
    ],
)
async def test_a_board_that_lost_who_came_first_names_the_key(
    coord: Any, client: Any, prefix: str, ask: Any
) -> None:
    board = coord.leaderboard("x", tiebreak="first")
    await board.submit("ann", 1)
    client.delete(f"{prefix}:board:{{x}}:reached")
    before = client.dump(f"{prefix}:board:{{x}}")

    with pytest.raises(ValueError, match=f"{prefix}:board:{{x}}:reached"):
        await ask(board)
    assert client.dump(f"{prefix}:board:{{x}}") == before

    await board.clear()
    assert (await board.submit("ann", 2)).rank == 1


async def test_a_note_belongs_to_the_score_that_stays(coord: Any) -> None:
    board = coord.leaderboard("x", keep="best")

    async def note() -> str | None:
        rows: list[Entry] = await board.top(1)
        return rows[0].meta

    await board.submit("ann", 10, meta="")
    assert await note() == ""
    await board.submit("ann", 20, meta="second")
    await board.submit("ann", 5, meta="worse")
    assert await note() == "second"
    await board.submit("ann", 30)
    assert await note() == "second"
    await board.submit("ann", 1, keep="sum", meta="0")
    assert await note() == "0"

    assert await board.set_meta("ann", "by hand")
    assert await note() == "by hand"
    assert await board.set_meta("ann", None)
    assert await note() is None
    assert not await board.set_meta("nobody", "x")
    await board.submit("bob", 1, meta="bob's")
    await board.remove("bob")
    await board.submit("bob", 1)
    assert (await board.ranks_of("bob"))[0] == Entry(2, "bob", 1.0, None)


@pytest.mark.parametrize(
    ("options", "error"),
    [({"meta": 7}, TypeError), ({"meta": b"x"}, TypeError), ({"meta": "\ud800"}, ValueError),
     ({"ttl": 0}, ValueError), ({"ttl": float("nan")}, ValueError), ({"overtaken": -1}, ValueError),
     ({"overtaken": 101}, ValueError), ({"overtaken": True}, TypeError), ({"keep": "max"}, ValueError),
     ({"at": 7}, ValueError)],
)  # fmt: skip
async def test_bad_options_of_a_submission_are_refused(
    coord: Any, client: Any, prefix: str, options: dict[str, Any], error: type
) -> None:
    with pytest.raises(error):
        await coord.leaderboard("x").submit("ann", 1, **options)
    with pytest.raises(TypeError, match="mapping"):
        await coord.leaderboard("x").submit_many([("ann", 1)])
    with pytest.raises(ValueError, match="'bob'"):
        await coord.leaderboard("x").submit_many({"ann": 1}, meta={"bob": "x"})

    assert keys_of(client, prefix) == []


async def test_a_lapsed_score_is_gone_from_every_read(coord: Any, client: Any, prefix: str) -> None:
    board = coord.leaderboard("x", member_ttl=3600, keep="sum")
    await board.submit_many({"ann": 5, "bob": 5, "cyd": 7}, meta={"ann": "a"})
    expiry = f"{prefix}:board:{{x}}:expiry"
    assert 3_590_000 < client.zscore(expiry, "ann") - server_time(client) * 1000 < 3_610_000

    client.zadd(expiry, {"cyd": 1})
    assert await board.top(1) == [Entry(1, "ann", 5.0, "a")]
    client.zadd(expiry, {"ann": 1})
    assert await board.rank("ann") is None
    assert await board.len() == 1
    client.zadd(expiry, {"bob": 1})
    assert (await board.submit("bob", 1)).score == 1  # the old points are gone
    assert await board.percentile("bob") == 50
    await board.submit("bob", 1, ttl=7200)
    assert client.zscore(expiry, "bob") - server_time(client) * 1000 > 7_100_000


LAPSED = 230
"""More than one step takes off."""


async def _lapsed(board: Any, client: Any, prefix: str) -> None:
    """Fill a board with scores that have lapsed, and that of one member, the worst, that has not."""
    await board.submit_many({f"m{number:03}": number + 1 for number in range(LAPSED)}, ttl=3600)
    await board.submit("ann", 0)
    client.zadd(f"{prefix}:board:{{x}}:expiry", {f"m{number:03}": number + 1 for number in range(LAPSED)})


@pytest.mark.parametrize(
    ("ask", "answer"),
    [
        (lambda board: board.len(), 1),
        (lambda board: board.rank("ann"), 1),
        (lambda board: board.rank("m229"), None),
        (lambda board: board.score("m229"), None),
        (lambda board: board.top(2), [Entry(1, "ann", 0.0, None)]),
        (lambda board: board.bottom(2), [Entry(1, "ann", 0.0, None)]),
        (lambda board: board.around("m229", 3), []),
        (lambda board: board.by_score(1, size=9), []),
        (lambda board: board.percentile("ann"), 50.0),
        (lambda board: board.score_at(100), 0.0),
        (lambda board: board.set_meta("m229", "x"), False),
        (lambda board: board.remove("m229"), 0),
        (lambda board: board.trim(1), 0),
        (lambda board: board.snapshot("s"), 1),
        (lambda board: board.purge(), LAPSED),
    ],
)
@pytest.mark.parametrize("tiebreak", ["name", "first"])
async def test_however_many_lapsed_at_once_no_call_sees_one(  # noqa: PLR0917  # fixtures
    coord: Any, client: Any, prefix: str, tiebreak: str, ask: Any, answer: Any
) -> None:
    board = coord.leaderboard("x", tiebreak=tiebreak)
    await _lapsed(board, client, prefix)

    assert await ask(board) == answer


async def test_however_many_lapsed_at_once_a_submission_ranks_without_them(
    coord: Any, client: Any, prefix: str
) -> None:
    board = coord.leaderboard("x", keep="sum")
    await _lapsed(board, client, prefix)

    done = await board.submit("m229", -1)
    assert (done.score, done.rank, done.previous_rank) == (-1, 2, None)


async def test_however_many_lapsed_at_once_a_merge_copies_none(coord: Any, client: Any, prefix: str) -> None:
    board, other, merged = coord.leaderboard("x"), coord.leaderboard("y"), coord.leaderboard("z")
    await _lapsed(board, client, prefix)
    await other.submit_many({"ann": 3, "m229": 1})

    assert await merged.merge(board, other) == 2
    assert [(row.member, row.score) for row in await merged.top(9)] == [("ann", 3), ("m229", 1)]
    assert await merged.merge(other, board, how="intersection") == 1


async def test_trimming_takes_the_last_off_at_either_end(coord: Any, client: Any, prefix: str) -> None:
    for tiebreak in ("name", "first"):
        for order in ("desc", "asc"):
            board = coord.leaderboard("x", order=order, tiebreak=tiebreak)
            await board.submit_many(
                {f"m{n:03}": n // 2 for n in range(230)}, meta={f"m{n:03}": "x" for n in range(0, 230, 5)}
            )
            best = await board.top(7)

            assert await board.trim(700) == 0
            assert await board.trim(7) == 223
            assert await board.top(99) == best
            assert client.zcard(f"{prefix}:board:{{x}}:scores") == 4
            assert client.hlen(f"{prefix}:board:{{x}}:meta") == sum(row.meta is not None for row in best)
            assert await board.trim(0) == 7
            assert keys_of(client, prefix) == []
    with pytest.raises(ValueError, match="best"):
        await board.trim(-1)


async def test_clearing_leaves_nothing(coord: Any, client: Any, prefix: str) -> None:
    board = coord.leaderboard("x", tiebreak="first", member_ttl=60)
    await board.submit("ann", 1, meta="x")
    assert len(keys_of(client, prefix)) == 5
    await board.clear()

    assert keys_of(client, prefix) == []
    assert await board.len() == 0


def test_concurrent_tasks_lose_nothing_either(real_server: str, prefix: str) -> None:
    async def main() -> None:
        async with AsyncCoord.connect(real_server, prefix=prefix) as hub:
            board = hub.leaderboard("b", tiebreak="first")
            async with anyio.create_task_group() as group:
                for number in range(64):
                    group.start_soon(work, board, number)
            assert await board.score("sum") == 64 * 5
            assert await board.score("best") == 63 * 5 + 4
            await board.clear()

    async def work(board: Any, number: int) -> None:
        for step in range(5):
            await board.submit("sum", 1, keep="sum")
            await board.submit("best", number * 5 + step, keep="best")

    anyio.run(main)
