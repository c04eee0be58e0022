"""Connections that messages come in on, of either flavour of client."""

# pyright: basic

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

from coord._engine.port import News
from coord._engine.wires import heed_cancellation

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from coord._engine.wires import BlockingWire, SuspendingWire

__all__ = ["BlockingTap", "SuspendingTap"]


def _news(message: Any) -> News | None:
    if message is None:
        return None
    return News(message["type"], _plain(message["channel"]), _plain(message["data"]))


def _plain(word: Any) -> str:
    return word.decode() if isinstance(word, bytes) else str(word)


class BlockingTap:
    """Messages of a sync client. One thread reads while others subscribe, one at a time.

    The library connects at the first subscription, and once more for each made meanwhile; and it takes
    several steps to note down what it is subscribed to.
    """

    def __init__(self, wire: BlockingWire) -> None:
        self._pubsub: Any = wire._client.pubsub()
        self._turn = threading.Lock()
        self._closed = False

    async def subscribe(self, channel: str) -> None:
        """See ``Tap``."""
        with self._turn:
            self._refuse_if_closed()
            self._pubsub.subscribe(channel)

    async def unsubscribe(self, channel: str) -> None:
        """See ``Tap``."""
        with self._turn:
            self._refuse_if_closed()
            self._pubsub.unsubscribe(channel)

    def _refuse_if_closed(self) -> None:
        if self._closed:  # the library would connect anew, and nobody would hang up
            raise ConnectionError("this connection for messages was closed")

    async def read(self, seconds: float) -> News | None:
        """See ``Tap``."""
        pubsub = self._pubsub
        if not pubsub.subscribed_event.wait(seconds):
            return None
        reply = pubsub.parse_response(block=False, timeout=seconds)
        with self._turn:
            return _news(pubsub.handle_message(reply)) if reply else None

    async def close(self) -> None:
        """See ``Tap``."""
        with self._turn:
            self._closed = True
            self._pubsub.close()


class SuspendingTap:
    """Messages of an async client. One task reads while others subscribe, one at a time."""

    def __init__(self, wire: SuspendingWire) -> None:
        self._pubsub: Any = wire._client.pubsub()
        # The library connects at the first subscription, and once for each that is made meanwhile.
        self._turn = asyncio.Lock()
        self._closed = False

    async def subscribe(self, channel: str) -> None:
        """See ``Tap``."""
        await self._say(self._pubsub.subscribe, channel)

    async def unsubscribe(self, channel: str) -> None:
        """See ``Tap``."""
        await self._say(self._pubsub.unsubscribe, channel)

    async def _say(self, ask: Callable[[str], Coroutine[object, None, object]], channel: str) -> None:
        async with self._turn:
            if self._closed:  # the library would connect anew, and nobody would hang up
                raise ConnectionError("this connection for messages was closed")
            with heed_cancellation():
                await ask(channel)

    async def read(self, seconds: float) -> News | None:
        """See ``Tap``."""
        return _news(await self._pubsub.get_message(timeout=seconds))

    async def close(self) -> None:
        """See ``Tap``."""
        self._closed = True
        await self._pubsub.aclose()
