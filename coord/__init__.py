"""Distributed coordination primitives on Redis and Valkey, sync and async over the same Lua scripts."""

from coord.activity import Activity, AsyncActivity, AsyncCohort, Cohort
from coord.errors import CoordError, LockError, LockLost, LockTimeout, RateLimited, SelfDeadlock, WrongKeyType
from coord.hub import AsyncCoord, Coord
from coord.leaderboard import AsyncLeaderboard, Entry, Leaderboard, Submission
from coord.limits import (
    AsyncFixedWindow,
    AsyncLimits,
    AsyncPermit,
    AsyncSlidingWindow,
    AsyncSlot,
    AsyncTokenBucket,
    Decision,
    FixedWindow,
    LimiterOptions,
    Limits,
    LimitsOptions,
    Permit,
    SlidingWindow,
    Slot,
    TokenBucket,
    upstream_pause,
)
from coord.locks import AsyncHold, AsyncLease, AsyncLock, AsyncLoss, Hold, Lease, Lock, LockStatus, Loss
from coord.uniques import AsyncUniqueCounter, Estimate, UniqueCounter

__version__ = "0.1.0"

__all__ = (
    "Activity",
    "AsyncActivity",
    "AsyncCohort",
    "AsyncCoord",
    "AsyncFixedWindow",
    "AsyncHold",
    "AsyncLeaderboard",
    "AsyncLease",
    "AsyncLimits",
    "AsyncLock",
    "AsyncLoss",
    "AsyncPermit",
    "AsyncSlidingWindow",
    "AsyncSlot",
    "AsyncTokenBucket",
    "AsyncUniqueCounter",
    "Cohort",
    "Coord",
    "CoordError",
    "Decision",
    "Entry",
    "Estimate",
    "FixedWindow",
    "Hold",
    "Leaderboard",
    "Lease",
    "LimiterOptions",
    "Limits",
    "LimitsOptions",
    "Lock",
    "LockError",
    "LockLost",
    "LockStatus",
    "LockTimeout",
    "Loss",
    "Permit",
    "RateLimited",
    "SelfDeadlock",
    "SlidingWindow",
    "Slot",
    "Submission",
    "TokenBucket",
    "UniqueCounter",
    "WrongKeyType",
    "__version__",
    "upstream_pause",
)
