"""Calls that travel together to real servers: storms, breaks and stops, and what is not shared."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import redis
import redis.asyncio
from redis import exceptions as errors

from coord import AsyncCoord
from coord._engine import trunk
from coord._engine.script import Command
from tests._engine.coalesced import echo, trunk_of
from tests.support import servers
from tests.support.keys import keys_of

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.anyio
ONCE = Command("ECHO", parse=lambda reply: reply, repeatable=False)
WHICH: Command[Any] = Command("CLIENT", parse=lambda reply: reply, repeatable=True)
GET = Command("GET", parse=lambda reply: reply, repeatable=True)
ALONE: dict[str, dict[str, Any]] = {
    "a small pool": {"max_connections": 3},
    "another encoding": {"encoding": "latin-1"},
}


@pytest.fixture(autouse=True)
def _together(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--coalesce") == "off":
        pytest.skip("calls travel alone")


async def _storm(hub: AsyncCoord) -> None:
    """Cancel calls at any moment, and see that the others get their own answers."""
    chance = random.Random(5)

    async def caller(number: int) -> None:
        for turn in range(8):
            word = f"{number}:{turn}"
            assert await echo(hub, word) == word.encode()
            for _ in range(chance.randrange(3)):
                await asyncio.sleep(0)

    tasks = [asyncio.create_task(caller(number)) for number in range(60)]
    for victim in chance.sample(tasks, 30):
        victim.cancel()
        for _ in range(chance.randrange(4)):
            await asyncio.sleep(0)
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(end) for end in ends} <= {type(None), asyncio.CancelledError}
    assert ends.count(None) >= 30


@pytest.fixture(autouse=True)
def _no_complaints(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Asyncio reports by its logger what was never looked at."""
    yield
    assert [one.getMessage() for one in caplog.records if one.name == "asyncio"] == []


async def test_a_thousand_callers_need_a_few_connections(real_server: str, prefix: str) -> None:
    client = redis.asyncio.Redis.from_url(real_server, max_connections=4, client_name=prefix)
    hub = AsyncCoord(client, prefix=prefix)
    bucket = hub.token_bucket("b", rate=1000, per=3600)
    most = 0
    over = asyncio.Event()

    async def watch() -> None:
        nonlocal most
        async with redis.asyncio.Redis.from_url(real_server) as behind:
            while not over.is_set():
                most = max(most, sum(one["name"] == prefix for one in await behind.client_list()))

    watching = asyncio.create_task(watch())
    decisions = await asyncio.gather(*(bucket.try_acquire("u") for _ in range(1200)))
    over.set()
    await watching

    assert sorted(one.remaining for one in decisions if one) == list(range(1000))
    assert most <= 4
    await hub.close()
    await client.delete(*[key async for key in client.scan_iter(f"{prefix}:*")])
    await client.aclose()


async def test_cancelled_callers_never_disturb_their_neighbours(server: str, prefix: str) -> None:
    async with AsyncCoord.connect(server, prefix=prefix) as hub:
        await _storm(hub)


def test_any_event_loop_will_do(real_server: str, prefix: str) -> None:
    uvloop = pytest.importorskip("uvloop")

    async def use() -> None:
        async with AsyncCoord.connect(real_server, prefix=prefix) as hub:
            await _storm(hub)

    for factory in (uvloop.new_event_loop, asyncio.new_event_loop):
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(use())


async def test_one_calls_error_is_no_others(coord: Any, client: Any, prefix: str, flavour: str) -> None:
    if flavour == "sync":
        pytest.skip("threads share no connection")
    key = f"{prefix}:{{k}}"
    client.hset(key, "field", "value")
    client.expire(key, 60)
    ends = await asyncio.gather(
        *(coord._port.run(GET([key])) if n % 3 else echo(coord, n) for n in range(30)), return_exceptions=True
    )

    for n, end in enumerate(ends):
        assert ("WrongKeyType" if n % 3 else f"b'{n}'") in (type(end).__name__, repr(end))


async def test_a_forgotten_script_is_sent_whole_by_each_that_needs_it(
    coord: Any, client: Any, flavour: str
) -> None:
    if flavour == "sync":
        pytest.skip("threads share no connection")
    bucket = coord.token_bucket("b", rate=100, per=3600)
    await bucket.try_acquire("u")
    client.script_flush()
    decisions = await asyncio.gather(*(bucket.try_acquire("u") for _ in range(50)))

    assert sorted(one.remaining for one in decisions) == list(range(49, 99))


async def test_a_stopped_server_costs_each_call_its_deadline_and_no_answer_goes_astray() -> None:
    binary = servers.BINARIES["valkey9"]()
    assert binary is not None
    with servers.running(binary) as process:
        async with AsyncCoord.connect(f"redis://{process.address}", call_timeout=10) as hub:
            await echo(hub, "up")
            os.kill(process.pid, signal.SIGSTOP)
            try:
                patient = [asyncio.create_task(echo(hub, f"patient {n}")) for n in range(5)]
                hasty = [echo(hub, f"hasty {n}", timeout=0.05 + n / 100) for n in range(5)]
                ends = await asyncio.gather(*hasty, return_exceptions=True)
                assert {type(end) for end in ends} == {errors.TimeoutError}
            finally:
                os.kill(process.pid, signal.SIGCONT)
            assert await asyncio.gather(*patient) == [b"patient %d" % n for n in range(5)]


async def test_a_connection_that_the_server_closed_is_not_used_again(real_server: str, prefix: str) -> None:
    client = redis.asyncio.Redis.from_url(real_server, client_name=prefix)
    hub = AsyncCoord(client, prefix=prefix)
    await echo(hub, "up")
    with redis.Redis.from_url(real_server) as behind:
        for _ in range(3):
            for one in behind.client_list():
                if one["name"] == prefix:
                    behind.client_kill(one["addr"])
            await asyncio.sleep(0.02)
            assert await echo(hub, "again", command=ONCE) == b"again"
    await hub.close()
    await client.aclose()


