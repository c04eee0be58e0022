"""What a lock does when things go wrong around it: cancelled, late, lost, forked, and waited for."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import pickle
import signal
import threading
import time
from typing import Any

import anyio
import anyio.to_thread
import pytest
import redis
import redis.asyncio

from coord import AsyncCoord, Coord, LockLost, LockTimeout, NotOwned, SelfDeadlock
from coord._engine import wakeups
from coord._engine.urls import open_sync
from tests import servers
from tests.conftest import keys_of, server_time
from tests.flavours import awaitable

pytestmark = pytest.mark.anyio
KEPT = 0.05
"""Seconds for which a free lock is kept for who was woken."""


def url(process: servers.Process) -> str:
    return f"redis://{process.address}"


def commands(client: Any) -> dict[str, int]:
    return {name.removeprefix("cmdstat_"): row["calls"] for name, row in client.info("commandstats").items()}


@pytest.fixture
def no_fallback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks again unasked within a test: who gets the lock has been woken."""
    monkeypatch.setattr(wakeups, "FALLBACK", 600.0)


# Round trips


async def test_an_uncontended_lock_costs_one_round_trip_to_take_and_one_to_give_back(
    own_server: servers.Process,
) -> None:
    with redis.Redis(port=own_server.port) as client, Coord.connect(url(own_server)) as hub:
        hub.lock("warm").acquire().release()
        before = commands(client)
        for _ in range(10):
            with hub.lock("x"):
                pass
        after = commands(client)

    assert after["evalsha"] - before["evalsha"] == 20
    assert after.get("subscribe", 0) == 0


async def test_a_copy_of_a_request_that_arrives_late_takes_the_lock_for_nobody(
    own_server: servers.Process, flavour: str
) -> None:
    """The first copy is held back, its connection breaks, and the second copy is refused."""
    from tests.campaign.proxy import Mischief, Proxy
    from tests.flavours import awaitable

    make: Any = Coord if flavour == "sync" else AsyncCoord
    with Proxy(own_server.port) as proxy, Coord.connect(url(own_server)) as direct:
        hub = awaitable(make.connect(f"redis://127.0.0.1:{proxy.port}/0"))
        for wait in (0, 0.02):
            await (await hub.lock("warm").try_acquire()).release()
            held = direct.lock("x", ttl=20).acquire()
            proxy.arm("request", Mischief("late", "late", seconds=0.3))
            await asyncio.sleep(0.05)
            with pytest.raises(LockTimeout):
                await hub.lock("x", ttl=20).acquire(timeout=wait)
            held.release()
            await asyncio.sleep(0.4)

            assert not direct.lock("x").status().held
        await hub.close()


async def test_fences_grow_though_the_server_forgets_everything(flavour: str) -> None:
    """By FLUSHALL and by a restart without data, as by eviction and by failover to an empty replica."""
    from tests.flavours import awaitable

    binary = servers.BINARIES["valkey9"]()
    assert binary is not None
    make: Any = Coord if flavour == "sync" else AsyncCoord
    fences = []
    with servers.running(binary) as process:
        hub = awaitable(make.connect(url(process)))
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


# Waking


@pytest.mark.parametrize("fair", [False, True])
async def test_a_free_lock_is_given_at_once_where_its_wake_ups_are_heard_already(
    own_server: servers.Process, flavour: str, fair: bool
) -> None:
    """In a sync thread that runs a loop, too, as here; and however short the patience."""
    make: Any = Coord if flavour == "sync" else AsyncCoord
    with Coord.connect(url(own_server)) as direct:
        hub = make.connect(url(own_server))
        lock = hub.lock("x", fair=fair)
        flow: Any = getattr(lock, "_flow", lock)
        held = direct.lock("x").acquire()
        waits = asyncio.create_task(asyncio.to_thread(lock.acquire) if flavour == "sync" else lock.acquire())
        while not flow._room.wakeups.hears(flow._channel):
            await asyncio.sleep(0.001)
        held.release()
        lease = await waits
        await (asyncio.to_thread(lease.release) if flavour == "sync" else lease.release())
        for patience in (None, 1e-9):
            lease = lock.acquire(timeout=patience)
            lease = lease if flavour == "sync" else await lease
            released = lease.release()
            await (asyncio.sleep(0) if flavour == "sync" else released)
        await (asyncio.to_thread(hub.close) if flavour == "sync" else hub.close())


