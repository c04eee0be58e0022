"""Who holds a lock already: a task or a thread, and no other."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import pytest

from coord import AsyncCoord, Coord, LockTimeout, SelfDeadlock

if TYPE_CHECKING:
    from collections.abc import Callable


pytestmark = pytest.mark.anyio


def try_in(lock: Any) -> bool:
    try:
        with lock.hold(timeout=0):
            return False
    except LockTimeout:
        return True


def in_thread(target: Callable[[], None]) -> None:
    thread = threading.Thread(target=target)
    thread.start()
    thread.join()


def refusal(lock: Any) -> str:
    try:
        with lock.hold(timeout=0.01):
            return "entered"
    except (LockTimeout, SelfDeadlock) as error:
        return type(error).__name__


async def test_waiting_for_oneself_is_an_error_at_once(coord: Any) -> None:
    lock = coord.lock("x")
    async with lock:
        with pytest.raises(SelfDeadlock, match="wait for itself for ever"):
            await lock.acquire()
        with pytest.raises(SelfDeadlock):
            async with coord.lock("x"):
                pass
        with pytest.raises(LockTimeout):
            await lock.acquire(timeout=0.01)


async def test_a_reentrant_lock_is_released_by_its_outermost_block(
    coord: Any, client: Any, prefix: str
) -> None:
    lock = coord.lock("x", reentrant=True)
    async with lock as outer:
        async with lock.hold(timeout=0) as inner, coord.lock("x", reentrant=True) as third:
            assert outer.fence == inner.fence == third.fence
        assert client.exists(f"{prefix}:lock:{{x}}") == 1
        with pytest.raises(LockTimeout):
            await coord.lock("x").acquire(timeout=0)
    assert client.exists(f"{prefix}:lock:{{x}}") == 0


async def test_reentrancy_is_of_one_task_or_thread(real_server: str, prefix: str) -> None:
    with Coord.connect(real_server, prefix=prefix) as hub:
        lock = hub.lock("x", reentrant=True)
        with lock:
            refused = await anyio.to_thread.run_sync(lambda: try_in(lock))
            assert refused
    async with AsyncCoord.connect(real_server, prefix=prefix) as async_hub:
        async_lock = async_hub.lock("y", reentrant=True)
        async with async_lock:

            async def child() -> bool:
                try:
                    async with async_lock.hold(timeout=0):
                        return False
                except LockTimeout:
                    return True

            assert await asyncio.create_task(child())


def test_a_thread_does_not_inherit_from_a_dead_one(real_server: str, prefix: str) -> None:
    """Its ident is used again, as systems do at once."""
    with Coord.connect(real_server, prefix=prefix) as hub:
        lock = hub.lock("x", reentrant=True)
        holds: list[Any] = []
        dead: list[int] = []

        def die_inside() -> None:
            holds.append(lock.hold())
            holds[0].__enter__()
            dead.append(threading.get_ident())

        in_thread(die_inside)
        for _ in range(200):
            outcome: list[str] = []

            def try_it(outcome: list[str] = outcome) -> None:
                if threading.get_ident() != dead[0]:
                    return
                outcome.append(refusal(lock))
                outcome.append(refusal(hub.lock("x")))

            in_thread(try_it)
            if outcome:
                break
        assert outcome == ["LockTimeout", "LockTimeout"]


async def test_no_other_task_gets_the_id_of_one_that_ended_inside_its_block() -> None:
    async with AsyncCoord.connect("memory://") as hub:
        lock = hub.lock("x", ttl=60, reentrant=True)
        hold = lock.hold()

        async def end_inside() -> int:
            await hold.__aenter__()
            return id(asyncio.current_task())

        async def ask() -> int:
            return id(asyncio.current_task())

        async def enter() -> None:
            with pytest.raises(LockTimeout):
                await lock.hold(timeout=0).__aenter__()

        dead = await asyncio.create_task(end_inside())
        gc.collect()
        others = [await asyncio.create_task(ask()) for _ in range(300)]
        await asyncio.create_task(enter())

        assert len(set(others)) < 300, "ids are used again"
        assert dead not in others
