"""How marks are made and taken back: ids cut into calls that each stay short.

A call names every key that it touches, so ids are sorted by chunk and cut where a call would touch too many
chunks, or set too many bits, to be done within about a millisecond. Where many ids fall into one chunk they
are sent as a bitmap, which the server merges in microseconds.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Literal, TypeVar, cast, get_args

from coord._engine.checks import id_bytes, integer, one_of
from coord._engine.port import run_all
from coord._engine.replies import as_rows, nothing
from coord._engine.script import Script
from coord.activity.chunks import CHUNK, MAX_ID, packed, place
from coord.activity.numbers import Hints, names_of, numbers_of
from coord.periods import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from coord._engine.port import Port
    from coord._engine.script import Call, Reply, Word
    from coord.activity.tracks import Track
    from coord.periods import Calendar, Instant, Period, PeriodKind

__all__ = ["Id", "Ids", "Marker"]

Id = str | int | bytes
"""An id: a number, or with ``ids="text"`` any of these."""

Ids = Literal["int", "text"]
"""What the ids of an activity are."""

BITS = 400
"""Bits that one script sets, in less than a millisecond."""

BITMAPS = 24
"""Chunks that one script touches, in less than a millisecond."""

GUESSED = 5000
"""Text ids whose chunks are guessed by what is known beforehand; then the next, by what those have taught."""

DENSE = 128
"""Ids in one chunk from which on they travel as a bitmap of up to 16 KiB, merged in 40 microseconds: one by
one they would be a kilobyte, and a third of a millisecond of the server."""


def _numbers(reply: Reply) -> list[int]:
    return cast("list[int]", as_rows(reply))


_MARK = Script("activity_mark", parse=_numbers, repeatable=True)
_MERGE = Script("activity_merge", parse=nothing, repeatable=True)
_UNMARK = Script("activity_unmark", parse=nothing, repeatable=True)


@dataclass(frozen=True, slots=True)
class _Target:
    """What one mark is about: of which track, in which periods, behind which gate."""

    track: Track
    periods: Sequence[Period]
    lifetimes: Sequence[int]
    gate: Track | None

    def most(self) -> tuple[int, int]:
        """Say how many ids one call may mark, and in how many chunks, to be done within a millisecond."""
        bitmaps = len(self.periods) * (1 if self.gate is None else 2)
        return BITS // (2 + bitmaps), max(1, BITMAPS // bitmaps)

    def mark(self, chunks: Sequence[int], words: Iterable[Word], size: int) -> Call[list[int]]:
        tracks = [self.track] if self.gate is None else [self.track, self.gate]
        bitmaps = [[track.bitmap(period) for period in self.periods] for track in tracks]
        keys = [self.track.numbers, *(bitmap.directory for bitmap in bitmaps[0])]
        for chunk in chunks:
            keys += [bitmap.chunk(chunk) for several in bitmaps for bitmap in several]
        head = (len(self.periods), len(chunks), int(self.gate is not None), size)
        return _MARK(keys, *head, " ".join(map(str, self.lifetimes)), *chunks, *words)

    def merge(self, chunk: int, offsets: Iterable[int]) -> Call[None]:
        bitmaps = [self.track.bitmap(period) for period in self.periods]
        keys = [
            self.track.scratch,
            *(bitmap.directory for bitmap in bitmaps),
            *(bitmap.chunk(chunk) for bitmap in bitmaps),
        ]
        return _MERGE(keys, chunk, packed(offsets), *self.lifetimes)


class Marker:
    """Marks ids of one activity: numbers as they are, or text ids by their numbers.

    Args:
        port: Where the server is.
        calendar: The periods that are kept.
        ids: ``"int"`` or ``"text"``.
    """

    def __init__(self, port: Port, calendar: Calendar, ids: Ids) -> None:
        self.port = port
        self.calendar = calendar
        self.by_text = one_of(ids, "ids", get_args(Ids)) == "text"
        self._hints = Hints(port)

    def check(self, one: Id) -> bytes | int:
        """Refuse what is no id, before anything is sent."""
        if self.by_text:
            return id_bytes(one)
        return integer(cast("int", one), 'an id (with ids="int")', at_least=0, at_most=MAX_ID)

    async def number(self, track: Track, one: Id) -> int | None:
        """Return the number of an id; ``None`` for a text id that was never marked."""
        checked = self.check(one)
        if isinstance(checked, int):
            return checked
        return (await numbers_of(self.port, track.numbers, [checked]))[0]

    async def names(self, track: Track, numbers: Sequence[int]) -> Sequence[Id]:
        """Return the ids that have certain numbers."""
        return await names_of(self.port, track.numbers, numbers) if self.by_text else numbers

    async def mark(
        self, track: Track, ids: Sequence[Id], at: Instant | None, gate: Track | None = None
    ) -> None:
        """Mark ids in every period kept; behind a gate, those only whose bit the gate has."""
        checked = dict.fromkeys(self.check(one) for one in ids)
        self.calendar.check(at)
        if not checked:
            return
        periods = self.calendar.around(await self.calendar.moment(at))
        target = _Target(track, periods, self.calendar.lifetimes(periods), gate)
        if self.by_text:
            await self._mark_text(target, cast("list[bytes]", list(checked)))
        else:
            await self._mark_numbers(target, sorted(cast("list[int]", list(checked))))

    async def _mark_numbers(self, target: _Target, numbers: Sequence[int]) -> None:
        merges: list[Call[None]] = []
        marks: list[Call[list[int]]] = []
        sparse: list[int] = []
        for chunk, members in groupby(numbers, lambda number: number // CHUNK):
            ids = list(members)
            if len(ids) >= DENSE and target.gate is None:
                merges.append(target.merge(chunk, (number % CHUNK for number in ids)))
            else:
                sparse += ids
        placed = [place(number) for number in sparse]
        for some in _slices(placed, *target.most()):
            sizes = Counter(chunk for chunk, _ in some)
            words = (*sizes.values(), *(offset for _, offset in some))
            marks.append(target.mark(list(sizes), words, 0))
        await run_all(self.port, merges)
        await run_all(self.port, marks)

    async def _mark_text(self, target: _Target, words: Sequence[bytes]) -> None:
        for start in range(0, len(words), GUESSED):
            some = words[start : start + GUESSED]  # and then guess better: new ids may have filled a chunk
            await self._mark_guessed(target, [(self._hints.chunks(word), word) for word in some])

    async def _mark_guessed(self, target: _Target, guessed: list[tuple[tuple[int, ...], bytes]]) -> None:
        guessed.sort(key=lambda one: one[0])  # and no further: new ids are numbered as they came
        slices = list(_slices(guessed, *target.most()))
        declared = [sorted({chunk for chunks, _ in some for chunk in chunks}) for some in slices]
        several = [[word for _, word in some] for some in slices]
        calls = [target.mark(chunks, some, CHUNK) for chunks, some in zip(declared, several, strict=True)]
        outside: list[tuple[tuple[int, ...], bytes]] = []
        for some, chunks, numbers in zip(several, declared, await run_all(self.port, calls), strict=True):
            self._hints.learn(some, numbers)
            places = [place(number)[0] for number in numbers]
            outside += [
                ((chunk,), word) for word, chunk in zip(some, places, strict=True) if chunk not in chunks
            ]
        if outside:
            await self._mark_guessed(target, outside)

    async def unmark(self, track: Track, ids: Sequence[Id], at: Instant | None) -> None:
        """Take marks back: in the shortest period, and in each longer one that has no other mark."""
        checked = dict.fromkeys(self.check(one) for one in ids)
        self.calendar.check(at)
        kinds = self.ladder()
        if not checked:
            return
        now = await self.calendar.moment(None)
        moment = now if at is None else await self.calendar.moment(at)
        numbers = cast("list[int]", list(checked))
        if self.by_text:
            found = await numbers_of(self.port, track.numbers, cast("list[bytes]", list(checked)))
            numbers = [number for number in found if number is not None]
        finest = track.bitmap(self.calendar.period(kinds[0][0], moment))
        groups = [
            [track.bitmap(one) for one in (whole, *parts)]
            for kind, shorter in kinds[1:]
            if (whole := self.calendar.period(kind, moment))
            and (parts := await self._parts(whole, shorter, now))
        ]
        sizes = [len(group) - 1 for group in groups]
        calls: list[Call[None]] = []
        for chunk, members in groupby(sorted(map(place, numbers)), lambda one: one[0]):
            offsets = [offset for _, offset in members]
            keys = [bitmap.chunk(chunk) for bitmap in (finest, *(one for group in groups for one in group))]
            step = max(1, BITS // len(keys))
            calls += [
                _UNMARK(keys, len(groups), *sizes, *offsets[start : start + step])
                for start in range(0, len(offsets), step)
            ]
        await run_all(self.port, calls)

    def ladder(self) -> list[tuple[PeriodKind, PeriodKind | None]]:
        """Return the kept kinds, short to long, each with the one whose periods make it up.

        Raises:
            ValueError: A kind is made up of no shorter one that is kept.
        """
        kept: list[PeriodKind] = [kind for kind in KINDS if kind in self.calendar.kinds]
        rungs: list[tuple[PeriodKind, PeriodKind | None]] = [(kept[0], None)]
        for i, kind in enumerate(kept[1:], 1):
            shorter: list[PeriodKind] = [one for one in kept[:i] if one != "week" or kind == "week"]
            if not shorter:
                raise ValueError(
                    f"unmark() must tell a {kind} from shorter periods that make it up, "
                    f"and of period={self.calendar.kinds!r} none does: keep days too"
                )
            rungs.append((kind, shorter[-1]))
        return rungs

    async def _parts(self, whole: Period, kind: PeriodKind | None, now: datetime) -> list[Period]:
        """Return the periods that make up a longer one; none if some of them may be forgotten by now."""
        last = whole.end - timedelta(seconds=1)
        parts = await self.calendar.resolve(self.calendar.choose(kind, since=whole.start, until=last))
        lifetimes = self.calendar.lifetimes(parts)
        ends, keeps = lifetimes[: len(parts)], lifetimes[len(parts) :]
        forgotten = any(end + keep <= now.timestamp() * 1000 for end, keep in zip(ends, keeps, strict=True))
        return [] if forgotten else parts


Placed = TypeVar("Placed", tuple[int, int], tuple[tuple[int, ...], bytes])


def _slices(placed: Sequence[Placed], most: int, most_chunks: int) -> Iterator[Sequence[Placed]]:
    """Cut what is sorted by chunk into calls of so many ids, and so many chunks."""
    start = 0
    chunks: set[object] = set()
    for end, one in enumerate(placed):
        if end - start == most or (len(chunks) == most_chunks and one[0] not in chunks):
            yield placed[start:end]
            start = end
            chunks.clear()
        chunks.add(one[0])
    if placed:
        yield placed[start:]
