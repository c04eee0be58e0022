from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coord import Coord, Entry, Submission, WrongKeyType
from tests.conftest import keys_of

pytestmark = pytest.mark.anyio


class PlainBoard:
    """A board in plain Python: the model."""

    def __init__(self, order: str, keep: str) -> None:
        self.order, self.keep = order, keep
        self.scores: dict[str, float] = {}

    def submit(self, member: str, score: float) -> None:
        old = self.scores.get(member)
        if old is not None and self.keep == "sum":
            score += old
        elif old is not None and self.keep == "best":
            score = max(old, score) if self.order == "desc" else min(old, score)
        self.scores[member] = score

    def rows(self) -> list[tuple[str, float]]:
        ordered = sorted(self.scores.items(), key=lambda row: (row[1], row[0].encode()))
        return ordered[::-1] if self.order == "desc" else ordered

    def rank(self, member: str, ties: str) -> int | None:
        if member not in self.scores:
            return None
        rows = self.rows()
        if ties == "ordinal":
            return [who for who, _ in rows].index(member) + 1
        return [score for _, score in rows].index(self.scores[member]) + 1

    def around(self, member: str, size: int, ties: str) -> list[Entry]:
        rows = self.rows()
        at = [who for who, _ in rows].index(member)
        start = max(0, min(at - size // 2, len(rows) - size))
        return [Entry(self.rank(who, ties) or 0, who, score) for who, score in rows[start : start + size]]


async def test_a_submission_says_what_it_did(coord: Any, other_coord: Any) -> None:
    board = coord.leaderboard("season")

    assert await board.submit("ann", 10) == Submission(10.0, changed=True, rank=1, previous_rank=None)
    assert await board.submit("bob", 20) == Submission(20.0, changed=True, rank=1, previous_rank=None)
    assert await other_coord.leaderboard("season").submit("ann", 30) == Submission(
        30.0, changed=True, rank=1, previous_rank=2
    )
    assert await board.submit("ann", 30) == Submission(30.0, changed=False, rank=1, previous_rank=1)


async def test_the_rule_for_keeping_is_the_boards_or_the_calls(coord: Any) -> None:
    best = coord.leaderboard("best", keep="best")
    await best.submit("ann", 10)

    assert (await best.submit("ann", 5)).score == 10
    assert not (await best.submit("ann", 5)).changed
    assert (await best.submit("ann", 15)).score == 15
    assert (await best.submit("ann", 1, keep="last")).score == 1
    assert (await best.submit("ann", 2.5, keep="sum")).score == 3.5

    fastest = coord.leaderboard("fastest", keep="best", order="asc")
    await fastest.submit("ann", 10)
    assert (await fastest.submit("ann", 12)).score == 10
    assert (await fastest.submit("ann", 8)).score == 8


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
        0.0, changed=False, rank=1, previous_rank=1
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
    with pytest.raises(ValueError, match=r"reaches 2\*\*53"):
        await board.submit("ann", 2)

    assert await board.score("ann") == 2**53 - 1


@pytest.mark.parametrize(("member", "error"), [("", ValueError), (7, TypeError), (b"ann", TypeError)])
async def test_a_bad_member_is_refused(coord: Any, member: Any, error: type) -> None:
    board = coord.leaderboard("x")
    for call in (board.submit(member, 1), board.rank(member), board.remove("a", member), board.score(member)):
        with pytest.raises(error, match="member must"):
            await call


@pytest.mark.parametrize("options", [{"order": "up"}, {"keep": "first"}, {"ties": "dense"}])
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


@pytest.mark.parametrize("order", ["desc", "asc"])
@pytest.mark.parametrize("ties", ["competition", "ordinal"])
def test_every_window_of_every_small_board_is_right(order: Any, ties: Any) -> None:
    with Coord.connect("memory://") as hub:
        for length in range(1, 9):
            board = hub.leaderboard(f"{length}", order=order, ties=ties)
            model = PlainBoard(order, "last")
            for number in range(length):
                board.submit(f"m{number}", number * 2 % 5)
                model.submit(f"m{number}", number * 2 % 5)
            for member in model.scores:
                assert board.rank(member) == model.rank(member, ties)
                for size in range(1, length + 3):
                    rows = board.around(member, size)

                    assert rows == model.around(member, size, ties)
                    assert len(rows) == min(size, length)
                    assert member in [row.member for row in rows]


operations = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.sampled_from([0, 1, -1, 2, 2.5, 3, 0.1])), max_size=30
)


@settings(max_examples=40, deadline=None)
@given(
    operations=operations,
    order=st.sampled_from(["desc", "asc"]),
    keep=st.sampled_from(["last", "best", "sum"]),
)
def test_a_board_equals_a_plain_one(operations: list[tuple[str, float]], order: Any, keep: Any) -> None:
    model = PlainBoard(order, keep)
    with Coord.connect("memory://") as hub:
        board = hub.leaderboard("b", order=order, keep=keep)
        for member, score in operations:
            before = model.rank(member, "competition"), model.scores.get(member)
            done = board.submit(member, score)
            model.submit(member, score)

            assert done == Submission(
                model.scores[member],
                changed=before[1] != model.scores[member],
                rank=model.rank(member, "competition") or 0,
                previous_rank=before[0],
            )
        assert [(row.member, row.score) for row in board.top(10)] == model.rows()


def test_concurrent_submissions_lose_nothing(real_server: str, prefix: str) -> None:
    with Coord.connect(real_server, prefix=prefix) as hub:
        board = hub.leaderboard("b")

        def work(number: int) -> None:
            for step in range(20):
                board.submit("best", number * 20 + step, keep="best")
                board.submit("sum", 1, keep="sum")

        threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert board.score("best") == 16 * 20 - 1
        assert board.score("sum") == 320
        board.remove("best", "sum")


async def test_a_key_of_another_type_is_named(coord: Any, client: Any, prefix: str) -> None:
    client.hset(f"{prefix}:board:{{x}}", "a", "b")
    with pytest.raises(WrongKeyType, match="board"):
        await coord.leaderboard("x").submit("ann", 1)
    with pytest.raises(WrongKeyType, match="board"):
        await coord.leaderboard("x").score("ann")
