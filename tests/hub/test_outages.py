"""Calls while a server cannot be asked: again until the deadline, and never twice what may not be."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import redis
import redis.asyncio
from redis import exceptions as errors

from coord import AsyncCoord, Coord
from tests.support import servers
from tests.support.flavours import awaitable
from tests.support.middleman import SILENCE, Middleman, middleman

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

pytestmark = pytest.mark.anyio

WAYS = ["sync", "shared", "alone"]
"""A thread's call; a task's over the connection that all share; a task's over one of its own."""

SAID = {
    "LOADING": b"-LOADING Redis is loading the dataset in memory\r\n",
    "TRYAGAIN": b"-TRYAGAIN Multiple keys request during rehashing of slot\r\n",
    "CLUSTERDOWN": b"-CLUSTERDOWN The cluster is down\r\n",
    "MASTERDOWN": b"-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.\r\n",
    "BUSY": b"-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.\r\n",
    "READONLY": b"-READONLY You can't write against a read only replica.\r\n",
    "NOREPLICAS": b"-NOREPLICAS Not enough good replicas to write.\r\n",
}


@contextlib.asynccontextmanager
async def talking(way: str, port: int, call_timeout: float = 2, **options: Any) -> AsyncIterator[Any]:
    """A Coord whose client has no patience of its own, and so no limit either."""
    options = {"port": port, "socket_timeout": None, "socket_connect_timeout": None, **options}
    if way == "sync":
        client = redis.Redis(**options)
        with Coord(client, call_timeout=call_timeout) as hub:
            yield awaitable(hub)
        client.close()
    else:
        twin = redis.asyncio.Redis(**options)
        async with AsyncCoord(twin, call_timeout=call_timeout, coalesce=way == "shared") as async_hub:
            yield async_hub
        await twin.aclose()


@pytest.fixture
def between(own_server: servers.Process) -> Iterator[Middleman]:
    with middleman(own_server.port) as between:
        yield between


def for_the_first(seconds: float, answer: bytes) -> Callable[[list[bytes]], bytes | None]:
    """Say so for a while, from the first script on."""
    begun: list[float] = []

    def says(words: list[bytes]) -> bytes | None:
        if not words[0].startswith(b"EVAL"):
            return None
        begun.append(time.monotonic())
        return answer if begun[-1] - begun[0] < seconds else None

    return says


def charge(hub: Any) -> Any:
    """Make a call that must never be executed twice."""
    return hub.fixed_window("w", limit=9, per=3600).try_acquire("u")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("code", SAID)
async def test_what_was_not_executed_is_asked_again_and_charged_once(
    between: Middleman, way: str, code: str
) -> None:
    async with talking(way, between.port) as hub:
        between.says = for_the_first(0.6, SAID[code])
        assert (await charge(hub)).remaining == 8
        scripts = len(between.heard)
        assert (await charge(hub)).remaining == 7

    assert 4 < scripts < 20, "again and again, with pauses that grow"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("code", [*SAID, "NOSCRIPT", "ASK"])
async def test_and_when_it_never_is_the_deadline_ends_it(between: Middleman, way: str, code: str) -> None:
    round_and_round = {
        "NOSCRIPT": b"-NOSCRIPT No matching script. Please use EVAL.\r\n",
        "ASK": b"-ASK 1 127.0.0.1:1\r\n",
    }
    between.says = for_the_first(60, {**SAID, **round_and_round}[code])
    async with talking(way, between.port, call_timeout=0.8) as hub:
        begun, work = time.monotonic(), time.process_time()
        with pytest.raises(errors.RedisError):
            await charge(hub)
        took, worked = time.monotonic() - begun, time.process_time() - work

    assert 0.5 < took < 1.5
    assert len(between.heard) < 25
    assert worked < 0.4, "it pauses, and burns no core"


@pytest.mark.parametrize("way", WAYS)
async def test_a_server_that_restarts_costs_a_call_some_time(way: str) -> None:
    binary = servers.BINARIES["valkey9"]()
    assert binary is not None
    port = servers.free_port()
    async with talking(way, port) as hub:
        back = threading.Event()

        def come_back() -> None:
            time.sleep(0.7)
            with servers.running(binary, port=port):
                back.wait(20)

        thread = threading.Thread(target=come_back)
        thread.start()
        try:
            assert (await charge(hub)).remaining == 8
        finally:
            back.set()
            thread.join()


@pytest.mark.parametrize("way", WAYS)
async def test_a_wrong_port_is_an_error_by_the_calls_deadline(way: str) -> None:
    async with talking(way, servers.free_port(), call_timeout=0.3) as hub:
        begun = time.monotonic()
        with pytest.raises((errors.ConnectionError, errors.TimeoutError)):
            await charge(hub)

    assert 0.2 < time.monotonic() - begun < 1


