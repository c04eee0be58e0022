"""A concurrency limit as its users see it, on every server and in both flavours."""

from __future__ import annotations

import asyncio
import pickle
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import pytest

from coord import AsyncCoord, Coord, PermitLost, PermitTimeout, WrongKeyType
from tests.support.flavours import assert_refused_unasked, bare
from tests.support.keys import keys_of
from tests.support.rooms import Tokens, token_of

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.anyio


async def used(limit: Any, key: str = "u") -> int:
    number: int = (await limit.status(key)).used
    return number


# Admission


async def test_so_many_are_admitted_and_no_more(coord: Any, other_coord: Any) -> None:
    mine, theirs = (hub.concurrency_limit("d", limit=2) for hub in (coord, other_coord))
    first, second = await mine.try_acquire("u"), await theirs.try_acquire("u")

    assert first
    assert second
    assert await mine.try_acquire("u") is None
    assert await theirs.try_acquire("u") is None
    assert (first.name, first.key, first.weight) == ("d", "u", 1)
    assert 0 < first.remaining() < 10
    await second.release()
    assert await mine.try_acquire("u")


async def test_each_key_and_each_name_has_room_of_its_own(coord: Any) -> None:
    limit = coord.concurrency_limit("d", limit=1)

    assert await limit.try_acquire("u")
    assert await limit.try_acquire("v")
    assert await coord.concurrency_limit("e", limit=1).try_acquire("u")
    assert await limit.try_acquire("u") is None


async def test_a_permit_takes_as_much_room_as_it_weighs(coord: Any, client: Any, prefix: str) -> None:
    limit = coord.concurrency_limit("d", limit=1000)
    heavy = await limit.try_acquire("u", weight=998)

    assert await limit.try_acquire("u", weight=3) is None
    assert await limit.try_acquire("u", weight=2)
    status = await limit.status("u")
    assert (status.limit, status.used, status.available, status.permits) == (1000, 1000, 0, 2)
    assert sorted(one.weight for one in status.holders) == [2, 998]
    assert client.zcard(f"{prefix}:concurrency:{{u}}:d") == 2 + 2, "an entry a permit, however heavy"
    await heavy.release()
    assert (await limit.status("u")).available == 998


async def test_the_callers_own_limit_rules_its_admission(coord: Any, other_coord: Any) -> None:
    narrow, wide = coord.concurrency_limit("d", limit=2), other_coord.concurrency_limit("d", limit=4)
    permits = [await wide.try_acquire("u") for _ in range(3)]

    assert all(permits)
    assert await narrow.try_acquire("u") is None
    status = await narrow.status("u")
    assert (status.limit, status.used, status.available) == (2, 3, 0)
    for permit in permits[:2]:
        await permit.renew()  # nobody has lost anything
        await permit.release()
    permits.append(await narrow.try_acquire("u"))
    assert permits[-1]
    assert await narrow.try_acquire("u") is None
    assert await wide.try_acquire("u", weight=2)
    for permit in permits[2:]:
        await permit.release()


async def test_status_tells_who_holds_and_writes_nothing(coord: Any, client: Any, prefix: str) -> None:
    limit = coord.concurrency_limit("d", limit=3, ttl=5)
    empty = await limit.status("u")
    assert (empty.used, empty.permits, empty.waiters, empty.holders) == (0, 0, 0, ())
    assert keys_of(client, prefix) == []

    permit = await limit.acquire("u", weight=2)
    before = client.dump(f"{prefix}:concurrency:{{u}}:d")
    (holder,) = (await limit.status("u")).holders
    assert holder.weight == 2
    assert ":" in holder.holder
    assert 4 < holder.remaining <= 5
    assert client.dump(f"{prefix}:concurrency:{{u}}:d") == before
    await permit.release()


async def test_a_refusal_changes_nothing(coord: Any, client: Any, prefix: str) -> None:
    limit = coord.concurrency_limit("d", limit=1)
    await limit.try_acquire("u")
    key = f"{prefix}:concurrency:{{u}}:d"
    before, left = client.dump(key), client.pttl(key)

    assert await limit.try_acquire("u") is None
    assert client.dump(key) == before
    assert client.pttl(key) <= left
    assert keys_of(client, prefix) == [key]


# Leases


async def test_a_permit_ends_with_its_lease(coord: Any) -> None:
    limit = coord.concurrency_limit("d", limit=1, ttl=0.2)
    permit = await limit.acquire("u")
    again = await coord.concurrency_limit("d", limit=1).acquire("u", timeout=5)

    assert not permit.valid
    assert permit.remaining() == 0
    with pytest.raises(PermitLost):
        permit.check()
    with pytest.raises(PermitLost):
        await permit.renew()
    with pytest.raises(PermitLost) as caught:
        await permit.release()
    assert (caught.value.name, caught.value.key) == ("d", "u")
    assert await used(limit) == 1, "that of the next is left alone"
    await again.release()


