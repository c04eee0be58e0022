"""A fair lock: first come, first served, and the dead stand in nobody's way."""

from __future__ import annotations

import asyncio
import os
import random
import sys
import threading
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import redis
import time_machine

from coord import AsyncCoord, Coord, LockTimeout
from coord.locks.calls import LockCalls
from tests.support.hubs import no_second_looks
from tests.support.keys import keys_of
from tests.support.rooms import locks_of, step

if TYPE_CHECKING:
    from coord.locks.room import LockRoom

pytestmark = pytest.mark.anyio

OPERATIONS = int(os.environ.get("COORD_CHAOS", "2000"))
MOST_WAITING = 6


async def queue_length(client: Any, prefix: str, length: int) -> None:
    while client.zcard(f"{prefix}:lock:{{x}}:queue") < length:
        await asyncio.sleep(0.005)


async def test_waiters_of_both_flavours_are_served_in_order_of_arrival(
    server: str, prefix: str, client: Any, no_leaks: None
) -> None:
    served: list[int] = []
    with Coord.connect(server, prefix=prefix) as hub, Coord.connect(server, prefix=prefix) as holder:
        async with AsyncCoord.connect(server, prefix=prefix) as async_hub:

            def sync_waiter(number: int) -> None:
                with hub.lock("x", fair=True):
                    served.append(number)

            async def async_waiter(number: int) -> None:
                async with async_hub.lock("x", fair=True):
                    served.append(number)

            held = holder.lock("x", fair=True).acquire()
            async with anyio.create_task_group() as group:
                for number in range(10):
                    if number % 2:
                        group.start_soon(async_waiter, number)
                    else:
                        group.start_soon(anyio.to_thread.run_sync, sync_waiter, number)
                    await queue_length(client, prefix, number + 1)
                held.release()

    assert served == list(range(10))
    assert client.exists(f"{prefix}:lock:{{x}}:queue") == 0


async def test_nobody_who_only_tries_gets_past_those_who_wait(
    coord: Any, other_coord: Any, client: Any, prefix: str
) -> None:
    with Coord.connect("memory://") as hub:
        assert hub.lock("x", fair=True).try_acquire() is not None
    client.zadd(f"{prefix}:lock:{{x}}:queue", {"home:somebody": 1})
    client.zadd(f"{prefix}:lock:{{x}}:alive", {"home:somebody": 2**52})

    assert await coord.lock("x", fair=True).try_acquire() is None
    with pytest.raises(LockTimeout):
        await coord.lock("x", fair=True).acquire(timeout=0.05)
    for part in ("queue", "alive"):
        client.delete(f"{prefix}:lock:{{x}}:{part}")
    assert await other_coord.lock("x", fair=True).try_acquire() is not None


