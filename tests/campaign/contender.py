"""One process that contends for locks, holds them, writes under them and tells what happened.

Run by the campaign: ``python -m tests.campaign.contender '{...}'``. Its two workers are threads, or tasks
of one event loop; what a worker does is written once. It is not careful on purpose: it writes under a lease
without asking whether that is still good, as a program does that was stopped between the two.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import redis

from coord import LockLost, LockTimeout, PermitLost, PermitTimeout, QuorumError
from tests.campaign.journal import Journal
from tests.campaign.mutants import MUTANTS
from tests.campaign.worlds import STEP, Blocking, Naive, Suspending

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from tests.campaign.worlds import Lease, World

_log = logging.getLogger(__name__)

WORKERS = 2
LOST = (LockLost, PermitLost)
TIMED_OUT = (LockTimeout, PermitTimeout)
EXPECTED = (redis.ConnectionError, redis.TimeoutError, QuorumError, OSError)
"""What may reach a caller while the network or the server is in trouble."""


class Worker:
    """Takes one lock after another, for as long as it lives.

    Args:
        who: Its name.
        world: Its flavour.
        journal: Where it tells what happened.
        config: What the contender was told.
    """

    def __init__(self, who: str, world: World, journal: Journal, config: dict[str, Any]) -> None:
        self._who = who
        self._names: list[str] = config["names"]
        self._permits: list[str] = config["permits"]
        self._limiters: list[str] = config["limiters"]
        self._ttl: float = config["ttl"]
        self._world = world
        self._journal = journal
        self._rng = random.Random(f"{config['seed']} {who}")

    async def work(self) -> None:
        """Work until killed."""
        number = 0
        while True:
            number += 1
            attempt = f"{self._who}#{number}"
            name = self._rng.choice(self._names)
            styles = (self._try, self._acquire, self._block)
            style = self._charge if name in self._limiters else self._rng.choice(styles)
            try:
                await style(attempt, name)
            except Exception:  # noqa: BLE001  # whatever it is, the campaign must hear of it
                _log.exception("%s met what it did not expect", attempt)
            await self._world.sleep(self._rng.uniform(0, STEP))

    def _ask(self, attempt: str, name: str, patience: float) -> None:
        self._journal.note("asked", attempt, who=self._who, name=name, patience=patience)

    async def _charge(self, attempt: str, name: str) -> None:
        self._ask(attempt, name, 0)
        try:
            allowed = await self._world.charge(name)
        except EXPECTED:
            self._journal.note("unknown", attempt)
            return
        self._journal.note("charged" if allowed else "refused", attempt)

    async def _try(self, attempt: str, name: str) -> None:
        self._ask(attempt, name, 0)
        try:
            lease = await self._world.try_acquire(name)
        except (*LOST, *EXPECTED):
            self._journal.note("unknown", attempt)
            return
        if lease is None:
            self._journal.note("refused", attempt)
            return
        self._grant(attempt, lease)
        await self._hold_and_release(attempt, name, lease)

    async def _acquire(self, attempt: str, name: str) -> None:
        patience = self._rng.choice((0.0, 0.1, 0.3, 0.8))
        self._ask(attempt, name, patience)
        try:
            lease = await self._world.acquire(name, patience)
        except TIMED_OUT:
            self._journal.note("refused", attempt)
            return
        except (*LOST, *EXPECTED):
            self._journal.note("unknown", attempt)
            return
        self._grant(attempt, lease)
        await self._hold_and_release(attempt, name, lease)

    async def _block(self, attempt: str, name: str) -> None:
        patience = self._rng.choice((0.1, 0.3, 0.8))
        entered = False

        async def body(lease: Lease) -> None:
            nonlocal entered
            entered = True
            self._grant(attempt, lease)
            await self._hold(attempt, name, lease, self._length(), renewing=False)
            self._journal.note("ending", attempt)

        self._ask(attempt, name, patience)
        how = "released"
        try:
            await self._world.block(name, patience, body)
        except TIMED_OUT:
            self._journal.note("refused", attempt)
            return
        except LOST:
            if entered:
                self._journal.note("lost", attempt)
            how = "lost"
        except EXPECTED:
            how = "unknown"
        if entered:
            self._journal.note("ended", attempt, how=how)
        else:
            self._journal.note("unknown", attempt)

    def _length(self) -> float:
        kind = self._rng.random()
        if kind < 0.9:
            return self._rng.uniform(0, 0.02)
        if kind < 0.97:
            return self._rng.uniform(0.05, 0.15)
        return self._rng.uniform(0.5, 2) * self._ttl

    def _grant(self, attempt: str, lease: Lease) -> None:
        now = time.monotonic()  # before remaining(): to be stopped in between must not lengthen the claim
        self._journal.note("granted", attempt, fence=fence_of(lease), until=now + lease.remaining())

    async def _hold_and_release(self, attempt: str, name: str, lease: Lease) -> None:
        await self._hold(attempt, name, lease, self._length(), renewing=self._rng.random() < 0.5)
        self._journal.note("ending", attempt)
        for _ in range(2):  # a release that failed may be tried again
            try:
                await lease.release()
            except LOST:
                self._journal.note("lost", attempt)
                self._journal.note("ended", attempt, how="lost")
                return
            except EXPECTED:
                continue
            self._journal.note("ended", attempt, how="released")
            return
        self._journal.note("ended", attempt, how="unknown")

    async def _hold(self, attempt: str, name: str, lease: Lease, seconds: float, *, renewing: bool) -> None:
        """Hold for so long, or longer if stopped; write down what the lease claims, and write under it."""
        told = False
        renewed = claimed = time.monotonic()
        read, began = await self._read(name)
        for _ in range(round(seconds / STEP)):
            await self._world.sleep(STEP)
            now = time.monotonic()
            left = lease.remaining()
            if left > 0 and now + left > claimed:
                told = False
                claimed = now + left + STEP  # the next that is worth a line
                self._journal.note("promised", attempt, until=now + left)
            elif left <= 0 and not told:
                told = True
                self._journal.note("lost", attempt)
            if renewing and now - renewed > self._ttl / 3:
                renewed = now
                with contextlib.suppress(*EXPECTED):
                    renewing = await self._renew(attempt, lease)
        if name in self._permits:
            return  # several hold one at a time, so it guards nothing
        fence = "" if fence_of(lease) is None else str(fence_of(lease))
        await self._world.write((f"fence:{name}", f"log:{name}"), fence, attempt)
        await self._world.set(f"value:{name}", attempt)
        self._journal.note("updated", attempt, began=began, read=read)

    async def _renew(self, attempt: str, lease: Lease) -> bool:
        asked = time.monotonic()
        try:
            await lease.renew()
        except LOST:
            self._journal.note("lost", attempt)
            return False
        now = time.monotonic()
        self._journal.note("promised", attempt, until=now + lease.remaining(), asked=asked)
        return True

    async def _read(self, name: str) -> tuple[str, float]:
        began = time.monotonic()
        value = await self._world.get(f"value:{name}")
        return ("" if value is None else value.decode()), began


def fence_of(lease: Lease) -> int | None:
    """Find a lease's fence; a permit has none."""
    return getattr(lease, "fence", None)


