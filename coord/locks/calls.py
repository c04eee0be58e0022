"""What is asked of a server about one lock: the scripts, with its keys spelled once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, cast

from coord._engine.checks import millis
from coord._engine.replies import as_bool, as_int, as_rows, text
from coord._engine.script import Script

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from coord._engine.keys import Keys
    from coord._engine.script import Call, Reply
    from coord.locks.options import Mode

__all__ = ["ENDED_MEMORY", "HEARTBEAT", "Grant", "LockCalls", "LockStatus", "flags", "renewal", "waiter_of"]

FENCE_MEMORY = 86_400.0
"""Seconds that a fence is remembered after its lease: a day, longer than late writes of a holder are under
way."""

BROKEN_MEMORY = 86_400.0
"""Seconds that it is remembered why a lock was broken: until somebody asks the next morning."""

ENDED_MEMORY = 60.0
"""Seconds that a token is refused when a request of its may still be on its way: a minute, longer than one
waits in any buffer."""

RELEASED_MEMORY = 10.0
"""Seconds that a release is remembered, which is longer than it may be repeated."""

HEARTBEAT = 3.0
"""Seconds until a waiter of a fair lock that gives no sign is dead: it gives one each second, and two may be
lost."""


@dataclass(frozen=True, slots=True)
class Grant:
    """How the server answered an acquire.

    Attributes:
        fence: The grant's fence; ``None`` if it was refused.
        held_for: Seconds until it is worth while to look again unasked, when refused: what the holder's
            lease still runs; infinite if it has no end, or if others of a fair lock come first.
        by: Which of several locks refused: how many come before it.
    """

    fence: int | None
    held_for: float
    by: int = 0


@dataclass(frozen=True, slots=True)
class LockStatus:
    """What the server knows of a lock at one moment.

    Attributes:
        held: Whether somebody holds it.
        holder: Who, as a label for people: host and process.
        fence: The holder's fence, or the last one handed out; ``None`` if none is remembered.
        held_for: Seconds since it was granted, by the server's clock.
        remaining: Seconds that the lease still runs.
        broken: Why it was last broken by ``force_release()``, while that is remembered: a day.
        mode: How it was taken: ``"plain"``, ``"fair"``, or ``"several"`` with others in one step.
        waiters: How many wait for it, as far as they have said so: those with ``wait="poll"`` do not, unless
            the lock is fair; and one that died counts for some seconds.
    """

    held: bool
    holder: str | None
    fence: int | None
    held_for: float | None
    remaining: float | None
    broken: str | None
    mode: Mode | None
    waiters: int


def _grant(reply: Reply) -> Grant:
    if isinstance(reply, bytes | str):
        return Grant(as_int(reply), 0.0)
    ttl, before = as_rows(reply)
    left = as_int(ttl)
    return Grant(None, math.inf if left < 0 or before else left / 1000)


def flags(reply: Reply) -> list[bool]:
    """Read an answer for each of several."""
    return [bool(one) for one in as_rows(reply)]


def _status(reply: Reply) -> LockStatus:
    label, fence, age, ttl, broken, mode, waiters = as_rows(reply)
    return LockStatus(
        held=label is not None,
        holder=None if label is None else text(label),
        fence=None if fence is None else as_int(fence),
        held_for=None if age is None else as_int(age) / 1_000_000,
        remaining=None if ttl is None else as_int(ttl) / 1000,
        broken=None if broken is None else text(broken),
        mode=None if mode is None else cast("Mode", text(mode)),
        waiters=as_int(waiters),
    )


ACQUIRE = Script("lock_acquire", parse=_grant, repeatable=True)
RENEW = Script("lock_renew", parse=flags, repeatable=True)
RELEASE = Script("lock_release", parse=as_bool, repeatable=True)
STATUS = Script("lock_status", parse=_status, repeatable=True)
BREAK = Script("lock_break", parse=as_bool, repeatable=False)


class LockCalls:
    """The operations of one lock, as values that a port can run.

    Args:
        keys: How keys are spelled.
        name: The lock's name.
        fair: Whether its waiters are served in order.
        wakes: Whether a release wakes a waiter.
        sharded: Whether by a message that only the lock's own node of a cluster hears.
    """

    def __init__(
        self, keys: Keys, name: str, *, fair: bool = False, wakes: bool = True, sharded: bool = False
    ) -> None:
        self.name = name
        self.key = lock = keys("lock", name)
        self.fence_key = f"{lock}:fence"
        self._broken = f"{lock}:broken"
        self._ended = f"{lock}:ended:"
        self._waiting, self._queue = f"{lock}:waiting", f"{lock}:queue"
        self._line = (self._queue, f"{lock}:alive") if fair else (self._waiting,)
        self.channel = f"{lock}:free" if wakes else ""
        self._publish = "SPUBLISH" if sharded else "PUBLISH"

    @property
    def lock_keys(self) -> tuple[str, ...]:
        """The keys that live as long as the lease."""
        return (self.key,)

    def acquire(
        self, token: str, ttl: float, label: str, waiter: str = "", *, on_repeat: Callable[[], object]
    ) -> Call[Grant]:
        """Ask for the lock; a ``waiter`` that is refused stands in the queue."""
        keys = (self.key, self.fence_key, self._ended + waiter_of(token), *self._line)
        line = (waiter, millis(HEARTBEAT), self.channel, self._publish)
        return ACQUIRE(keys, token, millis(ttl), self.memory(ttl), label, *line, on_repeat=on_repeat)

    def release(
        self, token: str, waiter: str = "", *, end_anyway: bool = False, doubtful: bool = False
    ) -> Call[bool]:
        """Give the lock back, or a place in its queue; ``end_anyway`` if it is not known what is held."""
        keys = (self.key, self._ended + waiter_of(token), *self._line)
        memory = ENDED_MEMORY if end_anyway or doubtful else RELEASED_MEMORY
        line = (self.channel, waiter, self._publish)
        return RELEASE(keys, token, millis(memory), int(end_anyway), *line)

    def status(self) -> Call[LockStatus]:
        """Look at the lock."""
        return STATUS((self.key, self.fence_key, self._broken, self._waiting, self._queue))

    def force_release(self, reason: str) -> Call[bool]:
        """Take the lock from whoever holds it; wakes nobody."""
        return BREAK((self.key, self._broken), reason.encode(), millis(BROKEN_MEMORY))

    def memory(self, ttl: float) -> int:
        """Say for how long the fence is to be remembered, in milliseconds."""
        return millis(max(FENCE_MEMORY, 2 * ttl))


def renewal(
    leases: Sequence[tuple[str, str, float]], script: Script[list[bool]] | None = None
) -> Call[list[bool]]:
    """Start several leases anew in one script: for each the lock's key, its token and its length."""
    words = [word for _, token, ttl in leases for word in (token, millis(ttl))]
    return (script or RENEW)([key for key, _, _ in leases], *words)


def waiter_of(token: str) -> str:
    """Name the owner of a token where tokens must not be shown: in keys and messages."""
    return blake2b(token.encode(), digest_size=12).hexdigest()