async def test_a_waiter_is_woken_by_the_release_and_does_not_poll(
    own_server: servers.Process, no_fallback: None
) -> None:
    with redis.Redis(port=own_server.port) as client, Coord.connect(url(own_server)) as holder:
        async with AsyncCoord.connect(url(own_server)) as hub:
            lease = holder.lock("x").acquire()
            woken = asyncio.create_task(hub.lock("x").acquire(timeout=10))
            while commands(client).get("subscribe", 0) == 0:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.3)
            attempts = commands(client)["evalsha"] + commands(client).get("eval", 0)
            lease.release()
            got = await woken

            assert got.fence > lease.fence
            assert attempts <= 4, "one by the holder; of the waiter the first, and one when it was subscribed"


async def test_many_waiters_on_many_names_share_one_connection(own_server: servers.Process) -> None:
    done: list[str] = []
    async with AsyncCoord.connect(url(own_server)) as hub:

        async def worker(name: str) -> None:
            async with hub.lock(name).hold(timeout=20):
                done.append(name)

        with Coord.connect(url(own_server)) as holder, redis.Redis(port=own_server.port) as client:
            leases = [holder.lock(f"n{number}").acquire() for number in range(5)]
            async with anyio.create_task_group() as group:
                for number in range(100):
                    group.start_soon(worker, f"n{number % 5}")
                while len(client.pubsub_channels()) < 5:
                    await asyncio.sleep(0.01)
                await asyncio.sleep(0.1)
                listening = [one for one in client.client_list() if one["sub"] != "0"]
                assert len(listening) == 1
                for lease in leases:
                    lease.release()

    assert len(done) == 100