@pytest.mark.parametrize("way", WAYS)
async def test_a_server_that_is_busy_with_a_script_is_waited_for(
    own_server: servers.Process, way: str
) -> None:
    with redis.Redis(port=own_server.port) as behind:
        behind.config_set("busy-reply-threshold", 50)
        async with talking(way, own_server.port) as hub:
            await charge(hub)
            busy = threading.Thread(target=_keep_busy, args=(own_server.port,))
            busy.start()
            while not _is_busy(behind):
                time.sleep(0.005)
            threading.Timer(0.5, behind.script_kill).start()
            try:
                assert (await charge(hub)).remaining == 7
            finally:
                busy.join()


def _keep_busy(port: int) -> None:
    with redis.Redis(port=port, socket_timeout=20) as client, contextlib.suppress(errors.ResponseError):
        client.eval("while true do end", 0)


def _is_busy(client: Any) -> bool:
    try:
        client.ping()
    except errors.ResponseError as error:
        return "BUSY" in str(error)
    return False


@pytest.mark.parametrize("way", WAYS)
async def test_a_failover_behind_one_address_heals(own_server: servers.Process, way: str) -> None:
    """The old master is a replica now; whoever connects anew comes to the new one."""
    binary = servers.BINARIES["valkey9"]()
    assert binary is not None
    with servers.running(binary) as successor, middleman(own_server.port) as address:
        async with talking(way, address.port) as hub:
            many = [hub.fixed_window(f"w{n}", limit=9, per=3600).try_acquire("u") for n in range(5)]
            await asyncio.gather(*many)
            with redis.Redis(port=own_server.port) as old:
                old.replicaof("127.0.0.1", successor.port)
            address.upstream = successor.port

            assert (await charge(hub)).allowed
        with redis.Redis(port=successor.port) as new:
            assert new.dbsize() == 1


@pytest.mark.parametrize("way", WAYS)
async def test_a_connection_dropped_in_silence_leaves_time_for_a_second(between: Middleman, way: str) -> None:
    async with talking(way, between.port, call_timeout=1) as hub:
        lock = hub.lock("x")
        await (await lock.try_acquire()).release()
        old = len(between.connections)
        between.says = lambda _: SILENCE if len(between.connections) == old else None
        begun = time.monotonic()
        assert (await lock.status()).held is False

    assert 0.4 < time.monotonic() - begun < 0.95


@pytest.mark.parametrize("way", WAYS)
async def test_what_may_not_be_repeated_is_not_though_its_connection_is_silent(
    between: Middleman, way: str
) -> None:
    async with talking(way, between.port, call_timeout=0.6) as hub:
        await charge(hub)
        between.heard.clear()
        between.says = lambda _: SILENCE
        begun = time.monotonic()
        with pytest.raises(errors.TimeoutError):
            await charge(hub)
        assert time.monotonic() - begun < 1.5

    assert len(between.heard) == 1


@pytest.mark.parametrize("way", WAYS)
async def test_a_limiter_with_a_fallback_does_not_wait_for_a_server(between: Middleman, way: str) -> None:
    async with talking(way, between.port, call_timeout=5) as hub:
        limiter = hub.fixed_window("w", limit=9, per=3600, on_error="allow", budget=3)
        await limiter.try_acquire("u")
        between.heard.clear()
        between.says = for_the_first(60, SAID["LOADING"])
        begun = time.monotonic()
        decision = await limiter.try_acquire("u")

    assert (decision.source, len(between.heard)) == ("fallback", 1)
    assert time.monotonic() - begun < 1


@pytest.mark.parametrize("way", WAYS)
async def test_many_calls_together_have_one_deadline(between: Middleman, way: str) -> None:
    async with talking(way, between.port, call_timeout=0.6) as hub:
        activity = hub.activity("a", ids="int")
        await activity.mark(1)
        between.says = for_the_first(60, SAID["BUSY"])
        begun = time.monotonic()
        with pytest.raises(errors.ResponseError):
            await activity.mark(*range(0, 9_000_000, 1_000_000))

    assert time.monotonic() - begun < 1.5


@pytest.mark.parametrize("way", WAYS)
async def test_a_large_command_does_not_wait_for_a_server_to_read_it(
    own_server: servers.Process, way: str
) -> None:
    async with talking(way, own_server.port, call_timeout=0.5) as hub:
        counter = hub.unique_counter("c")
        await counter.add("a")
        os.kill(own_server.pid, signal.SIGSTOP)
        begun = time.monotonic()
        try:
            with pytest.raises((errors.TimeoutError, errors.ConnectionError)):
                await counter.add("x" * 20_000_000)
            took = time.monotonic() - begun
        finally:
            os.kill(own_server.pid, signal.SIGCONT)

    assert took < 3


@pytest.mark.parametrize("way", WAYS)
async def test_a_clients_own_health_check_is_under_the_deadline_too(
    own_server: servers.Process, way: str
) -> None:
    async with talking(way, own_server.port, call_timeout=0.4, health_check_interval=0.01) as hub:
        await charge(hub)
        time.sleep(0.02)  # the check is due
        os.kill(own_server.pid, signal.SIGSTOP)
        begun = time.monotonic()
        try:
            with pytest.raises((errors.TimeoutError, errors.ConnectionError)):
                await charge(hub)
            took = time.monotonic() - begun
        finally:
            os.kill(own_server.pid, signal.SIGCONT)

    assert took < 2
