"""coord's locks behind the interface of redis-py's."""

from __future__ import annotations

import gc
import logging
import weakref
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
from tests.compat.awaited import close, hub_behind, in_a_thread_if_sync, lose, pttl
from tests.support.hubs import intercepted, name_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

pytestmark = pytest.mark.anyio


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
    flavour: str, sync_class: Any, async_class: Any, lock: Any, behind: redis.Redis
) -> None:
    our_class = sync_class if flavour == "sync" else async_class
    our_class.wait = "signal"
    held, waiting = lock("x", timeout=30), lock("x", timeout=30)
    await held.acquire()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(in_a_thread_if_sync, waiting)
        while not behind.pubsub_channels():
            await anyio.sleep(0.001)
        await held.release()
    await close(waiting)


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
    hubs = {id(hub_behind(lock)) for lock in locks}
    hub = weakref.ref(hub_behind(locks[0]))
    client.close()
    del client, locks
    gc.collect()

    assert len(hubs) == 1
    assert hub() is None


async def test_a_release_that_could_not_be_asked_can_be_tried_again(lock: Any) -> None:
    made = lock("x", timeout=5)
    await made.acquire()

    async def fail(call: Any, send: Callable[..., Awaitable[Any]]) -> Any:
        if name_of(call) == "lock_release":
            raise RedisConnectionError
        return await send()

    with intercepted(hub_behind(made), fail), pytest.raises(RedisConnectionError):
        await made.release()

    assert await made.owned()
    await made.release()
    assert not await made.locked()


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

    assert isinstance(hub_behind(async_class(async_client, "x")), AsyncCoord)