async def test_a_release_wakes_one_waiter_among_all_processes(
    own_server: servers.Process, no_fallback: None
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        hubs = [await stack.enter_async_context(AsyncCoord.connect(url(own_server))) for _ in range(5)]
        client = stack.enter_context(redis.Redis(port=own_server.port))
        held = await hubs[0].lock("x").acquire()
        waiting = [asyncio.create_task(hub.lock("x").acquire(timeout=20)) for hub in hubs[1:]]
        while client.zcard("coord:lock:{x}:waiting") < 4:
            await asyncio.sleep(0.01)
        before = commands(client)["evalsha"]
        for left in (3, 2, 1, 0):
            await held.release()
            done, rest = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            assert (len(done), len(rest)) == (1, left)
            held, waiting = done.pop().result(), list(rest)
        await held.release()

        assert commands(client)["evalsha"] - before == 4 + 5, "an attempt of each, and a release of each"


async def test_a_free_lock_is_kept_for_who_was_woken_and_only_for_a_moment(
    coord: Any, client: Any, prefix: str
) -> None:
    """The woken one listens, but does not come: a subscriber of the test's own stands for it."""
    waiting = f"{prefix}:lock:{{x}}:waiting"
    lock = coord.lock("x")
    with contextlib.ExitStack() as stack:
        if hasattr(client, "get_node_from_key"):
            pytest.skip("the listener of a cluster's node is tried elsewhere")
        listener = stack.enter_context(client.pubsub())
        listener.subscribe(f"{prefix}:lock:{{x}}:free:home")
        while (listener.get_message(timeout=5) or {}).get("type") != "subscribe":
            pass
        held = await lock.acquire()
        client.zadd(waiting, {"home:stopped": 1})
        client.pexpire(waiting, 5000)
        since = server_time(client)
        await held.release()

        assert listener.get_message(timeout=5)["data"] in (b"stopped", "stopped")
        early = await lock.try_acquire()
        if early is not None:
            assert server_time(client) - since > KEPT, "only once it is kept no longer"
            await early.release()
        lease = await lock.acquire(timeout=5)
        assert lease.valid
        await lease.release()
    assert await lock.try_acquire() is not None, "it had its chance"


async def test_a_release_passes_over_waiters_whose_process_is_gone(
    real_server: str, prefix: str, no_fallback: None
) -> None:
    waiting = f"{prefix}:lock:{{x}}:waiting"
    with open_sync(real_server).client as client:
        async with AsyncCoord.connect(real_server, prefix=prefix) as hub:
            held = await hub.lock("x").acquire()
            client.zadd(waiting, {f"nowhere:{number}": number for number in range(1, 4)})
            patient = asyncio.create_task(hub.lock("x").acquire(timeout=20))
            while client.zcard(waiting) < 4:
                await asyncio.sleep(0.01)
            await held.release()
            await (await patient).release()

        assert client.exists(waiting) == 0


async def test_a_dropped_message_delays_a_hand_off_by_a_second_at_most(
    coord: Any, client: Any, prefix: str
) -> None:
    held = await coord.lock("x", wait="poll").try_acquire()
    timer = threading.Timer(0.2, lambda: client.delete(f"{prefix}:lock:{{x}}"))  # which tells nobody
    timer.start()
    lease = await coord.lock("x").acquire(timeout=5)  # the holder's lease would end after 10

    assert lease.fence > held.fence
    timer.join()


async def test_an_expired_holder_is_replaced_when_its_lease_ends(coord: Any, no_fallback: None) -> None:
    lease = await coord.lock("x", ttl=0.3).try_acquire()
    await coord.lock("x").acquire(timeout=5)

    assert not lease.valid


async def test_a_waiter_that_is_cancelled_when_signalled_passes_the_signal_on(
    real_server: str, prefix: str, no_fallback: None
) -> None:
    async with AsyncCoord.connect(real_server, prefix=prefix) as hub:
        for turn in range(8):
            held = await hub.lock("x").acquire()
            first, second = (asyncio.create_task(hub.lock("x").acquire(timeout=5)) for _ in range(2))
            await asyncio.sleep(0.03)
            await held.release()
            for _ in range(turn):
                await asyncio.sleep(0)
            first.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await (await first).release()
            await (await second).release()


async def test_losing_the_wake_up_connection_loses_no_waiter(
    own_server: servers.Process, flavour: str
) -> None:
    from tests.flavours import awaitable

    with redis.Redis(port=own_server.port) as client, Coord.connect(url(own_server)) as holder:
        held = holder.lock("x").acquire()
        got: list[int] = []

        def wait_in_thread() -> None:
            with Coord.connect(url(own_server)) as hub:
                got.append(hub.lock("x").acquire(timeout=10).fence)

        async def wait_in_task() -> None:
            async with AsyncCoord.connect(url(own_server)) as hub:
                got.append((await hub.lock("x").acquire(timeout=10)).fence)

        async with anyio.create_task_group() as group:
            if flavour == "sync":
                group.start_soon(anyio.to_thread.run_sync, wait_in_thread)
            else:
                group.start_soon(wait_in_task)
            while commands(client).get("subscribe", 0) == 0:
                await asyncio.sleep(0.01)
            client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
            await asyncio.sleep(0.05)
            held.release()
        assert awaitable(got) == got
        assert len(got) == 1


async def test_the_listener_ends_when_nobody_waits_and_comes_back(
    real_server: str, prefix: str, flavour: str, monkeypatch: pytest.MonkeyPatch, no_fallback: None
) -> None:
    """Each turn waits after the connection has ended, or while it is about to."""
    from tests.flavours import awaitable

    monkeypatch.setattr(wakeups, "IDLE", 0.05)
    monkeypatch.setattr(wakeups, "READ", 0.02)
    make: Any = Coord if flavour == "sync" else AsyncCoord
    hub = awaitable(make.connect(real_server, prefix=prefix))
    with Coord.connect(real_server, prefix=prefix) as holder:
        for turn in range(12):
            held = holder.lock(f"n{turn % 3}").acquire()
            timer = threading.Timer(0.05, held.release)
            timer.start()
            await (await hub.lock(f"n{turn % 3}").acquire(timeout=5)).release()
            timer.join()
            await asyncio.sleep(turn * 0.01)
    inner = getattr(hub, "_inner", hub)
    await asyncio.sleep(0.3)
    assert inner._locks.wakeups._listener(None)._tap is None
    await hub.close()


async def test_channels_that_nobody_waits_on_do_not_pile_up(
    own_server: servers.Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wakeups, "IDLE", 0.2)
    monkeypatch.setattr(wakeups, "READ", 0.05)
    with redis.Redis(port=own_server.port) as client:
        async with AsyncCoord.connect(url(own_server)) as hub:
            keeper = await hub.lock("keeper").acquire()
            waiting = asyncio.create_task(hub.lock("keeper").acquire(timeout=10))
            for number in range(30):
                async with hub.lock(f"n{number}"):
                    with pytest.raises(LockTimeout):
                        await hub.lock(f"n{number}").acquire(timeout=0.01)
            deadline = time.monotonic() + 5
            while len(client.pubsub_channels()) > 1 and time.monotonic() < deadline:
                await asyncio.sleep(0.05)
            assert len(client.pubsub_channels()) == 1
            await keeper.release()
            await (await waiting).release()


# Renewal and loss


async def test_a_lease_is_renewed_while_its_block_runs_and_not_after(
    coord: Any, client: Any, prefix: str
) -> None:
    lock = coord.lock("x", ttl=0.2)
    async with lock as lease:
        for _ in range(12):
            await asyncio.sleep(0.05) if "Async" in repr(lease) else time.sleep(0.05)
            assert lease.valid
            assert await lock.try_acquire() is None
    manual = await lock.acquire()
    await asyncio.sleep(0.25)

    assert not manual.valid
    assert client.exists(f"{prefix}:lock:{{x}}") == 0


async def test_renewal_can_be_left_out_and_capped(coord: Any) -> None:
    with pytest.raises(LockLost):
        async with coord.lock("a", ttl=0.1, renew=False) as lease:
            await asyncio.sleep(0.3) if "Async" in repr(lease) else time.sleep(0.3)
    begun = time.monotonic()
    with pytest.raises(LockLost):
        async with coord.lock("b", ttl=0.15, max_hold=0.4) as lease:
            while lease.valid:
                await asyncio.sleep(0.01) if "Async" in repr(lease) else time.sleep(0.01)
    assert time.monotonic() - begun > 0.3, "it was renewed until the cap"


async def test_a_thousand_leases_are_renewed_in_few_scripts(own_server: servers.Process) -> None:
    with redis.Redis(port=own_server.port) as client:
        async with (
            AsyncCoord.connect(url(own_server), call_timeout=10) as hub,
            contextlib.AsyncExitStack() as stack,
        ):
            for number in range(1000):
                await stack.enter_async_context(hub.lock(f"n{number}", ttl=6))
            before = commands(client)["evalsha"]
            await asyncio.sleep(2.2)
            scripts = commands(client)["evalsha"] - before

            assert 0 < scripts <= 30
            assert client.pttl("coord:lock:{n0}") > 3000


async def test_an_async_block_is_cancelled_when_its_lock_is_lost(real_server: str, prefix: str) -> None:
    with open_sync(real_server).client as client:
        async with AsyncCoord.connect(real_server, prefix=prefix) as hub:
            told = []
            with pytest.raises(LockLost):
                async with hub.lock("x", ttl=0.3).hold(on_lost=lambda: told.append("x")):
                    client.delete(f"{prefix}:lock:{{x}}")
                    await asyncio.sleep(5)
            assert told == ["x"]
            await asyncio.sleep(0)  # the task is not cancelled any more
            assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]


