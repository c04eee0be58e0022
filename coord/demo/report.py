"""The report at the end of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from coord.commands.terminal import printable
from coord.demo.audit import disagreements, loyal
from coord.demo.worker import BURST, RATE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date

    from coord import Estimate
    from coord.demo.audit import Day, Findings
    from coord.demo.fleet import Log
    from coord.demo.logfile import Survey

__all__ = ["Run", "render"]

ROWS = 8
"""Rows of each list: with all its lists the report fits a screen or two."""

DAYS = 14
"""Days that are shown one by one: two weeks."""

DISAGREEMENTS = 10
"""Totals that disagree and are shown: one would do to tell that something is wrong."""


@dataclass(frozen=True, slots=True)
class Run:
    """All that there is to report.

    Attributes:
        exact: What the file says.
        found: What the fleet has found.
        log: How it went.
        flavours: ``sync`` or ``async``, by worker.
        chunks: How many there were.
        ops: How many operations were made.
    """

    exact: Survey
    found: Findings
    log: Log
    flavours: dict[int, str]
    chunks: int
    ops: int


def render(run: Run) -> tuple[list[str], bool]:
    """Write the report.

    Returns:
        Its lines, and whether the totals agree with the file.
    """
    wrong = disagreements(run.found, run.exact)
    parts = (_requests, _visitors, _throttled, _pages, _chunks, _time)
    lines = [line for part in parts for line in ("", *part(run))]
    return [*lines, "", *_verdict(run, wrong)], not wrong


def _requests(run: Run) -> Iterator[str]:
    found, exact = run.found, run.exact
    bad = _many(found.bad, "bad line") if found.bad else "no bad lines"
    yield f"Requests   {found.requests:,} in {_many(found.requests + found.bad, 'line')}, {bad}"
    for number, line in exact.first_bad.items():
        yield f"  line {number:,}: {printable(line) or '(empty)'}"
    if exact.bad > len(exact.first_bad):
        yield f"  and {exact.bad - len(exact.first_bad):,} more"


def _visitors(run: Run) -> Iterator[str]:
    found, exact = run.found, run.exact
    if not found.days:
        yield "Unique visitors   none"
        return
    yield "Unique visitors   requests   estimate       95 % bounds            exact"
    for day in list(found.days)[:DAYS]:
        yield _day(f"{day:%Y-%m-%d}", found.days[day], len(exact.visitors[day]))
    if len(found.days) > DAYS:
        yield f"  and {_many(len(found.days) - DAYS, 'more day', 'more days')}"
    if len(found.days) > 1:
        yield _day("all together", found.together, len(exact.addresses))
        yield ""
        here, there = found.together.active, loyal(exact)
        yield f"Active on each of the {len(found.days)} days   {_many(here, 'visitor')} (exactly {there:,})"


def _day(label: str, day: Day, exact: int) -> str:
    return f"  {label:<14}{day.requests:>10,}{_estimate(day.estimate)}{exact:>8,}"


def _estimate(one: Estimate | None) -> str:
    if one is None:
        return f"{'-':>11}{'':>25}"
    return f"{one.value:>11,}{one.low:>11,} … {one.high:<11,}"


def _throttled(run: Run) -> Iterator[str]:
    refused, addresses = run.found.throttled, run.exact.addresses
    limits = f"each address is allowed {RATE} requests a second, {BURST} at once"
    if not refused:
        yield f"Throttled   nobody; {limits}"
        return
    yield f"Throttled most   {limits}; the log is replayed at full speed"
    ranked = sorted(refused.items(), key=lambda item: (-item[1], item[0]))
    rows = [(printable(host, 40), count, f" of {addresses[host]:>7,}") for host, count in ranked[:ROWS]]
    rest = [count for _, count in ranked[ROWS:]]
    if rest:
        rows.append((f"{_many(len(rest), 'other', 'others')} together", sum(rest), ""))
    wide = max(len(label) for label, _, _ in rows)
    yield from (f"  {label:<{wide}}  {count:>7,}{total} refused" for label, count, total in rows)


def _pages(run: Run) -> Iterator[str]:
    yield f"Top pages   of {len(run.found.pages):,}" if run.found.pages else "Top pages   none"
    rows = [(row.rank, printable(row.member, 64), row.score) for row in run.found.pages[:ROWS]]
    wide = max((len(page) for _, page, _ in rows), default=0)
    yield from (f"  {rank:>2}  {page:<{wide}}  {score:>8,.0f}" for rank, page, score in rows)


def _chunks(run: Run) -> Iterator[str]:
    log, records = run.log, run.found.records
    yield f"Chunks   {run.chunks}, each in the ledger once"
    for worker, flavour in run.flavours.items():
        mine = [record for record in records.values() if record.worker == worker]
        lines = sum(record.requests + record.bad for record in mine)
        word = "chunk " if len(mine) == 1 else "chunks"
        fate = "   killed" if log.kill and log.kill.worker == worker else ""
        fate = "   failed" if worker in log.failed else fate
        yield f"  worker {worker:<3} {flavour:<6}{len(mine):>5} {word}{lines:>12,} lines{fate}"
    if log.claims:
        fences = [claim.fence for claim in log.claims]
        yield f"  fences from {min(fences)} to {max(fences)}"
    twice = log.handed_out_twice()
    yield f"  {_many(len(twice), 'chunk') if twice else 'no chunk'} handed out twice"
    for chunk, claims in sorted(twice.items()):
        hands = ", then ".join(f"to worker {claim.worker} under fence {claim.fence}" for claim in claims)
        yield f"    chunk {chunk}: {hands}"
    if log.kill and log.kill.chunk not in twice:
        yield f"    worker {log.kill.worker} had finished chunk {log.kill.chunk} before the kill reached it"
    if log.lost:
        yield f"  {_many(log.lost, 'chunk')} dropped midway, its worker having lost the lock"
    if log.discarded:
        yield f"  {_many(log.discarded, 'record')} discarded that came second"


def _time(run: Run) -> Iterator[str]:
    log = run.log
    wall = log.ended - log.started
    ready = log.ended if log.ready is None else log.ready
    working = max(log.ended - ready, 1e-6)
    yield (
        f"Time   {wall:.2f} s: {ready - log.started:.2f} s until the first worker was up, then "
        f"{run.ops:,} operations in {working:.2f} s, {run.ops / working:,.0f} a second"
    )


def _verdict(run: Run, wrong: Sequence[str]) -> Iterator[str]:
    if wrong:
        yield "The totals do NOT agree with the file:"
        yield from (f"  {printable(line, 160)}" for line in wrong[:DISAGREEMENTS])
        if len(wrong) > DISAGREEMENTS:
            yield f"  and {_many(len(wrong) - DISAGREEMENTS, 'more')}"
        return
    yield (
        f"The totals agree with the file: {_many(run.found.requests, 'request')}, "
        f"{_many(len(run.found.pages), 'page')}, {_many(len(run.found.days), 'day')}"
        f"{_within(run.found, run.exact)}."
    )


def _within(found: Findings, exact: Survey) -> str:
    truths: dict[date, int] = {day: len(visitors) for day, visitors in exact.visitors.items()}
    pairs = [(one.estimate, truths[day]) for day, one in found.days.items()]
    pairs += [(found.together.estimate, len(exact.addresses))] if len(pairs) > 1 else []
    checked = [(one, truth) for one, truth in pairs if one is not None]
    if not checked:
        return ""
    good = sum(one.low <= truth <= one.high for one, truth in checked)
    return f"; {good} of {_many(len(checked), 'estimate')} within bounds"


def _many(count: int, one: str, several: str | None = None) -> str:
    return f"{count:,} {one if count == 1 else several or one + 's'}"
