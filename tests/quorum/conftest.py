"""Five servers, and a quorum of each flavour on them."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest
import redis
import redis.asyncio

from tests.quorum.fleet import joined, run_servers
from tests.support.keys import keys_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from tests.support import servers

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def five_servers() -> Iterator[list[servers.Process]]:
    with contextlib.ExitStack() as stack:
        yield run_servers(5, stack)


@pytest.fixture
def five(five_servers: list[servers.Process], prefix: str) -> Iterator[list[servers.Process]]:
    """Five servers that run again when the test is over, and on which every key had a TTL."""
    yield five_servers
    for process in five_servers:
        os.kill(process.pid, signal.SIGCONT)
        with redis.Redis(port=process.port) as client:
            assert [key for key in keys_of(client, prefix) if client.pttl(key) == -1] == []


@pytest.fixture
def own(prefix: str) -> Iterator[Callable[[int], list[servers.Process]]]:
    """Start servers that the test may kill."""
    with contextlib.ExitStack() as stack:
        yield lambda number: run_servers(number, stack)


@pytest.fixture
async def quorum(flavour: str, five: list[servers.Process], prefix: str) -> AsyncIterator[Any]:
    async with joined(flavour, five, prefix) as made:
        yield made


@pytest.fixture
async def other(flavour: str, five: list[servers.Process], prefix: str) -> AsyncIterator[Any]:
    """A quorum of the flavour that ``quorum`` is not, on the same keys."""
    async with joined("async" if flavour == "sync" else "sync", five, prefix) as made:
        yield made