def test_a_sync_block_is_told_and_not_interrupted(real_server: str, prefix: str) -> None:
    with open_sync(real_server).client as client, Coord.connect(real_server, prefix=prefix) as hub:
        told = threading.Event()
        with pytest.raises(LockLost), hub.lock("x", ttl=0.3).hold(on_lost=told.set) as lease:
            assert not lease.lost.is_set()
            client.delete(f"{prefix}:lock:{{x}}")

            assert lease.lost.wait(timeout=2)
            assert told.wait(2)
            with pytest.raises(LockLost):
                lease.check()


async def test_loss_is_told_even_while_the_server_hangs(own_server: servers.Process, flavour: str) -> None:
    from tests.flavours import awaitable

    make: Any = Coord if flavour == "sync" else AsyncCoord
    hub = awaitable(make.connect(url(own_server)))
    told = threading.Event()
    try:
        with pytest.raises(LockLost):
            async with hub.lock("x", ttl=0.4).hold(on_lost=told.set) as lease:
                os.kill(own_server.pid, signal.SIGSTOP)
                if flavour == "sync":
                    assert await lease.lost.wait(timeout=30)
                    assert told.wait(30)
                else:
                    await asyncio.sleep(30)
        assert told.is_set()
    finally:
        os.kill(own_server.pid, signal.SIGCONT)
    await hub.close()


