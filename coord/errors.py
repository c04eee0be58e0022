"""Every exception that coord raises of its own.

Redis' own exceptions (``redis.ConnectionError``, ``redis.TimeoutError``, ...) pass through unwrapped:
"the answer is no" and "I could not ask" are never the same exception. Bad arguments are plain
``ValueError`` and ``TypeError``, raised before anything is sent.

::

    CoordError
    ├── WrongKeyType          a key of ours holds something else
    ├── RateLimited           a limit would have kept you waiting for longer than you would wait
    └── LockError
        ├── LockTimeout       (also a TimeoutError) it stayed held for as long as you would wait
        ├── LockLost          you held it, and no longer do
        └── SelfDeadlock      you hold it yourself, and would wait for ever
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coord.limits.decision import Decision

__all__ = [
    "CoordError",
    "LockError",
    "LockLost",
    "LockTimeout",
    "RateLimited",
    "SelfDeadlock",
    "WrongKeyType",
]


class CoordError(Exception):
    """The root of every exception that coord raises of its own."""


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


class SelfDeadlock(LockError):
    """The task or thread that waits for the lock holds it itself, and would wait for ever."""

    def __init__(self, name: str) -> None:
        super().__init__(
            name,
            f"lock {name!r} is held by this very task or thread, which would wait for itself for ever; "
            "make the lock with reentrant=True, give it a timeout, or do not nest its blocks",
        )
