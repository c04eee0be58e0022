"""What the makers of other locks have run into, where no other file of tests meets it."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import random
import re
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import redis
import redis.asyncio

from coord import AsyncCoord, Coord, LockLost, LockTimeout, SelfDeadlock
from coord._engine import uptime as uptime_module
from coord.locks import lock as lock_module
from coord.locks.calls import RELEASE
from tests.campaign.proxy import Mischief, Proxy
from tests.conftest import keys_of
from tests.flavours import awaitable

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests import servers

pytestmark = pytest.mark.anyio


def bare(hub: Any) -> Any:
    """The Coord itself, of either flavour."""
    return getattr(hub, "_inner", hub)


# A lost reply


@pytest.mark.parametrize("retries", ["those of the client library", "none"])
async def test_a_lost_reply_to_any_verb_is_no_false_answer(
    own_server: servers.Process, flavour: str, retries: str
) -> None:
    """The server does as asked, and each verb's first reply in turn is lost."""
    module: Any = redis if flavour == "sync" else redis.asyncio
    make: Any = Coord if flavour == "sync" else AsyncCoord
    with Proxy(own_server.port) as proxy:
        options: dict[str, Any] = {} if retries.startswith("those") else {"retry": None}
        client = module.Redis(port=proxy.port, **options)
        hub = awaitable(make(client))
        await (await hub.lock("warm").acquire()).release()

        async def losing() -> None:
            proxy.arm("reply", Mischief("lost", "drop", hang_up=True))
            await asyncio.sleep(0.05)

        await losing()
        lease = await hub.lock("x", ttl=20).try_acquire()
        assert lease is not None, "it is ours, although the first reply was lost"
        await losing()
        await lease.renew(ttl=30)
        await losing()
        await lease.release()
        assert proxy.hits["lost"] == 3
        assert await hub.lock("x").try_acquire() is not None, "nobody holds it"
        await hub.close()
        closed = client.close() if flavour == "sync" else client.aclose()
        if closed is not None:
            await closed


# Renewal and release at the same time


