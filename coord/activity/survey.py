"""Expressions put to the server, a chunk at a time.

Reading is all that the server does: nothing is computed there, so no key is written, nothing is left
behind, and no step takes longer than it takes to read a mebibyte. The chunks travel here, and are
combined here. So bitmaps that lie in different slots, or on different nodes of a cluster, combine too.

A survey is no snapshot: what is marked meanwhile may be in it or not.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple, TypeVar, cast

from coord._engine.replies import as_int, as_rows
from coord._engine.script import Command, Script
from coord.activity.chunks import CHUNK, bits_of, offsets_in, place
from coord.activity.tracks import Bitmap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from coord._engine.port import Port
    from coord._engine.script import Reply
    from coord.activity.expressions import Expression, Leaf

__all__ = ["Survey", "has", "tally"]

T = TypeVar("T")

READ = 64
"""How many chunks are read in one step: a mebibyte."""

PAGE = 2000
"""How many entries of directories are read in one step, of all bitmaps together."""


def _lists(reply: Reply) -> list[list[int]]:
    rows = cast("list[list[bytes]]", reply)
    return [[int(one) for one in row] for row in rows]


def _chunks(reply: Reply) -> list[bytes | None]:
    return cast("list[bytes | None]", as_rows(reply))


def _flags(reply: Reply) -> list[int]:
    return cast("list[int]", as_rows(reply))


_CHUNKS = Script("activity_chunks", parse=_lists, repeatable=True)
_COUNT = Script("activity_count", parse=as_int, repeatable=True)
_TEST = Script("activity_test", parse=_flags, repeatable=True)
_READ = Command("MGET", parse=_chunks, repeatable=True)


class Place(NamedTuple):
    """A chunk, and which bitmaps have anything there."""

    chunk: int
    present: list[Bitmap]


class Survey:
    """Walks over the chunks in which anyone may be, in ascending order.

    Args:
        port: Where the server is.
        expressions: What is evaluated. Their leaves are bitmaps.
    """

    def __init__(self, port: Port, expressions: Sequence[Expression]) -> None:
        self._port = port
        self._expressions = expressions
        bitmaps = _bitmaps(leaf for one in expressions for leaf in one.leaves())
        self._homes = _together(port, bitmaps, lambda bitmap: bitmap.home)
        self._ahead: deque[Place] = deque()
        self._from: int | None = 0

    async def places(self) -> list[Place]:
        """Return the next few chunks, unread; none when there are no more."""
        while not self._ahead and self._from is not None:
            await self._look_ahead(self._from)
        taken: list[Place] = []
        size = 0
        while self._ahead and (not taken or size + len(self._ahead[0].present) <= READ):
            taken.append(self._ahead.popleft())
            size += len(taken[-1].present)
        return taken

    async def _look_ahead(self, start: int) -> None:
        """Read a page of each directory, as far as the shortest of those that go on."""
        page = max(1, PAGE // sum(len(bitmaps) for bitmaps in self._homes))
        listed: dict[int, list[Bitmap]] = {}
        end: int | None = None
        for bitmaps in self._homes:
            pages = await self._port.run(_CHUNKS([one.directory for one in bitmaps], start, page))
            for bitmap, chunks in zip(bitmaps, pages, strict=True):
                for chunk in chunks:
                    listed.setdefault(chunk, []).append(bitmap)
                if len(chunks) == page:
                    end = chunks[-1] if end is None else min(end, chunks[-1])
        self._from = None if end is None else end + 1
        for chunk in sorted(listed):
            present = listed[chunk]
            if (end is None or chunk <= end) and any(one.possible(present) for one in self._expressions):
                self._ahead.append(Place(chunk, present))

    async def read(self, places: Sequence[Place]) -> list[dict[Leaf, int]]:
        """Read chunks: for each place, the bits of the bitmaps that have any."""
        found: list[dict[Leaf, int]] = [{} for _ in places]
        wanted = ((i, bitmap) for i, at in enumerate(places) for bitmap in at.present)
        for several in _together(self._port, wanted, lambda one: one[1].home):
            for start in range(0, len(several), READ):
                some = several[start : start + READ]
                keys = [bitmap.chunk(places[i].chunk) for i, bitmap in some]
                chunks = await self._port.run(_READ(keys))
                for (i, bitmap), chunk in zip(some, chunks, strict=True):
                    found[i][bitmap] = bits_of(chunk)
        return found

    async def numbers(self) -> Iterator[int] | None:
        """Return who is in the first of the expressions, a few chunks at a time; ``None`` at the end."""
        places = await self.places()
        if not places:
            return None
        found = await self.read(places)
        return self._in_first([at.chunk for at in places], found)

    def _in_first(self, chunks: Sequence[int], found: Sequence[dict[Leaf, int]]) -> Iterator[int]:
        for chunk, bits in zip(chunks, found, strict=True):
            first = chunk * CHUNK
            for offset in offsets_in(self._expressions[0].bits(bits)):
                yield first + offset


async def tally(port: Port, expressions: Sequence[Expression]) -> list[int]:
    """Count who is in each of several expressions, in one pass over their chunks."""
    totals = [0] * len(expressions)
    survey = Survey(port, expressions)
    computed = not (len(expressions) == 1 and isinstance(expressions[0], Bitmap))
    while places := await survey.places():
        if not computed:
            keys = [bitmap.chunk(at.chunk) for at in places for bitmap in at.present]
            totals[0] += await port.run(_COUNT(keys))
            continue
        for bits in await survey.read(places):
            for i, one in enumerate(expressions):
                totals[i] += one.bits(bits).bit_count()
    return totals


async def has(port: Port, expression: Expression, number: int) -> bool:
    """Say whether an id is in an expression, by reading one bit of each of its bitmaps."""
    chunk, offset = place(number)
    found: dict[Leaf, int] = {}
    for bitmaps in _together(port, _bitmaps(expression.leaves()), lambda bitmap: bitmap.home):
        keys = [bitmap.chunk(chunk) for bitmap in bitmaps]
        flags = await port.run(_TEST(keys, offset))
        found.update(zip(bitmaps, flags, strict=True))
    return bool(expression.bits(found))


def _together(port: Port, items: Iterable[T], home: Callable[[T], str]) -> list[list[T]]:
    """Put together what one call may touch: on a cluster, what is of one activity."""
    groups: dict[str, list[T]] = {}
    for one in items:
        groups.setdefault("" if port.one_slot() else home(one), []).append(one)
    return list(groups.values())


def _bitmaps(leaves: Iterable[Leaf]) -> Iterator[Bitmap]:
    for leaf in dict.fromkeys(leaves):
        assert isinstance(leaf, Bitmap)  # noqa: S101  # what has been resolved
        yield leaf
