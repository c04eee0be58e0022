"""Several locks at once: all or none, no deadlock, one fence for all."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Any

import pytest
import redis

from coord import AsyncCoord, Coord, LockLost, LockTimeout, WrongKeyType
from tests.locks.several import ABC, held, take_apart
from tests.support.flavours import awaitable
from tests.support.hubs import recorded
from tests.support.keys import keys_of
from tests.support.traffic import commands

if TYPE_CHECKING:
    from tests.support import servers

pytestmark = pytest.mark.anyio


async def test_all_are_taken_or_none(
    coord: Any, other_coord: Any, client: Any, prefix: str, way: str
) -> None:
    locks = take_apart(coord, way).locks(*ABC)
    lease = await locks.try_acquire()
    assert held(client, prefix) == [*ABC]
    assert lease.names == ABC
    for name in ABC:
        assert await other_coord.lock(name).try_acquire() is None
    await lease.release()
    assert held(client, prefix) == []

    other = await other_coord.lock("b").acquire()
    assert await locks.try_acquire() is None
    assert held(client, prefix) == ["b"]
    await other.release()
    await (await locks.try_acquire()).release()


async def test_a_refusal_changes_nothing_on_one_server(real_server: str, prefix: str, flavour: str) -> None:
    make: Any = Coord if flavour == "sync" else AsyncCoord
    hub = awaitable(make.connect(real_server, prefix=prefix))
    with redis.Redis.from_url(real_server) as client:
        await hub.lock("c").acquire()
        before = {key: (client.dump(key), client.pttl(key) > 0) for key in sorted(keys_of(client, prefix))}
        assert await hub.locks(*ABC).try_acquire() is None
        after = {key: (client.dump(key), client.pttl(key) > 0) for key in sorted(keys_of(client, prefix))}
    await hub.close()

    assert after == before


async def test_neither_order_nor_repetition_matters(coord: Any) -> None:
    lease = await coord.locks("c", "a", "b", "a").acquire()

    assert lease.names == ABC
    assert coord.locks("b", "a").name == "a, b"
    with pytest.raises(LockTimeout):
        await coord.locks("b", "c", "a").acquire(timeout=0)


async def test_bad_names_are_refused_before_anything_is_sent(coord: Any, client: Any, prefix: str) -> None:
    with pytest.raises(ValueError, match="at least one"):
        coord.locks()
    with pytest.raises(ValueError, match="empty"):
        coord.locks("a", "")
    with pytest.raises(TypeError, match="must be a str"):
        coord.locks("a", 7)
    with pytest.raises(TypeError, match="must be a str"):
        coord.locks(["a", "b"])
    with pytest.raises(ValueError, match="ttl"):
        coord.locks("a", ttl=0)
    assert keys_of(client, prefix) == []


async def test_a_name_with_a_comma_is_not_two(coord: Any) -> None:
    async with coord.locks("a", "b"), coord.lock("a, b", reentrant=True) as one:
        assert one.names == ("a, b",)


async def test_a_foreign_key_is_named_and_nothing_is_taken(coord: Any, client: Any, prefix: str) -> None:
    client.rpush(f"{prefix}:lock:{{b}}", "mine")
    client.pexpire(f"{prefix}:lock:{{b}}", 60_000)
    with pytest.raises(WrongKeyType):
        await coord.locks(*ABC).try_acquire()

    assert held(client, prefix) == ["b"]


async def test_one_round_trip_takes_them_and_one_gives_them_back(own_server: servers.Process) -> None:
    with redis.Redis(port=own_server.port) as client, Coord.connect(f"redis://{own_server.address}") as hub:
        hub.locks(*ABC).acquire().release()
        before = commands(client)["evalsha"]
        for _ in range(10):
            with hub.locks(*ABC):
                pass

        assert commands(client)["evalsha"] - before == 20


async def test_the_fence_is_above_every_earlier_one_of_each_name(
    coord: Any, other_coord: Any, client: Any, prefix: str, way: str
) -> None:
    take_apart(coord, way)
    generator = random.Random(7)
    highest = dict.fromkeys(ABC, 0)
    for turn in range(40):
        if turn % 8 == 0:  # one counter runs ahead, as if its server's clock did
            ahead = max(highest.values()) + 10_000_000
            client.set(f"{prefix}:lock:{{{generator.choice(ABC)}}}:fence", ahead, px=60_000)
        hub = generator.choice((coord, other_coord))
        names = generator.sample(ABC, generator.randint(1, 3))
        lease = await (hub.locks(*names) if len(names) > 1 else hub.lock(names[0])).acquire()
        for name in names:
            assert lease.fence > highest[name], (turn, names)
            highest[name] = lease.fence
        await lease.release()


async def test_asking_again_with_the_same_token_gets_the_same_grant(real_server: str, prefix: str) -> None:
    """What a repeated request finds, whichever of the locks it still holds."""
    with Coord.connect(real_server, prefix=prefix) as hub, redis.Redis.from_url(real_server) as client:
        with recorded(hub) as calls:
            hub.locks(*ABC, ttl=10).acquire().release()
        acquire, release = calls
        client.delete(*keys_of(client, prefix))  # as if they had never arrived

        def ask() -> Any:
            return acquire.parse(client.execute_command(*acquire.words(by_text=True)))

        first = ask()
        assert first.fence is not None
        assert ask() == first
        client.delete(f"{prefix}:lock:{{b}}")
        between = hub.lock("b").acquire()
        assert ask().fence is None
        between.release()
        again = ask()
        assert again.fence > between.fence > first.fence
        assert all(client.pttl(f"{prefix}:lock:{{{name}}}") > 9000 for name in ABC)

        answers = [client.execute_command(*release.words(by_text=True)) for _ in range(3)]
        assert answers == [1, 1, 1], "a repeated release answers like the first"
        assert ask().fence is None, "a token that has ended takes nothing"
        assert held(client, prefix) == []


async def test_all_are_renewed_and_none_after_the_block(
    coord: Any, other_coord: Any, client: Any, prefix: str, way: str
) -> None:
    take_apart(coord, way)
    async with coord.locks(*ABC, ttl=1.2) as lease:
        for _ in range(5):
            await asyncio.sleep(0.3) if "Async" in repr(lease) else time.sleep(0.3)
            assert lease.valid
            for name in ABC:
                assert await other_coord.lock(name).try_acquire() is None
    manual = await coord.locks(*ABC, ttl=0.3).acquire()
    await manual.renew(ttl=0.2)
    await asyncio.sleep(0.3)

    assert not manual.valid
    assert held(client, prefix) == []


async def test_losing_one_is_losing_all(coord: Any, client: Any, prefix: str, way: str) -> None:
    take_apart(coord, way)
    told: list[str] = []
    with pytest.raises(LockLost):
        async with coord.locks(*ABC, ttl=0.3).hold(on_lost=lambda: told.append("x")) as lease:
            client.delete(f"{prefix}:lock:{{b}}")
            if "Async" in repr(lease):
                await asyncio.sleep(10)
            assert await lease.lost.wait(timeout=10)
    assert told == ["x"]
    assert held(client, prefix) == [], "what was left is given back"


async def test_releasing_what_is_lost_in_part_tells_so_and_frees_the_rest(
    coord: Any, client: Any, prefix: str, way: str
) -> None:
    lease = await take_apart(coord, way).locks(*ABC).acquire()
    client.delete(f"{prefix}:lock:{{b}}")
    with pytest.raises(LockLost):
        await lease.release()
    assert held(client, prefix) == []

    lease = await coord.locks(*ABC).acquire()
    client.delete(f"{prefix}:lock:{{c}}")
    with pytest.raises(LockLost):
        await lease.renew()
    assert lease.lost.is_set()


async def test_all_are_handed_over_by_export_and_adopt(coord: Any, other_coord: Any, way: str) -> None:
    lease = await take_apart(coord, way).locks(*ABC).acquire()
    adopted = await take_apart(other_coord, way).locks(*ABC).adopt(lease.export())

    assert adopted.fence == lease.fence
    assert await coord.lock("b").try_acquire() is None
    await adopted.release()
    await (await coord.lock("b").try_acquire()).release()


async def test_status_and_force_release_are_of_all(coord: Any, other_coord: Any) -> None:
    locks = coord.locks(*ABC)
    assert not (await locks.status()).held
    short, long = await other_coord.lock("a", ttl=5).acquire(), await other_coord.lock("c", ttl=50).acquire()
    status = await locks.status()
    assert status.held
    assert status.fence == long.fence

    assert await locks.force_release(reason="to see")
    assert not await locks.force_release(reason="again")
    assert (await coord.lock("a").status()).broken == "to see"
    for lease in (short, long):
        with pytest.raises(LockLost):
            await lease.release()


async def test_a_decorated_function_holds_all(real_server: str, prefix: str) -> None:
    with Coord.connect(real_server, prefix=prefix) as hub:
        locks = hub.locks("a", "b")

        @locks.around()
        def work() -> bool:
            return hub.lock("a").try_acquire() is None and hub.lock("b").try_acquire() is None

        assert work()
    async with AsyncCoord.connect(real_server, prefix=prefix) as async_hub:
        async_locks = async_hub.locks("a", "b")

        @async_locks.around()
        async def async_work() -> bool:
            return await async_hub.lock("b").try_acquire() is None

        assert await async_work()


async def test_leftovers_expire(coord: Any, client: Any, prefix: str, way: str) -> None:
    take_apart(coord, way)
    await coord.locks(*ABC).acquire()
    with pytest.raises(LockTimeout):
        await coord.locks("b", "d").acquire(timeout=0.02)

    assert all(client.pttl(key) > 0 for key in keys_of(client, prefix))
