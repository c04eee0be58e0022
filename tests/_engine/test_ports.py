"""What both ports promise a flow, beyond sending calls."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from coord import AsyncCoord, Coord
from coord._engine.port import all_of, run_all, step
from coord._engine.wires import heed_cancellation

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.anyio


async def good() -> int:
    return 42


async def bad() -> int:
    raise ZeroDivisionError


async def race(flavour: str, enough: Callable[[list[Any]], bool]) -> list[Any]:
    if flavour == "sync":
        with Coord.connect("memory://") as hub:
            return step(hub._port.race([good(), bad()], enough))
    async with AsyncCoord.connect("memory://") as async_hub:
        return await async_hub._port.race([good(), bad()], enough)


async def test_a_race_tells_what_each_flow_returned_or_raised(flavour: str) -> None:
    returned, raised = await race(flavour, lambda _: False)

    assert (returned.value, returned.error) == (42, None)
    assert raised.value is None
    assert isinstance(raised.error, ZeroDivisionError)


async def test_a_race_ends_when_enough_is_known(flavour: str) -> None:
    outcomes = await race(flavour, lambda known: any(one is not None for one in known))

    assert any(one is not None for one in outcomes)


class Recorder:
    """Runs calls that are numbers; a negative one fails."""

    def __init__(self, port: Any) -> None:
        self.race = port.race
        self.sent: list[int] = []

    async def together(self, calls: Any) -> list[int]:
        return await all_of(self, [self.run(call) for call in calls])  # type: ignore[arg-type]

    async def run(self, call: Any) -> int:
        self.sent.append(call)
        if call < 0:
            raise ValueError(call)
        return int(call) * 10


async def together(flavour: str, calls: list[Any]) -> tuple[Any, list[int]]:
    """What ``run_all`` answers or raises, and which calls were sent."""

    async def over(port: Any) -> tuple[Any, list[int]]:
        recorder: Any = Recorder(port)
        try:
            return await run_all(recorder, calls), sorted(recorder.sent)
        except ValueError as error:
            return error.args[0], sorted(recorder.sent)

    if flavour == "sync":
        with Coord.connect("memory://") as hub:
            return step(over(hub._port))
    async with AsyncCoord.connect("memory://") as async_hub:
        return await over(async_hub._port)


@pytest.mark.parametrize("count", [0, 1, 2, 9, 21])
async def test_calls_that_travel_together_are_answered_in_order(flavour: str, count: int) -> None:
    answers, sent = await together(flavour, list(range(count)))

    assert answers == [10 * number for number in range(count)]
    assert sent == list(range(count))


async def test_a_first_call_that_fails_keeps_the_others_home(flavour: str) -> None:
    assert await together(flavour, [-1, 2, 3]) == (-1, [-1])


async def test_the_first_failure_is_raised_when_no_call_is_under_way(flavour: str) -> None:
    error, sent = await together(flavour, [1, 2, -3, -4, 5, 6, 7, 8, 9, 10, 11])

    assert error == -3
    assert sent == [-4, -3, 1, 2, 5, 6, 7, 8, 9]


async def swallow(cancel: Callable[[], object]) -> None:
    """Be cancelled and go on, as ``asyncio.wait_for`` of Python 3.11 does when it has just got its result."""
    cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(5)


async def test_a_cancellation_that_a_library_swallows_is_raised_all_the_same() -> None:
    async def flow() -> None:
        task = asyncio.current_task()
        assert task is not None
        with heed_cancellation():
            await swallow(task.cancel)

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(flow())


async def test_that_of_a_scope_ends_the_scope_and_not_what_is_around_it() -> None:
    with anyio.CancelScope() as scope:
        with heed_cancellation(), anyio.move_on_after(5):
            await swallow(scope.cancel)
        await anyio.sleep(5)

    assert scope.cancelled_caught


async def test_a_task_cancelled_within_a_cancelled_scope_is_cancelled() -> None:
    async def flow() -> None:
        task = asyncio.current_task()
        assert task is not None
        with anyio.CancelScope() as scope:
            scope.cancel()
            with heed_cancellation():
                await swallow(task.cancel)
            await anyio.sleep(5)
        pytest.fail("the scope took the task's cancellation for its own")

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(flow())
