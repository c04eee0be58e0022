"""``python -m tests.benchmarks``: measure coord beside its peers, and write Markdown."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks import activity, boards, calls, limits, locks, uniques
from tests.benchmarks.harness import Bench, Effort, machine, servers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.benchmarks.harness import Table

SUITES: dict[str, Callable[[Bench], Iterator[Table]]] = {
    "calls": calls.suite,
    "locks": locks.suite,
    "limits": limits.suite,
    "uniques": uniques.suite,
    "activity": activity.suite,
    "boards": boards.suite,
    "sharded": boards.sharded,
}


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="spend less than a minute")
    parser.add_argument("--only", choices=SUITES, help="measure one suite")
    parser.add_argument("--out", type=Path, metavar="FILE.md", help="write it to a file too")
    return parser.parse_args(argv)


def _measure(suites: Sequence[str], effort: Effort, command: str) -> str:
    parts = []
    with servers() as (urls, core):
        bench = Bench(effort, urls, core)
        for name in suites:
            for table in SUITES[name](bench):
                sys.stderr.write(f"measured: {table.title}\n")
                parts.append(table.markdown())
        head = machine(bench, command)
    return "\n".join(["# Benchmarks", "", head, *parts])


def main(argv: Sequence[str]) -> None:
    """Measure what ``argv`` asks for."""
    options = _arguments(argv)
    command = shlex.join(["python", "-m", "tests.benchmarks", *argv])
    told = _measure([options.only] if options.only else list(SUITES), Effort(options.quick), command)
    sys.stdout.write(told)
    if options.out is not None:
        options.out.write_text(told, "utf-8")


main(sys.argv[1:])
