"""The scheduler of renewals does for one lease what that lease needs, whatever others are held."""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING, Any

import pytest
import redis
import redis.asyncio

from coord._engine.agenda import FEW, Agenda
from coord._engine.renewals import Renewals
from coord._engine.tasks import TaskPort
from coord._engine.threads import ThreadPort

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.anyio


class Held:
    """A lease that counts how often it is looked at."""

    def __init__(self, ttl: float = 60.0) -> None:
        self.token = "t"
        self.looks = 0
        self.ends = time.monotonic() + ttl
        self.told: list[str] = []
        self._what, self._keys = "lock 'x'", ("k",)

    def remaining(self) -> float:
        self.looks += 1
        return self.ends - time.monotonic()

    def _renewed(self, sent_at: float, ttl: float) -> None:
        self.ends = time.monotonic() + ttl

    async def _lose(self) -> None:
        self.told.append("lost")


class World:
    """Renewals on a port of either flavour, which counts how often a loop went to sleep."""

    def __init__(self, flavour: str) -> None:
        port: Any = (
            ThreadPort(redis.Redis(), call_timeout=1, owned=None)
            if flavour == "sync"
            else TaskPort(redis.asyncio.Redis(), call_timeout=1, owned=None, coalesce=False)
        )
        self.sleeps = 0
        self.renewed: list[Any] = []
        wait = port.wait

        async def count(signal: Any, seconds: float) -> bool:
            self.sleeps += 1
            return bool(await wait(signal, seconds))

        port.wait = count
        self.port = port
        self.renewals = Renewals(port, self.renew)

    async def renew(self, leases: Sequence[tuple[Any, float]]) -> list[bool]:
        self.renewed += [lease for lease, _ in leases]
        return [True for _ in leases]

    async def settled(self) -> int:
        """How often a loop went to sleep, once both have."""
        before = -1
        while before != self.sleeps or not self.sleeps:
            before = self.sleeps
            await asyncio.sleep(0.05)
        return before

    async def close(self) -> None:
        self.renewals.close()
        await self.port.close()


@pytest.mark.parametrize("max_hold", [math.inf, 0.0], ids=["renewed", "renew=False"])
async def test_a_block_wakes_no_loop_and_looks_at_no_other_lease(flavour: str, max_hold: float) -> None:
    world = World(flavour)
    held = [Held() for _ in range(100)]
    for lease in held:
        world.renewals.add(lease, 60, math.inf)
    sleeps, looks = await world.settled(), sum(lease.looks for lease in held)

    for _ in range(500):
        one = Held()
        world.renewals.add(one, 60, max_hold)
        world.renewals.remove(one)

    assert await world.settled() == sleeps
    assert sum(lease.looks for lease in held) == looks
    await world.close()


async def test_a_shorter_lease_is_renewed_in_time_though_longer_ones_came_first(flavour: str) -> None:
    world = World(flavour)
    long, short = Held(), Held(0.3)
    world.renewals.add(long, 60, math.inf)
    await world.settled()
    world.renewals.add(short, 0.3, math.inf)
    while len(world.renewed) < 3:
        await asyncio.sleep(0.01)

    assert set(world.renewed) == {short}
    assert short.told == []
    await world.close()


async def test_one_that_is_not_renewed_is_told_at_its_deadline(flavour: str) -> None:
    world = World(flavour)
    long, short = Held(), Held(0.1)
    world.renewals.add(long, 60, 0.0)
    await world.settled()
    world.renewals.add(short, 0.1, 0.0)
    while not short.told:
        await asyncio.sleep(0.01)

    assert (short.told, long.told, world.renewed) == (["lost"], [], [])
    await world.close()


def test_what_is_cancelled_takes_no_room_for_long() -> None:
    agenda: Agenda[int] = Agenda()
    kept = [agenda.put(float(number), number) for number in range(100)]
    for number in range(10_000):
        agenda.cancel(agenda.put(1000.0 + number, number))
    assert len(agenda._heap) <= 2 * (len(kept) + FEW) + 2

    for item in kept[::2]:
        agenda.cancel(item)
    found = []
    while (first := agenda.first()) is not None:
        found.append(first)
        agenda.pop()
    assert found == [(float(number), number) for number in range(1, 100, 2)]
