"""Grants that wait for replicas and for the disk."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from typing import TYPE_CHECKING, Any

import pytest
import redis

from coord import AsyncCoord, Coord, LockError, NotDurable
from tests.support import servers
from tests.support.flavours import awaitable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.anyio


def binary() -> Any:
    found = servers.BINARIES["valkey9"]()
    assert found is not None
    return found


def replica_of(master: servers.Process, *options: str) -> Any:
    return servers.running(binary(), "--replicaof", "127.0.0.1", str(master.port), *options)


def synced(master: servers.Process, replicas: int) -> Callable[[], bool]:
    def question() -> bool:
        with redis.Redis(port=master.port) as client:
            states = [value for key, value in client.info("replication").items() if key.startswith("slave")]
        return [one["state"] for one in states] == ["online"] * replicas

    return question


@pytest.fixture(scope="module")
def replicated() -> Iterator[tuple[servers.Process, servers.Process]]:
    """A master and its replica, both with their data on disk."""
    disk = ("--appendonly", "yes", "--appendfsync", "always")
    with (
        servers.running(binary(), "--repl-diskless-sync-delay", "0", *disk) as master,
        replica_of(master, *disk) as replica,
    ):
        servers.until(synced(master, 1), "the replica is in sync")
        yield master, replica


@contextlib.contextmanager
def stopped(process: servers.Process) -> Iterator[None]:
    os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process.pid, signal.SIGCONT)


@pytest.fixture
async def hub(replicated: Any, flavour: str, prefix: str) -> Any:
    make: Any = Coord if flavour == "sync" else AsyncCoord
    made = awaitable(make.connect(f"redis://{replicated[0].address}", prefix=prefix, call_timeout=30))
    yield made
    await made.close()


def exists(process: servers.Process, prefix: str, name: str) -> bool:
    with redis.Redis(port=process.port) as client:
        return bool(client.exists(f"{prefix}:lock:{{{name}}}"))


def calls(process: servers.Process) -> dict[str, int]:
    with redis.Redis(port=process.port) as client:
        rows = client.info("commandstats").items()
    return {name.removeprefix("cmdstat_"): row["calls"] for name, row in rows}


async def test_a_grant_is_on_the_replica_when_it_is_returned(hub: Any, replicated: Any, prefix: str) -> None:
    for turn in range(20):
        async with hub.lock(f"x{turn}", replicas=1):
            assert exists(replicated[1], prefix, f"x{turn}")


async def test_too_few_replicas_give_it_back_and_say_how_many(hub: Any, replicated: Any, prefix: str) -> None:
    with pytest.raises(NotDurable, match="1 of 2 replicas had it in time") as caught:
        await hub.lock("x", replicas=2, ttl=0.2).acquire(timeout=5)
    assert (caught.value.name, caught.value.replicas, caught.value.fsynced) == ("x", 1, False)
    assert isinstance(caught.value, LockError)
    assert not exists(replicated[0], prefix, "x")

    with stopped(replicated[1]):
        with pytest.raises(NotDurable, match="0 of 1 replicas"):
            await hub.lock("x", replicas=1, ttl=0.2).try_acquire()
        assert not exists(replicated[0], prefix, "x")
        await (await hub.lock("x").acquire()).release()
    async with hub.lock("x", replicas=1):
        pass


async def test_another_holder_is_left_alone_by_a_shortfall(hub: Any, replicated: Any, prefix: str) -> None:
    """The lease ends while the replica is waited for, and another takes the lock."""
    with Coord.connect(f"redis://{replicated[0].address}", prefix=prefix) as other:
        taken = []

        def take_it() -> None:
            with redis.Redis(port=replicated[0].port) as client:
                servers.until(lambda: client.info("clients")["blocked_clients"] > 0, "it waits for replicas")
            other.lock("x").force_release(reason="to see")
            taken.append(other.lock("x").acquire(timeout=0))

        thread = threading.Thread(target=take_it)
        thread.start()
        with pytest.raises(NotDurable):
            await hub.lock("x", replicas=2, ttl=1).try_acquire()
        thread.join()
        assert other.lock("x").status().fence == taken[0].fence
        taken[0].release()


async def test_a_refusal_waits_for_no_replica(hub: Any, replicated: Any) -> None:
    held = await hub.lock("x", replicas=1).acquire()
    before = calls(replicated[0])["wait"]
    assert await hub.lock("x", replicas=1).try_acquire() is None
    assert calls(replicated[0])["wait"] == before
    await held.release()


async def test_several_locks_wait_together(hub: Any, replicated: Any, prefix: str) -> None:
    async with hub.locks("a", "b", "c", replicas=1):
        assert all(exists(replicated[1], prefix, name) for name in "abc")
    before = calls(replicated[0])["wait"]
    with pytest.raises(NotDurable):
        await hub.locks("a", "b", "c", replicas=2, ttl=0.2).try_acquire()
    assert calls(replicated[0])["wait"] == before + 1
    assert not any(exists(replicated[0], prefix, name) for name in "abc")


async def test_a_grant_is_on_disk_when_it_is_returned(hub: Any, replicated: Any, prefix: str) -> None:
    before = calls(replicated[0]).get("waitaof", 0)
    async with hub.lock("x", fsync=True), hub.lock("y", ttl=60, fsync=True, replicas=1):
        assert exists(replicated[1], prefix, "y")
    assert calls(replicated[0])["waitaof"] - before in (2, 3), "one each, and a look whether it is there"

    with stopped(replicated[1]):
        async with hub.lock("x", fsync=True):
            pass
        with pytest.raises(NotDurable, match="0 of 1 replicas had it on disk") as caught:
            await hub.lock("x", fsync=True, replicas=1, ttl=0.2).acquire()
    assert caught.value.fsynced
    assert not exists(replicated[0], prefix, "x")


async def test_a_server_that_keeps_nothing_on_disk_is_found_out_before_it_grants(
    real_server: str, prefix: str, flavour: str
) -> None:
    make: Any = Coord if flavour == "sync" else AsyncCoord
    hub = awaitable(make.connect(real_server, prefix=prefix))
    with pytest.raises(NotDurable, match=r"refuses WAITAOF: .*appendonly"):
        await hub.lock("x", fsync=True).acquire()
    assert (await hub.lock("x").status()).fence is None, "nothing was ever granted"
    await hub.close()


async def test_a_disk_that_does_not_have_it_in_time_gives_it_back(prefix: str, flavour: str) -> None:
    """With ``appendfsync no`` the operating system writes when it likes, and the server does not know."""
    make: Any = Coord if flavour == "sync" else AsyncCoord
    with servers.running(binary(), "--appendonly", "yes", "--appendfsync", "no") as process:
        hub = awaitable(make.connect(f"redis://{process.address}", prefix=prefix))
        with pytest.raises(NotDurable, match="did not have it on disk in time") as caught:
            await hub.lock("x", fsync=True, ttl=0.1).acquire()
        assert not caught.value.fsynced
        assert not exists(process, prefix, "x")
        await hub.close()


async def test_a_crash_after_the_grant_does_not_forget_it(prefix: str, tmp_path: Any) -> None:
    disk = ("--appendonly", "yes", "--appendfsync", "everysec", "--dir", str(tmp_path))
    with servers.running(binary(), *disk) as process:
        with Coord.connect(f"redis://{process.address}", prefix=prefix) as hub:
            lease = hub.lock("x", fsync=True, ttl=60).acquire()
        os.kill(process.pid, signal.SIGKILL)
        process.popen.wait()
    with (
        servers.running(binary(), *disk) as process,
        Coord.connect(f"redis://{process.address}", prefix=prefix) as hub,
    ):
        assert hub.lock("x").status().fence == lease.fence


async def test_each_server_says_clearly_what_it_cannot_do(coord: Any, client: Any, prefix: str) -> None:
    """Whether it has the commands or not: a lock that is held, or a clear refusal that holds nothing."""
    for options, command in (({"replicas": 1}, "WAIT"), ({"fsync": True}, "WAITAOF")):
        said = ""
        try:
            await (await coord.lock("x", ttl=0.2, **options).try_acquire()).release()
        except NotDurable as error:
            said = str(error)
        assert not said or f"refuses {command}" in said or "replicas had it" in said
        assert not client.exists(f"{prefix}:lock:{{x}}")


async def test_a_server_that_forbids_it_is_found_out_before_it_grants(
    replicated: Any, prefix: str, flavour: str
) -> None:
    with redis.Redis(port=replicated[0].port) as client:
        client.execute_command("ACL", "SETUSER", "app", "on", ">pw", "~*", "&*", "+@all", "-wait")
    make: Any = Coord if flavour == "sync" else AsyncCoord
    hub = awaitable(make.connect(f"redis://app:pw@{replicated[0].address}", prefix=prefix))
    for _ in range(2):
        with pytest.raises(NotDurable, match="refuses WAIT") as caught:
            await hub.lock("x", replicas=1).acquire()
        assert "pw" not in str(caught.value)
    assert (await hub.lock("x").status()).fence is None
    await hub.close()


async def test_the_look_whether_it_can_tell_is_taken_once(hub: Any, replicated: Any) -> None:
    async with hub.lock("warm", replicas=1):
        pass
    before = calls(replicated[0])
    for turn in range(5):
        await (await hub.lock(f"x{turn}", replicas=1).acquire()).release()
    after = calls(replicated[0])

    assert after["wait"] - before["wait"] == 5
    assert after["evalsha"] - before["evalsha"] == 10
    assert after.get("ping", 0) == before.get("ping", 0)


async def test_bad_arguments_are_refused_at_once(coord: Any) -> None:
    for replicas in (-1, 1001):
        with pytest.raises(ValueError, match="replicas must be from 0 to 1000"):
            coord.lock("x", replicas=replicas)
    for wrong in (True, 1.0, "1", None):
        with pytest.raises(TypeError, match="replicas must be an int"):
            coord.locks("x", replicas=wrong)
    with pytest.raises(TypeError, match="fsync must be a bool"):
        coord.lock("x", fsync=1)