async def test_a_connection_that_ended_in_its_pool_is_made_anew(real_server: str, prefix: str) -> None:
    """Its transport will not say so again: every call would wait for its deadline."""
    client = redis.asyncio.Redis.from_url(real_server)
    pool: Any = client.connection_pool
    connection = await pool.get_connection()
    connection._reader.feed_eof()
    await pool.release(connection)
    hub = AsyncCoord(client, prefix=prefix)
    assert await echo(hub, "x", command=ONCE) == b"x"
    assert trunk_of(hub).line[1] is connection
    assert not connection._reader.at_eof()
    await hub.close()
    await client.aclose()


async def test_a_connection_goes_back_in_time_to_its_pool(
    real_server: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trunk, "LONGEST", 0.0)
    client = redis.asyncio.Redis.from_url(real_server, max_connections=4)
    pool: Any = client.connection_pool
    hub = AsyncCoord(client, prefix=prefix)
    asked = 0
    get = pool.get_connection

    async def get_and_count() -> Any:
        nonlocal asked
        asked += 1
        return await get()

    monkeypatch.setattr(pool, "get_connection", get_and_count)
    for turn in range(5):
        assert await asyncio.gather(*(echo(hub, n) for n in range(turn))) == [b"%d" % n for n in range(turn)]
        assert await client.ping(), "the library can use it again"
    await hub.close()
    await client.aclose()

    assert asked >= 5
    assert len(pool._in_use_connections) == 0


async def test_a_connection_is_not_given_up_while_the_pool_has_no_other(
    real_server: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a lease would be lost to those who crowd the pool."""
    monkeypatch.setattr(trunk, "LONGEST", 0.05)
    pool: Any = redis.asyncio.BlockingConnectionPool.from_url(real_server, max_connections=4, timeout=60)
    client = redis.asyncio.Redis.from_pool(pool)
    hub = AsyncCoord(client, prefix=prefix)

    async def go_on() -> None:
        while True:
            await echo(hub, 1)

    async with hub.lock("x", ttl=0.3) as lease:
        calls = [asyncio.create_task(go_on()) for _ in range(3)]
        held = [asyncio.create_task(pool.get_connection()) for _ in range(8)]
        await asyncio.sleep(0.7)
        assert lease.valid
        assert not any(call.done() for call in calls)
        for call in calls:
            call.cancel()
        taken = [one.result() for one in held if one.done()]
        assert len(taken) == 3
        for one in held:
            one.cancel()
        for connection in taken:
            await pool.release(connection)
        await asyncio.gather(*held, return_exceptions=True)
    assert await echo(hub, 1) == b"1", "and once there is one, all goes on"
    await hub.close()
    await client.aclose()


@pytest.mark.parametrize("options", ALONE.values(), ids=ALONE)
async def test_what_cannot_be_shared_is_not(real_server: str, prefix: str, options: Any) -> None:
    client = redis.asyncio.Redis.from_url(real_server, **options)
    hub = AsyncCoord(client, prefix=prefix)
    assert await asyncio.gather(*(echo(hub, n) for n in range(3))) == [b"0", b"1", b"2"]

    assert not hub._port._shared.is_possible
    assert await client.ping()
    await hub.close()
    await client.aclose()


async def test_a_connection_with_something_left_to_read_is_not_shared(real_server: str) -> None:
    async with redis.asyncio.Redis.from_url(real_server) as client:
        pool: Any = client.connection_pool
        connection = await pool.get_connection()
        assert trunk.Trunk.can_be(connection)
        connection._reader.feed_data(b"+OK")
        assert not trunk.Trunk.can_be(connection)
        await connection.disconnect()
        await pool.release(connection)


async def test_what_must_follow_a_call_follows_it_on_a_connection_of_its_own(
    real_server: str, prefix: str
) -> None:
    """WAIT speaks of its connection's writes, and would hold up everybody else's replies."""
    async with AsyncCoord.connect(real_server, prefix=prefix) as hub:
        shared = await hub._port.run(WHICH([], "ID"))
        followed = replace(WHICH([], "ID"), then=lambda _reply, _seconds: ("CLIENT", "ID"))
        first, second = await hub._port.run(followed)

        assert first == second != shared
        assert await hub._port.run(WHICH([], "ID")) == shared


async def test_sharing_can_be_switched_off(real_server: str, prefix: str) -> None:
    async with AsyncCoord.connect(real_server, prefix=prefix, coalesce=False) as hub:
        assert await asyncio.gather(*(echo(hub, n) for n in range(5))) == [b"%d" % n for n in range(5)]
        assert hub._port._shared._line_ups == {}


async def test_a_cancelled_lock_leaves_nothing_among_many(real_server: str, prefix: str) -> None:
    """The undo of one call travels beside the calls of others."""
    with redis.Redis.from_url(real_server) as behind:
        async with AsyncCoord.connect(real_server, prefix=prefix) as hub:
            for turn in range(12):
                tasks = [asyncio.create_task(hub.lock(f"n{n}", ttl=20).acquire()) for n in range(20)]
                for _ in range(turn):
                    await asyncio.sleep(0)
                for task in tasks[::2]:
                    task.cancel()
                ends = await asyncio.gather(*tasks, return_exceptions=True)
                for n, end in enumerate(ends):
                    if isinstance(end, BaseException):
                        assert n % 2 == 0
                        assert not (await hub.lock(f"n{n}").status()).held
                    else:
                        await end.release()
        behind.delete(*keys_of(behind, prefix) or ["nothing"])
