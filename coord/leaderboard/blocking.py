"""The sync faces of boards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coord._engine.faces import twin_of
from coord._engine.port import step
from coord.leaderboard.board import AsyncLeaderboard, AsyncPeriodBoard
from coord.leaderboard.reads import AsyncReads
from coord.leaderboard.upkeep import AsyncUpkeep

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from coord._engine.checks import Seconds
    from coord.leaderboard.base import Setup
    from coord.leaderboard.scores import Entry, Keep, Order, Rank, Scroll, Submission, Ties
    from coord.periods import Instant

__all__ = ["Leaderboard", "PeriodBoard"]


@twin_of(AsyncReads)
class _Reads:
    _flow: AsyncReads

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


@twin_of(AsyncUpkeep)
class _Upkeep:
    _flow: AsyncUpkeep

    def remove(self, *members: str) -> int:
        return step(self._flow.remove(*members))

    def note(self, member: str, meta: str | None) -> bool:
        return step(self._flow.note(member, meta))

    def trim(self, best: int) -> int:
        return step(self._flow.trim(best))

    def purge(self) -> int:
        return step(self._flow.purge())

    def clear(self) -> None:
        step(self._flow.clear())


@twin_of(AsyncPeriodBoard)
class PeriodBoard(_Reads, _Upkeep):
    _flow: AsyncPeriodBoard

    def __init__(self, flow: AsyncPeriodBoard) -> None:
        self._flow = flow
        self.name = flow.name

    def __repr__(self) -> str:
        return repr(self._flow).replace("Async", "", 1)


@twin_of(AsyncLeaderboard)
class Leaderboard(_Reads, _Upkeep):
    _flow: AsyncLeaderboard

    def __init__(self, setup: Setup) -> None:
        self._flow = AsyncLeaderboard(setup)
        self.name = setup.name

    def __repr__(self) -> str:
        return repr(self._flow).replace("Async", "", 1)

    def of(self, period: str, *, at: Instant | None = None, ago: int = 0) -> PeriodBoard:
        return PeriodBoard(self._flow.of(period, at=at, ago=ago))

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
