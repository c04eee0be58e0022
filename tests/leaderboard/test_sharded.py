"""A board of many shards says what one board would."""

from __future__ import annotations

import random
from itertools import product
from typing import TYPE_CHECKING, Any

import anyio
import fakeredis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis
from redis.crc import key_slot

from coord import AsyncCoord, AsyncShardedLeaderboard, Coord
from coord.leaderboard import shards
from tests.leaderboard.model import ORDERS, PlainBoard
from tests.leaderboard.test_random_histories import KEEPS, keeps, notes, points
from tests.leaderboard.test_random_histories import members as names
from tests.leaderboard.test_reads import NAMES, filled, reads, shapes, shares
from tests.support.hubs import client_of
from tests.support.keys import keys_of
from tests.support.together import reading, together

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.anyio

RULES = ("competition", "ordinal", "modified", "fractional")


@pytest.fixture(params=["near", "far"])
def reach(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Have small boards treated like large ones too: whatever is not at the begin must be looked for."""
    if request.param == "far":
        monkeypatch.setattr(shards, "SLACK", 0)
        monkeypatch.setattr(shards, "SAMPLES", 8)
        monkeypatch.setattr(shards, "PLACES", 3)
    return str(request.param)


@pytest.mark.parametrize("length", [2, 5])
def test_every_read_of_every_small_board_is_right(
    real_server: str, prefix: str, length: int, reach: str
) -> None:
    setup = reading(prefix)
    reader = AsyncShardedLeaderboard(setup, 3)
    with Coord.connect(real_server, prefix=prefix) as hub, Redis.from_url(real_server) as client:
        for shape in list(shapes(length))[-1:]:
            board = hub.sharded_leaderboard("b", shards=3)
            model = filled(board, shape, "name")
            asked = [
                one for order, ties in product(ORDERS, RULES) for one in reads(reader, model, order, ties)
            ]
            for order in ORDERS:
                ordered = reading(prefix, order=order)
                asked += shares(AsyncShardedLeaderboard(ordered, 3), model, order)
            got = together(client, [flow for flow, _ in asked])
            board.clear()

            assert got == [expected for _, expected in asked]


@pytest.mark.parametrize("number", [1, 3])
async def test_a_board_with_shards_and_one_without_say_the_same(coord: Any, number: int) -> None:
    one = coord.leaderboard("one", keep="best")
    many = coord.sharded_leaderboard("many", shards=number, keep="best")
    dice = random.Random(number)
    scores = {f"member {n}": dice.randrange(50) for n in range(150)}
    some = {name: f"note {name}" for name in list(scores)[::3]}
    await one.submit_many(scores, meta=some)
    assert await many.store(scores, meta=some) == scores
    for order, ties in product(ORDERS, RULES):
        rules = {"order": order, "ties": ties}
        for question, *words in (
            ("top", 5), ("bottom", 5), ("page", 7, 20), ("page", 8, 20), ("at", 133), ("at", 151),
            ("around", "member 7", 9), ("ranks_of", "member 1", "nobody", "member 2", "member 1"),
            ("by_score", 20, 25),
        ):  # fmt: skip
            more = {"size": 7, "skip": 2} if question == "by_score" else {}
            asked = [getattr(board, question)(*words, **more, **rules) for board in (one, many)]
            assert await asked[0] == await asked[1], (question, words, rules)
    for asks, *about in (
        ("score", "member 3"), ("score", "nobody"), ("percentile", "member 3"), ("percentile", "nobody"),
        ("count", 10, 20), ("count",), ("len",), ("score_at", 0), ("score_at", 37.5), ("score_at", 100),
    ):  # fmt: skip
        assert await getattr(one, asks)(*about) == await getattr(many, asks)(*about)
    for member, score in (("member 5", 49), ("member 5", 1), ("new", 25)):
        assert await one.submit(member, score, meta="late") == await many.submit(member, score, meta="late")

    assert await one.trim(111) == await many.trim(111) == 40
    assert await one.top(400) == await many.top(400)
    assert await one.remove("member 5", "nobody") == await many.remove("member 5", "nobody") == 1
    assert await many.purge() == 0
    await one.clear()
    await many.clear()
    assert await many.len() == 0
    assert await many.trim(0) == 0


async def test_an_empty_board_has_nothing_to_read(coord: Any) -> None:
    board = coord.sharded_leaderboard("empty", shards=4)

    assert await board.top(3) == await board.bottom(3) == await board.page(9, 99) == []
    assert await board.by_score(size=3) == await board.around("nobody", 3) == []
    assert await board.scroll(3) == await board.scroll(3, cursor="1 a")
    assert await board.ranks_of("nobody") == [None]
    assert await board.at(1) is await board.percentile("nobody") is await board.score_at(50) is None
    assert await board.histogram(0, 1) == [0, 0, 0]
    assert await board.submit_many({}) == await board.store({}) == {}
    assert await board.remove() == 0


async def test_a_histogram_counts_each_member_once(coord: Any) -> None:
    board = coord.sharded_leaderboard("b", shards=5)
    await board.store({f"m{n}": n for n in range(-50, 50)})

    assert await board.histogram(-100, -50, 0, 0.5, 25, 99) == [0, 0, 50, 1, 24, 25, 0]
    for wrong in ([], [1, 1], [2, 1], list(range(101)), [float("nan")]):
        with pytest.raises(ValueError, match="bound"):
            await board.histogram(*wrong)
    await board.clear()


steps = st.one_of(
    st.tuples(st.just("submit"), names, points, keeps, notes),
    st.tuples(st.just("submit_many"), st.dictionaries(names, points, max_size=4), keeps),
    st.tuples(st.just("note"), names, notes),
    st.tuples(st.just("remove"), st.lists(names, max_size=2, unique=True)),
    st.tuples(st.just("trim"), st.integers(0, 5)),
)


@settings(max_examples=15, deadline=None)
@given(
    history=st.lists(steps, min_size=1, max_size=12),
    order=st.sampled_from(ORDERS),
    keep=st.sampled_from(KEEPS),
    ties=st.sampled_from(RULES),
    number=st.integers(1, 4),
)
def test_a_sharded_board_equals_a_plain_one_after_each_step(
    history: list[Any], order: Any, keep: Any, ties: Any, number: int
) -> None:
    with Coord.connect("memory://") as hub:
        board = hub.sharded_leaderboard("b", shards=number, order=order, keep=keep, ties=ties)
        model = PlainBoard(order, keep)
        for verb, *words in history:
            globals()[f"do_{verb}"](board, model, ties, *words)

            rows = model.rows(ties)
            assert board.top(9) == rows
            assert board.len() == len(rows)
            assert board.ranks_of(*names_of(rows)) == rows


def names_of(rows: list[Any]) -> list[str]:
    return [row.member for row in rows]


def do_submit(board: Any, model: PlainBoard, ties: str, *given: Any) -> None:
    member, score, keep, note = given
    before = model.row(member, ties)
    done = board.submit(member, score, keep=keep, meta=note)
    model.submit(member, score, keep, note)
    now = model.row(member, ties)
    assert now is not None

    assert (done.score, done.rank) == (now.score, now.rank)
    assert done.changed == (before is None or before.score != now.score)
    assert done.previous_rank == (before and before.rank)
    assert done.previous_score == (before and before.score)


def do_submit_many(board: Any, model: PlainBoard, ties: str, scores: dict[str, float], keep: Any) -> None:
    done = board.submit_many(scores, keep=keep)
    for member, score in scores.items():
        model.submit(member, score, keep)
    after = {row.member: row.rank for row in model.rows(ties)}

    assert {member: one.score for member, one in done.items()} == {one: model.scores[one] for one in scores}
    assert {member: one.rank for member, one in done.items()} == {one: after[one] for one in scores}


def do_note(board: Any, model: PlainBoard, ties: str, member: str, note: str | None) -> None:
    assert board.set_meta(member, note) == (member in model.scores)
    model.notes.pop(member, None)
    if note is not None and member in model.scores:
        model.notes[member] = note


def do_remove(board: Any, model: PlainBoard, ties: str, gone: list[str]) -> None:
    assert board.remove(*gone) == sum(model.remove(member) for member in gone)


def do_trim(board: Any, model: PlainBoard, ties: str, best: int) -> None:
    assert board.trim(best) == model.trim(best)


@settings(max_examples=15, deadline=None)
@given(
    scores=st.dictionaries(st.text("abcdé~", min_size=1, max_size=4), st.integers(0, 9), max_size=90),
    order=st.sampled_from(ORDERS),
    number=st.integers(1, 5),
    size=st.integers(1, 9),
)
def test_any_place_is_found_by_samples(scores: dict[str, int], order: Any, number: int, size: int) -> None:
    with pytest.MonkeyPatch.context() as patch, Coord.connect("memory://") as hub:
        patch.setattr(shards, "SLACK", 2)
        patch.setattr(shards, "SAMPLES", 8)
        board = hub.sharded_leaderboard("b", shards=number, order=order)
        board.store(scores)
        model = PlainBoard(order)
        for member, score in scores.items():
            model.submit(member, score)
        rows = model.rows("ordinal")
        for page in range(1, len(rows) // size + 3):
            assert board.page(page, size, ties="ordinal") == rows[(page - 1) * size : page * size]


async def test_a_submission_touches_one_shard_and_the_shards_have_slots_of_their_own(
    coord: Any, client: Any, prefix: str
) -> None:
    board = coord.sharded_leaderboard("a/b", shards=8)
    await board.store({"ann": 1})
    assert len({key.partition("}")[0] for key in keys_of(client, prefix)}) == 1
    await board.store({f"m{n}": n for n in range(200)})

    tags = {key.partition("{")[2].partition("}")[0] for key in keys_of(client, prefix)}
    assert tags == {f"a/b/8/{shard}" for shard in range(8)}
    assert len({key_slot(tag.encode()) for tag in tags}) == 8
    other = coord.sharded_leaderboard("a/b", shards=4)
    assert await other.len() == 0  # another number of shards is another board
    assert await coord.leaderboard("a/b").len() == 0
    sizes = [client.zcard(f"{prefix}:shard:{{a/b/8/{shard}}}") for shard in range(8)]
    assert min(sizes) > 10
    await board.clear()


def test_a_members_shard_is_the_same_for_ever() -> None:
    """Or boards that are there would come apart."""
    with fakeredis.FakeRedis(server=fakeredis.FakeServer()) as client:
        board = Coord(client).sharded_leaderboard("b", shards=16)
        found = []
        for one in NAMES[:6]:
            board.submit(one, 1)
            found += [home for home in range(16) if client.exists(f"coord:shard:{{b/16/{home}}}")]
            board.clear()

        assert found == HOMES


HOMES = [5, 5, 15, 15, 11, 0]


async def test_what_a_sharded_board_cannot_do_is_refused_before_anything_is_sent(coord: Any) -> None:
    board = coord.sharded_leaderboard("b", shards=2)
    with pytest.raises(ValueError, match="dense"):
        coord.sharded_leaderboard("b", ties="dense")
    for refused in (board.top(3, ties="dense"), board.rank("ann", ties="dense")):
        with pytest.raises(ValueError, match="do not add up over shards"):
            await refused
    for shards_given, error in ((0, ValueError), (1025, ValueError), (True, TypeError), (2.0, TypeError)):
        with pytest.raises(error, match="shards must be"):
            coord.sharded_leaderboard("b", shards=shards_given)
    with pytest.raises(ValueError, match="name must not be empty"):
        coord.sharded_leaderboard("")
    for refused in (
        board.store({"ann": 1, "bob": float("nan")}), board.submit("ann", 1, keep="max"),
        board.store({"ann": 2**53 + 1}), board.submit("", 1), board.top(0), board.trim(-1),
        board.set_meta("", ""), board.store({"ann": 1}, meta={"bob": "x"}), board.score(""),
        board.scroll(3, cursor="x"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"must|whole number"):
            await refused
    with pytest.raises(TypeError, match="a source must be a board"):
        await coord.leaderboard("total").merge(board)
    assert await board.len() == 0


async def test_scores_lapse_and_sums_that_lose_points_are_refused(coord: Any) -> None:
    board = coord.sharded_leaderboard("b", shards=3, keep="sum", member_ttl=0.05)
    await board.store({f"m{n}": 1 for n in range(9)})
    await board.submit("stays", 2**53, ttl=60)
    with pytest.raises(ValueError, match="sum"):
        await board.submit("stays", 1, ttl=60)
    await anyio.sleep(0.06)

    assert names_of(await board.top(20)) == ["stays"]
    await board.clear()


async def test_of_concurrent_submissions_none_is_lost(coord: Any, other_coord: Any) -> None:
    boards = [one.sharded_leaderboard("b", shards=4, keep="sum") for one in (coord, other_coord)]
    async with anyio.create_task_group() as group:
        for number in range(64):
            group.start_soon(boards[number % 2].store, {f"m{n}": 1 for n in range(number % 4, 12)})

    rows = await boards[0].top(20)
    assert {row.member: row.score for row in rows} == {f"m{n}": 16 * min(4, n + 1) for n in range(12)}
    await boards[0].clear()


async def test_rows_stand_in_order_and_hold_the_member_while_scores_move(
    running_servers: Callable[[str], str], prefix: str
) -> None:
    url = running_servers("valkey9")
    dice = random.Random(5)
    async with AsyncCoord.connect(url, prefix=prefix) as hub:
        board = hub.sharded_leaderboard("b", shards=4)
        await board.store({f"m{n}": n for n in range(600)})
        moving = True

        async def move() -> None:
            while moving:
                await board.store({f"m{dice.randrange(600)}": dice.randrange(600) for _ in range(20)})

        async with anyio.create_task_group() as group:
            group.start_soon(move)
            for _ in range(20):
                for ties in RULES:
                    rows = await board.around("m7", 11, ties=ties)  # type: ignore[arg-type]
                    assert "m7" in names_of(rows)
                    assert len(rows) == len(set(names_of(rows))) == 11
                    assert [row.score for row in rows] == sorted((row.score for row in rows), reverse=True)
                    assert [row.rank for row in rows] == sorted(row.rank for row in rows)
                rows = await board.page(30, 10)
                assert len(set(names_of(rows))) == 10
                assert (await board.at(300)) is not None
            moving = False
        await board.clear()
    with client_of(url) as client:
        assert keys_of(client, prefix) == []
