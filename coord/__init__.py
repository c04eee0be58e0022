"""Distributed coordination primitives on Redis and Valkey, sync and async over the same Lua scripts.

Locks and limiters come with the package. What is less often asked for in every process is loaded when one of
its names first is, or when a ``Coord`` first makes one: it is half of what importing the package would take.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from coord.concurrency import (
    AsyncConcurrencyHold,
    AsyncConcurrencyLimit,
    AsyncConcurrencyPermit,
    ConcurrencyHold,
    ConcurrencyHolder,
    ConcurrencyLimit,
    ConcurrencyOptions,
    ConcurrencyPermit,
    ConcurrencyStatus,
)
from coord.errors import (
    CoordError,
    LockError,
    LockLost,
    LockTimeout,
    NotDurable,
    NotOwned,
    PermitError,
    PermitLost,
    PermitTimeout,
    QuorumError,
    RateLimited,
    SelfDeadlock,
    StaleFence,
    TooNoisy,
    Vote,
    WrongKeyType,
)
from coord.hub import AsyncCoord, Coord
from coord.limits import (
    AsyncCharge,
    AsyncCharging,
    AsyncFixedWindow,
    AsyncLimits,
    AsyncSlidingWindow,
    AsyncTokenBucket,
    Charge,
    Charging,
    Decision,
    FixedWindow,
    LimiterOptions,
    Limits,
    LimitsOptions,
    SlidingWindow,
    TokenBucket,
    upstream_pause,
)
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

if TYPE_CHECKING:
    from coord.activity import (
        Activity,
        AsyncActivity,
        AsyncCohort,
        AsyncOrderedFunnel,
        Cohort,
        FunnelReport,
        FunnelStep,
        OrderedFunnel,
        RetentionRow,
        RetentionTable,
    )
    from coord.admission import (
        Admission,
        AdmissionHold,
        AdmissionPermit,
        AsyncAdmission,
        AsyncAdmissionHold,
        AsyncAdmissionPermit,
        Denied,
    )
    from coord.leaderboard import (
        AsyncLeaderboard,
        AsyncPeriodBoard,
        AsyncShardedLeaderboard,
        Entry,
        Leaderboard,
        Movement,
        PeriodBoard,
        Scroll,
        Season,
        ShardedLeaderboard,
        Submission,
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
    "Admission",
    "AdmissionHold",
    "AdmissionPermit",
    "AsyncActivity",
    "AsyncAdmission",
    "AsyncAdmissionHold",
    "AsyncAdmissionPermit",
    "AsyncCharge",
    "AsyncCharging",
    "AsyncCohort",
    "AsyncConcurrencyHold",
    "AsyncConcurrencyLimit",
    "AsyncConcurrencyPermit",
    "AsyncCoord",
    "AsyncFenced",
    "AsyncFixedWindow",
    "AsyncGuarded",
    "AsyncHold",
    "AsyncLeaderboard",
    "AsyncLease",
    "AsyncLimits",
    "AsyncLock",
    "AsyncLocks",
    "AsyncLoss",
    "AsyncOrderedFunnel",
    "AsyncPeriodBoard",
    "AsyncQuorum",
    "AsyncQuorumLock",
    "AsyncSelection",
    "AsyncShardedLeaderboard",
    "AsyncSlidingUniqueCounter",
    "AsyncSlidingWindow",
    "AsyncTokenBucket",
    "AsyncUniqueCounter",
    "Charge",
    "Charging",
    "Cohort",
    "ConcurrencyHold",
    "ConcurrencyHolder",
    "ConcurrencyLimit",
    "ConcurrencyOptions",
    "ConcurrencyPermit",
    "ConcurrencyStatus",
    "Coord",
    "CoordError",
    "Decision",
    "Denied",
    "Entry",
    "Estimate",
    "Fenced",
    "FencedValue",
    "FixedWindow",
    "FunnelReport",
    "FunnelStep",
    "Guarded",
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
    "Locks",
    "Loss",
    "Movement",
    "NotDurable",
    "NotOwned",
    "OrderedFunnel",
    "PeriodBoard",
    "PermitError",
    "PermitLost",
    "PermitTimeout",
    "Quorum",
    "QuorumError",
    "QuorumLock",
    "RateLimited",
    "RetentionRow",
    "RetentionTable",
    "Scroll",
    "Season",
    "Selection",
    "SelfDeadlock",
    "ShardedLeaderboard",
    "SlidingUniqueCounter",
    "SlidingWindow",
    "StaleFence",
    "Submission",
    "TokenBucket",
    "TooNoisy",
    "UniqueCounter",
    "Vote",
    "WrongKeyType",
    "__version__",
    "upstream_pause",
)

_LOADED_LATER = ("admission", "quorum", "redlock", "uniques", "leaderboard", "activity")


def __getattr__(name: str) -> object:
    """Load the room that a public name is from."""
    for room in _LOADED_LATER if name in __all__ else ():
        module = import_module(f"coord.{room}")
        if name in module.__all__:
            return globals().setdefault(name, getattr(module, name))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the names that are not loaded yet too."""
    return sorted({*globals(), *__all__})
