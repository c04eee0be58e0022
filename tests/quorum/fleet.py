"""Independent servers, stopped, killed and resumed, and quorums of them."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
import redis
import redis.asyncio

from coord import AsyncQuorum, Quorum
from tests.support import servers
from tests.support.flavours import awaitable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

pytestmark = pytest.mark.anyio


def run_servers(number: int, stack: contextlib.ExitStack) -> list[servers.Process]:
    binary = servers.BINARIES["valkey9"]()
    assert binary is not None
    return [stack.enter_context(servers.running(binary)) for _ in range(number)]


def stop(*processes: servers.Process) -> None:
    for process in processes:
        os.kill(process.pid, signal.SIGSTOP)


def resume(*processes: servers.Process) -> None:
    for process in processes:
        os.kill(process.pid, signal.SIGCONT)


def kill(*processes: servers.Process) -> None:
    for process in processes:
        process.popen.kill()
        process.popen.wait()


def urls(processes: Sequence[servers.Process]) -> list[str]:
    return [f"redis://{process.address}/0" for process in processes]


@contextlib.asynccontextmanager
async def joined(
    flavour: str, processes: Sequence[servers.Process], prefix: str, **options: Any
) -> AsyncIterator[Any]:
    """A quorum of either flavour; the sync one may be awaited too."""
    options = {"prefix": prefix, "quarantine": False, "call_timeout": 0.2, **options}
    if flavour == "sync":
        with Quorum.connect(*urls(processes), **options) as quorum:
            yield awaitable(quorum)
    else:
        async with AsyncQuorum.connect(*urls(processes), **options) as quorum:
            yield quorum


def holders(processes: Sequence[servers.Process], prefix: str) -> int:
    """On how many servers somebody holds the lock."""
    found = 0
    for process in processes:
        with redis.Redis(port=process.port) as client:
            found += client.exists(f"{prefix}:lock:{{x}}")
    return found


def free_on(processes: Sequence[servers.Process], prefix: str) -> bool:
    return holders(processes, prefix) == 0


async def eventually(question: Callable[[], bool], what: str) -> None:
    with anyio.move_on_after(5):
        while not await anyio.to_thread.run_sync(question):
            await anyio.sleep(0.01)
        return
    pytest.fail(f"not within 5 s: {what}")
