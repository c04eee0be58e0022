"""Distributed coordination primitives on Redis and Valkey, sync and async over the same Lua scripts."""

from coord.activity import Activity, AsyncActivity, AsyncCohort, Cohort
from coord.errors import (
    CoordError,
    LockError,
    LockLost,
    LockTimeout,
    NotDurable,
    QuorumError,
    SelfDeadlock,
    StaleFence,
    Vote,
    WrongKeyType,
)
from coord.hub import AsyncCoord, Coord
from coord.leaderboard import AsyncLeaderboard, Entry, Leaderboard, Submission
from coord.limits import AsyncSlidingWindow, AsyncTokenBucket, Decision, SlidingWindow, TokenBucket
from coord.locks import (
    AsyncFenced,
    AsyncGuarded,
    AsyncHold,
    AsyncLease,
    AsyncLock,
    AsyncLocks,
    AsyncLoss,
    Fenced,
    FencedValue,
    Guarded,
    Hold,
    Lease,
    Lock,
    Locks,
    LockStatus,
    Loss,
)
from coord.quorum import AsyncQuorum, Quorum
from coord.redlock import AsyncQuorumLock, QuorumLock
from coord.uniques import AsyncUniqueCounter, Estimate, UniqueCounter

__version__ = "0.1.0"

__all__ = (
    "Activity",
    "AsyncActivity",
    "AsyncCohort",
    "AsyncCoord",
    "AsyncFenced",
    "AsyncGuarded",
    "AsyncHold",
    "AsyncLeaderboard",
    "AsyncLease",
    "AsyncLock",
    "AsyncLocks",
    "AsyncLoss",
    "AsyncQuorum",
    "AsyncQuorumLock",
    "AsyncSlidingWindow",
    "AsyncTokenBucket",
    "AsyncUniqueCounter",
    "Cohort",
    "Coord",
    "CoordError",
    "Decision",
    "Entry",
    "Estimate",
    "Fenced",
    "FencedValue",
    "Guarded",
    "Hold",
    "Leaderboard",
    "Lease",
    "Lock",
    "LockError",
    "LockLost",
    "LockStatus",
    "LockTimeout",
    "Locks",
    "Loss",
    "NotDurable",
    "Quorum",
    "QuorumError",
    "QuorumLock",
    "SelfDeadlock",
    "SlidingWindow",
    "StaleFence",
    "Submission",
    "TokenBucket",
    "UniqueCounter",
    "Vote",
    "WrongKeyType",
    "__version__",
)
