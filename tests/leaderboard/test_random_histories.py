"""Long random histories of a board, held against a plain one after each step."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis

from coord import AsyncLeaderboard, Coord
from tests.leaderboard.model import ORDERS, RULES, PlainBoard
from tests.support.keys import keys_of
from tests.support.together import reading, together

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KEEPS = ("last", "best", "worst", "sum", "first")
members = st.sampled_from(["ann", "bob", "cyd", "dan", "eve", "é", "0"])
points = st.sampled_from([0, -0.0, 1, -1, 2, 2.5, 3, 0.1, 1e15, -5])
keeps = st.sampled_from([None, *KEEPS])
notes = st.sampled_from([None, None, "", "0", "note"])
steps = st.one_of(
    st.tuples(st.just("submit"), members, points, keeps, notes),
    st.tuples(st.just("submit"), members, points, keeps, notes),
    st.tuples(st.just("submit_many"), st.dictionaries(members, points, max_size=4), keeps),
    st.tuples(st.just("note"), members, notes),
    st.tuples(st.just("remove"), st.lists(members, max_size=2, unique=True)),
    st.tuples(st.just("trim"), st.integers(0, 5)),
    st.tuples(st.just("lapse"), members),
    st.tuples(st.just("clear")),
    st.tuples(st.just("merge"), st.sampled_from(["max", "count", "negate"])),
    st.tuples(st.just("snapshot")),
)


@pytest.fixture(scope="module")
def redis(running_servers: Callable[[str], str]) -> Iterator[Any]:
    with Redis.from_url(running_servers("valkey9"), decode_responses=True) as client:
        yield client


@settings(max_examples=40, deadline=None)
@given(
    history=st.lists(steps, min_size=5, max_size=40),
    order=st.sampled_from(ORDERS),
    keep=st.sampled_from(KEEPS),
    tiebreak=st.sampled_from(["name", "first"]),
)
def test_a_board_equals_a_plain_one_after_each_step(
    redis: Any, history: list[tuple[Any, ...]], order: Any, keep: Any, tiebreak: Any
) -> None:
    model = PlainBoard(order, keep, tiebreak)
    hub = Coord(redis, prefix="history")
    board = hub.leaderboard("b", order=order, keep=keep, tiebreak=tiebreak)
    board.clear()
    twins = Twins(board, model, redis)
    for verb, *words in history:
        getattr(twins, verb)(*words)
        check_movement(board, model)
        check_books(redis, model)
        check_rows(redis, model)
    board.clear()
    left = keys_of(redis, "history")
    assert not [key for key in left if ":snapshot:s" not in key]
    assert all(redis.pttl(key) > 0 for key in left)
    if left:
        redis.delete(*left)


class Twins:
    """A board and its model, which do the same steps and give the same answers."""

    def __init__(self, board: Any, model: PlainBoard, redis: Any) -> None:
        self.board, self.model, self.redis = board, model, redis

    def submit(self, member: str, score: float, keep: Any, note: Any) -> None:
        model = self.model
        before = model.row(member)
        done = self.board.submit(member, score, keep=keep, meta=note, overtaken=9)
        model.submit(member, score, keep, note)
        now = model.row(member)
        assert now is not None

        assert done.score == now.score
        assert done.changed == (before is None or before.score != now.score)
        assert (done.rank, done.previous_rank) == (now.rank, None if before is None else before.rank)
        sign = 1 if model.order == "desc" else -1
        passed = [
            row
            for row in model.rows()
            if row.score * sign < now.score * sign
            and (before is None or row.score * sign > before.score * sign)
        ]
        assert list(done.overtaken) == (passed if done.changed else [])

    def submit_many(self, scores: dict[str, float], keep: Any) -> None:
        done = self.board.submit_many(scores, keep=keep)
        for member, score in scores.items():
            assert self.model.submit(member, score, keep) == done[member].score

    def note(self, member: str, note: str | None) -> None:
        assert self.board.set_meta(member, note) == (member in self.model.scores)
        self.model.notes.pop(member, None)
        if note is not None and member in self.model.scores:
            self.model.notes[member] = note

    def remove(self, members: list[str]) -> None:
        assert self.board.remove(*members) == sum(self.model.remove(member) for member in members)

    def trim(self, best: int) -> None:
        assert self.board.trim(best) == self.model.trim(best)

    def lapse(self, member: str) -> None:
        if member in self.model.scores:
            self.redis.zadd("history:board:{b}:expiry", {member: 1})
        assert self.board.purge() == self.model.remove(member)

    def merge(self, way: str) -> None:
        """Merge the board with itself: notes and who came first stay, scores do or become others."""
        board, model = self.board, self.model
        if way == "negate":
            assert board.merge(board, weights=[-1]) == len(model.scores)
            model.scores = {member: -score + 0.0 for member, score in model.scores.items()}
            return
        assert board.merge(board, board, combine=way) == len(model.scores)
        if way == "count":
            model.scores = dict.fromkeys(model.scores, 2.0)

    def snapshot(self) -> None:
        assert self.board.snapshot("s", ttl=60) == len(self.model.scores)
        self.model.then = {row.member: row.rank for row in self.model.rows()}

    def clear(self) -> None:
        self.board.clear()
        self.model.trim(0)


def check_movement(board: Any, model: PlainBoard) -> None:
    if model.then is not None:
        now = {row.member: row.rank for row in model.rows()}
        for moved in board.movement("ann", "é", "0", snapshot="s"):
            assert moved.rank == now.get(moved.member)
            assert moved.previous_rank == model.then.get(moved.member)


def check_books(redis: Any, model: PlainBoard) -> None:
    """The distinct scores are those of the members; notes and the rest are of members only."""
    key = "history:board:{b}"
    assert sorted(redis.zrange(f"{key}:scores", 0, -1)) == sorted(
        {f"{score:.17g}" for score in model.scores.values()}
    )
    assert {float(text) for text, score in redis.zrange(f"{key}:scores", 0, -1, withscores=True)} == {
        score for _, score in redis.zrange(f"{key}:scores", 0, -1, withscores=True)
    }
    assert redis.hgetall(f"{key}:meta") == model.notes
    assert redis.zcard(f"{key}:expiry") == 0
    reached = redis.hgetall(f"{key}:reached")
    reached.pop("", None)
    assert set(reached) == (set(model.scores) if model.tiebreak == "first" else set())
    entries = {reached.get(member, "") + member: score for member, score in model.scores.items()}
    assert dict(redis.zrange(key, 0, -1, withscores=True)) == entries
    assert redis.exists(f"{key}:reached") == int(bool(reached))


def check_rows(redis: Any, model: PlainBoard) -> None:
    """What the board shows in each order and by each rule."""
    reader: Any = AsyncLeaderboard(reading("history"))
    rules = [{"order": order, "ties": ties} for order, ties in product(ORDERS, RULES)]
    with Redis(connection_pool=redis.connection_pool) as client:
        got = together(client, [reader.top(9, **one) for one in rules])
    assert got == [model.rows(one["ties"], one["order"]) for one in rules]
