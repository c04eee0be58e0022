"""The blocking port: its methods never suspend, so ``step`` can run a flow over it."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, TypeVar

from coord._engine.courier import Courier
from coord._engine.wires import BlockingWire, Client, require_flavour

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from coord._engine.script import Call
    from coord._engine.urls import Opened

__all__ = ["ThreadPort"]

T = TypeVar("T")


class ThreadPort:
    """Runs flows in the calling thread. Safe to share between threads.

    Args:
        client: A sync client.
        call_timeout: Seconds until a call must have been answered.
        owned: What closing the port closes; ``None`` if the client is somebody else's.
    """

    def __init__(self, client: Client, *, call_timeout: float, owned: Opened | None) -> None:
        require_flavour(client, is_async=False)
        self._wire = BlockingWire(client)
        self._courier = Courier(self._wire, self.now, self.sleep)
        self._owned = owned
        self._call_timeout = call_timeout
        self._closed = False

    async def run(self, call: Call[T], *, timeout: float | None = None) -> T:
        """See ``Port``."""
        if self._closed:
            raise RuntimeError("this Coord is closed")
        return await self._courier.deliver(call, self._call_timeout if timeout is None else timeout)

    async def sleep(self, seconds: float) -> None:
        """See ``Port``."""
        time.sleep(seconds)

    def now(self) -> float:
        """See ``Port``."""
        return time.monotonic()

    def whoami(self) -> int:
        """See ``Port``."""
        return threading.get_ident()

    def shield(self) -> AbstractContextManager[object]:
        """See ``Port``. Nothing cancels a thread."""
        return contextlib.nullcontext()

    async def close(self) -> None:
        """See ``Port``."""
        if self._closed:
            return
        self._closed = True
        if self._owned is None:
            return
        await self._wire.close(self._owned.helpers)
        if self._owned.server is not None:
            self._owned.server.close()
