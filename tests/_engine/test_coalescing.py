"""Calls that travel together: each gets its own answer, whatever happens to the others."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
import signal
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import hiredis
import pytest
import redis
import redis.asyncio
from redis import exceptions as errors
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from coord import AsyncCoord
from coord._engine import courier, trunk
from coord._engine.courier import NOT_EXECUTED, UNKNOWN
from coord._engine.script import Command
from tests import servers
from tests.conftest import keys_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

pytestmark = pytest.mark.anyio

ECHO = Command("ECHO", parse=lambda reply: reply, repeatable=True)
ONCE = Command("ECHO", parse=lambda reply: reply, repeatable=False)
WHICH: Command[Any] = Command("CLIENT", parse=lambda reply: reply, repeatable=True)
GET = Command("GET", parse=lambda reply: reply, repeatable=True)


@pytest.fixture(autouse=True)
def _together(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--coalesce") == "off":
        pytest.skip("calls travel alone")


async def echo(hub: AsyncCoord, word: object, *, command: Any = ECHO, timeout: float | None = None) -> Any:
    return await hub._port.run(command([], str(word)), timeout=timeout)


def trunk_of(hub: AsyncCoord) -> trunk.Trunk:
    found = hub._port._shared._line_ups[""]._trunk
    assert found is not None
    return found


class Peer:
    """A server that answers when the test says so, and speaks just enough for ECHO."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.chunks = 0
        self.answers = True
        self.writers: list[asyncio.StreamWriter] = []
        self._come = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        commands = hiredis.Reader()
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 20):
                self.chunks += 1
                commands.feed(data)
                while command := commands.gets():
                    if command[0] != b"ECHO":
                        writer.write(b"+OK\r\n")  # the library introduces itself
                        continue
                    self.heard.append(command[-1])
                    if self.answers:
                        self.answer(command[-1])
                self._come.set()
        writer.close()

    def answer(self, word: bytes) -> None:
        self.writers[-1].write(b"$%d\r\n%b\r\n" % (len(word), word))

    async def has_heard(self, count: int) -> None:
        while len(self.heard) < count:
            self._come.clear()
            await asyncio.wait_for(self._come.wait(), 5)

    async def hang_up(self) -> None:
        self.writers[-1].transport.abort()