async def test_an_outage_shorter_than_the_lease_costs_nothing(own_server: servers.Process) -> None:
    async with AsyncCoord.connect(url(own_server)) as hub, hub.lock("x", ttl=1.5) as lease:
        os.kill(own_server.pid, signal.SIGSTOP)
        await asyncio.sleep(0.7)
        os.kill(own_server.pid, signal.SIGCONT)
        await asyncio.sleep(1.5)

        assert lease.valid


async def test_a_renewal_that_hangs_past_the_deadline_means_lost(
    own_server: servers.Process, flavour: str
) -> None:
    hub: Any = (
        Coord.connect(url(own_server), call_timeout=0.3)
        if flavour == "sync"
        else AsyncCoord.connect(url(own_server), call_timeout=0.3)
    )
    hub = awaitable(hub)
    lease = await hub.lock("x", ttl=0.2).acquire()
    os.kill(own_server.pid, signal.SIGSTOP)
    try:
        with pytest.raises(LockLost):
            await lease.renew()
        assert lease.lost.is_set()
    finally:
        os.kill(own_server.pid, signal.SIGCONT)
    await hub.close()


async def test_the_users_own_exception_and_an_outer_cancellation_come_first(
    real_server: str, prefix: str
) -> None:
    with open_sync(real_server).client as client:
        async with AsyncCoord.connect(real_server, prefix=prefix) as hub:
            with pytest.raises(ZeroDivisionError) as caught:
                async with hub.lock("x", ttl=0.2):
                    client.delete(f"{prefix}:lock:{{x}}")
                    try:
                        await asyncio.sleep(5)
                    except asyncio.CancelledError:
                        raise ZeroDivisionError from None
            assert "LockLost" in caught.value.__notes__[0]

            async def body() -> None:
                async with hub.lock("y", ttl=5):
                    await asyncio.sleep(5)

            task = asyncio.create_task(body())
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await hub.lock("y").try_acquire() is not None

            with anyio.move_on_after(0.05) as outer:
                async with hub.lock("z", ttl=5):
                    await asyncio.sleep(5)
            assert outer.cancelled_caught
            assert await hub.lock("z").try_acquire() is not None


async def test_a_lock_is_kept_no_longer_for_who_was_woken_if_the_clock_steps_back(
    coord: Any, client: Any, prefix: str, no_leaks: None
) -> None:
    waiting = f"{prefix}:lock:{{x}}:waiting"
    for ahead in (0.045, 3600):
        until = server_time(client) + ahead
        client.zadd(waiting, {"home:woken": -until * 1_000_000})
        client.expire(waiting, 60)
        lease = await coord.lock("x").try_acquire()
        if lease is None:
            assert ahead < 1, "nobody is kept it for an hour"
        else:
            assert ahead > 1 or server_time(client) > until, "it is kept for this moment"
            await lease.release()


async def test_a_stalled_event_loop_is_noticed(
    real_server: str, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "coord")
    async with AsyncCoord.connect(real_server, prefix=prefix) as hub, hub.lock("x", ttl=2):
        await asyncio.sleep(0)
        time.sleep(1.2)  # what it must notice
        await asyncio.sleep(0.05)

    assert "something blocked the event loop" in caplog.text


