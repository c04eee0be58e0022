"""What every part of a board needs: its keys, and the rules that it is read by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coord._engine.checks import millis, one_of, seconds
from coord.leaderboard.scores import KEEPS, ORDERS, TIEBREAKS, TIES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coord._engine.checks import Seconds
    from coord._engine.keys import Keys
    from coord._engine.port import Port

__all__ = ["PARTS", "BoardFlow", "board_keys"]

PARTS: tuple[tuple[str, ...], ...] = ((), ("scores",), ("reached",), ("meta",), ("expiry",))
"""What the five keys of a board end in; ``coord/lua/shared/board.lua`` says what they hold."""


def board_keys(keys: Keys, name: str, *within: str) -> tuple[str, ...]:
    """Spell the five keys of a board, or of one that is kept ``within`` it."""
    return tuple(keys("board", name, *within, *part) for part in PARTS)


class BoardFlow:
    """A board's keys and rules."""

    def __init__(
        self,
        port: Port,
        keys: Keys,
        name: str,
        *,
        order: str = "desc",
        keep: str = "last",
        ties: str = "competition",
        tiebreak: str = "name",
        member_ttl: Seconds | None = None,
    ) -> None:
        self._port = port
        self._spell = keys
        self._order = one_of(order, "order", ORDERS)
        self._keep = one_of(keep, "keep", KEEPS)
        self._ties = one_of(ties, "ties", TIES)
        self._tiebreak = one_of(tiebreak, "tiebreak", TIEBREAKS)
        self._ttl = lifetime(member_ttl, "member_ttl")
        self._permanent = board_keys(keys, name)
        self.name = name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

    async def _keys(self) -> Sequence[str]:
        """Spell the keys of the board to read."""
        return self._permanent

    def _rules(self, ties: str | None, order: str | None) -> tuple[str, str]:
        """Return by what order and by what rule for ties to read."""
        return (
            self._order if order is None else one_of(order, "order", ORDERS),
            self._ties if ties is None else one_of(ties, "ties", TIES),
        )


def lifetime(ttl: Seconds | None, what: str) -> int | str:
    """Return how long a score lives in milliseconds, as the script wants it: empty for as it is."""
    return "" if ttl is None else millis(seconds(ttl, what, at_least=0.001))
