from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from coord._engine.keys import Keys
from coord._engine.port import step
from coord.leaderboard import Leaderboard, Setup


async def answer(value: int) -> int:
    return value


def test_a_flow_that_never_suspends_runs_to_its_return() -> None:
    async def flow() -> int:
        return await answer(20) + await answer(22)

    assert step(flow()) == 42


def test_an_exception_leaves_as_itself() -> None:
    async def flow() -> None:
        raise KeyError("itself")

    with pytest.raises(KeyError, match="itself"):
        step(flow())


def test_a_stop_iteration_of_a_flow_is_an_error_and_no_answer() -> None:
    async def flow() -> None:
        raise StopIteration(42)

    with pytest.raises(RuntimeError, match="StopIteration"):
        step(flow())


@pytest.mark.parametrize("cleanup_suspends", [False, True])
def test_something_that_suspends_is_an_error_and_is_cleaned_up(cleanup_suspends: bool) -> None:
    cleaned_up = []

    async def flow() -> None:
        try:
            await asyncio.sleep(0)
        finally:
            cleaned_up.append(True)
            if cleanup_suspends:
                await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="suspended where it had to block"):
        step(flow())
    assert cleaned_up == [True]


class SuspendingPort:
    """A port that does what no blocking port may."""

    async def run(self, call: Any, *, timeout: float | None = None) -> Any:
        await asyncio.sleep(0)


def test_a_sync_object_on_a_suspending_port_says_so() -> None:
    with pytest.raises(RuntimeError, match="given an async port"):
        Leaderboard(Setup(cast("Any", SuspendingPort()), Keys("p"), "x")).len()
