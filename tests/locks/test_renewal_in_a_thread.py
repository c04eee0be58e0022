"""Leases that are renewed in a thread, while their holders block the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any, Self

import anyio
import pytest
import redis
import redis.asyncio
import valkey.asyncio

from coord import AsyncCoord, Coord, LockLost, LockTimeout
from tests.support import servers

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def no_threads_left() -> Iterator[None]:
    yield
    assert not coord_threads()


class Rival:
    """Tries from a thread of its own to take a lock while the event loop is blocked."""

    def __init__(self, url: str, prefix: str) -> None:
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._try, args=(url, prefix))
        self.refused = 0
        self.got = False

    def _try(self, url: str, prefix: str) -> None:
        with Coord.connect(url, prefix=prefix) as hub:
            while not self.got and not self._stopped.wait(0.01):
                self.got = hub.lock("x", ttl=60).try_acquire() is not None
                self.refused += not self.got

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *details: object) -> None:
        self._stopped.set()
        self._thread.join()


@pytest.mark.parametrize("others", [(), ("w", "y")], ids=["one name", "several names"])
async def test_a_body_that_blocks_the_loop_for_three_leases_keeps_its_lock(
    server: str, prefix: str, no_leaks: None, others: tuple[str, ...]
) -> None:
    async with AsyncCoord.connect(server, prefix=prefix) as hub:
        make: Any = hub.locks if others else hub.lock
        async with make("x", *others, ttl=0.4, renew_in="thread") as lease:
            with Rival(server, prefix) as rival:
                time.sleep(1.2)
            assert lease.valid
            await asyncio.sleep(0.01)  # nothing was waiting for the loop to cut the body short
            lease.check()
        assert rival.refused > 0
        assert not rival.got
        taken = await hub.lock("x").try_acquire()
        assert taken is not None, "it was released"
        await taken.release()


async def test_renewed_in_the_loop_it_is_lost_and_its_holder_told(
    server: str, prefix: str, no_leaks: None
) -> None:
    async with AsyncCoord.connect(server, prefix=prefix) as hub:
        with pytest.raises(LockLost):
            async with hub.lock("x", ttl=0.4, renew_in="loop") as lease:
                with Rival(server, prefix) as rival:
                    time.sleep(1.2)
                assert lease.lost.is_set()
                await asyncio.sleep(5)
        assert rival.got


def test_a_sync_lock_is_renewed_in_a_thread_unasked(real_server: str, prefix: str) -> None:
    with Coord.connect(real_server, prefix=prefix) as hub:
        before = set(threading.enumerate())
        with hub.lock("x", ttl=0.4) as lease:
            time.sleep(0.8)
            assert lease.valid
            own = {thread.name for thread in set(threading.enumerate()) - before}
            assert own == {"coord renewals", "coord deadlines"}


@pytest.mark.parametrize("method", ["lock", "locks"])
def test_a_sync_lock_says_that_it_needs_no_such_word(method: str) -> None:
    make: Any = getattr(Coord(redis.Redis()), method)
    with pytest.raises(TypeError, match=rf"Coord\.{method}\(\) takes no renew_in=: .* leave it out"):
        make("x", renew_in="thread")


async def test_another_word_is_refused_when_the_lock_is_made() -> None:
    word: Any = "process"
    with pytest.raises(ValueError, match="renew_in must be one of 'loop', 'thread'"):
        AsyncCoord(redis.asyncio.Redis()).lock("x", renew_in=word)


async def test_a_loss_is_told_to_a_blocked_holder_and_then_to_its_loop(real_server: str, prefix: str) -> None:
    told: list[int] = []
    with redis.Redis.from_url(real_server) as client:
        async with AsyncCoord.connect(real_server, prefix=prefix) as hub:

            async def on_lost() -> None:
                await asyncio.sleep(0)
                told.append(threading.get_ident())

            with pytest.raises(LockLost):
                async with hub.lock("x", ttl=0.4, renew_in="thread").hold(on_lost=on_lost) as lease:
                    client.delete(f"{prefix}:lock:{{x}}")
                    until = time.monotonic() + 5
                    while lease.valid and time.monotonic() < until:
                        time.sleep(0.01)  # what blocks the loop
                    assert lease.lost.is_set()
                    assert told == []
                    await asyncio.sleep(5)
                    pytest.fail("the body goes on without its lock")
            assert told == [threading.get_ident()]


async def test_a_server_that_hangs_is_noticed_at_the_deadline(own_server: servers.Process) -> None:
    async with AsyncCoord.connect(f"redis://{own_server.address}") as hub:
        with pytest.raises(LockLost):
            async with hub.lock("x", ttl=0.4, renew_in="thread") as lease:
                os.kill(own_server.pid, signal.SIGSTOP)
                try:
                    with contextlib.suppress(asyncio.CancelledError):
                        await asyncio.sleep(30)
                    assert not lease.valid
                finally:
                    os.kill(own_server.pid, signal.SIGCONT)


def test_closing_ends_the_loops_even_if_a_renewal_is_stuck(own_server: servers.Process) -> None:
    """It is stuck when they are told to end, and must not then wait for something else to do."""
    with (
        Coord.connect(f"redis://{own_server.address}", call_timeout=0.5) as hub,
        contextlib.suppress(LockLost),
        hub.lock("x", ttl=0.3) as lease,
    ):
        os.kill(own_server.pid, signal.SIGSTOP)
        try:
            lease.lost.wait()
        finally:
            threading.Timer(0.05, os.kill, (own_server.pid, signal.SIGCONT)).start()


async def test_a_lease_renewed_by_hand_is_still_cut_by_nobody_but_its_keeper(
    real_server: str, prefix: str
) -> None:
    async with (
        AsyncCoord.connect(real_server, prefix=prefix) as hub,
        hub.lock("x", ttl=0.4, renew_in="thread") as lease,
    ):
        await lease.renew()
        time.sleep(1.2)
        await asyncio.sleep(0.01)
        assert lease.valid


async def test_max_hold_caps_it_here_too(real_server: str, prefix: str) -> None:
    async with AsyncCoord.connect(real_server, prefix=prefix) as hub:
        with pytest.raises(LockLost):
            async with hub.lock("x", ttl=0.2, renew_in="thread", max_hold=0.5):
                time.sleep(1.2)
                await asyncio.sleep(5)
        with pytest.raises(LockLost):
            async with hub.lock("y", ttl=0.1, renew_in="thread", renew=False):
                await asyncio.sleep(5)


async def test_a_reentrant_block_shares_the_lease(real_server: str, prefix: str) -> None:
    async with AsyncCoord.connect(real_server, prefix=prefix) as hub:
        lock = hub.lock("x", ttl=0.4, renew_in="thread", reentrant=True)
        async with lock as outer, lock as inner:
            time.sleep(0.8)
            assert (outer.fence, inner.valid) == (inner.fence, True)


async def test_a_forgotten_block_is_not_renewed_for_ever(real_server: str, prefix: str) -> None:
    async with AsyncCoord.connect(real_server, prefix=prefix) as hub:
        await hub.lock("x", ttl=0.4, renew_in="thread").hold().__aenter__()
        gc.collect()
        async with hub.lock("x").hold(timeout=3):
            pass


async def test_its_threads_and_connection_start_when_needed_and_end_with_the_coord(
    own_server: servers.Process,
) -> None:
    with redis.Redis(port=own_server.port) as client:
        async with AsyncCoord.connect(f"redis://{own_server.address}") as hub:
            async with hub.lock("x"):
                assert not coord_threads()
            before = len(client.client_list())
            async with hub.lock("a", renew_in="thread"), hub.lock("b", ttl=0.6, renew_in="thread"):
                assert len(coord_threads()) == 2, "one renews, and one watches the deadlines"
                await asyncio.sleep(0.3)
                assert len(client.client_list()) <= before + 3, "two of the loop's, and one of its own"
        assert not coord_threads()
        until = time.monotonic() + 5
        while len(client.client_list()) > 1 and time.monotonic() < until:
            await asyncio.sleep(0.01)
        assert len(client.client_list()) == 1


def coord_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("coord ")]


async def test_tasks_that_ask_at_once_share_one(real_server: str, prefix: str) -> None:
    async with AsyncCoord.connect(real_server, prefix=prefix) as hub:

        async def work(number: int) -> None:
            async with hub.lock(f"n{number}", ttl=5, renew_in="thread"):
                await asyncio.sleep(0.05)
                assert len(coord_threads()) == 2

        async with anyio.create_task_group() as group:
            for number in range(8):
                group.start_soon(work, number)


async def test_it_does_not_queue_behind_the_users_own_commands(own_server: servers.Process) -> None:
    """They use every connection of the client that coord was given."""
    pool: Any = redis.asyncio.ConnectionPool(port=own_server.port, max_connections=3)

    async with redis.asyncio.Redis.from_pool(pool) as client, AsyncCoord(client) as hub:

        async def use_them_up() -> None:
            while True:
                try:
                    await client.blpop("nothing", timeout=2)
                except redis.ConnectionError:  # too many
                    await asyncio.sleep(0.005)

        async with hub.lock("x", ttl=0.8, renew_in="thread") as lease:
            hogs = [asyncio.create_task(use_them_up()) for _ in range(6)]
            await asyncio.sleep(1.8)
            assert lease.valid
            for hog in hogs:
                hog.cancel()
            await asyncio.wait(hogs)


def clients_of(port: int) -> list[Any]:
    options: dict[str, Any] = {"client_name": "renewer", "password": "sesame", "db": 3}
    return [
        redis.asyncio.Redis(port=port, **options),
        redis.asyncio.Redis(port=port, decode_responses=True, protocol=3, health_check_interval=5, **options),
        redis.asyncio.Redis.from_url(f"redis://:sesame@127.0.0.1:{port}/3?client_name=renewer"),
        redis.asyncio.Redis.from_pool(
            redis.asyncio.BlockingConnectionPool(port=port, max_connections=2, **options)
        ),
        valkey.asyncio.Valkey(port=port, **options),
    ]


@pytest.mark.parametrize("number", range(5))
async def test_a_client_of_yours_is_imitated(number: int) -> None:
    binary = servers.BINARIES["valkey9"]()
    assert binary is not None
    with servers.running(binary, "--requirepass", "sesame") as process:
        client = clients_of(process.port)[number]
        looker = redis.Redis(port=process.port, password="sesame", db=3)
        async with client, AsyncCoord(client) as hub, hub.lock("x", ttl=0.8, renew_in="thread") as lease:
            time.sleep(1.2)
            assert lease.valid
            assert looker.exists("coord:lock:{x}")
            assert [one["name"] for one in looker.client_list() if one["db"] == "3"].count("renewer") >= 2
        looker.close()


async def test_a_unix_socket_is_imitated() -> None:
    async with AsyncCoord.connect("embedded://") as hub, hub.lock("x", ttl=0.4, renew_in="thread") as lease:
        time.sleep(0.8)
        assert lease.valid


async def test_a_connection_of_an_unknown_kind_is_refused_before_anything_is_held(
    own_server: servers.Process,
) -> None:
    class Tunnel(redis.asyncio.Connection):
        """What only its author could do with threads."""

    pool: Any = redis.asyncio.ConnectionPool(connection_class=Tunnel, port=own_server.port)
    async with redis.asyncio.Redis.from_pool(pool) as client, AsyncCoord(client) as hub:
        with pytest.raises(TypeError, match=r"sync connection like .*Tunnel.*renew_in='loop'"):
            async with hub.lock("x", renew_in="thread"):
                pytest.fail("it must not begin")
        assert await hub.lock("x").try_acquire() is not None


async def test_a_waiter_that_gives_up_leaves_nothing_running(real_server: str, prefix: str) -> None:
    async with AsyncCoord.connect(real_server, prefix=prefix) as hub:
        held = await hub.lock("x").acquire()
        with pytest.raises(LockTimeout):
            async with hub.lock("x", renew_in="thread").hold(timeout=0.01):
                pass
        assert not coord_threads()
        await held.release()
