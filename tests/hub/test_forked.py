"""What a forked child may do with what its parent has used, and what of it is not the child's."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any

import pytest
import redis

from coord import AsyncCoord, Coord, LockTimeout, NotOwned, Quorum
from tests.support.blocks import KINDS, hub_of, kind_of

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here"),
]

FORKS = int(os.environ.get("COORD_FORKS", "300"))
PATIENCE = 30.0
"""Seconds after which a child has hung."""


def in_child(work: Callable[[], object]) -> str:
    """Do something in a forked child, and give what it raised, if anything."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException:  # noqa: BLE001  # it is told to the parent, and the child ends here in any case
            os.write(writer, traceback.format_exc()[-4000:].encode())
        finally:
            os._exit(0)
    os.close(writer)
    stopping = threading.Timer(PATIENCE, os.kill, (pid, 9))
    stopping.start()
    try:
        with os.fdopen(reader) as said:
            text = said.read()
        ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    finally:
        stopping.cancel()
    return text if ended == 0 else f"{text} it hung, and was stopped"


class Left(BaseException):
    """Leaves the blocks of a child, up to where it was forked."""


def leave(block: Any, left: list[str]) -> None:
    """Fork inside of a block, have the child leave it by an exception, and note what it ended with."""
    reader, writer = os.pipe()
    pid = -1
    try:
        with block:
            pid = os.fork()
            if pid == 0:
                raise Left  # noqa: TRY301  # it is what leaves the block
            os.close(writer)
            with os.fdopen(reader) as said:
                left.append(said.read())
            os.waitpid(pid, 0)
    except BaseException as error:
        if pid != 0:
            raise
        os.write(writer, "".join([type(error).__name__, *getattr(error, "__notes__", [])]).encode())
        os._exit(0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_child_leaves_its_parents_block_in_silence(real_server: str, prefix: str, kind: str) -> None:
    with hub_of(kind, real_server, prefix) as hub, hub_of(kind, real_server, prefix) as other:
        here, left = kind_of(hub, kind, ttl=30), list[str]()

        class StillTaken:
            """Looks from elsewhere once the child has gone, inside of the parent's block."""

            def __init__(self) -> None:
                self.block = here.block()

            def __enter__(self) -> None:
                self.possession = self.block.__enter__()

            def __exit__(self, *details: object) -> None:
                if details[0] is None:
                    assert self.possession.valid
                    assert kind_of(other, kind, ttl=30).taken() is None
                self.block.__exit__(*details)

        leave(StillTaken(), left)
        assert left == ["Left"]
        taken = here.taken()
        assert taken is not None
        taken.release()


@pytest.mark.parametrize("kind", KINDS)
def test_a_child_owns_nothing_of_its_parents(real_server: str, prefix: str, kind: str) -> None:
    with hub_of(kind, real_server, prefix) as hub:
        here = kind_of(hub, kind, ttl=30)
        with here.block() as possession:

            def look() -> None:
                assert not possession.valid
                assert possession.remaining() == 0
                for forbidden in (possession.check, possession.release, possession.renew):
                    with pytest.raises(NotOwned, match="process that this one was forked from"):
                        forbidden()
                assert here.taken() is None
                if kind in ("lock", "hold", "quorum"):  # which is no deadlock: the parent will release it
                    with pytest.raises(LockTimeout):
                        hub.lock("held", reentrant=True).acquire(timeout=0.01)

            assert in_child(look) == ""
            possession.check()


def test_an_async_child_owns_nothing_and_leaves_in_silence(real_server: str, prefix: str) -> None:
    async def main(left: list[str]) -> None:
        async with AsyncCoord.connect(real_server, prefix=prefix) as hub:
            reader, writer = os.pipe()
            pid = -1
            try:
                async with hub.lock("x", ttl=30) as lease:
                    pid = os.fork()
                    if pid == 0:
                        with pytest.raises(NotOwned):
                            lease.check()
                        raise Left  # noqa: TRY301  # it is what leaves the block
                    os.close(writer)
                    with os.fdopen(reader) as said:
                        left.append(said.read())
                    os.waitpid(pid, 0)  # noqa: ASYNC222  # it has ended
                    lease.check()
                    await lease.renew()
            except BaseException as error:
                if pid != 0:
                    raise
                os.write(writer, "".join([type(error).__name__, *getattr(error, "__notes__", [])]).encode())
                os._exit(0)

    left: list[str] = []
    asyncio.run(main(left))
    assert left == ["Left"]


def test_a_child_of_a_coord_in_use_works(server: str, prefix: str, no_leaks: None) -> None:
    """On every kind of server: the child connects anew, renews, waits and limits."""
    with Coord.connect(server, prefix=prefix) as hub, hub.lock("parent", ttl=5).hold() as lease:
        hub.token_bucket("b", rate=1000).try_acquire("u")

        def work() -> None:
            with hub.lock("child", ttl=0.3) as own:
                assert not own.lost.wait(timeout=0.7)
            with pytest.raises(LockTimeout):
                hub.lock("parent").acquire(timeout=0.05)
            assert hub.token_bucket("b", rate=1000).try_acquire("u")
            hub.close()

        assert in_child(work) == ""
        lease.check()


@pytest.mark.parametrize("held", ["pool", "fork", "client"])
def test_a_child_works_though_a_thread_was_inside_of_the_clients_locks(
    real_server: str, prefix: str, held: str
) -> None:
    client: Any = redis.Redis.from_url(real_server, single_connection_client=False)
    locks = {
        "pool": lambda: client.connection_pool._lock,
        "fork": lambda: client.connection_pool._fork_lock,
        "client": lambda: client.single_connection_lock,
    }
    with Coord(client, prefix=prefix) as hub:
        hub.lock("warm").acquire().release()
        inside, over = threading.Event(), threading.Event()

        def hold() -> None:
            with locks[held]():
                inside.set()
                over.wait()

        thread = threading.Thread(target=hold)
        thread.start()
        inside.wait()

        def work() -> None:
            with hub.lock("child", ttl=1):
                client.ping()

        try:
            assert in_child(work) == ""
        finally:
            over.set()
            thread.join()
    client.close()


def test_nothing_is_inherited_locked_by_forks_at_random_moments(real_server: str, prefix: str) -> None:
    """Of a parent all of whose threads are at work; ``COORD_FORKS`` in the environment for another number."""
    program = [sys.executable, "-W", "ignore", "-m", "tests.support.forking", real_server, prefix, str(FORKS)]
    ended = subprocess.run(program, check=False, capture_output=True, text=True, timeout=60 + FORKS)

    assert ended.stderr == ""
    assert json.loads(ended.stdout) == {"ok": FORKS}


def test_workers_of_a_server_that_preloads_share_nothing_but_the_keys(real_server: str, prefix: str) -> None:
    """The parent makes the Coord, uses it, and forks; each worker goes on with what it has got."""
    with Coord.connect(real_server, prefix=prefix) as hub, redis.Redis.from_url(real_server) as client:
        lock, limiter = hub.lock("count", ttl=5), hub.fixed_window("few", limit=10, per=3600)
        with lock.hold():
            limiter.try_acquire("u")
        workers = []
        for _ in range(4):
            pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    admitted = 0
                    for _ in range(10):
                        with lock.hold(timeout=PATIENCE):
                            count = int(client.get(f"{prefix}:count") or 0)
                            client.set(f"{prefix}:count", count + 1, px=60_000)
                        admitted += bool(limiter.try_acquire("u"))
                    client.incrby(f"{prefix}:admitted", admitted)
                    code = 0
                finally:
                    os._exit(code)
            workers.append(pid)
        assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in workers] == [0] * 4
        assert int(client.get(f"{prefix}:count")) == 40
        assert int(client.get(f"{prefix}:admitted")) == 9
        client.delete(f"{prefix}:admitted")


