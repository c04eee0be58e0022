"""``coord board``: a leaderboard in the terminal, once or as it changes."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from coord._engine.keys import Keys, escape
from coord.commands.server import Refused, add_server_arguments, answering, reached, url_of
from coord.commands.terminal import WIDEST, printable, table
from coord.hub import Coord
from coord.leaderboard.schedule import PERIODS
from coord.leaderboard.scores import ORDERS, TIES

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from coord._engine.urls import Opened
    from coord.leaderboard import Entry, Leaderboard, PeriodBoard, ShardedLeaderboard
    from coord.leaderboard.scores import Rank

    Board = Leaderboard | PeriodBoard | ShardedLeaderboard

__all__ = ["add_arguments", "run"]

MOST = 1000
"""Rows of one reading: as many as a board answers at once."""

SHORTEST, LONGEST = 0.1, 86_400.0
"""Seconds between two showings: faster than that a terminal only flickers, and a day is a mistake in the
unit."""

CLEAR = "\x1b[H\x1b[J"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("name", metavar="NAME", help="the board's name")
    add_server_arguments(parser)
    parser.add_argument(
        "--rows", type=int, default=10, metavar="N", help="how many rows (default: %(default)s)"
    )
    parser.add_argument("--around", metavar="MEMBER", help="the rows around this member, not the best")
    parser.add_argument(
        "--order", choices=ORDERS, default="desc", help="which end first (default: %(default)s)"
    )
    parser.add_argument(
        "--ties", choices=TIES, default="competition", help="how equal scores rank (default: %(default)s)"
    )
    kinds = [kind for kind in PERIODS if kind != "season"]
    parser.add_argument("--period", choices=kinds, help="a period of a board that has some")
    parser.add_argument(
        "--ago", type=int, default=0, metavar="N", help="so many periods before the current one"
    )
    parser.add_argument("--tz", default="UTC", help="the time zone of its periods (default: %(default)s)")
    parser.add_argument("--shards", type=int, metavar="N", help="the number of shards of a sharded board")
    parser.add_argument(
        "--watch",
        type=float,
        nargs="?",
        const=2.0,
        metavar="SECONDS",
        help="show it again and again (every 2)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the command.

    Returns:
        0; 1 if the board is empty, or the member not on it.

    Raises:
        Refused: The server cannot be reached, or an argument is off.
    """
    if not 1 <= arguments.rows <= MOST:
        raise Refused(f"--rows must be from 1 to {MOST}")
    if arguments.watch is not None and not SHORTEST <= arguments.watch <= LONGEST:
        raise Refused(f"--watch must be from {SHORTEST:g} to {LONGEST:g} seconds")
    nothing_to_see = "lives inside one process; there is nothing to see"
    url = url_of(arguments)
    with reached(url, no_memory=nothing_to_see, limit=arguments.timeout) as opened, answering(url):
        try:
            coord = Coord(opened.client, prefix=arguments.prefix, call_timeout=arguments.timeout)
            board = _board(coord, arguments)
            if arguments.around is not None:
                board.rank(arguments.around)  # refuses what is no member's name
        except (ValueError, TypeError) as error:
            raise Refused(str(error)) from None
        if arguments.watch is not None:
            return _watch(board, arguments)
        status = _show(board, arguments)
        if status and not board.len():
            for hint in _elsewhere(opened, arguments):
                print(f"coord: {hint}", file=sys.stderr)
        return status


def _board(coord: Coord, arguments: argparse.Namespace) -> Board:
    rules = {"order": arguments.order, "ties": arguments.ties}
    if arguments.ago and arguments.period is None:
        raise ValueError("--ago needs a --period")
    if arguments.shards is not None:
        if arguments.period is not None:
            raise ValueError("a sharded board has no periods; give --shards or --period")
        return coord.sharded_leaderboard(arguments.name, shards=arguments.shards, **rules)
    if arguments.period is None:
        return coord.leaderboard(arguments.name, **rules)
    board = coord.leaderboard(arguments.name, **rules, period=arguments.period, tz=arguments.tz)
    return board.of(arguments.period, ago=arguments.ago)


