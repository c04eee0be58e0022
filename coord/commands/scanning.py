"""Many keys, looked at a page at a time: what a page holds is asked for in one pipelined step."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from fnmatch import fnmatchcase
from itertools import islice
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import unquote

import redis

from coord._engine.keys import escape
from coord.errors import WrongKeyType
from coord.hub import AsyncCoord

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator, Sequence

    from coord._engine.urls import Opened

__all__ = ["Reader", "add_listing_arguments", "unescaped"]

PAGE = 500
"""Keys in a pipelined step: some milliseconds of the server's time, in parts of far less than one each."""

STEP = 1000
"""Keys that a step of a scan looks at: 0.6 ms, during which nobody else is served; 10 are 20 times slower."""

A = TypeVar("A")
K = TypeVar("K")


def add_listing_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of commands that list what may be very many."""
    parser.add_argument("--match", metavar="GLOB", help="only names like this, such as 'invoice:*'")
    parser.add_argument("--limit", type=_number, metavar="N", help="stop after so many rows")


def _number(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("must be a whole number, at least 1")
    return int(text)


def unescaped(spelled: str) -> str | None:
    """Return the name that is spelled so in a key, or ``None``. A long one is a hash, and stays one."""
    if spelled.startswith("#"):
        return spelled
    try:
        name = unquote(spelled, errors="strict")
        return name if escape(name) == spelled else None
    except ValueError:
        return None


class Reader:
    """Reads what a scan finds.

    Args:
        opened: The server.
        url: Where it is.
        arguments: The command's.

    Attributes:
        foreign: How many keys coord did not write, though they are spelled as if it had.
        was_limited: Whether there may be more than was read.
    """

    def __init__(self, opened: Opened, url: str, arguments: argparse.Namespace) -> None:
        self._client = opened.client
        self._url = url if opened.server is None else opened.server.url
        self._arguments = arguments
        self.foreign = 0
        self.was_limited = False

    def keys(self, *patterns: str) -> Iterator[str | None]:
        """Walk over the keys that match; ``None`` for one that is no text."""
        for pattern in patterns:
            for key in self._client.scan_iter(match=pattern, count=STEP):
                try:
                    yield key.decode() if isinstance(key, bytes) else str(key)
                except UnicodeDecodeError:
                    yield None

    def is_wanted(self, name: str) -> bool:
        """Tell whether the user asked for names like this one."""
        return self._arguments.match is None or fnmatchcase(name, self._arguments.match)

    def asked(
        self, found: Iterable[K | None], ask: Callable[[AsyncCoord, K], Awaitable[A | None]]
    ) -> Iterator[tuple[K, A]]:
        """Ask about what was found, a page in one step, until as many as wanted have an answer.

        Args:
            found: What to ask about; ``None`` for a key that is foreign.
            ask: Asks about one; ``None`` if it is not to be listed.
        """
        shown, most = 0, self._arguments.limit
        with self._coords() as (runner, coord):
            for page in _pages(found):
                self.foreign += page.count(None)
                known = [one for one in dict.fromkeys(page) if one is not None]  # a scan may repeat itself
                for one, answer in zip(known, runner.run(_gathered(coord, known, ask)), strict=True):
                    if isinstance(answer, (WrongKeyType, redis.ResponseError)):
                        _raise_unless_foreign(answer)
                        self.foreign += 1
                    elif isinstance(answer, BaseException):
                        raise answer
                    elif answer is not None:
                        if shown == most:
                            self.was_limited = True
                            return
                        shown += 1
                        yield one, answer

    @contextlib.contextmanager
    def _coords(self) -> Generator[tuple[asyncio.Runner, AsyncCoord]]:
        limit, prefix = self._arguments.timeout, self._arguments.prefix
        with asyncio.Runner() as runner:
            coord = AsyncCoord.connect(self._url, prefix=prefix, call_timeout=limit)
            try:
                yield runner, coord
            finally:
                runner.run(coord.close())

    def say_what_was_left_out(self) -> None:
        """Tell the user of keys that are not coord's, and of what the limit cut off."""
        sys.stdout.flush()
        if self.foreign:
            keys = "1 key" if self.foreign == 1 else f"{self.foreign:,} keys"
            print(f"coord: skipped {keys} that coord did not write", file=sys.stderr)
        if self.was_limited:
            print("coord: there are more than --limit", file=sys.stderr)


def _raise_unless_foreign(error: Exception) -> None:
    """Tell a key of a wrong kind from a server that refuses altogether."""
    if not isinstance(error, WrongKeyType) and "WRONGTYPE" not in str(error):
        raise error


def _pages(found: Iterable[K]) -> Iterator[list[K]]:
    iterator = iter(found)
    while page := list(islice(iterator, PAGE)):
        yield page


async def _gathered(
    coord: AsyncCoord, known: Sequence[K], ask: Callable[[AsyncCoord, K], Awaitable[A | None]]
) -> list[A | BaseException | None]:
    return await asyncio.gather(*(ask(coord, one) for one in known), return_exceptions=True)
