"""How one call travels, whatever the client.

Theory
------
Sending a command has three outcomes: answered, certainly not executed, and *unknown*: it left, and no
reply came back. A client that re-sends on its own, as redis-py does ten times by default, turns
"unknown" into "executed twice". So coord takes connections from the client's pool and sends once:

1. No connection, a redirect, ``LOADING``, ``BUSY``, ``TRYAGAIN``, ``CLUSTERDOWN``, ``READONLY``: certainly
   not executed. Any call is sent again until its deadline, after a jittered pause that grows; see ``retry``.
2. Unknown: sent again only if the call is ``repeatable``; otherwise the client's own exception is
   raised and the caller decides.
   Which of the two it was is noted on the exception (``add_note``), since the client libraries raise the
   same class for both.
3. ``NOSCRIPT``: the same script by its text (EVAL), which also caches it. One more trip, once a server.
4. What has to follow on the same connection, as WAIT does, is sent there before the connection is given back.
   If that breaks, the call begins anew.
5. A connection that says ``READONLY`` is hung up, and so are those that wait in its pool: a failover behind
   one address leaves them with the server that was the master.

Each call has a deadline of its own, whatever timeouts the client was given: it covers connecting, sending,
waiting, and looking a cluster's slots up. A repeatable call keeps half of it for a second attempt, in case
its connection was dropped without a word.
"""

from __future__ import annotations

import random
from math import inf
from typing import TYPE_CHECKING, Protocol, TypeVar

from coord._engine.faults import NotExecutedError, bare
from coord._engine.retry import pause_before_next, silence_allowed
from coord.errors import WrongKeyType

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from coord._engine.faults import Faults, Node
    from coord._engine.script import Call, Reply, Word
    from coord._engine.urls import Opened

__all__ = ["NOT_EXECUTED", "UNKNOWN", "Courier", "Wire"]

T = TypeVar("T")
Line = TypeVar("Line")

NOT_EXECUTED = "coord: the call was not executed"
UNKNOWN = "coord: whether the call was executed is unknown"


class Wire(Protocol[Line]):
    """Where a client's connections come from, and how one is used."""

    faults: Faults

    async def take(self, key: str | None, node: Node | None, *, within: float = inf) -> Line:
        """Get a live connection to the node that serves ``key``, or to the ``node`` named.

        Args:
            key: A key of the call, if it has one.
            node: Where else than the key says.
            within: How many seconds that may take, where the caller would wait for longer.
        """
        ...

    async def ask(
        self, line: Line, words: tuple[Word, ...], seconds: float, *, asking: bool, silence: float = inf
    ) -> Reply:
        """Send one command and read its reply, undecoded; hang up if that fails midway.

        Args:
            line: Where.
            words: The command.
            seconds: Until the reply must have come.
            asking: Whether to send ASKING before.
            silence: Seconds without anything coming in, after which the connection counts as dropped.
        """
        ...

    async def give(self, line: Line) -> None:
        """Put the connection back."""
        ...

    async def refresh(self, *, within: float = inf) -> None:
        """Learn anew which node serves which slot, if that can be done within so many seconds."""
        ...

    async def close(self, owned: Opened | None) -> None:
        """Keep no connection any longer; close the client, and those that helped it, if they are owned."""
        ...


class Courier:
    """Delivers calls over one wire.

    Args:
        wire: The client's connections.
        now: A monotonic clock.
        sleep: How to pause between attempts.

    Attributes:
        answered: Whether a server has ever answered, if only with an error.
    """

    def __init__(
        self, wire: Wire[Line], now: Callable[[], float], sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        self._wire = wire
        self._now = now
        self._sleep = sleep
        self.answered = False

    async def deliver(self, call: Call[T], seconds: float) -> T:
        """Send ``call``, again where that is safe, and return its parsed answer.

        Raises:
            WrongKeyType: A key of the call holds a value of another type.
            Exception: The client library's own errors, as they are.
        """
        try:
            return call.parse(await self._reply(call, self._now() + seconds))
        except self._wire.faults.refused as error:
            if "WRONGTYPE" in str(error):
                raise WrongKeyType(call.keys) from error
            raise

    async def _reply(self, call: Call[T], until: float) -> Reply:
        faults = self._wire.faults
        words = call.words()
        node: Node | None = None
        attempts = 0
        lost = False
        while True:
            try:
                return await self._attempt(call, words, node, until, lost=lost)
            except Exception as raised:  # noqa: BLE001  # what it means is asked next
                caught = raised
            failure, error = faults.kind(caught), bare(caught)
            self.answered = self.answered or faults.is_answer(caught)
            attempts += 1
            pause = pause_before_next(
                failure, attempts, until - self._now(),
                repeatable=call.repeatable, once=call.once, chance=random.random(),  # noqa: S311  # jitter
            )  # fmt: skip
            if failure == "lost":
                lost = True
                if call.on_repeat is not None:
                    call.on_repeat()
            if pause is None:
                if not call.repeatable and (failure != "final" or error is not caught):
                    error.add_note(UNKNOWN if failure == "lost" else NOT_EXECUTED)
                raise error
            if failure == "no script":
                words = call.words(by_text=True)
            else:
                node = faults.asked_node(error) if failure == "asked" else None
            if pause:
                await self._sleep(pause)
            if isinstance(error, faults.topology):
                await self._wire.refresh(within=until - self._now())

    async def _attempt(
        self, call: Call[T], words: tuple[Word, ...], node: Node | None, until: float, *, lost: bool
    ) -> Reply:
        wire, left = self._wire, until - self._now()
        try:
            line = await wire.take(call.keys[0] if call.keys else None, node, within=left)
        except wire.faults.broken as failure:
            raise NotExecutedError(failure) from failure
        try:
            left = until - self._now()
            silence = silence_allowed(left, repeatable=call.repeatable, once=call.once, lost=lost)
            reply = await wire.ask(line, words, left, asking=node is not None, silence=silence)
            self.answered = True
            if call.then is None:
                return reply
            more = call.then(reply, until - self._now())
            if more is None:
                return [reply, None]
            try:
                return [reply, await wire.ask(line, more, until - self._now(), asking=False)]
            except wire.faults.refused as refusal:
                return [reply, refusal]
        finally:
            await wire.give(line)
