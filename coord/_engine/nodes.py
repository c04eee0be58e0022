"""One server of several that do not know of each other: who it is, since when, and what it is owed.

Rules
-----
1. A server is known by its ``run_id``, which changes with each start. It is asked again after any failed
   call, since a failure may have been a restart.
2. Its age is never overestimated: ``uptime_in_seconds`` is whole seconds of a wall clock, so one is taken
   off, and it counts from when the answer arrived.
3. A call that *must* reach the server, though it cannot now, is owed to it: a loop repeats it until it is
   answered, or until it no longer matters. A server that was paused executes what it had received when it
   resumes; what undoes that must not be lost.
"""

from __future__ import annotations

import math
import re
from collections import deque
from typing import TYPE_CHECKING, TypeVar

from coord._engine.script import Command

if TYPE_CHECKING:
    from collections.abc import Callable

    from coord._engine.port import Port
    from coord._engine.script import Call, Reply

__all__ = ["Node"]

T = TypeVar("T")

MOST_DEBTS = 1000
"""Calls owed to a server that is down; older ones end by their leases instead. A call is some hundred
bytes."""

FIRST_REPEAT, LAST_REPEAT = 0.05, 1.0
"""Seconds between repeats of what is owed to a server, doubling: soon after a lost packet, and once a second
for a server that is down."""

UNTOLD = ("unknown command", "no permissions", "NOPERM")


def _identity(reply: Reply) -> tuple[str, int]:
    info = reply.decode() if isinstance(reply, bytes) else str(reply)
    run_id = re.search(r"run_id:(\w+)", info)
    uptime = re.search(r"uptime_in_seconds:(\d+)", info)
    return run_id[1] if run_id else "", int(uptime[1]) if uptime else -1


_INFO = Command("INFO", parse=_identity, repeatable=True)


class Node:
    """One of several servers.

    Args:
        port: Where it is.
        label: What to call it in messages: without secrets.
    """

    def __init__(self, port: Port, label: str) -> None:
        self.port = port
        self.label = label
        self.known = False
        self.run_id = ""
        self._born = math.inf
        self._mutex = port.mutex(self._begin)
        self._begin()
        self._closing = False

    def _begin(self) -> None:
        self._debts: deque[tuple[Call[bool], float]] = deque(maxlen=MOST_DEBTS)
        self._pays: Callable[[], bool] = bool

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.label}>"

    async def run(self, call: Call[T], timeout: float) -> T:
        """Send a call; after any failure, ask who answers before the server's next vote."""
        try:
            return await self.port.run(call, timeout=timeout)
        except Exception:
            self.known = False
            raise

    async def identify(self, timeout: float) -> None:
        """Ask the server who it is and since when. One that will not tell stays without a name."""
        try:
            run_id, uptime = await self.run(_INFO((), "server"), timeout)
        except Exception as error:
            if not any(word in str(error) for word in UNTOLD):
                raise
            run_id, uptime = "", -1
        self.seen(run_id, uptime)

    def seen(self, run_id: str, uptime: int) -> None:
        """Note who has answered."""
        self.run_id = run_id
        self._born = math.inf if uptime < 0 else self.port.now() - max(0, uptime - 1)
        self.known = True

    def age(self) -> float:
        """For how many seconds the server has been up, at least; less than none if it does not tell."""
        return self.port.now() - self._born

    def owe(self, call: Call[bool], seconds: float) -> None:
        """Repeat a call until it is answered, for so many seconds at the most."""
        with self._mutex:
            if self._closing:
                return
            self._debts.append((call, self.port.now() + seconds))
            if not self._pays():
                self._pays = self.port.spawn(self._pay, "coord quorum clean-up")

    async def _pay(self) -> None:
        pause = FIRST_REPEAT
        while (debt := self._next_debt()) is not None:
            call, until = debt
            try:
                await self.run(call, LAST_REPEAT)
            except Exception:  # noqa: BLE001  # it is down; what is owed to it is tried again
                if self.port.now() < until:
                    await self.port.sleep(pause)
                    pause = min(LAST_REPEAT, 2 * pause)
                    continue
            with self._mutex:
                if self._debts and self._debts[0] is debt:
                    self._debts.popleft()

    def _next_debt(self) -> tuple[Call[bool], float] | None:
        with self._mutex:
            if self._debts and not self._closing:
                return self._debts[0]
            self._pays = bool
            return None

    def close(self) -> None:
        """Let the clean-up end; what it could not do, the leases' own ends do."""
        self._closing = True
