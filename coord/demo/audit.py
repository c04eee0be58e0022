"""What the fleet has found, read back from Redis and held against the file."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date
from functools import reduce
from typing import TYPE_CHECKING

from coord.demo.ledger import Ledger, Record, ledger_key
from coord.demo.worker import RETAIN, STRETCH

if TYPE_CHECKING:
    from coord import Coord, Entry, Estimate
    from coord.demo.ledger import PlainClient
    from coord.demo.logfile import Survey

__all__ = ["Day", "Findings", "disagreements", "gather"]

WIDEST = 1000
"""Days in one count: what a counter reads at once."""


@dataclass(frozen=True, slots=True)
class Day:
    """One day of the log, or all of them together.

    Attributes:
        requests: As the ledger has it.
        estimate: Unique visitors, as the counter has it.
        active: Visitors, as the activity record has it; for all days, those active on each.
    """

    requests: int
    estimate: Estimate | None
    active: int


@dataclass(frozen=True, slots=True)
class Findings:
    """What the fleet has found.

    Attributes:
        records: The ledger, by chunk.
        days: By day.
        together: All days together.
        pages: The whole leaderboard.
        throttled: Refused requests by address.
    """

    records: dict[int, Record]
    days: dict[date, Day]
    together: Day
    pages: list[Entry]
    throttled: Counter[str]

    @property
    def requests(self) -> int:
        """Good lines in the ledger."""
        return sum(record.requests for record in self.records.values())

    @property
    def bad(self) -> int:
        """Bad lines in the ledger."""
        return sum(record.bad for record in self.records.values())


def gather(coord: Coord, client: PlainClient, prefix: str, chunks: int) -> Findings:
    """Read everything back.

    Args:
        coord: The run's primitives.
        client: A plain client, for the ledger.
        prefix: The run's namespace.
        chunks: How many there are.
    """
    ledger = Ledger(chunks)
    for text in client.hgetall(ledger_key(prefix)).values():
        ledger.add(Record.loads(text))
    requests: Counter[date] = Counter()
    throttled: Counter[str] = Counter()
    for record in ledger.records.values():
        requests.update({date.fromisoformat(day): count for day, count in record.days.items()})
        throttled.update(record.throttled)
    counter = coord.unique_counter("visitors", period="day", retain=RETAIN)
    activity = coord.activity("visitors", period="day", ids="text", retain=RETAIN)
    days = {
        day: Day(requests[day], counter.count(at=day), activity.count(at=day)) for day in sorted(requests)
    }
    together = Day(0, None, 0)
    if days:
        first, last = min(days), max(days)
        narrow = (last - first).days < WIDEST  # a stray line of another decade must not fail the rest
        every_day = reduce(lambda most, day: most & activity.cohort(at=day), days, activity.cohort(at=first))
        together = Day(
            requests.total(), counter.count(since=first, until=last) if narrow else None, every_day.count()
        )
    board = coord.leaderboard("pages", keep="best")
    stretch = board.scroll(STRETCH)
    pages = stretch.rows
    while stretch.cursor is not None:
        stretch = board.scroll(STRETCH, cursor=stretch.cursor)
        pages += stretch.rows
    return Findings(ledger.records, days, together, pages, throttled)


def disagreements(found: Findings, exact: Survey) -> list[str]:
    """Say where the fleet's totals, other than estimates, differ from the file's."""
    board = {row.member: int(row.score) for row in found.pages}
    pairs: dict[str, tuple[object, object]] = {
        "requests": (found.requests, exact.requests),
        "bad lines": (found.bad, exact.bad),
        "requests by day": (
            _texts({day: one.requests for day, one in found.days.items()}),
            _texts(exact.days),
        ),
        "visitors by day": (
            _texts({day: one.active for day, one in found.days.items()}),
            _texts({day: len(visitors) for day, visitors in exact.visitors.items()}),
        ),
        "visitors on every day": (found.together.active, loyal(exact)),
        "pages on the board": (len(board), len(exact.pages)),
    }
    differing = [
        f"{what}: {ours}, in the file {theirs}" for what, (ours, theirs) in pairs.items() if ours != theirs
    ]
    pages = [page for page in {*board, *exact.pages} if board.get(page) != exact.pages.get(page)]
    return differing + [
        f"requests of {page!r}: {board.get(page, 0)}, in the file {exact.pages[page]}"
        for page in sorted(pages)
    ]


def loyal(exact: Survey) -> int:
    """Count the visitors of the file that came on every one of its days."""
    days = list(exact.visitors.values())
    return len(days[0].intersection(*days[1:])) if days else 0


def _texts(by_day: dict[date, int]) -> str:
    return ", ".join(f"{day} {count}" for day, count in sorted(by_day.items()))
