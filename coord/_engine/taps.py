"""Connections that messages come in on, of either flavour of client."""

# pyright: basic

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from coord._engine.port import News
from coord._engine.wires import heed_cancellation

if TYPE_CHECKING:
    from coord._engine.wires import BlockingWire, SuspendingWire

__all__ = ["BlockingTap", "SuspendingTap"]


def _news(message: Any) -> News | None:
    if message is None:
        return None
    return News(message["type"], _plain(message["channel"]), _plain(message["data"]))


def _plain(word: Any) -> str:
    return word.decode() if isinstance(word, bytes) else str(word)


class BlockingTap:
    """Messages of a sync client. One thread reads while others subscribe."""

    def __init__(self, wire: BlockingWire) -> None:
        self._pubsub: Any = wire._client.pubsub()

    async def subscribe(self, channel: str) -> None:
        """See ``Tap``."""
        self._pubsub.subscribe(channel)

    async def unsubscribe(self, channel: str) -> None:
        """See ``Tap``."""
        self._pubsub.unsubscribe(channel)

    async def read(self, seconds: float) -> News | None:
        """See ``Tap``."""
        return _news(self._pubsub.get_message(timeout=seconds))

    async def close(self) -> None:
        """See ``Tap``."""
        self._pubsub.close()


class SuspendingTap:
    """Messages of an async client. One task reads while others subscribe, one at a time."""

    def __init__(self, wire: SuspendingWire) -> None:
        self._pubsub: Any = wire._client.pubsub()
        # The library connects at the first subscription, and once for each that is made meanwhile.
        self._turn = asyncio.Lock()

    async def subscribe(self, channel: str) -> None:
        """See ``Tap``."""
        async with self._turn:
            with heed_cancellation():
                await self._pubsub.subscribe(channel)

    async def unsubscribe(self, channel: str) -> None:
        """See ``Tap``."""
        await self._pubsub.unsubscribe(channel)

    async def read(self, seconds: float) -> News | None:
        """See ``Tap``."""
        return _news(await self._pubsub.get_message(timeout=seconds))

    async def close(self) -> None:
        """See ``Tap``."""
        await self._pubsub.aclose()