def _elsewhere(opened: Opened, arguments: argparse.Namespace) -> Iterator[str]:
    """Say where a board that is empty has members: in periods, or in shards."""
    prefix, name = Keys(arguments.prefix).prefix, escape(arguments.name)
    before = f"{prefix}:board:{{{name}}}"
    spelled = [_text(key) for key in opened.client.scan_iter(match=f"{before}*", count=1000)]
    parts = {key[len(before) + 1 :].partition(":")[0] for key in spelled}
    periods = [period for period in PERIODS if period in parts]
    if before in spelled and arguments.period is not None:
        periods.insert(0, "all")
    if periods:
        yield f"it has members in periods: {', '.join(periods)}; say which by --period, and --ago or --tz"
    shards = {
        _text(key).rpartition("/")[0].rpartition("/")[2]
        for key in opened.client.scan_iter(match=f"{prefix}:shard:{{{name}/*/*}}", count=1000)
    }
    if shards:
        yield f"it has members in shards: say --shards {' or '.join(sorted(shards))}"


def _text(key: bytes | str) -> str:
    return key.decode(errors="replace") if isinstance(key, bytes) else key


def _rows(board: Board, arguments: argparse.Namespace) -> list[Entry]:
    if arguments.around is None:
        return board.top(arguments.rows)
    return board.around(arguments.around, arguments.rows)


def _show(board: Board, arguments: argparse.Namespace) -> int:
    rows = _rows(board, arguments)
    print(_frame(board, rows, arguments, {}))
    return 0 if rows else 1


def _watch(board: Board, arguments: argparse.Namespace) -> int:
    before: dict[str, Rank] = {}
    clear = CLEAR if sys.stdout.isatty() and not arguments.json and os.environ.get("TERM") != "dumb" else ""
    try:
        while True:
            rows = _rows(board, arguments)
            print(clear + _frame(board, rows, arguments, before), flush=True)
            before = {row.member: row.rank for row in rows}
            time.sleep(arguments.watch)
    except KeyboardInterrupt:  # that is how one stops watching
        return 0


def _frame(board: Board, rows: list[Entry], arguments: argparse.Namespace, before: dict[str, Rank]) -> str:
    members = board.len()
    if arguments.json:
        told = {"name": arguments.name, "members": members, "rows": [asdict(row) for row in rows]}
        return json.dumps(told, indent=None if arguments.watch else 2)
    name = printable(arguments.name)
    if not members:
        return f"nobody is on {name!r}"
    if not rows:
        return f"{printable(arguments.around)!r} is not on {name!r}"
    has_meta = any(row.meta is not None for row in rows)
    cells = [
        (
            f"{row.rank:g}" if isinstance(row.rank, float) else str(row.rank),
            _points(row.score),
            *([_moved(row, before)] if arguments.watch else []),
            printable(row.member, WIDEST) + (" <" if row.member == arguments.around else ""),
            *([printable(row.meta or "", WIDEST)] if has_meta else []),
        )
        for row in rows
    ]
    headings = (
        "RANK",
        "SCORE",
        *(["MOVED"] if arguments.watch else []),
        "MEMBER",
        *(["META"] if has_meta else []),
    )
    numbers = {"RANK", "SCORE", "MOVED"}
    count = f"{members:,} member" + ("" if members == 1 else "s")
    return "\n".join([f"{name}: {count}", *table(headings, cells, numbers)])


def _points(score: float) -> str:
    return f"{score:,.0f}" if score.is_integer() and abs(score) < 1e16 else repr(score)  # noqa: PLR2004


def _moved(row: Entry, before: dict[str, Rank]) -> str:
    """Say how a row has moved since it was last shown."""
    if not before or before.get(row.member) == row.rank:
        return ""
    if row.member not in before:
        return "new"
    up = before[row.member] - row.rank
    return f"+{up:g}" if up > 0 else f"{up:g}"
