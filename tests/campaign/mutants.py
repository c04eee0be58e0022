"""Locks with a fault planted, for the campaign to catch: ``python -m tests.campaign --mutant all``."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coord._engine import script
from coord._engine.wakeups import Wakeups
from coord.locks.lease import AsyncLease
from coord.locks.lock import AsyncLock

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Mutant:
    """One fault.

    Attributes:
        plant: Does it to the process that it is called in, before a Coord is made.
        check: What has to catch it, whatever else does too.
        names: The locks that are contended for: those that it has to do with.
        faults: Which faults go on meanwhile; all if none is named.
    """

    plant: Callable[[], None]
    check: str
    names: tuple[str, ...] = ("ant", "dog")
    faults: tuple[str, ...] = ()


def _patch(owner: Any, name: str, value: Any) -> None:
    setattr(owner, name, value)


def _rewrite(*changes: tuple[str, str]) -> None:
    """Change what scripts say; each change must be found in one at the least."""
    original, missing = script._text, {old for old, _ in changes}

    def text(name: str) -> str:
        source = original(name)
        for old, new in changes:
            if old in source:
                missing.discard(old)
                source = source.replace(old, new)
        return source

    _patch(script, "_text", text)
    for name in ("lock_acquire", "lock_renew", "lock_release"):
        script._text(name)
    if missing:
        raise LookupError(f"scripts no longer say {missing}")


def no_give_up() -> None:
    """Who stops waiting, or does not know what became of its request, leaves it at that."""

    async def nothing(*_: object) -> None: ...

    _patch(AsyncLock, "_give_up", nothing)


def half_the_wake_ups() -> None:
    """Every other message that wakes a waiter is lost."""
    original, count = Wakeups._hand_on, itertools.count()

    def hand_on(self: Wakeups, news: Any) -> None:
        if news.kind != "message" or next(count) % 2:
            original(self, news)

    _patch(Wakeups, "_hand_on", hand_on)


def queue_without_ttl() -> None:
    """A queue of waiters lives for ever."""
    _rewrite(("redis.call('PEXPIRE', queue, 2 * heartbeat)", ""))


def unfair() -> None:
    """A fair lock goes to whoever asks while it is free, and the last in the queue is woken."""
    _rewrite(
        ("left = first and first ~= waiter and 0", "left = false"),
        ("call_out(redis.call('ZRANGE', queue, 0, 0)[1]", "call_out(redis.call('ZRANGE', queue, -1, -1)[1]"),
    )


def revived() -> None:
    """A renewal takes a lock that is free, as if it had never ended."""
    taken = (
        "if not holder then "
        "local last = redis.call('GET', lock .. ':fence') or '1' "
        "redis.call('SET', lock, token .. ' ' .. last .. ' 1 plain x') "
        "mine = true end "
    )
    renewed = "renewed[i] = mine and redis.call('PEXPIRE', lock, ttl) or 0"
    _rewrite((renewed, taken + renewed))


def deadline_from_the_reply() -> None:
    """A lease counts from when its grant or renewal was answered."""
    original = AsyncLease._renewed

    def renewed(self: AsyncLease, sent_at: float, ttl: float) -> None:
        original(self, self._port.now() if ttl else sent_at, ttl)

    _patch(AsyncLease, "_renewed", renewed)


MUTANTS = {
    "no-give-up": Mutant(no_give_up, "slow hand-offs", names=("ant",)),
    "half-the-wake-ups": Mutant(half_the_wake_ups, "slow hand-offs"),
    "queue-without-ttl": Mutant(queue_without_ttl, "leaked keys"),
    "unfair": Mutant(unfair, "unfair order", names=("dog",)),
    "revived": Mutant(revived, "revived leases", faults=("stop_holder",)),
    "deadline-from-the-reply": Mutant(deadline_from_the_reply, "overstated leases"),
}
