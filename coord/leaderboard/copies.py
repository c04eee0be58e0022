"""Boards made of others: merges, snapshots.

Another board may be on another slot of a cluster, or on another server, so what is made of several passes
through the client. It goes part by part, in scripts of a few milliseconds, into keys of its own, and takes
its place in one step at the end: until then readers see what was there before. The parts are read by
SCAN, by which a member that is there all the while is met, however its score moves.
"""

from __future__ import annotations

import contextlib
import math
import secrets
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Literal, get_args

from coord._engine.checks import MAX_EXACT, millis, one_of, seconds
from coord._engine.keys import escape
from coord._engine.replies import as_int, as_rows, nothing, text
from coord._engine.script import Command, Script
from coord.leaderboard.base import BoardFlow, ask, settled
from coord.leaderboard.schedule import ALL
from coord.leaderboard.scores import exact, member_bytes, spelled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coord._engine.checks import Seconds
    from coord._engine.script import Reply
    from coord.leaderboard.base import Setup
    from coord.leaderboard.board import AsyncLeaderboard, AsyncPeriodBoard
    from coord.leaderboard.scores import Order, Rank, Ties

__all__ = ["AsyncMerges", "AsyncSnapshots", "Combine", "How", "Movement"]

Combine = Literal["sum", "min", "max", "count"]
"""How the scores of one member become one."""

How = Literal["union", "intersection"]
"""Who is on a merged board: whoever is on any of its sources, or on all of them."""

COMBINES: tuple[Combine, ...] = get_args(Combine)
HOWS: tuple[How, ...] = get_args(How)
PART = 100
"""Members that travel at once, about: a script that loads so many takes a millisecond."""

UNFINISHED = 600.0
"""Seconds that a copy lives which nobody finishes: more than the pause of any process between two of its
parts."""

UNKNOWN_TIME = "0" * 16
"""The digits of when a score was reached that no board knows: before all others."""

DAY = 86_400.0
"""Seconds."""

MEMBERS = 250
"""Members that one script looks up or compares, in a few milliseconds."""


@dataclass(frozen=True, slots=True)
class Movement:
    """How a member's rank has changed since a snapshot.

    Attributes:
        member: Who.
        rank: Its rank now; ``None`` if it is not on the board.
        previous_rank: Its rank then; ``None`` if it was not.
        up: By how much it has risen, negative if it has fallen; ``None`` unless it was there both times.
        since: When the snapshot was taken, in seconds since the epoch.
    """

    member: str
    rank: Rank | None
    previous_rank: Rank | None
    up: Rank | None
    since: float


@dataclass(frozen=True, slots=True)
class _Kept:
    """A member as a board keeps it: its score, when that was reached if that is kept, and its meta."""

    score: float
    reached: str
    meta: bytes | None


def _dumped(reply: Reply) -> tuple[str, dict[bytes, _Kept]]:
    words = as_rows(reply)
    members: dict[bytes, _Kept] = {}
    for at in range(1, len(words), 4):
        member, score, reached, meta = words[at : at + 4]
        kept = _Kept(float(text(score)), text(reached), None if meta is None else text(meta).encode())
        members[text(member).encode()] = kept
    return text(words[0]), members


def _compared(reply: Reply) -> list[int] | None:
    words = as_rows(reply)
    return [int(float(text(words[0]))), *map(as_int, words[1:])] if words else None


_DUMP = Script("board_dump", parse=settled(_dumped), repeatable=True)
_LOAD = Script("board_load", parse=nothing, repeatable=True)
_SWAP = Script("board_swap", parse=as_int, repeatable=False)
_COMPARE = Script("board_compare", parse=settled(_compared), repeatable=True)
_UNLINK = Command("UNLINK", parse=nothing, repeatable=True)


class _Making:
    """A board that is made part by part, beside the one whose place it takes in the end.

    Args:
        setup: Whose keys they are.
        within: Where among its keys the new one goes.
    """

    def __init__(self, setup: Setup, within: tuple[str, ...]) -> None:
        self._port = setup.port
        self._made = setup.keys(*within, "making", secrets.token_hex(8))
        self._place = setup.keys(*within)

    async def write(self, members: dict[bytes, _Kept], tiebreak: str) -> None:
        """Write a part of its members."""
        rows = list(members.items())
        for start in range(0, len(rows), PART):
            words = [
                word
                for member, kept in rows[start : start + PART]
                for word in (
                    *(member, f"{kept.score:.17g}", kept.reached or UNKNOWN_TIME),
                    *(0 if kept.meta is None else 1, kept.meta or b""),
                )
            ]
            await self._port.run(_LOAD(self._made, tiebreak, millis(UNFINISHED), *words))

    async def finish(self, ttl: int | str = "", *, taken: bool = False) -> int:
        """Put it in its place for ``ttl`` milliseconds, or for ever; return how many members it has.

        Args:
            ttl: Empty for ever.
            taken: Whether to note when that was.
        """
        return await self._port.run(_SWAP([*self._made, *self._place], ttl, int(taken)))

    async def abandon(self) -> None:
        """Leave nothing of it."""
        with contextlib.suppress(Exception):
            await self._port.finish(self._port.run(_UNLINK(self._made)))


