"""What a counter keeps on the server, and the calls that add to it and read it."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, cast

from coord._engine.port import run_all
from coord._engine.replies import nothing
from coord._engine.script import Script
from coord.uniques.estimate import Estimate, estimate_of, exactly
from coord.uniques.sketch import Sketch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coord._engine.port import Port
    from coord._engine.script import Reply

__all__ = ["EXACT", "Content", "Part", "Store", "hash_of"]

EXACT = 512
"""Ids that one key holds exactly: what a server keeps in its compact form of a set."""

UNITED = 8192
"""Hashes of several keys that are still united exactly: in a few milliseconds of the server."""

SLICE = 600
"""Ids that are added to one key in one step, or half as many to two: for most of a millisecond."""

MOST_KEYS = 5000
"""Keys in one read: about what Lua's unpack() takes, and a few dozen milliseconds of the server."""

_IDLE = 86_400_000
"""Milliseconds that the roll-up of nothing is kept: a day. All others live as long as their periods."""


def _answers(reply: Reply) -> tuple[list[int], list[tuple[bool, Reply]]]:
    missing, answers = cast("tuple[list[int], list[tuple[int, Reply]]]", reply)
    return missing, [(bool(exact), value) for exact, value in answers]


_ADD = Script("unique_add", parse=nothing, repeatable=True)
_READ = Script("unique_read", parse=_answers, repeatable=True)
_ROLL = Script("unique_roll", parse=nothing, repeatable=True)
_RESTORE = Script("unique_restore", parse=nothing, repeatable=True)


def hash_of(word: bytes) -> int:
    """Return the signed 64-bit number that stands for an id: what a compact set can hold."""
    return int.from_bytes(blake2b(word, digest_size=8).digest(), "little", signed=True)


@dataclass(frozen=True, slots=True)
class Part:
    """A key to be read.

    Attributes:
        key: A period's, or a roll-up's.
        periods: The keys of the periods that a roll-up is made of.
    """

    key: str
    periods: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Content:
    """All that some keys hold together.

    Attributes:
        words: What was added: hashes, or the ids of a raw counter; those that no sketch has taken in.
        sketch: The union of the sketches, if there are any.
    """

    words: frozenset[bytes]
    sketch: Sketch | None

    def __or__(self, other: Content) -> Content:
        sketches = [one.sketch for one in (self, other) if one.sketch is not None]
        return Content(self.words | other.words, _united(sketches) if sketches else None)

    def as_sketch(self) -> Sketch:
        """Return a sketch of all of it."""
        sketch = _united([] if self.sketch is None else [self.sketch])
        for word in self.words:
            sketch.add(word)
        return sketch

    def estimate(self) -> Estimate:
        """Count it."""
        if self.sketch is None:
            return exactly(len(self.words))
        return estimate_of(self.as_sketch().count(), exact=False)


def _united(sketches: Sequence[Sketch]) -> Sketch:
    union = Sketch()
    for sketch in sketches:
        union.merge(sketch)
    return union


class Store:
    """The keys of one counter.

    Args:
        port: Where the server is.
        scratch: A key of the counter's slot that holds nothing.
        limit: The most ids that a key holds exactly; 0 if ids are added to a HyperLogLog as they are.
    """

    def __init__(self, port: Port, scratch: str, limit: int) -> None:
        self.port = port
        self.scratch = scratch
        self.limit = limit

    async def add(
        self,
        periods: Sequence[str],
        lifetimes: Sequence[int],
        rolled: Sequence[str],
        ids: Sequence[bytes | int],
    ) -> None:
        """Add ids to every one of some keys.

        Args:
            periods: The keys.
            lifetimes: When each period ends; then how long each is kept after that.
            rolled: The keys of all roll-ups that these may be part of.
            ids: Hashes; or, without a limit, ids.
        """
        keys = [*periods, *rolled]
        fixed = (len(periods), self.limit, " ".join(map(str, lifetimes)))
        most = max(1, SLICE // len(periods))
        slices = [ids[start : start + most] for start in range(0, len(ids), most)]
        await run_all(self.port, [_ADD(keys, *fixed, *some) for some in slices])

    async def restore(
        self, period: str, lifetimes: Sequence[int], rolled: Sequence[str], data: bytes
    ) -> None:
        """Unite a HyperLogLog with what a key holds; arguments as for ``add``."""
        await self.port.run(_RESTORE([period, self.scratch, *rolled], data, *lifetimes))

    async def counts(self, one: Sequence[Part], other: Sequence[Part] = ()) -> list[Estimate]:
        """Count what some keys hold; with ``other``, those, the others, and both together."""
        answers = await self._read(one, other, "counts")
        return [estimate_of(int(cast("int", value)), exact=exact) for exact, value in answers]

    async def content(self, parts: Sequence[Part]) -> Content:
        """Fetch what some keys hold."""
        ((exact, value),) = await self._read(parts, (), "content")
        if exact:
            return Content(frozenset(cast("list[bytes]", value)), None)
        return Content(frozenset(), Sketch.load(cast("bytes", value)))

    async def _read(
        self, one: Sequence[Part], other: Sequence[Part], wanted: str
    ) -> list[tuple[bool, Reply]]:
        """Read keys; make the roll-ups that there are not yet, and read their periods this time.

        The periods and not the roll-ups, which an add may have removed again by then.
        """
        if len(one) + len(other) > MOST_KEYS:
            raise ValueError(f"more than {MOST_KEYS} periods at once: choose a longer kind")
        while True:
            parts = [*one, *other]
            rolled = "".join("1" if part.periods else "0" for part in parts)
            keys = [self.scratch, *(part.key for part in parts)]
            missing, answers = await self.port.run(_READ(keys, self.limit, UNITED, len(one), rolled, wanted))
            if not missing:
                return answers
            absent = {parts[place - 1] for place in missing}
            await run_all(self.port, [_ROLL([part.key, *part.periods], self.limit, _IDLE) for part in absent])
            one, other = _apart(one, absent), _apart(other, absent)


def _apart(parts: Sequence[Part], absent: set[Part]) -> list[Part]:
    return [piece for part in parts for piece in (map(Part, part.periods) if part in absent else [part])]
