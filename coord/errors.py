"""Every exception that coord raises of its own.

Redis' own exceptions (``redis.ConnectionError``, ``redis.TimeoutError``, ...) pass through unwrapped:
"the answer is no" and "I could not ask" are never the same exception. Bad arguments are plain
``ValueError`` and ``TypeError``, raised before anything is sent.

::

    CoordError
    ├── TooNoisy              an estimate that its own error drowns
    ├── WrongKeyType          a key of ours holds something else
    ├── RateLimited           a limit would have kept you waiting for longer than you would wait
    ├── PermitError
    │   ├── PermitTimeout     (also a TimeoutError) there was no room for as long as you would wait
    │   └── PermitLost        you held a permit, and no longer do
    └── LockError
        ├── LockTimeout       (also a TimeoutError) it stayed held for as long as you would wait
        ├── LockLost          you held it, and no longer do
        ├── NotOwned          the process that this one was forked from holds it, and you do not
        ├── SelfDeadlock      you hold it yourself, and would wait for ever
        ├── NotDurable        it was not as safe as you asked for, and was given back
        ├── StaleFence        a later holder has been at the value that you would read or change
        └── QuorumError       too few servers could be asked to decide whose it is
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from coord.limits.decision import Decision
    from coord.uniques.estimate import Estimate

__all__ = [
    "CoordError",
    "LockError",
    "LockLost",
    "LockTimeout",
    "NotDurable",
    "NotOwned",
    "PermitError",
    "PermitLost",
    "PermitTimeout",
    "QuorumError",
    "RateLimited",
    "SelfDeadlock",
    "StaleFence",
    "TooNoisy",
    "WrongKeyType",
]


def _again(kind: type[CoordError], args: tuple[object, ...], state: dict[str, object]) -> CoordError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(state)
    return error


class CoordError(Exception):
    """The root of every exception that coord raises of its own. Each of them can be pickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return _again, (type(self), self.args, self.__dict__)


class WrongKeyType(CoordError):
    """A key that coord needs holds a value of another type, written by someone else.

    Attributes:
        keys: The keys of the refused call; one of them is the culprit.
    """

    def __init__(self, keys: tuple[str, ...]) -> None:
        named = f"key {keys[0]!r}" if len(keys) == 1 else f"one of the keys {', '.join(map(repr, keys))}"
        super().__init__(
            f"{named} holds a value that coord did not write; delete it, or give this Coord another prefix="
        )
        self.keys = keys


class TooNoisy(CoordError):
    """An overlap or a difference whose standard error is larger than its estimate: it says nothing.

    Give ``noisy=True`` to have it all the same.

    Attributes:
        estimate: What it would have been, with its bounds.
    """

    def __init__(self, what: str, estimate: Estimate, deviation: float) -> None:
        super().__init__(
            f"the {what} is about {estimate.value}, with a standard error of {deviation:.0f} "
            f"({estimate.low} to {estimate.high} at 95 %): too noisy to say more; "
            "give noisy=True to have it all the same"
        )
        self.estimate = estimate


class RateLimited(CoordError):
    """A limiter would have kept the caller waiting for longer than its timeout. Nothing was charged.

    Attributes:
        key: Whom or what it was about.
        decision: The denial, with its ``retry_after``, the ``name`` of the limit, and ``headers()``.
    """

    def __init__(self, key: str, decision: Decision) -> None:
        super().__init__(
            f"limit {decision.name!r} denies {key!r} for another {decision.retry_after:g} s, "
            "which is longer than the timeout"
        )
        self.key = key
        self.decision = decision


class PermitError(CoordError):
    """The root of the exceptions of a concurrency limit.

    Attributes:
        name: The limit's name, as you gave it.
        key: Whom or what it was about.
    """

    def __init__(self, name: str, key: str, message: str) -> None:
        super().__init__(message)
        self.name = name
        self.key = key


class PermitTimeout(PermitError, TimeoutError):
    """There was no room for as long as the caller was willing to wait. Nothing is held.

    Attributes:
        weight: How much room was asked for.
        limit: How much there is.
        timeout: How long it was waited, in seconds.
    """

    def __init__(self, name: str, key: str, *, weight: int, limit: int, timeout: float) -> None:
        super().__init__(
            name,
            key,
            f"concurrency limit {name!r} of {limit} had no room of {weight} for {key!r} after {timeout:g} s",
        )
        self.weight = weight
        self.limit = limit
        self.timeout = timeout


