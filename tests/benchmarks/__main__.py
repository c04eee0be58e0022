"""``python -m tests.benchmarks``: measure coord beside its peers and the raw limits, and write Markdown.

The packages of the extra ``bench`` are measured beside it. Without options everything is measured, within
twelve minutes on a machine left alone; ``--quick`` takes a minute and a half, and shows that it works.

``--against DIR`` compares this checkout with another one instead: each call, hand-off and contended lock, in
blocks that alternate between a process of each; what each sends, keeps, and takes to import. ``--only`` then
names one of those.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks import pages, plots, readme, rounds
from tests.benchmarks.against import NAMES, compare_checkouts
from tests.benchmarks.contests import calls, costs, growth, locks, quorums, sharing
from tests.benchmarks.contests.bench import Bench
from tests.benchmarks.machine import cores, describe, pin, servers
from tests.benchmarks.rooms import activity, boards, scripts, uniques
from tests.benchmarks.summary import summary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.benchmarks.plots import Plot
    from tests.benchmarks.tables import Table

CONTESTS: dict[str, Callable[[Bench], Iterator[Table]]] = {
    "calls": calls.suite,
    "locks": locks.suite,
    "sharing": sharing.suite,
    "quorums": quorums.suite,
    "growth": growth.suite,
    "costs": costs.suite,
}
"""Measured in blocks that alternate, beside others."""
ROOMS: dict[str, Callable[[rounds.Bench], Iterator[Table]]] = {
    "scripts": scripts.suite,
    "uniques": uniques.suite,
    "activity": activity.suite,
    "boards": boards.suite,
    "sharded": boards.sharded,
}
"""Measured once each: what the rooms keep, and what their scripts cost."""
PLOTS: dict[str, Callable[[Bench], list[Plot]]] = {"calls": plots.of_calls, "growth": plots.of_growth}


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m tests.benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="spend as little time as possible")
    parser.add_argument("--large", action="store_true", help="with boards of a million members, and the like")
    suites = (*CONTESTS, *ROOMS)
    parser.add_argument("--only", nargs="+", metavar="SUITE", help=f"of {', '.join(suites)}")
    parser.add_argument("--against", type=Path, metavar="DIR", help="compare with the checkout there")
    parser.add_argument("--out", type=Path, metavar="FILE.md", help="write it to a file too")
    parser.add_argument(
        "--write",
        type=Path,
        metavar="DOCS",
        help="put it into the page on speed, the README and the pictures",
    )
    options = parser.parse_args(argv)
    known = NAMES if options.against else suites
    for name in options.only or ():
        if name not in known:
            parser.error(f"--only: {name!r} is none of {', '.join(map(repr, known))}")
    return options


def _against(options: argparse.Namespace) -> Iterator[str]:
    for table in compare_checkouts(options.against, options.only or (), quick=options.quick):
        yield table.markdown()


class _Run:
    """One run: measures, and writes each suite where it belongs as soon as it is done."""

    def __init__(self, bench: Bench, rooms: rounds.Bench, docs: Path | None) -> None:
        self._bench, self._rooms, self._docs = bench, rooms, docs

    def measure(self, name: str) -> str:
        """Measure a suite."""
        started = time.monotonic()
        suite = CONTESTS[name](self._bench) if name in CONTESTS else ROOMS[name](self._rooms)
        tables = [*suite]
        sys.stderr.write(f"-- {name}: {time.monotonic() - started:.0f} s\n")
        self.put({name: _text(tables, 3)})
        if self._docs is not None:
            plots.draw(self._plots(name), self._docs / "pictures")
        return _text(tables, 2)

    def _plots(self, name: str) -> list[Plot]:
        if name == "boards":
            return plots.of_boards(boards.members(self._rooms))
        return PLOTS[name](self._bench) if name in PLOTS else []

    def put(self, parts: dict[str, str]) -> None:
        """Put parts into the pages, if they are to be written."""
        if self._docs is not None:
            pages.write(self._docs, parts)

    def finish(self, command: str, names: Sequence[str]) -> Iterator[str]:
        """Sum up what was measured, and say where."""
        head = describe(self._bench.url, command)
        yield head
        self.put({"machine": head})
        if set(CONTESTS) <= set(names):
            table = summary(self._bench)
            self.put({"summary": table.markdown(3)})
            yield table.markdown()
        if beside := readme.tables(self._bench):
            self.put({"peers": _text(beside, 3)})
            yield _text(beside, 2)


def _text(tables: Sequence[Table], level: int) -> str:
    return "\n".join(table.markdown(level) for table in tables)


def _measured(options: argparse.Namespace, command: str) -> Iterator[str]:
    theirs, ours = cores()
    names = options.only or [*CONTESTS, *(ROOMS if not options.quick else ())]
    with servers(quorums.NODES, theirs) as nodes:
        pin(ours)
        bench = Bench(nodes, options.quick)
        effort = rounds.Effort(options.quick, 1, options.large)
        run = _Run(bench, rounds.Bench(effort, [bench.url], ours), options.write)
        for name in names:
            yield run.measure(name)
        yield from run.finish(command, names)


def main(argv: Sequence[str]) -> None:
    """Measure what ``argv`` asks for, and write it down as it is done."""
    options = _arguments(argv)
    command = shlex.join(["python", "-m", "tests.benchmarks", *argv])
    told = []
    for part in _against(options) if options.against else _measured(options, command):
        told.append(part)
        sys.stdout.write(f"{part}\n")
        sys.stdout.flush()
    if options.out is not None:
        options.out.write_text("\n".join(told), "utf-8")


main(sys.argv[1:])
