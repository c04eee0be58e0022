"""A lock: granted to one at a time, for as long as its lease, under a number that only grows."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import threading
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
import redis
import redis.asyncio

from coord import AsyncCoord, Coord, LockLost, LockTimeout, WrongKeyType
from tests.support import servers
from tests.support.flavours import awaitable
from tests.support.keys import keys_of, server_time
from tests.support.rooms import Tokens
from tests.support.traffic import commands

pytestmark = pytest.mark.anyio


async def test_a_free_lock_is_granted_and_a_held_one_refused(coord: Any) -> None:
    lock = coord.lock("invoice:42")
    lease = await lock.try_acquire()

    assert lease.valid
    assert await lock.try_acquire() is None

    await lease.release()

    assert not lease.valid
    assert (await lock.try_acquire()).valid


async def test_both_flavours_exclude_each_other(coord: Any, other_coord: Any) -> None:
    async with coord.lock("shared"):
        assert await other_coord.lock("shared").try_acquire() is None

    async with other_coord.lock("shared"):
        assert await coord.lock("shared").try_acquire() is None


async def test_locks_of_different_names_do_not_touch(coord: Any) -> None:
    async with coord.lock("a"), coord.lock("b"), coord.lock("a:fence"), coord.lock("a}"):
        pass


async def test_a_lease_lives_for_its_ttl_and_no_longer(coord: Any, client: Any) -> None:
    lock = coord.lock("short", ttl=0.05)
    lease = await lock.try_acquire()

    assert lease.remaining() < 0.05

    again = await coord.lock("short", ttl=5).acquire(timeout=2)

    assert not lease.valid
    assert again.fence > lease.fence


async def test_the_local_deadline_never_outlives_the_key(coord: Any, client: Any, prefix: str) -> None:
    lease = await coord.lock("x", ttl=10).try_acquire()
    remaining = lease.remaining()

    assert remaining * 1000 < client.pttl(f"{prefix}:lock:{{x}}")


async def test_fences_grow_across_release_expiry_and_loss_of_all_data(
    coord: Any, other_coord: Any, client: Any, prefix: str
) -> None:
    fences = []
    for _ in range(5):
        async with coord.lock("x") as lease:
            fences.append(lease.fence)
    for key in keys_of(client, prefix):
        client.delete(key)
    async with other_coord.lock("x") as lease:
        fences.append(lease.fence)

    assert fences == sorted(set(fences))
    assert fences[0] <= server_time(client) * 1_000_000


async def test_a_fence_grows_even_if_the_servers_clock_stepped_back(
    coord: Any, client: Any, prefix: str
) -> None:
    ahead = 2**52
    client.set(f"{prefix}:lock:{{x}}:fence", ahead, px=60_000)

    async with coord.lock("x") as lease:
        assert lease.fence == ahead + 1


async def test_renewing_starts_the_lease_anew_and_keeps_the_fence(
    coord: Any, client: Any, prefix: str
) -> None:
    lease = await coord.lock("x", ttl=1).try_acquire()
    fence = lease.fence
    await lease.renew(ttl=100)

    assert 90 < lease.remaining() < 100
    assert 90_000 < client.pttl(f"{prefix}:lock:{{x}}") <= 100_000
    assert lease.fence == fence


async def test_a_lost_lease_can_neither_be_renewed_nor_revived(coord: Any, client: Any, prefix: str) -> None:
    lock = coord.lock("x")
    lease = await lock.try_acquire()
    client.delete(f"{prefix}:lock:{{x}}")

    with pytest.raises(LockLost, match="lock 'x' was lost"):
        await lease.renew()

    assert not lease.valid
    with pytest.raises(LockLost):
        lease.check()
    assert client.exists(f"{prefix}:lock:{{x}}") == 0


async def test_releasing_a_lost_lease_says_so_and_leaves_the_next_holder_alone(
    coord: Any, client: Any, prefix: str
) -> None:
    lock = coord.lock("x")
    lost = await lock.try_acquire()
    client.delete(f"{prefix}:lock:{{x}}")
    current = await lock.try_acquire()

    with pytest.raises(LockLost):
        await lost.release()

    await current.renew()
    await current.release()


async def test_releasing_twice_is_harmless(coord: Any) -> None:
    lock = coord.lock("x")
    lease = await lock.try_acquire()
    await lease.release()
    async with lock:
        await lease.release()

        assert await lock.try_acquire() is None


async def test_waiting_ends_when_the_lock_is_free(coord: Any, other_coord: Any) -> None:
    lease = await coord.lock("x", ttl=0.05).try_acquire()

    async with other_coord.lock("x").hold(timeout=5) as next_lease:
        assert next_lease.fence > lease.fence


async def test_waiting_ends_after_the_timeout(coord: Any) -> None:
    lock = coord.lock("x")
    async with lock:
        with pytest.raises(LockTimeout, match=r"'x' was still held by another after 0\.02 s") as caught:
            await lock.acquire(timeout=0.02)
        with pytest.raises(TimeoutError):
            async with lock.hold(timeout=0):
                pytest.fail("the body must not run without the lock")

    assert caught.value.timeout == 0.02
    assert caught.value.name == "x"


async def test_the_bodys_own_exception_leaves_the_block_as_itself(
    coord: Any, client: Any, prefix: str
) -> None:
    lock = coord.lock("x")
    with pytest.raises(ZeroDivisionError) as caught:
        async with lock:
            raise ZeroDivisionError
    assert not hasattr(caught.value, "__notes__")
    assert client.exists(f"{prefix}:lock:{{x}}") == 0

    with pytest.raises(ZeroDivisionError) as caught:
        async with lock.hold():
            client.delete(f"{prefix}:lock:{{x}}")
            raise ZeroDivisionError
    assert "LockLost" in caught.value.__notes__[0]


async def test_a_lease_lost_inside_a_clean_body_is_told_at_its_end(
    coord: Any, client: Any, prefix: str
) -> None:
    with pytest.raises(LockLost):
        async with coord.lock("x"):
            client.delete(f"{prefix}:lock:{{x}}")


async def test_a_lock_object_is_a_reusable_factory(coord: Any) -> None:
    lock = coord.lock("x", ttl=5)
    for _ in range(3):
        async with lock as lease:
            assert lease.valid


async def test_nested_blocks_of_one_object_release_their_own_lease(
    coord: Any, client: Any, prefix: str
) -> None:
    lock = coord.lock("x")
    with pytest.raises(LockLost):
        async with lock as outer:
            client.delete(f"{prefix}:lock:{{x}}")
            async with lock as inner:
                assert inner.fence > outer.fence
            assert client.exists(f"{prefix}:lock:{{x}}") == 0


async def test_a_hold_is_good_for_one_block(coord: Any) -> None:
    hold = coord.lock("x").hold()
    async with hold:
        pass
    with pytest.raises(RuntimeError, match="used before"):
        async with hold:
            pass


@pytest.mark.parametrize(
    ("ttl", "error"),
    [(0, ValueError), (-1, ValueError), (0.009, ValueError), (float("nan"), ValueError),
     (float("inf"), ValueError), (True, TypeError), ("10", TypeError), (None, TypeError)],
)  # fmt: skip
async def test_a_bad_ttl_is_refused_when_the_lock_is_made(coord: Any, ttl: Any, error: type) -> None:
    with pytest.raises(error, match="ttl must be"):
        coord.lock("x", ttl=ttl)


@pytest.mark.parametrize(
    ("timeout", "error"), [(-1, ValueError), (float("nan"), ValueError), (False, TypeError)]
)
async def test_a_bad_timeout_is_refused_before_anything_is_held(
    coord: Any, client: Any, prefix: str, timeout: Any, error: type
) -> None:
    with pytest.raises(error, match="timeout must be"):
        await coord.lock("x").acquire(timeout=timeout)
    with pytest.raises(error, match="timeout must be"):
        coord.lock("x").hold(timeout=timeout)

    assert keys_of(client, prefix) == []


@pytest.mark.parametrize(("name", "error"), [("", ValueError), (7, TypeError), (b"x", TypeError)])
async def test_a_bad_name_is_refused(coord: Any, name: Any, error: type) -> None:
    with pytest.raises(error, match="name must"):
        coord.lock(name)


async def test_a_key_of_another_type_is_named(coord: Any, client: Any, prefix: str) -> None:
    client.lpush(f"{prefix}:lock:{{x}}", "something else")
    with pytest.raises(WrongKeyType, match=rf"{prefix}:lock:\{{x\}}"):
        await coord.lock("x").try_acquire()

    client.delete(f"{prefix}:lock:{{x}}")


async def test_the_token_is_in_no_repr_and_no_key(coord: Any, client: Any, prefix: str) -> None:
    lock = coord.lock("x")
    lease = await lock.try_acquire()
    await lease.release()

    assert len(lease.token) == 32
    assert lease.token not in f"{lock!r} {lease!r} {keys_of(client, prefix)}"


async def test_a_repeated_script_of_one_token_gets_the_same_answer(coord: Any) -> None:
    """What a client that lost a reply does: send the same thing again."""
    lock = coord.lock("x", wait="poll")
    tokens = Tokens.of_lock(lock)
    acquire, release = tokens.acquire, tokens.release

    first = await acquire("t1")
    assert first is not None
    assert await acquire("t1") == first
    assert [await release("t1"), await release("t1")] == [True, True]
    assert await acquire("t1") is None, "a token that was released cannot come back"
    async with coord.lock("x"):
        assert await release("t1"), "nor does another holder change what became of it"

    assert not await release("t2")
    assert not await release("t2", end_anyway=True)
    assert not await release("t2")
    assert await acquire("t2") is None, "it was given up before it came"


async def test_contenders_in_threads_and_tasks_never_overlap(
    server: str, prefix: str, no_leaks: None
) -> None:
    """Eight contenders, four of each flavour, on one counter that only a lock protects."""
    from coord import AsyncCoord

    inside = threading.Semaphore(1)
    fences: list[int] = []

    def enter(fence: int) -> None:
        assert inside.acquire(blocking=False), "two holders at once"
        fences.append(fence)

    def sync_contender(hub: Coord) -> None:
        for _ in range(10):
            with hub.lock("x") as lease:
                enter(lease.fence)
                inside.release()

    async def async_contender(hub: AsyncCoord) -> None:
        for _ in range(10):
            async with hub.lock("x") as lease:
                enter(lease.fence)
                await anyio.lowlevel.checkpoint()
                inside.release()

    with Coord.connect(server, prefix=prefix) as hub:
        async with AsyncCoord.connect(server, prefix=prefix) as async_hub, anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(anyio.to_thread.run_sync, sync_contender, hub)
                group.start_soon(async_contender, async_hub)

    assert len(fences) == 80
    assert fences == sorted(set(fences))


async def test_cancelling_a_waiter_leaves_nothing_behind(server: str, prefix: str, no_leaks: None) -> None:
    from coord import AsyncCoord

    async with AsyncCoord.connect(server, prefix=prefix) as hub:
        held = await hub.lock("x").try_acquire()
        assert held is not None
        with anyio.move_on_after(0.05) as scope:
            await hub.lock("x").acquire()
        assert scope.cancelled_caught
        await held.release()

        assert await hub.lock("x").try_acquire() is not None


def test_a_lock_dies_with_its_process(real_server: str) -> None:
    program = (
        "import os, sys; from coord import Coord; "
        "Coord.connect(sys.argv[1], prefix='orphan').lock('x', ttl=.2).try_acquire(); os._exit(9)"
    )
    done = subprocess.run([sys.executable, "-c", program, real_server], check=False)
    assert done.returncode == 9

    with Coord.connect(real_server, prefix="orphan") as hub, hub.lock("x").hold(timeout=5) as lease:
        assert lease.valid


async def test_an_uncontended_lock_costs_one_round_trip_to_take_and_one_to_give_back(
    own_server: servers.Process,
) -> None:
    with redis.Redis(port=own_server.port) as client, Coord.connect(own_server.url) as hub:
        hub.lock("warm").acquire().release()
        before = commands(client)
        for _ in range(10):
            with hub.lock("x"):
                pass
        after = commands(client)

    assert after["evalsha"] - before["evalsha"] == 20
    assert after.get("subscribe", 0) == 0


async def test_fences_grow_though_the_server_forgets_everything(flavour: str) -> None:
    """By FLUSHALL and by a restart without data, as by eviction and by failover to an empty replica."""

    binary = servers.BINARIES["valkey9"]()
    assert binary is not None
    make: Any = Coord if flavour == "sync" else AsyncCoord
    fences = []
    with servers.running(binary) as process:
        hub = awaitable(make.connect(process.url))
        for _ in range(3):
            fences.append((await hub.lock("x").try_acquire()).fence)
            with redis.Redis(port=process.port) as client:
                client.flushall()
    with servers.running(binary, port=process.port):
        for _ in range(2):
            lease = await hub.lock("x").try_acquire()
            fences.append(lease.fence)
            await lease.release()
        await hub.close()

    assert fences == sorted(set(fences))


async def test_tokens_cannot_be_guessed(coord: Any, client: Any, prefix: str) -> None:
    tokens = set()
    for _ in range(20):
        random.seed(1)
        lease = await coord.lock("x").try_acquire()
        tokens.add(lease.token)
        await lease.release()
    assert len(tokens) == 20
    assert all(re.fullmatch(r"[0-9a-f]{32}", token) for token in tokens), "128 bits, and nothing else in them"

    label = (await coord.lock("x").status()).holder
    held = await coord.lock("x").try_acquire()
    label = (await coord.lock("x").status()).holder
    assert label.endswith(f":{os.getpid()}"), "people are told who it is"
    assert not any(token in key for token in (*tokens, held.token) for key in keys_of(client, prefix))


async def test_nothing_runs_until_it_is_needed(real_server: str, prefix: str) -> None:
    before = threading.active_count()
    with Coord.connect(real_server, prefix=prefix) as hub:
        hub.lock("x").acquire().release()
        assert threading.active_count() == before
        with hub.lock("x"):
            assert threading.active_count() == before + 2
    assert threading.active_count() == before


async def test_leftovers_expire(coord: Any, client: Any, prefix: str) -> None:
    async with coord.lock("x"):
        pass
    await coord.lock("y").acquire()
    await coord.lock("y").force_release(reason="because")

    assert all(client.pttl(key) > 0 for key in keys_of(client, prefix))
