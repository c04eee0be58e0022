"""Connections that messages come in on: they follow no redirection, and never reconnect on their own.

Theory
------
A cluster since Redis 7, and every Valkey, has sharded channels: ``SSUBSCRIBE`` on the node that serves the
channel's slot hears what is published there with ``SPUBLISH``, and no other node hears of it. Before, there
is only ``PUBLISH``, which every node hears, this one too. The node itself tells which: one that does not
know ``SSUBSCRIBE``, or that refuses it, is asked to ``SUBSCRIBE``; and a script that may not ``SPUBLISH``
there does ``PUBLISH``. So listener and script agree without being told. A single server is asked to
``SUBSCRIBE``.

The clients' own subscriptions connect, re-send and resubscribe on their own, for as long as their timeouts
and retries last; those for clusters came late to the async flavours, read one node after the other, and
resubscribe to channels of several slots at once, which nodes refuse. So a connection of the client's own is
used directly, as the courier does.

Rules
-----
1. It is connected by ``open``, within a deadline, and by nothing else. What is asked of it before, or when it
   is broken, fails.
2. Requests are answered in their order, and only errors do not name their channel. So what was asked is
   remembered in order.
3. A node that is no longer in charge of a channel says so: by a redirection when asked for it, or by a
   cancelled subscription that nobody asked to cancel. Both are ``moved``.
4. Anything else that is wrong is raised, and then the tap is done for.
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
from coord._engine.sending import socket_timeout
from coord._engine.wires import heed_cancellation, takes_timeout

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from coord._engine.port import Place
    from coord._engine.wires import BlockingWire, SuspendingWire

__all__ = ["BlockingTap", "SuspendingTap", "place_of"]

ASKED = ("SSUBSCRIBE", "SUBSCRIBE")
CONFIRMED = ("ssubscribe", "subscribe")
PUBLISHED = ("smessage", "message")
CANCELLED = ("sunsubscribe", "unsubscribe")
REST = 1.0
"""Seconds until the rest of a message that has begun must be there: more than a lost packet takes."""

CLOSED = "this connection for messages was closed, or cut short in a request"


def place_of(wire: BlockingWire | SuspendingWire, channel: str) -> Place:
    """Name the node that serves a channel's slot, as far as the client knows; ``None`` if it knows none."""
    try:
        node = wire._client.get_node_from_key(channel)
    except Exception:  # noqa: BLE001  # the slot is not covered, or nothing has been asked yet
        return None
    return None if node is None else (node.host, node.port)


class _Tap:
    """What both flavours do alike. One task or thread reads while others subscribe."""

    def __init__(self, wire: Any, place: Place, turns: AbstractAsyncContextManager[object]) -> None:
        self._wire = wire
        self._place = place
        self._turns = turns
        self._line: Any = None
        self._asked: deque[tuple[str, str]] = deque()
        self._sharded = bool(wire.is_cluster)
        self._failed = False

    async def subscribe(self, channel: str) -> None:
        """See ``Tap``."""
        await self._ask("SSUBSCRIBE" if self._sharded else "SUBSCRIBE", channel)

    async def unsubscribe(self, channel: str) -> None:
        """See ``Tap``."""
        await self._ask("SUNSUBSCRIBE" if self._sharded else "UNSUBSCRIBE", channel)

    async def open(self, seconds: float) -> None:
        """See ``Tap``."""
        line = await self._take(seconds)
        async with self._turns:
            if not self._failed:
                self._line = line
                return
        await self._put_back(line)
        raise ConnectionError(CLOSED)

    async def _ask(self, verb: str, channel: str) -> None:
        async with self._turns:
            connection = self._opened()
            self._asked.append((verb, channel))
            try:
                await self._say(connection, verb, channel)
            except BaseException:
                self._failed = True  # whether it was asked is not known, and so neither is the order
                raise

    def _opened(self) -> Any:
        line = self._line
        if self._failed or line is None or not self._is_connected(self._connection(line)):
            # The library would connect anew, for as long as it likes, and nobody would hang up.
            raise ConnectionError(CLOSED)
        return self._connection(line)

    async def read(self, seconds: float) -> News | None:
        """See ``Tap``."""
        connection = self._opened()
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
        async with self._turns:
            line, self._line, self._failed = self._line, None, True
        if line is not None:
            await self._put_back(line)

    async def _put_back(self, line: Any) -> None:
        try:
            await self._hang_up(self._connection(line))
        finally:
            await self._wire.give(line)

    async def _take(self, seconds: float) -> Any:
        raise NotImplementedError

    def _connection(self, line: Any) -> Any:
        raise NotImplementedError

    def _is_connected(self, connection: Any) -> bool:
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


class BlockingTap(_Tap):
    """Messages of a sync client."""

    def __init__(self, wire: BlockingWire, place: Place) -> None:
        super().__init__(wire, place, _Turns())

    async def _take(self, seconds: float) -> Any:
        return await self._wire.keep(self._place, within=seconds)

    def _connection(self, line: Any) -> Any:
        return line.connection

    def _is_connected(self, connection: Any) -> bool:
        return getattr(connection, "_sock", None) is not None

    async def _say(self, connection: Any, *words: str) -> None:
        connection.send_command(*words, check_health=False)

    async def _hear(self, connection: Any, seconds: float) -> object:
        if not connection.can_read(timeout=seconds):
            return None
        if takes_timeout(connection):
            return connection.read_response(disconnect_on_error=False, push_request=True, timeout=REST)
        with socket_timeout(connection, REST):
            return connection.read_response(disconnect_on_error=False, push_request=True)

    async def _hang_up(self, connection: Any) -> None:
        connection.disconnect()


class SuspendingTap(_Tap):
    """Messages of an async client."""

    def __init__(self, wire: SuspendingWire, place: Place) -> None:
        super().__init__(wire, place, asyncio.Lock())

    async def _take(self, seconds: float) -> Any:
        return await self._wire.take(None, self._place, within=seconds)

    def _connection(self, line: Any) -> Any:
        return line[1]

    def _is_connected(self, connection: Any) -> bool:
        return bool(connection.is_connected)

    async def _say(self, connection: Any, *words: str) -> None:
        with heed_cancellation():
            await connection.send_command(*words, check_health=False)

    async def _hear(self, connection: Any, seconds: float) -> object:
        return await connection.read_response(timeout=seconds, disconnect_on_error=False, push_request=True)

    async def _hang_up(self, connection: Any) -> None:
        with CancelScope(shield=True):
            await connection.disconnect(nowait=True)
