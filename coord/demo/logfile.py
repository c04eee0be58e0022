"""A web server's access log in Combined Log Format: its lines, its chunks, and what it really says."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Entry", "Range", "Survey", "Tally", "chunks", "parse", "read_lines", "survey"]

CHUNK = 64 * 1024
"""Bytes of a chunk in a long file: some hundred lines, enough to be killed in and few enough to do again."""

SMALLEST_CHUNK = 2 * 1024
"""Bytes of a chunk in a short one: some lines, so that there is something to do in it."""

CHUNKS_A_WORKER = 8
"""Chunks for each worker: enough that a slow one does not hold the others up at the end."""

MOST_CHUNKS = 512
"""Chunks in all: each is a lock, a record, and a look at both by every worker."""

BAD_LINES_KEPT = 5
"""Lines that make no sense and are shown: enough to see what is wrong with a file."""

_LINE = re.compile(r'(\S+) \S+ [^\[]*\[([^\]]+)\] "((?:[^"\\]|\\.)*)" \d{3}(?!\d)')
_TIME = re.compile(r"(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-])(\d\d)([0-5]\d)", re.ASCII)
_MONTH_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, start=1)}
_YEARS = range(1970, 9999)


class Entry(NamedTuple):
    """What one line says.

    Attributes:
        host: The visitor's address.
        day: The request's day, in UTC.
        page: The path that was asked for, without its query; ``-`` if the request was not HTTP.
    """

    host: str
    day: date
    page: str


class Range(NamedTuple):
    """A stretch of the file in bytes; the lines that begin in it are its lines.

    Attributes:
        start: Its first byte.
        end: The first byte after it.
    """

    start: int
    end: int


def parse(line: str) -> Entry | None:
    """Read one line, or return ``None`` if it lacks its host, time, request or status.

    What follows the status is not looked at: a line cut off within its user agent is still a request.
    """
    found = _LINE.match(line)
    if found is None:
        return None
    host, time, request = found.groups()
    day = _day(time)
    return None if day is None else Entry(host, day, _page(request))


def _day(time: str) -> date | None:
    found = _TIME.fullmatch(time)
    if found is None:
        return None
    day, month, year, hour, minute, second, sign, hours, minutes = found.groups()
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    try:
        zone = timezone(-offset if sign == "-" else offset)
        when = datetime(
            int(year), _MONTHS[month], int(day), int(hour), int(minute), min(int(second), 59), tzinfo=zone
        )
        utc = when.astimezone(UTC).date()
    except (ValueError, OverflowError, KeyError):
        return None
    return utc if utc.year in _YEARS else None


def _page(request: str) -> str:
    _, _, target = request.partition(" ")
    return target.partition(" ")[0].partition("?")[0] or "-"


def chunks(size: int, workers: int) -> list[Range]:
    """Cut a file of ``size`` bytes into ranges: enough for ``workers`` to share, few enough to list."""
    enough = min(CHUNKS_A_WORKER * workers, size // SMALLEST_CHUNK)
    count = min(MOST_CHUNKS, max(1, enough, size // CHUNK))
    bounds = [size * number // count for number in range(count + 1)]
    return [Range(start, end) for start, end in pairwise(bounds) if start < end]


def read_lines(path: Path, part: Range, size: int) -> Iterator[str]:
    """Read the lines that begin in ``part``.

    Args:
        path: The file.
        part: Its line breaks need not be at lines' ends: a line belongs to where it begins.
        size: Where the file ends, whatever has been appended to it since.

    Yields:
        Lines without their ends. Bytes that are not UTF-8 are spelled out in hexadecimal.
    """
    with path.open("rb") as file:
        position = part.start
        if position > 0:
            file.seek(position - 1)
            position += len(file.readline(size - position + 1)) - 1
        while position < part.end:
            line = file.readline(size - position)
            if not line:
                return
            position += len(line)
            yield line.rstrip(b"\r\n").decode(errors="backslashreplace")


@dataclass(slots=True)
class Tally:
    """What a number of lines say together.

    Attributes:
        bad: Lines that could not be read.
        pages: Requests by page.
        days: Requests by day.
        visitors: The different addresses of each day.
    """

    bad: int = 0
    pages: Counter[str] = field(default_factory=Counter[str])
    days: Counter[date] = field(default_factory=Counter[date])
    visitors: defaultdict[date, set[str]] = field(default_factory=lambda: defaultdict(set))

    @property
    def requests(self) -> int:
        """The lines that could be read."""
        return self.days.total()

    def add(self, entry: Entry | None) -> None:
        """Count one line."""
        if entry is None:
            self.bad += 1
            return
        self.pages[entry.page] += 1
        self.days[entry.day] += 1
        self.visitors[entry.day].add(entry.host)


@dataclass(slots=True)
class Survey(Tally):
    """The exact numbers of a whole log.

    Attributes:
        size: The bytes that were read.
        addresses: Requests by address.
        first_bad: The first lines that could not be read, by line number.
    """

    size: int = 0
    addresses: Counter[str] = field(default_factory=Counter[str])
    first_bad: dict[int, str] = field(default_factory=dict[int, str])

    @property
    def lines(self) -> int:
        """All lines, good and bad."""
        return self.requests + self.bad


def survey(path: Path) -> Survey:
    """Read the whole file once, and count exactly.

    Raises:
        OSError: It cannot be read.
    """
    found = Survey(size=path.stat().st_size)
    for number, line in enumerate(read_lines(path, Range(0, found.size), found.size), start=1):
        entry = parse(line)
        found.add(entry)
        if entry is not None:
            found.addresses[entry.host] += 1
        elif len(found.first_bad) < BAD_LINES_KEPT:
            found.first_bad[number] = line
    return found
