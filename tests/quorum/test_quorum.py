"""Locks over five independent servers, which are stopped, killed and restarted."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
import redis
import redis.asyncio

from coord import AsyncQuorum, LockLost, LockTimeout, Quorum, QuorumError
from tests.quorum.fleet import eventually, holders, joined, kill, resume, stop, urls

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support import servers

pytestmark = pytest.mark.anyio


async def test_a_free_lock_is_granted_and_a_held_one_refused(
    quorum: Any, other: Any, five: list[servers.Process], prefix: str
) -> None:
    lease = await quorum.lock("x").try_acquire()

    assert lease.valid
    assert 9 < lease.remaining() < 9.9
    assert holders(five, prefix) >= 3
    assert await quorum.lock("x").try_acquire() is None
    assert await other.lock("x").try_acquire() is None

    await lease.release()

    assert not lease.valid
    await eventually(lambda: holders(five, prefix) == 0, "all have given it back")
    async with other.lock("x") as next_lease:
        assert next_lease.fence > lease.fence


async def test_waiting_ends_when_the_lock_is_free_or_after_the_timeout(quorum: Any, other: Any) -> None:
    lease = await quorum.lock("x").acquire()
    with pytest.raises(LockTimeout):
        await other.lock("x").acquire(timeout=0.05)
    with pytest.raises(LockTimeout):
        async with other.lock("x").hold(timeout=0):
            pytest.fail("the body must not run without the lock")
    await lease.renew(ttl=0.1)

    async with other.lock("x").hold(timeout=5) as next_lease:
        assert next_lease.fence > lease.fence
    with pytest.raises(LockLost):
        await lease.release()


async def test_a_with_block_renews_its_lease(quorum: Any, five: list[servers.Process], prefix: str) -> None:
    async with quorum.lock("x", ttl=1) as lease:
        stop(five[4])
        await anyio.sleep(1.5)

        assert lease.valid
        assert holders(five[:4], prefix) >= 3


async def test_status_and_force_release_ask_a_majority(quorum: Any, other: Any) -> None:
    lease = await quorum.lock("x").acquire()
    status = await other.lock("x").status()

    assert (status.held, status.fence, str(os.getpid()) in status.holder) == (True, lease.fence, True)
    assert 8 < status.remaining < 10.01
    assert await other.lock("x").force_release(reason="a test")
    with pytest.raises(LockLost):
        await lease.renew()
    assert not (await quorum.lock("x").status()).held


async def test_fences_grow_from_majority_to_majority(
    quorum: Any, five: list[servers.Process], prefix: str
) -> None:
    """Each time another two are stopped, so that no server sees every grant."""
    fences = []
    for i in range(5):
        stopped = five[i], five[(i + 1) % 5]
        stop(*stopped)
        try:
            async with quorum.lock("x", ttl=5) as lease:
                fences.append(lease.fence)
        finally:
            resume(*stopped)
        await eventually(lambda: holders(five, prefix) == 0, "what the stopped ones were sent is undone")

    assert fences == sorted(set(fences))


async def test_a_fence_is_above_what_any_server_of_the_majority_has_seen(
    quorum: Any, five: list[servers.Process], prefix: str
) -> None:
    """One server's counter is far ahead; the majority that it is in must carry that to the next."""
    ahead = 2**52
    with redis.Redis(port=five[0].port) as client:
        client.set(f"{prefix}:lock:{{x}}:fence", ahead, px=60_000)
    stop(*five[3:])
    async with quorum.lock("x") as first:
        assert first.fence == ahead + 1
    resume(*five[3:])
    stop(five[0], five[1])
    try:
        async with quorum.lock("x") as second:
            assert second.fence > first.fence
    finally:
        resume(five[0], five[1])


async def test_two_dead_servers_of_five_are_survived_and_three_are_named(
    flavour: str, own: Callable[[int], list[servers.Process]], prefix: str
) -> None:
    five = own(5)
    async with joined(flavour, five, prefix) as quorum:
        async with quorum.lock("x") as lease:
            kill(*five[:2])
            await lease.renew()
        async with quorum.lock("x") as next_lease:
            assert next_lease.fence > lease.fence

        kill(five[2])
        with pytest.raises(QuorumError) as caught:
            await quorum.lock("x").try_acquire()

    votes = caught.value.votes
    assert [vote.outcome == "failed" for vote in votes] == [True, True, True, False, False]
    for vote, process in zip(votes, five, strict=True):
        assert process.address in vote.node
        assert process.address in str(caught.value)
    assert "ConnectionError" in votes[0].why
    await eventually(lambda: holders(five[3:], prefix) == 0, "those that answer have given it back")


async def test_refused_is_not_failed(quorum: Any, other: Any, five: list[servers.Process]) -> None:
    async with other.lock("x"):
        stop(*five[:2])
        assert await quorum.lock("x").try_acquire() is None, "three refuse, which is an answer"
    stop(five[2])
    with pytest.raises(QuorumError) as caught:
        await quorum.lock("x").try_acquire()
    resume(*five[:3])

    outcomes = [vote.outcome for vote in caught.value.votes]
    assert outcomes == ["failed", "failed", "failed", "granted", "granted"]


