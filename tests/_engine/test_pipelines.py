"""Calls that travel together: in order, each with its own answer, and sent again only where that is safe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import redis
from redis import exceptions as errors

from coord import AsyncCoord, Coord, WrongKeyType
from coord._engine.convoys import deliver_together
from coord._engine.courier import Courier
from coord._engine.port import step
from coord._engine.script import Command, Script
from tests._engine.scripted import SAFE, UNSAFE, ScriptedRoad, World

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

pytestmark = pytest.mark.anyio
PUSH = Command("RPUSH", parse=lambda reply: reply, repeatable=True)  # not truly, but it shows the order
COUNT = Script("activity_count", parse=lambda reply: reply, repeatable=True)


def together(road: ScriptedRoad, calls: list[Any]) -> list[Any]:
    world = World()
    try:
        return step(deliver_together(Courier(road, world.now, world.sleep), road, calls, 10))
    finally:
        assert road.taken == 0, "a connection was not given back"


async def over(flavour: str, url: str, coalesce: bool, work: Callable[[Any], Awaitable[Any]]) -> Any:
    if flavour == "sync":
        with Coord.connect(url) as hub:
            return step(work(hub._port))  # type: ignore[arg-type]
    async with AsyncCoord.connect(url, coalesce=coalesce) as async_hub:
        return await work(async_hub._port)


async def over_briefly(flavour: str, url: str, work: Callable[[Any], Awaitable[Any]]) -> Any:
    if flavour == "sync":
        with Coord.connect(url, call_timeout=0.02) as hub:
            return step(work(hub._port))  # type: ignore[arg-type]
    async with AsyncCoord.connect(url, call_timeout=0.02, coalesce=False) as async_hub:
        return await work(async_hub._port)


def test_a_convoy_is_sent_once() -> None:
    road = ScriptedRoad([b"1", None, b"3"])

    assert together(road, [SAFE(["a"]), SAFE(["b"]), SAFE(["c"])]) == [b"1", None, b"3"]
    sent: list[Any] = road.sent
    assert sent == [[("GET", "a"), ("GET", "b"), ("GET", "c")]]
    assert together(road, []) == []


def test_what_may_not_be_repeated_does_not_travel_in_a_convoy() -> None:
    road = ScriptedRoad(1, b"2")

    assert together(road, [UNSAFE(["a"]), SAFE(["b"])]) == [1, b"2"]
    assert road.sent == [("INCR", "a"), ("GET", "b")]


@pytest.mark.parametrize(
    "loss",
    [
        errors.ConnectionError("reset"),
        errors.TimeoutError("late"),
        OSError("gone"),
        errors.BusyLoadingError("L"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("before", [True, False], ids=["not sent", "no reply"])
def test_when_a_convoy_breaks_each_call_is_sent_alone(loss: Exception, before: bool) -> None:
    road = ScriptedRoad((loss,) if before else loss, b"1", b"2")

    assert together(road, [SAFE(["a"]), SAFE(["b"])]) == [b"1", b"2"]
    assert road.sent[-2:] == [("GET", "a"), ("GET", "b")]


@pytest.mark.parametrize(
    "refusal",
    [
        errors.NoScriptError("NOSCRIPT"),
        errors.MovedError("7 127.0.0.1:7002"),
        errors.TryAgainError("TRYAGAIN"),
    ],
    ids=repr,
)
def test_what_was_refused_for_now_is_sent_alone_and_the_rest_is_not(refusal: Exception) -> None:
    road = ScriptedRoad([b"1", refusal, b"3"], b"2")

    assert together(road, [SAFE(["a"]), SAFE(["b"]), SAFE(["c"])]) == [b"1", b"2", b"3"]
    assert road.sent[1:] == [("GET", "b")]


@pytest.mark.parametrize("coalesce", [True, False])
async def test_servers_answer_in_order_and_one_refusal_is_one_calls(
    real_server: str, flavour: str, prefix: str, coalesce: bool
) -> None:
    client = redis.Redis.from_url(real_server)
    key, other = f"{prefix}:{{x}}", f"{prefix}:{{x}}:other"
    client.script_flush()

    async def work(port: Any) -> Any:
        answers = await port.together([PUSH([key], number) for number in range(20)])
        counted = await port.together([COUNT([other]), COUNT([other])])
        with pytest.raises(WrongKeyType, match=key):
            await port.together([PUSH([other], 1), COUNT([key]), PUSH([other], 2)])
        return answers, counted

    assert await over(flavour, real_server, coalesce, work) == (list(range(1, 21)), [0, 0])
    assert client.lrange(key, 0, -1) == [b"%d" % number for number in range(20)]
    assert client.lrange(other, 0, -1) == [b"1", b"2"]
    client.delete(key, other)
    client.close()


async def test_a_convoy_ends_by_its_deadline(real_server: str, flavour: str) -> None:
    client = redis.Redis.from_url(real_server)

    async def work(port: Any) -> None:
        client.client_pause(500)
        with pytest.raises(redis.TimeoutError):
            await port.together([SAFE(["{x}"]), SAFE(["{x}"])])

    await over_briefly(flavour, real_server, work)
    client.client_unpause()
    client.close()
