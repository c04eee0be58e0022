"""What both ports promise a flow, beyond sending calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from coord import AsyncCoord, Coord
from coord._engine.port import step

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
