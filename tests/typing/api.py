"""Never run: mypy and pyright must both accept every line, and refuse the lines marked as errors."""

from __future__ import annotations

from datetime import timedelta
from typing import assert_type

import fakeredis
import redis
import redis.asyncio
import valkey
import valkey.asyncio

from coord import (
    AsyncCoord,
    AsyncLease,
    AsyncLock,
    AsyncLocks,
    Coord,
    Decision,
    Entry,
    Estimate,
    Lease,
    Lock,
    Locks,
    Submission,
)

Coord(redis.Redis())
Coord(redis.RedisCluster(host="h"))
Coord(valkey.Valkey())
Coord(fakeredis.FakeRedis())
AsyncCoord(redis.asyncio.Redis())
AsyncCoord(redis.asyncio.RedisCluster(host="h"))
AsyncCoord(valkey.asyncio.Valkey())

Coord(redis.asyncio.Redis())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
AsyncCoord(redis.Redis())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Coord("redis://localhost")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def sync(hub: Coord) -> None:
    lock = hub.lock("x", ttl=timedelta(seconds=1))
    assert_type(lock, Lock)
    assert_type(lock.try_acquire(), Lease | None)
    assert_type(lock.acquire(timeout=None), Lease)
    with lock as lease, lock.hold(timeout=1.5) as other:
        assert_type(lease, Lease)
        assert_type(other.fence, int)
        assert_type(lease.renew(ttl=3), None)
        assert_type(lease.guard("v").get(), bytes | None)
        assert_type(lease.guard(hub.fenced("v")).set("1", ttl=3), None)
        assert_type(hub.fenced("v").peek().fence, int | None)
        hub.fenced("v").set("1")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    locks = hub.locks("x", "y", ttl=timedelta(seconds=1))
    assert_type(locks, Locks)
    assert_type(locks.try_acquire(), Lease | None)
    with locks as several:
        assert_type(several.names, tuple[str, ...])
    bucket = hub.token_bucket("b", rate=0.5, period=timedelta(minutes=1), burst=3)
    assert_type(bucket.try_acquire("k", cost=2), Decision)
    assert_type(bucket.peek("k").retry_after, float)
    assert_type(hub.sliding_window("w", limit=1, period=1).try_acquire("k"), Decision)
    assert_type(hub.unique_counter("u", period=["day", "week"]).count(last=7), Estimate)
    activity = hub.activity("a", ids="text")
    assert_type((activity.cohort() & activity.cohort()).count(), int)
    board = hub.leaderboard("l", keep="best", order="asc", ties="ordinal")
    assert_type(board.submit("m", 1), Submission)
    assert_type(board.top(3), list[Entry])
    assert_type(board.rank("m"), int | None)
    assert_type(board.len(), int)

    hub.locks("x", 10)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    hub.lock("x", 10)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    hub.leaderboard("l", keep="worst")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    bucket.try_acquire(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def asynchronous(hub: AsyncCoord) -> None:
    lock = hub.lock("x")
    assert_type(lock, AsyncLock)
    assert_type(await lock.try_acquire(), AsyncLease | None)
    async with lock as lease, lock.hold(timeout=1) as other:
        assert_type(lease, AsyncLease)
        assert_type(other.valid, bool)
        assert_type(await lease.guard(hub.fenced("v")).get(), bytes | None)
    assert_type(hub.locks("x", "y"), AsyncLocks)
    assert_type(await hub.locks("x", "y").acquire(), AsyncLease)
    assert_type(await hub.token_bucket("b", rate=1).try_acquire("k"), Decision)
    assert_type(await hub.unique_counter("u").count(), Estimate)
    activity = hub.activity("a")
    assert_type(await (activity.cohort() & activity.cohort()).count(), int)
    assert_type(await hub.leaderboard("l").around("m", 5), list[Entry])
    async with AsyncCoord.connect("memory://") as connected:
        assert_type(connected, AsyncCoord)
