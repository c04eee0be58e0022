"""The summary: what coord is to reach, what it was measured at, and what that is measured against."""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING

from tests.benchmarks import calls, locks
from tests.benchmarks.harness import TIMES, Column, Contestant, Effort, Results, Table, compare, percentile
from tests.benchmarks.peers import COORD, LIMITS, REDIS_PY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.benchmarks.harness import Bench

__all__ = ["SIZES", "members", "suite"]

SIZES = (1_000, 10_000, 100_000, 1_000_000)
ENTRIES = 1000
HEAD = ["", "coord", "beside", "ratio", "to reach", "reached"]


@dataclass(frozen=True, slots=True)
class Goal:
    """One row.

    Attributes:
        what: What was measured.
        ours: What coord came to.
        yardstick: What it is measured against, and what that came to.
        ratio: Of the two.
        goal: What is to be reached.
        reached: Whether it is.
    """

    what: str
    ours: str
    yardstick: str
    ratio: str
    goal: str
    reached: bool

    def cells(self) -> list[str]:
        """Write it as a row."""
        return [
            self.what,
            self.ours,
            self.yardstick,
            self.ratio,
            self.goal,
            "yes" if self.reached else "**no**",
        ]


def suite(bench: Bench) -> Iterator[Table]:
    """Measure what there are goals for; one table."""
    parts = (_callers, _caller, _denied, _pair, _contended, _handed, _agreed, _kept, _ranked, _imported)
    rows: list[list[str]] = []
    for part in parts:
        try:
            rows += [goal.cells() for goal in part(bench)]
        except _MissingError as error:
            rows.append([part.__name__.strip("_"), f"could not be measured: {error}", "", "", "", "**no**"])
    note = (
        "Medians of the rounds; a ratio is the median of the rounds' ratios. Goals are for a quiet machine."
    )
    if bench.effort.rounds == 1:
        note = "One round, to see that it works. Figures to rely on take more, on a machine left alone."

    yield Table("Goals", HEAD, rows, note, has_words=True)


class _MissingError(Exception):
    """Somebody could not be measured."""


def _samples(results: dict[str, Results], name: str) -> Results:
    one = results[name]
    if one.problem or not one.samples:
        raise _MissingError(f"{name}: {one.problem or 'no sample'}")
    return one


def _middle(results: dict[str, Results], name: str, key: str) -> float:
    return median(float(sample[key]) for sample in _samples(results, name).samples)


def _ratio(results: dict[str, Results], name: str, other: str, key: str) -> float:
    pairs = zip(_samples(results, name).samples, _samples(results, other).samples, strict=False)
    return median(float(mine[key]) / float(theirs[key]) for mine, theirs in pairs)


def _all(results: dict[str, Results], name: str, key: str) -> list[float]:
    return [float(one) for sample in _samples(results, name).samples for one in sample[key]]


def _beside(results: dict[str, Results], names: dict[str, str], show: Callable[[str], str]) -> str:
    """Write what others came to; who could not be run is named in the suite's table."""
    return ", ".join(f"{said} {show(name)}" for name, said in names.items() if results[name].samples)


def _callers(bench: Bench) -> Iterator[Goal]:
    results, key = calls.by_callers(bench, calls.CALLERS[-1:]), "rate 1000"
    ratio, lines = _ratio(results, "coord", calls.BASELINE, key), _middle(results, "coord", "connections")
    peers = {
        "valkey-glide": "`valkey-glide`",
        "coredis": "`coredis`",
        calls.PIPELINE.name: "pipelines by hand",
    }
    others = _beside(results, peers, lambda one: f"{TIMES}{_ratio(results, one, calls.BASELINE, key):.1f}")
    yield Goal(
        "1,000 async callers of one limiter, decisions/s",
        f"{_middle(results, 'coord', key):,.0f} on {lines:.0f} connections",
        f"`redis.asyncio`, a call each: {_middle(results, calls.BASELINE, key):,.0f}; {others}",
        f"{TIMES}{ratio:.2f}",
        f"≥ {TIMES}5, ≤ 4 connections",
        ratio >= 5 and lines <= 4,
    )


def _caller(bench: Bench) -> Iterator[Goal]:
    results = calls.one_by_one(bench)
    ratio = _ratio(results, "coord", calls.BASELINE, "rate")
    yield Goal(
        "one sync caller, decisions/s",
        f"{_middle(results, 'coord', 'rate'):,.0f}",
        f"`redis-py`'s bare `evalsha`: {_middle(results, calls.BASELINE, 'rate'):,.0f}; "
        f"a raw socket {TIMES}{_ratio(results, calls.RAW.name, calls.BASELINE, 'rate'):.1f}",
        f"{TIMES}{ratio:.2f}",
        f"≥ {TIMES}1.0",
        ratio >= 1,
    )


