"""What becomes of a thread's connection between its calls."""

from __future__ import annotations

import gc
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import redis

from coord import Coord
from coord._engine import parking
from coord._engine.port import step
from coord._engine.replies import as_int
from coord._engine.script import Command
from tests.support.keys import keys_of

if TYPE_CHECKING:
    from collections.abc import Iterator

CONNECTION = Command("CLIENT", parse=as_int, repeatable=True)


@pytest.fixture
def shared(real_server: str, prefix: str) -> Iterator[redis.Redis]:
    """A client of the user's own, whose pool has room for eight."""
    with redis.Redis.from_url(real_server, max_connections=8, client_name=prefix) as client:
        yield client
        client.delete(*keys_of(client, prefix) or ["nothing"])


def bucket(hub: Coord) -> Any:
    return hub.token_bucket("b", rate=1000, per=3600)


def in_use(client: redis.Redis) -> int:
    return len(client.connection_pool._in_use_connections)


def asked(client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note down whenever the pool is asked for a connection."""
    times: list[str] = []
    get = client.connection_pool.get_connection

    def get_and_tell() -> Any:
        times.append("asked")
        return get()

    monkeypatch.setattr(client.connection_pool, "get_connection", get_and_tell)
    return times


def test_calls_in_a_row_ask_the_pool_once(
    shared: redis.Redis, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = asked(shared, monkeypatch)
    hub = Coord(shared, prefix=prefix)
    for _ in range(20):
        bucket(hub).try_acquire("u")
    assert len(times) == 1
    assert in_use(shared) == 1

    hub.close()
    assert in_use(shared) == 0


def test_a_connection_goes_back_in_time_to_its_pool(
    shared: redis.Redis, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There its credentials are renewed, and a new master is found."""
    monkeypatch.setattr(parking, "LONGEST", 0.0)
    hub = Coord(shared, prefix=prefix)
    bucket(hub).try_acquire("u")  # now the server knows the script
    times = asked(shared, monkeypatch)
    for _ in range(5):
        bucket(hub).try_acquire("u")
    assert len(times) == 5
    hub.close()


def test_a_connection_that_the_server_closed_is_not_used_again(
    shared: redis.Redis, real_server: str, prefix: str
) -> None:
    """A charge, which must not be sent twice, would fail on it, and nobody could say with what outcome."""
    hub = Coord(shared, prefix=prefix)
    bucket(hub).try_acquire("u")
    for _ in range(5):
        with redis.Redis.from_url(real_server) as behind:
            for one in behind.client_list():
                if one["name"] == prefix:
                    behind.client_kill(one["addr"])
        bucket(hub).try_acquire("u")
    hub.close()


def test_most_of_a_small_pool_is_left_to_others(shared: redis.Redis, real_server: str, prefix: str) -> None:
    hub = Coord(shared, prefix=prefix)
    gate = threading.Barrier(6)
    with ThreadPoolExecutor(6) as threads:
        for _ in range(5):
            [*threads.map(lambda _: (gate.wait(), bucket(hub).try_acquire("u")), range(6))]
    assert 1 <= in_use(shared) <= 2
    hub.close()

    with redis.Redis.from_url(real_server, max_connections=1) as lone:
        hub = Coord(lone, prefix=prefix)
        for _ in range(3):
            bucket(hub).try_acquire("u")
            assert lone.ping()
        hub.close()


def test_a_forgotten_coord_gives_its_connections_back(shared: redis.Redis, prefix: str) -> None:
    hub = Coord(shared, prefix=prefix)
    bucket(hub).try_acquire("u")
    assert in_use(shared) == 1
    del hub
    gc.collect()

    assert in_use(shared) == 0


@pytest.mark.parametrize("pool", ["owned", "shared"])
def test_a_forked_child_talks_over_a_connection_of_its_own(
    pool: str, shared: redis.Redis, real_server: str, prefix: str
) -> None:
    hub = Coord.connect(real_server, prefix=prefix) if pool == "owned" else Coord(shared, prefix=prefix)
    connection = step(hub._port.run(CONNECTION([], "ID")))
    pid = os.fork()
    if pid == 0:
        verdict = 1
        try:
            own = step(hub._port.run(CONNECTION([], "ID")))
            hub.close()
            verdict = 2 if own == connection else 0
        finally:
            os._exit(verdict)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

    assert step(hub._port.run(CONNECTION([], "ID"))) == connection
    hub.close()


def test_a_client_that_shows_no_socket_is_used_as_ever(prefix: str) -> None:
    with Coord.connect("memory://", prefix=prefix) as hub:
        for _ in range(3):
            bucket(hub).try_acquire("u")
        assert not any(hub._port._wire._parking._lines.values())


def test_threads_take_turns_with_what_is_parked(shared: redis.Redis, prefix: str) -> None:
    hub = Coord(shared, prefix=prefix)
    with ThreadPoolExecutor(6) as threads:
        [*threads.map(lambda _: bucket(hub).try_acquire("u"), range(300))]
    assert bucket(hub).status("u").remaining == 700
    hub.close()
    assert in_use(shared) == 0


def test_one_that_is_parked_while_all_are_given_back_goes_back_too(real_server: str) -> None:
    """As when a cluster's slots are looked up anew while another thread's call ends."""
    given: list[object] = []

    class Pool(redis.ConnectionPool):
        def release(self, connection: Any) -> None:
            given.append(connection)
            super().release(connection)

        def __getattribute__(self, name: str) -> Any:
            if name == "max_connections" and given == [None]:
                given.clear()
                place.clear()  # between two steps of the other thread
            return super().__getattribute__(name)

    pool = Pool.from_url(real_server, max_connections=8)
    place = parking.Parking()
    line = parking.Line(pool, pool.get_connection())
    given.append(None)
    place.leave(line)

    assert given == [line.connection]
    pool.disconnect()