class PermitLost(PermitError):
    """The lease of a permit ended before its owner gave it back: it expired, or someone reset the limit.

    Another may have been admitted in its place, so that more than the limit may have been at work.
    """

    def __init__(self, name: str, key: str) -> None:
        super().__init__(
            name,
            key,
            f"the permit of {key!r} from concurrency limit {name!r} was lost: its lease ran out, or somebody "
            "reset the limit, before it was given back",
        )


class LockError(CoordError):
    """The root of the lock's exceptions.

    Attributes:
        name: The lock's name, as you gave it.
    """

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


class LockTimeout(LockError, TimeoutError):
    """The lock stayed held for as long as the caller was willing to wait.

    Attributes:
        timeout: How long that was, in seconds.
    """

    def __init__(self, name: str, timeout: float) -> None:
        super().__init__(name, f"lock {name!r} was still held by another after {timeout:g} s")
        self.timeout = timeout


class LockLost(LockError):
    """The lease ended before its owner released it: it expired, or someone deleted it.

    Whatever the lease guarded may have been touched by the next holder. A resource that checks
    ``lease.fence`` has refused the late writes; any other has not.
    """

    def __init__(self, name: str) -> None:
        super().__init__(
            name, f"lock {name!r} was lost: its lease ran out, or somebody removed it, before it was released"
        )


class NotOwned(LockError):
    """A lease or permit was used in a process that was forked from its owner's. It is the parent's alone.

    Attributes:
        name: The name of the lock or limit.
    """

    def __init__(self, name: str, what: str, instead: str) -> None:
        super().__init__(
            name, f"the lease of {what} belongs to the process that this one was forked from; {instead}"
        )


class SelfDeadlock(LockError):
    """The task or thread that waits for the lock holds it itself, and would wait for ever."""

    def __init__(self, name: str) -> None:
        super().__init__(
            name,
            f"lock {name!r} is held by this very task or thread, which would wait for itself for ever; "
            "make the lock with reentrant=True, give it a timeout, or do not nest its blocks",
        )


class NotDurable(LockError):
    """The lock could not be made as safe as ``replicas=`` and ``fsync=`` asked for, and is not held.

    It may have been held for the moment until that was known.

    Attributes:
        replicas: How many replicas said in time that they have it, on disk if ``fsync`` was asked for.
        fsynced: Whether the server itself said in time that it is on disk; false if that was not asked for.
    """

    def __init__(self, name: str, why: str, *, replicas: int = 0, fsynced: bool = False) -> None:
        super().__init__(name, f"lock {name!r} is not held, as it would not be durable: {why}")
        self.replicas = replicas
        self.fsynced = fsynced


class StaleFence(LockError):
    """A value was asked for with a fence lower than one that it has seen: a later holder has been there.

    The lease that the fence is from has ended, whatever it says itself. Do not try again with it: what it
    read may have changed since.

    Attributes:
        name: The value's name.
        fence: The fence that was refused.
        highest: The highest that the value has seen.
    """

    def __init__(self, name: str, fence: int, highest: int) -> None:
        super().__init__(
            name,
            f"value {name!r} refuses fence {fence}: a later holder, with fence {highest}, has been "
            "there; give up this lease, and start over with a new one",
        )
        self.fence = fence
        self.highest = highest


@dataclass(frozen=True, slots=True)
class Vote:
    """What one server of a quorum answered.

    Attributes:
        node: Which server: its number and address, without secrets.
        outcome: ``"granted"``; ``"refused"``, by the lock's state there; ``"failed"``, when there was no
            answer or an error; ``"quarantined"``, when it has not been up for long enough to vote;
            ``"pending"``, when the matter was decided before it answered.
        why: More about it, for people; may be empty.
    """

    node: str
    outcome: Literal["granted", "refused", "failed", "quarantined", "pending"]
    why: str = ""

    def __str__(self) -> str:
        return f"{self.node} {self.outcome}" + (f" ({self.why})" if self.why else "")


class QuorumError(LockError):
    """Too many servers failed for the others to decide. Neither "granted" nor "held by another".

    Attributes:
        votes: What each server answered, in the order in which the quorum was given them.
    """

    def __init__(self, name: str, votes: tuple[Vote, ...]) -> None:
        super().__init__(
            name, f"lock {name!r}: no quorum among {len(votes)} servers: {'; '.join(map(str, votes))}"
        )
        self.votes = votes
