"""A waiter's timeout holds whatever becomes of the connection that its wake-ups would come over."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import redis
import redis.asyncio

from coord import AsyncCoord, Coord, LockTimeout
from tests.support.flavours import awaitable
from tests.support.middleman import SILENCE, Middleman, middleman

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.support import servers

pytestmark = pytest.mark.anyio


@pytest.fixture
def between(own_server: servers.Process) -> Iterator[Middleman]:
    with middleman(own_server.port) as between:
        yield between


@contextlib.asynccontextmanager
async def on(
    port: int, flavour: str, *, socket_timeout: float | None, call_timeout: float = 5
) -> AsyncIterator[Any]:
    options: dict[str, Any] = {
        "port": port, "socket_timeout": socket_timeout, "socket_connect_timeout": socket_timeout,
    }  # fmt: skip
    if flavour == "sync":
        client = redis.Redis(**options)
        with Coord(client, call_timeout=call_timeout) as hub:
            yield awaitable(hub)
        client.close()
    else:
        twin = redis.asyncio.Redis(**options)
        async with AsyncCoord(twin, call_timeout=call_timeout) as async_hub:
            yield async_hub
        await twin.aclose()


def never_greeted(between: Middleman) -> None:
    """Connections are accepted, and no word is said: a handshake, an AUTH, a HELLO that nobody answers."""
    between.greets = False


def never_confirmed(between: Middleman) -> None:
    """SUBSCRIBE is heard, and never confirmed."""
    between.says = lambda words: SILENCE if words[0] in (b"SUBSCRIBE", b"SSUBSCRIBE") else None


def refused(between: Middleman) -> None:
    """What is connected goes on, and nothing new can be."""
    connections = list(between.connections)
    between.connections.clear()
    between.close()
    between.connections.extend(connections)


TROUBLES = [never_greeted, never_confirmed, refused]


@pytest.mark.parametrize("socket_timeout", [None, 5])
@pytest.mark.parametrize("trouble", TROUBLES)
async def test_a_waiters_timeout_holds_while_its_wake_ups_cannot_be_listened_for(
    between: Middleman, flavour: str, trouble: Any, socket_timeout: float | None
) -> None:
    async with on(between.port, flavour, socket_timeout=socket_timeout) as hub:
        holder = hub.lock("x", ttl=60)
        await holder.try_acquire()
        trouble(between)
        begun = time.monotonic()
        with pytest.raises(LockTimeout):
            await hub.lock("x").acquire(timeout=0.7)
        took = time.monotonic() - begun

    assert 0.6 < took < 1.2


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_and_the_lock_is_had_soon_after_it_is_free(
    between: Middleman, flavour: str, trouble: Any
) -> None:
    async with on(between.port, flavour, socket_timeout=None) as hub:
        await hub.lock("x", ttl=0.6).try_acquire()
        trouble(between)
        begun = time.monotonic()
        lease = await hub.lock("x").acquire(timeout=10)
        assert time.monotonic() - begun < 3, "by looking again, without having been woken"
        await lease.release()


async def test_a_subscription_that_is_never_confirmed_is_asked_for_on_another_connection(
    between: Middleman, own_server: servers.Process, flavour: str
) -> None:
    asked: list[float] = []

    def only_the_second(words: list[bytes]) -> bytes | None:
        if words[0] != b"SUBSCRIBE":
            return None
        asked.append(time.monotonic())
        return SILENCE if len(asked) == 1 else None

    between.says = only_the_second
    async with on(between.port, flavour, socket_timeout=None, call_timeout=0.3) as hub:
        await hub.lock("x", ttl=60).try_acquire()
        with pytest.raises(LockTimeout):
            await hub.lock("x").acquire(timeout=2.5)

    assert len(asked) == 2
    assert asked[1] - asked[0] < 2


@contextlib.contextmanager
def hanging_handshakes() -> Iterator[int]:
    """Accept connections on a port, and never get on with the handshake."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        kept = []

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    kept.append(listener.accept())

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        accepting.join()
        for connection, _ in kept:
            connection.close()


async def test_a_handshake_that_hangs_is_under_the_deadline(flavour: str) -> None:
    with hanging_handshakes() as port:
        options: dict[str, Any] = {
            "port": port, "ssl": True, "ssl_cert_reqs": ssl.CERT_NONE,
            "socket_timeout": None, "socket_connect_timeout": None,
        }  # fmt: skip
        begun = time.monotonic()
        if flavour == "sync":
            client = redis.Redis(**options)
            with Coord(client, call_timeout=0.4) as hub, pytest.raises(redis.TimeoutError):
                hub.lock("x").acquire(timeout=0)
            client.close()
        else:
            twin = redis.asyncio.Redis(**options)
            async with AsyncCoord(twin, call_timeout=0.4) as twin_hub:
                with pytest.raises(redis.TimeoutError):
                    await twin_hub.lock("x").acquire(timeout=0)
            await twin.aclose()

    assert time.monotonic() - begun < 2


async def test_joining_costs_a_waiter_no_time_however_long_connecting_takes(between: Middleman) -> None:
    async with on(between.port, "async", socket_timeout=None) as hub:
        await hub.lock("x", ttl=60).try_acquire()
        never_greeted(between)
        begun = time.monotonic()
        waiters = [asyncio.create_task(hub.lock("x").acquire(timeout=0.5)) for _ in range(50)]
        ends = await asyncio.gather(*waiters, return_exceptions=True)

        assert all(isinstance(end, LockTimeout) for end in ends)
        assert time.monotonic() - begun < 1.5