@pytest.fixture
async def peer() -> AsyncIterator[tuple[Peer, AsyncCoord]]:
    here = Peer()
    listener = await asyncio.start_server(here.serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    client = redis.asyncio.Redis(port=port, protocol=2)
    hub = AsyncCoord(client, call_timeout=5)
    assert await echo(hub, "hello") == b"hello"  # the connection is up
    here.heard.clear()
    here.chunks = 0
    yield here, hub
    await hub.close()
    await client.aclose()
    listener.close()


async def test_calls_made_in_one_turn_are_written_together(peer: tuple[Peer, AsyncCoord]) -> None:
    here, hub = peer
    answers = await asyncio.gather(*(echo(hub, n) for n in range(100)))

    assert answers == [b"%d" % n for n in range(100)]
    assert here.chunks <= 3
    assert len(here.writers) == 1


async def test_a_lone_call_is_written_before_the_loop_turns(peer: tuple[Peer, AsyncCoord]) -> None:
    here, hub = peer
    flow = hub._port.run(ECHO([], "x"))
    flow.send(None)  # to where it waits for its reply

    assert [one.packed for one in trunk_of(hub).unanswered] == [b"*2\r\n$4\r\nECHO\r\n$1\r\nx\r\n"]
    await here.has_heard(1)
    flow.close()


async def test_no_more_than_a_window_is_under_way_and_the_first_are_first(
    peer: tuple[Peer, AsyncCoord], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trunk, "WINDOW", 4)
    here, hub = peer
    here.answers = False
    tasks = [asyncio.create_task(echo(hub, n)) for n in range(10)]
    await here.has_heard(4)
    await asyncio.sleep(0.02)
    assert here.heard == [b"0", b"1", b"2", b"3"]
    here.answer(b"0")
    await here.has_heard(5)
    assert here.heard[4:] == [b"4"]
    assert await tasks[0] == b"0"
    here.answers = True
    for word in (b"1", b"2", b"3", b"4"):
        here.answer(word)
    assert await asyncio.gather(*tasks) == [b"%d" % n for n in range(10)]


async def test_what_is_cancelled_before_it_is_written_is_never_written(
    peer: tuple[Peer, AsyncCoord], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trunk, "WINDOW", 1)
    here, hub = peer
    here.answers = False
    first, second, third = (asyncio.create_task(echo(hub, n)) for n in range(3))
    await here.has_heard(1)
    second.cancel()
    here.answers = True
    here.answer(b"0")

    assert [await first, await third] == [b"0", b"2"]
    assert here.heard == [b"0", b"2"]


async def test_the_reply_to_a_cancelled_call_goes_to_nobody(peer: tuple[Peer, AsyncCoord]) -> None:
    here, hub = peer
    here.answers = False
    first, second, third = (asyncio.create_task(echo(hub, n)) for n in range(3))
    await here.has_heard(3)
    second.cancel()
    await asyncio.wait([second])
    for word in here.heard:
        here.answer(word)

    assert [await first, await third] == [b"0", b"2"]
    assert len(here.writers) == 1


async def test_an_error_that_comes_as_its_call_is_cancelled_is_not_reported(
    peer: tuple[Peer, AsyncCoord],
) -> None:
    here, hub = peer
    here.answers = False
    task = asyncio.create_task(echo(hub, "x"))
    await here.has_heard(1)
    trunk_of(hub).data_received(b"-ERR no\r\n")
    task.cancel()
    await asyncio.wait([task])

    assert task.cancelled()
    gc.collect()  # which is when asyncio would report it


async def test_large_calls_are_written_a_few_at_a_time(
    peer: tuple[Peer, AsyncCoord], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, hub = peer
    sizes: list[int] = []
    write = trunk.Trunk.write

    def write_and_tell(self: trunk.Trunk, parcels: Any) -> None:
        sizes.append(len(parcels))
        write(self, parcels)

    monkeypatch.setattr(trunk.Trunk, "write", write_and_tell)
    words = [str(n) * 40_000 for n in range(9)]

    assert await asyncio.gather(*(echo(hub, word) for word in words)) == [word.encode() for word in words]
    assert sum(sizes) == 9
    assert max(sizes) <= 2


async def test_a_broken_connection_fails_what_was_written_and_nothing_else(
    peer: tuple[Peer, AsyncCoord], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trunk, "WINDOW", 3)
    here, hub = peer
    here.answers = False
    tasks = [asyncio.create_task(echo(hub, n, command=ONCE)) for n in range(6)]
    await here.has_heard(3)
    here.answers = True
    await here.hang_up()
    ends = await asyncio.gather(*tasks, return_exceptions=True)

    assert [type(end) for end in ends[:3]] == [errors.ConnectionError] * 3
    assert [end.__notes__ for end in ends[:3]] == [[UNKNOWN]] * 3
    assert ends[3:] == [b"3", b"4", b"5"]
    assert here.heard == [b"0", b"1", b"2", b"3", b"4", b"5"], "nothing was sent twice"


async def test_what_is_repeatable_is_sent_again_after_a_break(peer: tuple[Peer, AsyncCoord]) -> None:
    here, hub = peer
    here.answers = False
    tasks = [asyncio.create_task(echo(hub, n)) for n in range(3)]
    await here.has_heard(3)
    here.answers = True
    await here.hang_up()

    assert await asyncio.gather(*tasks) == [b"0", b"1", b"2"]


async def test_where_no_connection_can_be_had_nothing_was_executed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courier, "ATTEMPTS", 1)
    client = redis.asyncio.Redis(port=servers.free_port(), retry=Retry(NoBackoff(), 0))
    hub = AsyncCoord(client)
    ends = await asyncio.gather(*(echo(hub, n, command=ONCE) for n in range(5)), return_exceptions=True)

    assert {type(end) for end in ends} == {errors.ConnectionError}
    assert [end.__notes__ for end in ends] == [[NOT_EXECUTED]] * 5
    assert len({id(end) for end in ends}) == 5
    await hub.close()
    await client.aclose()


async def test_each_call_has_its_own_deadline_and_says_what_became_of_it(
    peer: tuple[Peer, AsyncCoord], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trunk, "WINDOW", 2)
    here, hub = peer
    here.answers = False
    patient = asyncio.create_task(echo(hub, "patient", command=ONCE))
    hasty = asyncio.create_task(echo(hub, "hasty", command=ONCE, timeout=0.05))
    unsent = asyncio.create_task(echo(hub, "unsent", command=ONCE, timeout=0.02))
    ends = await asyncio.gather(hasty, unsent, return_exceptions=True)
    assert [type(end) for end in ends] == [errors.TimeoutError] * 2
    assert [end.__notes__ for end in ends] == [[UNKNOWN], [NOT_EXECUTED]]
    assert not patient.done()
    here.answer(b"patient")
    here.answer(b"hasty")

    assert await patient == b"patient"
    assert here.heard == [b"patient", b"hasty"]


async def test_after_silence_later_calls_take_another_connection(peer: tuple[Peer, AsyncCoord]) -> None:
    """A connection may be lost without a word, and would cost every later call its deadline."""
    here, hub = peer
    here.answers = False
    patient = asyncio.create_task(echo(hub, "patient"))
    await here.has_heard(1)
    with pytest.raises(errors.TimeoutError):
        await echo(hub, "hasty", timeout=0.05)
    here.answers = True
    assert await echo(hub, "later") == b"later"
    assert len(here.writers) == 2
    assert not patient.done()
    here.writers[0].write(b"$7\r\npatient\r\n$5\r\nhasty\r\n")

    assert await patient == b"patient"


async def test_a_silent_connection_is_closed_when_nobody_waits_on_it_any_more(
    peer: tuple[Peer, AsyncCoord],
) -> None:
    here, hub = peer
    here.answers = False
    with pytest.raises(errors.TimeoutError):
        await asyncio.gather(echo(hub, "hasty", timeout=0.02), echo(hub, "patient", timeout=0.2))

    await asyncio.wait_for(here.writers[0].wait_closed(), 2)


async def test_retired_connections_do_not_pile_up(peer: tuple[Peer, AsyncCoord]) -> None:
    here, hub = peer
    here.answers = False
    patient = []
    for turn in range(6):
        patient.append(asyncio.create_task(echo(hub, turn, command=ONCE)))
        with pytest.raises(errors.TimeoutError):
            await echo(hub, "hasty", timeout=0.02)
    assert len(hub._port._shared._line_ups[""]._retired) < 4
    ended, _ = await asyncio.wait(patient[:2], timeout=2)
    assert ended == {*patient[:2]}
    for one in patient:
        one.cancel()
    await asyncio.gather(*patient, return_exceptions=True)


async def test_a_push_is_no_reply(peer: tuple[Peer, AsyncCoord]) -> None:
    here, hub = peer
    here.answers = False
    task = asyncio.create_task(echo(hub, "x"))
    await here.has_heard(1)
    here.writers[0].write(b">2\r\n$10\r\ninvalidate\r\n*0\r\n")
    here.answer(b"x")

    assert await task == b"x"


@pytest.mark.parametrize("nonsense", [b"$1\r\nx\r\n$1\r\ny\r\n", b"who are you?\r\n"], ids=["more", "other"])
async def test_a_server_that_is_not_understood_is_left(
    peer: tuple[Peer, AsyncCoord], nonsense: bytes
) -> None:
    here, hub = peer
    here.writers[0].write(nonsense)
    await asyncio.sleep(0.02)

    assert await echo(hub, "z") == b"z"
    assert len(here.writers) == 2


async def test_a_master_that_was_demoted_is_left(peer: tuple[Peer, AsyncCoord]) -> None:
    here, hub = peer
    pool: Any = hub._port._wire._client.connection_pool
    pool.is_master = True  # as that of a Sentinel's master
    await pool.disconnect()
    here.answers = False
    task = asyncio.create_task(echo(hub, "x", command=ONCE))
    await here.has_heard(1)
    here.writers[-1].write(b"-READONLY You can't write against a read only replica.\r\n")
    with pytest.raises(errors.ConnectionError, match="now a slave"):
        await task
    here.answers = True
    connected = len(here.writers)

    assert await echo(hub, "y") == b"y"
    assert len(here.writers) == connected + 1


async def test_closing_waits_for_the_calls_under_way(peer: tuple[Peer, AsyncCoord]) -> None:
    here, hub = peer
    here.answers = False
    task = asyncio.create_task(echo(hub, "x"))
    await here.has_heard(1)
    closing = asyncio.create_task(hub.close())
    await asyncio.sleep(0.02)
    assert not closing.done()
    here.answer(b"x")

    assert await task == b"x"
    await closing


# On real servers


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


ALONE: dict[str, dict[str, Any]] = {
    "a small pool": {"max_connections": 3},
    "another encoding": {"encoding": "latin-1"},
}


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


@pytest.fixture(autouse=True)
def _no_complaints(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Asyncio reports by its logger what was never looked at."""
    yield
    assert [one.getMessage() for one in caplog.records if one.name == "asyncio"] == []