async def test_renewing_starts_the_lease_anew(coord: Any) -> None:
    limit = coord.concurrency_limit("d", limit=1, ttl=1)
    permit = await limit.acquire("u")
    await permit.renew(ttl=timedelta(seconds=30))

    assert 28 < permit.remaining() < 30
    assert 29 < (await limit.status("u")).holders[0].remaining <= 30
    assert await used(limit) == 1
    await permit.release()
    await permit.release()
    assert await used(limit) == 0
    with pytest.raises(PermitLost):
        permit.check()


async def test_a_permit_is_renewed_while_its_block_runs_and_not_after(coord: Any) -> None:
    limit = coord.concurrency_limit("d", limit=1, ttl=0.3)
    async with limit.hold("u") as permit:
        until = permit.remaining()
        waited = 0.0
        while waited < 3 * until:
            await asyncio.sleep(0.05)
            waited += 0.05
            permit.check()
        assert await used(limit) == 1
        assert await limit.try_acquire("u") is None
    assert await used(limit) == 0
    with pytest.raises(PermitLost):
        async with coord.concurrency_limit("d", limit=1, ttl=0.2, renew=False).hold("u") as permit:
            assert await permit.lost.wait(timeout=5)


async def test_a_block_is_held_no_longer_than_it_may_be(coord: Any) -> None:
    limit = coord.concurrency_limit("d", limit=1, ttl=0.2, max_hold=0.3)
    with pytest.raises(PermitLost):
        async with limit.hold("u") as permit:
            assert await permit.lost.wait(timeout=5)
            await asyncio.sleep(0)
    assert await limit.acquire("u", timeout=5)  # it is told a moment before the server forgets it


async def test_no_key_is_ever_without_a_ttl(coord: Any, client: Any, prefix: str) -> None:
    def ttls() -> list[int]:
        return [client.pttl(key) for key in keys_of(client, prefix)]

    for fair in (False, True):
        key = f"{prefix}:concurrency:{{u}}:d"
        limit = coord.concurrency_limit("d", limit=2, ttl=5, fair=fair)
        first, second = await limit.acquire("u"), await limit.acquire("u")
        assert all(0 < ttl <= 60_000 for ttl in ttls())
        assert 0 < client.pttl(key) <= 5_010
        await second.renew(ttl=20)
        assert client.pttl(key) > 19_000
        with pytest.raises(PermitTimeout):
            await limit.acquire("u", timeout=0.02)
        assert all(ttl > 0 for ttl in ttls())
        await second.release()
        assert 0 < client.pttl(key) <= 5_010, "as long as the longest lease that is left"
        client.persist(key)
        await first.renew()
        assert client.pttl(key) > 0, "what was left without one is repaired"
        await first.release()
        assert all(0 < ttl <= 60_000 for ttl in ttls())
        assert client.exists(key) == 0


# The same answer to whoever asks again


async def test_a_repeated_script_of_one_token_gets_the_same_answer(coord: Any) -> None:
    """What a client that lost a reply does: send the same thing again."""
    limit = coord.concurrency_limit("d", limit=3, wait="poll")
    tokens = Tokens.of_limit(limit, "u", 1)
    acquire, release = tokens.acquire, tokens.release

    assert await acquire("t1 2 me")
    assert await acquire("t1 2 me")
    assert await used(limit) == 2, "granted once"
    assert [await tokens.renew("t1 2 me") for _ in range(2)] == [True, True]
    assert [await release("t1 2 me"), await release("t1 2 me")] == [True, True]
    assert await used(limit) == 0, "given back once"
    assert not await acquire("t1 2 me"), "a token that was released cannot come back"
    assert not await tokens.renew("t1 2 me")
    async with limit.hold("u"):
        assert await release("t1 2 me"), "nor does another holder change what became of it"

    assert not await release("t2 1 me")
    assert not await release("t2 1 me", end_anyway=True)
    assert not await release("t2 1 me")
    assert not await acquire("t2 1 me"), "it was given up before it came"
    assert await used(limit) == 0


# Waiting


async def test_waiting_ends_when_there_is_room(coord: Any, other_coord: Any) -> None:
    limit = coord.concurrency_limit("d", limit=2, ttl=30)
    await limit.acquire("u")
    with pytest.raises(PermitTimeout) as caught:
        await limit.acquire("u", weight=2, timeout=0.05)
    error = caught.value
    assert (error.name, error.key, error.weight, error.limit, error.timeout) == ("d", "u", 2, 2, 0.05)
    assert isinstance(error, TimeoutError)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert str(pickle.loads(pickle.dumps(PermitLost("d", "u")))) == str(PermitLost("d", "u"))
    with pytest.raises(PermitTimeout):
        async with other_coord.concurrency_limit("d", limit=1).hold("u", timeout=0):
            pytest.fail("the block must not run")

    held = await limit.acquire("u", timeout=0)
    timer = threading.Timer(0.05, lambda: step_of(held))
    timer.start()
    await asyncio.sleep(0)
    permit = await limit.acquire("u", timeout=20) if bare(held) is not held else await waited(limit, held)
    await permit.release()
    timer.join()


