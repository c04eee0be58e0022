"""Reading: ranks, rows, shares. Every read is one script, and so sees the board at one moment.

All reads come down to four questions, at the end of the class: a sharded board only answers those otherwise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coord._engine.checks import integer
from coord._engine.replies import as_int, as_optional_float, as_rows, text
from coord._engine.script import Script
from coord.leaderboard.base import BoardFlow, settled
from coord.leaderboard.scores import Scroll, entries, exact, looked_up, member_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coord._engine.script import Reply
    from coord.leaderboard.scores import Entry, Order, Rank, Ties

__all__ = ["MOST_ROWS", "AsyncReads", "Counts", "Page"]

MOST_ROWS = 1000
"""Rows in one answer: what a server reads in a few milliseconds. ``scroll`` reads any number."""

MEMBERS = 200
"""Members that one script looks up, in about a millisecond."""


@dataclass(frozen=True, slots=True)
class Page:
    """Rows as the server sends them, the entry of the last unless nothing follows, and how many there are."""

    rows: list[Entry]
    last: str
    total: int


@dataclass(frozen=True, slots=True)
class Counts:
    """How many members score less than some scores, how many within them, how many there are."""

    less: int
    same: int
    total: int


def _page(reply: Reply) -> Page:
    words = as_rows(reply)
    return Page(entries(words[2:]), text(words[1]), as_int(words[0]))


def _columns(reply: Reply) -> Sequence[Reply]:
    return as_rows(reply)


def _counts(reply: Reply) -> Counts | None:
    words = as_rows(reply)
    return Counts(*map(as_int, words)) if words else None


_PAGE = Script("board_page", parse=settled(_page), repeatable=True)
_FIND = Script("board_find", parse=settled(_columns), repeatable=True)
_COUNT = Script("board_count", parse=settled(_counts), repeatable=True)
_QUANTILE = Script("board_quantile", parse=settled(as_optional_float), repeatable=True)


class AsyncReads(BoardFlow):
    """How a board is read."""

    async def rank(self, member: str, *, ties: Ties | None = None, order: Order | None = None) -> Rank | None:
        """Find a member's rank, from 1.

        Args:
            member: Who.
            ties: How equal scores rank; of four members, the middle two level, ``"competition"`` makes
                1, 2, 2, 4, ``"modified"`` 1, 3, 3, 4, ``"dense"`` 1, 2, 2, 3, ``"fractional"``
                1, 2.5, 2.5, 4 and ``"ordinal"`` 1, 2, 3, 4; ``None`` for the board's rule.
            order: ``"desc"`` or ``"asc"`` to read it otherwise than the board's own order.

        Returns:
            The rank, or ``None`` if the member is not on the board.

        Complexity: O(log n), one round trip.
        """
        found = (await self.ranks_of(member, ties=ties, order=order))[0]
        return None if found is None else found.rank

    async def score(self, member: str) -> float | None:
        """Return a member's score, or ``None`` if it is not on the board. O(log n)."""
        found = (await self.ranks_of(member))[0]
        return None if found is None else found.score

    async def ranks_of(
        self, *members: str, ties: Ties | None = None, order: Order | None = None
    ) -> list[Entry | None]:
        """Look many members up: a player's friends, say.

        Args:
            *members: Who. Up to 200 are looked up in one round trip, at one moment; more in slices.
            ties: As for ``rank``.
            order: As for ``rank``.

        Returns:
            A row for each of them, in the order in which they were given; ``None`` for one who is not on
            the board.

        Complexity: O(log n) a member.
        """
        rules = self._rules(ties, order)
        words = [member_bytes(one) for one in members]
        rows: list[Entry | None] = []
        for start in range(0, len(words), MEMBERS):
            rows += await self._look_up(words[start : start + MEMBERS], *rules)
        return rows

    async def top(self, n: int, *, ties: Ties | None = None, order: Order | None = None) -> list[Entry]:
        """Return the best ``n`` rows, or all of a shorter board; up to 1,000. ``scroll`` reads more.

        Complexity: O(log n + rows).
        """
        return (await self._page(n, "from", 0, ties=ties, order=order)).rows

    async def bottom(self, n: int, *, ties: Ties | None = None, order: Order | None = None) -> list[Entry]:
        """Return the last ``n`` rows, or all of a shorter board; the very last comes last.

        Complexity: O(log n + rows).
        """
        return (await self._page(n, "end", 0, ties=ties, order=order)).rows

    async def page(
        self, number: int, size: int, *, ties: Ties | None = None, order: Order | None = None
    ) -> list[Entry]:
        """Return one page of the board.

        While scores move, a row may be on two pages or on none; ``scroll`` knows no such gaps.

        Args:
            number: Which page, from 1.
            size: Rows on a page.
            ties: As for ``rank``.
            order: As for ``rank``.

        Returns:
            ``size`` rows, fewer on the last page, and none beyond.

        Complexity: O(log n + rows).
        """
        skip = (integer(number, "the number of the page", at_least=1) - 1) * _rows(size)
        return (await self._page(size, "from", skip, ties=ties, order=order)).rows

    async def around(
        self, member: str, size: int, *, ties: Ties | None = None, order: Order | None = None
    ) -> list[Entry]:
        """Return ``size`` rows with ``member`` in the middle, as far as the board's ends allow.

        Near an end the rows shift rather than run short: there are always min(size, length) of them,
        the member's among them. With an even ``size`` one row more stands above than below.

        Returns:
            The rows, or none if the member is not on the board.

        Complexity: O(log n + rows).
        """
        return (await self._page(size, "around", member_bytes(member), ties=ties, order=order)).rows

    async def at(self, place: int, *, ties: Ties | None = None, order: Order | None = None) -> Entry | None:
        """Return the row that stands at a place, from 1; ``None`` beyond the end.

        Each place has one row, whatever the rule for ties: it decides only what rank the row shows.

        Complexity: O(log n).
        """
        skip = integer(place, "place", at_least=1) - 1
        rows = (await self._page(1, "from", skip, ties=ties, order=order)).rows
        return rows[0] if rows else None

    async def by_score(
        self,
        low: float | None = None,
        high: float | None = None,
        *,
        size: int,
        skip: int = 0,
        ties: Ties | None = None,
        order: Order | None = None,
    ) -> list[Entry]:
        """Return the rows whose scores lie within bounds, the best first.

        Args:
            low: The lowest score to return; ``None`` for no bound.
            high: The highest; ``None`` for no bound.
            size: How many rows at the most.
            skip: How many of them to leave out before that.
            ties: As for ``rank``.
            order: As for ``rank``.

        Raises:
            ValueError: ``low`` is greater than ``high``.

        Complexity: O(log n + rows).
        """
        passing = integer(skip, "skip", at_least=0)
        return (await self._page(size, "score", *_bounds(low, high), passing, ties=ties, order=order)).rows

    async def scroll(
        self, size: int, *, cursor: str | None = None, ties: Ties | None = None, order: Order | None = None
    ) -> Scroll:
        """Read the whole board, a stretch at a time, while scores move.

        The cursor is a place among the scores and not a number of rows. So every row that stays where it
        is is read exactly once, whatever the others do meanwhile.

        Args:
            size: Rows in a stretch.
            cursor: Where the stretch before ended; ``None`` to begin.
            ties: As for ``rank``.
            order: As for ``rank``; the same for all stretches.

        Returns:
            The rows, and the next cursor, which is ``None`` when nothing follows.

        Raises:
            ValueError: ``cursor`` is none that ``scroll`` returned.

        Complexity: O(log n + rows), and O(log n · log t) to find the place within t equal scores.
        """
        if cursor is None:
            page = await self._page(size, "from", 0, ties=ties, order=order)
        else:
            page = await self._page(size, "after", *_place(cursor), ties=ties, order=order)
        return Scroll(page.rows, f"{page.rows[-1].score:.17g} {page.last}" if page.last else None)

    async def count(self, low: float | None = None, high: float | None = None) -> int:
        """Count the members whose scores lie within bounds; ``None`` for no bound. O(log n)."""
        counts = await self._counts(*_bounds(low, high))
        return 0 if counts is None else counts.same

    async def len(self) -> int:
        """Count the members. O(log n)."""
        return await self.count()

    async def percentile(self, member: str) -> float | None:
        """Say what share of the board a member leaves behind, in percent.

        It is 100 · (worse + half of those level) / all, the member itself being level with itself (the
        mid-rank formula): equal scores have equal percentiles, a better score never has a lower one, and
        all of a board on which everyone is level are at 50.

        Returns:
            A number between 0 and 100; ``None`` if the member is not on the board.

        Complexity: O(log n), one round trip.
        """
        counts = await self._counts(member=member_bytes(member))
        if counts is None:
            return None
        more = counts.total - counts.less - counts.same
        worse = counts.less if self._order == "desc" else more
        return 100 * (2 * worse + counts.same) / (2 * counts.total)

    async def score_at(self, percentile: float) -> float | None:
        """Find the score at a percentile, by nearest rank.

        ``score_at(100)`` is the best score, ``score_at(0)`` the worst, and ``score_at`` of a member's
        percentile is that member's score.

        Args:
            percentile: From 0 to 100.

        Returns:
            A score that some member has; ``None`` for an empty board.

        Complexity: O(log n), one round trip.
        """
        share = exact(percentile, "percentile")
        if not 0 <= share <= 100:  # noqa: PLR2004  # percent
            raise ValueError(f"percentile must be from 0 to 100, not {percentile!r}")
        return await self._quantile(share)

    async def _page(
        self, size: int, where: str, *place: str | int | bytes, ties: Ties | None, order: Order | None
    ) -> Page:
        return await self._read(*self._rules(ties, order), _rows(size), where, *place)

    async def _look_up(self, members: Sequence[bytes], order: Order, ties: Ties) -> list[Entry | None]:
        """Find the rows of some members."""
        found = await self._ask(_FIND, order, ties, *members)
        return looked_up(members, found)

    async def _read(self, order: Order, ties: Ties, size: int, where: str, *place: str | int | bytes) -> Page:
        """Read rows that stand one after the other; ``board_page.lua`` says where."""
        return await self._ask(_PAGE, order, ties, size, where, *place)

    async def _counts(self, low: str = "", high: str = "", member: bytes = b"") -> Counts | None:
        """Count by bounds, or those level with a member; ``None`` if that is not there."""
        return await self._ask(_COUNT, low, high, member)

    async def _quantile(self, share: float) -> float | None:
        """Find the score at a percentile; ``None`` on an empty board."""
        return await self._ask(_QUANTILE, self._order, f"{share:.17g}")


def _rows(size: int) -> int:
    return integer(size, "the number of rows", at_least=1, at_most=MOST_ROWS)


def _bounds(low: float | None, high: float | None) -> tuple[str, str]:
    least = -math.inf if low is None else exact(low, "low")
    most = math.inf if high is None else exact(high, "high")
    if least > most:
        raise ValueError(f"low must not be greater than high, as {low!r} is than {high!r}")
    return ("-inf" if low is None else f"{least:.17g}", "+inf" if high is None else f"{most:.17g}")


def _place(cursor: str) -> tuple[str, bytes]:
    if not isinstance(cursor, str):
        raise TypeError(f"cursor must be a str, not {type(cursor).__name__} {cursor!r}")
    score, _, entry = cursor.partition(" ")
    try:
        return f"{exact(float(score)):.17g}", member_bytes(entry)
    except ValueError:
        raise ValueError(f"cursor must be one that scroll() returned, not {cursor!r}") from None
