"""Who waits for a lock of a quorum waits for servers too: for those that are down or too young to vote."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from coord import Quorum, QuorumError
from tests.quorum.fleet import joined, kill, resume, stop
from tests.support import servers

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.anyio


async def test_servers_that_will_vote_in_a_second_are_waited_for(
    flavour: str, own: Callable[[int], list[servers.Process]], prefix: str
) -> None:
    three = own(3)
    async with joined(flavour, three, prefix, quarantine=True) as quorum:
        with pytest.raises(QuorumError):
            await quorum.lock("x", ttl=2.5).try_acquire()
        lease = await quorum.lock("x", ttl=2.5).acquire(timeout=20)
        await lease.release()


@pytest.mark.parametrize("timeout", [20, None])
async def test_servers_that_hang_are_waited_for(
    flavour: str, own: Callable[[int], list[servers.Process]], prefix: str, timeout: float | None
) -> None:
    three = own(3)
    async with joined(flavour, three, prefix) as quorum:
        async with quorum.lock("x"):
            """All three have answered."""
        stop(*three[:2])
        threading.Timer(1, resume, three[:2]).start()
        lease = await quorum.lock("x").acquire(timeout=timeout)
        await lease.release()


async def test_the_votes_are_told_when_the_wait_is_over(
    flavour: str, own: Callable[[int], list[servers.Process]], prefix: str
) -> None:
    three = own(3)
    async with joined(flavour, three, prefix) as quorum:
        kill(*three[:2])
        begun = time.monotonic()
        with pytest.raises(QuorumError) as caught:
            await quorum.lock("x").acquire(timeout=1)
        took = time.monotonic() - begun

    assert [vote.outcome for vote in caught.value.votes].count("failed") == 2
    assert 0.7 < took < 2.5


async def test_wrong_ports_are_an_error_and_no_wait_for_ever(
    flavour: str, own: Callable[[int], list[servers.Process]], prefix: str
) -> None:
    (alone,) = own(1)
    nowhere: list[Any] = [servers.Process(servers.free_port(), alone.pid, alone.popen) for _ in range(2)]
    async with joined(flavour, [alone, *nowhere], prefix) as quorum:
        begun = time.monotonic()
        with pytest.raises(QuorumError):
            await quorum.lock("x").acquire()

    assert time.monotonic() - begun < 5


def test_servers_that_never_tell_their_age_are_not_waited_for() -> None:
    with Quorum.connect("memory://a", "memory://b", "memory://c") as quorum:
        begun = time.monotonic()
        with pytest.raises(QuorumError, match="quarantine=False"):
            quorum.lock("x").acquire()

    assert time.monotonic() - begun < 5
