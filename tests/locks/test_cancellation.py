"""Cancelled or interrupted at any point: nothing is left behind, and nobody is harmed."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest
import redis

from coord import AsyncCoord, Coord
from tests.support.hubs import interrupted
from tests.support.rooms import locks_of

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("native", [True, False], ids=["asyncio", "anyio"])
async def test_cancelling_at_any_await_leaves_no_lock_behind(
    real_server: str, prefix: str, native: bool
) -> None:
    """One more turn of the loop before the cancellation each time, until the body has ended by itself."""
    with redis.Redis.from_url(real_server) as client:
        async with AsyncCoord.connect(real_server, prefix=prefix) as hub:
            ended = 0
            for turns in range(400):

                async def body() -> None:
                    async with hub.lock("x", ttl=30):
                        await asyncio.sleep(0)

                task = asyncio.create_task(body())
                for _ in range(turns):
                    if task.done():
                        break
                    await asyncio.sleep(0)
                task.cancel()
                if native:
                    await asyncio.sleep(0)
                    task.cancel()  # twice: cleaning up must survive that too
                with contextlib.suppress(asyncio.CancelledError):
                    await task
                ended += not task.cancelled()
                assert task.cancelled() or task.exception() is None
                deadline = time.monotonic() + 1
                while client.exists(f"{prefix}:lock:{{x}}") and time.monotonic() < deadline:
                    await asyncio.sleep(0.001)
                assert not client.exists(f"{prefix}:lock:{{x}}"), f"cancelled after {turns} turns"
                if ended > 3:
                    break
            assert ended > 3, "the sweep did not reach the end of the body"


async def test_cancelling_a_waiter_at_any_await_harms_nobody(real_server: str, prefix: str) -> None:
    async with AsyncCoord.connect(real_server, prefix=prefix) as hub:
        for turns in range(0, 60, 3):
            held = await hub.lock("x").acquire()
            task = asyncio.create_task(hub.lock("x").acquire())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await held.release()

            await (await hub.lock("x").acquire(timeout=0.5)).release()


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_keyboard_interrupt_at_any_call_leaves_no_lock_behind(
    real_server: str, prefix: str, when: str
) -> None:
    """Ctrl-C just before each call is sent, and just after it was answered."""
    with redis.Redis.from_url(real_server) as client, Coord.connect(real_server, prefix=prefix) as hub:
        for target in range(4):
            pressed = False
            with interrupted(hub, target, when):
                try:
                    with hub.lock("x", ttl=30):
                        pass
                except KeyboardInterrupt:
                    pressed = True

            assert pressed is (target < 2)
            assert not client.exists(f"{prefix}:lock:{{x}}"), f"interrupted {when} call {target}"
            assert not locks_of(hub).holdings