def _denied(bench: Bench) -> Iterator[Goal]:
    rows = [
        Contestant("coord", COORD, {"contestant": "bucket"}),
        Contestant("limits", LIMITS, {"contestant": "limits moving"}),
        Contestant("evalsha", REDIS_PY, {"contestant": "evalsha"}),
    ]
    results = compare(
        bench, "tests.benchmarks.limit_work:denied", rows, seconds=bench.effort.up_to(0.2, 0.6, 1.0)
    )
    rate = _middle(results, "coord", "rate")
    others = _beside(
        results,
        {"evalsha": "bare `evalsha`", "limits": "`limits`, moving window"},
        lambda one: f"{_middle(results, one, 'rate'):,.0f}",
    )
    yield Goal(
        "a denied hot key, denials/s in one process",
        f"{rate:,.0f}",
        others,
        f"{TIMES}{_ratio(results, 'coord', 'evalsha', 'rate'):.0f}",
        "≥ 1,000,000",
        rate >= 1e6,
    )


def _pair(bench: Bench) -> Iterator[Goal]:
    results = locks.uncontended(bench)
    ratio = _ratio(results, "coord", locks.BASELINE, "rate")
    others = _beside(
        results,
        {locks.LIST.name: "`python-redis-lock`", locks.REDLOCK.name: "`pottery`"},
        lambda one: f"{TIMES}{_ratio(results, one, locks.BASELINE, 'rate'):.2f}",
    )
    yield Goal(
        "lock and release, uncontended, sync, pairs/s",
        f"{_middle(results, 'coord', 'rate'):,.0f}",
        f"`redis-py`'s Lock: {_middle(results, locks.BASELINE, 'rate'):,.0f}; {others}",
        f"{TIMES}{ratio:.2f}",
        f"≥ {TIMES}1.2",
        ratio >= 1.2,
    )


def _contended(bench: Bench) -> Iterator[Goal]:
    results, fair = locks.contended(bench), locks.FAIR.name
    peers = {locks.BASELINE: "`redis-py`", locks.LIST.name: "`python-redis-lock`"}

    def tail(name: str) -> float:
        return percentile(_all(results, name, "waits"), 99)

    rate = _middle(results, "coord", "rate")
    luck = _middle(results, fair, "luck")
    what = f"{locks.CONTENDERS} contenders, 1 ms of work each"
    yield Goal(
        f"{what}, locks/s",
        f"{rate:,.0f}; `fair=True` {_middle(results, fair, 'rate'):,.0f}",
        _beside(results, peers, lambda one: f"{_middle(results, one, 'rate'):,.0f}"),
        f"{TIMES}{_ratio(results, 'coord', locks.BASELINE, 'rate'):.2f}",
        "≥ 850",
        rate >= 850,
    )
    yield Goal(
        f"{what}, p99 of the wait",
        f"{tail('coord'):,.1f} ms; `fair=True` {tail(fair):,.1f} ms",
        _beside(results, peers, lambda one: f"{tail(one):,.1f} ms"),
        f"{TIMES}{tail('coord') / tail(locks.BASELINE):.3f}",
        "≤ 15 ms",
        tail("coord") <= 15,
    )
    yield Goal(
        f"{what}, luckiest to unluckiest, `fair=True`",
        f"{luck:.2f}",
        _beside(results, peers, lambda one: f"{_middle(results, one, 'luck'):,.0f}"),
        "",
        "≤ 1.2",
        luck <= 1.2,
    )


def _handed(bench: Bench) -> Iterator[Goal]:
    results = locks.hand_off(bench)
    half = Column("", "delays", percent=50)

    def delay(name: str) -> float:
        return median(half.in_round(sample) for sample in _samples(results, name).samples)

    peers = {locks.BASELINE: "`redis-py`, which polls,", locks.LIST.name: "`python-redis-lock`, BLPOP,"}
    yield Goal(
        "hand-off to a waiter, p50",
        f"{delay('coord'):.2f} ms",
        _beside(results, peers, lambda one: f"{delay(one):.2f} ms"),
        f"{TIMES}{delay('coord') / delay(locks.BASELINE):.3f}",
        "≤ 1 ms",
        delay("coord") <= 1,
    )
    waiting = locks.waited(bench, locks.WAITERS[::2])
    names = list(waiting)
    lines = [_middle(waiting, name, "connections") for name in names]
    yield Goal(
        f"connections of a process with {names[0]} and with {names[-1]} waiters",
        f"{lines[0]:.0f} and {lines[-1]:.0f}: one that listens, one that calls",
        "`python-redis-lock`: one for each waiter",
        "",
        "one that listens",
        max(lines) <= 2,
    )


