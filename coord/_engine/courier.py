"""How one call travels, whatever the client.

Theory
------
Sending a command has three outcomes: answered, certainly not executed, and *unknown*: it left, and no
reply came back. A client that re-sends on its own, as redis-py does ten times by default, turns
"unknown" into "executed twice". So coord takes connections from the client's pool and sends once:

1. No connection, a redirect, ``LOADING``, ``TRYAGAIN``, ``CLUSTERDOWN``: certainly not executed. Any
   call is sent again, after a jittered pause, while its deadline allows.
2. Unknown: sent again only if the call is ``repeatable``; otherwise the client's own exception is
   raised and the caller decides.
   Which of the two it was is noted on the exception (``add_note``), since the client libraries raise the
   same class for both.
3. ``NOSCRIPT``: the same script by its text (EVAL), which also caches it. One more trip, once a server.
4. What has to follow on the same connection, as WAIT does, is sent there before the connection is given back.
   If that breaks, the call begins anew.

Each call has a deadline of its own, whatever timeouts the client was given.
"""

from __future__ import annotations

import random
from math import inf
from typing import TYPE_CHECKING, Protocol, TypeVar

from coord.errors import WrongKeyType

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from coord._engine.script import Call, Reply, Word
    from coord._engine.urls import Opened
    from coord._engine.wires import Faults, Node

__all__ = ["NOT_EXECUTED", "UNKNOWN", "Courier", "NotExecutedError", "Wire"]

T = TypeVar("T")
Line = TypeVar("Line")

NOT_EXECUTED = "coord: the call was not executed"
UNKNOWN = "coord: whether the call was executed is unknown"
ATTEMPTS = 4
"""Failures of one call until the last is raised: a broken connection, and others of its pool; what takes
longer is the caller's to decide."""

REDIRECTS = 12
"""Redirections of one call. While a slot moves, the nodes of a cluster need a while to agree on where it
is."""

FIRST_PAUSE = 0.01
"""Seconds before a call is sent again, at the most; twice as long each time. A broken connection needs no
more."""

LONGEST_PAUSE = 0.5
"""Seconds before a call is sent again, whatever the number of failures: a quarter of a call's usual
deadline."""


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

    async def ask(self, line: Line, words: tuple[Word, ...], seconds: float, *, asking: bool) -> Reply:
        """Send one command and read its reply, undecoded; hang up if that fails midway."""
        ...

    async def give(self, line: Line) -> None:
        """Put the connection back."""
        ...

    async def refresh(self) -> None:
        """Learn anew which node serves which slot."""
        ...

    async def close(self, owned: Opened | None) -> None:
        """Keep no connection any longer; close the client, and those that helped it, if they are owned."""
        ...


class NotExecutedError(Exception):
    """The call certainly did nothing: it never left, or the server said so."""

    def __init__(self, failure: Exception) -> None:
        super().__init__(failure)
        self.failure = failure


class Courier:
    """Delivers calls over one wire.

    Args:
        wire: The client's connections.
        now: A monotonic clock.
        sleep: How to pause between attempts.
    """

    def __init__(
        self, wire: Wire[Line], now: Callable[[], float], sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        self._wire = wire
        self._now = now
        self._sleep = sleep

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
        failures = 0
        while True:
            try:
                return await self._attempt(call, words, node, until)
            except faults.no_script:
                words = call.words(by_text=True)
                continue
            except faults.ask as redirect:
                node = faults.asked_node(redirect)
                if node is not None:
                    continue
                failure: Exception = redirect
            except NotExecutedError as error:
                failure = error.failure
                if not call.repeatable:
                    failure.add_note(NOT_EXECUTED)
            except faults.broken as error:
                if not call.repeatable:
                    error.add_note(UNKNOWN)
                    raise
                failure = error
                if call.on_repeat is not None:
                    call.on_repeat()
            node = None
            failures += 1
            await self._pause(failure, failures, until)

    async def _attempt(
        self, call: Call[T], words: tuple[Word, ...], node: Node | None, until: float
    ) -> Reply:
        wire, faults = self._wire, self._wire.faults
        try:
            line = await wire.take(call.keys[0] if call.keys else None, node, within=until - self._now())
        except faults.broken as failure:
            raise NotExecutedError(failure) from failure
        try:
            reply = await wire.ask(line, words, until - self._now(), asking=node is not None)
            if call.then is None:
                return reply
            more = call.then(reply, until - self._now())
            if more is None:
                return [reply, None]
            try:
                return [reply, await wire.ask(line, more, until - self._now(), asking=False)]
            except faults.refused as refusal:
                return [reply, refusal]
        except faults.not_now as failure:
            raise NotExecutedError(failure) from failure
        finally:
            await wire.give(line)

    async def _pause(self, failure: Exception, failures: int, until: float) -> None:
        """Wait before the next attempt, or raise ``failure`` if there is to be none."""
        seconds = random.uniform(0, min(LONGEST_PAUSE, FIRST_PAUSE * 2**failures))  # noqa: S311
        most = REDIRECTS if isinstance(failure, self._wire.faults.ask) else ATTEMPTS
        if failures >= most or self._now() + seconds >= until:
            raise failure
        await self._sleep(seconds)
        if isinstance(failure, self._wire.faults.topology):
            await self._wire.refresh()