async def _parts(board: BoardFlow, cursor: str) -> tuple[str, dict[bytes, _Kept]]:
    return await board._ask(_DUMP, cursor, PART)


class AsyncMerges(BoardFlow):
    """How a board is made of others."""

    async def merge(
        self,
        *sources: AsyncLeaderboard | AsyncPeriodBoard,
        weights: Sequence[float] | None = None,
        combine: Combine = "sum",
        how: How = "union",
    ) -> int:
        """Fill this board with what others hold together; what it held before is replaced at the end.

        Scores are read while they may move: each member counts with what it had on each board at the
        moment at which it was read. Meta comes from the first source that has one. On a board whose ties
        go to whoever came first, a summed or counted score was reached when the last of its parts was,
        and a chosen one when that was. Scores that lapse are not merged once they have, and do not lapse
        here.

        Args:
            sources: Boards of any kind, on any server; this one may be among them.
            weights: What each source's scores are multiplied by; ``None`` for 1.
            combine: ``"sum"``, ``"min"`` or ``"max"`` of a member's scores, or ``"count"`` of the boards
                that it is on.
            how: ``"union"`` of the members, or ``"intersection"``: only those who are on every source.

        Returns:
            How many members the board has now.

        Raises:
            TypeError: A source is no board, or a weight no number.
            ValueError: This board has periods, there are no sources, or not one weight for each; or a
                double cannot hold a combined score. Then the board is as it was.

        Complexity: O(n log n) for n members in all, in parts of about 100; n further reads for each source.
        """
        one_of(combine, "combine", COMBINES)
        one_of(how, "how", HOWS)
        factors = _factors(sources, weights, combine)
        if self._setup.schedule is not None:
            raise ValueError(f"board {self.name!r} has periods; merge into a board that has none")
        scanned = list(enumerate(sources))
        if how == "intersection":
            lengths = [await source.len() for source in sources]
            scanned = [scanned[lengths.index(min(lengths))]]

        making = _Making(self._setup, ())
        try:
            for number, source in scanned:
                cursor = "0"
                while True:
                    cursor, part = await _parts(source, cursor)
                    found = [
                        part if other == number else await _look_up(one, list(part))
                        for other, one in enumerate(sources)
                    ]
                    members = _combined(found, factors, combine, whole=how == "intersection")
                    await making.write(members, self._setup.tiebreak)
                    if cursor == "0":
                        break
            return await making.finish()
        except BaseException:
            await making.abandon()
            raise


async def _look_up(board: BoardFlow, members: Sequence[bytes]) -> dict[bytes, _Kept]:
    found: dict[bytes, _Kept] = {}
    for start in range(0, len(members), MEMBERS):
        words = members[start : start + MEMBERS]
        found |= (await board._ask(_DUMP, "", 0, *words))[1]
    return found


def _factors(sources: Sequence[BoardFlow], weights: Sequence[float] | None, combine: str) -> Sequence[float]:
    if not sources:
        raise ValueError("merge must be given at least one board")
    for source in sources:
        if not isinstance(source, AsyncSnapshots):  # what all boards are but a sharded one
            raise TypeError(f"a source must be a board of the same flavour, not {type(source).__name__}")
    if weights is None:
        return [1.0] * len(sources)
    if combine == "count":
        raise ValueError('weights have no meaning for combine="count"')
    if len(weights) != len(sources):
        raise ValueError(f"weights must be one for each of the {len(sources)} boards, not {len(weights)}")
    return [exact(weight, "a weight") for weight in weights]


def _combined(
    found: Sequence[dict[bytes, _Kept]], factors: Sequence[float], combine: str, *, whole: bool
) -> dict[bytes, _Kept]:
    """Combine what several boards hold about members; with ``whole``, only of members on all of them."""
    together: dict[bytes, _Kept] = {}
    for member in dict.fromkeys(member for one in found for member in one):
        parts = [(one[member], factor) for one, factor in zip(found, factors, strict=True) if member in one]
        if whole and len(parts) < len(found):
            continue
        score, reached = _score(member, parts, combine)
        meta = next((kept.meta for kept, _ in parts if kept.meta is not None), None)
        together[member] = _Kept(score, reached, meta)
    return together


