"""Concurrent calls of one event loop travel together, over one connection a server.

Theory
------
A server answers the commands of a connection in the order in which it read them. So any number of calls
may be under way on one connection: each reply belongs to the oldest call that has none. Here all calls to
a server share such a connection, the *trunk*. What a call costs the client is mostly system calls and turns
of the event loop, and these are now paid once for all calls that were made in the same turn.

A trunk is a connection of the client's pool, connected, encrypted and authenticated by the client library.
While it is a trunk its transport hands what arrives to this file and not to the library: hiredis parses
it, and each reply ends the wait of one caller. No task runs beside the callers for that.

Rules
-----
1. Nobody waits for company. A call that finds the trunk idle is written at once, alone. Others are written
   at the end of the loop's turn, in the order in which they came. What a batch gathers is what came while
   the client or the server was busy.
2. At most ``WINDOW`` calls are unanswered at a time, and none is written while the transport's buffer is
   full. The rest queue, and are served first come, first served.
3. A call that is cancelled before it is written is never written. After that its reply is read and dropped,
   which no other call notices.
4. Each call has its own deadline, and one timer looks after them all. When one passes, the call is told
   whether it was written: if not, it was certainly not executed.
5. A trunk on which nothing was heard all the while that a call waited in vain is *retired*: later calls take
   another, and those that wait on it still may, until their own deadlines. A server that hangs thus costs
   each call its deadline, as ever, and a connection that was lost without a word costs no more than that; a
   call that may be repeated waits on a silent trunk for half of its deadline only, and has another attempt.
   A trunk that says ``READONLY`` is retired too, and what waits in its pool is hung up.
6. A trunk that breaks fails the calls that were written to it: whether they were executed is unknown. Calls
   that were not written go on waiting, for the next trunk. If that cannot be opened they were not executed.
7. A trunk goes back to its pool a second after it came, so that the pool may renew credentials, follow a
   failover, or obey a server that announces its maintenance. But first another is taken: as long as the
   pool has none to give, because others hold them all, the trunk stays.
8. A call that something must follow on its connection has one to itself.
9. Where a connection cannot be shared, calls travel alone, as they all do with ``coalesce=False``: without
   hiredis; on fakeredis; in a client that may open fewer than four connections, which others may need.

The price is that a call waits for the replies before its own. A server runs one script at a time and makes
them wait for each other in any case; only a reply that is long on its way, or a connection that stalls,
holds up calls that a second connection would have let pass. They too end by their deadlines.
"""

# pyright: basic

from __future__ import annotations

import asyncio
import copy
import logging
from collections import deque
from math import inf
from typing import TYPE_CHECKING, Any

from anyio import move_on_after

from coord._engine import trunk as sharing
from coord._engine.faults import NotExecutedError
from coord._engine.parking import SHARE
from coord._engine.trunk import Parcel, Trunk
from coord._engine.uptime import uptime
from coord._engine.wires import heed_cancellation

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from coord._engine.faults import Node
    from coord._engine.script import Reply, Word
    from coord._engine.trunk import Line
    from coord._engine.urls import Opened
    from coord._engine.wires import SuspendingWire

__all__ = ["CoalescingWire"]

TRUNKS = 4
"""Shared connections to one server, the retired ones included: a hanging server costs each a deadline, and
whoever shares the client needs the rest of its pool."""

LARGE = 65_536
"""Bytes written to a connection at once: about what a socket's buffer takes, so that other tasks get a
turn."""

Route = tuple[str | None, "Node | None"]
"""What says where a call goes: a key of it, or a cluster's node."""

_log = logging.getLogger("coord")


class _CannotShareError(Exception):
    """The client's connections cannot be shared: the call is to travel alone."""