async def test_renewal_needs_a_majority_and_no_more(
    quorum: Any, five: list[servers.Process], prefix: str
) -> None:
    lease = await quorum.lock("x").acquire()
    await eventually(lambda: holders(five, prefix) == 5, "the late ones have granted too")
    stop(*five[:2])
    await lease.renew()

    stop(five[2])
    with pytest.raises(QuorumError):
        await lease.renew()
    assert lease.valid, "nobody said that it was lost"

    resume(*five[:3])
    await lease.renew(ttl=20)
    assert lease.remaining() > 15

    for process in five[:3]:
        with redis.Redis(port=process.port) as client:
            client.delete(f"{prefix}:lock:{{x}}")
    with pytest.raises(LockLost):
        await lease.renew()
    assert not lease.valid


async def test_a_renewal_that_fails_past_the_deadline_means_lost(
    quorum: Any, five: list[servers.Process]
) -> None:
    lease = await quorum.lock("x", ttl=0.1).acquire()
    stop(*five[:3])
    await eventually(lambda: not lease.valid, "its deadline has passed")
    with pytest.raises(LockLost):
        await lease.renew()
    resume(*five[:3])
    assert lease.lost.is_set()


async def test_an_expired_lease_is_lost_and_not_revived(
    quorum: Any, five: list[servers.Process], prefix: str
) -> None:
    lease = await quorum.lock("x", ttl=0.1).acquire()
    await eventually(lambda: holders(five, prefix) == 0, "it has expired")

    assert not lease.valid
    with pytest.raises(LockLost):
        lease.check()
    with pytest.raises(LockLost):
        await lease.renew()
    assert holders(five, prefix) == 0


async def test_losing_the_lock_ends_an_async_block(five: list[servers.Process], prefix: str) -> None:
    async with joined("async", five, prefix) as quorum:
        with pytest.raises(LockLost):
            async with quorum.lock("x", ttl=0.3):
                for process in five:
                    with redis.Redis(port=process.port) as client:
                        client.delete(f"{prefix}:lock:{{x}}")
                await anyio.sleep(5)
                pytest.fail("the block went on without the lock")


async def test_a_server_that_was_stopped_meanwhile_holds_nothing_a_moment_after_it_resumes(
    quorum: Any, five: list[servers.Process], prefix: str
) -> None:
    async with quorum.lock("x"):
        pass  # every server has been connected to
    stop(five[4])
    try:
        lease = await quorum.lock("x", ttl=30).acquire()
        await lease.release()
        await anyio.sleep(0.3)  # both calls have timed out
    finally:
        resume(five[4])

    await eventually(lambda: holders(five, prefix) == 0, "the late acquire is undone")
    await anyio.sleep(0.1)
    assert holders(five, prefix) == 0


async def test_a_failed_attempt_leaves_no_key(quorum: Any, five: list[servers.Process], prefix: str) -> None:
    async with quorum.lock("warm"):
        pass
    stop(*five[:3])
    try:
        with pytest.raises(QuorumError):
            await quorum.lock("x", ttl=30).try_acquire()
        await eventually(lambda: holders(five[3:], prefix) == 0, "those that answer have given it back")
    finally:
        resume(*five[:3])

    await eventually(lambda: holders(five, prefix) == 0, "the late acquires are undone")


async def test_cancelling_an_acquire_midway_leaves_no_key(five: list[servers.Process], prefix: str) -> None:
    async with joined("async", five, prefix) as quorum:
        async with quorum.lock("warm"):
            pass
        stop(*five[:3])
        try:
            with anyio.move_on_after(0.02) as scope:
                await quorum.lock("x", ttl=30).acquire()
            assert scope.cancelled_caught
            await eventually(lambda: holders(five[3:], prefix) == 0, "those that answer have given it back")
        finally:
            resume(*five[:3])

        await eventually(lambda: holders(five, prefix) == 0, "the late acquires are undone")
        assert await quorum.lock("x").try_acquire() is not None


async def test_contenders_in_threads_and_tasks_never_overlap(
    five: list[servers.Process], prefix: str
) -> None:
    inside = threading.Semaphore(1)
    fences: list[int] = []

    def enter(fence: int) -> None:
        assert inside.acquire(blocking=False), "two holders at once"
        fences.append(fence)

    def sync_contender(quorum: Quorum) -> None:
        for _ in range(6):
            with quorum.lock("x") as lease:
                enter(lease.fence)
                inside.release()

    async def async_contender(quorum: AsyncQuorum) -> None:
        for _ in range(6):
            async with quorum.lock("x") as lease:
                enter(lease.fence)
                await anyio.lowlevel.checkpoint()
                inside.release()

    options: Any = {"prefix": prefix, "quarantine": False}
    with Quorum.connect(*urls(five), **options) as sync:
        async with AsyncQuorum.connect(*urls(five), **options) as quorum, anyio.create_task_group() as group:
            for _ in range(2):
                group.start_soon(anyio.to_thread.run_sync, sync_contender, sync)
                group.start_soon(async_contender, quorum)

    assert len(fences) == 24
    assert fences == sorted(set(fences))
