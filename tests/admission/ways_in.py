"""Admissions that tests have in common, and what is left at them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

pytestmark = pytest.mark.anyio


def bucket(hub: Any, name: str = "rpm") -> Any:
    return hub.token_bucket(name, rate=5)


KINDS = ("bucket", "fixed", "exact", "approximate")


def rate(hub: Any, kind: str, limit: int, name: str = "rpm") -> Any:
    if kind == "bucket":
        return hub.token_bucket(name, rate=limit, per=60)
    if kind == "fixed":
        return hub.fixed_window(name, limit=limit, per=60)
    return hub.sliding_window(name, limit=limit, per=60, precision=kind)


def llm(hub: Any, at_once: int = 2, rpm: int = 5, tpm: int = 1000, **options: Any) -> Any:
    limit = hub.concurrency_limit("calls", limit=at_once, fair=True, **options)
    rates = rate(hub, "exact", rpm), hub.token_bucket("tpm", rate=tpm, per=6000, overdraft=500)
    return hub.admission(*rates, at_once=limit)


async def left(hub: Any, key: str = "u") -> Any:
    """What remains of each rate, and of the room."""
    both = hub.limits(rate(hub, "exact", 5), hub.token_bucket("tpm", rate=1000, per=6000))
    room = await hub.concurrency_limit("calls", limit=2, fair=True).status(key)
    return (*[part.remaining for part in (await both.status(key)).parts], room.available)


async def in_line(hub: Any, number: int, key: str = "u") -> None:
    """Wait until so many wait."""
    limit = hub.concurrency_limit("calls", limit=2, fair=True)
    while True:
        status = limit.status(key)
        if (status if not hasattr(status, "__await__") else await status).waiters == number:
            return
        await asyncio.sleep(0.005)
