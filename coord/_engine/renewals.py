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
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coord._engine.agenda import Agenda
from coord._engine.renewable import tell

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from coord._engine.agenda import Item
    from coord._engine.port import Outcome, Port, Signal
    from coord._engine.renewable import Renewable

__all__ = ["Renewals"]

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

LANES = 8
"""Scripts under way at once, where each renews many leases: by then the round trips are hidden, and a thread
and a connection for each is little."""

ASIDE = 0.5
"""Seconds that may be spent on what need not be done now, such as a look at the server's settings."""

_log = logging.getLogger("coord")


@dataclass(slots=True, eq=False)
class _Entry:
    what: str
    key: int
    lease: weakref.ref[Renewable]
    ttl: float
    until: float
    due: float = math.inf
    renewal: Item[_Entry] | None = None
    look: Item[_Entry] | None = None


class Renewals:
    """The scheduler of one Coord. Nothing runs until a lease is added.

    What it costs to hold a lease for a moment does not depend on how many others are held.

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
        self._due = Agenda[_Entry]()
        self._deadlines = Agenda[_Entry]()
        self._running: list[Callable[[], bool]] = []
        self._turn = 0
        self._closing = False

    def add(self, lease: Renewable, ttl: float, max_hold: float) -> None:
        """Renew ``lease``, of ``ttl`` seconds, from now on; for ``max_hold`` seconds at the most."""
        if self._process != self._port.process():
            self._set_up()  # a forked child holds none of its parent's leases
        now = self._port.now()
        entry = _Entry(lease._what, id(lease), weakref.ref(lease), ttl, now + max_hold)
        with self._mutex:
            if entry.key in self._entries:
                self._drop_forgotten(self._entries[entry.key])  # another lease is where it was
            self._entries[entry.key] = entry
            if max_hold > 0:
                self._renew_after(entry, now, ttl)
            entry.look = self._deadlines.put(now + lease.remaining(), entry)
            if not all(alive() for alive in self._running) or not self._running:
                turn = self._begin_turn()
                self._running = [
                    self._port.spawn(lambda: self._keep(turn), "coord renewals"),
                    self._port.spawn(lambda: self._watch(turn), "coord deadlines"),
                ]

    def _renew_after(self, entry: _Entry, since: float, ttl: float) -> None:
        entry.due = since + ttl / SHARE * random.uniform(0.9, 1)  # noqa: S311  # jitter
        entry.renewal = self._due.put(entry.due, entry)

    def remove(self, lease: Renewable) -> None:
        """Renew ``lease`` no longer."""
        with self._mutex:
            self._strike_out(id(lease))

    def _strike_out(self, key: int) -> bool:
        entry = self._entries.pop(key, None)
        if entry is None:
            return False
        self._due.cancel(entry.renewal)
        self._deadlines.cancel(entry.look)
        return True

    def close(self) -> None:
        """End the loops."""
        with self._mutex:
            self._closing = True
            for key in list(self._entries):
                self._strike_out(key)
            self._wake()

    def _wake(self) -> None:
        self._due.wake()
        self._deadlines.wake()

    def _sleepless(self, agenda: Agenda[_Entry], until: float) -> Signal:
        """Make a signal that is set if there is anything to do before ``until``."""
        signal = self._port.signal()
        agenda.sleep(until, signal)
        if self._closing:
            signal.set()  # there was nobody to wake when it was closed
        return signal

    async def _keep(self, turn: int) -> None:
        """Renew what is due, for as long as there is anything."""
        while True:
            now = self._port.now()
            with self._mutex:
                due = self._take_due(now)
                first = self._due.first()
                until = min(now + IDLE, first[0] if first else math.inf)
                poke = self._sleepless(self._due, until)
            if due:
                self._notice_stall(due, now)
                await self._renew_all(due)
            elif self._aside is not None:
                aside, self._aside = self._aside, None
                await aside(min(until - now, ASIDE))
            elif self._is_over(turn, woken=await self._port.wait(poke, until - now), idle=first is None):
                return

    def _take_due(self, now: float) -> list[_Entry]:
        """Take out what is to be renewed now: whatever is due, and what may travel with it."""
        due: list[_Entry] = []
        while (first := self._due.first()) is not None:
            at, entry = first
            if at > now + (TOGETHER * entry.ttl if due else 0):
                break
            self._due.pop()
            if entry.lease() is None:
                self._drop_forgotten(entry)
            else:
                due.append(entry)
        return due

    async def _watch(self, turn: int) -> None:
        """Tell those whose deadline has passed, for as long as there is anyone."""
        while True:
            await self._lose_all(self._passed())
            now = self._port.now()
            with self._mutex:
                first = self._deadlines.first()
                until = min(now + IDLE, first[0] if first else math.inf)
                poke = self._sleepless(self._deadlines, until)
            if self._is_over(turn, woken=await self._port.wait(poke, until - now), idle=first is None):
                return

    def _passed(self) -> list[Renewable]:
        """Find whose deadline has passed, and look again later at those who have a later one by now."""
        passed: list[Renewable] = []
        with self._mutex:
            now = self._port.now()
            while (first := self._deadlines.first()) is not None and first[0] <= now:
                self._deadlines.pop()
                entry = first[1]
                lease = entry.lease()
                if lease is None:
                    self._drop_forgotten(entry)
                elif (left := lease.remaining()) > 0:
                    entry.look = self._deadlines.put(now + left, entry)
                else:
                    passed.append(lease)
        return passed

    async def _lose_all(self, leases: list[Renewable]) -> None:
        # In a function of its own: a loop must not keep alive what everyone else has dropped.
        for lease in leases:
            await self._lose(lease)

    def _is_over(self, turn: int, *, woken: bool, idle: bool) -> bool:
        """Tell whether a loop is to end: closed, idle for long enough, or left behind by the other."""
        with self._mutex:
            if turn == self._turn and not self._closing and (woken or not idle or self._entries):
                return False
            if turn == self._turn:
                self._begin_turn()
            return True

    def _begin_turn(self) -> int:
        """Have the loops end that run, both of them, so that both are started again."""
        self._turn += 1
        self._running = []
        self._wake()
        return self._turn

    def _drop_forgotten(self, entry: _Entry) -> None:
        if self._strike_out(entry.key):
            _log.warning(
                "coord renews the lease of %s no longer: it was dropped inside its block", entry.what
            )

    def _notice_stall(self, due: list[_Entry], now: float) -> None:
        for entry in due:
            if now - entry.due > entry.ttl / STALL_SHARE and (lease := entry.lease()) is not None:
                _log.warning(
                    "coord renews the lease of %s %.3f s late: something blocked the event loop or the "
                    "process for that long; with a ttl of %g s it has %.3f s left",
                    lease._what, now - entry.due, entry.ttl, lease.remaining(),
                )  # fmt: skip
                return

    async def _renew_all(self, due: list[_Entry]) -> None:
        batches = deque(due[start : start + self._batch] for start in range(0, len(due), self._batch))
        if len(batches) == 1:
            await self._renew_batch(batches[0])
            return

        def all_known(outcomes: list[Outcome[None] | None]) -> bool:
            return None not in outcomes

        lanes = LANES if self._batch > 1 else len(batches)
        await self._port.race(
            [self._renew_batches(batches) for _ in range(min(lanes, len(batches)))], all_known
        )

    async def _renew_batches(self, batches: deque[list[_Entry]]) -> None:
        while batches:
            try:
                batch = batches.popleft()
            except IndexError:  # another was quicker
                return
            await self._renew_batch(batch)

    async def _renew_batch(self, batch: list[_Entry]) -> None:
        sent_at = self._port.now()
        wanted: list[tuple[_Entry, Renewable, float]] = []
        for entry in batch:
            lease = entry.lease()
            length = min(entry.ttl, entry.until - sent_at)
            if lease is not None and length > 0:  # held for as long as allowed: its deadline is its end
                wanted.append((entry, lease, length))
        if not wanted:
            return
        try:
            answers = await self._renew([(lease, length) for _, lease, length in wanted])
        except Exception as error:  # noqa: BLE001  # the deadline decides when it is over, not an error
            _log.info("coord could not renew %d leases yet: %s", len(wanted), error)
            self._try_again([entry for entry, _, _ in wanted])
            return
        for (entry, lease, length), alive in zip(wanted, answers, strict=True):
            if not alive:
                await self._lose(lease)
                continue
            with self._mutex:
                if self._entries.get(entry.key) is entry:
                    lease._renewed(sent_at, length)
                    self._renew_after(entry, sent_at, length)

    def _try_again(self, entries: list[_Entry]) -> None:
        with self._mutex:
            now = self._port.now()
            for entry in entries:
                if self._entries.get(entry.key) is entry:
                    step = min(LATEST_RETRY, max(SOONEST_RETRY, entry.ttl / RETRY_SHARE))
                    entry.due = now + step * random.uniform(0.5, 1)  # noqa: S311  # jitter
                    entry.renewal = self._due.put(entry.due, entry)

    async def _lose(self, lease: Renewable) -> None:
        """Tell a lease that it has ended, once, unless its holder has let go of it meanwhile."""
        with self._mutex:
            if not self._strike_out(id(lease)):
                return
        await tell(lease)