def step_of(permit: Any) -> None:
    if bare(permit) is not permit:
        bare(permit).release()


async def waited(limit: Any, held: Any) -> Any:
    waiting = asyncio.create_task(limit.acquire("u", timeout=20))
    while (await limit.status("u")).waiters == 0:
        await asyncio.sleep(0.005)
    await held.release()
    return await waiting


@pytest.mark.parametrize("fair", [False, True])
async def test_sixty_four_contenders_never_exceed_the_limit(
    server: str, prefix: str, client: Any, no_leaks: None, fair: bool
) -> None:
    """Threads and tasks, of weights from 1 to 3; a counter on the server sees how many are at work."""
    most, counted, done = 5, f"{prefix}:inside:{{u}}", list[int]()
    count = client.register_script(
        "local at = redis.call('INCRBY', KEYS[1], ARGV[1]) redis.call('PEXPIRE', KEYS[1], 60000) return at"
    )
    client.set(counted, 0, px=60_000)
    mutex = threading.Lock()

    def enter(weight: int) -> None:
        with mutex:
            assert count(keys=[counted], args=[weight]) <= most

    def leave(weight: int) -> None:
        with mutex:
            assert count(keys=[counted], args=[-weight]) >= 0
            done.append(weight)

    def sync_contender(hub: Coord, weight: int) -> None:
        for _ in range(2):
            with hub.concurrency_limit("d", limit=most, fair=fair).hold("u", weight=weight):
                enter(weight)
                leave(weight)

    async def async_contender(hub: AsyncCoord, weight: int) -> None:
        for _ in range(2):
            async with hub.concurrency_limit("d", limit=most, fair=fair).hold("u", weight=weight):
                enter(weight)
                await anyio.lowlevel.checkpoint()
                leave(weight)

    with Coord.connect(server, prefix=prefix) as hub:
        async with AsyncCoord.connect(server, prefix=prefix) as async_hub, anyio.create_task_group() as group:
            for number in range(32):
                group.start_soon(anyio.to_thread.run_sync, sync_contender, hub, 1 + number % 3)
                group.start_soon(async_contender, async_hub, 1 + number % 3)
    client.delete(counted)

    assert len(done) == 128
    assert client.zcard(f"{prefix}:concurrency:{{u}}:d:waiting") == 0
    assert client.zcard(f"{prefix}:concurrency:{{u}}:d:queue") == 0


# Other verbs


async def test_reset_takes_all_permits_and_lets_waiters_in(coord: Any) -> None:
    limit = coord.concurrency_limit("d", limit=1, ttl=30)
    permit = await limit.acquire("u")
    other = await limit.acquire("v")
    await limit.reset("u")

    assert await used(limit) == 0
    assert await limit.try_acquire("u")
    with pytest.raises(PermitLost):
        await permit.release()
    assert await used(limit) == 1, "that of the next is left alone"
    await other.release()
    await limit.reset("nobody")


async def test_a_decorated_function_holds_a_permit(server: str, prefix: str, no_leaks: None) -> None:
    with Coord.connect(server, prefix=prefix) as hub:
        limit = hub.concurrency_limit("d", limit=3)

        @limit.around(key=lambda who, **_: f"user:{who}", weight=2)
        def work(who: str, *, more: int = 0) -> int:
            return limit.status(f"user:{who}").used + more

        assert work("ann", more=40) == 42
        assert limit.status("user:ann").used == 0

        @limit.around("x", timeout=0)
        def fails() -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fails()
        with limit.hold("x", weight=3), pytest.raises(PermitTimeout):
            fails()
        with pytest.raises(TypeError, match="use AsyncCoord"):

            @limit.around("x")
            async def other() -> None: ...

    async with AsyncCoord.connect(server, prefix=prefix) as async_hub:
        async_limit = async_hub.concurrency_limit("d", limit=3)

        @async_limit.around("x", weight=3)
        async def async_work() -> int:
            return (await async_limit.status("x")).used

        assert await async_work() == 3
        assert (await async_limit.status("x")).used == 0
        with pytest.raises(TypeError, match="use Coord"):
            async_limit.around("x")(fails)


