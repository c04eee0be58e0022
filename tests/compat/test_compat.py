from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import logging
import os
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import redis
import redis.asyncio
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import LockError, LockNotOwnedError
from redis.lock import Lock as TheirLock

from coord import AsyncCoord, Coord
from coord.compat import AsyncRedisPyLock, RedisPyLock
from tests.support.flavours import out_of_loop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

pytestmark = pytest.mark.anyio

COROUTINES = {"acquire", "release", "extend", "reacquire", "locked", "owned"}


class Awaitable:
    """Lets one test body run on the sync lock as well."""

    def __init__(self, inner: RedisPyLock) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        member = getattr(self.inner, name)
        if name not in COROUTINES:
            return member

        async def call(*args: Any, **kwargs: Any) -> Any:
            with out_of_loop():
                return member(*args, **kwargs)

        return call

    async def __aenter__(self) -> Any:
        with out_of_loop():
            entered = self.inner.__enter__()
        assert entered is self.inner
        return self

    async def __aexit__(self, *details: object) -> Any:
        leave: Any = self.inner.__exit__
        return leave(*details)


@pytest.fixture
def behind(real_server: str, prefix: str) -> Iterator[redis.Redis]:
    """A client for looking behind the lock's back, which also checks that nothing is left for ever."""
    with redis.Redis.from_url(real_server, decode_responses=True) as client:
        yield client
        keys = list(client.scan_iter(f"{prefix}:*"))
        endless = [key for key in keys if client.pttl(key) == -1]
        for key in keys:
            client.delete(key)
        assert endless == []


@pytest.fixture
def sync_class(prefix: str) -> type[RedisPyLock]:
    return type("OurLock", (RedisPyLock,), {"prefix": prefix})


@pytest.fixture
def async_class(prefix: str) -> type[AsyncRedisPyLock]:
    return type("OurAsyncLock", (AsyncRedisPyLock,), {"prefix": prefix})


@pytest.fixture
def sync_client(real_server: str, behind: redis.Redis) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(real_server) as client:
        yield client


@pytest.fixture
async def async_client(real_server: str, behind: redis.Redis) -> AsyncIterator[redis.asyncio.Redis]:
    async with redis.asyncio.Redis.from_url(real_server) as client:
        yield client


@pytest.fixture
async def lock(flavour: str, sync_client: Any, async_client: Any, sync_class: Any, async_class: Any) -> Any:
    """Make locks as ``client.lock()`` does, of either flavour."""
    client, lock_class = (async_client, async_class) if flavour == "async" else (sync_client, sync_class)
    takes = inspect.signature(client.lock).parameters

    def make(*args: Any, **options: Any) -> Any:
        if options.keys() <= takes.keys():
            made = client.lock(*args, lock_class=lock_class, **options)
        else:
            made = lock_class(client, *args, **options)  # an older client, which passes fewer on
        return Awaitable(made) if flavour == "sync" else made

    return make


def lose(behind: redis.Redis, prefix: str, name: str = "x") -> None:
    assert behind.delete(f"{prefix}:lock:{{{name}}}") == 1


def pttl(behind: redis.Redis, prefix: str, name: str = "x") -> int:
    left = behind.pttl(f"{prefix}:lock:{{{name}}}")
    assert isinstance(left, int)
    return left


async def test_it_is_what_the_client_makes_with_every_option(lock: Any) -> None:
    made = lock(
        "x",
        timeout=5,
        sleep=0.01,
        blocking=False,
        blocking_timeout=1,
        thread_local=False,
        raise_on_release_error=False,
    )

    assert (made.name, made.timeout, made.sleep, made.blocking) == ("x", 5, 0.01, False)
    assert (made.blocking_timeout, made.thread_local, made.raise_on_release_error) == (1, False, False)
    assert repr(getattr(made, "inner", made)).endswith("'x'>")


