"""A call's deadline covers the making of a connection, whatever the client's own timeouts are."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest
import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.retry import Retry

from coord import AsyncCoord, Coord
from tests.support.flavours import awaitable

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.anyio
PATIENCE = 10.0
"""Seconds after which a silent server hangs up, so that a test without what it tests fails, and ends."""


@contextlib.contextmanager
def silent(how: str) -> Iterator[tuple[int, threading.Event]]:
    """Listen, and never say a word: give the port, and an event that is set when it has hung up at last."""
    hung_up = threading.Event()
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0 if how == "full backlog" else 100)
        if how == "full backlog":
            for _ in range(4):  # what comes after these is not even told that it is connected
                caller = stack.enter_context(socket.socket())
                caller.setblocking(False)
                caller.connect_ex(listener.getsockname())

        def hang_up() -> None:
            hung_up.set()
            listener.close()

        timer = threading.Timer(PATIENCE, hang_up)
        timer.start()
        stack.callback(timer.cancel)
        yield listener.getsockname()[1], hung_up


@contextlib.asynccontextmanager
async def patient(flavour: str, port: int) -> Any:
    """A Coord whose client would wait for ever."""
    options: dict[str, Any] = {
        "port": port, "retry": Retry(NoBackoff(), 0), "socket_timeout": None, "socket_connect_timeout": None,
    }  # fmt: skip
    if flavour == "sync":
        with Coord(redis.Redis(**options), call_timeout=0.2) as hub:
            yield awaitable(hub)
    else:
        client = redis.asyncio.Redis(**options)
        async with AsyncCoord(client, call_timeout=0.2) as twin:
            yield twin
        await client.aclose()


@pytest.mark.parametrize("how", ["accepts and says nothing", "full backlog"])
async def test_a_limiters_budget_covers_connecting(flavour: str, how: str) -> None:
    with silent(how) as (port, hung_up):
        async with patient(flavour, port) as hub:
            falls_back = hub.token_bucket("b", rate=1, on_error="allow", budget=0.1)
            decision = await falls_back.try_acquire("u")
            assert (decision.source, hung_up.is_set()) == ("fallback", False)
            with pytest.raises(redis.TimeoutError) as caught:
                await hub.token_bucket("b", rate=1, budget=0.1).try_acquire("u")
            assert not hung_up.is_set()
            assert caught.value.__notes__ == ["coord: the call was not executed"]


async def test_so_does_the_deadline_of_any_call(flavour: str) -> None:
    with silent("accepts and says nothing") as (port, hung_up):
        async with patient(flavour, port) as hub:
            with pytest.raises(redis.TimeoutError):
                await hub.lock("x").status()
            assert not hung_up.is_set()


def test_an_error_of_the_library_is_raised_as_it_is() -> None:
    with Coord.connect("unix:///no/such/server.sock") as hub, pytest.raises(redis.ConnectionError):
        hub.lock("x").try_acquire()
