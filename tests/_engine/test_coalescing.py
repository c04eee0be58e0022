"""Calls that travel together: each gets its own answer, whatever happens to the others."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any

import pytest
import redis
import redis.asyncio
from redis import exceptions as errors
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from coord import AsyncCoord
from coord._engine import trunk
from coord._engine.courier import NOT_EXECUTED, UNKNOWN
from coord._engine.script import Command
from tests._engine.coalesced import ECHO, Peer, echo, trunk_of
from tests.support import servers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

pytestmark = pytest.mark.anyio
ONCE = Command("ECHO", parse=lambda reply: reply, repeatable=False)


@pytest.fixture(autouse=True)
def _together(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--coalesce") == "off":
        pytest.skip("calls travel alone")


@pytest.fixture(autouse=True)
def _no_complaints(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Asyncio reports by its logger what was never looked at."""
    yield
    assert [one.getMessage() for one in caplog.records if one.name == "asyncio"] == []


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


async def test_where_no_connection_can_be_had_nothing_was_executed() -> None:
    client = redis.asyncio.Redis(port=servers.free_port(), retry=Retry(NoBackoff(), 0))
    hub = AsyncCoord(client, call_timeout=0.1)
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
    here.answers = False
    task = asyncio.create_task(echo(hub, "x", command=ONCE))
    await here.has_heard(1)
    connected = len(here.writers)
    here.writers[-1].write(b"-READONLY You can't write against a read only replica.\r\n")
    here.answers = True

    assert await task == b"x", "it was not executed, and is asked again"
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
