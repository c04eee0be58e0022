"""What every part of a board needs: its keys, and the rules that it is read by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from coord._engine.checks import millis, one_of, seconds
from coord.leaderboard.schedule import Window
from coord.leaderboard.scores import KEEPS, ORDERS, TIEBREAKS, TIES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coord._engine.checks import Seconds
    from coord._engine.keys import Keys
    from coord._engine.port import Port
    from coord.leaderboard.schedule import Schedule
    from coord.leaderboard.scores import Keep, Order, Tiebreak, Ties

__all__ = ["BoardFlow", "Setup", "lifetime"]

PARTS: tuple[tuple[str, ...], ...] = ((), ("scores",), ("reached",), ("meta",), ("expiry",))
"""What the five keys of a board end in; ``coord/lua/shared/board.lua`` says what they hold."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What a board is made of. Its factory, ``leaderboard()``, says what each option means.

    Raises:
        ValueError: An option is none of those that there are.
    """

    port: Port
    spell: Keys
    name: str
    order: Order = "desc"
    keep: Keep = "last"
    ties: Ties = "competition"
    tiebreak: Tiebreak = "name"
    member_ttl: Seconds | None = None
    schedule: Schedule | None = None
    kind: str = "board"

    def __post_init__(self) -> None:
        one_of(self.order, "order", ORDERS)
        one_of(self.keep, "keep", KEEPS)
        one_of(self.ties, "ties", TIES)
        one_of(self.tiebreak, "tiebreak", TIEBREAKS)
        lifetime(self.member_ttl, "member_ttl")
        self.keys()

    def keys(self, *within: str) -> tuple[str, ...]:
        """Spell the five keys of the board, or of one that is kept ``within`` it."""
        return tuple(self.spell(self.kind, self.name, *within, *part) for part in PARTS)


class BoardFlow:
    """A board's keys and rules.

    Args:
        setup: What it is made of.
        window: Which of its periods it is; ``None`` for the current one of the first kind.
    """

    def __init__(self, setup: Setup, window: Window | None = None) -> None:
        self._setup = setup
        self._port = setup.port
        self._order: Order = setup.order
        self._window = window
        self.name = setup.name

    def __repr__(self) -> str:
        period = "" if self._window is None else f", {self._window.kind}"
        return f"<{type(self).__name__} {self.name!r}{period}>"

    async def _keys(self) -> Sequence[str]:
        """Spell the keys of the board to read."""
        return self._setup.keys(*await self._within())

    async def _within(self) -> tuple[str, ...]:
        """Say which part of the keys is the board to read."""
        schedule = self._setup.schedule
        if schedule is None:
            return ()
        slot = await schedule.slot(self._window or Window(schedule.kinds[0]))
        if slot is None:
            raise ValueError(f"board {self.name!r} has had no such season")
        return slot.within

    def _rules(self, ties: Ties | None, order: Order | None) -> tuple[Order, Ties]:
        """Return by what order and by what rule for ties to read."""
        return (
            self._order if order is None else one_of(order, "order", ORDERS),
            self._setup.ties if ties is None else one_of(ties, "ties", TIES),
        )


def lifetime(ttl: Seconds | None, what: str) -> int | str:
    """Return how long a score lives in milliseconds, as the script wants it: empty for as it is."""
    return "" if ttl is None else millis(seconds(ttl, what, at_least=0.001))
