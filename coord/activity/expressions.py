"""The algebra of cohorts: expressions over bitmaps, evaluated a chunk at a time.

An expression is a tree. Its leaves are bitmaps, or what will turn into bitmaps once "now" is known
(``graft``). It is asked two things of each chunk: whether anyone *may* be in it, given which leaves have
anything there, and who is, given their bits. There are three kinds of nodes, for "and" and "or" are the
ends of one scale: in all of them, and in at least one of them.

"And not" is a node of its own, since a complement by itself has no end: who is "not active" among all ids
that might exist? ``a - b`` needs no such universe, and is right whatever the lengths of the two.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

__all__ = ["AtLeast", "Expression", "Leaf", "OddlyMany", "Without", "every", "odd", "some"]


class Expression(ABC):
    """A set of ids, said in terms of other sets."""

    @abstractmethod
    def leaves(self) -> Iterator[Leaf]:
        """Walk over what it is made of; one leaf may come more than once."""

    @abstractmethod
    def possible(self, present: Collection[Leaf]) -> bool:
        """Say whether anyone may be in it, if of its leaves only those ``present`` have anyone."""

    @abstractmethod
    def bits(self, found: Mapping[Leaf, int]) -> int:
        """Evaluate it; a leaf that was not found is empty."""

    @abstractmethod
    def graft(self, onto: Callable[[Leaf], Expression]) -> Expression:
        """Put another expression in the place of each leaf."""


class Leaf(Expression):
    """A set that is found, and not computed. Hashable."""

    def leaves(self) -> Iterator[Leaf]:
        yield self

    def possible(self, present: Collection[Leaf]) -> bool:
        return self in present

    def bits(self, found: Mapping[Leaf, int]) -> int:
        return found.get(self, 0)

    def graft(self, onto: Callable[[Leaf], Expression]) -> Expression:
        return onto(self)


@dataclass(frozen=True, slots=True)
class AtLeast(Expression):
    """Who is in at least so many of several sets: 1 is their union, all of them their intersection."""

    least: int
    parts: tuple[Expression, ...]

    def leaves(self) -> Iterator[Leaf]:
        for part in self.parts:
            yield from part.leaves()

    def possible(self, present: Collection[Leaf]) -> bool:
        return sum(part.possible(present) for part in self.parts) >= self.least

    def bits(self, found: Mapping[Leaf, int]) -> int:
        each = [part.bits(found) for part in self.parts]
        if self.least == 1:
            return reduce(int.__or__, each)
        if self.least == len(each):
            return reduce(int.__and__, each)
        return _in_at_least(self.least, each)

    def graft(self, onto: Callable[[Leaf], Expression]) -> Expression:
        return AtLeast(self.least, tuple(part.graft(onto) for part in self.parts))


@dataclass(frozen=True, slots=True)
class OddlyMany(Expression):
    """Who is in an odd number of several sets; of two sets, who is in just one."""

    parts: tuple[Expression, ...]

    def leaves(self) -> Iterator[Leaf]:
        for part in self.parts:
            yield from part.leaves()

    def possible(self, present: Collection[Leaf]) -> bool:
        return any(part.possible(present) for part in self.parts)

    def bits(self, found: Mapping[Leaf, int]) -> int:
        return reduce(int.__xor__, (part.bits(found) for part in self.parts))

    def graft(self, onto: Callable[[Leaf], Expression]) -> Expression:
        return OddlyMany(tuple(part.graft(onto) for part in self.parts))


@dataclass(frozen=True, slots=True)
class Without(Expression):
    """Who is in one set and not in another."""

    whole: Expression
    less: Expression

    def leaves(self) -> Iterator[Leaf]:
        yield from self.whole.leaves()
        yield from self.less.leaves()

    def possible(self, present: Collection[Leaf]) -> bool:
        return self.whole.possible(present)

    def bits(self, found: Mapping[Leaf, int]) -> int:
        return self.whole.bits(found) & ~self.less.bits(found)

    def graft(self, onto: Callable[[Leaf], Expression]) -> Expression:
        return Without(self.whole.graft(onto), self.less.graft(onto))


def some(left: Expression, right: Expression) -> Expression:
    """Unite. A chain of unions stays one node, so that a long one does not nest deeply."""
    return AtLeast(1, (*_parts(left, least=1), *_parts(right, least=1)))


def every(left: Expression, right: Expression) -> Expression:
    """Intersect; a chain stays one node here too."""
    parts = (*_parts(left), *_parts(right))
    return AtLeast(len(parts), parts)


def odd(left: Expression, right: Expression) -> Expression:
    """Take who is in just one; a chain stays one node here too."""
    return OddlyMany(
        tuple(part for one in (left, right) for part in (one.parts if isinstance(one, OddlyMany) else (one,)))
    )


def _parts(one: Expression, least: int | None = None) -> tuple[Expression, ...]:
    if isinstance(one, AtLeast) and one.least == (len(one.parts) if least is None else least):
        return one.parts
    return (one,)


def _in_at_least(least: int, each: Sequence[int]) -> int:
    """Count, for all ids at once, in how many sets they are, and compare.

    Plane ``i`` holds bit ``i`` of every id's count: adding a set to the counts is a ripple-carry adder
    whose wires are as wide as a chunk, so n sets take O(n log n) operations on whole chunks.
    """
    planes = [0] * len(each).bit_length()
    for carry in each:
        for place, plane in enumerate(planes):
            planes[place], carry = plane ^ carry, plane & carry  # noqa: PLW2901  # the carry travels on
    more, equal = 0, reduce(int.__or__, each)
    for place in reversed(range(len(planes))):
        if least >> place & 1:
            equal &= planes[place]
        else:
            more |= equal & planes[place]
            equal &= ~planes[place]
    return more | equal
