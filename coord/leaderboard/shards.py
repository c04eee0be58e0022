"""The shards of a board, and what is asked of all of them at once.

Theory
------
Every shard is an ordinary board of its own, under its own hash tag. Counts add up over shards, and so do the
ranks that are made of counts; rows are merged, each shard giving as many as could be needed.

What stands at place k is found by regular sampling: each shard gives evenly spaced rows of the stretch in
which that must be. Since the number of rows between two of them is known, each of them has a least and a
most place among all, and those nearest to k bound the next stretch, which is shorter by a factor of about
SAMPLES / 4. Two rows are never level here: of one score, the name decides.

Source: H. Shi, J. Schaeffer, "Parallel Sorting by Regular Sampling", Journal of Parallel and Distributed
Computing 14 (1992), for the bounds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import pairwise
from typing import TYPE_CHECKING

from coord._engine.checks import integer
from coord._engine.port import all_of
from coord._engine.replies import as_int, as_rows, text
from coord._engine.script import Script
from coord.leaderboard.base import settled
from coord.leaderboard.board import AsyncLeaderboard

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from coord._engine.script import Reply
    from coord.leaderboard.base import Setup
    from coord.leaderboard.reads import Page
    from coord.leaderboard.scores import Entry, Order

__all__ = ["Shards", "Stretch", "Tally"]

MOST_SHARDS = 1024
"""Shards of a board: a read asks each, and more than that no cluster has nodes."""

PLACES = 100
"""Places for which one script counts, in about a millisecond."""

SAMPLES = 64
"""Rows that each shard gives of a stretch, in a third of a millisecond. More than 4, or a stretch might not
get shorter."""

SLACK = 100
"""Rows before a place from which on it is read at once: so many rows cost no more than another round of
samples."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rows of the whole board that stand one after the other; their ranks are yet to be found.

    Attributes:
        before: How many stand before the first of them.
        total: How many members there are.
        rows: The rows.
    """

    before: int
    total: int
    rows: list[Entry]

    def cut(self, start: int, size: int) -> Stretch:
        """Take some of the rows."""
        return Stretch(self.before + start, self.total, self.rows[start : start + size])


@dataclass(frozen=True, slots=True)
class Tally:
    """How many members score better than a place, how many the same, and how many of these stand before."""

    better: int
    level: int
    preceding: int


@dataclass(frozen=True, slots=True)
class _Sample:
    """Rows out of a stretch of one shard: for each how many of the stretch stand before it, and its place."""

    before: int
    length: int
    rows: list[tuple[int, _Place]]


@dataclass(frozen=True, slots=True)
class _Place:
    score: float
    member: str

    def words(self) -> tuple[str, bytes]:
        return f"{self.score:.17g}", self.member.encode()

    def standing(self, order: Order) -> tuple[float, bytes]:
        """Return what rows are sorted by, as a server does it."""
        return (-self.score if order == "desc" else self.score, self.member.encode())


def _tallied(reply: Reply) -> tuple[int, list[Tally]]:
    total, *counts = map(as_int, as_rows(reply))
    return total, [Tally(*counts[at : at + 3]) for at in range(0, len(counts), 3)]


def _sampled(reply: Reply) -> _Sample:
    words = as_rows(reply)
    rows = [
        (as_int(words[at]), _Place(float(text(words[at + 1])), text(words[at + 2])))
        for at in range(2, len(words), 3)
    ]
    return _Sample(as_int(words[0]), as_int(words[1]), rows)


_TALLY = Script("board_tally", parse=settled(_tallied), repeatable=True)
_SAMPLE = Script("board_sample", parse=settled(_sampled), repeatable=True)


class Shards:
    """The shards of one board.

    Args:
        setup: The board's; its name is that of all shards together.
        count: How many shards. It is a part of their keys.
    """

    def __init__(self, setup: Setup, count: int) -> None:
        integer(count, "shards", at_least=1, at_most=MOST_SHARDS)
        self._port = setup.port
        self.boards = [
            AsyncLeaderboard(replace(setup, name=f"{setup.name}/{count}/{number}")) for number in range(count)
        ]

    def home(self, member: bytes) -> int:
        """Return the number of a member's shard."""
        return int.from_bytes(blake2b(member, digest_size=8).digest(), "big") % len(self.boards)

    def by_home(self, members: Iterable[bytes]) -> dict[int, list[bytes]]:
        """Sort members by their shards."""
        homes: dict[int, list[bytes]] = {}
        for member in members:
            homes.setdefault(self.home(member), []).append(member)
        return homes

    async def tallies(
        self, order: Order, places: Sequence[tuple[float, str]]
    ) -> list[tuple[int, list[Tally]]]:
        """Count on each shard how many members there are, and how they stand to some places.

        Args:
            order: By which to read.
            places: For each a score, and a member, empty where only the score matters.
        """
        words = [word for score, member in places for word in _Place(score, member).words()]
        return await all_of(self._port, [board._ask(_TALLY, order, *words) for board in self.boards])

    async def tally(self, order: Order, places: Sequence[tuple[float, str]]) -> list[Tally]:
        """Count on all shards together how members stand to some places."""
        found: list[Tally] = []
        for start in range(0, len(places), PLACES):
            shards = await self.tallies(order, places[start : start + PLACES])
            for one in zip(*(tallies for _, tallies in shards), strict=True):
                sums = (
                    sum(column)
                    for column in zip(*((t.better, t.level, t.preceding) for t in one), strict=True)
                )
                found.append(Tally(*sums))
        return found

    async def rows(self, order: Order, size: int, where: str, *place: str | int | bytes) -> Stretch:
        """Read up to ``size`` rows of each shard and merge them.

        Of the merged rows, those follow one another on the whole board that are not further than ``size``
        from where the shards began to read.
        """
        return _merged(
            order,
            await all_of(
                self._port, [board._read(order, "ordinal", size, where, *place) for board in self.boards]
            ),
        )

    async def stretch(self, order: Order, place: int, size: int) -> Stretch:
        """Read rows from a place on, counted from 0; none if the board ends before that.

        One round to each shard near the begin, and else about log n / log (SAMPLES / 4) more.
        """
        after: _Place | None = None
        upto: _Place | None = None
        skip = place
        while skip > SLACK:
            samples = await self._sample(order, after, upto)
            length = sum(sample.length for sample in samples)
            before = sum(sample.before for sample in samples)
            skip = max(0, place - before)
            if skip <= SLACK:
                break
            if skip >= length and upto is None:
                return Stretch(before + length, before + length, [])
            if skip >= length:  # what stood in between has moved before it
                after, skip = upto, 0
            else:
                after, upto = _narrowed(samples, skip, order, after, upto)
        if after is None:
            found = await self.rows(order, size + skip, "from", 0)
        else:
            found = await self.rows(order, size + skip, "after", *after.words())
        first = min(skip, max(0, place - found.before))
        return found.cut(0, size + skip).cut(first, size)

    async def around(self, order: Order, member: bytes, size: int) -> Stretch:
        """Read rows with a member in the middle, as far as the board's ends allow."""
        home = self.home(member)
        here = await self.boards[home]._read(order, "ordinal", 2 * size + 1, "around", member)
        who = member.decode()
        mine = next((row for row in here.rows if row.member == who), None)
        if mine is None:
            return Stretch(0, 0, [])
        place = _Place(mine.score, who).words()
        others = [board._read(order, "ordinal", size, "near", *place) for board in self._but(home)]
        found = _merged(order, [here, *await all_of(self._port, others)])
        at = found.rows.index(mine)
        middle = found.before + at
        start = max(0, min(middle - size // 2, found.total - size))
        return found.cut(max(0, at - (middle - start)), size)

    def _but(self, home: int) -> list[AsyncLeaderboard]:
        return [board for number, board in enumerate(self.boards) if number != home]

    async def _sample(self, order: Order, after: _Place | None, upto: _Place | None) -> list[_Sample]:
        bounds = [word for one in (after, upto) for word in (("", b"") if one is None else one.words())]
        return await all_of(
            self._port, [board._ask(_SAMPLE, order, SAMPLES, *bounds) for board in self.boards]
        )


def _merged(order: Order, pages: Sequence[Page]) -> Stretch:
    rows = [row for page in pages for row in page.rows]
    rows.sort(key=lambda row: _Place(row.score, row.member).standing(order))
    before = sum(int(page.rows[0].rank) - 1 if page.rows else page.total for page in pages)
    return Stretch(before, sum(page.total for page in pages), rows)


def _narrowed(
    samples: Sequence[_Sample], skip: int, order: Order, after: _Place | None, upto: _Place | None
) -> tuple[_Place | None, _Place | None]:
    """Find the last place up to which at most ``skip`` rows can stand, and the first up to which more do.

    Up to a row taken from a shard there stand, of that shard, at least those up to this row, and of each at
    most those before the next row taken from it.
    """
    taken: list[
        tuple[_Place, int, int]
    ] = []  # a place, by how much the least count grows there, and the most
    most = 0
    for sample in samples:
        offsets = [offset for offset, _ in sample.rows]
        ends = [*offsets, sample.length]
        most += ends[0]
        grown = [last - first for first, last in pairwise([-1, *offsets])]
        follow = [last - first for first, last in pairwise(ends)]
        taken += [(place, g, f) for (_, place), g, f in zip(sample.rows, grown, follow, strict=True)]
    taken.sort(key=lambda one: one[0].standing(order))
    least = 0
    for place, grows, follows in taken:
        least += grows
        most += follows
        if most <= skip:
            after = place
        if least > skip:
            return after, place
    return after, upto
