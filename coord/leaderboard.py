"""Who is ahead: a sorted set of members and scores, ranked when read.

Scores are doubles. The whole numbers that a double cannot hold exactly are refused, because the server
would silently store a neighbour; so are NaN and the infinities.

Source: https://redis.io/docs/latest/develop/data-types/sorted-sets/.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from coord._engine.checks import MAX_EXACT, integer, one_of
from coord._engine.faces import twin_of
from coord._engine.port import step
from coord._engine.replies import as_int, as_optional_float, as_rows, text
from coord._engine.script import Command, Script

if TYPE_CHECKING:
    from coord._engine.keys import Keys
    from coord._engine.port import Port
    from coord._engine.script import Reply

__all__ = ["AsyncLeaderboard", "Entry", "Keep", "Leaderboard", "Order", "Submission", "Ties"]

Keep = Literal["last", "best", "sum"]
Order = Literal["desc", "asc"]
Ties = Literal["competition", "ordinal"]

_KEEPS = ("last", "best", "sum")
_ORDERS = ("desc", "asc")
_TIES = ("competition", "ordinal")


@dataclass(frozen=True, slots=True)
class Submission:
    """What a submitted score did.

    Attributes:
        score: The member's score now, under the rule that was applied.
        changed: Whether that differs from before; true for a new member.
        rank: The member's rank now, from 1.
        previous_rank: Its rank before; ``None`` for a new member.
    """

    score: float
    changed: bool
    rank: int
    previous_rank: int | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of a board.

    Attributes:
        rank: From 1, by the board's rule for ties.
        member: Who.
        score: With how much.
    """

    rank: int
    member: str
    score: float


@dataclass(frozen=True, slots=True)
class _Page:
    """Rows as the server sends them: where they start, and how many score better than the first."""

    position: int
    better: int
    rows: list[tuple[str, float]]

    def ranked(self, ties: str) -> list[Entry]:
        """Number the rows. Ties in a competition share the rank of the first of them (1, 2, 2, 4)."""
        entries: list[Entry] = []
        rank = self.better + 1
        for offset, (member, score) in enumerate(self.rows):
            if ties == "ordinal" or (entries and score != entries[-1].score):
                rank = self.position + offset + 1
            entries.append(Entry(rank, member, score))
        return entries


def _page(reply: Reply) -> _Page:
    row = as_rows(reply)
    if not row:
        return _Page(0, 0, [])
    pairs = zip(row[2::2], row[3::2], strict=True)
    return _Page(as_int(row[0]), as_int(row[1]), [(text(who), float(text(points))) for who, points in pairs])


def _submission(reply: Reply) -> Submission | None:
    score, changed, rank, previous = as_rows(reply)
    if not score:
        return None
    return Submission(float(text(score)), bool(changed), as_int(rank), as_int(previous) or None)


_SUBMIT = Script("board_submit", parse=_submission, repeatable=False)
_PAGE = Script("board_page", parse=_page, repeatable=True)
_SCORE = Command("ZSCORE", parse=as_optional_float, repeatable=True)
_LENGTH = Command("ZCARD", parse=as_int, repeatable=True)
_REMOVE = Command("ZREM", parse=as_int, repeatable=False)


