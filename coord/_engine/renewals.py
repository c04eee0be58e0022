"""Keeps leases alive while they are held: one scheduler a Coord, for all its leases.

Rules
-----
1. A lease is renewed each third of its length, many in one script. Renewal never creates what is gone.
2. A renewal that fails is tried again soon, until the lease's own deadline: an outage that is shorter than
   what remains of a lease costs nothing.
3. The deadline is watched by a loop of its own, which waits for no server: a lease that could not be
   renewed in time is lost at that moment, even if a renewal is stuck.
4. A lease that is renewed in a thread, so that its own loop may be blocked, is only counted there; that it
   has ended is told in the loop, as soon as that runs again.
5. A lease is known by a weak reference. Whoever drops it without releasing it stops its renewal, and
   its end comes with its time.
"""

from __future__ import annotations

import logging
import math
import random
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from coord._engine.port import Outcome, Port, Signal

__all__ = ["Elsewhere", "Renewable", "Renewals"]

BATCH = 100
"""Leases that one script renews, in about half a millisecond of the server."""

SHARE = 3
"""A lease is renewed when one part in so many of it has passed: two renewals may fail, and a third is still
in time."""

STALL_SHARE = 6
"""A renewal that comes late by one part in so many of the lease is warned of: half of what there is between
two."""

RETRY_SHARE = 20
"""A renewal that failed is tried again after one part in so many of the lease: some fifteen times before it
ends."""

SOONEST_RETRY, LATEST_RETRY = 0.01, 1.0
"""Seconds between such attempts, whatever the lease: no busy loop for a short one, and no long one that
misses a server that is back."""

IDLE = 10.0
"""Seconds that the loop outlives its last lease: most programs lock again before, and a new thread costs
more."""

TOGETHER = 0.1
"""The part of a lease by which its renewal may come early, to travel with others."""

ASIDE = 0.5
"""Seconds that may be spent on what need not be done now, such as a look at the server's settings."""

_log = logging.getLogger("coord")


class Renewable(Protocol):
    """A lease, as the scheduler sees it."""

    @property
    def _what(self) -> str:
        """What it is the lease of, for people."""
        ...

    @property
    def token(self) -> str:
        """What proves possession to the server."""
        ...

    @property
    def _keys(self) -> tuple[str, ...]:
        """Where the server keeps it."""
        ...

    def remaining(self) -> float:
        """Seconds until its deadline."""
        ...

    def _renewed(self, sent_at: float, ttl: float) -> None:
        """It lives for ``ttl`` seconds from ``sent_at``."""
        ...

    async def _lose(self) -> None:
        """It has ended, and its holder must be told."""
        ...


class Elsewhere:
    """A task's lease, for a scheduler that runs in a thread.

    Args:
        lease: The lease, which has to hold on to this object.
        bring: Runs a flow in the loop of its holder.
    """

    def __init__(
        self, lease: Renewable, bring: Callable[[Callable[[], Coroutine[object, None, None]]], None]
    ) -> None:
        self._lease = weakref.ref(lease)
        self._bring = bring
        self._what = lease._what
        self.token = lease.token
        self._keys = lease._keys

    def remaining(self) -> float:
        """See ``Renewable``."""
        lease = self._lease()
        return 0.0 if lease is None else lease.remaining()

    def _renewed(self, sent_at: float, ttl: float) -> None:
        lease = self._lease()
        if lease is not None:
            lease._renewed(sent_at, ttl)

    async def _lose(self) -> None:
        lease = self._lease()
        if lease is not None:
            lease._renewed(-math.inf, 0)  # whoever blocks the loop can see at once that it is over
            self._bring(lambda: _tell(lease))


async def _tell(lease: Renewable) -> None:
    try:
        await lease._lose()
    except Exception:  # noqa: BLE001  # a user's callback must not end the loop for every other lease
        _log.exception("the on_lost callback of %s failed", lease._what)


@dataclass(slots=True, eq=False)
class _Entry:
    what: str
    lease: weakref.ref[Renewable]
    ttl: float
    due: float
    until: float


