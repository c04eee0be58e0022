"""Text ids have numbers: given in order of appearance, dense, kept for ever, never given twice.

They are the scores of one sorted set, which finds the number of an id and the id of a number alike. How
many were given is kept beside them, as the score of the empty id, which nobody has, and below zero, which no
number is. So none is given again even if an id is taken out of the set.

What this process remembers of them is where an id's bit lies, and it is a hint: a script may touch only
the keys that it is called with, so the caller must say beforehand which chunk an id will turn out to be
in. The script looks each number up all the same. A wrong hint, after another process gave many numbers or
after the server lost its data, costs one more call and never a wrong bit.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, cast

from coord._engine.replies import as_rows
from coord._engine.script import Command, Script
from coord.activity.chunks import place

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from coord._engine.port import Port
    from coord._engine.script import Reply

__all__ = ["Hints", "names_of", "numbers_of"]

REMEMBERED = 65_536
"""Ids whose chunks this process remembers, at about 10 MiB."""

SLICE = 500
"""Ids that one command looks up, in less than a millisecond."""


def _scores(reply: Reply) -> list[int | None]:
    return [None if score is None else int(float(score)) for score in as_rows(reply)]


def _words(reply: Reply) -> list[bytes]:
    return cast("list[bytes]", as_rows(reply))


_NUMBERS = Command("ZMSCORE", parse=_scores, repeatable=True)
_NAMES = Script("activity_names", parse=_words, repeatable=True)


class Hints:
    """Remembers in which chunk ids lie: of so many ids, those learnt last.

    Args:
        port: Keeps other threads out.
    """

    def __init__(self, port: Port) -> None:
        self._mutex = port.mutex()
        self._chunks: OrderedDict[bytes, int] = (
            OrderedDict()
        )  # a dict finds its first slowly, once many are gone
        self._newest = 0

    def chunks(self, word: bytes) -> tuple[int, ...]:
        """Return where an id probably lies: one never met where new ones do, which may spill over."""
        known = self._chunks.get(word)
        return (self._newest, self._newest + 1) if known is None else (known,)

    def learn(self, words: Iterable[bytes], numbers: Iterable[int]) -> None:
        """Take note of numbers that the server told."""
        with self._mutex:
            for word, number in zip(words, numbers, strict=True):
                chunk, _ = place(number)
                self._chunks[word] = chunk
                self._chunks.move_to_end(word)
                self._newest = max(self._newest, chunk)
            while len(self._chunks) > REMEMBERED:
                self._chunks.popitem(last=False)


async def numbers_of(port: Port, key: str, words: Sequence[bytes]) -> list[int | None]:
    """Look up the numbers of text ids; ``None`` for one that was never marked."""
    found: list[int | None] = []
    for start in range(0, len(words), SLICE):
        some = await port.run(_NUMBERS([key], *words[start : start + SLICE]))
        found += some
    return found


async def names_of(port: Port, key: str, numbers: Sequence[int]) -> list[str | bytes]:
    """Look up the text ids that have certain numbers: as ``str``, or as ``bytes`` if it is not UTF-8.

    A number that nobody has any longer, since someone removed the id from the set, is left out.
    """
    return [_text(word) for word in await port.run(_NAMES([key], *numbers)) if word]


def _text(word: bytes) -> str | bytes:
    try:
        return word.decode()
    except UnicodeDecodeError:
        return word
