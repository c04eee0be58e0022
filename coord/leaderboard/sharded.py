"""A board too large for one server: many boards, read as one."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from coord._engine.checks import integer
from coord._engine.port import all_of
from coord.leaderboard.reads import AsyncReads, Counts, Page
from coord.leaderboard.scores import exact, member_bytes, spelled
from coord.leaderboard.shards import Shards, Stretch
from coord.leaderboard.submits import checked_rows
from coord.leaderboard.upkeep import AsyncUpkeep

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping, Sequence

    from coord._engine.checks import Seconds
    from coord.leaderboard.base import Setup
    from coord.leaderboard.scores import Entry, Keep, Order, Rank, Submission, Ties
    from coord.leaderboard.shards import Tally

__all__ = ["AsyncShardedLeaderboard"]

MOST_BOUNDS = 100
"""Bounds of a histogram: what one script counts for (``PLACES``)."""


class AsyncShardedLeaderboard(AsyncReads, AsyncUpkeep):
    """Ranks more members than one server should hold. Made by ``sharded_leaderboard()``.

    The members are spread over shards by a hash of their names. Each shard is a board with keys of its own,
    on whichever node of a cluster those belong to. A submission goes to one shard. What is read is what a
    board without shards would say, exact in every count, rank and percentile, as long as nobody submits
    meanwhile; where the methods speak of one round trip, it is one to each shard, all under way together.

    Guarantees: each shard is a board with all the guarantees of a board. **Nothing is atomic across
    shards.** A read asks them at slightly different moments, some reads in several rounds, so while scores
    move a rank may be off by as many members as have crossed it in between, a row may show where it stood
    a moment ago, and a page may repeat a row or lack one. A member has one shard and so one score, each score
    returned was the member's at some moment of the read, and the rows of one answer stand in order.

    Not offered: ``ties="dense"``, since distinct scores do not add up over shards; ``tiebreak="first"``,
    since the shards' servers have no common clock; periods, ``overtaken``, snapshots, merges.

    Complexity: with s shards of n members, O(s log n) for a rank, a count or a percentile; for n rows of a
    page s · n are read. Rows deep in the board (``page``, ``at``, ``score_at``, ``by_score`` with a large
    ``skip``) take 3 to 6 rounds more, to find where they begin; ``scroll`` and ``around`` do not.
    """

    def __init__(self, setup: Setup, shards: int) -> None:
        _additive(setup.ties)
        super().__init__(replace(setup, kind="shard"))
        self._shards = Shards(self._setup, shards)

    async def submit(
        self,
        member: str,
        score: float,
        *,
        keep: Keep | None = None,
        meta: str | None = None,
        ttl: Seconds | None = None,
    ) -> Submission:
        """Give a member a score, and count its ranks.

        Args:
            member: Who.
            score: A finite number that a double can hold exactly.
            keep: As for a board without shards.
            meta: As for a board without shards.
            ttl: As for a board without shards.

        Returns:
            The score that stays, whether it changed, and the ranks after and before. Both ranks are counted
            just after the score was taken, so that what lies between them is this member's doing alone.

        Raises:
            TypeError: ``member`` or ``meta`` is not a ``str``, or ``score`` not a number.
            ValueError: A double cannot hold the score or the sum. Nothing was changed.

        Complexity: O(log n) on the member's shard, then O(log n) on each. ``store`` asks for no ranks.
        """
        metas = None if meta is None else {member: meta}
        return (await self.submit_many({member: score}, keep=keep, meta=metas, ttl=ttl))[member]

    async def submit_many(
        self,
        scores: Mapping[str, float],
        *,
        keep: Keep | None = None,
        meta: Mapping[str, str] | None = None,
        ttl: Seconds | None = None,
    ) -> dict[str, Submission]:
        """Give many members a score each, and count their ranks.

        Args:
            scores: A score for each member.
            keep: As for ``submit``.
            meta: That of some of these members.
            ttl: As for ``submit``.

        Returns:
            By member, as ``submit`` returns it; all ranks are counted after all scores were taken.

        Raises:
            TypeError: As for ``submit``.
            ValueError: As for ``submit``; scores of other shards may have been taken.

        Complexity: O(log n) a member on its shard, then O(log n) a member on each shard.
        """
        done = await self._submitted(scores, keep, meta, ttl)
        moved = {who: one.previous_score for who, one in done.items() if one.changed}
        olds = {who: old for who, old in moved.items() if old is not None}
        places = [(one.score, who) for who, one in done.items()] + [(old, who) for who, old in olds.items()]
        tallies = await self._shards.tally(self._order, places)
        befores = dict(zip(olds, tallies[len(done) :], strict=True))
        ranked: dict[str, Submission] = {}
        for (who, one), tally in zip(done.items(), tallies, strict=False):
            rank = before = self._rank(tally)
            if who in befores:
                before = self._rank_before(olds[who], one.score, befores[who])
            known = one.previous_score is not None
            ranked[who] = replace(one, rank=rank, previous_rank=before if known else None)
        return ranked

    async def store(
        self,
        scores: Mapping[str, float],
        *,
        keep: Keep | None = None,
        meta: Mapping[str, str] | None = None,
        ttl: Seconds | None = None,
    ) -> dict[str, float]:
        """Give members a score each and ask for no ranks, so that nothing but their shards is touched.

        Args:
            scores: As for ``submit_many``.
            keep: As for ``submit_many``.
            meta: As for ``submit_many``.
            ttl: As for ``submit_many``.

        Returns:
            The score that stays, by member.

        Raises:
            TypeError: As for ``submit_many``.
            ValueError: As for ``submit_many``.

        Complexity: O(log n) a member, in scripts of up to 100 of a shard's members.
        """
        return {who: one.score for who, one in (await self._submitted(scores, keep, meta, ttl)).items()}

    async def score(self, member: str) -> float | None:
        """Return a member's score, or ``None`` if it is not on the board. O(log n), on its shard alone."""
        return await self._shards.boards[self._shards.home(member_bytes(member))].score(member)

    async def histogram(self, *bounds: float) -> list[int]:
        """Count the members between scores, exactly.

        Args:
            *bounds: Up to 100 scores, each greater than the one before.

        Returns:
            How many score less than the first bound, then for each bound how many score that or more, but
            less than the next bound: one number more than there are bounds.

        Raises:
            ValueError: The bounds do not grow, or are too many or none.

        Complexity: O(b log n) on each shard for b bounds, one round trip.
        """
        edges = [exact(one, "a bound") for one in bounds]
        if not 1 <= len(edges) <= MOST_BOUNDS or sorted(set(edges)) != edges:
            raise ValueError(f"bounds must be 1 to {MOST_BOUNDS} scores, each greater than the one before")
        shards = await self._shards.tallies("asc", [(edge, "") for edge in edges])
        less = [sum(one) for one in zip(*([t.better for t in tallies] for _, tallies in shards), strict=True)]
        total = sum(total for total, _ in shards)
        return [upto - below for below, upto in pairwise([0, *less, total])]

    async def remove(self, *members: str) -> int:
        """Take members off the board, with their meta; return how many were on it. O(log n) a member."""
        homes = self._shards.by_home([member_bytes(one) for one in members])
        flows = [
            self._shards.boards[home].remove(*(one.decode() for one in part)) for home, part in homes.items()
        ]
        return sum(await all_of(self._port, flows))

    async def set_meta(self, member: str, meta: str | None) -> bool:
        """Change the meta of a member; say whether it is on the board. O(log n), one round trip."""
        return await self._shards.boards[self._shards.home(member_bytes(member))].set_meta(member, meta)

    async def trim(self, best: int) -> int:
        """Take everyone off but the best so many.

        It is settled at the begin how many stay on each shard; if scores move meanwhile, these are not quite
        the best of all.

        Returns:
            How many were taken off.

        Complexity: O(log n) for each of them, in slices of 50.
        """
        leave = integer(best, "best", at_least=0)
        going = (await self._shards.stretch(self._order, leave, 1)).rows
        if not going:
            return 0
        shards = await self._shards.tallies(self._order, [(going[0].score, going[0].member)])
        flows = [
            board.trim(tally.better + tally.preceding)
            for board, (_, (tally,)) in zip(self._shards.boards, shards, strict=True)
        ]
        return sum(await all_of(self._port, flows))

    async def purge(self) -> int:
        """Take those off whose scores have lapsed; return how many. O(log n) for each, in slices of 50."""
        return sum(await all_of(self._port, [board.purge() for board in self._shards.boards]))

    async def clear(self) -> None:
        """Take everyone off, one shard after the other. The servers free the memory in the background."""
        await all_of(self._port, [board.clear() for board in self._shards.boards])

    async def _submitted(
        self,
        scores: Mapping[str, float],
        keep: Keep | None,
        meta: Mapping[str, str] | None,
        ttl: Seconds | None,
    ) -> dict[str, Submission]:
        """Submit to the shards; the ranks are those on each shard."""
        metas = meta or {}
        rows = checked_rows(scores, metas)
        flows: list[Coroutine[object, None, dict[str, Submission]]] = []
        for home, part in self._shards.by_home(row[0] for row in rows).items():
            names = [member.decode() for member in part]
            own = {name: metas[name] for name in names if name in metas}
            board = self._shards.boards[home]
            flows.append(
                board.submit_many({name: scores[name] for name in names}, keep=keep, meta=own, ttl=ttl)
            )
        found: dict[str, Submission] = {}
        for one in await all_of(self._port, flows):
            found |= one
        return {who: found[who] for who in scores}

    def _rules(self, ties: Ties | None, order: Order | None) -> tuple[Order, Ties]:
        direction, rule = super()._rules(ties, order)
        return direction, _additive(rule)

    def _rank(self, tally: Tally) -> Rank:
        return _rank(self._setup.ties, tally.better, tally.level, tally.preceding)

    def _rank_before(self, old: float, new: float, tally: Tally) -> Rank:
        """Return the rank that a member would have with its old score, counted when it has the new one."""
        risen = (new > old) == (self._order == "desc")
        return _rank(self._setup.ties, tally.better - risen, tally.level + 1, tally.preceding)

    async def _look_up(self, members: Sequence[bytes], order: Order, ties: Ties) -> list[Entry | None]:
        homes = self._shards.by_home(dict.fromkeys(members))
        boards = self._shards.boards
        parts = await all_of(
            self._port, [boards[home]._look_up(part, order, "competition") for home, part in homes.items()]
        )
        rows = [row for part in parts for row in part if row is not None]
        places = [(row.score, row.member if ties == "ordinal" else "") for row in rows]
        found = {
            row.member.encode(): replace(row, rank=_rank(ties, tally.better, tally.level, tally.preceding))
            for row, tally in zip(rows, await self._shards.tally(order, places), strict=True)
        }
        return [found.get(member) for member in members]

    async def _read(self, order: Order, ties: Ties, size: int, where: str, *place: str | int | bytes) -> Page:
        found = await self._stretch(order, size, where, *place)
        rows = await self._ranked(found, order, ties)
        follows = rows and found.before + len(rows) < found.total
        return Page(rows, rows[-1].member if follows else "", found.total)

    async def _stretch(self, order: Order, size: int, where: str, *place: str | int | bytes) -> Stretch:
        shards = self._shards
        match where, place:
            case "from", (int(start),):
                return await shards.stretch(order, start, size)
            case "around", (bytes(member),):
                return await shards.around(order, member, size)
            case "score", (str(low), str(high), int(skip)):
                return await self._between(order, size, float(low), float(high), skip)
            case "end", _:
                found = await shards.rows(order, size, where, 0)
                first = max(0, len(found.rows) - size)
                return replace(found.cut(first, size), before=max(0, found.total - size))
            case _:
                return (await shards.rows(order, size, where, *place)).cut(0, size)

    async def _between(self, order: Order, size: int, low: float, high: float, skip: int) -> Stretch:
        """Read rows whose scores lie within bounds."""
        best, worst = (high, low) if order == "desc" else (low, high)
        first, last = await self._shards.tally(order, [(best, ""), (worst, "")])
        inside = last.better + last.level - first.better - skip
        if inside <= 0:
            return Stretch(0, 0, [])
        found = await self._shards.stretch(order, first.better + skip, min(size, inside))
        fits = [at for at, row in enumerate(found.rows) if low <= row.score <= high]
        return found.cut(fits[0] if fits else 0, len(fits))

    async def _ranked(self, found: Stretch, order: Order, ties: Ties) -> list[Entry]:
        """Rank rows: count for the first and the last, derive the rest."""
        rows = found.rows
        if not rows or ties == "ordinal":
            return [replace(row, rank=found.before + at + 1) for at, row in enumerate(rows)]
        first, last = rows[0].score, rows[-1].score
        better: dict[float, int] = {}
        for at, row in enumerate(rows):
            better.setdefault(row.score, found.before + at)
        level = 0
        if found.before or ties != "competition":
            edges = await self._shards.tally(order, [(first, ""), (last, "")])
            better[first] = min(better[first], edges[0].better)
            level = edges[1].level
        end = max(found.before + len(rows), better[last] + level)
        ends = [*better.values(), end]
        levels = {
            score: upto - ends[at] for at, (score, upto) in enumerate(zip(better, ends[1:], strict=True))
        }
        return [replace(row, rank=_rank(ties, better[row.score], levels[row.score])) for row in rows]

    async def _counts(self, low: str = "", high: str = "", member: bytes = b"") -> Counts | None:
        if member:
            score = await self.score(member.decode())
            if score is None:
                return None
            low = high = f"{score:.17g}"
        flows = [board._counts(low, high) for board in self._shards.boards]
        found = [one for one in await all_of(self._port, flows) if one is not None]
        return Counts(
            sum(one.less for one in found), sum(one.same for one in found), sum(one.total for one in found)
        )

    async def _quantile(self, share: float) -> float | None:
        total = await self.len()
        if not total:
            return None
        place = total - max(1, math.ceil(share / 100 * total))
        rows = (await self._shards.stretch(self._order, place, 1)).rows
        rows = rows or (await self._stretch(self._order, 1, "end")).rows  # the board has shrunk
        return rows[0].score if rows else None


def _rank(ties: Ties, better: int, level: int, preceding: int = 0) -> Rank:
    """Make a rank of counts, as ``twice_rank`` of ``coord/lua/shared/ranks.lua`` does on one board."""
    same = max(1, level)  # the member itself, also where it has just moved on
    twice = {
        "competition": 2 * (better + 1),
        "modified": 2 * (better + same),
        "fractional": 2 * better + same + 1,
        "ordinal": 2 * (better + preceding + 1),
    }
    return spelled(twice[ties])


def _additive(ties: Ties) -> Ties:
    """Refuse the rule for ties that shards cannot follow."""
    if ties == "dense":
        raise ValueError(
            'ties="dense" is not for a sharded board: distinct scores do not add up over shards. Use '
            '"competition", "modified", "fractional" or "ordinal", or a board without shards'
        )
    return ties
