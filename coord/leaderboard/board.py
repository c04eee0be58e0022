"""The board: its parts put together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coord.leaderboard.copies import AsyncMerges, AsyncSnapshots
from coord.leaderboard.reads import AsyncReads
from coord.leaderboard.submits import AsyncSubmits
from coord.leaderboard.upkeep import AsyncUpkeep

if TYPE_CHECKING:
    from coord.leaderboard.base import Setup
    from coord.leaderboard.schedule import BoardPeriod
    from coord.periods import Instant

__all__ = ["AsyncLeaderboard", "AsyncPeriodBoard"]


class AsyncPeriodBoard(AsyncReads, AsyncUpkeep, AsyncSnapshots):
    """One period of a board with periods: what ``of()`` returns. It is read and kept like any other."""


class AsyncLeaderboard(AsyncSubmits, AsyncReads, AsyncUpkeep, AsyncSnapshots, AsyncMerges):
    """Ranks members by score.

    Made by ``leaderboard()`` of a ``Coord`` or ``AsyncCoord``. The keys of a board without periods are
    permanent: it lives until its last member is removed or it is cleared. Of a board with periods, what is
    read, and removed, is the current period of the first kind; ``of()`` gives the others.

    Guarantees: a submission is atomic, also where it feeds several periods, so that of concurrent ones none
    is lost and ``keep="best"`` ends at the best of all. Every read is of one moment. A submission whose
    reply was lost is not sent again: the client's exception says that its outcome is unknown.
    """

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)

    def of(self, period: BoardPeriod, *, at: Instant | None = None, ago: int = 0) -> AsyncPeriodBoard:
        """Turn to one period of a board with periods.

        Args:
            period: A kind that the board keeps: ``"day"``, ``"all"``, ...
            at: The period that this instant belongs to; ``None`` for the current one ...
            ago: ... or so many before it. A season that is over is the current one until the next begins.

        Returns:
            The board of that period. "Current" is what it is when you read, not now.

        Raises:
            ValueError: The board does not keep this kind.
        """
        if self._setup.schedule is None:
            raise ValueError(f"board {self.name!r} has no periods")
        return AsyncPeriodBoard(self._setup, self._setup.schedule.window(period, at, ago))