class _LineUp:
    """The calls to one server: those that wait to be written, and the trunk that they are written to."""

    def __init__(self, wire: SuspendingWire, home: Any, patience: float) -> None:
        self._wire = wire
        self._home = home
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._queue: deque[Parcel] = deque()
        self._trunk: Trunk | None = None
        self._retired: list[Trunk] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_opening = self._will_flush = False
        self._next_look = inf
        self._timer: asyncio.TimerHandle | None = None

    def serves(self, home: object) -> bool:
        """Tell whether it takes its connections there."""
        return home is self._home

    async def deliver(self, words: tuple[Word, ...], seconds: float, silence: float) -> Reply:
        """Send one command along with the others, and return its reply."""
        now = self._loop.time()
        parcel = Parcel(
            sharing.hiredis.pack_command(words), self._loop.create_future(), now + seconds, silence
        )
        self._queue.append(parcel)
        until = now + min(seconds, silence)
        if until < self._next_look:
            self._look_at(until)
        trunk = self._trunk
        if trunk is None or (trunk.is_idle() and not self._will_flush):
            self.flush()
        elif not self._will_flush:
            self._will_flush = True
            self._loop.call_soon(self.flush)
        try:
            return await parcel.reply
        except asyncio.CancelledError:
            if parcel.reply.done() and not parcel.reply.cancelled():
                parcel.reply.exception()  # looked at, so that asyncio does not report it
            raise

    def _look_at(self, when: float) -> None:
        """Look for deadlines that have passed, at a time before the one planned."""
        if self._timer is not None:
            self._timer.cancel()
        self._next_look = when
        self._timer = self._loop.call_at(when, self._look) if when < inf else None

    def _look(self) -> None:
        """End the calls that have waited for long enough, and look again when the next will have."""
        now = self._loop.time()
        following = inf
        for parcel in self._waiting():
            if (ends := parcel.ends()) > now:
                following = min(following, ends)
            else:
                self._give_up(parcel)
        self._look_at(following)

    def _waiting(self) -> list[Parcel]:
        trunks = [*self._retired, *([] if self._trunk is None else [self._trunk])]
        parcels = [*self._queue, *(parcel for trunk in trunks for parcel in trunk.unanswered)]
        return [parcel for parcel in parcels if not parcel.reply.done()]

    def _give_up(self, parcel: Parcel) -> None:
        error = self._wire.faults.timed_out("the call's deadline passed before its reply came")
        trunk = parcel.trunk
        parcel.reply.set_exception(error if trunk is not None else NotExecutedError(error))
        if trunk is not None and trunk is self._trunk:
            fell_silent = parcel.ends() < parcel.until
            if fell_silent or trunk.heard_at < parcel.written_at:
                self.retire()

    def flush(self) -> None:
        """Write as many of the queued calls as may be written now."""
        self._will_flush = False
        if (self._queue and self._trunk is None) or (self._trunk is not None and self._trunk.is_due()):
            self._open()
        if self._trunk is None:
            return
        while self._queue and (room := self._trunk.room()) > 0:
            self._trunk.write(self._next(room))

    def _next(self, room: int) -> list[Parcel]:
        """Take calls from the queue that still want an answer: so many, and not too large together."""
        parcels: list[Parcel] = []
        size = 0
        while self._queue and len(parcels) < room and size < LARGE:
            parcel = self._queue.popleft()
            if not parcel.reply.done():
                parcels.append(parcel)
                size += len(parcel.packed)
        return parcels

    def retire(self) -> None:
        """Have later calls take another trunk."""
        trunk, self._trunk = self._trunk, None
        if trunk is None:
            return
        if len(self._retired) >= TRUNKS - 1:
            self._retired[0].hang_up()
        self._retired.append(trunk)
        trunk.retire()

    def demoted(self) -> None:
        """Have later calls take another trunk, over a connection that is made anew."""
        self.retire()
        self.start(self._wire.leave(self._home))

    def ended(self, trunk: Trunk, *, broken: bool) -> None:
        """Put the connection of a trunk back into its pool."""
        if trunk is self._trunk:
            self._trunk = None
        if trunk in self._retired:
            self._retired.remove(trunk)
        if not self._loop.is_closed():
            self.start(self._put_back(trunk.line, broken=broken))
            self.flush()

    async def _put_back(self, line: Line, *, broken: bool) -> None:
        try:
            if broken:
                await self._wire.hang_up(line[1])
            await self._wire.give(line)
        except Exception as error:  # noqa: BLE001  # nobody waits for it, and the pool may be closed
            _log.debug("coord could not put a connection back: %s", error)

    def _open(self) -> None:
        if not self._is_opening:
            self._is_opening = True
            self.start(self._take())

    async def _take(self) -> None:
        """Make a trunk of another connection of the pool."""
        error: Exception = self._wire.faults.timed_out(f"no connection within {self._patience:g} s")
        try:
            with move_on_after(self._patience):
                line = await self._wire.borrow(self._home)
                try:
                    trunk = await self._trunk_of(line)
                except BaseException:
                    await self._wire.give(line)
                    raise
                self.retire()
                self._trunk = trunk
        except Exception as failure:  # noqa: BLE001  # whatever it is, those who wait are told
            error = failure
        finally:
            self._is_opening = False
            if self._trunk is None:
                self._fail(error)
            elif self._trunk.is_due():
                self._trunk.stay()
            self.flush()

    async def _trunk_of(self, line: Line) -> Trunk:
        home, connection = line
        if Trunk.has_ended(connection):  # some pools do not look
            await connection.disconnect(nowait=True)
            await connection.connect()
        if not Trunk.can_be(connection) or getattr(home, "max_connections", 0) < SHARE:
            raise _CannotShareError
        await connection.check_health()
        return Trunk(line, self._wire.faults, self)

    def _fail(self, error: Exception) -> None:
        """Tell all who queue that they cannot be served."""
        queue, self._queue = self._queue, deque()
        for parcel in queue:
            if not parcel.reply.done():
                own = copy.copy(error)  # each caller adds notes and a traceback of its own
                alone = isinstance(error, _CannotShareError)
                parcel.reply.set_exception(own if alone else NotExecutedError(own))

    def start(self, flow: Coroutine[object, Any, Any]) -> None:
        """Run what no caller waits for."""
        task = self._loop.create_task(flow)
        self._tasks.add(task)  # asyncio itself holds on to no task
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Put everything back once the calls under way have ended, which each does by its deadline."""
        if self._loop is not asyncio.get_running_loop():
            return  # another loop's connections cannot be closed from here
        if waiting := [parcel.reply for parcel in self._waiting()]:
            await asyncio.wait(waiting)
        while self._tasks or self._trunk is not None or self._retired:
            self.retire()
            for trunk in self._retired:
                trunk.hang_up()
            await asyncio.wait(self._tasks)
        self._look_at(inf)


class CoalescingWire:
    """The connections of an async client, each shared by all calls to one server. See ``Wire``.

    Args:
        alone: Where they come from, and how a call travels that cannot share one.
        patience: Seconds that opening a connection may take.
        wanted: Whether connections are to be shared.

    Attributes:
        is_possible: Whether they can be, as far as is known.
    """

    def __init__(self, alone: SuspendingWire, patience: float, *, wanted: bool) -> None:
        self.faults = alone.faults
        self.is_possible = wanted and sharing.hiredis is not None
        self._alone = alone
        self._patience = patience
        self._line_ups: dict[str, _LineUp] = {}

    async def take(self, key: str | None, node: Node | None, *, within: float = inf) -> Route:
        """See ``Wire``. A connection is found when it is known what to send."""
        del within
        return key, node

    async def ask(
        self, line: Route, words: tuple[Word, ...], seconds: float, *, asking: bool, silence: float = inf
    ) -> Reply:
        """See ``Wire``."""
        if asking or not self.is_possible:
            return await self._ask_alone(line, words, seconds, asking=asking, silence=silence)
        line_up = None if self._alone.is_cluster else self._line_ups.get("")
        if line_up is None:
            line_up = await self._line_up(line, seconds)
        try:
            return await line_up.deliver(words, seconds, silence)
        except _CannotShareError:
            self.is_possible = False
            return await self._ask_alone(line, words, seconds, asking=False, silence=silence)

    async def _line_up(self, line: Route, seconds: float) -> _LineUp:
        try:
            home = await self._alone.home(*line, within=seconds)
        except self.faults.broken as failure:
            raise NotExecutedError(failure) from failure
        name = getattr(home, "name", "")  # a node's; the nodes of valkey cannot be looked up by themselves
        found = self._line_ups.get(name)
        if found is None or not found.serves(home):
            found = self._line_ups[name] = _LineUp(self._alone, home, self._patience)
        return found

    async def _ask_alone(
        self, line: Route, words: tuple[Word, ...], seconds: float, *, asking: bool, silence: float
    ) -> Reply:
        until = uptime() + seconds
        with heed_cancellation():
            try:
                taken = await self._alone.take(*line, within=seconds)
            except self.faults.broken as failure:
                raise NotExecutedError(failure) from failure
            try:
                return await self._alone.ask(taken, words, until - uptime(), asking=asking, silence=silence)
            finally:
                await self._alone.give(taken)

    async def give(self, line: Route) -> None:
        """See ``Wire``. It is shared, and stays."""

    async def refresh(self, *, within: float = inf) -> None:
        """See ``Wire``."""
        await self._alone.refresh(within=within)

    async def close(self, owned: Opened | None) -> None:
        """See ``Wire``."""
        self.is_possible = False
        for line_up in self._line_ups.values():
            await line_up.close()
        await self._alone.close(owned)
