"""Distributed coordination primitives on Redis and Valkey, sync and async over the same Lua scripts."""

from coord.activity import Activity, AsyncActivity, AsyncCohort, Cohort
from coord.errors import CoordError, LockError, LockLost, LockTimeout, SelfDeadlock, WrongKeyType
from coord.hub import AsyncCoord, Coord
from coord.leaderboard import (
    AsyncLeaderboard,
    AsyncPeriodBoard,
    Entry,
    Leaderboard,
    Movement,
    PeriodBoard,
    Scroll,
    Season,
    Submission,
)
from coord.limits import AsyncSlidingWindow, AsyncTokenBucket, Decision, SlidingWindow, TokenBucket
from coord.locks import AsyncHold, AsyncLease, AsyncLock, AsyncLoss, Hold, Lease, Lock, LockStatus, Loss
from coord.uniques import AsyncUniqueCounter, Estimate, UniqueCounter

__version__ = "0.1.0"

__all__ = (
    "Activity",
    "AsyncActivity",
    "AsyncCohort",
    "AsyncCoord",
    "AsyncHold",
    "AsyncLeaderboard",
    "AsyncLease",
    "AsyncLock",
    "AsyncLoss",
    "AsyncPeriodBoard",
    "AsyncSlidingWindow",
    "AsyncTokenBucket",
    "AsyncUniqueCounter",
    "Cohort",
    "Coord",
    "CoordError",
    "Decision",
    "Entry",
    "Estimate",
    "Hold",
    "Leaderboard",
    "Lease",
    "Lock",
    "LockError",
    "LockLost",
    "LockStatus",
    "LockTimeout",
    "Loss",
    "Movement",
    "PeriodBoard",
    "Scroll",
    "Season",
    "SelfDeadlock",
    "SlidingWindow",
    "Submission",
    "TokenBucket",
    "UniqueCounter",
    "WrongKeyType",
    "__version__",
)
