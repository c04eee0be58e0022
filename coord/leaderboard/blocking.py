"""The sync faces of boards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coord._engine.faces import twin_of
from coord._engine.port import step
from coord.leaderboard.board import AsyncLeaderboard, AsyncPeriodBoard
from coord.leaderboard.copies import DAY, AsyncSnapshots
from coord.leaderboard.reads import AsyncReads
from coord.leaderboard.sharded import AsyncShardedLeaderboard
from coord.leaderboard.upkeep import AsyncUpkeep

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from coord._engine.checks import Seconds
    from coord.leaderboard.base import Setup
    from coord.leaderboard.copies import Combine, How, Movement
    from coord.leaderboard.schedule import BoardPeriod
    from coord.leaderboard.scores import Entry, Keep, Order, Rank, Scroll, Submission, Ties
    from coord.periods import Instant

__all__ = ["Leaderboard", "PeriodBoard", "ShardedLeaderboard"]


@twin_of(AsyncReads)
class _Reads:
    _reads: AsyncReads

    def rank(self, member: str, *, ties: Ties | None = None, order: Order | None = None) -> Rank | None:
        return step(self._reads.rank(member, ties=ties, order=order))

    def score(self, member: str) -> float | None:
        return step(self._reads.score(member))

    def ranks_of(
        self, *members: str, ties: Ties | None = None, order: Order | None = None
    ) -> list[Entry | None]:
        return step(self._reads.ranks_of(*members, ties=ties, order=order))

    def top(self, n: int, *, ties: Ties | None = None, order: Order | None = None) -> list[Entry]:
        return step(self._reads.top(n, ties=ties, order=order))

    def bottom(self, n: int, *, ties: Ties | None = None, order: Order | None = None) -> list[Entry]:
        return step(self._reads.bottom(n, ties=ties, order=order))

    def page(
        self, number: int, size: int, *, ties: Ties | None = None, order: Order | None = None
    ) -> list[Entry]:
        return step(self._reads.page(number, size, ties=ties, order=order))

    def around(
        self, member: str, size: int, *, ties: Ties | None = None, order: Order | None = None
    ) -> list[Entry]:
        return step(self._reads.around(member, size, ties=ties, order=order))

    def at(self, place: int, *, ties: Ties | None = None, order: Order | None = None) -> Entry | None:
        return step(self._reads.at(place, ties=ties, order=order))

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
        return step(self._reads.by_score(low, high, size=size, skip=skip, ties=ties, order=order))

    def scroll(
        self, size: int, *, cursor: str | None = None, ties: Ties | None = None, order: Order | None = None
    ) -> Scroll:
        return step(self._reads.scroll(size, cursor=cursor, ties=ties, order=order))

    def count(self, low: float | None = None, high: float | None = None) -> int:
        return step(self._reads.count(low, high))

    def len(self) -> int:
        return step(self._reads.len())

    def percentile(self, member: str) -> float | None:
        return step(self._reads.percentile(member))

    def score_at(self, percentile: float) -> float | None:
        return step(self._reads.score_at(percentile))


@twin_of(AsyncUpkeep)
class _Upkeep:
    _upkeep: AsyncUpkeep

    def remove(self, *members: str) -> int:
        return step(self._upkeep.remove(*members))

    def set_meta(self, member: str, meta: str | None) -> bool:
        return step(self._upkeep.set_meta(member, meta))

    def trim(self, best: int) -> int:
        return step(self._upkeep.trim(best))

    def purge(self) -> int:
        return step(self._upkeep.purge())

    def clear(self) -> None:
        step(self._upkeep.clear())


@twin_of(AsyncSnapshots)
class _Snapshots:
    _snapshots: AsyncSnapshots

    def snapshot(self, label: str, *, ttl: Seconds = 8 * DAY) -> int:
        return step(self._snapshots.snapshot(label, ttl=ttl))

    def movement(
        self, *members: str, snapshot: str, ties: Ties | None = None, order: Order | None = None
    ) -> list[Movement]:
        return step(self._snapshots.movement(*members, snapshot=snapshot, ties=ties, order=order))


@twin_of(AsyncPeriodBoard)
class PeriodBoard(_Reads, _Upkeep, _Snapshots):
    def __init__(self, flow: AsyncPeriodBoard) -> None:
        self._flow = self._reads = self._upkeep = self._snapshots = flow
        self.name = flow.name

    def __repr__(self) -> str:
        return repr(self._flow).replace("Async", "", 1)


@twin_of(AsyncLeaderboard)
class Leaderboard(_Reads, _Upkeep, _Snapshots):
    def __init__(self, setup: Setup) -> None:
        self._flow = self._reads = self._upkeep = self._snapshots = AsyncLeaderboard(setup)
        self.name = setup.name

    def __repr__(self) -> str:
        return repr(self._flow).replace("Async", "", 1)

    def of(self, period: BoardPeriod, *, at: Instant | None = None, ago: int = 0) -> PeriodBoard:
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

    def merge(
        self,
        *sources: Leaderboard | PeriodBoard,
        weights: Sequence[float] | None = None,
        combine: Combine = "sum",
        how: How = "union",
    ) -> int:
        flows = [_flow_of(source) for source in sources]
        return step(self._flow.merge(*flows, weights=weights, combine=combine, how=how))


@twin_of(AsyncShardedLeaderboard)
class ShardedLeaderboard(_Reads):
    def __init__(self, setup: Setup, shards: int) -> None:
        self._flow = self._reads = AsyncShardedLeaderboard(setup, shards)
        self.name = setup.name

    def __repr__(self) -> str:
        return repr(self._flow).replace("Async", "", 1)

    def submit(
        self,
        member: str,
        score: float,
        *,
        keep: Keep | None = None,
        meta: str | None = None,
        ttl: Seconds | None = None,
    ) -> Submission:
        return step(self._flow.submit(member, score, keep=keep, meta=meta, ttl=ttl))

    def submit_many(
        self,
        scores: Mapping[str, float],
        *,
        keep: Keep | None = None,
        meta: Mapping[str, str] | None = None,
        ttl: Seconds | None = None,
    ) -> dict[str, Submission]:
        return step(self._flow.submit_many(scores, keep=keep, meta=meta, ttl=ttl))

    def store(
        self,
        scores: Mapping[str, float],
        *,
        keep: Keep | None = None,
        meta: Mapping[str, str] | None = None,
        ttl: Seconds | None = None,
    ) -> dict[str, float]:
        return step(self._flow.store(scores, keep=keep, meta=meta, ttl=ttl))

    def score(self, member: str) -> float | None:
        return step(self._flow.score(member))

    def histogram(self, *bounds: float) -> list[int]:
        return step(self._flow.histogram(*bounds))

    def remove(self, *members: str) -> int:
        return step(self._flow.remove(*members))

    def set_meta(self, member: str, meta: str | None) -> bool:
        return step(self._flow.set_meta(member, meta))

    def trim(self, best: int) -> int:
        return step(self._flow.trim(best))

    def purge(self) -> int:
        return step(self._flow.purge())

    def clear(self) -> None:
        step(self._flow.clear())


def _flow_of(board: Leaderboard | PeriodBoard) -> AsyncLeaderboard | AsyncPeriodBoard:
    if not isinstance(board, Leaderboard | PeriodBoard):
        raise TypeError(f"a source must be a board of the same flavour, not {type(board).__name__}")
    return board._flow