def _score(member: bytes, parts: Sequence[tuple[_Kept, float]], combine: str) -> tuple[float, str]:
    latest = max(kept.reached for kept, _ in parts)
    if combine == "count":
        return float(len(parts)), latest
    products = [
        kept.score if factor == 1 else Fraction(kept.score) * Fraction(factor) for kept, factor in parts
    ]
    if combine == "sum":
        return _double(member, _sum(products)), latest
    chosen = min(products) if combine == "min" else max(products)
    reached = min(kept.reached for (kept, _), one in zip(parts, products, strict=True) if one == chosen)
    return _double(member, chosen), reached


def _sum(numbers: Sequence[float | Fraction]) -> float | Fraction:
    """Add numbers exactly, or to the nearest double if that is certain to lose no whole point."""
    if len(numbers) == 1:
        return numbers[0]
    if all(isinstance(one, float) and abs(one) < MAX_EXACT for one in numbers):
        rounded = math.fsum(numbers)
        if abs(rounded) < MAX_EXACT:
            return rounded
    return sum((Fraction(one) for one in numbers), Fraction())


def _double(member: bytes, score: float | Fraction) -> float:
    """Return a combined score as a double, rounded like any fraction but never by whole points."""
    try:
        double = float(score)
    except OverflowError:
        double = math.inf
    if math.isinf(double) or (abs(double) >= MAX_EXACT and double != score):
        raise ValueError(
            f"the combined score of {member.decode()!r} cannot be held by a double; use smaller weights"
        )
    return double + 0.0


class AsyncSnapshots(BoardFlow):
    """How a board is compared with what it was."""

    async def snapshot(self, label: str, *, ttl: Seconds = 8 * DAY) -> int:
        """Remember how the board stands, for ``movement`` to compare with.

        A snapshot of a period serves in the periods of its kind that follow: today's ranks can be compared
        with those of yesterday's board. Each kind of period has its own snapshot of a name.

        It is taken part by part. Of a board that changes meanwhile it is not one moment: each member is
        in it with a score that it had at some time while it was taken.

        Args:
            label: What to call it: ``"yesterday"``, or a date. An older one of this name is replaced.
            ttl: How long to keep it; 8 days unless you say otherwise.

        Returns:
            How many members are in it.

        Complexity: O(n log n), in parts of about 100. It takes about as much memory as the board.
        """
        lives = millis(seconds(ttl, "ttl", at_least=0.001))
        within = _labelled(label, (await self._slot()).kind)

        making = _Making(self._setup, within)
        try:
            cursor = "0"
            while True:
                cursor, part = await _parts(self, cursor)
                members = {who: _Kept(kept.score, kept.reached, None) for who, kept in part.items()}
                timed = any(kept.reached for kept in members.values())
                await making.write(members, "first" if timed else "name")
                if cursor == "0":
                    break
            return await making.finish(lives, taken=True)
        except BaseException:
            await making.abandon()
            raise

    async def movement(
        self, *members: str, snapshot: str, ties: Ties | None = None, order: Order | None = None
    ) -> list[Movement]:
        """Compare ranks with those of a snapshot: "up 3 since yesterday".

        Args:
            *members: Who. Up to 250 are one round trip; more go in slices.
            snapshot: Its label.
            ties: As for ``rank``.
            order: As for ``rank``.

        Returns:
            One for each member, in the order in which they were given.

        Raises:
            ValueError: There is no such snapshot, or no longer.

        Complexity: O(log n) a member.
        """
        rules = self._rules(ties, order)
        escape(snapshot, "a snapshot's label")
        words = [member_bytes(one) for one in members]
        slot = await self._slot()
        keys = [*self._setup.keys(*slot.within), *self._setup.keys(*_labelled(snapshot, slot.kind))]
        moved: list[Movement] = []
        for start in range(0, max(1, len(words)), MEMBERS):
            asked = words[start : start + MEMBERS]
            ranks = await ask(self._setup, keys, _COMPARE, *rules, *asked)
            if ranks is None:
                raise ValueError(f"board {self.name!r} must have a snapshot {snapshot!r}, and has none")
            moved += [
                _movement(who.decode(), ranks[2 * n + 1], ranks[2 * n + 2], ranks[0] / 1_000_000)
                for n, who in enumerate(asked)
            ]
        return moved


def _labelled(label: str, kind: str) -> tuple[str, ...]:
    """Say where a snapshot lies: with the kind of period, not in one, so that it serves in the next too."""
    return ("snapshot", escape(label, "a snapshot's label"), *([] if kind == ALL else [kind]))


def _movement(member: str, now: int, then: int, since: float) -> Movement:
    return Movement(
        member,
        spelled(now) if now else None,
        spelled(then) if then else None,
        spelled(then - now) if now and then else None,
        since,
    )
