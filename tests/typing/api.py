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
    AdmissionPermit,
    AsyncAdmissionPermit,
    AsyncCharge,
    AsyncConcurrencyPermit,
    AsyncCoord,
    AsyncLease,
    AsyncLock,
    AsyncLocks,
    AsyncSelection,
    Charge,
    Cohort,
    ConcurrencyHolder,
    ConcurrencyPermit,
    Coord,
    Decision,
    Denied,
    Entry,
    Estimate,
    FunnelReport,
    Lease,
    Lock,
    Locks,
    Movement,
    RetentionTable,
    Selection,
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
Coord(redis.Redis(), coalesce=False)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
Coord.connect("memory://", coalesce=False)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
AsyncCoord(redis.asyncio.Redis(), coalesce=False)
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
        assert_type(hub.fenced("v").status().fence, int | None)
        hub.fenced("v").set("1")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    locks = hub.locks("x", "y", ttl=timedelta(seconds=1))
    assert_type(locks, Locks)
    assert_type(locks.try_acquire(), Lease | None)
    with locks as several:
        assert_type(several.names, tuple[str, ...])

    @lock.around(timeout=2)
    def alone(user: int) -> bytes:
        return b""

    assert_type(alone(3), bytes)
    alone("3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    lock.around(2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    hub.lock("x", wait="pol")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    hub.locks("x", wait="pol")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    hub.lock("x", renew_in="thread")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    hub.locks("x", renew_in="thread")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    bucket = hub.token_bucket("b", rate=0.5, per=timedelta(minutes=1), burst=3)
    assert_type(bucket.try_acquire("k", cost=2), Decision)
    assert_type(bucket.status("k").retry_after, float)
    window = hub.sliding_window("w", limit=1, per=1, precision="exact", on_error="local", share=0.5)
    assert_type(window.try_acquire("k"), Decision)
    together = hub.limits(bucket, window, hub.fixed_window("f", "9/s"))
    charge = together.acquire("k", cost={"b": 1, "w": 2, "f": 3})
    assert_type(charge, Charge)
    assert_type(charge.settle({"b": 1, "w": 2, "f": 3}), None)
    assert_type(together.status({"b": "k", "w": "k", "f": "all"}).parts, tuple[Decision, ...])
    assert_type(together.penalize("k", until=timedelta(seconds=3)), None)
    assert_type(together.refund("k", {"b": 1, "w": 0, "f": 0}), None)
    with bucket.charge("k", cost=2, timeout=1, refund_on=(OSError,)) as charged:
        assert_type(charged, Charge)
        assert_type(charged.decision.headers("x"), dict[str, str])

    @bucket.around(str, cost=2)
    def limited(user: int) -> bytes:
        return b""

    assert_type(limited(3), bytes)
    hub.token_bucket("b", "1/s", on_error="ignore")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    hub.sliding_window("w", "1/s", precision="exakt")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    bucket.try_acquire("k").headers("xx")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    bucket.try_acquire("k", 2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    hub.fixed_window("f", limit=1, period=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    hub.limits(bucket, prefetch=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    downloads = hub.concurrency_limit("d", limit=5, ttl=timedelta(seconds=1), fair=True)
    assert_type(downloads.try_acquire("k", weight=2), ConcurrencyPermit | None)
    with downloads.hold("k", weight=2, timeout=1, on_lost=print) as room:
        assert_type(room, ConcurrencyPermit)
        assert_type(room.remaining(), float)
        assert_type(room.lost.is_set(), bool)
    assert_type(downloads.status("k").holders, tuple[ConcurrencyHolder, ...])
    assert_type(downloads.around(str, weight=2)(limited)(3), bytes)
    admission = hub.admission(bucket, at_once=downloads)
    assert_type(admission.try_acquire("k", cost={"b": 2}, weight=2), AdmissionPermit | Denied)
    if permit := admission.try_acquire("k"):
        assert_type(permit, AdmissionPermit)
        assert_type(permit.settle(2), None)
    else:
        assert_type(permit, Denied)
        assert_type(permit.retry_after, float)
    if not permit:
        permit.settle(2)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    refused = admission.try_acquire("k")
    refused.release()  # type: ignore[union-attr]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    assert_type(admission.status("k", cost={"b": 1}, weight=2), Decision)
    assert_type(admission.penalize("k", until=3), None)
    assert_type(admission.reset("k"), None)
    assert_type(admission.acquire("k", timeout=1).decision, Decision)
    with admission.hold("k", cost=1, refund_on=(OSError,)) as admitted:
        assert_type(admitted, AdmissionPermit)
        assert_type(admitted.settle({"b": 3}), None)
    assert_type(admission.around(str, cost={"b": 1}, weight=1)(limited)(3), bytes)
    hub.admission(bucket)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    hub.admission(downloads, at_once=downloads)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    admission.try_acquire("k", 2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    downloads.acquire("k", 2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    hub.concurrency_limit("d", limit=1, wait="pol")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    hub.concurrency_limit("d")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    hub.concurrency_limit("d", limit=1, renew_in="thread")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    unique = hub.unique_counter("u", period=["day", "week"], week_start="sunday")
    assert_type(unique.count(last=7), Estimate)
    assert_type(unique.select(at=[0.0]) | unique.select(last=2), Selection)
    assert_type(unique.select().overlap(unique.select(last=2), noisy=True), Estimate)
    assert_type(unique.select().export(), bytes)
    assert_type(hub.sliding_unique_counter("s", window=60, exact=True).count(within=5), Estimate)
    activity = hub.activity("a", ids="text")
    assert_type((activity.cohort() & activity.cohort()).count(), int)
    assert_type(activity.at_least(1, activity.cohort(last=7) - activity.cohort()), Cohort)
    assert_type(list(activity.cohort()), list[str | int | bytes])
    assert_type(activity.retention(of=activity.event("e")), RetentionTable)
    assert_type(activity.funnel({"a": activity.cohort()}), FunnelReport)
    activity.cohort() & {1}  # type: ignore[operator]  # pyright: ignore[reportOperatorIssue, reportUnusedExpression]
    board = hub.leaderboard("l", keep="best", order="asc", ties="ordinal")
    assert_type(board.submit("m", 1), Submission)
    assert_type(board.top(3), list[Entry])
    assert_type(board.submit_many({"m": 1, "n": 2.5}, meta={"m": "x"}), dict[str, Submission])
    assert_type(board.rank("m", ties="fractional"), int | float | None)
    assert_type(board.ranks_of("m", "n"), list[Entry | None])
    assert_type(board.scroll(10).cursor, str | None)
    assert_type(board.len(), int)
    huge = hub.sharded_leaderboard("l", shards=4)
    assert_type(huge.submit("m", 1), Submission)
    assert_type(huge.store({"m": 1}), dict[str, float])
    assert_type(huge.around("m", 3), list[Entry])
    assert_type(huge.histogram(1, 2), list[int])

    hub.locks("x", 10)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    hub.lock("x", 10)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    hub.leaderboard("l", keep="max")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    hub.unique_counter("u", period="dya")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    hub.unique_counter("u", period=["day", "weak"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    hub.unique_counter("u", week_start="sun")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    hub.unique_counter("u", period="season")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    hub.unique_counter("u").select(period="dya")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    hub.activity("a", period="dya")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    hub.activity("a", week_start="mon")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    hub.activity("a", ids="str")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    hub.activity("a").cohort(period="dya")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    hub.leaderboard("l", period="dya")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    hub.leaderboard("l", period=["day", "saeson"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    hub.leaderboard("l", order="down")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    hub.leaderboard("l", ties="olympic")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    hub.leaderboard("l", tiebreak="last")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    hub.leaderboard("l", week_start="mon")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    hub.leaderboard("l").of("dya")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    hub.sharded_leaderboard("l", keep="max")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    hub.sharded_leaderboard("l", order="down")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    hub.sharded_leaderboard("l", ties="olympic")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    hub.leaderboard("l", period={"dya": "best"})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
    hub.leaderboard("l", period={"day": "max"})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
    hub.leaderboard("l", period={"day": "best", "all": "sum"}, week_start="sunday")
    unique.count(period="dya")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    activity.count(period="dya")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    activity.is_active("x", period="dya")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    activity.retention(period="dya")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    board.submit("m", 1, keep="max")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    board.top(3, order="down")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    board.rank("m", ties="olympic")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    board.merge(board, combine="avg")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    board.merge(board, how="left")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    board.ranks_of(["m", "n"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    hub.sliding_unique_counter("s").count(last=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
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

    @lock.around(timeout=2)
    async def alone(user: int) -> bytes:
        return b""

    assert_type(await alone(3), bytes)
    hub.lock("x", renew_in="thread", wait="poll")
    hub.lock("x", wait="pol")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    hub.lock("x", renew_in="process")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    hub.locks("x", renew_in="process")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    bucket = hub.token_bucket("b", "1/s burst 5", prefetch=3)
    assert_type(await bucket.try_acquire("k"), Decision)
    assert_type(await hub.limits(bucket).acquire("k", timeout=3), AsyncCharge)
    async with bucket.charge("k") as charged:
        assert_type(charged, AsyncCharge)
    assert_type(await bucket.status("k", cost=1), Decision)

    @bucket.around("k")
    async def limited(user: int) -> bytes:
        return b""

    assert_type(await limited(3), bytes)
    downloads = hub.concurrency_limit("d", limit=5)
    assert_type(await downloads.acquire("k", timeout=1), AsyncConcurrencyPermit)
    async with downloads.hold("k") as room:
        assert_type(await room.release(), None)
    assert_type(await downloads.around("k")(limited)(3), bytes)
    admission = hub.admission(bucket, at_once=downloads)
    assert_type(await admission.try_acquire("k"), AsyncAdmissionPermit | Denied)
    if permit := await admission.try_acquire("k"):
        assert_type(permit, AsyncAdmissionPermit)
        assert_type(await permit.settle(2), None)
    else:
        assert_type(permit, Denied)
    async with admission.hold("k", cost={"b": 2}, weight=1, timeout=2) as admitted:
        assert_type(admitted, AsyncAdmissionPermit)
        assert_type(await admitted.refund(), None)
    unique = hub.unique_counter("u", raw=True)
    assert_type(await unique.count(), Estimate)
    assert_type(unique.select(at=[0.0]) | unique.select(last=2), AsyncSelection)
    assert_type(await unique.select().difference(unique.select(last=2)), Estimate)
    assert_type(await unique.restore(b""), None)
    assert_type(await hub.sliding_unique_counter("s").count(), Estimate)
    activity = hub.activity("a")
    assert_type(await (activity.cohort() & activity.cohort()).count(), int)
    assert_type([one async for one in activity.cohort()], list[str | int | bytes])
    assert_type((await activity.retention()).rows[0].cells, tuple[int | None, ...])
    assert_type(await activity.ordered_funnel("f", "a", "b").report(), FunnelReport)
    assert_type(await hub.leaderboard("l").around("m", 5), list[Entry])
    assert_type(await hub.leaderboard("l").movement("m", "n", snapshot="monday"), list[Movement])
    hub.unique_counter("u", period="dya")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    hub.unique_counter("u", period=["day", "weak"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    hub.unique_counter("u", week_start="sun")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    hub.unique_counter("u", period="season")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    hub.unique_counter("u").select(period="dya")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    hub.activity("a", period="dya")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    hub.activity("a", week_start="mon")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    hub.activity("a", ids="str")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    hub.activity("a").cohort(period="dya")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    hub.leaderboard("l", period="dya")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    hub.leaderboard("l", period=["day", "saeson"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    hub.leaderboard("l", order="down")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    hub.leaderboard("l", ties="olympic")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    hub.leaderboard("l", tiebreak="last")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    hub.leaderboard("l", week_start="mon")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    hub.leaderboard("l").of("dya")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    hub.sharded_leaderboard("l", keep="max")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    hub.sharded_leaderboard("l", order="down")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    hub.sharded_leaderboard("l", ties="olympic")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await unique.count(period="dya")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await activity.count(period="dya")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await hub.leaderboard("l").submit("m", 1, keep="max")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await hub.leaderboard("l").top(3, order="down")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    async with AsyncCoord.connect("memory://") as connected:
        assert_type(connected, AsyncCoord)
