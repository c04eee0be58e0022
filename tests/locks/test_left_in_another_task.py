"""Blocks of an ``AsyncCoord`` that are left in another task than has entered them, or cut short by a loss."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import time
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from coord import AsyncCoord, LockLost, PermitLost
from tests.support.blocks import KINDS, async_hub_of, kind_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.support import servers

pytestmark = pytest.mark.anyio

LOST = (LockLost, PermitLost)


async def inside(block: Any) -> AsyncIterator[Any]:
    """A generator that is suspended inside of a block."""
    async with block as possession:
        yield possession


async def taken_soon(try_to_take: Callable[[], Awaitable[Any]]) -> Any:
    """Take what is given back by a task that nobody can wait for."""
    with anyio.fail_after(10):
        while (taken := await try_to_take()) is None:
            await asyncio.sleep(0.005)
    return taken


def requests_to_cancel() -> int:
    """Count those that the calling task has been asked for and has not taken back."""
    task = asyncio.current_task()
    assert task is not None
    return task.cancelling()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_loop_that_breaks_out_of_a_generator_goes_on_undisturbed(
    real_server: str, prefix: str, kind: str
) -> None:
    """The event loop closes the generator, in a task of its own. One scope in a task group would kill all."""
    async with async_hub_of(kind, real_server, prefix) as hub, anyio.create_task_group() as group:
        here = kind_of(hub, kind, ttl=0.3)

        async def consume() -> None:
            async for possession in inside(here.block()):
                assert possession.valid
                break
            gc.collect()
            await asyncio.sleep(0.7)  # two leases long

        group.start_soon(consume)
        await asyncio.sleep(0)
        await (await taken_soon(here.taken)).release()
    assert requests_to_cancel() == 0


@pytest.mark.parametrize("kind", KINDS)
async def test_a_block_that_is_closed_in_another_task_lets_go(
    real_server: str, prefix: str, kind: str
) -> None:
    async with async_hub_of(kind, real_server, prefix) as hub:
        here = kind_of(hub, kind, ttl=0.3)
        block: Any = inside(here.block())
        possession = await anext(block)
        await asyncio.create_task(block.aclose())

        assert not possession.valid
        taken = await here.taken()
        assert taken is not None
        await taken.release()
        await asyncio.sleep(0.7)  # two leases long
    assert requests_to_cancel() == 0


@pytest.mark.parametrize("loses", [False, True])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_fixture_is_set_up_and_torn_down_in_tasks_that_have_ended(
    real_server: str, prefix: str, kind: str, loses: bool
) -> None:
    async with async_hub_of(kind, real_server, prefix) as hub:
        here = kind_of(hub, kind, ttl=0.3)
        fixture: Any = inside(here.block())
        possession = await asyncio.create_task(anext(fixture))
        if loses:
            await here.lose()
            await possession.lost.wait(timeout=10)
        else:
            await asyncio.sleep(0.7)  # it is renewed all the while

        torn_down = asyncio.create_task(anext(fixture, None))
        if loses:
            with pytest.raises(LOST):
                await torn_down
        else:
            await torn_down
            await (await here.taken()).release()
    assert requests_to_cancel() == 0


async def test_a_loss_while_a_generator_is_suspended_cancels_its_consumer_until_it_is_closed(
    real_server: str, prefix: str
) -> None:
    """As any timeout inside of a generator does (PEP 789): it cannot be known that the body does not run."""
    async with AsyncCoord.connect(real_server, prefix=prefix) as hub:
        block: Any = inside(hub.lock("x", ttl=0.3).hold())
        await anext(block)
        await hub.lock("x").force_release(reason="a test")
        with pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(30)
        assert requests_to_cancel() == 1

        with pytest.raises(LockLost):
            await asyncio.create_task(anext(block, None))
        assert requests_to_cancel() == 0


async def test_a_lost_block_that_is_left_releases_nobody_elses(real_server: str, prefix: str) -> None:
    async with AsyncCoord.connect(real_server, prefix=prefix) as hub:
        lock = hub.lock("x", ttl=30)
        lost: Any = inside(lock)
        good: Any = inside(lock)
        await asyncio.create_task(anext(lost))
        await lock.force_release(reason="a test")
        lease = await anext(good)

        with pytest.raises(LockLost):
            await anext(lost, None)
        await lease.renew()
        await asyncio.create_task(good.aclose())
        assert not lease.valid


async def test_a_stack_that_has_entered_a_lock_is_closed_in_any_task(real_server: str, prefix: str) -> None:
    async with AsyncCoord.connect(real_server, prefix=prefix) as hub:
        lock = hub.lock("x", ttl=30)
        stack = contextlib.AsyncExitStack()
        await asyncio.create_task(stack.enter_async_context(lock))
        await asyncio.create_task(stack.aclose())

        assert await lock.try_acquire() is not None


# redis-py has a generator of its own, of which asyncio warns while a loop ends.
@pytest.mark.filterwarnings("ignore:asynchronous generator .* was scheduled after:ResourceWarning")
async def test_a_loop_that_ends_closes_what_is_suspended(real_server: str, prefix: str) -> None:
    async def inside_of_all() -> AsyncIterator[None]:
        async with AsyncCoord.connect(real_server, prefix=prefix) as hub, hub.lock("x", ttl=60):
            yield

    async def main() -> None:
        kept.append(inside_of_all())
        await anext(kept[0])

    kept: list[Any] = []
    await anyio.to_thread.run_sync(asyncio.run, main())
    async with AsyncCoord.connect(real_server, prefix=prefix) as hub:
        assert await hub.lock("x").try_acquire() is not None


# Loss


@pytest.mark.parametrize("kind", KINDS)
async def test_a_body_is_cancelled_by_its_loss_and_by_nothing_that_outlives_it(
    real_server: str, prefix: str, kind: str
) -> None:
    async with async_hub_of(kind, real_server, prefix) as hub:
        here = kind_of(hub, kind, ttl=0.3)
        with pytest.raises(LOST):
            async with here.block():
                await here.lose()
                await asyncio.sleep(30)
        assert requests_to_cancel() == 0
        await asyncio.sleep(0)


async def children_of_anyio(cleaned: list[str]) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(sleep, cleaned)
        await sleep(cleaned)


async def children_of_asyncio(cleaned: list[str]) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(sleep(cleaned))
        await sleep(cleaned)


async def timeout_of_asyncio(cleaned: list[str]) -> None:
    async with asyncio.timeout(60):
        await sleep(cleaned)


async def timeout_of_anyio(cleaned: list[str]) -> None:
    with anyio.fail_after(60):
        await sleep(cleaned)


async def wait_for(cleaned: list[str]) -> None:
    await asyncio.wait_for(sleep(cleaned), 60)


async def sleep(cleaned: list[str]) -> None:
    try:
        await asyncio.sleep(60)
    finally:
        await asyncio.sleep(0)
        cleaned.append("cleaned up")


BODIES = [children_of_anyio, children_of_asyncio, timeout_of_asyncio, timeout_of_anyio, wait_for, sleep]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__)
async def test_whatever_the_body_waits_in_is_cut_short_and_cleans_up(
    real_server: str, prefix: str, body: Any
) -> None:
    cleaned: list[str] = []
    async with AsyncCoord.connect(real_server, prefix=prefix) as hub:
        with pytest.raises(LockLost) as caught:
            async with hub.lock("x", ttl=0.3):
                await hub.lock("x").force_release(reason="a test")
                await body(cleaned)
        assert caught.value.__notes__ == [] if hasattr(caught.value, "__notes__") else True
    assert cleaned
    assert requests_to_cancel() == 0


@pytest.mark.parametrize("around", ["anyio", "asyncio"])
async def test_a_task_group_around_it_gets_what_the_block_raises(
    real_server: str, prefix: str, around: str
) -> None:
    async with AsyncCoord.connect(real_server, prefix=prefix) as hub:

        async def lose_it() -> None:
            async with hub.lock("x", ttl=0.3):
                await hub.lock("x").force_release(reason="a test")
                await asyncio.sleep(60)

        with pytest.raises(ExceptionGroup) as caught:
            if around == "anyio":
                async with anyio.create_task_group() as children:
                    children.start_soon(lose_it)
            else:
                async with asyncio.TaskGroup() as group:
                    group.create_task(lose_it())
        assert [type(one) for one in caught.value.exceptions] == [LockLost]


async def test_of_nested_blocks_that_are_lost_at_once_the_outermost_tells(
    real_server: str, prefix: str
) -> None:
    async with AsyncCoord.connect(real_server, prefix=prefix) as hub:
        with pytest.raises(LockLost, match="'outer'"):
            async with hub.lock("outer", ttl=0.3), hub.lock("inner", ttl=0.3):
                for name in ("outer", "inner"):
                    await hub.lock(name).force_release(reason="a test")
                await asyncio.sleep(60)
        assert requests_to_cancel() == 0

        async with hub.lock("outer", ttl=0.3) as outer:
            with pytest.raises(LockLost, match="'inner'"):
                async with hub.lock("inner", ttl=0.3):
                    await hub.lock("inner").force_release(reason="a test")
                    await asyncio.sleep(60)
            assert outer.valid


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("who", ["task", "asyncio.timeout", "anyio scope"])
async def test_a_cancellation_from_outside_at_the_same_moment_wins(
    real_server: str, prefix: str, who: str, turns: int
) -> None:
    """Before the loss, and some turns of the loop after it: whatever comes while the body ends."""
    ended: list[str] = []
    async with AsyncCoord.connect(real_server, prefix=prefix) as hub:
        lost = asyncio.Event()

        async def body() -> None:
            try:
                async with hub.lock("x", ttl=30).hold(on_lost=lost.set) as lease:
                    await hub.lock("x").force_release(reason="a test")
                    with contextlib.suppress(LockLost):
                        await lease.renew()  # which tells the guard: it cuts in the next turn
                    try:
                        await asyncio.sleep(60)
                    finally:
                        for _ in range(3):
                            await asyncio.sleep(0)
            except asyncio.CancelledError:
                ended.append("cancelled")
                raise
            except LockLost:
                ended.append("lost")
                raise

        async def cancelled_by(cancel: Callable[[], object]) -> None:
            await lost.wait()
            for _ in range(turns):
                await asyncio.sleep(0)
            cancel()

        if who == "task":
            task = asyncio.create_task(body())
            await cancelled_by(task.cancel)
            await asyncio.wait([task])
            assert task.cancelled()
        elif who == "anyio scope":
            async with anyio.create_task_group() as group:
                with anyio.CancelScope() as scope:
                    group.start_soon(cancelled_by, scope.cancel)
                    await body()
                assert scope.cancelled_caught
        else:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(None) as timeout, asyncio.TaskGroup() as children:
                    children.create_task(
                        cancelled_by(lambda: timeout.reschedule(asyncio.get_running_loop().time()))
                    )
                    await body()
        assert ended == ["cancelled"]
        assert requests_to_cancel() == 0
        await asyncio.sleep(0)
        assert await hub.lock("x").try_acquire() is not None


async def test_a_body_that_swallows_its_cancellation_is_told_at_its_end(
    real_server: str, prefix: str
) -> None:
    async with AsyncCoord.connect(real_server, prefix=prefix) as hub:
        with pytest.raises(LockLost):
            async with hub.lock("x", ttl=0.3):
                await hub.lock("x").force_release(reason="a test")
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(60)
                await asyncio.sleep(0.01)
        assert requests_to_cancel() == 0


@pytest.mark.parametrize("loses", [False, True])
@pytest.mark.parametrize("kind", KINDS)
async def test_what_a_body_raises_leaves_it_as_itself(
    real_server: str, prefix: str, kind: str, loses: bool
) -> None:
    async with async_hub_of(kind, real_server, prefix) as hub:
        here = kind_of(hub, kind, ttl=0.3)
        for raised in (ZeroDivisionError("a test"), ExceptionGroup("a test", [KeyError()])):
            with pytest.raises(type(raised)) as caught:
                async with here.block() as possession:
                    if loses:
                        await here.lose()
                        with contextlib.suppress(asyncio.CancelledError):
                            await possession.lost.wait()
                    raise raised
            assert caught.value is raised
            assert getattr(raised, "__notes__", []) == [] if not loses else "was lost" in raised.__notes__[0]
        assert requests_to_cancel() == 0


# A server that hangs


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_lost_while_the_server_hangs_is_told_at_the_deadline(
    own_server: servers.Process, prefix: str, kind: str, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the body ends before the deadline or is cut. To give up on the server takes longer by far."""
    monkeypatch.setattr("coord.locks.lock.UNDO_TIME", 60)
    async with async_hub_of(kind, f"redis://{own_server.address}", prefix, call_timeout=60) as hub:
        here = kind_of(hub, kind, ttl=1)
        try:
            with pytest.raises(LOST):
                async with here.block() as possession:
                    os.kill(own_server.pid, signal.SIGSTOP)
                    began = time.monotonic()
                    if when == "after":
                        await asyncio.sleep(60)
            assert time.monotonic() - began < 30
        finally:
            os.kill(own_server.pid, signal.SIGCONT)
        assert not possession.valid
