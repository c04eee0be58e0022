"""Cohorts: questions about who was active, put together before they are asked."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from coord._engine.checks import instance, integer
from coord.activity.expressions import AtLeast, Expression, Leaf, Without, every, odd, some
from coord.activity.survey import Survey, has, tally

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence
    from datetime import datetime
    from typing import Self

    from coord.activity.marks import Id, Marker
    from coord.activity.tracks import Track
    from coord.periods import Choice

__all__ = ["AsyncCohort", "AsyncIds", "Chosen", "in_at_least"]

NAMED = 100
"""Text ids that one script names, in a third of a millisecond."""


@dataclass(frozen=True)
class Chosen(Leaf):
    """Who was active in at least so many of the periods chosen.

    Attributes:
        marker: Whose calendar resolves the choice.
        track: What they were marked for.
        choice: The periods.
        at_least: In how many of them.
    """

    marker: Marker
    track: Track
    choice: Choice
    at_least: int = 1

    async def resolve(self, now: datetime) -> Expression:
        """Name the bitmaps of the periods.

        Raises:
            ValueError: ``at_least`` is more than there are periods.
        """
        periods = await self.marker.calendar.resolve(self.choice, await self.marker.calendar.moment(now))
        bitmaps = tuple(self.track.bitmap(period) for period in periods)
        if self.at_least > len(bitmaps):
            raise ValueError(f"at_least={self.at_least} is more than the {len(bitmaps)} periods chosen")
        return bitmaps[0] if len(bitmaps) == 1 else AtLeast(self.at_least, bitmaps)


async def _grafted(expressions: Sequence[Expression], now: datetime) -> list[Expression]:
    """Name all the bitmaps of several expressions, by one "now"."""
    found: dict[Leaf, Expression] = {}
    for leaf in {leaf for one in expressions for leaf in one.leaves()}:
        assert isinstance(leaf, Chosen)  # noqa: S101  # what has not been resolved
        found[leaf] = await leaf.resolve(now)
    return [one.graft(found.__getitem__) for one in expressions]


class AsyncCohort:
    """Those who were active in some periods, and in the same way those of several cohorts combined.

    Made by ``cohort()`` of an activity. A cohort is a question, not an answer: it is put together without
    asking the server anything, and evaluated anew each time it is asked. ``a & b`` are those in both,
    ``a | b`` those in either, ``a - b`` those in ``a`` and not in ``b``, ``a ^ b`` those in just one, and
    ``at_least(k, a, b, ...)`` those in at least so many.

    It is evaluated a chunk at a time, in constant memory, and leaves nothing behind on the server. An
    answer is exact for marks that do not change meanwhile; it is no snapshot.
    """

    def __init__(self, marker: Marker, track: Track, expression: Expression) -> None:
        self._marker = marker
        self._track = track
        self._expression = expression

    def __repr__(self) -> str:
        leaves = len(set(self._expression.leaves()))
        return f"<{type(self).__name__} of {self._names()}, {leaves} part{'s' if leaves > 1 else ''}>"

    def _names(self) -> str:
        leaves = [leaf for leaf in self._expression.leaves() if isinstance(leaf, Chosen)]
        return ", ".join(sorted({repr(leaf.track.title) for leaf in leaves}))

    def __and__(self, other: AsyncCohort) -> AsyncCohort:
        """Name those who are in both."""
        return self._with(other, every)

    def __or__(self, other: AsyncCohort) -> AsyncCohort:
        """Name those who are in either, or in both."""
        return self._with(other, some)

    def __xor__(self, other: AsyncCohort) -> AsyncCohort:
        """Name those who are in just one of the two."""
        return self._with(other, odd)

    def __sub__(self, other: AsyncCohort) -> AsyncCohort:
        """Name those who are in this one and not in the other."""
        return self._with(other, Without)

    def _with(
        self, other: AsyncCohort, combine: Callable[[Expression, Expression], Expression]
    ) -> AsyncCohort:
        if not isinstance(other, AsyncCohort):
            return NotImplemented
        self._require_same_ids(other)
        return AsyncCohort(self._marker, self._track, combine(self._expression, other._expression))

    def _require_same_ids(self, other: AsyncCohort) -> None:
        """Refuse a cohort whose bits stand for other ids.

        Raises:
            ValueError: The two are of different servers, or of text ids that are numbered apart.
        """
        mine, theirs = self._marker, other._marker
        if mine.port is not theirs.port:
            raise ValueError(
                f"cohorts combine within one Coord: {self._names()} and {other._names()} are of two"
            )
        if mine.by_text is not theirs.by_text or (
            mine.by_text and self._track.numbers != other._track.numbers
        ):
            raise ValueError(
                f"{self._names()} and {other._names()} number their ids apart: text ids combine within "
                "one activity, whose event() marks different things"
            )

    def __aiter__(self) -> AsyncIterator[Id]:
        """Walk over their ids: numbers in ascending order, text ids in order of first appearance.

        In constant memory: a few chunks are read at a time, and 100 text ids.
        """
        return AsyncIds(self)

    async def count(self) -> int:
        """Count them. Exact.

        Complexity: O(chunks) bitmaps of 16 KiB each, read up to 64 at a time; those of a single period
        are counted on the server and not read.
        """
        return (await self._tally([self]))[0]

    async def is_active(self, one: Id) -> bool:
        """Say whether an id is one of them.

        Complexity: O(periods), in one call; with text ids, in two.
        """
        number = await self._marker.number(self._track, one)
        if number is None:
            return False
        return await has(self._marker.port, await self._resolved(), number)

    async def _resolved(self) -> Expression:
        now = await self._marker.calendar.moment(None)
        return (await _grafted([self._expression], now))[0]

    async def _tally(self, cohorts: Sequence[AsyncCohort]) -> list[int]:
        """Count several cohorts in one pass, by one "now"."""
        now = await self._marker.calendar.moment(None)
        expressions = await _grafted([one._expression for one in cohorts], now)
        return await tally(self._marker.port, expressions)


class AsyncIds:
    """Walks over the ids of a cohort, a batch at a time."""

    def __init__(self, cohort: AsyncCohort) -> None:
        self._cohort = cohort
        self._survey: Survey | None = None
        self._numbers: Iterator[int] = iter(())
        self._batch: Iterator[Id] = iter(())

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Id:
        while True:
            for one in self._batch:
                return one
            batch = await self.batch()
            if batch is None:
                raise StopAsyncIteration
            self._batch = iter(batch)

    async def batch(self) -> Sequence[Id] | None:
        """Return the next ids; ``None`` at the end."""
        cohort = self._cohort
        if self._survey is None:
            self._survey = Survey(cohort._marker.port, [await cohort._resolved()])
        while True:
            numbers = list(islice(self._numbers, NAMED))
            if numbers:
                return await cohort._marker.names(cohort._track, numbers)
            more = await self._survey.numbers()
            if more is None:
                return None
            self._numbers = more


def in_at_least(least: int, cohorts: Sequence[AsyncCohort]) -> AsyncCohort:
    """Name those who are in at least so many of several cohorts.

    Raises:
        ValueError: There are no cohorts, they do not combine, or they are fewer than ``least``.
    """
    if not cohorts:
        raise ValueError("at_least() needs at least one cohort")
    integer(least, "least", at_least=1, at_most=len(cohorts))
    first = cohorts[0]
    for other in cohorts:
        instance(other, AsyncCohort, "a cohort")
        first._require_same_ids(other)
    return AsyncCohort(first._marker, first._track, AtLeast(least, tuple(one._expression for one in cohorts)))
