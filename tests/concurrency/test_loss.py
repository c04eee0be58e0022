"""Permits that are lost, and holders that are killed, forked or late."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest
import redis
import redis.asyncio

from coord import AsyncCoord, Coord, NotOwned, PermitLost
from tests.support.traffic import scripts_run

if TYPE_CHECKING:
    from tests.support import servers

pytestmark = pytest.mark.anyio


def test_clients_whose_clocks_are_hours_apart_admit_exactly_the_limit(real_server: str, prefix: str) -> None:
    """Each in a process of its own, whose clock is set while it runs; the first leaves its permits behind."""
    program = (
        "import sys, time_machine; from coord import Coord\n"
        "_, url, prefix, at = sys.argv\n"
        "with time_machine.travel(float(at)), Coord.connect(url, prefix=prefix) as hub:\n"
        "  limit = hub.concurrency_limit('d', limit=5, ttl=30)\n"
        "  print(sum(bool(limit.try_acquire('u')) for _ in range(4)), limit.status('u').used)\n"
    )
    admitted = [
        subprocess.run(
            [sys.executable, "-c", program, real_server, prefix, str(time.time() + skew)],
            capture_output=True, text=True, check=True,
        ).stdout.split()
        for skew in (3600, -3600)
    ]  # fmt: skip

    assert admitted == [["4", "4"], ["1", "5"]]


def test_a_permit_dies_with_its_process(real_server: str, prefix: str) -> None:
    program = (
        "import os, signal, sys; from coord import Coord\n"
        "hub = Coord.connect(sys.argv[1], prefix=sys.argv[2])\n"
        "with hub.concurrency_limit('d', limit=1, ttl=0.5).hold('u'):\n"
        "  os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    with Coord.connect(real_server, prefix=prefix) as hub:
        ended = subprocess.run([sys.executable, "-c", program, real_server, prefix], check=False)
        assert ended.returncode < 0
        limit = hub.concurrency_limit("d", limit=1)
        left = [one.remaining for one in limit.status("u").holders]
        assert all(one <= 0.5 for one in left)
        limit.acquire("u", timeout=10).release()


def test_a_forked_child_does_not_own_its_parents_permit(real_server: str, prefix: str) -> None:
    with Coord.connect(real_server, prefix=prefix) as hub:
        limit = hub.concurrency_limit("d", limit=2, ttl=5)
        with limit.hold("u") as permit:
            pid = os.fork()
            if pid == 0:
                verdict = 1
                try:
                    permit.release()
                except NotOwned as error:
                    verdict = 0 if "acquire one here" in str(error) else 2
                finally:
                    os._exit(verdict)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
            assert permit.valid
            assert limit.status("u").used == 1


async def test_an_async_block_is_cancelled_when_its_permit_is_lost(real_server: str, prefix: str) -> None:
    async with AsyncCoord.connect(real_server, prefix=prefix) as hub:
        limit = hub.concurrency_limit("d", limit=1, ttl=0.3)
        told = []
        with pytest.raises(PermitLost):
            async with limit.hold("u", on_lost=lambda: told.append("u")):
                await limit.reset("u")
                await asyncio.sleep(5)
        assert told == ["u"]
        assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]


def test_a_sync_block_is_told_and_not_interrupted(real_server: str, prefix: str) -> None:
    with Coord.connect(real_server, prefix=prefix) as hub:
        limit = hub.concurrency_limit("d", limit=1, ttl=0.3)
        told = threading.Event()
        with pytest.raises(PermitLost), limit.hold("u", on_lost=told.set) as permit:
            assert not permit.lost.is_set()
            limit.reset("u")

            assert permit.lost.wait(timeout=5)
            assert told.wait(5)
            with pytest.raises(PermitLost):
                permit.check()


async def test_the_bodys_own_exception_comes_first(real_server: str, prefix: str) -> None:
    async with AsyncCoord.connect(real_server, prefix=prefix) as hub:
        limit = hub.concurrency_limit("d", limit=1, ttl=60)
        with pytest.raises(KeyError) as caught:
            async with limit.hold("u"):
                await limit.reset("u")
                raise KeyError("mine")

    (note,) = caught.value.__notes__
    assert note.startswith("and on leaving the permit of 'u' from 'd': PermitLost")


async def test_many_permits_are_renewed_in_few_scripts(own_server: servers.Process) -> None:
    async with AsyncCoord.connect(own_server.url) as hub, contextlib.AsyncExitStack() as stack:
        limit = hub.concurrency_limit("d", limit=300, ttl=1.5)
        for number in range(300):
            await stack.enter_async_context(limit.hold("u" if number % 2 else f"u{number}"))
        with redis.Redis(port=own_server.port) as client:
            before = scripts_run(client)
            await asyncio.sleep(1.6)
            assert scripts_run(client) - before <= 60
        assert (await limit.status("u")).used == 150