def test_a_failing_callback_ends_nothing_but_itself(
    real_server: str, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    with open_sync(real_server).client as client, Coord.connect(real_server, prefix=prefix) as hub:

        def fail() -> None:
            raise ZeroDivisionError

        with hub.lock("other", ttl=0.3) as other:
            with pytest.raises(LockLost), hub.lock("x", ttl=0.3).hold(on_lost=fail) as lease:
                client.delete(f"{prefix}:lock:{{x}}")
                lease.lost.wait(timeout=2)
            time.sleep(0.5)  # a sync Coord, in a test of its threads

            assert other.valid
    assert "on_lost callback of lock 'x' failed" in caplog.text


def test_a_forgotten_block_is_not_renewed_for_ever(real_server: str, prefix: str) -> None:
    with Coord.connect(real_server, prefix=prefix) as hub:
        hub.lock("x", ttl=0.2).hold().__enter__()
        gc.collect()
        with hub.lock("x").hold(timeout=3):
            pass


# Cancellation


@pytest.mark.parametrize("native", [True, False], ids=["asyncio", "anyio"])
async def test_cancelling_at_any_await_leaves_no_lock_behind(
    real_server: str, prefix: str, native: bool
) -> None:
    """One more turn of the loop before the cancellation each time, until the body has ended by itself."""
    with open_sync(real_server).client as client:
        async with AsyncCoord.connect(real_server, prefix=prefix) as hub:
            ended = 0
            for turns in range(400):

                async def body() -> None:
                    async with hub.lock("x", ttl=30):
                        await asyncio.sleep(0)

                task = asyncio.create_task(body())
                for _ in range(turns):
                    if task.done():
                        break
                    await asyncio.sleep(0)
                task.cancel()
                if native:
                    await asyncio.sleep(0)
                    task.cancel()  # twice: cleaning up must survive that too
                with contextlib.suppress(asyncio.CancelledError):
                    await task
                ended += not task.cancelled()
                assert task.cancelled() or task.exception() is None
                deadline = time.monotonic() + 1
                while client.exists(f"{prefix}:lock:{{x}}") and time.monotonic() < deadline:
                    await asyncio.sleep(0.001)
                assert not client.exists(f"{prefix}:lock:{{x}}"), f"cancelled after {turns} turns"
                if ended > 3:
                    break
            assert ended > 3, "the sweep did not reach the end of the body"


async def test_cancelling_a_waiter_at_any_await_harms_nobody(real_server: str, prefix: str) -> None:
    async with AsyncCoord.connect(real_server, prefix=prefix) as hub:
        for turns in range(0, 60, 3):
            held = await hub.lock("x").acquire()
            task = asyncio.create_task(hub.lock("x").acquire())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await held.release()

            await (await hub.lock("x").acquire(timeout=0.5)).release()


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_keyboard_interrupt_at_any_call_leaves_no_lock_behind(
    real_server: str, prefix: str, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C just before each call is sent, and just after it was answered."""
    with open_sync(real_server).client as client, Coord.connect(real_server, prefix=prefix) as hub:
        honest = hub._port.run
        for target in range(4):
            calls = iter(range(100))

            async def run(
                call: Any, *, timeout: float | None = None, calls: Any = calls, target: int = target
            ) -> Any:
                if threading.current_thread() is not threading.main_thread():
                    return await honest(call, timeout=timeout)  # Ctrl-C is for the main thread alone
                mine = next(calls)
                if mine == target and when == "before":
                    raise KeyboardInterrupt
                answer = await honest(call, timeout=timeout)
                if mine == target:
                    raise KeyboardInterrupt
                return answer

            monkeypatch.setattr(hub._port, "run", run)
            interrupted = False
            try:
                with hub.lock("x", ttl=30):
                    pass
            except KeyboardInterrupt:
                interrupted = True
            monkeypatch.setattr(hub._port, "run", honest)

            assert interrupted is (target < 2)
            assert not client.exists(f"{prefix}:lock:{{x}}"), f"interrupted {when} call {target}"
            assert hub._locks.holdings == {}


# Reentrancy


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


def try_in(lock: Any) -> bool:
    try:
        with lock.hold(timeout=0):
            return False
    except LockTimeout:
        return True


# Everything around it


async def test_a_lease_is_handed_over_by_export_and_adopt(coord: Any, other_coord: Any) -> None:
    lease = await coord.lock("x").acquire()
    text = lease.export()

    assert not lease.valid
    await lease.release()
    adopted = await other_coord.lock("x", ttl=5).adopt(text)
    assert adopted.fence == lease.fence
    assert await coord.lock("x").try_acquire() is None
    await adopted.release()
    with pytest.raises(LockLost):
        await coord.lock("x").adopt(text)
    with pytest.raises(LockLost):
        lease.export()
    for bad in ("", "x", "a" * 32, f"{'a' * 32}:x", text[1:]):
        with pytest.raises(ValueError, match="exported must be"):
            await coord.lock("x").adopt(bad)


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


async def test_a_decorated_function_holds_the_lock(real_server: str, prefix: str) -> None:
    with Coord.connect(real_server, prefix=prefix) as hub:
        lock = hub.lock("x")

        @lock.around()
        def work(number: int) -> int:
            """Work."""
            assert lock.try_acquire() is None
            return number + 1

        assert work(41) == 42
        assert work.__doc__ == "Work."
        with pytest.raises(TypeError, match="coroutine function"):

            @lock.around()
            async def wrong() -> None: ...

    async with AsyncCoord.connect(real_server, prefix=prefix) as async_hub:
        async_lock = async_hub.lock("x")

        @async_lock.around()
        async def async_work(number: int) -> int:
            assert await async_lock.try_acquire() is None
            return number + 1

        assert await async_work(41) == 42
        with pytest.raises(TypeError, match="use Coord"):
            async_lock.around()(work)  # type: ignore[type-var]


async def test_a_decorated_function_waits_as_long_as_it_was_told_to(
    real_server: str, prefix: str, flavour: str
) -> None:
    with Coord.connect(real_server, prefix=prefix) as hub, hub.lock("x"):
        if flavour == "sync":

            @hub.lock("x").around(timeout=0)
            def work() -> None: ...

            with pytest.raises(LockTimeout):
                work()
            return
        async with AsyncCoord.connect(real_server, prefix=prefix) as async_hub:

            @async_hub.lock("x").around(timeout=0)
            async def async_work() -> None: ...

            with pytest.raises(LockTimeout):
                await async_work()


@pytest.mark.parametrize("make", [Coord, AsyncCoord])
def test_a_decorator_refuses_a_bad_timeout_before_any_call(make: Any) -> None:
    hub = make(redis.Redis() if make is Coord else redis.asyncio.Redis())
    with pytest.raises(ValueError, match="timeout must be"):
        hub.lock("x").around(timeout=-1)


def test_errors_travel_by_pickle(real_server: str, prefix: str) -> None:
    with Coord.connect(real_server, prefix=prefix) as hub, hub.lock("x"):
        with pytest.raises(LockTimeout) as caught:
            hub.lock("x").acquire(timeout=0)
        again = pickle.loads(pickle.dumps(caught.value))

    assert (type(again), str(again)) == (LockTimeout, str(caught.value))
    assert again.name == "x"
    lost = pickle.loads(pickle.dumps(LockLost("y")))
    assert (lost.name, str(lost)) == ("y", str(LockLost("y")))


async def test_what_has_a_connection_refuses_to_be_pickled(coord: Any) -> None:
    hub = getattr(coord, "_inner", coord)
    for thing in (hub, hub.lock("x"), hub.locks("x", "y")):
        with pytest.raises(TypeError, match=r"cannot be pickled; make one"):
            pickle.dumps(thing)


async def test_a_lease_does_not_travel_by_pickle(coord: Any) -> None:
    lease = await coord.lock("x").acquire()
    with pytest.raises(TypeError, match=r"export\(\)"):
        pickle.dumps(getattr(lease, "_inner", lease))


def test_a_forked_child_does_not_own_its_parents_lease(real_server: str, prefix: str) -> None:
    with Coord.connect(real_server, prefix=prefix) as hub, hub.lock("x", ttl=5) as lease:
        pid = os.fork()
        if pid == 0:
            verdict = 1
            try:
                lease.release()
            except NotOwned:
                with Coord.connect(real_server, prefix=prefix) as own, own.lock("y", ttl=0.3):
                    time.sleep(0.5)
                    verdict = 0
            finally:
                os._exit(verdict)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert lease.valid


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
