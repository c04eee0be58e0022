"""What is measured for the summary alone."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from tests.benchmarks.lock_work import Pair, _watched

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.benchmarks.harness import Sample


def board_trips(urls: list[str]) -> Sample:
    """Count the commands sent to ``submit`` and to read ``around`` someone."""
    client = import_module("redis").Redis.from_url(urls[0])
    board = import_module("coord").Coord.connect(urls[0]).leaderboard("trips")
    board.submit_many({f"player:{n}": n for n in range(1000)})
    things: dict[str, Callable[[], object]] = {
        "submit": lambda: board.submit("player:7", 42),
        "around": lambda: board.around("player:7", 12),
    }
    for thing in things.values():
        thing()  # which loads the script
    return {name: _watched(client, Pair(thing, bool))["commands"] for name, thing in things.items()}
