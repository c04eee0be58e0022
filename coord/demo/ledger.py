"""The ledger: one record for each chunk that has been worked through, and never a second."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["Ledger", "PlainClient", "Record", "ledger_key"]


class PlainClient(Protocol):
    """What the demo uses of a Redis client itself, sync or async: the ledger's hash, and the broom."""

    hexists: Callable[..., Any]
    hgetall: Callable[..., Any]
    hkeys: Callable[..., Any]
    hmget: Callable[..., Any]
    hsetnx: Callable[..., Any]
    expire: Callable[..., Any]
    scan_iter: Callable[..., Any]
    unlink: Callable[..., Any]


def ledger_key(prefix: str) -> str:
    """Spell the ledger's key, within the namespace that the run deletes at its end."""
    return f"{prefix}:ledger"


@dataclass(frozen=True, slots=True)
class Record:
    """What became of one chunk.

    Attributes:
        chunk: Its number.
        worker: Who worked through it.
        fence: Under which fence.
        requests: Its good lines.
        bad: Its bad lines.
        days: Requests by day.
        pages: Requests by page.
        throttled: Requests refused, by address.
        ops: How many operations it took.
    """

    chunk: int
    worker: int
    fence: int
    requests: int
    bad: int
    days: dict[str, int]
    pages: dict[str, int]
    throttled: dict[str, int]
    ops: int

    def dumps(self) -> str:
        """Spell it as JSON."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def loads(cls, text: str | bytes) -> Record:
        """Read what ``dumps`` wrote."""
        return cls(**json.loads(text))


class Ledger:
    """As much of the ledger as has been read so far.

    Args:
        chunks: How many there are in all.

    Attributes:
        records: By chunk.
        pages: Requests by page, over the records.
    """

    def __init__(self, chunks: int) -> None:
        self._chunks = chunks
        self.records: dict[int, Record] = {}
        self.pages: Counter[str] = Counter()

    def add(self, record: Record) -> None:
        """Take in a record that was not read before."""
        self.records[record.chunk] = record
        self.pages.update(record.pages)

    def unread(self, committed: Iterable[str | bytes]) -> list[int]:
        """Return which of the ``committed`` chunks have yet to be read."""
        return [chunk for chunk in map(int, committed) if chunk not in self.records]

    def missing(self) -> list[int]:
        """Return the chunks that nobody is known to have committed."""
        return [chunk for chunk in range(self._chunks) if chunk not in self.records]
