"""Whose a lock is: a thread's or a task's, and who else may release it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import pytest
import redis
import redis.asyncio
from redis.exceptions import LockError, LockNotOwnedError

from coord.compat import RedisPyLock

pytestmark = pytest.mark.anyio


def test_a_stale_thread_cannot_release_another_threads_lock(
    sync_client: redis.Redis, sync_class: type[RedisPyLock]
) -> None:
    shared = sync_client.lock("x", timeout=0.05, lock_class=sync_class)
    assert shared.acquire()
    first_fence = shared.fence
    with ThreadPoolExecutor(1) as other:
        assert other.submit(shared.acquire, blocking_timeout=5).result()
        other.submit(shared.extend, 5).result()

        with pytest.raises(LockNotOwnedError):
            shared.release()

        assert other.submit(shared.owned).result()
        assert other.submit(lambda: shared.fence).result() > first_fence
        assert shared.fence is None
        other.submit(shared.release).result()


def test_two_threads_with_one_lock_object_exclude_each_other(
    sync_client: redis.Redis, sync_class: type[RedisPyLock]
) -> None:
    shared = sync_client.lock("x", timeout=10, lock_class=sync_class)
    inside: list[int] = []

    def work(number: int) -> None:
        for _ in range(10):
            with shared:
                assert not inside
                inside.append(number)
                inside.remove(number)

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(work, range(2)))


@pytest.mark.parametrize("thread_local", [True, False])
def test_another_thread_releases_only_what_is_shared(
    sync_client: redis.Redis, sync_class: type[RedisPyLock], thread_local: bool
) -> None:
    shared = sync_client.lock("x", timeout=5, thread_local=thread_local, lock_class=sync_class)
    shared.acquire()
    with ThreadPoolExecutor(1) as other:
        assert other.submit(shared.owned).result() is not thread_local
        failure = other.submit(shared.release).exception()

    assert (failure is None) is not thread_local
    assert type(failure) in (type(None), LockError)
    assert shared.locked() is thread_local


def test_a_shared_lock_is_not_released_when_it_is_not_clear_whose(
    sync_client: redis.Redis, sync_class: type[RedisPyLock]
) -> None:
    shared = sync_client.lock("x", timeout=0.3, thread_local=False, lock_class=sync_class)
    shared.acquire()
    with ThreadPoolExecutor(1) as second, ThreadPoolExecutor(1) as worker:
        assert second.submit(shared.acquire, blocking_timeout=5).result()
        assert second.submit(shared.owned).result()

        assert worker.submit(shared.owned).result() is False
        with pytest.raises(LockNotOwnedError, match="not clear whose"):
            worker.submit(shared.extend, 1).result()
        with pytest.raises(LockNotOwnedError, match="not clear whose"):
            worker.submit(shared.release).result()

        assert shared.locked(), "what the worker may not have meant is still held"
        assert second.submit(shared.acquire, blocking_timeout=5).result(), "and runs out"
        worker.submit(shared.release).result()


def test_a_threads_ident_may_be_used_again(sync_client: redis.Redis, sync_class: type[RedisPyLock]) -> None:
    shared = sync_client.lock("x", timeout=5, lock_class=sync_class)
    failures: list[type[Exception]] = []

    def release() -> None:
        try:
            shared.release()
        except LockError as error:
            failures.append(type(error))

    for work in (shared.acquire, release):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    assert failures == [LockError]


async def test_a_stale_task_cannot_release_another_tasks_lock(
    async_client: redis.asyncio.Redis, async_class: Any
) -> None:
    shared: Any = async_client.lock("x", timeout=0.05, lock_class=async_class)
    assert await shared.acquire()
    holds, done = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        assert await shared.acquire(blocking_timeout=5)
        await shared.extend(5)
        holds.set()
        await done.wait()
        assert await shared.owned()
        await shared.release()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hold)
        await holds.wait()
        with pytest.raises(LockNotOwnedError):
            await shared.release()
        with pytest.raises(LockError):
            await shared.release()
        done.set()


async def test_the_task_that_calls_is_the_owner_whichever_runs_it(
    async_client: redis.asyncio.Redis, async_class: Any
) -> None:
    shared: Any = async_client.lock("x", timeout=5, lock_class=async_class)

    assert await asyncio.ensure_future(shared.acquire())
    assert shared.fence is not None
    assert await asyncio.ensure_future(shared.owned())
    assert await asyncio.ensure_future(shared.extend(1))
    assert await asyncio.wait_for(shared.release(), 5) is None
    assert await asyncio.ensure_future(shared.locked()) is False


async def test_any_task_may_release_for_one_that_has_ended(
    async_client: redis.asyncio.Redis, async_class: Any
) -> None:
    shared: Any = async_client.lock("x", timeout=5, lock_class=async_class)

    async def help_out() -> None:
        await shared.acquire()

    await asyncio.ensure_future(help_out())

    assert await shared.owned()
    await shared.release()


async def test_none_is_released_if_several_tasks_that_ended_have_not(
    async_client: redis.asyncio.Redis, async_class: Any
) -> None:
    shared: Any = async_client.lock("x", timeout=0.1, lock_class=async_class)

    async def help_out() -> None:
        assert await shared.acquire(blocking_timeout=5)

    for _ in range(5):
        await asyncio.ensure_future(help_out())
    assert len(shared._table._rows) == 2, "the table does not grow"

    with pytest.raises(LockNotOwnedError, match="not clear whose"):
        await shared.release()
    await asyncio.ensure_future(help_out())
    await shared.release()


async def test_a_cancelled_acquire_leaves_nothing_behind(
    async_client: redis.asyncio.Redis, async_class: Any
) -> None:
    lock: Any = async_client.lock("x", timeout=30, lock_class=async_class)
    for turns in range(40):
        task = asyncio.ensure_future(lock.acquire())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            assert await task
            await lock.release()

        assert not await lock.locked(), f"cancelled after {turns} turns of the loop"


async def test_a_block_that_is_cancelled_again_on_its_way_out_is_released(
    async_client: redis.asyncio.Redis, async_class: Any
) -> None:
    lock: Any = async_client.lock("x", timeout=30, lock_class=async_class)
    inside = asyncio.Event()

    async def hold() -> None:
        async with lock:
            inside.set()
            await asyncio.sleep(60)

    for turns in range(10):
        inside.clear()
        task = asyncio.ensure_future(hold())
        await inside.wait()
        task.cancel()
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert not await lock.locked()


def test_without_a_running_loop(real_server: str, async_class: Any, behind: redis.Redis) -> None:
    loop = asyncio.new_event_loop()
    client = redis.asyncio.Redis.from_url(real_server)
    lock: Any = client.lock("x", timeout=5, lock_class=async_class)
    try:
        assert loop.run_until_complete(lock.acquire())
        assert loop.run_until_complete(lock.owned())
        loop.run_until_complete(lock.release())
        loop.run_until_complete(client.aclose())
    finally:
        loop.close()


def test_a_forked_child_leaves_its_parents_block_in_silence_and_owns_nothing(real_server: str) -> None:
    client = redis.Redis.from_url(real_server)
    lock = RedisPyLock(client, "forked", timeout=5)
    pid = 1
    try:
        with lock:
            pid = os.fork()
            if pid == 0:
                with pytest.raises(LockNotOwnedError):
                    lock.extend(5)
            else:
                assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
                lock.extend(5)
        if pid == 0:
            os._exit(0)
    finally:
        if pid == 0:
            os._exit(1)
    client.close()
