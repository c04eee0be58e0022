"""``python -m tests.leaderboard.every_board``: each read of each board of up to 12 members, and a plain one.

How n members can be level is one of 2**(n - 1) shapes, one for each way to cut a row of n into groups. What a
read asks a server depends on n only, but for the scores in cursors. So the methods put the questions once for
each n; each shape is asked all of them in one pipeline, and what comes back is compared, byte by byte, with
what the rows of ``tests/leaderboard/model.py`` make it.

Of each shape, every stretch of rows is read from either end under each of the five rules for ties, and every
member is looked up so. Every other way to ask for a stretch (by page, around a member, between scores, by
cursor) is taken from either end under one of the rules in turn, since which rows these are does not depend on
it; with ``--full`` under each, which takes more than twice as long.

Each way to break ties has a process and a server of its own. The daily tests do the same with all shapes of
a few members and some of more, through both faces: ``tests/leaderboard/test_reads.py``.
"""

from __future__ import annotations

import argparse
import socket
import sys
import time
from functools import cache, partial
from itertools import chain, product
from multiprocessing import Pool
from typing import TYPE_CHECKING, Any, NamedTuple

from redis import Redis

from coord import AsyncLeaderboard, Coord
from coord.leaderboard import Order, Ties
from tests.leaderboard.model import ORDERS, RULES, PlainBoard
from tests.leaderboard.test_reads import LARGEST, NAMES, filled
from tests.support.servers import BINARIES, running
from tests.support.together import reading

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from tests.support.servers import Process

BOUNDS = ((None, None), (None, 0), (0, None), (-1, 1), (0.5, 0.7), (-2, -2), (-5, -4))
END = b"+PONG\r\n"
Row = tuple[int, bytes, bytes, bytes | None]
Rules = tuple[Order, Ties]
"""An order, and a rule for ties."""


def spelled(value: object) -> bytes:
    """Spell a reply or a command as it travels: RESP 2."""
    match value:
        case None:
            return b"$-1\r\n"
        case int():
            return b":%d\r\n" % value
        case bytes():
            return b"$%d\r\n%b\r\n" % (len(value), value)
        case list():
            return b"*%d\r\n%b" % (len(value), b"".join(map(spelled, value)))
    raise TypeError(f"{value!r} does not travel")


class Facts:
    """A board as a plain one has it: for each order and rule the rows as they travel, and the entries."""

    def __init__(self, model: PlainBoard, entries: dict[bytes, bytes]) -> None:
        self.model = model
        self.entries = entries
        self.rows = {rules: _travelling(model, *rules) for rules in product(ORDERS, RULES)}
        self._windows: dict[tuple[Rules, int, int], bytes] = {}

    def window(self, rules: Rules, start: int, stop: int) -> bytes:
        """Spell the rows from ``start`` on as a page."""
        what = rules, start, stop
        if what not in self._windows:
            rows = self.rows[rules]
            found = rows[start:stop]
            follows = self.entries[found[-1][1]] if found and stop < len(rows) else b""
            columns = [list(column) for column in zip(*found, strict=True)] or [[]] * 4
            self._windows[what] = spelled([len(rows), follows, *columns])
        return self._windows[what]


class Question(NamedTuple):
    """What is sent, and what should come back."""

    words: bytes
    expected: Callable[[Facts], bytes]


def words_of(flow: Coroutine[Any, Any, Any]) -> list[bytes]:
    """Take what a read asks first."""
    words = flow.send(None).words()
    flow.close()
    return [word if isinstance(word, bytes) else str(word).encode() for word in words]


def asked(flow: Coroutine[Any, Any, Any]) -> bytes:
    """Spell what a read asks first."""
    return spelled(words_of(flow))


