"""What is sent again and what is not: against a scripted wire, and against real servers in trouble."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import redis
import redis.asyncio
from redis import exceptions as errors

from coord import AsyncCoord, Coord
from coord._engine.courier import NOT_EXECUTED, UNKNOWN, Courier
from coord._engine.port import step
from coord._engine.script import Script
from tests._engine.scripted import SAFE, UNSAFE, SameAgain, ScriptedWire, World, deliver
from tests.support import servers
from tests.support.keys import keys_of

if TYPE_CHECKING:
    from collections.abc import Iterator

SCRIPT = Script("lock_renew", parse=lambda reply: reply, repeatable=False)
LOST = [errors.ConnectionError("reset"), errors.TimeoutError("no reply"), OSError("gone")]
NOT_NOW = [
    errors.BusyLoadingError("LOADING"), errors.TryAgainError("TRYAGAIN"),
    errors.ClusterDownError("CLUSTERDOWN"), errors.MasterDownError("MASTERDOWN"),
]  # fmt: skip


@contextlib.contextmanager
def lossy_proxy(upstream: int, lose: dict[str, int]) -> Iterator[int]:
    """Forward to ``upstream``, swallowing the reply of ``lose["replies"]`` scripts and hanging up on them."""
    ready = threading.Event()
    state: dict[str, Any] = {}

    async def pump(client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", upstream)
        try:
            while data := await client.read(65536):
                writer.write(data)
                reply = await reader.read(65536)
                if b"EVAL" in data and b"NOSCRIPT" not in reply and lose["replies"] > 0:
                    lose["replies"] -= 1
                    break
                back.write(reply)
        finally:
            writer.close()
            back.close()

    async def serve() -> None:
        server = await asyncio.start_server(pump, "127.0.0.1", 0)
        state.update(port=server.sockets[0].getsockname()[1], loop=asyncio.get_running_loop())
        state["stop"] = asyncio.Event()
        ready.set()
        await state["stop"].wait()
        server.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    ready.wait()
    try:
        yield state["port"]
    finally:
        state["loop"].call_soon_threadsafe(state["stop"].set)
        thread.join()


@pytest.fixture
def stoppable() -> Iterator[servers.Process]:
    """A server of one's own, to be stopped and flushed."""
    binary = servers.BINARIES["valkey9"]()
    assert binary is not None
    with servers.running(binary) as process:
        yield process


@pytest.mark.parametrize("loss", LOST, ids=repr)
def test_a_lost_reply_is_asked_for_again_only_if_that_is_safe(loss: Exception) -> None:
    wire = ScriptedWire(loss, loss, b"value")
    assert deliver(wire, SAFE(["k"])) == b"value"
    assert len(wire.sent) == 3

    wire = ScriptedWire(loss, 1)
    with pytest.raises(type(loss)) as lost:
        deliver(wire, UNSAFE(["k"]))
    assert len(wire.sent) == 1
    assert lost.value.__notes__ == [UNKNOWN]


@pytest.mark.parametrize("loss", LOST, ids=repr)
def test_no_connection_means_not_sent_and_any_call_tries_again(loss: Exception) -> None:
    wire = ScriptedWire((loss,), (loss,), 1)

    assert deliver(wire, UNSAFE(["k"])) == 1
    assert len(wire.sent) == 1

    wire = ScriptedWire()
    wire.answers = SameAgain([(type(loss)("no connection"),)])
    world = World()
    with pytest.raises(type(loss)) as unsent:
        deliver(wire, UNSAFE(["k"]), 2, world)
    assert 1.9 < world.time < 2
    assert wire.sent == []
    assert unsent.value.__notes__ == [NOT_EXECUTED]


@pytest.mark.parametrize("busy", NOT_NOW, ids=lambda error: type(error).__name__)
def test_a_server_that_says_later_did_nothing_and_any_call_tries_again(busy: Exception) -> None:
    wire = ScriptedWire(busy, busy, 1)

    assert deliver(wire, UNSAFE(["k"])) == 1
    assert len(wire.sent) == 3