async def test_whoever_gives_up_leaves_the_queue_and_wakes_the_next(
    real_server: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_second_looks(monkeypatch, 2.0)  # below the heartbeat, above what a wake-up takes

    with redis.Redis.from_url(real_server) as client:
        async with AsyncCoord.connect(real_server, prefix=prefix) as hub:
            held = await hub.lock("x", fair=True).acquire()
            gives_up = asyncio.create_task(hub.lock("x", fair=True).acquire(timeout=0.3))
            await queue_length(client, prefix, 1)
            cancelled = asyncio.create_task(hub.lock("x", fair=True).acquire())
            await queue_length(client, prefix, 2)
            patient = asyncio.create_task(hub.lock("x", fair=True).acquire(timeout=10))
            await queue_length(client, prefix, 3)
            cancelled.cancel()
            with pytest.raises(asyncio.CancelledError):
                await cancelled
            with pytest.raises(LockTimeout):
                await gives_up
            assert client.zcard(f"{prefix}:lock:{{x}}:queue") == 1

            await held.release()
            await (await patient).release()


async def test_a_dead_waiter_is_skipped_within_its_heartbeat(real_server: str, prefix: str) -> None:
    program = (
        "import sys; from coord import Coord; "
        "Coord.connect(sys.argv[1], prefix=sys.argv[2]).lock('x', fair=True).acquire()"
    )
    with redis.Redis.from_url(real_server) as client, Coord.connect(real_server, prefix=prefix) as hub:
        held = hub.lock("x", fair=True).acquire()
        victim = await anyio.open_process([sys.executable, "-c", program, real_server, prefix])
        await queue_length(client, prefix, 1)
        got: list[bool] = []

        def wait() -> None:
            with hub.lock("x", fair=True).hold(timeout=20):
                got.append(True)

        patient = threading.Thread(target=wait)
        patient.start()
        await queue_length(client, prefix, 2)
        victim.kill()
        await victim.wait()
        held.release()
        await anyio.to_thread.run_sync(patient.join)  # and not after its own 20 seconds, without the lock

        assert got == [True]


class Line:
    """A fair lock on a virtual clock, and what must be true of it."""

    TTL = 5.0

    def __init__(self, room: LockRoom, clock: Any, dice: random.Random) -> None:
        self.room, self.clock, self.dice = room, clock, dice
        self.lock = LockCalls(room.keys, "x", fair=True)
        self.waiting: list[str] = []  # the living, in order of arrival
        self.holder: str | None = None
        self.now = self.corpse_until = 0.0
        self.arrived = self.granted = 0

    def ask(self, token: str) -> None:
        grant = step(self.room.acquire(self.lock, token, self.TTL, f"home:{token}", on_repeat=bool))
        if grant.fence is not None:
            assert self.holder is None, "two holders"
            assert self.now >= self.corpse_until, "before the dead holder's lease had ended"
            assert self.waiting[0] == token, "out of order"
            self.waiting.remove(token)
            self.holder = token
            self.granted += 1

    def arrive(self) -> None:
        if len(self.waiting) == MOST_WAITING:
            return
        self.arrived += 1
        self.waiting.append(f"{self.arrived:032d}")
        self.ask(self.waiting[-1])

    def tick(self) -> None:
        """Up to a second passes, in which everyone alive does what keeps it alive."""
        seconds = self.dice.random()
        self.now += seconds
        self.clock.shift(seconds)
        if self.holder is not None:
            assert step(self.room.renew(self.lock, self.holder, self.TTL))
        for token in self.dice.sample(self.waiting, len(self.waiting)):
            self.ask(token)

    def release(self) -> None:
        if self.holder is not None:
            assert step(self.room.release(self.lock, self.holder))
            self.holder = None

    def give_up(self) -> None:
        if self.waiting:
            gone = self.waiting.pop(self.dice.randrange(len(self.waiting)))
            step(self.room.release(self.lock, gone, f"home:{gone}", end_anyway=True))

    def die_waiting(self) -> None:
        if self.waiting:
            self.waiting.pop(self.dice.randrange(len(self.waiting)))

    def die_holding(self) -> None:
        if self.holder is not None:
            self.holder, self.corpse_until = None, self.now + self.TTL - 1


def test_random_deaths_leave_no_lock_stuck_and_no_order_broken() -> None:
    """The real scripts on a virtual clock; ``COORD_CHAOS=100000`` in the environment for more of it."""
    seed = random.randrange(10**6)
    dice = random.Random(seed)
    with time_machine.travel(1_700_000_000, tick=False) as clock, Coord.connect("memory://") as hub:
        line = Line(locks_of(hub), clock, dice)
        actions = [line.arrive] * 4 + [line.tick] * 6 + [line.release] * 6
        actions += [line.give_up, line.die_waiting, line.die_holding]
        for number in range(OPERATIONS):
            try:
                dice.choice(actions)()
            except AssertionError as error:
                error.add_note(f"seed {seed}, operation {number}")
                raise
        while line.waiting:
            before = line.granted
            for _ in range(12):
                line.tick()
            line.release()
            line.tick()

            assert line.granted > before, f"stuck, with seed {seed}"
        assert line.granted > OPERATIONS / 20


async def test_every_key_of_a_fair_lock_expires(coord: Any, client: Any, prefix: str) -> None:
    async with coord.lock("x", fair=True):
        with pytest.raises(LockTimeout):
            await coord.lock("x", fair=True).acquire(timeout=0.02)

    assert all(client.pttl(key) > 0 for key in keys_of(client, prefix))
