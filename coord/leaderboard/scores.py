"""What a board is told and what it answers: scores, rules, rows; and the checks before anything is sent."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, cast, get_args

from coord._engine.checks import MAX_EXACT
from coord._engine.replies import as_int, as_rows, text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from coord._engine.script import Reply

__all__ = [
    "KEEPS",
    "ORDERS",
    "TIEBREAKS",
    "TIES",
    "Entry",
    "Keep",
    "Order",
    "Rank",
    "Scroll",
    "Submission",
    "Tiebreak",
    "Ties",
    "entries",
    "exact",
    "looked_up",
    "member_bytes",
    "meta_bytes",
    "score_text",
    "spelled",
    "submissions",
]

Keep = Literal["last", "best", "worst", "sum", "first"]
"""Which score stays when a member submits again."""

Order = Literal["desc", "asc"]
"""Whether more is better, or less."""

Ties = Literal["competition", "ordinal", "modified", "dense", "fractional"]
"""How equal scores rank."""

Tiebreak = Literal["name", "first"]
"""How equal scores stand."""

Rank = int | float
"""A place from 1 on. An ``int``, but for ``ties="fractional"``, by which it may lie halfway."""

KEEPS: tuple[Keep, ...] = get_args(Keep)
ORDERS: tuple[Order, ...] = get_args(Order)
TIES: tuple[Ties, ...] = get_args(Ties)
TIEBREAKS: tuple[Tiebreak, ...] = get_args(Tiebreak)


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of a board.

    Attributes:
        rank: From 1, by the rule for ties that was asked for.
        member: Who.
        score: With how much.
        meta: The text that was kept with the score, if any.
    """

    rank: Rank
    member: str
    score: float
    meta: str | None = None


def _no_periods() -> dict[str, Submission]:
    return {}


@dataclass(frozen=True, slots=True)
class Submission:
    """What a submitted score did.

    Attributes:
        score: The member's score now, under the rule that was applied.
        changed: Whether that differs from before; true for a new member.
        rank: The member's rank now, from 1.
        previous_rank: Its rank before; ``None`` for a new member.
        overtaken: Those whom it passed, the nearest first, as far as they were asked for.
        periods: The same for each kind of period that the board keeps, by its name; the fields above are
            those of the first. Empty for a board without periods.
        previous_score: The member's score before; ``None`` for a new member.
    """

    score: float
    changed: bool
    rank: Rank
    previous_rank: Rank | None
    overtaken: tuple[Entry, ...] = ()
    periods: Mapping[str, Submission] = field(default_factory=_no_periods, hash=False)
    previous_score: float | None = None


@dataclass(frozen=True, slots=True)
class Scroll:
    """A stretch of a board that is read from one end to the other.

    Attributes:
        rows: The rows.
        cursor: Where to read on; ``None`` at the end.
    """

    rows: list[Entry]
    cursor: str | None


def spelled(twice: int) -> Rank:
    """Read a rank, which the scripts send doubled, so that halves are whole numbers too."""
    return twice // 2 if twice % 2 == 0 else twice / 2


def entries(columns: Sequence[Reply]) -> list[Entry]:
    """Read rows as the scripts send them, in columns: twice the rank, member, score, meta."""
    return [
        Entry(spelled(as_int(twice)), text(member), float(text(score)), None if meta is None else text(meta))
        for twice, member, score, meta in zip(*map(as_rows, columns), strict=True)
    ]


def looked_up(members: Sequence[bytes], columns: Sequence[Reply]) -> list[Entry | None]:
    """Read the rows of some members: twice the rank, score, meta; a rank of 0 for one who is not there."""
    ranks, scores, metas = map(as_rows, columns)
    found = entries([ranks, list(members), [score or b"0" for score in scores], metas])
    return [row if row.rank else None for row in found]


def submissions(reply: Reply) -> list[list[Submission]]:
    """Read what each row did on each board."""
    return [[_submission(row) for row in cast("list[Reply]", board)] for board in as_rows(reply)]


def _submission(reply: Reply) -> Submission:
    score, changed, twice, before, passed, old = as_rows(reply)
    return Submission(
        float(text(score)),
        bool(changed),
        spelled(as_int(twice)),
        spelled(as_int(before)) if before else None,
        () if passed is None else tuple(entries(as_rows(passed))),
        previous_score=None if old is None else float(text(old)),
    )


def member_bytes(member: str) -> bytes:
    """Return how a member is stored.

    Raises:
        TypeError: It is no ``str``.
        ValueError: It is empty, or has no UTF-8 form.
    """
    if not isinstance(member, str):
        raise TypeError(f"member must be a str, not {type(member).__name__} {member!r}")
    if not member:
        raise ValueError("member must not be empty")
    try:
        return member.encode()
    except UnicodeEncodeError:
        raise ValueError(f"member {member!r} has lone surrogates, which UTF-8 cannot hold") from None


def meta_bytes(meta: str) -> bytes:
    """Return how meta is stored. An empty text is one too."""
    if not isinstance(meta, str):
        raise TypeError(f"meta must be a str, not {type(meta).__name__} {meta!r}; spell other things as JSON")
    try:
        return meta.encode()
    except UnicodeEncodeError:
        raise ValueError(f"meta {meta!r} has lone surrogates, which UTF-8 cannot hold") from None


def exact(score: float, what: str = "score") -> float:
    """Return a score as the double that it is.

    Raises:
        TypeError: It is no number; ``True`` is none here.
        ValueError: It is NaN, infinite, or a whole number that a double cannot hold.
    """
    if isinstance(score, bool) or not isinstance(score, int | float):
        raise TypeError(f"{what} must be an int or a float, not {type(score).__name__} {score!r}")
    try:
        double = float(score)
    except OverflowError:
        double = math.inf
    if not math.isfinite(double):
        raise ValueError(f"{what} must be a finite number, not {_short(score)}")
    if double != score:
        raise ValueError(
            f"{what} {_short(score)} is a whole number that a double cannot hold; beyond ±2**53 "
            f"({MAX_EXACT}) only some can be held"
        )
    return double + 0.0  # -0.0 becomes 0.0


def score_text(score: float, what: str = "score") -> str:
    """Spell a score so that the very same double is read from it."""
    return f"{exact(score, what):.17g}"


def _short(score: float) -> str:
    try:
        return repr(score)
    except ValueError:  # Python refuses to spell an int of more than 4,300 digits
        return "so large a number"
