"""Reaches inside a ``Coord`` for tests, so that they need not."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import redis
import redis.asyncio

from coord import AsyncCoord, Coord
from coord._engine import wakeups
from tests.support.flavours import awaitable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import pytest

NEVER = 600.0
"""Seconds that no test lasts."""


def no_second_looks(patch: pytest.MonkeyPatch) -> None:
    """Let no waiter look again unasked: who gets what it waits for has been woken."""
    patch.setattr(wakeups, "FALLBACK", NEVER)


@contextlib.asynccontextmanager
async def hub_of(flavour: str, port: int, prefix: str) -> AsyncIterator[Any]:
    """A Coord of this flavour, awaitable, on a client library's client that is left as it comes."""
    if flavour == "sync":
        with redis.Redis(port=port) as client, Coord(client, prefix=prefix) as hub:
            yield awaitable(hub)
    else:
        async with redis.asyncio.Redis(port=port) as twin, AsyncCoord(twin, prefix=prefix) as async_hub:
            yield async_hub


def renew_now(hub: Any) -> None:
    """Let what a ``Coord`` renews in blocks of locks be due."""
    renewals = getattr(hub, "_inner", hub)._locks.renewals
    with renewals._mutex:
        for entry in list(renewals._entries.values()):
            if entry.renewal is not None and entry.renewal.what is not None:
                renewals._due.cancel(entry.renewal)
                entry.due = renewals._port.now()
                entry.renewal = renewals._due.put(entry.due, entry)