async def test_a_hold_is_good_for_one_block(coord: Any) -> None:
    block = coord.concurrency_limit("d", limit=3).hold("u")
    with pytest.raises(RuntimeError, match="never entered"):
        await block.__aexit__(None, None, None)
    async with block:
        pass
    with pytest.raises(RuntimeError, match="used before"):
        async with block:
            pass


# What is refused


@pytest.mark.parametrize(
    ("what", "error"),
    [
        (lambda hub: hub.concurrency_limit("", limit=1), ValueError),
        (lambda hub: hub.concurrency_limit(7, limit=1), TypeError),
        (lambda hub: hub.concurrency_limit("d", limit=0), ValueError),
        (lambda hub: hub.concurrency_limit("d", limit=-1), ValueError),
        (lambda hub: hub.concurrency_limit("d", limit=1_000_001), ValueError),
        (lambda hub: hub.concurrency_limit("d", limit=True), TypeError),
        (lambda hub: hub.concurrency_limit("d", limit=float("nan")), TypeError),
        (lambda hub: hub.concurrency_limit("d", limit=2.0), TypeError),
        (lambda hub: hub.concurrency_limit("d", limit=1, ttl=0), ValueError),
        (lambda hub: hub.concurrency_limit("d", limit=1, ttl=0.009), ValueError),
        (lambda hub: hub.concurrency_limit("d", limit=1, ttl=float("nan")), ValueError),
        (lambda hub: hub.concurrency_limit("d", limit=1, ttl=True), TypeError),
        (lambda hub: hub.concurrency_limit("d", limit=1, max_hold=0), ValueError),
        (lambda hub: hub.concurrency_limit("d", limit=1, wait="hope"), ValueError),
        (lambda hub: hub.concurrency_limit("d", limit=1, permits=3), TypeError),
        (lambda hub: hub.concurrency_limit("d", limit=5).hold("u", weight=6), ValueError),
        (lambda hub: hub.concurrency_limit("d", limit=5).hold("u", weight=0), ValueError),
        (lambda hub: hub.concurrency_limit("d", limit=5).hold("u", weight=-1), ValueError),
        (lambda hub: hub.concurrency_limit("d", limit=5).hold("u", weight=True), TypeError),
        (lambda hub: hub.concurrency_limit("d", limit=5).hold("u", weight=1.0), TypeError),
        (lambda hub: hub.concurrency_limit("d", limit=5).hold("u", weight=float("nan")), TypeError),
        (lambda hub: hub.concurrency_limit("d", limit=5).hold(""), ValueError),
        (lambda hub: hub.concurrency_limit("d", limit=5).hold(None), TypeError),
        (lambda hub: hub.concurrency_limit("d", limit=5).hold("u", timeout=-1), ValueError),
        (lambda hub: hub.concurrency_limit("d", limit=5).try_acquire("u", weight=6), ValueError),
        (lambda hub: hub.concurrency_limit("d", limit=5).acquire("u", timeout=float("nan")), ValueError),
        (lambda hub: hub.concurrency_limit("d", limit=5).status(""), ValueError),
        (lambda hub: hub.concurrency_limit("d", limit=5).reset(b"u"), TypeError),
    ],
)
@pytest.mark.parametrize("kind", [Coord, AsyncCoord])
async def test_what_cannot_be_is_refused_before_anything_is_sent(
    kind: Any, what: Callable[[Any], Any], error: type[Exception]
) -> None:
    await assert_refused_unasked(kind, what, error)


async def test_a_key_of_another_type_is_named(coord: Any, client: Any, prefix: str) -> None:
    limit = coord.concurrency_limit("d", limit=1)
    key = f"{prefix}:concurrency:{{u}}:d"
    client.set(key, "mine", px=5000)

    for attempt in (limit.try_acquire, limit.acquire, limit.status):
        with pytest.raises(WrongKeyType) as caught:
            await attempt("u")
        assert key in caught.value.keys
    assert client.get(key) in {b"mine", "mine"}


async def test_the_token_is_in_no_repr_and_in_no_keys_name(coord: Any, client: Any, prefix: str) -> None:
    limit = coord.concurrency_limit("d", limit=1)
    permit = await limit.acquire("u")
    token = token_of(permit)
    shown = [repr(permit), repr(limit), repr(limit.hold("u")), str(await limit.status("u"))]
    await permit.release()

    assert token not in " ".join([*shown, *keys_of(client, prefix)])
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(bare(permit))


async def test_one_task_may_hold_several_and_wait_for_more(coord: Any, other_coord: Any) -> None:
    limit = coord.concurrency_limit("d", limit=2, ttl=30)
    other = await other_coord.concurrency_limit("d", limit=2, ttl=0.2).acquire("u")
    async with limit.hold("u"), limit.hold("u"), limit.hold("v"):
        assert not other.valid
        assert await used(limit) == 2
