"""Mistakes that people make, and what they are told."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import fakeredis
import pytest

from coord import AsyncCoord, AsyncQuorum, Coord, Quorum, WrongKeyType

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.anyio

HAD: list[tuple[str, Callable[[Any], Any]]] = [
    ("lock.hold", lambda coord: coord.lock("x").acquire()),
    ("lock.hold", lambda coord: coord.lock("x").try_acquire()),
    ("lock.hold", lambda coord: coord.locks("x", "y").acquire()),
    ("limiter.charge", lambda coord: coord.token_bucket("x", "3/s").acquire("k")),
    ("limit.hold", lambda coord: coord.concurrency_limit("x", limit=3).acquire("k")),
]


@pytest.mark.parametrize(("instead", "have"), HAD)
def test_a_block_of_what_is_had_already_says_what_to_write(instead: str, have: Callable[[Any], Any]) -> None:
    with Coord.connect("memory://") as coord:
        had = have(coord)
        with pytest.raises(TypeError, match=f"write with {instead}"), had:
            pytest.fail("it is no block")


@pytest.mark.parametrize(("instead", "have"), HAD)
async def test_an_async_block_of_it_too(instead: str, have: Callable[[Any], Any]) -> None:
    async with AsyncCoord.connect("memory://") as coord:
        had = await have(coord)
        with pytest.raises(TypeError, match=f"write async with {instead}"):
            async with had:
                pytest.fail("it is no block")


@pytest.mark.parametrize(
    "ask",
    [
        lambda coord: coord.lock("x").try_acquire(),
        lambda coord: coord.lock("x").status(),
        lambda coord: coord.lock("x").acquire(timeout=1),
        lambda coord: coord.lock("x").force_release(reason="a test"),
        lambda coord: coord.locks("w", "x").try_acquire(),
    ],
)
async def test_what_another_program_keeps_under_a_locks_key_is_named_and_left(
    coord: Any, client: Any, prefix: str, ask: Callable[[Any], Any]
) -> None:
    client.set(f"{prefix}:lock:{{x}}", "d41d8cd98f00b204e9800998ecf8427e", px=60_000)
    with pytest.raises(WrongKeyType, match=r"lock:\{x\}"):
        await ask(coord)

    assert client.strlen(f"{prefix}:lock:{{x}}") == 32
    assert not client.exists(f"{prefix}:lock:{{w}}")


def test_a_quorum_that_is_given_the_other_flavour_speaks_of_quorums() -> None:
    suspending: list[Any] = [fakeredis.FakeAsyncRedis()] * 3
    blocking: list[Any] = [fakeredis.FakeRedis()] * 3
    urls: list[Any] = ["redis://a", "redis://b", "redis://c"]
    with pytest.raises(TypeError, match=r"^Quorum was given an async client .*; use AsyncQuorum\(client\)"):
        Quorum(suspending)
    with pytest.raises(TypeError, match=r"^AsyncQuorum was given a sync client .*; use Quorum\(client\)"):
        AsyncQuorum(blocking)
    with pytest.raises(TypeError, match="Quorum needs a Redis or Valkey client"):
        Quorum(urls)


OTHER_LOOP = """
import anyio
from coord import AsyncCoord

async def main():
    async with AsyncCoord.connect("memory://") as coord:
        await coord.lock("x").try_acquire()

try:
    anyio.run(main, backend="trio")
except RuntimeError as error:
    print(error)
"""

NO_FORK = """
import os, signal, sys
sys.modules["fcntl"] = None
del os.fork, os.register_at_fork, signal.SIGKILL
import asyncio
from coord import AsyncCoord, Coord

with Coord.connect("memory://") as coord, coord.lock("x") as lease:
    lease.check()

async def main():
    async with AsyncCoord.connect("memory://") as coord, coord.lock("x") as lease:
        lease.check()

asyncio.run(main())
try:
    Coord.connect("embedded://")
except (ImportError, OSError) as error:
    print(error)
"""


def said_by(code: str) -> str:
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_another_event_loop_than_asyncios_is_refused_with_a_sentence() -> None:
    assert "runs on asyncio" in said_by(OTHER_LOOP)


def test_without_fork_and_file_locks_all_works_but_the_embedded_server() -> None:
    """As on Windows, where these are missing."""
    assert "embedded://" in said_by(NO_FORK)
