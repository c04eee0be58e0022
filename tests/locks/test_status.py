"""Who holds a lock, and how it is broken."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest

from coord import AsyncCoord, LockLost

pytestmark = pytest.mark.anyio


async def test_status_tells_who_holds_it_and_for_how_long(coord: Any, other_coord: Any) -> None:
    lock = coord.lock("x", ttl=5)
    nothing = await lock.status()
    assert (nothing.held, nothing.holder, nothing.fence) == (False, None, None)
    assert (nothing.mode, nothing.waiters) == (None, 0)

    lease = await lock.acquire()
    status = await other_coord.lock("x").status()
    assert status.held
    assert status.holder.endswith(f":{os.getpid()}")
    assert status.fence == lease.fence
    assert 0 <= status.held_for < 2
    assert 3 < status.remaining <= 5
    assert lease.token not in repr(status)

    await lease.release()
    assert (await lock.status()).fence == lease.fence, "the last one handed out"


@pytest.mark.parametrize("fair", [False, True])
async def test_status_tells_the_mode_and_how_many_wait(
    server: str, prefix: str, no_leaks: None, fair: bool
) -> None:
    async with AsyncCoord.connect(server, prefix=prefix) as hub:
        lock = hub.lock("x", fair=fair)
        held = await lock.acquire()
        assert (await lock.status()).mode == ("fair" if fair else "plain")
        waiting = [asyncio.create_task(lock.acquire(timeout=20)) for _ in range(2)]
        while (await lock.status()).waiters < 2:
            await asyncio.sleep(0.01)
        await held.release()
        for task in asyncio.as_completed(waiting):
            await (await task).release()
        assert (await lock.status()).waiters == 0
        async with hub.locks("x", "y"):
            assert (await lock.status()).held


async def test_a_lock_can_be_broken_with_a_reason_and_its_holder_learns(coord: Any, other_coord: Any) -> None:
    lock = coord.lock("x")
    lease = await lock.acquire()

    assert await other_coord.lock("x").force_release(reason="the host is gone")
    assert not await other_coord.lock("x").force_release(reason="again")
    assert (await lock.status()).broken == "the host is gone"
    with pytest.raises(LockLost):
        await lease.release()
    with pytest.raises(ValueError, match="reason"):
        await lock.force_release(reason="")
