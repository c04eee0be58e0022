"""``python -m tests.campaign``: coord's lock among faults, and a naive one that must be caught."""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from tests.campaign.campaign import Result, run
from tests.campaign.faults import KINDS
from tests.campaign.mutants import MUTANTS

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = 45.0
CONTROL_SECONDS = 10.0
MUTANT_SECONDS = 20.0
SHOWN = 3


def main() -> int:
    """Run both campaigns; 0 only if coord's lock is clean and the naive one was caught."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__)
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help="how long the faults go on [%(default)s]"
    )
    parser.add_argument("--seed", type=int, help="of the schedule of faults [a new one]")
    parser.add_argument("--faults", default=",".join(KINDS), help="which kinds [%(default)s]")
    parser.add_argument("--json", type=Path, help="a file for the whole result")
    parser.add_argument("--mutant", choices=[*MUTANTS, "all"], help="plant this fault, which must be caught")
    options = parser.parse_args()
    kinds = options.faults.split(",")
    if unknown := set(kinds) - set(KINDS):
        parser.error(f"no such faults: {', '.join(sorted(unknown))}; there are {', '.join(KINDS)}")
    seed = random.randrange(10**6) if options.seed is None else options.seed
    if options.mutant is not None:
        return _hunt(list(MUTANTS) if options.mutant == "all" else [options.mutant], seed)
    _say(f"seed {seed}: coord for {options.seconds:g} s, the naive lock for {CONTROL_SECONDS:g} s\n")
    real = run("coord", options.seconds, seed, kinds)
    naive = run("naive", CONTROL_SECONDS, seed, list(KINDS))
    caught = bool(naive.found["overlaps"])
    for line in _report(real, naive):
        _say(line)
    _say(f"\ncoord {'is clean' if real.clean else 'FAILED'}")
    _say(f"the naive lock {'was caught' if caught else 'was NOT caught, so the checker proves nothing'}")
    if options.json is not None:
        result = {"seed": seed, "coord": asdict(real), "naive": asdict(naive)}
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    return 0 if real.clean and caught else 1


def _hunt(mutants: list[str], seed: int) -> int:
    """Run a campaign for each of these, and say how many were not caught by the check that is for them."""
    missed = []
    for name in mutants:
        mutant = MUTANTS[name]
        begun = time.monotonic()
        found = run("coord", MUTANT_SECONDS, seed, mutant.faults or list(KINDS), name).found
        caught = bool(found[mutant.check])
        _say(f"{name}: {'caught' if caught else 'MISSED'} within {time.monotonic() - begun:.0f} s")
        for check, violations in found.items():
            if violations:
                _say(f"  {check}, {len(violations)}: {violations[0]}")
        if not caught:
            missed.append(name)
    return len(missed)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _report(real: Result, naive: Result) -> Iterator[str]:
    yield from _table("", {"": ("coord", "naive")})
    yield from _table(
        "what was done", {name: (real.figures[name], naive.figures[name]) for name in real.figures}
    )
    yield from _table(
        "faults (chunks or connections that they met)",
        {kind: (_fault(real, kind), _fault(naive, kind)) for kind in KINDS},
    )
    total = (sum(real.faults.values()), sum(naive.faults.values()))
    yield from _table("", {"all faults": total})
    yield from _table(
        "what the checks found",
        {name: (len(found), len(naive.found[name])) for name, found in real.found.items()},
    )
    for result in (real, naive):
        for name, found in result.found.items():
            for one in found[:SHOWN]:
                yield f"\n{result.lock}, {name}: {one}"


def _fault(result: Result, kind: str) -> str:
    hits = result.hits.get(kind)
    return f"{result.faults.get(kind, 0)}" + (f" ({hits})" if hits is not None else "")


def _table(title: str, rows: dict[str, tuple[object, object]]) -> Iterator[str]:
    if title:
        yield f"{title}"
    for name, (first, second) in rows.items():
        yield f"  {name:<28}{first!s:>14}{second!s:>14}"


if __name__ == "__main__":
    sys.exit(main())