def windows(board: Any, length: int, rules: Rules) -> Iterator[Question]:
    """Every read of rows that is for a place."""
    how = dict(zip(("order", "ties"), rules, strict=True))

    def question(flow: Any, start: int, size: int) -> Question:
        stop = min(start + size, length)
        return Question(asked(flow), lambda facts: facts.window(rules, start, stop))

    for size in range(1, length + 3):
        yield question(board.top(size, **how), 0, size)
        yield question(board.scroll(size, **how), 0, size)
        yield question(board.bottom(size, **how), max(0, length - size), size)
        for number in range(1, -(-length // size) + 2):
            yield question(board.page(number, size, **how), (number - 1) * size, size)
    for place in range(1, length + 2):
        yield question(board.at(place, **how), place - 1, 1)


def ranks(board: Any, length: int, rules: Rules) -> Iterator[Question]:
    """Every stretch of rows, and every member."""
    how = dict(zip(("order", "ties"), rules, strict=True))
    friends = [*NAMES, "nobody"]

    def rows_of(facts: Facts) -> bytes:
        rows = {row[1].decode(): row for row in facts.rows[rules]}
        found = [rows.get(one, (0, b"", None, None)) for one in friends]
        return spelled([[row[column] for row in found] for column in (0, 2, 3)])

    yield Question(asked(board.ranks_of(*friends, **how)), rows_of)
    for start in range(length):
        for stop in range(start + 1, length + 1):
            words = asked(board.by_score(size=stop - start, skip=start, **how))
            yield Question(words, partial(Facts.window, rules=rules, start=start, stop=stop))


def arounds(board: Any, length: int, rules: Rules) -> Iterator[Question]:
    """Every read of the rows around a member."""
    how = dict(zip(("order", "ties"), rules, strict=True))

    def around(member: bytes, size: int, facts: Facts) -> bytes:
        place = [row[1] for row in facts.rows[rules]].index(member)
        start = max(0, min(place - size // 2, length - size))
        assert start <= place < start + size
        return facts.window(rules, start, min(start + size, length))

    for member, size in product(NAMES[:length], range(1, length + 3)):
        yield Question(asked(board.around(member, size, **how)), partial(around, member.encode(), size))


def scores(board: Any, length: int, rules: Rules) -> Iterator[Question]:
    """Every read of rows that is for scores."""
    how = dict(zip(("order", "ties"), rules, strict=True))

    def between(low: float | None, high: float | None, size: int, skip: int, facts: Facts) -> bytes:
        inside = [place for place, row in enumerate(facts.rows[rules]) if within(float(row[2]), low, high)]
        chosen = inside[skip : skip + size] or [0, -1]
        return facts.window(rules, chosen[0], chosen[-1] + 1)

    for (low, high), (size, skip) in product(BOUNDS, ((50, 0), (2, 1), (1, length))):
        flow = board.by_score(low, high, size=size, skip=skip, **how)
        yield Question(asked(flow), partial(between, low, high, size, skip))


def shares(board: Any, length: int, order: str) -> Iterator[Question]:
    """Every count and share."""

    def counted(low: float | None, high: float | None, facts: Facts) -> bytes:
        points = facts.model.scores.values()
        less = sum(low is not None and one < low for one in points)
        return spelled([less, sum(within(one, low, high) for one in points), length])

    def level(member: str, facts: Facts) -> bytes:
        mine = facts.model.scores[member]
        return counted(mine, mine, facts)

    def quantile(share: float, facts: Facts) -> bytes:
        facts.model.order = order
        return spelled(b"%d" % facts.model.score_at(share))

    for low, high in BOUNDS:
        yield Question(asked(board.count(low, high)), partial(counted, low, high))
    for member in NAMES[:length]:
        yield Question(asked(board.percentile(member)), partial(level, member))
    halves = [100 * half / (2 * length) for half in range(2 * length + 1)]
    for share in [*halves, 12.5, 33, 66.6, 99.9]:
        yield Question(asked(board.score_at(share)), partial(quantile, share))


def within(score: float, low: float | None, high: float | None) -> bool:
    return (low is None or low <= score) and (high is None or score <= high)


def in_turn(by_rule: list[list[Question]]) -> Iterator[Question]:
    """Take each question under one of the rules."""
    for number, questions in enumerate(zip(*by_rule, strict=True)):
        yield questions[number % len(questions)]


def cursors(board: Any, facts: Facts, *, full: bool) -> Iterator[Question]:
    """Every further stretch of every scroll."""
    length = len(facts.model.scores)
    for (number, rules), size in product(enumerate(facts.rows), range(1, length)):
        if full or (number + size) % len(RULES) == 0:
            rows = facts.rows[rules]
            for start in range(size, length, size):
                _, member, score, _ = rows[start - 1]
                words = spelled([*after(board, size, rules), score, facts.entries[member]])
                window = partial(Facts.window, rules=rules, start=start, stop=min(start + size, length))
                yield Question(words, window)


@cache
def after(board: Any, size: int, rules: Rules) -> list[bytes]:
    """Take what a scroll asks after its first stretch, but for where that ended."""
    words = words_of(board.scroll(size, cursor="1 ann", order=rules[0], ties=rules[1]))
    assert words[-2:] == [b"1", b"ann"]
    return words[:-2]


class Examiner:
    """Asks one server about boards that break ties in one way."""

    def __init__(self, node: Process, tiebreak: Any, *, full: bool) -> None:
        self._hub = Coord.connect(f"redis://{node.address}", prefix="every")
        self._board = self._hub.leaderboard("b", tiebreak=tiebreak)
        self._wire = socket.create_connection(("127.0.0.1", node.port))
        self._client = Redis(port=node.port)
        self._tiebreak = tiebreak
        self._full = full
        setups = [reading("every", order=order) for order in ORDERS]
        self._readers = dict(zip(ORDERS, map(AsyncLeaderboard, setups), strict=True))
        self.asked = 0
        board = self._board  # once each, so that the server knows the scripts
        assert board.submit("ann", 1).rank == board.rank("ann") == board.len() == board.score_at(50)
        assert board.top(1)[0].member == "ann"

    def close(self) -> None:
        self._wire.close()
        self._client.close()
        self._hub.close()

    def examine(self, length: int) -> int:
        """Ask every question of every shape of so many members; return how many shapes there are."""
        reader = self._readers["desc"]
        questions = [one for rules in product(ORDERS, RULES) for one in ranks(reader, length, rules)]
        for order, kind in product(ORDERS, (windows, arounds, scores)):
            by_rule = [list(kind(reader, length, (order, ties))) for ties in RULES]
            questions += chain(*by_rule) if self._full else in_turn(by_rule)
        questions += [one for order in ORDERS for one in shares(self._readers[order], length, order)]
        usual = b"".join(question.words for question in questions)
        for cuts in product((0, 1), repeat=length - 1):
            facts = self._fill([sum(cuts[:place]) for place in range(length)])
            further = list(cursors(reader, facts, full=self._full))
            expected = [question.expected(facts) for question in questions + further]
            self._wire.sendall(usual + b"".join(question.words for question in further) + b"PING\r\n")
            self._compare(cuts, questions + further, expected)
            self.asked += len(expected)
        return 1 << (length - 1)

    def _compare(self, cuts: tuple[int, ...], questions: list[Question], expected: list[bytes]) -> None:
        found = bytearray()
        while not found.endswith(END):
            found += self._wire.recv(1_000_000)
        if found == b"".join([*expected, END]):
            return
        at = 0
        for question, one in zip(questions, expected, strict=True):
            if found[at : at + len(one)] != one:
                told = bytes(found[at : at + len(one) + 50])
                raise AssertionError(f"{cuts}, {question.words!r}: {told!r} should be {one!r}")
            at += len(one)

    def _fill(self, shape: list[int]) -> Facts:
        self._board.clear()
        model = filled(self._board, shape, self._tiebreak)
        digits = 16 if self._tiebreak == "first" else 0
        entries: Any = self._client.zrange("every:board:{b}", 0, -1)
        return Facts(model, {entry[digits:]: entry for entry in entries})


def _travelling(model: PlainBoard, order: str, ties: str) -> list[Row]:
    """The rows as a script sends them."""
    return [
        (
            int(2 * row.rank),
            row.member.encode(),
            b"%d" % row.score,
            None if row.meta is None else row.meta.encode(),
        )
        for row in model.rows(ties, order)
    ]


def examine(tiebreak: str, largest: int, full: bool) -> int:
    """Examine every board that breaks ties in one way; return how many questions that took."""
    binary = BINARIES["valkey9"]()
    if binary is None:
        raise RuntimeError("this needs the Valkey server of the `embedded` extra")
    with running(binary) as node:
        examiner = Examiner(node, tiebreak, full=full)
        for length in range(1, largest + 1):
            began = time.monotonic()
            boards = examiner.examine(length)
            took = time.monotonic() - began
            sys.stdout.write(f"tiebreak={tiebreak} members={length} boards={boards} seconds={took:.1f}\n")
            sys.stdout.flush()
        examiner.close()
    return examiner.asked


def main() -> None:
    """Examine every board; end with an error if one is read wrongly."""
    parser = argparse.ArgumentParser("python -m tests.leaderboard.every_board", description=__doc__)
    parser.add_argument("--largest", type=int, default=LARGEST, help="up to so many members [%(default)s]")
    parser.add_argument("--full", action="store_true", help="every way to read under every rule for ties")
    options = parser.parse_args()
    with Pool(2) as pool:
        asked = pool.starmap(examine, [(one, options.largest, options.full) for one in ("name", "first")])
    sys.stdout.write(f"all of {sum(asked):,} answers are right\n")


if __name__ == "__main__":
    main()
