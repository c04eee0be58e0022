"""The least that a client of an event loop does: the limit of what one in Python could be."""

from __future__ import annotations

import asyncio
from collections import deque
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Awaitable

__all__ = ["Joined"]


class Joined:
    """The least that a client of an event loop does: what is asked in one turn is sent in one write."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop, self._nothing = loop, object()
        self._reader = import_module("hiredis").Reader(notEnoughData=self._nothing)
        self._asked: deque[asyncio.Future[Any]] = deque()
        self._out: list[bytes] = []
        self._line: Any = None

    @classmethod
    async def connected(cls, url: str) -> Joined:
        where = urlsplit(url)
        loop = asyncio.get_running_loop()

        class Protocol(asyncio.Protocol):
            def data_received(self, data: bytes) -> None:
                joined.received(data)

        joined = cls(loop)
        joined._line, _ = await loop.create_connection(Protocol, where.hostname or "", where.port or 0)
        return joined

    def received(self, data: bytes) -> None:
        """Give each reply to who has waited longest."""
        self._reader.feed(data)
        while (reply := self._reader.gets(False)) is not self._nothing:
            self._asked.popleft().set_result(reply)

    def ask(self, sent: bytes) -> Awaitable[Any]:
        asked = self._loop.create_future()
        self._asked.append(asked)
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(sent)
        return asked

    def _flush(self) -> None:
        out, self._out = self._out, []
        self._line.write(b"".join(out))

    def close(self) -> None:
        self._line.close()