class _Tells(logging.Handler):
    """Lets no error pass that only a log would have shown."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(logging.ERROR)
        self._journal = journal

    def emit(self, record: logging.LogRecord) -> None:
        self._journal.note("error", text=self.format(record)[-1500:])


def _run(flow: Coroutine[Any, None, None]) -> None:
    flow.send(None)  # it never suspends, and never ends


def main() -> None:
    """Contend until killed, or until nobody listens any more."""
    config: dict[str, Any] = json.loads(sys.argv[1])
    journal = Journal(sys.stdout.fileno())
    logging.basicConfig(handlers=[_Tells(journal)], level=logging.ERROR)
    threading.excepthook = lambda hook: _log.error("a thread died", exc_info=hook.exc_value)
    kinds: dict[str, Callable[[dict[str, Any]], World]] = {
        "sync": Blocking,
        "async": Suspending,
        "naive": Naive,
    }
    if config["mutant"]:
        MUTANTS[config["mutant"]].plant()
    world = kinds[config["flavour"]](config)
    workers = [Worker(f"{config['who']}/{number}", world, journal, config) for number in range(WORKERS)]
    if config["flavour"] != "async":
        for worker in workers:
            threading.Thread(target=_run, args=(worker.work(),), daemon=True).start()
        while True:
            time.sleep(0.2)
            journal.note("alive")  # which ends this process if nobody listens any more

    async def together() -> None:
        await asyncio.gather(*(worker.work() for worker in workers))

    asyncio.run(together())


if __name__ == "__main__":
    main()
