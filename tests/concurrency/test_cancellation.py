"""Cancelled or interrupted at any point: no permit is left behind, and nobody is harmed."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest
import redis

from coord import AsyncCoord, Coord
from tests.support.hubs import interrupted

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("fair", [False, True])
async def test_who_gives_up_or_is_cancelled_harms_nobody(real_server: str, prefix: str, fair: bool) -> None:
    async with AsyncCoord.connect(real_server, prefix=prefix) as hub, asyncio.timeout(30):
        limit = hub.concurrency_limit("d", limit=2, ttl=60, fair=fair)
        for turns in range(0, 60, 4):
            held = [await limit.acquire("u") for _ in range(2)]
            task = asyncio.create_task(limit.acquire("u", weight=2))
            for _ in range(turns):
                await asyncio.sleep(0)
            patient = asyncio.create_task(limit.acquire("u"))
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            for permit in held:
                await permit.release()
            await (await patient).release()
            status = await limit.status("u")
            assert (status.used, status.waiters) == (0, 0), f"after {turns} turns"


async def test_cancelling_at_any_await_leaves_no_permit_behind(real_server: str, prefix: str) -> None:
    """One more turn of the loop before the cancellation each time, until the body has ended by itself."""
    with redis.Redis.from_url(real_server) as client:
        async with AsyncCoord.connect(real_server, prefix=prefix) as hub:
            limit = hub.concurrency_limit("d", limit=3, ttl=30)
            ended = 0
            for turns in range(400):

                async def body() -> None:
                    async with limit.hold("u", weight=2):
                        await asyncio.sleep(0)

                task = asyncio.create_task(body())
                for _ in range(turns):
                    if task.done():
                        break
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.sleep(0)
                task.cancel()  # twice: cleaning up must survive that too
                with contextlib.suppress(asyncio.CancelledError):
                    await task
                ended += not task.cancelled()
                deadline = time.monotonic() + 1
                while client.exists(f"{prefix}:concurrency:{{u}}:d") and time.monotonic() < deadline:
                    await asyncio.sleep(0.001)
                assert (await limit.status("u")).used == 0, f"cancelled after {turns} turns"
                if ended > 3:
                    break
            assert ended > 3, "the sweep did not reach the end of the body"


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_keyboard_interrupt_at_any_call_leaves_no_permit_behind(
    real_server: str, prefix: str, when: str
) -> None:
    """Ctrl-C just before each call is sent, and just after it was answered."""
    with Coord.connect(real_server, prefix=prefix) as hub:
        limit = hub.concurrency_limit("d", limit=2, ttl=30)
        for target in range(3):
            pressed = False
            with interrupted(hub, target, when):
                try:
                    with limit.hold("u"):
                        pass
                except KeyboardInterrupt:
                    pressed = True

            assert pressed is (target < 2)
            assert limit.status("u").used == 0, f"interrupted {when} call {target}"
