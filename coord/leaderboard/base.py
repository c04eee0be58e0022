"""What every part of a board needs: its keys, and the rules that it is read by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from coord._engine.checks import millis, one_of, seconds
from coord.leaderboard.schedule import ALL_TIME
from coord.leaderboard.scores import KEEPS, ORDERS, TIEBREAKS, TIES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from coord._engine.checks import Seconds
    from coord._engine.keys import Keys
    from coord._engine.port import Port
    from coord._engine.script import Reply, Script, Word
    from coord.leaderboard.schedule import Schedule, Slot, Window
    from coord.leaderboard.scores import Keep, Order, Tiebreak, Ties

__all__ = ["BoardFlow", "Setup", "Unsettled", "ask", "lifetime", "lost", "settled"]

T = TypeVar("T")

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
        return self._setup.keys(*(await self._slot()).within)

    async def _slot(self) -> Slot:
        """Say which period is the board to read: all time, for one without periods."""
        schedule = self._setup.schedule
        if schedule is None:
            return ALL_TIME
        slot = await (schedule.usual() if self._window is None else schedule.slot(self._window))
        if slot is None:
            raise ValueError(f"board {self.name!r} has had no such season")
        return slot

    async def _ask(self, script: Script[T | Unsettled], *args: Word) -> T:
        """Ask the board to read."""
        return await ask(self._setup, await self._keys(), script, *args)

    def _rules(self, ties: Ties | None, order: Order | None) -> tuple[Order, Ties]:
        """Return by what order and by what rule for ties to read."""
        return (
            self._order if order is None else one_of(order, "order", ORDERS),
            self._setup.ties if ties is None else one_of(ties, "ties", TIES),
        )


@dataclass(frozen=True, slots=True)
class Unsettled:
    """A script's answer that the board cannot be asked, and that it did nothing but let scores lapse.

    Attributes:
        lost: Whether it is not known when its members came, on a board whose ties go by that; otherwise more
            scores have lapsed than one step takes off.
    """

    lost: bool


_UNSETTLED = {b"LAPSING": Unsettled(lost=False), b"LOST": Unsettled(lost=True)}


def settled(parse: Callable[[Reply], T]) -> Callable[[Reply], T | Unsettled]:
    """Parse a reply, unless it says that the board cannot be asked."""

    def parsed(reply: Reply) -> T | Unsettled:
        word = reply.encode() if isinstance(reply, str) else reply
        return (_UNSETTLED.get(word) if isinstance(word, bytes) else None) or parse(reply)

    return parsed


async def ask(setup: Setup, keys: Sequence[str], script: Script[T | Unsettled], *args: Word) -> T:
    """Ask a board, until no lapsed score is left that the answer could be about: a step for each 50.

    Raises:
        ValueError: The board's ties go to whoever came first, and nothing says who that was.
    """
    call = script(keys, setup.tiebreak, *args)
    while isinstance(answer := await setup.port.run(call), Unsettled):
        if answer.lost:
            raise lost(setup, keys)
    return answer


def lost(setup: Setup, keys: Sequence[str]) -> ValueError:
    """Say that a board does not know when its members came."""
    return ValueError(
        f"tiebreak='first' does not fit board {setup.name!r}: it was begun with 'name', or has lost the key "
        f"{keys[2]!r}, which says who came first; clear it, or take another name"
    )


def lifetime(ttl: Seconds | None, what: str) -> int | str:
    """Return how long a score lives in milliseconds, as the script wants it: empty for as it is."""
    return "" if ttl is None else millis(seconds(ttl, what, at_least=0.001))