def test_older_clients_pass_no_raise_on_release_error(
    sync_client: redis.Redis, sync_class: type[RedisPyLock]
) -> None:
    made = sync_class(
        sync_client, "x", timeout=None, sleep=0.1, blocking=True, blocking_timeout=None, thread_local=True
    )

    assert made.raise_on_release_error is True


async def test_acquire_and_release(lock: Any) -> None:
    mine, theirs = lock("x", timeout=5), lock("x", timeout=5)

    assert await mine.acquire() is True
    assert await theirs.acquire(blocking=False) is False
    assert await theirs.acquire(blocking_timeout=0.01) is False
    assert await theirs.acquire(blocking_timeout=-1) is False
    assert await mine.release() is None
    assert await theirs.acquire() is True
    await theirs.release()


async def test_the_locks_own_settings_for_waiting(lock: Any) -> None:
    async with lock("x", timeout=5):
        assert await lock("x", blocking=False).acquire() is False
        assert await lock("x", blocking_timeout=0.01).acquire() is False
        assert await lock("x", blocking=False).acquire(blocking=True, blocking_timeout=0.01) is False


async def test_waiting_ends_with_the_release(lock: Any) -> None:
    first, second = lock("x", timeout=30), lock("x", timeout=30)
    await first.acquire()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(in_a_thread_if_sync, second)
        await anyio.sleep(0.02)
        await first.release()


async def in_a_thread_if_sync(lock: Any) -> None:
    def wait() -> None:
        assert lock.inner.acquire(blocking_timeout=10)
        lock.inner.release()

    if isinstance(lock, Awaitable):
        await anyio.to_thread.run_sync(wait)
    else:
        assert await lock.acquire(blocking_timeout=10)
        await lock.release()


async def test_the_block_raises_when_the_lock_was_not_acquired(lock: Any) -> None:
    entered = False
    async with lock("x", timeout=5):
        with pytest.raises(LockError, match="Unable to acquire lock within the time specified") as raised:
            async with lock("x", blocking_timeout=0.01):
                entered = True

    assert not entered
    assert raised.type is LockError
    assert raised.value.lock_name == "x"


async def test_the_block_gives_the_lock_itself_and_can_be_used_again(lock: Any) -> None:
    made = lock("x", timeout=5)
    for _ in range(2):
        async with made as entered:
            assert entered is made
            assert await made.owned()
        assert not await made.locked()


async def test_releasing_what_is_not_held_is_an_error_but_not_lost(lock: Any) -> None:
    made = lock("x", timeout=5)

    with pytest.raises(LockError, match="not owned or is already unlocked") as raised:
        await made.release()
    assert raised.type is LockError

    await made.acquire()
    await made.release()
    with pytest.raises(LockError) as raised:
        await made.release()
    assert raised.type is LockError


async def test_releasing_an_expired_lock_says_so_and_leaves_the_next_holder_alone(lock: Any) -> None:
    late, current = lock("x", timeout=0.02), lock("x", timeout=5)
    await late.acquire()
    assert await current.acquire(blocking_timeout=5)

    with pytest.raises(LockNotOwnedError, match="Cannot release a lock that's no longer owned"):
        await late.release()

    assert await current.owned()
    with pytest.raises(LockError) as raised:
        await late.release()
    assert raised.type is LockError, "it was given up with the server's answer"
    await current.release()


