"""Long random histories of a board, held against a plain one after each step."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis

from coord import AsyncLeaderboard, Coord
from coord._engine.keys import Keys
from coord.leaderboard import Setup
from tests.board_model import ORDERS, RULES, PlainBoard
from tests.conftest import keys_of
from tests.together import AskingPort, together

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
)


@pytest.fixture(scope="module")
def redis(running_servers: Callable[[str], str]) -> Iterator[Any]:
    with Redis.from_url(running_servers("valkey9"), decode_responses=True) as client:
        yield client


@settings(max_examples=60, deadline=None)
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
    for step in history:
        take(step, board, model, redis)
        check_books(redis, model)
        check_rows(redis, model)
    board.clear()
    assert keys_of(redis, "history") == []


def take(step: tuple[Any, ...], board: Any, model: PlainBoard, redis: Any) -> None:
    """Do one step on both boards; they answer the same."""
    verb, *words = step
    if verb == "submit":
        submit(*words, board=board, model=model)
    elif verb == "submit_many":
        scores, keep = words
        done = board.submit_many(scores, keep=keep)
        for member, score in scores.items():
            assert model.submit(member, score, keep) == done[member].score
    elif verb == "note":
        member, note = words
        assert board.note(member, note) == (member in model.scores)
        model.notes.pop(member, None)
        if note is not None and member in model.scores:
            model.notes[member] = note
    elif verb == "remove":
        assert board.remove(*words[0]) == sum(model.remove(member) for member in words[0])
    elif verb == "trim":
        assert board.trim(words[0]) == model.trim(words[0])
    elif verb == "lapse":
        if words[0] in model.scores:
            redis.zadd("history:board:{b}:expiry", {words[0]: 1})
        assert board.purge() == model.remove(words[0])
    else:
        board.clear()
        model.trim(0)


def submit(member: str, score: float, keep: Any, note: Any, *, board: Any, model: PlainBoard) -> None:
    before = model.row(member)
    done = board.submit(member, score, keep=keep, meta=note, overtaken=9)
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
        if row.score * sign < now.score * sign and (before is None or row.score * sign > before.score * sign)
    ]
    assert list(done.overtaken) == (passed if done.changed else [])


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
    reader: Any = AsyncLeaderboard(Setup(AskingPort(), Keys("history"), "b"))  # type: ignore[arg-type]
    rules = [{"order": order, "ties": ties} for order, ties in product(ORDERS, RULES)]
    with Redis(connection_pool=redis.connection_pool) as client:
        got = together(client, [reader.top(9, **one) for one in rules])
    assert got == [model.rows(one["ties"], one["order"]) for one in rules]
