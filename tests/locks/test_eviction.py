"""The warning that the server may evict locks."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import redis

from coord import AsyncCoord, AsyncQuorum, Coord, Quorum
from tests.support import servers
from tests.support.flavours import awaitable
from tests.support.hubs import intercepted, name_of, time_given

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

pytestmark = pytest.mark.anyio

LIMITED = ["--maxmemory", "100mb", "--maxmemory-policy"]


@pytest.fixture
def evicting() -> Iterator[servers.Process]:
    binary = servers.BINARIES["valkey9"]()
    assert binary is not None
    with servers.running(binary, *LIMITED, "volatile-lru") as process:
        yield process


def configure(process: servers.Process, **settings: str) -> None:
    with redis.Redis(port=process.port) as client:
        for name, value in settings.items():
            client.config_set(name.replace("_", "-"), value)


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if "evict" in one.getMessage() and one.levelno >= 30]


async def held_once(hub: Any, looked: Callable[[], bool], name: str = "x") -> None:
    """Hold a lock until the look at the policy must have come, which is when the renewals have time."""
    async with hub.lock(name):
        deadline = time.monotonic() + 5
        while not looked() and time.monotonic() < deadline:
            await asyncio.sleep(0.01)


def looks(process: servers.Process) -> int:
    with redis.Redis(port=process.port) as client:
        rows = client.info("commandstats")
    return int(rows.get("cmdstat_info", {"calls": 0})["calls"])


async def test_a_policy_that_can_evict_locks_is_warned_of_once(
    evicting: servers.Process, flavour: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "coord")
    make: Any = Coord if flavour == "sync" else AsyncCoord
    hub = awaitable(make.connect(f"redis://{evicting.address}"))
    await held_once(hub, lambda: bool(warnings_in(caplog)))
    for _ in range(3):
        await held_once(hub, lambda: True)
    await hub.close()

    assert len(warnings_in(caplog)) == 1
    assert "maxmemory-policy is volatile-lru" in warnings_in(caplog)[0]


@pytest.mark.parametrize(
    "settings", [{"maxmemory_policy": "noeviction"}, {"maxmemory": "0"}], ids=["noeviction", "no limit"]
)
async def test_a_server_that_evicts_nothing_is_not_warned_of(
    evicting: servers.Process, flavour: str, caplog: pytest.LogCaptureFixture, settings: dict[str, str]
) -> None:
    configure(evicting, **settings)
    make: Any = Coord if flavour == "sync" else AsyncCoord
    hub = awaitable(make.connect(f"redis://{evicting.address}"))
    before = looks(evicting)
    asked = 0

    def looked() -> bool:
        nonlocal asked
        asked += 1
        return looks(evicting) > before + asked

    await held_once(hub, looked)
    await hub.close()

    assert looks(evicting) > before + asked, "nobody looked"
    assert warnings_in(caplog) == []


async def test_a_server_that_forbids_the_look_gives_locks_all_the_same(
    evicting: servers.Process, flavour: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "coord")
    with redis.Redis(port=evicting.port) as client:
        client.execute_command("ACL", "SETUSER", "app", "on", ">pw", "~*", "&*", "+@all", "-info")
    make: Any = Coord if flavour == "sync" else AsyncCoord
    hub = awaitable(make.connect(f"redis://app:pw@{evicting.address}"))
    await held_once(hub, lambda: "could not look at maxmemory_policy" in caplog.text)
    await hub.close()

    assert "could not look at maxmemory_policy" in caplog.text
    assert "pw@" not in caplog.text
    assert warnings_in(caplog) == []


async def test_the_look_is_given_no_longer_than_until_the_next_renewal(real_server: str, prefix: str) -> None:
    """One that takes all the time it is given costs no lease."""
    given: list[float] = []

    async def slow(call: Any, send: Callable[..., Awaitable[Any]]) -> Any:
        if name_of(call) != "INFO":
            return await send()
        given.append(time_given(send))
        await asyncio.sleep(given[-1])
        raise TimeoutError

    async with AsyncCoord.connect(real_server, prefix=prefix) as hub:
        with intercepted(hub, slow):
            async with hub.lock("x", ttl=0.3) as lease:
                await asyncio.sleep(0.5)
                assert lease.valid
            async with hub.lock("x", ttl=60):
                await asyncio.sleep(0.05)

    assert len(given) == 1, "once a Coord"
    assert 0 < given[0] <= 0.1


async def test_taking_a_lock_by_itself_looks_at_nothing(evicting: servers.Process) -> None:
    """An uncontended lock stays one round trip, and starts no thread."""
    before = threading.active_count()
    with Coord.connect(f"redis://{evicting.address}") as hub:
        seen = looks(evicting)
        hub.lock("x").acquire().release()

        assert looks(evicting) == seen + 1, "the test's own look"
        assert threading.active_count() == before


async def test_each_server_of_a_quorum_is_looked_at(
    evicting: servers.Process, real_server: str, flavour: str, caplog: pytest.LogCaptureFixture, prefix: str
) -> None:
    caplog.set_level(logging.WARNING, "coord")
    make: Any = Quorum if flavour == "sync" else AsyncQuorum
    binary = servers.BINARIES["valkey9"]()
    assert binary is not None
    with servers.running(binary, *LIMITED, "allkeys-random") as other:
        urls = [real_server, f"redis://{evicting.address}", f"redis://{other.address}"]
        hub = awaitable(make.connect(*urls, prefix=prefix, quarantine=False))
        await held_once(hub, lambda: len(warnings_in(caplog)) == 2)
        await hub.close()

    said = sorted(warnings_in(caplog))
    assert len(said) == 2
    assert said[0].startswith("server 2: redis://")
    assert "volatile-lru" in said[0]
    assert said[1].startswith("server 3: redis://")
    assert "allkeys-random" in said[1]
