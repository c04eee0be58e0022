"""One connection that many calls of an event loop share. See ``coalescing`` for the theory and the rules."""

# pyright: basic

from __future__ import annotations

import asyncio
import logging
from collections import deque
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from coord._engine.parking import LONGEST

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from coord._engine.faults import Faults
    from coord._engine.script import Reply

__all__ = ["Line", "Owner", "Parcel", "Trunk", "hiredis"]

WINDOW = 256
"""Calls that may be unanswered on one connection: enough to keep a server busy over any network, and no more
than that to fail together when it breaks."""

UTF8 = ("utf-8", "utf8")
NOTHING = object()

Line = tuple[Any, Any]
"""A connection, after the pool or the cluster's node that it comes from."""

hiredis: Any
try:
    hiredis = import_module("hiredis")
except ImportError:  # it is an extra
    hiredis = None
Push: Any = getattr(hiredis, "PushNotification", ())

_log = logging.getLogger("coord")


class Parcel:
    """A call on its way.

    Attributes:
        packed: The command as the server reads it.
        reply: What its caller waits for.
        until: Its deadline, on the loop's clock.
        silence: Seconds without anything coming in, after which the connection counts as dropped.
        trunk: What it was written to; ``None`` as long as it is not.
        written_at: When that was.
    """

    __slots__ = ("packed", "reply", "silence", "trunk", "until", "written_at")

    def __init__(self, packed: bytes, reply: asyncio.Future[Reply], until: float, silence: float) -> None:
        self.packed = packed
        self.reply = reply
        self.until = until
        self.silence = silence
        self.trunk: Trunk | None = None
        self.written_at = 0.0

    def ends(self) -> float:
        """When it is given up, if nothing comes in until then: as far as that can be told now."""
        if self.trunk is None:
            return self.until
        return min(self.until, max(self.written_at, self.trunk.heard_at) + self.silence)


class Owner(Protocol):
    """Whose calls a trunk carries."""

    def flush(self) -> None:
        """Hear that there is room."""
        ...

    def demoted(self) -> None:
        """Hear that the server takes no writes: another trunk is to be taken, by a connection made anew."""
        ...

    def ended(self, trunk: Trunk, *, broken: bool) -> None:
        """Hear that the connection can be put back."""
        ...

    def start(self, flow: Coroutine[object, Any, None]) -> None:
        """Run what no caller waits for."""
        ...