def test_what_a_parent_has_taken_in_advance_is_not_served_by_its_child(real_server: str, prefix: str) -> None:
    with Coord.connect(real_server, prefix=prefix) as hub:
        window = hub.fixed_window("w", limit=10, per=3600, prefetch=9)
        assert window.try_acquire("u")

        def work() -> None:
            assert not any(window.try_acquire("u") for _ in range(9))

        assert in_child(work) == ""


def test_a_child_gives_back_nothing_that_its_parent_was_charged(real_server: str, prefix: str) -> None:
    with Coord.connect(real_server, prefix=prefix) as hub:
        window = hub.fixed_window("w", limit=10, per=3600)
        limit = hub.concurrency_limit("c", limit=5, fair=True)
        for block in (
            window.charge("u", cost=5, refund_on=(Left,)),
            hub.admission(window, at_once=limit).hold("u", cost=3, refund_on=(Left,)),
        ):
            left: list[str] = []
            leave(block, left)
            assert left == ["Left"]
        assert window.status("u").remaining == 2


def test_a_quorum_forgets_in_a_child_what_is_under_way(real_server: str, prefix: str) -> None:
    with Quorum.connect(real_server, prefix=prefix, quarantine=False) as quorum, quorum.lock("x", ttl=5):

        def work() -> None:
            with quorum.lock("y", ttl=5):
                pass
            quorum.close()

        assert in_child(work) == ""


# An embedded server


def test_an_embedded_server_is_its_parents_to_stop() -> None:
    with Coord.connect("embedded://") as hub:
        hub.lock("x").acquire().release()

        def work() -> None:
            hub.lock("x").acquire().release()
            hub.close()

        assert in_child(work) == ""
        hub.lock("x").acquire().release()


def test_a_parent_can_stop_its_embedded_server_while_a_child_lives() -> None:
    reader, writer = os.pipe()
    hub = Coord.connect("embedded://")
    pid = os.fork()
    if pid == 0:
        os.close(writer)
        os.read(reader, 1)  # until the parent has closed its end
        os._exit(0)
    began = time.monotonic()
    hub.close()
    os.close(writer)
    os.close(reader)
    os.waitpid(pid, 0)
    assert time.monotonic() - began < PATIENCE
