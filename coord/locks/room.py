"""What all locks of one Coord share: the scripts, the listener, the renewals, and who holds what here."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, cast

from coord._engine.checks import millis
from coord._engine.renewals import BATCH, Renewals
from coord._engine.replies import as_bool, as_int, as_rows, text
from coord._engine.script import Script
from coord._engine.wakeups import Wakeups

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coord._engine.keys import Keys
    from coord._engine.port import Port
    from coord._engine.renewals import Renewable
    from coord._engine.script import Reply
    from coord.locks.lease import AsyncLease

__all__ = ["Grant", "Holding", "LockRoom", "LockStatus", "waiter_of"]

FENCE_MEMORY = 86_400.0
ENDED_MEMORY = 60.0
BROKEN_MEMORY = 86_400.0
RENEW_SHARE = 3
HEARTBEAT = 3.0


@dataclass(frozen=True, slots=True)
class Grant:
    """How the server answered an acquire.

    Attributes:
        fence: The grant's fence; ``None`` if it was refused.
        held_for: Seconds until it is worth while to look again unasked, when refused: what the holder's
            lease still runs; infinite if it has no end, or if others of a fair lock come first.
        doubtful: Whether the request was sent more than once, so that an earlier copy of it may still
            arrive, and be granted when nobody expects it.
    """

    fence: int | None
    held_for: float
    doubtful: bool = False


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
    """

    held: bool
    holder: str | None
    fence: int | None
    held_for: float | None
    remaining: float | None
    broken: str | None


@dataclass(slots=True)
class Holding:
    """A ``with`` block of one task or thread.

    Attributes:
        lease: What it holds.
        blocks: How many blocks of a reentrant lock are inside one another.
    """

    lease: AsyncLease
    blocks: int = 1


def _grant(reply: Reply) -> Grant:
    fence, ttl, before = as_rows(reply)
    if fence:
        return Grant(as_int(fence), 0.0)
    left = as_int(ttl)
    return Grant(None, math.inf if left < 0 or before else left / 1000)


def _flags(reply: Reply) -> list[bool]:
    return [bool(one) for one in as_rows(reply)]


def _status(reply: Reply) -> LockStatus:
    label, fence, age, ttl, broken = as_rows(reply)
    return LockStatus(
        held=label is not None,
        holder=None if label is None else text(label),
        fence=None if fence is None else as_int(fence),
        held_for=None if age is None else as_int(age) / 1_000_000,
        remaining=None if ttl is None else as_int(ttl) / 1000,
        broken=None if broken is None else text(broken),
    )


ACQUIRE = Script("lock_acquire", parse=_grant, repeatable=True)
RENEW = Script("lock_renew", parse=_flags, repeatable=True)
RELEASE = Script("lock_release", parse=as_bool, repeatable=True)
STATUS = Script("lock_status", parse=_status, repeatable=True)
BREAK = Script("lock_break", parse=as_bool, repeatable=False)


class LockRoom:
    """What all locks of one Coord share.

    Args:
        port: Where the server is.
        keys: How keys are spelled.
    """

    def __init__(self, port: Port, keys: Keys) -> None:
        self.port = port
        self.keys = keys
        self.wakeups = Wakeups(port)
        self.renewals = Renewals(port, self.renew_all, BATCH if port.one_slot() else 1)
        self.holdings: dict[tuple[str, int], Holding] = {}

    def close(self) -> None:
        """End what runs beside the callers."""
        self.wakeups.close()
        self.renewals.close()

    async def acquire(
        self, name: str, token: str, ttl: float, *, fair: bool = False, queued: bool = False
    ) -> Grant:
        """Ask for a lock once; if it is ``fair``, and ``queued``, stand in its queue when refused."""
        keys = [self.keys("lock", name), self.keys("lock", name, "fence"), self._ended(name, token)]
        memory = max(FENCE_MEMORY, 2 * ttl)
        line = (waiter_of(token) if queued else "", millis(HEARTBEAT), self.channel(name) if fair else "")
        keys += self._queue(name, fair=fair)
        copies: list[None] = []
        call = replace(
            ACQUIRE(keys, token, millis(ttl), millis(memory), self.port.label(), *line),
            on_repeat=lambda: copies.append(None),
        )
        grant = await self.port.run(call)
        return replace(grant, doubtful=bool(copies))

    async def renew(self, name: str, token: str, ttl: float) -> bool:
        """Start one lease anew; say whether it still lived."""
        return (await self.port.run(RENEW((self.keys("lock", name),), token, millis(ttl))))[0]

    async def renew_all(self, leases: Sequence[tuple[Renewable, float]]) -> list[bool]:
        """Start several leases anew in one script; say of each whether it still lived."""
        mine = [(cast("AsyncLease", lease), ttl) for lease, ttl in leases]
        keys = [self.keys("lock", lease.name) for lease, _ in mine]
        words = [word for lease, ttl in mine for word in (lease.token, millis(ttl))]
        soonest = min(ttl for _, ttl in leases)
        return await self.port.run(RENEW(keys, *words), timeout=soonest / RENEW_SHARE)

    async def release(
        self,
        name: str,
        token: str,
        *,
        channel: str,
        fair: bool = False,
        end_anyway: bool = False,
        timeout: float | None = None,
    ) -> bool:
        """Give a lock back, or a place in its queue; say whether it was held until now."""
        keys = [self.keys("lock", name), self._ended(name, token), *self._queue(name, fair=fair)]
        call = RELEASE(keys, token, millis(ENDED_MEMORY), int(end_anyway), channel, waiter_of(token))
        return await self.port.run(call, timeout=timeout)

    async def status(self, name: str) -> LockStatus:
        """Look at a lock."""
        keys = [self.keys("lock", name, *part) for part in ((), ("fence",), ("broken",))]
        return await self.port.run(STATUS(keys))

    async def force_release(self, name: str, reason: str) -> bool:
        """Take a lock from whoever holds it; say whether anybody did."""
        keys = [self.keys("lock", name), self.keys("lock", name, "broken")]
        return await self.port.run(BREAK(keys, reason.encode(), millis(BROKEN_MEMORY), self.channel(name)))

    def channel(self, name: str) -> str:
        """Name the channel on which a lock's waiters listen."""
        return self.keys("lock", name, "free")

    def _queue(self, name: str, *, fair: bool) -> list[str]:
        return [self.keys("lock", name, "queue"), self.keys("lock", name, "alive")] if fair else []

    def _ended(self, name: str, token: str) -> str:
        return self.keys("lock", name, "ended", waiter_of(token))


def waiter_of(token: str) -> str:
    """Name the owner of a token where tokens must not be shown: in keys and channels."""
    return blake2b(token.encode(), digest_size=12).hexdigest()