class Trunk(asyncio.Protocol):
    """A connection of the client library, borrowed for as long as this object hears what comes in on it.

    Args:
        line: The connection, connected and with nothing left to read.
        faults: The client library's exceptions.
        owner: Whose calls it carries.

    Attributes:
        line: As given.
        unanswered: The calls written to it and not answered yet, oldest first.
        heard_at: When anything came in last, on the loop's clock.
    """

    def __init__(self, line: Line, faults: Faults, owner: Owner) -> None:
        self.line = line
        self.unanswered: deque[Parcel] = deque()
        self.heard_at = 0.0
        self._owner = owner
        self._faults = faults
        self._loop = asyncio.get_running_loop()
        self._connection = line[1]
        self._reader = hiredis.Reader(
            protocolError=faults.lost, replyError=self._connection._parser.parse_error, notEnoughData=NOTHING
        )
        self._retire_at = self._loop.time() + LONGEST
        self._is_full = self._is_demoted = self._is_over = False
        self._ending: asyncio.TimerHandle | None = None
        self._transport: Any = self._connection._writer.transport
        self._library: Any = self._transport.get_protocol()
        self._transport.set_protocol(self)

    @staticmethod
    def can_be(connection: Any) -> bool:
        """Tell whether a connection shows what sharing it needs, and has nothing left to read."""
        writer, reader = getattr(connection, "_writer", None), getattr(connection, "_reader", None)
        parser, encoder = getattr(connection, "_parser", None), getattr(connection, "encoder", None)
        return (
            isinstance(writer, asyncio.StreamWriter)
            and isinstance(reader, asyncio.StreamReader)
            and not getattr(reader, "_buffer", b"who knows")
            and hasattr(parser, "parse_error")
            and getattr(encoder, "encoding", "").lower() in UTF8
        )

    @staticmethod
    def has_ended(connection: Any) -> bool:
        """Tell whether the server has hung up already, of which the transport will not tell again."""
        reader = getattr(connection, "_reader", None)
        return isinstance(reader, asyncio.StreamReader) and reader.at_eof()

    # What its owner asks of it

    def is_idle(self) -> bool:
        """Tell whether no call is under way."""
        return not self.unanswered

    def is_due(self) -> bool:
        """Tell whether it has been of use, and it is time to go back to the pool."""
        return self.heard_at > 0 and self._loop.time() >= self._retire_at

    def stay(self) -> None:
        """Be due later: the pool has no other connection to give."""
        self._retire_at = self._loop.time() + LONGEST

    def room(self) -> int:
        """Tell how many calls may be written now."""
        return 0 if self._is_full or self._transport.is_closing() else WINDOW - len(self.unanswered)

    def write(self, parcels: list[Parcel]) -> None:
        """Send calls, which will be answered in this order."""
        now = self._loop.time()
        for parcel in parcels:
            parcel.trunk, parcel.written_at = self, now
        self.unanswered.extend(parcels)
        self._transport.write(b"".join([parcel.packed for parcel in parcels]))

    def retire(self) -> None:
        """End when the last call has been answered, or has waited in vain."""
        if not self.unanswered:
            self._end()
        elif self._ending is None:
            waiting = [parcel.until for parcel in self.unanswered if not parcel.reply.done()]
            self._ending = self._loop.call_at(max(waiting, default=0.0), self.hang_up)

    def hang_up(self) -> None:
        """End now."""
        self._end(broken=True)

    # What its transport tells it

    def data_received(self, data: bytes) -> None:
        """Hand each reply to the oldest call without one."""
        self.heard_at = self._loop.time()
        self._reader.feed(data)
        try:
            while (reply := self._reader.gets(False)) is not NOTHING:
                if isinstance(reply, Push):
                    self._owner.start(self._hear(reply))
                else:
                    self._answer(self.unanswered.popleft().reply, reply)
        except (self._faults.lost, IndexError) as error:
            _log.warning("coord hung up on a server that it does not understand: %s", error)
            self.hang_up()
        if self._ending is not None and not self.unanswered:
            self._end()
        self._owner.flush()

    def _answer(self, waiting: asyncio.Future[Reply], reply: Any) -> None:
        if isinstance(reply, self._faults.read_only) and not self._is_demoted:
            self._is_demoted = True
            self._owner.demoted()
        if waiting.done():
            return
        if isinstance(reply, Exception):
            waiting.set_exception(reply)
        else:
            waiting.set_result(reply)

    async def _hear(self, push: object) -> None:
        """Let the client library know what the server says of its own accord."""
        try:
            await self._connection._parser.handle_push_response(push)
        except Exception as error:  # noqa: BLE001  # no call of ours depends on it
            _log.debug("the client library could not handle a push: %s", error)

    def pause_writing(self) -> None:
        """Write no more for now."""
        self._is_full = True
        self._library.pause_writing()

    def resume_writing(self) -> None:
        """Write on."""
        self._is_full = False
        self._library.resume_writing()
        self._owner.flush()

    def eof_received(self) -> bool:
        """Let the transport close: a server that has hung up reads nothing any more."""
        self._library.eof_received()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the client library, and then the callers."""
        self._library.connection_lost(exc)
        self._end(broken=True)

    def _end(self, *, broken: bool = False) -> None:
        if self._is_over:
            return
        self._is_over = True
        if self._ending is not None:
            self._ending.cancel()
        for parcel in self.unanswered:
            if not parcel.reply.done():
                parcel.reply.set_exception(self._faults.lost("Connection closed before the reply came"))
        self.unanswered.clear()
        broken = broken or self._is_demoted
        if not broken:
            self._transport.set_protocol(self._library)
        self._owner.ended(self, broken=broken)