class AsyncLeaderboard:
    """Ranks members by score.

    Made by ``leaderboard()`` of a ``Coord`` or ``AsyncCoord``. Its key is permanent: a board lives until
    it is deleted.

    Guarantees: a submission is atomic, so that of concurrent ones none is lost and ``keep="best"`` ends
    at the best of all. A submission whose reply was lost is not sent again: the client's exception says
    that its outcome is unknown.
    """

    def __init__(
        self,
        port: Port,
        keys: Keys,
        name: str,
        *,
        order: Order = "desc",
        keep: Keep = "last",
        ties: Ties = "competition",
    ) -> None:
        self._port = port
        self._key = keys("board", name)
        self._order = one_of(order, "order", _ORDERS)
        self._keep = one_of(keep, "keep", _KEEPS)
        self._ties = one_of(ties, "ties", _TIES)
        self.name = name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

    async def submit(self, member: str, score: float, *, keep: Keep | None = None) -> Submission:
        """Give a member a score.

        Args:
            member: Who.
            score: A finite number that a double can hold exactly.
            keep: Which score stays: ``"last"`` this one, ``"best"`` the better of old and new,
                ``"sum"`` old and new added; ``None`` for the board's rule.

        Returns:
            The score that stays, whether it changed, and the ranks after and before.

        Raises:
            TypeError: ``member`` is not a ``str``, or ``score`` not a number.
            ValueError: A double cannot hold the score, or the sum would reach 2**53.

        Complexity: O(log n).
        """
        rule = self._keep if keep is None else one_of(keep, "keep", _KEEPS)
        points = f"{_exact(score):.17g}"
        done = await self._port.run(
            _SUBMIT([self._key], _member(member), points, rule, self._order, self._ties)
        )
        if done is None:
            raise ValueError(
                f"adding {score!r} to the score of {member!r} reaches 2**53, where sums begin to lose points"
            )
        return done

    async def rank(self, member: str, *, ties: Ties | None = None) -> int | None:
        """Find a member's rank, from 1.

        Args:
            member: Who.
            ties: How equal scores rank: ``"competition"`` shares the best place (1, 2, 2, 4),
                ``"ordinal"`` gives each its own; ``None`` for the board's rule.

        Returns:
            The rank, or ``None`` if the member is not on the board.

        Complexity: O(log n).
        """
        rule = self._rule(ties)
        entries = (await self._page(1, member)).ranked(rule)
        return entries[0].rank if entries else None

    async def score(self, member: str) -> float | None:
        """Return a member's score, or ``None`` if it is not on the board. O(1)."""
        return await self._port.run(_SCORE([self._key], _member(member)))

    async def top(self, n: int, *, ties: Ties | None = None) -> list[Entry]:
        """Return the best ``n`` rows, or fewer if the board is shorter.

        Complexity: O(log n + rows).
        """
        rule = self._rule(ties)
        return (await self._page(n)).ranked(rule)

    async def around(self, member: str, size: int, *, ties: Ties | None = None) -> list[Entry]:
        """Return ``size`` rows with ``member`` in the middle, as far as the board's ends allow.

        Near an end the rows shift rather than run short: there are always min(size, length) of them,
        the member's among them. With an even ``size`` one row more stands above than below.

        Returns:
            The rows, or none if the member is not on the board.

        Complexity: O(log n + rows).
        """
        rule = self._rule(ties)
        return (await self._page(size, member)).ranked(rule)

    async def remove(self, *members: str) -> int:
        """Take members off the board.

        Returns:
            How many were on it.

        Complexity: O(log n) a member.
        """
        words = [_member(one) for one in members]
        return await self._port.run(_REMOVE([self._key], *words)) if words else 0

    async def len(self) -> int:
        """Count the members. O(1)."""
        return await self._port.run(_LENGTH([self._key]))

    def _rule(self, ties: Ties | None) -> str:
        return self._ties if ties is None else one_of(ties, "ties", _TIES)

    async def _page(self, size: int, member: str | None = None) -> _Page:
        rows = integer(size, "the number of rows", at_least=1)
        around = () if member is None else (_member(member),)
        return await self._port.run(_PAGE([self._key], self._order, rows, *around))


def _member(member: str) -> bytes:
    if not isinstance(member, str):
        raise TypeError(f"member must be a str, not {type(member).__name__} {member!r}")
    if not member:
        raise ValueError("member must not be empty")
    return member.encode()


def _exact(score: float) -> float:
    if isinstance(score, bool) or not isinstance(score, int | float):
        raise TypeError(f"score must be an int or a float, not {type(score).__name__} {score!r}")
    try:
        double = float(score)
    except OverflowError:
        double = math.inf
    if not math.isfinite(double):
        raise ValueError(f"score must be a finite number, not {score!r}")
    if double != score:
        raise ValueError(
            f"score {score!r} is a whole number that a double cannot hold; beyond ±2**53 ({MAX_EXACT}) "
            "only some can be held"
        )
    return double + 0.0  # -0.0 becomes 0.0


@twin_of(AsyncLeaderboard)
class Leaderboard:
    def __init__(
        self,
        port: Port,
        keys: Keys,
        name: str,
        *,
        order: Order = "desc",
        keep: Keep = "last",
        ties: Ties = "competition",
    ) -> None:
        self._flow = AsyncLeaderboard(port, keys, name, order=order, keep=keep, ties=ties)
        self.name = name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

    def submit(self, member: str, score: float, *, keep: Keep | None = None) -> Submission:
        return step(self._flow.submit(member, score, keep=keep))

    def rank(self, member: str, *, ties: Ties | None = None) -> int | None:
        return step(self._flow.rank(member, ties=ties))

    def score(self, member: str) -> float | None:
        return step(self._flow.score(member))

    def top(self, n: int, *, ties: Ties | None = None) -> list[Entry]:
        return step(self._flow.top(n, ties=ties))

    def around(self, member: str, size: int, *, ties: Ties | None = None) -> list[Entry]:
        return step(self._flow.around(member, size, ties=ties))

    def remove(self, *members: str) -> int:
        return step(self._flow.remove(*members))

    def len(self) -> int:
        return step(self._flow.len())
