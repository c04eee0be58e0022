"""Scripts at their usual size: what a server has when each runs, and what has it run.

A scenario prepares what the script will find, and then has it run once for each of many objects of one kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Act = Callable[[int], object]
    Prepare = Callable[[Any], Act]

__all__ = ["FIRST", "PLENTY", "SCENARIOS", "Scenario", "client_of", "usual"]

FIRST = date(2025, 1, 1)
PLENTY = 10**6
"""A limit that no measurement comes to."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A script at its usual size.

    Attributes:
        script: Which.
        size: What "usual" means here.
        prepare: Given a ``Coord``, fills the server, and returns what has the script run on the n-th object.
        times: How many objects.
    """

    script: str
    size: str
    prepare: Prepare
    times: int = 500

    @property
    def title(self) -> str:
        """What the row is called."""
        return f"`{self.script}`, {self.size}"


SCENARIOS: list[Scenario] = []


def usual(script: str, size: str, times: int = 500) -> Callable[[Prepare], Prepare]:
    """Let the function decorated prepare a scenario."""

    def note(prepare: Prepare) -> Prepare:
        SCENARIOS.append(Scenario(script, size, prepare, times))
        return prepare

    return note


def client_of(coord: Any) -> Any:
    """The client that a ``Coord`` has connected by itself."""
    return coord._port._wire._client