@pytest.mark.parametrize(
    "again",
    [
        *NOT_NOW, errors.ConnectionError("reset"), errors.NoScriptError("NOSCRIPT"),
        errors.AskError("7 127.0.0.1:7001"), errors.MovedError("7 127.0.0.1:7001"),
    ],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_what_goes_on_for_ever_ends_by_the_deadline_after_few_attempts(again: Exception) -> None:
    wire, world = ScriptedWire(), World()
    wire.answers = SameAgain([again])
    with pytest.raises(type(again)):
        deliver(wire, SAFE(["k"]), 2, world)

    assert 1.9 < world.time < 2, "it is asked until the end"
    assert 5 < len(wire.sent) < 30, "with pauses that grow"


@pytest.mark.parametrize("repeatable", [True, False])
def test_who_is_not_let_in_is_told_at_once(repeatable: bool) -> None:
    denied = errors.AuthenticationError("NOAUTH Authentication required.")
    for answer in (denied, (denied,)):
        wire = ScriptedWire(answer)
        with pytest.raises(errors.AuthenticationError):
            deliver(wire, SAFE(["k"]) if repeatable else UNSAFE(["k"]))
        assert wire.answers == []


@pytest.mark.parametrize("trouble", [*NOT_NOW, (errors.ConnectionError("refused"),)], ids=repr)
def test_where_a_fallback_stands_ready_one_attempt_is_all(trouble: Any) -> None:
    wire = ScriptedWire(trouble, 1)
    with pytest.raises((errors.RedisError, OSError)):
        deliver(wire, SCRIPT(["k"], once=True))

    wire = ScriptedWire(errors.NoScriptError("NOSCRIPT"), errors.MovedError("7 127.0.0.1:7002"), 1)
    assert deliver(wire, SCRIPT(["k"], once=True)) == 1, "to be sent on is the same attempt"


def test_what_may_be_repeated_keeps_half_of_its_time_for_a_second_connection() -> None:
    wire = ScriptedWire(errors.TimeoutError("silence"), 1)
    assert deliver(wire, SAFE(["k"]), 2) == 1
    assert wire.silences[0] == 1
    assert 1.9 < wire.silences[1] < 2, "no third attempt is provided for"

    wire = ScriptedWire(1)
    assert deliver(wire, UNSAFE(["k"]), 2) == 1
    assert wire.silences == [2], "what may not be repeated has nothing to keep time for"


def test_a_courier_knows_whether_a_server_has_ever_answered() -> None:
    refused = (errors.ConnectionError("refused"),)
    for answers, answered in (
        ((refused,), False),
        ((errors.TimeoutError("silence"),), False),
        ((errors.BusyLoadingError("LOADING"),), True),
        ((errors.ResponseError("ERR"),), True),
        ((1,), True),
    ):
        world = World()
        wire = ScriptedWire()
        wire.answers = SameAgain(answers)
        courier = Courier(wire, world.now, world.sleep)
        with contextlib.suppress(errors.RedisError):
            step(courier.deliver(SAFE(["k"]), 1))
        assert courier.answered is answered, answers


def test_no_attempt_begins_after_the_deadline() -> None:
    wire = ScriptedWire(*[errors.ConnectionError("reset")] * 9)
    with pytest.raises(errors.ConnectionError):
        deliver(wire, SAFE(["k"]), seconds=0)

    assert len(wire.sent) == 1


def test_a_script_that_the_server_forgot_is_sent_whole() -> None:
    wire = ScriptedWire(errors.NoScriptError("NOSCRIPT"), 1)

    assert deliver(wire, SCRIPT(["k"], "token", 5)) == 1
    assert wire.sent == [
        ("EVALSHA", SCRIPT.sha, 1, "k", "token", 5),
        ("EVAL", SCRIPT.text, 1, "k", "token", 5),
    ]


def test_redirects_are_followed() -> None:
    ask = errors.AskError("7 127.0.0.1:7001")
    moved = errors.MovedError("7 127.0.0.1:7002")
    wire = ScriptedWire(ask, 1)
    assert deliver(wire, UNSAFE(["k"])) == 1
    assert wire.nodes == [None, ("127.0.0.1", 7001)]
    assert wire.refreshed == 0

    wire = ScriptedWire(moved, 1)
    assert deliver(wire, UNSAFE(["k"])) == 1
    assert wire.nodes == [None, None]
    assert wire.refreshed == 1


def test_a_replica_is_asked_again_and_the_slots_are_looked_up() -> None:
    wire = ScriptedWire(errors.ReadOnlyError("READONLY"), 1)

    assert deliver(wire, UNSAFE(["k"])) == 1
    assert wire.refreshed == 1


def test_a_refusal_is_raised_as_it_is() -> None:
    wire = ScriptedWire(errors.ResponseError("ERR out of range"))
    with pytest.raises(errors.ResponseError, match="out of range"):
        deliver(wire, SAFE(["k"]))

    assert len(wire.sent) == 1


@pytest.mark.anyio
@pytest.mark.parametrize("retries", ["client's own", "none"])
async def test_lost_replies_neither_strand_a_lock_nor_charge_twice(
    real_server: str, flavour: str, prefix: str, retries: str
) -> None:
    from redis.asyncio.retry import Retry as AsyncRetry
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    from tests.support.flavours import awaitable

    upstream = int(real_server.rpartition(":")[2].partition("/")[0])
    lose = {"replies": 0}
    with lossy_proxy(upstream, lose) as port:
        if flavour == "sync":
            options = {} if retries == "client's own" else {"retry": Retry(NoBackoff(), 0)}
            client = redis.Redis(port=port, **options)  # type: ignore[arg-type]
            hub: Any = awaitable(Coord(client, prefix=prefix))
        else:
            options = {} if retries == "client's own" else {"retry": AsyncRetry(NoBackoff(), 0)}  # type: ignore[dict-item]
            client = redis.asyncio.Redis(port=port, **options)  # type: ignore[assignment,arg-type]
            hub = AsyncCoord(client)  # type: ignore[arg-type]
            hub._keys.prefix = prefix
        lock, bucket = hub.lock("x"), hub.token_bucket("b", rate=5, per=3600)

        lose["replies"] = 1
        lease = await lock.try_acquire()
        assert lease is not None, "our own key must not look like another's"
        lose["replies"] = 1
        await lease.renew()
        lose["replies"] = 1
        await lease.release()
        assert (await lock.try_acquire()).fence > lease.fence

        await bucket.try_acquire("u")
        lose["replies"] = 1
        with pytest.raises((errors.ConnectionError, errors.TimeoutError)):
            await bucket.try_acquire("u")
        assert (await bucket.status("u")).remaining == 3, "charged once, although the reply was lost"
        if flavour == "sync":
            client.close()
        else:
            await client.aclose()  # type: ignore[attr-defined]
    with redis.Redis.from_url(real_server) as behind:
        behind.delete(*keys_of(behind, prefix))


@pytest.mark.anyio
async def test_a_stopped_server_costs_a_call_its_deadline_and_no_more(
    stoppable: servers.Process, flavour: str
) -> None:
    from tests.support.flavours import awaitable

    client = (
        redis.Redis(port=stoppable.port) if flavour == "sync" else redis.asyncio.Redis(port=stoppable.port)
    )
    make: Any = Coord if flavour == "sync" else AsyncCoord
    hub = awaitable(make(client, call_timeout=0.1))
    bucket = hub.token_bucket("b", rate=5, per=3600)
    await bucket.try_acquire("u")
    os.kill(stoppable.pid, signal.SIGSTOP)
    begun = time.monotonic()
    try:
        with pytest.raises(errors.TimeoutError):
            await bucket.try_acquire("u")
        waited = time.monotonic() - begun
    finally:
        os.kill(stoppable.pid, signal.SIGCONT)

    assert waited < 4, "the client's own retries would have taken a minute"
    assert (await bucket.status("u")).remaining == 3
    if isinstance(client, redis.Redis):
        client.close()
    else:
        await client.aclose()


@pytest.mark.anyio
async def test_scripts_survive_a_flush_of_the_servers_cache(coord: Any, client: Any, server: str) -> None:
    bucket = coord.token_bucket("b", rate=5, per=3600)
    await bucket.try_acquire("u")
    client.script_flush()

    assert (await bucket.try_acquire("u")).remaining == 3


@pytest.mark.anyio
async def test_cancelled_calls_leave_every_connection_usable(real_server: str, prefix: str) -> None:
    """A reply that was given up must never be read by the next caller."""
    client = redis.asyncio.Redis.from_url(real_server, max_connections=4)
    hub = AsyncCoord(client, prefix=prefix)
    bucket = hub.token_bucket("b", rate=1000, per=3600)
    counter = hub.unique_counter("u")
    await counter.add("a", "b")
    for turn in range(60):
        task = asyncio.create_task(bucket.try_acquire("u"))
        for _ in range(turn % 12):
            await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert (await counter.count()).value == 2
    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(bucket.status, "u")
    await client.delete(*[key async for key in client.scan_iter(f"{prefix}:*")])
    await client.aclose()
