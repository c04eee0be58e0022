"""Who makes a connection, so that a deadline covers that too."""

from __future__ import annotations

import threading

import pytest
import redis
import redis.asyncio

from coord._engine.connecting import MOST, Connecting

pytestmark = pytest.mark.anyio
PATIENCE = 10.0
"""Seconds after which a silent server hangs up, so that a test without what it tests fails, and ends."""


class SlowPool:
    """Gives connections when it is told to."""

    def __init__(self) -> None:
        self.may_connect = threading.Event()
        self.asked = 0
        self.given_back: list[object] = []
        self.all_back = threading.Event()

    def get_connection(self) -> object:
        self.asked += 1
        assert self.may_connect.wait(PATIENCE)
        return object()

    def release(self, connection: object) -> None:
        self.given_back.append(connection)
        if len(self.given_back) == self.asked:
            self.all_back.set()


def test_what_comes_too_late_goes_to_the_pool_and_no_more_than_so_many_threads_wait() -> None:
    pool, connecting = SlowPool(), Connecting(redis.TimeoutError)
    for _ in range(MOST + 3):
        with pytest.raises(redis.TimeoutError, match="no connection"):
            connecting.connect(pool, (), 0.001)
    assert pool.asked == MOST

    pool.may_connect.set()
    assert pool.all_back.wait(PATIENCE)
    assert len(pool.given_back) == MOST
    assert connecting.connect(pool, (), PATIENCE).pool is pool
    assert len(pool.given_back) == MOST, "what comes in time is kept"


def test_who_waits_for_a_thread_gets_one_when_it_is_free() -> None:
    pool, connecting = SlowPool(), Connecting(redis.TimeoutError)
    for _ in range(MOST):
        with pytest.raises(redis.TimeoutError):
            connecting.connect(pool, (), 0.001)
    threading.Timer(0.01, pool.may_connect.set).start()

    assert connecting.connect(pool, (), PATIENCE).connection is not None


def test_a_connection_at_hand_needs_no_thread(real_server: str) -> None:
    with redis.Redis.from_url(real_server) as client:
        client.ping()
        connecting = Connecting(redis.TimeoutError)
        line = connecting.connect(client.connection_pool, (), 1)
        assert connecting._threads == []
        second = connecting.connect(client.connection_pool, (), PATIENCE)
        assert len(connecting._threads) == 1, "one that has to be made does"
        line.give_back()
        second.give_back()
