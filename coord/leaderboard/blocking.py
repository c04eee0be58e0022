"""The sync face of a board."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coord._engine.faces import twin_of
from coord._engine.port import step
from coord.leaderboard.board import AsyncLeaderboard

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from coord._engine.checks import Seconds
    from coord._engine.keys import Keys
    from coord._engine.port import Port
    from coord.leaderboard.scores import Entry, Keep, Order, Rank, Scroll, Submission, Ties
    from coord.periods import Instant

__all__ = ["Leaderboard"]


@twin_of(AsyncLeaderboard)
class Leaderboard:
    def __init__(
        self,
        port: Port,
        keys: Keys,
        name: str,
        *,
        order: str = "desc",
        keep: str = "last",
        ties: str = "competition",
        tiebreak: str = "name",
        member_ttl: Seconds | None = None,
    ) -> None:
        self._flow = AsyncLeaderboard(
            port, keys, name, order=order, keep=keep, ties=ties, tiebreak=tiebreak, member_ttl=member_ttl
        )
        self.name = name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

    def submit(
        self,
        member: str,
        score: float,
        *,
        keep: Keep | None = None,
        meta: str | None = None,
        ttl: Seconds | None = None,
        overtaken: int = 0,
        at: Instant | None = None,
    ) -> Submission:
        return step(
            self._flow.submit(member, score, keep=keep, meta=meta, ttl=ttl, overtaken=overtaken, at=at)
        )

    def submit_many(
        self,
        scores: Mapping[str, float],
        *,
        keep: Keep | None = None,
        meta: Mapping[str, str] | None = None,
        ttl: Seconds | None = None,
        overtaken: int = 0,
        at: Instant | None = None,
    ) -> dict[str, Submission]:
        return step(self._flow.submit_many(scores, keep=keep, meta=meta, ttl=ttl, overtaken=overtaken, at=at))

    def note(self, member: str, meta: str | None) -> bool:
        return step(self._flow.note(member, meta))

    def rank(self, member: str, *, ties: Ties | None = None, order: Order | None = None) -> Rank | None:
        return step(self._flow.rank(member, ties=ties, order=order))

    def score(self, member: str) -> float | None:
        return step(self._flow.score(member))

    def ranks_of(
        self, members: Iterable[str], *, ties: Ties | None = None, order: Order | None = None
    ) -> list[Entry | None]:
        return step(self._flow.ranks_of(members, ties=ties, order=order))

    def top(self, n: int, *, ties: Ties | None = None, order: Order | None = None) -> list[Entry]:
        return step(self._flow.top(n, ties=ties, order=order))

    def bottom(self, n: int, *, ties: Ties | None = None, order: Order | None = None) -> list[Entry]:
        return step(self._flow.bottom(n, ties=ties, order=order))

    def page(
        self, number: int, size: int, *, ties: Ties | None = None, order: Order | None = None
    ) -> list[Entry]:
        return step(self._flow.page(number, size, ties=ties, order=order))

    def around(
        self, member: str, size: int, *, ties: Ties | None = None, order: Order | None = None
    ) -> list[Entry]:
        return step(self._flow.around(member, size, ties=ties, order=order))

    def at(self, place: int, *, ties: Ties | None = None, order: Order | None = None) -> Entry | None:
        return step(self._flow.at(place, ties=ties, order=order))

    def by_score(
        self,
        low: float | None = None,
        high: float | None = None,
        *,
        size: int,
        skip: int = 0,
        ties: Ties | None = None,
        order: Order | None = None,
    ) -> list[Entry]:
        return step(self._flow.by_score(low, high, size=size, skip=skip, ties=ties, order=order))

    def scroll(
        self, size: int, *, cursor: str | None = None, ties: Ties | None = None, order: Order | None = None
    ) -> Scroll:
        return step(self._flow.scroll(size, cursor=cursor, ties=ties, order=order))

    def count(self, low: float | None = None, high: float | None = None) -> int:
        return step(self._flow.count(low, high))

    def len(self) -> int:
        return step(self._flow.len())

    def percentile(self, member: str) -> float | None:
        return step(self._flow.percentile(member))

    def score_at(self, percentile: float) -> float | None:
        return step(self._flow.score_at(percentile))

    def remove(self, *members: str) -> int:
        return step(self._flow.remove(*members))

    def trim(self, best: int) -> int:
        return step(self._flow.trim(best))

    def purge(self) -> int:
        return step(self._flow.purge())

    def clear(self) -> None:
        step(self._flow.clear())
