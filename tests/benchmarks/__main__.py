"""``python -m tests.benchmarks``: measure coord beside its peers, and write Markdown.

Without options everything is measured, within ten minutes once the peers are there. ``--rounds 3``
takes half an hour, with larger data, and is less at the mercy of chance. ``--quick`` is for seeing that it
works: one round of the suites that need no large data, in about a minute.

``--against DIR`` compares this checkout with another one instead: each call, hand-off and contended lock, in
blocks that alternate between a process of each. ``--only`` then names operations.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks import activity, boards, calls, goals, limits, locks, pages, plots, scripts, uniques
from tests.benchmarks.against import SHARED, compare_checkouts
from tests.benchmarks.coord_operations import OPERATIONS
from tests.benchmarks.harness import Bench, Effort, machine, servers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.benchmarks.harness import Table

SUITES: dict[str, Callable[[Bench], Iterator[Table]]] = {
    "goals": goals.suite,
    "scripts": scripts.suite,
    "calls": calls.suite,
    "locks": locks.suite,
    "limits": limits.suite,
    "uniques": uniques.suite,
    "activity": activity.suite,
    "boards": boards.suite,
    "sharded": boards.sharded,
}
QUICK = ("goals", "scripts")
LONG = ("scripts", "limits", "uniques", "activity", "boards", "sharded")
"""Suites that have many rows, and one round less."""
AMPLE = 3
"""From so many rounds on, the data are larger too."""


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round of the goals and scripts")
    parser.add_argument("--only", nargs="+", metavar="SUITE", help=f"of {', '.join(SUITES)}")
    parser.add_argument("--against", type=Path, metavar="DIR", help="compare with the checkout there")
    parser.add_argument("--rounds", type=int, default=2, help="how often each is measured (%(default)s)")
    parser.add_argument("--out", type=Path, metavar="FILE.md", help="write it to a file too")
    parser.add_argument(
        "--write",
        type=Path,
        metavar="DOCS",
        help="put it into the page on speed, the README and the pictures",
    )
    options = parser.parse_args(argv)
    known = (*OPERATIONS, *SHARED) if options.against else tuple(SUITES)
    for name in options.only or ():
        if name not in known:
            parser.error(f"--only: {name!r} is none of {', '.join(map(repr, known))}")
    return options


def _against(options: argparse.Namespace) -> None:
    for table in compare_checkouts(options.against, options.only or (), quick=options.quick):
        sys.stdout.write(f"{table.markdown()}\n")
        sys.stdout.flush()


def _measure(bench: Bench, name: str) -> str:
    """Measure a suite; return its text."""
    tables, started = [], time.monotonic()
    effort = replace(bench.effort, most=max(1, bench.effort.most - (name in LONG)))
    for table in SUITES[name](replace(bench, effort=effort)):
        sys.stderr.write(f"measured: {table.title}\n")
        tables.append(table.markdown())
    sys.stderr.write(f"-- {name}: {time.monotonic() - started:.0f} s\n")
    return "\n".join(tables)


def main(argv: Sequence[str]) -> None:
    """Measure what ``argv`` asks for; what is to be written is written suite by suite, as it is done."""
    options = _arguments(argv)
    if options.against:
        _against(options)
        return
    command = shlex.join(["python", "-m", "tests.benchmarks", *argv])
    suites = options.only or (QUICK if options.quick else list(SUITES))
    parts: dict[str, str] = {}
    with servers() as (urls, core):
        bench = Bench(Effort(options.quick, options.rounds, options.rounds >= AMPLE), urls, core)
        for name in suites:
            parts[name] = _measure(bench, name)
            head = machine(bench, command)
            if options.write is not None:
                section = parts[name].replace("## ", "### ")
                pages.write(options.write, {"machine": head, name: section})
                plots.draw(bench, options.write / "pictures", [name])
    told = "\n".join(["# Benchmarks", "", head, *parts.values()])
    sys.stdout.write(told)
    if options.out is not None:
        options.out.write_text(told, "utf-8")


main(sys.argv[1:])
