"""Messages of one node of a cluster: a tap that follows no redirection and never reconnects on its own.

Theory
------
A cluster since Redis 7, and every Valkey, has sharded channels: ``SSUBSCRIBE`` on the node that serves the
channel's slot hears what is published there with ``SPUBLISH``, and no other node hears of it. Before, there
is only ``PUBLISH``, which every node hears, this one too. The node itself tells which: one that does not
know ``SSUBSCRIBE``, or that refuses it, is asked to ``SUBSCRIBE``; and a script that may not ``SPUBLISH``
there does ``PUBLISH``. So listener and script agree without being told.

The clients' own cluster subscriptions came late to the async flavours, read one node after the other, and
resubscribe to channels of several slots at once, which nodes refuse. So one connection of the client's own
to that node is used directly, as the courier does.

Rules
-----
1. Requests are answered in their order, and only errors do not name their channel. So what was asked is
   remembered in order.
2. A node that is no longer in charge of a channel says so: by a redirection when asked for it, or by a
   cancelled subscription that nobody asked to cancel. Both are ``moved``.
3. Anything else that is wrong is raised, and then the tap is done for.
"""

# pyright: basic

from __future__ import annotations

import asyncio
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from anyio import CancelScope

from coord._engine.port import News
from coord._engine.replies import text
from coord._engine.wires import heed_cancellation

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from coord._engine.port import Place
    from coord._engine.wires import BlockingWire, SuspendingWire

__all__ = ["BlockingShardTap", "SuspendingShardTap", "place_of"]

ASKED = ("SSUBSCRIBE", "SUBSCRIBE")
CONFIRMED = ("ssubscribe", "subscribe")
PUBLISHED = ("smessage", "message")
CANCELLED = ("sunsubscribe", "unsubscribe")
CLOSED = "this connection for messages was closed, or cut short in a request"


def place_of(wire: BlockingWire | SuspendingWire, channel: str) -> Place:
    """Name the node that serves a channel's slot, as far as the client knows; ``None`` if it knows none."""
    try:
        node = wire._client.get_node_from_key(channel)
    except Exception:  # noqa: BLE001  # the slot is not covered, or nothing has been asked yet
        return None
    return None if node is None else (node.host, node.port)


class _ShardTap:
    """What both flavours do alike. One task or thread reads while others subscribe."""

    def __init__(self, wire: Any, place: Place, turns: AbstractAsyncContextManager[object]) -> None:
        self._wire = wire
        self._place = place
        self._turns = turns
        self._line: Any = None
        self._asked: deque[tuple[str, str]] = deque()
        self._sharded = True
        self._failed = False

    async def subscribe(self, channel: str) -> None:
        """See ``Tap``."""
        await self._ask("SSUBSCRIBE" if self._sharded else "SUBSCRIBE", channel)

    async def unsubscribe(self, channel: str) -> None:
        """See ``Tap``."""
        await self._ask("SUNSUBSCRIBE" if self._sharded else "UNSUBSCRIBE", channel)

    async def _ask(self, verb: str, channel: str) -> None:
        connection = await self._opened()
        async with self._turns:
            if self._failed:  # meanwhile, and the connection is in its pool
                raise ConnectionError(CLOSED)
            self._asked.append((verb, channel))
            try:
                await self._say(connection, verb, channel)
            except BaseException:
                self._failed = True  # whether it was asked is not known, and so neither is the order
                raise

    async def _opened(self) -> Any:
        async with self._turns:
            if self._failed:
                raise ConnectionError(CLOSED)
            if self._line is None:
                if self._place is not None and self._wire._client.get_node(*self._place) is None:
                    raise ConnectionError(f"{self._place} is no longer a node of the cluster")
                self._line = await self._wire.take(None, self._place)
            return self._connection(self._line)

    async def read(self, seconds: float) -> News | None:
        """See ``Tap``."""
        connection = await self._opened()
        try:
            reply = await self._hear(connection, seconds)
        except self._wire.faults.refused as error:
            return await self._refused(error)
        if isinstance(reply, list) and len(reply) > 1:
            kind, channel, *rest = map(text, reply)
            return self._news(kind, channel, rest[0] if rest else "")
        return None

    def _news(self, kind: str, channel: str, said: str) -> News | None:
        if kind in CONFIRMED:
            self._asked.popleft()
            return News("subscribe", channel, "")
        if kind in CANCELLED and self._asked and self._asked[0] == (kind.upper(), channel):
            self._asked.popleft()
            return None
        if kind in CANCELLED:
            return News("moved", channel, "")
        return News("message", channel, said) if kind in PUBLISHED else None

    async def _refused(self, error: Exception) -> News | None:
        verb, channel = self._asked.popleft() if self._asked else ("", "")
        if isinstance(error, self._wire.faults.ask) and verb:
            return News("moved", channel, "") if verb in ASKED else None
        if isinstance(error, self._wire.faults.not_now) or verb != "SSUBSCRIBE":
            raise error
        self._sharded = False
        await self._ask("SUBSCRIBE", channel)
        return None

    async def close(self) -> None:
        """See ``Tap``."""
        line, self._line, self._failed = self._line, None, True
        if line is not None:
            try:
                await self._hang_up(self._connection(line))
            finally:
                await self._wire.give(line)

    def _connection(self, line: Any) -> Any:
        raise NotImplementedError

    async def _say(self, connection: Any, *words: str) -> None:
        raise NotImplementedError

    async def _hear(self, connection: Any, seconds: float) -> object:
        raise NotImplementedError

    async def _hang_up(self, connection: Any) -> None:
        raise NotImplementedError


class _Turns:
    """A thread's lock, in the form of a task's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    async def __aenter__(self) -> None:
        self._lock.acquire()

    async def __aexit__(self, *details: object) -> None:
        self._lock.release()


class BlockingShardTap(_ShardTap):
    """Messages of one node, for a sync client."""

    def __init__(self, wire: BlockingWire, place: Place) -> None:
        super().__init__(wire, place, _Turns())

    def _connection(self, line: Any) -> Any:
        return line.connection

    async def _say(self, connection: Any, *words: str) -> None:
        connection.send_command(*words, check_health=False)

    async def _hear(self, connection: Any, seconds: float) -> object:
        if not connection.can_read(timeout=seconds):
            return None
        return connection.read_response(disconnect_on_error=False, push_request=True)

    async def _hang_up(self, connection: Any) -> None:
        connection.disconnect()


class SuspendingShardTap(_ShardTap):
    """Messages of one node, for an async client."""

    def __init__(self, wire: SuspendingWire, place: Place) -> None:
        super().__init__(wire, place, asyncio.Lock())

    def _connection(self, line: Any) -> Any:
        return line[1]

    async def _say(self, connection: Any, *words: str) -> None:
        with heed_cancellation():
            await connection.send_command(*words, check_health=False)

    async def _hear(self, connection: Any, seconds: float) -> object:
        return await connection.read_response(timeout=seconds, disconnect_on_error=False, push_request=True)

    async def _hang_up(self, connection: Any) -> None:
        with CancelScope(shield=True):
            await connection.disconnect(nowait=True)