class Renewals:
    """The scheduler of one Coord. Nothing runs until a lease is added.

    Args:
        port: Runs its loops.
        renew: Renews leases, each for so many seconds, in one call, and says which still lived.
        batch: How many leases one call may name.
        aside: What to do once, for so many seconds at the most, when no renewal is due.
    """

    def __init__(
        self,
        port: Port,
        renew: Callable[[Sequence[tuple[Renewable, float]]], Coroutine[object, None, Sequence[bool]]],
        batch: int = BATCH,
        aside: Callable[[float], Coroutine[object, None, None]] | None = None,
    ) -> None:
        self._port = port
        self._renew = renew
        self._batch = batch
        self._aside = aside
        self._set_up()

    def _set_up(self) -> None:
        self._process = self._port.process()
        self._mutex = self._port.mutex()
        self._entries: dict[int, _Entry] = {}
        self._pokes: list[Signal] = []
        self._running: list[Callable[[], bool]] = []
        self._closing = False

    def add(self, lease: Renewable, ttl: float, max_hold: float) -> None:
        """Renew ``lease``, of ``ttl`` seconds, from now on; for ``max_hold`` seconds at the most."""
        if self._process != self._port.process():
            self._set_up()  # a forked child holds none of its parent's leases
        now = self._port.now()
        due = now + ttl / SHARE * random.uniform(0.9, 1)  # noqa: S311  # jitter
        with self._mutex:
            self._entries[id(lease)] = _Entry(lease._what, weakref.ref(lease), ttl, due, now + max_hold)
            self._poke()
            if not all(alive() for alive in self._running) or not self._running:
                self._running = [
                    self._port.spawn(self._keep, "coord renewals"),
                    self._port.spawn(self._watch, "coord deadlines"),
                ]

    def remove(self, lease: Renewable) -> None:
        """Renew ``lease`` no longer."""
        with self._mutex:
            self._entries.pop(id(lease), None)

    def close(self) -> None:
        """End the loops."""
        with self._mutex:
            self._closing = True
            self._entries.clear()
            self._poke()

    def _poke(self) -> None:
        for signal in self._pokes:
            signal.set()
        self._pokes.clear()

    def _sleepless(self) -> Signal:
        """Make a signal that a change of the entries sets; if none can come any more, it is set."""
        signal = self._port.signal()
        self._pokes.append(signal)
        if self._closing:
            signal.set()  # there was nobody to poke when it was closed
        return signal

    async def _keep(self) -> None:
        """Renew what is due, for as long as there is anything."""
        while True:
            now = self._port.now()
            with self._mutex:
                self._drop_forgotten()
                due = [entry for entry in self._entries.values() if entry.due <= now + TOGETHER * entry.ttl]
                next_due = min((entry.due for entry in self._entries.values()), default=math.inf)
                poke = self._sleepless()
            if next_due <= now:
                self._notice_stall(due, now)
                await self._renew_all(due)
                continue
            if self._aside is not None:
                aside, self._aside = self._aside, None
                await aside(min(next_due - now, ASIDE))
                continue
            if (
                not await self._port.wait(poke, min(next_due - now, IDLE)) or self._closing
            ) and self._ended():
                return

    async def _watch(self) -> None:
        """Tell those whose deadline has passed, for as long as there is anyone."""
        while True:
            with self._mutex:
                self._drop_forgotten()
                leases = [lease for entry in self._entries.values() if (lease := entry.lease()) is not None]
                poke = self._sleepless()
            left = [(lease.remaining(), lease) for lease in leases]
            for remaining, lease in left:
                if remaining <= 0:
                    await self._lose(lease)
            soonest = min((remaining for remaining, _ in left if remaining > 0), default=IDLE)
            del leases, left  # this loop must not keep alive what everyone else has dropped
            if (not await self._port.wait(poke, min(soonest, IDLE)) or self._closing) and self._ended():
                return

    def _ended(self) -> bool:
        with self._mutex:
            if self._entries and not self._closing:
                return False
            self._running = []
            self._poke()  # both loops end together, so that add() starts both again
            return True

    def _drop_forgotten(self) -> None:
        for key, entry in [*self._entries.items()]:
            if entry.lease() is None:
                del self._entries[key]
                _log.warning(
                    "coord renews the lease of %s no longer: it was dropped inside its block", entry.what
                )

    def _notice_stall(self, due: list[_Entry], now: float) -> None:
        for entry in due:
            lease = entry.lease()
            if lease is not None and now - entry.due > entry.ttl / STALL_SHARE:
                _log.warning(
                    "coord renews the lease of %s %.3f s late: something blocked the event loop or the "
                    "process for that long; with a ttl of %g s it has %.3f s left",
                    lease._what, now - entry.due, entry.ttl, lease.remaining(),
                )  # fmt: skip
                return

    async def _renew_all(self, due: list[_Entry]) -> None:
        batches = [due[start : start + self._batch] for start in range(0, len(due), self._batch)]
        if len(batches) == 1:
            await self._renew_batch(batches[0])
            return

        def all_known(outcomes: list[Outcome[None] | None]) -> bool:
            return None not in outcomes

        await self._port.race([self._renew_batch(batch) for batch in batches], all_known)

    async def _renew_batch(self, batch: list[_Entry]) -> None:
        sent_at = self._port.now()
        wanted: list[tuple[_Entry, Renewable, float]] = []
        for entry in batch:
            lease = entry.lease()
            length = min(entry.ttl, entry.until - sent_at)
            if lease is None or length <= 0:
                entry.due = math.inf  # held for as long as allowed: its deadline is its end
            else:
                wanted.append((entry, lease, length))
        if not wanted:
            return
        try:
            answers = await self._renew([(lease, length) for _, lease, length in wanted])
        except Exception as error:  # noqa: BLE001  # the deadline decides when it is over, not an error
            _log.info("coord could not renew %d leases yet: %s", len(wanted), error)
            for entry, _, _ in wanted:
                step = min(LATEST_RETRY, max(SOONEST_RETRY, entry.ttl / RETRY_SHARE))
                entry.due = self._port.now() + step * random.uniform(0.5, 1)  # noqa: S311  # jitter
            return
        for (entry, lease, length), alive in zip(wanted, answers, strict=True):
            if not alive:
                await self._lose(lease)
            elif id(lease) in self._entries:
                lease._renewed(sent_at, length)
                entry.due = sent_at + length / SHARE * random.uniform(0.9, 1)  # noqa: S311  # jitter

    async def _lose(self, lease: Renewable) -> None:
        """Tell a lease that it has ended, once, unless its holder has let go of it meanwhile."""
        with self._mutex:
            if self._entries.pop(id(lease), None) is None:
                return
        await _tell(lease)