async def test_a_renewal_that_a_release_overtakes_is_no_loss(
    real_server: str, prefix: str, flavour: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The server has released it, its answer is on the way, and the renewal finds the lock gone."""
    asked, released, answered = (threading.Event() for _ in range(3))
    told: list[str] = []
    hub = made(flavour, real_server, prefix)
    port = bare(hub)._port
    run = port.run

    async def pause() -> None:
        time.sleep(0.005) if flavour == "sync" else await asyncio.sleep(0.005)

    async def renew_late(leases: Any) -> list[bool]:
        asked.set()
        while not released.is_set():
            await pause()
        answered.set()
        return [False for _ in leases]

    async def release_slowly(call: Any, *, timeout: float | None = None) -> Any:
        answer = await run(call, timeout=timeout)
        if call.what is RELEASE:
            released.set()
            while not answered.is_set():
                await pause()
            for _ in range(10):
                await pause()
        return answer

    bare(hub)._locks.renewals._renew = renew_late
    port.run = release_slowly
    async with hub.lock("x", ttl=3).hold(on_lost=lambda: told.append("x")):
        while not asked.is_set():
            renew_now(hub)
            await asyncio.sleep(0.005)
    await hub.close()

    assert told == []
    assert caplog.messages == []


def made(flavour: str, url: str, prefix: str) -> Any:
    make: Any = Coord if flavour == "sync" else AsyncCoord
    return awaitable(make.connect(url, prefix=prefix))


def renew_now(hub: Any) -> None:
    """Let what is renewed in blocks be due."""
    renewals = bare(hub)._locks.renewals
    with renewals._mutex:
        for entry in renewals._entries.values():
            entry.due = renewals._port.now()
        renewals._poke()


async def test_a_loss_that_a_renewal_finds_is_told_long_before_the_deadline(
    real_server: str, prefix: str, flavour: str
) -> None:
    hub = made(flavour, real_server, prefix)
    with pytest.raises(LockLost), anyio.fail_after(20):
        async with hub.lock("x", ttl=60) as lease:
            await hub.lock("x").force_release(reason="a test")
            if flavour == "sync":
                threading.Timer(0.05, renew_now, (hub,)).start()  # once somebody waits
                assert await lease.lost.wait(timeout=20)
            else:
                waiting = asyncio.create_task(lease.lost.wait())
                await asyncio.sleep(0)
                renew_now(hub)
                await asyncio.sleep(20)
    if flavour == "async":
        with anyio.fail_after(5):
            assert await waiting
    await hub.close()


async def test_a_renewal_that_fails_is_tried_again(
    real_server: str, prefix: str, flavour: str, caplog: pytest.LogCaptureFixture
) -> None:
    hub = made(flavour, real_server, prefix)
    renewals = bare(hub)._locks.renewals
    renew = renewals._renew
    failures = iter([redis.ConnectionError(), ZeroDivisionError(), OSError()])
    renewed = threading.Event()

    async def fail_at_first(leases: Any) -> Any:
        for failure in failures:
            raise failure
        answer = await renew(leases)
        renewed.set()
        return answer

    renewals._renew = fail_at_first
    async with hub.lock("x", ttl=6) as lease:
        renew_now(hub)
        until = time.monotonic() + 5
        while not renewed.is_set() and time.monotonic() < until:
            await asyncio.sleep(0.01)
        assert renewed.is_set()
        assert lease.valid
    await hub.close()


# Time


def test_the_clock_counts_the_time_in_which_the_machine_is_suspended(monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(time, "CLOCK_BOOTTIME"):
        pytest.skip("this system has no such clock")
    monkeypatch.setattr(time, "clock_gettime", lambda clock: 7.5 if clock == time.CLOCK_BOOTTIME else -1.0)

    assert uptime_module.uptime() == 7.5


async def test_the_deadline_is_counted_on_that_clock(coord: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lease = await coord.lock("x", ttl=5).try_acquire()
    assert lease.valid
    now = uptime_module.uptime()
    for module in ("tasks", "threads"):
        monkeypatch.setattr(f"coord._engine.{module}.uptime", lambda: now + 5)  # as after a suspension

    assert not lease.valid
    assert lease.lost.is_set()


async def test_polling_begins_at_once_then_at_random_and_ends_in_time(
    coord: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await coord.lock("x").try_acquire()
    port = bare(coord)._port
    events: list[Any] = []
    run, sleep = port.run, port.sleep

    async def noted_run(call: Any, *, timeout: float | None = None) -> Any:
        events.append("asked")
        return await run(call, timeout=timeout)

    async def noted_sleep(seconds: float) -> None:
        events.append(seconds)
        await sleep(seconds)

    monkeypatch.setattr(port, "run", noted_run)
    monkeypatch.setattr(port, "sleep", noted_sleep)
    with pytest.raises(LockTimeout):
        await coord.lock("x", wait="poll").acquire(timeout=0.5)
    pauses = [event for event in events if event != "asked"]

    assert events[0] == "asked"
    assert len(set(pauses)) > 4, "no two are alike"
    assert max(pauses) < lock_module.LONGEST_POLL, "and none is just what it may be at the most"
    assert max(pauses) > 2 * min(pauses[:-1])
    assert sum(pauses) < 0.501, "no pause outlasts the patience"


# Who is who


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


async def test_no_other_task_gets_the_id_of_one_that_ended_inside_its_block(
    real_server: str, prefix: str
) -> None:
    async with AsyncCoord.connect(real_server, prefix=prefix) as hub:
        hold = hub.lock("x", ttl=60).hold()

        async def end_inside() -> int:
            await hold.__aenter__()
            return hub._port.whoami()

        async def ask() -> int:
            return hub._port.whoami()

        dead = await asyncio.create_task(end_inside())
        gc.collect()
        others = [await asyncio.create_task(ask()) for _ in range(300)]

        assert len(set(others)) < 300, "ids are used again"
        assert dead not in others


# What is dropped


def test_a_block_that_was_dropped_is_let_go_and_said(
    real_server: str, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "coord")
    with Coord.connect(real_server, prefix=prefix) as hub:
        hub.lock("x", ttl=0.3).hold().__enter__()
        gc.collect()
        with hub.lock("x").hold(timeout=5):
            pass

    assert "the lease of lock 'x' no longer: it was dropped inside its block" in caplog.text


# Tokens


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


def test_a_forked_child_renews_nothing_of_its_parents(real_server: str, prefix: str) -> None:
    with Coord.connect(real_server, prefix=prefix) as hub, hub.lock("x", ttl=5):
        pid = os.fork()
        if pid == 0:
            verdict = 1
            signal.alarm(20)
            try:
                with hub.lock("y", ttl=1) as lease:
                    time.sleep(1.5)
                    names = [entry.what for entry in hub._locks.renewals._entries.values()]
                    verdict = (0 if lease.valid else 2) + (0 if names == ["lock 'y'"] else 4)
            finally:
                os._exit(verdict)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_forked_processes_have_tokens_of_their_own(real_server: str, prefix: str) -> None:
    with Coord.connect(real_server, prefix=prefix) as hub:
        hub.lock("warm").acquire().release()
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.write(writer, hub.lock("child").acquire().token.encode())
            finally:
                os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        childs = os.read(reader, 100).decode()
        os.close(reader)
        os.close(writer)

        assert len(childs) == 32
        assert childs != hub.lock("parent").acquire().token
