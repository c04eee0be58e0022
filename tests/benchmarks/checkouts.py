"""Two checkouts: where both are measured, and how what was found of both is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import redis

from tests.benchmarks.alternate import middle, ratio
from tests.benchmarks.machine import url_of
from tests.benchmarks.tables import figure, times

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tests.benchmarks.alternate import Results
    from tests.support.servers import Process

__all__ = ["PREFIXES", "THAT", "THIS", "Field", "both"]

THIS, THAT = "this", "that"
PREFIXES = {THIS: "this", THAT: "that"}
"""Of keys: of the same length, and apart, since checkouts may store different things."""


@dataclass(frozen=True, slots=True)
class Field:
    """Where both are measured."""

    nodes: Sequence[Process]
    folders: dict[str, Path]
    seconds: float

    def where(self, count: int) -> tuple[list[str], list[int]]:
        """The URLs and processes of so many servers, emptied."""
        for node in self.nodes:
            with redis.Redis.from_url(url_of(node)) as client:
                client.flushall()
        some = self.nodes[:count]
        return [url_of(node) for node in some], [node.pid for node in some]


def both(found: Mapping[str, Results], figures: Sequence[tuple[str, int]]) -> list[str]:
    """Write figures of this checkout, by name and decimal places, each with its ratio to the other's."""
    problem = found[THIS].problem or found[THAT].problem
    if problem:
        return [f"could not be run: {problem}", *[""] * (2 * len(figures) - 1)]
    cells = []
    for key, digits in figures:
        cells += [figure(middle(found[THIS], key), digits), times(ratio(found[THIS], found[THAT], key))]
    return cells
