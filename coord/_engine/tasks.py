"""The async port, on anyio."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

import anyio
import anyio.to_thread

from coord._engine.courier import UNKNOWN, Courier
from coord._engine.wires import AsyncClient, SuspendingWire, require_flavour

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from coord._engine.script import Call
    from coord._engine.urls import Opened

__all__ = ["TaskPort"]

T = TypeVar("T")


class TaskPort:
    """Runs flows in the calling task. Safe to share between the tasks of one event loop.

    Args:
        client: An async client.
        call_timeout: Seconds until a call must have been answered.
        owned: What closing the port closes; ``None`` if the client is somebody else's.
    """

    def __init__(self, client: AsyncClient, *, call_timeout: float, owned: Opened | None) -> None:
        require_flavour(client, is_async=True)
        self._wire = SuspendingWire(client)
        self._courier = Courier(self._wire, self.now, self.sleep)
        self._owned = owned
        self._call_timeout = call_timeout
        self._closed = False

    async def run(self, call: Call[T], *, timeout: float | None = None) -> T:
        """See ``Port``."""
        if self._closed:
            raise RuntimeError("this AsyncCoord is closed")
        seconds = self._call_timeout if timeout is None else timeout
        with anyio.move_on_after(seconds) as scope:
            return await self._courier.deliver(call, seconds)
        assert scope.cancelled_caught  # noqa: S101  # the only way past the return
        error = self._wire.faults.timed_out(f"no answer within {seconds:g} s")
        if not call.repeatable:
            error.add_note(UNKNOWN)
        raise error

    async def sleep(self, seconds: float) -> None:
        """See ``Port``."""
        await anyio.sleep(seconds)

    def now(self) -> float:
        """See ``Port``."""
        return time.monotonic()

    def whoami(self) -> int:
        """See ``Port``."""
        return anyio.get_current_task().id

    def shield(self) -> AbstractContextManager[object]:
        """See ``Port``."""
        return anyio.CancelScope(shield=True)

    async def close(self) -> None:
        """See ``Port``."""
        if self._closed:
            return
        self._closed = True
        if self._owned is None:
            return
        await self._wire.close(self._owned.helpers)
        if self._owned.server is not None:
            await anyio.to_thread.run_sync(self._owned.server.close)