async def test_the_block_of_a_lost_lock_raises_unless_told_not_to(
    lock: Any, behind: redis.Redis, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(LockNotOwnedError):
        async with lock("x", timeout=5):
            lose(behind, prefix)

    with caplog.at_level(logging.WARNING, "coord"):
        async with lock("x", timeout=5, raise_on_release_error=False):
            lose(behind, prefix)
    assert "no longer owned" in caplog.text


async def test_the_bodys_own_exception_is_the_one_to_see(lock: Any, behind: redis.Redis, prefix: str) -> None:
    with pytest.raises(ZeroDivisionError) as raised:
        async with lock("x", timeout=5):
            lose(behind, prefix)
            raise ZeroDivisionError

    assert "LockNotOwnedError" in raised.value.__notes__[0]


async def test_extend_adds_or_replaces(lock: Any, behind: redis.Redis, prefix: str) -> None:
    made = lock("x", timeout=10)
    await made.acquire()

    assert await made.extend(20) is True
    assert 28_000 < pttl(behind, prefix) <= 30_000
    assert await made.extend(5, replace_ttl=True) is True
    assert 4_000 < pttl(behind, prefix) <= 5_000
    assert await made.reacquire() is True
    assert 9_000 < pttl(behind, prefix) <= 10_000

    getattr(made, "inner", made).timeout = 40
    await made.reacquire()
    assert 39_000 < pttl(behind, prefix) <= 40_000
    await made.release()


@pytest.mark.parametrize("prolong", [("extend", 5), ("reacquire",)], ids=lambda prolong: prolong[0])
async def test_what_can_be_prolonged(
    lock: Any, behind: redis.Redis, prefix: str, prolong: tuple[Any, ...]
) -> None:
    verb, *args = prolong
    made, endless = lock("x", timeout=5), lock("x")

    with pytest.raises(LockError, match=f"Cannot {verb} an unlocked lock") as raised:
        await getattr(made, verb)(*args)
    assert raised.type is LockError

    await endless.acquire()
    with pytest.raises(LockError, match=f"Cannot {verb} a lock with no timeout") as raised:
        await getattr(endless, verb)(*args)
    assert raised.type is LockError
    await endless.release()

    await made.acquire()
    lose(behind, prefix)
    with pytest.raises(LockNotOwnedError, match=f"Cannot {verb} a lock that's no longer owned"):
        await getattr(made, verb)(*args)
    assert behind.exists(f"{prefix}:lock:{{x}}") == 0, "a lost lease is not revived"
    with pytest.raises(LockNotOwnedError):
        await made.release()


async def test_locked_is_by_anyone_and_owned_is_by_me(lock: Any, behind: redis.Redis, prefix: str) -> None:
    mine, theirs = lock("x", timeout=5), lock("x", timeout=5)
    assert not await mine.locked()
    assert not await mine.owned()

    await mine.acquire()
    assert await theirs.locked()
    assert not await theirs.owned()
    assert await mine.owned()

    lose(behind, prefix)
    assert not await mine.owned()
    await theirs.acquire()
    assert await mine.locked()
    assert not await mine.owned()
    await theirs.release()


@pytest.mark.parametrize("timeout", [None, 0])
async def test_for_ever_is_an_hour(
    lock: Any, behind: redis.Redis, prefix: str, timeout: float | None
) -> None:
    async with lock("x", timeout=timeout):
        assert 3_590_000 < pttl(behind, prefix) <= 3_600_000


def test_a_subclass_says_how_long_for_ever_is(
    sync_client: redis.Redis, sync_class: type[RedisPyLock], behind: redis.Redis, prefix: str
) -> None:
    sync_class.endless = 60
    with sync_client.lock("x", lock_class=sync_class):
        assert pttl(behind, prefix) <= 60_000


async def test_a_subclass_may_have_waiters_woken(
    flavour: str, sync_class: Any, async_class: Any, lock: Any, real_server: str
) -> None:
    our_class = sync_class if flavour == "sync" else async_class
    our_class.wait = "signal"
    held, waiting = lock("x", timeout=30), lock("x", timeout=30)
    await held.acquire()
    room = getattr(waiting, "inner", waiting)._flow()._room
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(in_a_thread_if_sync, waiting)
        while not room.wakeups._listener(None)._confirmed:
            await anyio.sleep(0.001)
        await held.release()
    await close(getattr(waiting, "inner", waiting))


async def close(lock: Any) -> None:
    if isinstance(lock, RedisPyLock):
        await anyio.to_thread.run_sync(lock._coord(Coord).close)
    else:
        await lock._coord(AsyncCoord).close()


async def test_fences_grow(lock: Any) -> None:
    fences: list[int] = []
    made: Any = lock("x", timeout=5)
    assert made.fence is None
    for _ in range(3):
        async with made:
            assert made.fence is not None
            fences.append(made.fence)

    assert fences == sorted(set(fences))
    assert made.fence is None


async def test_it_excludes_coords_own_lock(lock: Any, real_server: str, prefix: str) -> None:
    with Coord.connect(real_server, prefix=prefix) as hub:
        async with lock("x", timeout=5):
            assert hub.lock("x").try_acquire() is None


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"name": "x", "timeout": 0.001}, "timeout"),
        ({"name": "x", "timeout": -1}, "timeout"),
        ({"name": "x", "timeout": float("nan")}, "timeout"),
        ({"name": "", "timeout": 1}, "name"),
    ],
)
async def test_bad_arguments_are_refused_before_anything_is_sent(
    lock: Any, arguments: dict[str, Any], named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        await lock(**arguments).acquire()


async def test_a_token_of_ones_own_is_refused(lock: Any) -> None:
    with pytest.raises(ValueError, match=r"token= is not supported.*adopt\(\)"):
        await lock("x", timeout=1).acquire(token="mine")


async def test_a_name_may_be_bytes(lock: Any) -> None:
    async with lock(b"x", timeout=5):
        assert await lock("x").locked()
        assert await lock(memoryview(b"x")).locked()


async def test_the_wrong_flavour_of_client_is_refused(sync_client: Any, async_client: Any) -> None:
    with pytest.raises(TypeError, match="use AsyncCoord"):
        RedisPyLock(async_client, "x")
    with pytest.raises(TypeError, match="use Coord"):
        AsyncRedisPyLock(sync_client, "x")
    with pytest.raises(TypeError, match="client"):
        RedisPyLock("redis://", "x")  # type: ignore[arg-type]


def test_a_client_has_one_coord_which_ends_with_it(
    real_server: str, behind: redis.Redis, sync_class: type[RedisPyLock]
) -> None:
    client = redis.Redis.from_url(real_server)
    locks = [client.lock(name, timeout=1, lock_class=sync_class) for name in "ab"]
    hubs = {id(lock._coord(Coord)) for lock in locks}
    hub = weakref.ref(locks[0]._coord(Coord))
    client.close()
    del client, locks
    gc.collect()

    assert len(hubs) == 1
    assert hub() is None


async def test_a_release_that_could_not_be_asked_can_be_tried_again(
    lock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = lock("x", timeout=5)
    await made.acquire()
    inner = getattr(made, "inner", made)
    room = inner._flow()._room

    async def fail(*args: Any, **options: Any) -> None:
        raise RedisConnectionError

    with monkeypatch.context() as patch:
        patch.setattr(room, "release", fail)
        with pytest.raises(RedisConnectionError):
            await made.release()

    assert await made.owned()
    await made.release()
    assert not await made.locked()


# Threads


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


# Tasks


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


async def test_redis_pys_own_lock_is_another(
    sync_client: redis.Redis, sync_class: type[RedisPyLock], prefix: str
) -> None:
    name = f"{prefix}:theirs"
    with TheirLock(sync_client, name, timeout=5), sync_client.lock(name, timeout=5, lock_class=sync_class):
        pass


async def test_flavours_exclude_each_other(
    sync_client: redis.Redis, async_client: Any, sync_class: Any, async_class: Any
) -> None:
    async with async_client.lock("x", timeout=5, lock_class=async_class):
        assert not sync_client.lock("x", lock_class=sync_class).acquire(blocking=False)

    assert isinstance(async_class(async_client, "x")._coord(AsyncCoord), AsyncCoord)


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