def _agreed(bench: Bench) -> Iterator[Goal]:
    results, trip = locks.quorum(bench), locks.TRIP.name
    ratio = _ratio(results, "coord Quorum", trip, "pair_ms")
    others = _beside(
        results,
        {locks.REDLOCK.name: "`pottery`"},
        lambda one: f"{TIMES}{_ratio(results, one, trip, 'pair_ms'):.1f}",
    )
    yield Goal(
        "lock and release on a quorum of 5",
        f"{_middle(results, 'coord Quorum', 'pair_ms'):.2f} ms",
        f"two PINGs to the slowest: {_middle(results, trip, 'pair_ms'):.2f} ms; {others}",
        f"{TIMES}{ratio:.2f}",
        f"≤ {TIMES}1.5",
        ratio <= 1.5,
    )


def _kept(bench: Bench) -> Iterator[Goal]:
    rows = [
        Contestant("bucket", COORD, {"contestant": "bucket"}),
        Contestant("log", COORD, {"contestant": "exact"}),
        Contestant("limits", LIMITS, {"contestant": "limits moving"}),
    ]
    few = replace(bench, effort=Effort(quick=True))
    results = compare(few, "tests.benchmarks.limit_work:remembered", rows, entries=ENTRIES)

    def entry(name: str) -> float:
        return (_middle(results, name, "many") - _middle(results, name, "one")) / (ENTRIES - 1)

    bucket = _middle(results, "bucket", "one")
    others = _beside(results, {"limits": "`limits`"}, lambda one: f"{entry(one):.0f} bytes")
    yield Goal("memory of a token bucket", f"{bucket:.0f} bytes", "", "", "≤ 104 bytes", bucket <= 104)
    yield Goal(
        "memory of an exact window, an entry",
        f"{entry('log'):.1f} bytes",
        others,
        "",
        "≤ 16 bytes",
        entry("log") <= 16,
    )


def members(bench: Bench) -> dict[str, Results]:
    """Measure a board, small and large, once each: to fill one takes long."""
    few = replace(bench, effort=Effort(quick=True))
    sizes = SIZES[: bench.effort.of(3, 4)]
    rows = [Contestant(f"{size:,}", COORD, {"members": size, "tiebreak": "name"}) for size in sizes]
    return compare(few, "tests.benchmarks.board_work:growth", rows, seconds=bench.effort.of(0.2, 0.5))


def _ranked(bench: Bench) -> Iterator[Goal]:
    few = replace(bench, effort=Effort(quick=True))
    trips = compare(few, "tests.benchmarks.goal_work:board_trips", [Contestant("coord", COORD, {})])
    submit, around = (_middle(trips, "coord", key) for key in ("submit", "around"))
    yield Goal(
        "leaderboard: commands to submit and learn the rank; to read a page around me",
        f"{submit:.0f}; {around:.0f}",
        "",
        "",
        "1; 1",
        submit == around == 1,
    )
    results = members(bench)
    small, *_, large = results
    grown = {
        key: _middle(results, large, f"{key}_us") / _middle(results, small, f"{key}_us")
        for key in ("submit", "around")
    }
    sizes = [float(name.replace(",", "")) for name in (small, large)]
    most = len(f"{sizes[1]:.0f}") - 1, len(f"{sizes[0]:.0f}") - 1
    yield Goal(
        f"leaderboard: server time with {large} members, over that with {small}",
        f"submit {TIMES}{grown['submit']:.2f}, around {TIMES}{grown['around']:.2f}",
        "",
        "",
        f"as log n: ≤ {TIMES}{most[0] / most[1]:.2f}",
        max(grown.values()) <= most[0] / most[1],
    )


def _imported(bench: Bench) -> Iterator[Goal]:
    results = calls.imported(bench, calls.IMPORTS[:2])
    ours, theirs = _middle(results, "coord", "cpu"), _middle(results, "redis", "cpu")
    ratio = _ratio(results, "coord", "redis", "cpu")
    yield Goal(
        "`import coord`, processor time",
        f"{ours:.0f} ms",
        f"`import redis`, which is part of it: {theirs:.0f} ms",
        f"{TIMES}{ratio:.2f}",
        f"≤ {TIMES}1.5",
        ratio <= 1.5,
    )
