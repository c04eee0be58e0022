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
    TooNoisy,
    Vote,
    WrongKeyType,
)
from coord.hub import AsyncCoord, Coord
from coord.leaderboard import AsyncLeaderboard, Entry, Leaderboard, Submission
from coord.limits import AsyncSlidingWindow, AsyncTokenBucket, Decision, SlidingWindow, TokenBucket
from coord.locks import (
    AsyncHold,
    AsyncLease,
    AsyncLock,
    AsyncLocks,
    AsyncLoss,
    Hold,
    Lease,
    Lock,
    Locks,
    LockStatus,
    Loss,
)
from coord.quorum import AsyncQuorum, Quorum
from coord.redlock import AsyncQuorumLock, QuorumLock
from coord.uniques import (
    AsyncSelection,
    AsyncSlidingUniqueCounter,
    AsyncUniqueCounter,
    Estimate,
    Selection,
    SlidingUniqueCounter,
    UniqueCounter,
)

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
    "AsyncLocks",
    "AsyncLoss",
    "AsyncQuorum",
    "AsyncQuorumLock",
    "AsyncSelection",
    "AsyncSlidingUniqueCounter",
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
    "Locks",
    "Loss",
    "NotDurable",
    "Quorum",
    "QuorumError",
    "QuorumLock",
    "Selection",
    "SelfDeadlock",
    "SlidingUniqueCounter",
    "SlidingWindow",
    "Submission",
    "TokenBucket",
    "TooNoisy",
    "UniqueCounter",
    "Vote",
    "WrongKeyType",
    "__version__",
)
