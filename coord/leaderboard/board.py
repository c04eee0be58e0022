"""The board: its parts put together."""

from __future__ import annotations

from coord.leaderboard.reads import AsyncReads
from coord.leaderboard.submits import AsyncSubmits
from coord.leaderboard.upkeep import AsyncUpkeep

__all__ = ["AsyncLeaderboard"]


class AsyncLeaderboard(AsyncSubmits, AsyncReads, AsyncUpkeep):
    """Ranks members by score.

    Made by ``leaderboard()`` of a ``Coord`` or ``AsyncCoord``. Its keys are permanent: a board lives until
    its last member is removed or it is cleared.

    Guarantees: a submission is atomic, so that of concurrent ones none is lost and ``keep="best"`` ends
    at the best of all. Every read is of one moment. A submission whose reply was lost is not sent again:
    the client's exception says that its outcome is unknown.
    """
