"""Scenarios of leaderboards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.benchmarks.rooms import board_work
from tests.benchmarks.rooms.scenarios import client_of, usual

if TYPE_CHECKING:
    from tests.benchmarks.rooms.scenarios import Act

MEMBERS = 10_000


def _board(coord: Any, tiebreak: str = "name") -> Any:
    board_work.fill(client_of(coord), MEMBERS, tiebreak)
    return coord.leaderboard(board_work.NAME, tiebreak=tiebreak)


@usual("board_submit", f"one score, {MEMBERS:,} members")
def _submitted(coord: Any) -> Act:
    board = _board(coord)
    return lambda n: board.submit(f"player:{n:07}", 37 * n)


@usual("board_submit", '`tiebreak="first"`, one score')
def _submitted_first(coord: Any) -> Act:
    board = _board(coord, tiebreak="first")
    return lambda n: board.submit(f"player:{n:07}", 37 * n)


@usual("board_meta", "one meta")
def _annotated(coord: Any) -> Act:
    board = _board(coord)
    return lambda n: board.set_meta(f"player:{n:07}", "blue")


@usual("board_find", "one rank")
def _ranked(coord: Any) -> Act:
    board = _board(coord)
    return lambda n: board.rank(f"player:{n:07}")


@usual("board_find", "100 ranks", times=50)
def _friends(coord: Any) -> Act:
    board = _board(coord)
    return lambda n: board.ranks_of(*(f"player:{97 * n + one:07}" for one in range(100)))


@usual("board_page", "the top 10")
def _top(coord: Any) -> Act:
    board = _board(coord)
    return lambda n: board.top(10)


@usual("board_page", "25 rows around one")
def _around(coord: Any) -> Act:
    board = _board(coord)
    return lambda n: board.around(f"player:{40 * n + 30:07}", 12)


@usual("board_count", "a percentile")
def _percentile(coord: Any) -> Act:
    board = _board(coord)
    return lambda n: board.percentile(f"player:{n:07}")


@usual("board_quantile", "a median")
def _median(coord: Any) -> Act:
    board = _board(coord)
    return lambda n: board.score_at(50)


@usual("board_remove", "one member")
def _removed(coord: Any) -> Act:
    board = _board(coord)
    return lambda n: board.remove(f"player:{n:07}")


@usual("board_dump", "a part of 100", times=20)
@usual("board_load", "a part of 100", times=20)
@usual("board_swap", "the last step", times=20)
def _copied(coord: Any) -> Act:
    for n in range(20):
        coord.leaderboard(f"x{n}").submit_many({f"player:{one}": one for one in range(100)})
    return lambda n: coord.leaderboard(f"x{n}").snapshot("then")


@usual("board_compare", "one member")
def _compared(coord: Any) -> Act:
    board = coord.leaderboard("x")
    board.submit_many({f"player:{one}": one for one in range(1000)})
    board.snapshot("then")
    return lambda n: board.movement(f"player:{n}", snapshot="then")


@usual("board_tally", "one shard's part of a rank")
def _sharded(coord: Any) -> Act:
    board = coord.sharded_leaderboard("x", shards=2)
    board.store({f"player:{n:07}": n for n in range(MEMBERS)})
    return lambda n: board.rank(f"player:{n:07}")


@usual("board_sample", "one shard's part of a page from the middle", times=20)
def _paged(coord: Any) -> Act:
    board = coord.sharded_leaderboard("x", shards=2)
    board.store({f"player:{n:07}": n for n in range(MEMBERS)})
    return lambda n: board.page(200 + n, 25)
