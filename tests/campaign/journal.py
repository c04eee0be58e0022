"""What a contender writes down as it goes, a JSON line an event, and what the checker makes of it."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tests.campaign.history import Attempt, Claim, Update

if TYPE_CHECKING:
    from collections.abc import Iterable

Event = dict[str, Any]


class Journal:
    """Writes events to a pipe, each at once and whole, so that they outlive their writer.

    Args:
        pipe: A file descriptor.
    """

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe

    def note(self, kind: str, attempt: str = "", **more: object) -> None:
        """Write an event; ``t`` is the present unless given."""
        event = {"kind": kind, "id": attempt, "t": time.monotonic()} | more
        try:
            os.write(self._pipe, json.dumps(event).encode() + b"\n")  # whole: shorter than PIPE_BUF
        except BrokenPipeError:
            os._exit(1)  # the campaign is gone


class Tale:
    """The events of one contender put together.

    Args:
        who: Its name, which its attempts begin with.
    """

    def __init__(self, who: str) -> None:
        self.who = who
        self.attempts: dict[str, Attempt] = {}
        self.updates: list[Update] = []
        self.claims: list[Claim] = []
        self.errors: list[str] = []
        self._open: set[str] = set()
        self._holding: set[str] = set()

    @property
    def holds(self) -> bool:
        """Whether it holds a lock, as far as is known."""
        return bool(self._holding)

    def tell(self, event: Event) -> None:
        """Take in the next event."""
        kind, name, t = event["kind"], event["id"], event["t"]
        if kind == "alive":
            return
        if kind == "error":
            self.errors.append(f"{self.who}: {event['text']}")
        elif kind == "asked":
            self.attempts[name] = Attempt(
                name, event["who"], event["name"], t, t, "unknown", patience=event["patience"]
            )
            self._open.add(name)
        elif kind == "updated":
            one = self.attempts[name]
            self.updates.append(Update(name, one.name, event["began"], t, event["read"]))
        else:
            self._tell_of_attempt(kind, name, t, event)

    def _tell_of_attempt(self, kind: Any, name: str, t: float, event: Event) -> None:
        one = self.attempts[name]
        if kind in ("granted", "promised"):
            self.claims.append(Claim(name, one.name, t, event["until"], event.get("asked")))
        if kind == "charged":
            one = replace(one, outcome="granted", answered=t, until=t, ending=t, closed=t, end="released")
            self._open.discard(name)
        elif kind == "granted":
            one = replace(one, outcome="granted", answered=t, fence=event["fence"], until=event["until"])
            self._holding.add(name)
        elif kind in ("refused", "unknown"):
            one = replace(one, outcome=kind, answered=t)
            self._open.discard(name)
        elif kind == "promised":
            # A renewal just after the deadline may find the key still there: then nothing was lost.
            one = replace(one, until=max(one.until, event["until"]), lost=None)
        elif kind == "lost":
            one = replace(one, lost=t if one.lost is None else one.lost)
        elif kind == "ending":
            one = replace(one, ending=t)
        else:
            one = replace(one, closed=t, end=event["how"])
            self._open.discard(name)
            self._holding.discard(name)
        self.attempts[name] = one

    def end(self, t: float) -> None:
        """The contender is gone: what it had not finished, it never will."""
        for name in self._open:
            one = self.attempts[name]
            if one.outcome == "granted":
                self.attempts[name] = replace(one, closed=t)
            else:
                self.attempts[name] = replace(one, answered=t)
        self._open.clear()
        self._holding.clear()


def read_lines(lines: Iterable[bytes], tale: Tale) -> None:
    """Take in every line of a pipe until its writer is gone; a line cut short is the last."""
    for line in lines:
        if line.endswith(b"\n"):
            tale.tell(json.loads(line))
