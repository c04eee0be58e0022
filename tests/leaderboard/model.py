"""A leaderboard in plain Python: what coord's boards are held against."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

from coord import Entry

if TYPE_CHECKING:
    from coord.leaderboard import Order, Ties

RULES: tuple[Ties, ...] = ("competition", "ordinal", "modified", "dense", "fractional")
ORDERS: tuple[Order, ...] = ("desc", "asc")


@dataclass
class PlainBoard:
    """Members, scores, notes, and when each score was reached."""

    order: str = "desc"
    keep: str = "last"
    tiebreak: str = "name"
    scores: dict[str, float] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    reached: dict[str, int] = field(default_factory=dict)
    clock: count[int] = field(default_factory=count)
    then: dict[str, float] | None = None

    def submit(self, member: str, score: float, keep: str | None = None, meta: str | None = None) -> float:
        keep = keep or self.keep
        old = self.scores.get(member)
        wins = True
        if old is not None and keep == "sum":
            score = old + score
        elif old is not None and keep == "first":
            score, wins = old, False
        elif old is not None and keep in ("best", "worst"):
            greater = (keep == "best") == (self.order == "desc")
            wins = score > old if greater else score < old
            score = score if wins else old
        if score != old:
            self.scores[member] = score + 0.0
            self.reached[member] = next(self.clock)
        if meta is not None and wins:
            self.notes[member] = meta
        return self.scores[member]

    def remove(self, member: str) -> int:
        for kept in (self.notes, self.reached):
            kept.pop(member, None)
        return int(self.scores.pop(member, None) is not None)

    def trim(self, best: int) -> int:
        gone = self.standing(self.order)[best:]
        return sum(self.remove(member) for member in gone)

    def standing(self, order: str) -> list[str]:
        """Members as their rows stand."""

        def place(member: str) -> tuple[float, object]:
            score = self.scores[member]
            tie = self.reached[member] if self.tiebreak == "first" else member.encode()
            return (-score if order == "desc" else score, tie)

        return sorted(self.scores, key=place)

    def rows(self, ties: str = "competition", order: str | None = None) -> list[Entry]:
        order = order or self.order
        standing = self.standing(order)
        points = [self.scores[member] for member in standing]
        return [
            Entry(_rank(points, place, ties), member, self.scores[member], self.notes.get(member))
            for place, member in enumerate(standing)
        ]

    def row(self, member: str, ties: str = "competition", order: str | None = None) -> Entry | None:
        return next((row for row in self.rows(ties, order) if row.member == member), None)

    def around(self, member: str, size: int, ties: str, order: str) -> list[Entry]:
        rows = self.rows(ties, order)
        place = [row.member for row in rows].index(member)
        start = max(0, min(place - size // 2, len(rows) - size))
        return rows[start : start + size]

    def percentile(self, member: str) -> float:
        mine = self.scores[member]
        worse = [
            one for one in self.scores.values() if (one < mine) == (self.order == "desc") and one != mine
        ]
        level = [one for one in self.scores.values() if one == mine]
        return 100 * (len(worse) + len(level) / 2) / len(self.scores)

    def score_at(self, percentile: float) -> float:
        from_worst = sorted(self.scores.values(), reverse=self.order == "asc")
        return from_worst[max(1, math.ceil(percentile / 100 * len(from_worst))) - 1]


def _rank(points: list[float], place: int, ties: str) -> float:
    first = points.index(points[place]) + 1
    last = first + points.count(points[place]) - 1
    ranks: dict[str, float] = {
        "ordinal": place + 1,
        "competition": first,
        "modified": last,
        "fractional": (first + last) // 2 if (first + last) % 2 == 0 else (first + last) / 2,
        "dense": len(set(points[: place + 1])),
    }
    return ranks[ties]
