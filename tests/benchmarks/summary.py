"""Everything in short: coord, the limit of what it could be, and the others, a row for each thing."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING

from tests.benchmarks.alternate import Ratio, Results, middle, ratio
from tests.benchmarks.contests import calls, costs, growth, locks, quorums, sharing
from tests.benchmarks.coord_operations import GATHERING, HELD
from tests.benchmarks.peer_operations import BENCHMARK
from tests.benchmarks.plays import CONTENDERS, HAND_OFF
from tests.benchmarks.tables import DASH, TIMES, Table, figure, times

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.benchmarks.contests.bench import Bench, Found

__all__ = ["NOT_BUILT", "ROWS", "summary"]

Row = tuple[str, str, str, str]
"""What, what coord takes, what the limit is, and what others take."""
SOCKET = "bare socket and hiredis, the same bytes"
PROTOCOL = "bare protocol and hiredis, the same bytes"
NOT_BUILT = ("a cache: a hit, 1,000 async readers, a cold key", "not built yet", DASH, DASH)


def summary(bench: Bench) -> Table:
    """Make the table of what was found."""
    rows = [row(bench) for row in ROWS]
    note = (
        f"Medians of the contests below, which say how each was measured. {TIMES}2 is twice as many in\n"
        "the same time as `redis-py` made, unless it is said to be of something else. The limit is what the\n"
        "same commands take when nothing but a bare socket sends them."
    )
    head = ["", "coord", "the limit", "others"]
    return Table("In short", head, [*rows, NOT_BUILT], note, has_words=True)


def _faster(found: Found, name: str, base: str) -> Ratio:
    """How many times the base's speed somebody has."""
    return ratio(found.get(base, Results()), found.get(name, Results()), "wall")


def _speeds(found: Found, names: Sequence[str], base: str) -> str:
    some = [name for name in names if name in found]
    return ", ".join(f"{name.partition(',')[0]} {times(_faster(found, name, base))}" for name in some)


def _rate(one: Results) -> str:
    return f"{figure(1e6 / middle(one, 'wall'), 0)}/s" if one.readings else DASH


def _spent(one: Results) -> str:
    return f"client CPU {figure(middle(one, 'client'))} µs"


def _beside(found: Found, base: str, ours: str, limit: str, others: Sequence[str]) -> tuple[str, str, str]:
    mine = found.get(ours, Results())
    told = f"{_rate(mine)}, {times(_faster(found, ours, base))}, {_spent(mine)}"
    return told, _speeds(found, [limit], base) or DASH, _speeds(found, others, base) or DASH


def _decision(bench: Bench) -> Row:
    others = ["valkey-glide-sync, the same script", BENCHMARK]
    found = bench.found.get(calls.DECISION, {})
    return ("one sync decision", *_beside(found, calls.BARE, calls.COORD, SOCKET, others))


def _callers(count: int) -> Callable[[Bench], Row]:
    def row(bench: Bench) -> Row:
        found, base = bench.found.get(calls.callers_of(count), {}), calls.POOLED
        others = ["valkey-glide", "coredis, pool of 100"]
        return (
            f"{calls.callers_of(count)} of one limiter",
            *_beside(found, base, calls.COORD, PROTOCOL, others),
        )

    return row


def _denied(bench: Bench) -> Row:
    found = bench.found.get(calls.DENIED, {})
    others = [name for name in found if name not in {calls.COORD, calls.BARE}]
    ours, _, _ = _beside(found, calls.BARE, calls.COORD, "", [])
    theirs = ", ".join(
        f"{name.replace(',', '')} {times(_faster(found, name, calls.BARE))}" for name in others
    )
    return "a denied hot key", ours, DASH, theirs or DASH


def _pair(bench: Bench) -> Row:
    found = bench.found.get(locks.LOCK, {})
    return ("lock and release", *_beside(found, locks.BASE, locks.PAIR, SOCKET, []))


def _block(bench: Bench) -> Row:
    found, beside = bench.found.get(locks.LOCK, {}), bench.found.get(locks.LOCKS, {})
    others = ["python-redis-lock, `with`", "python-redis-lock, `with`, renewed", "pottery, `with`"]
    ours, limit, _ = _beside(found, locks.BASE, locks.BLOCK, SOCKET, [])
    speeds = {name.replace(", `with`", ""): times(_faster(beside, name, locks.BASE)) for name in others}
    return "`with lock`", ours, limit, ", ".join(f"{name} {speed}" for name, speed in speeds.items())


def _many_held(bench: Bench) -> Row:
    found = bench.found.get(locks.HOLDING, {})
    held = found.get(locks.MANY, Results())
    beside = times(ratio(held, found.get(locks.BLOCK, Results()), "client"))
    number = figure(middle(held, "held"), 0)
    told = (
        f"{_spent(held)}, {beside} of a block with none held" if held.readings else "left out of a quick run"
    )
    if held.readings and number != f"{HELD:,}":
        told += f"; only {number} were had within {GATHERING:g} s"
    return f"`with lock`, {HELD:,} leases held", told, DASH, DASH


def _hand_off(bench: Bench) -> Row:
    found = bench.found.get(HAND_OFF, {})

    def told(name: str) -> str:
        return f"{figure(middle(found.get(name, Results()), 'p50'), 2)} ms"

    others = ", ".join(f"{name} {told(name)}" for name in ("python-redis-lock", "redis-py", "pottery"))
    return "hand-off to a waiter, p50", told("coord"), f"`BLPOP` {told(sharing.TOKENS)}", others


def _waiters(bench: Bench) -> Row:
    found = bench.found.get(growth.WAITERS, {})
    few = found.get("100", Results())
    most = max(found, key=lambda name: int(name.replace(",", "")), default="100")
    many = found.get(most, Results())
    told = many.problem
    if not told:
        idle = figure(middle(many, "idle") / 10)
        grown = times(ratio(many, few, "client"))
        told = f"{grown} the client CPU of a hand-off among 100; {idle} % of a core idle"
    return f"{most} waiters of one process", told, DASH, DASH


def _contenders(bench: Bench) -> Row:
    found = bench.found.get(CONTENDERS, {})

    def told(name: str) -> str:
        one = found.get(name, Results())
        return f"{figure(middle(one, 'rate'), 0)}/s, luck {figure(middle(one, 'luck'), 2)}"

    tokens = found.get(sharing.TOKENS, Results())
    beside = times(ratio(found.get("coord", Results()), tokens, "rate"))
    others = "; ".join(f"{name} {told(name)}" for name in ("python-redis-lock", "redis-py", "pottery"))
    ours = f"{told('coord')}, {beside} of the limit"
    return "8 contenders, 1 ms of work", ours, f"`BLPOP` {told(sharing.TOKENS)}", others


def _quorum(bench: Bench) -> Row:
    found = bench.found.get(quorums.QUORUM, {})

    def told(name: str) -> str:
        return f"{figure(middle(found.get(name, Results()), 'wall') / 1e3, 2)} ms"

    slower = times(ratio(found.get(quorums.COORD, Results()), found.get(quorums.POLLER, Results()), "wall"))
    ours = f"{told(quorums.COORD)}, {slower} of the limit"
    others = f"pottery {told('pottery, `with`')}"
    return "lock and release on a quorum of 5", ours, f"one poller {told(quorums.POLLER)}", others


def _link(bench: Bench) -> Row:
    found = bench.found.get(quorums.LINK, {})
    trips = times(ratio(found.get(quorums.COORD, Results()), found.get(quorums.TRIP, Results()), "trip"))
    return "acquire on a quorum of 5 over a link of 2 ms", f"{trips} of a round trip", f"{TIMES}1", DASH


def _server(bench: Bench) -> Row:
    found = bench.found.get(costs.SERVER, {})

    def told(names: dict[str, str]) -> str:
        pairs = ((said, middle(found.get(name, Results()), "server")) for said, name in names.items())
        return ", ".join(f"{said} {figure(value)}" for said, value in pairs if not isnan(value)) or DASH

    ours = {
        "bucket": costs.BUCKET, "fixed window": "coord, fixed window", "lock and release": costs.PAIR,
        "submit": "coord, submit",
    }  # fmt: skip
    limit = {"a script that does nothing": "a script that does nothing"}
    others = {
        "throttled-py, bucket": "throttled-py, token bucket", "limits, fixed": "limits, fixed window",
        "redis-py, lock and release": "redis-py, `with`",
    }  # fmt: skip
    return "server CPU of a call, µs", told(ours), told(limit), told(others)


def _memory(bench: Bench) -> Row:
    found = bench.found.get(costs.MEMORY, {})

    def one(name: str) -> str:
        return f"{figure(middle(found.get(name, Results()), 'one'), 0)} bytes"

    def entry(name: str) -> str:
        told = found.get(name, Results())
        return f"{figure((middle(told, 'many') - middle(told, 'one')) / costs.FURTHER)} bytes"

    ours = f"{one(costs.BUCKET)} a bucket, {entry(costs.LOG)} an entry of a log"
    others = ", ".join(f"{name.partition(',')[0]} {entry(name)} an entry" for name in costs.LOGS)
    return "memory", ours, DASH, others


def _imports(bench: Bench) -> Row:
    found = bench.found.get(costs.IMPORT, {})

    def told(name: str) -> str:
        one = found.get(name, Results())
        return (
            f"{figure(middle(one, 'cpu'), 0)} ms, {times(ratio(one, found.get('redis', Results()), 'cpu'))}"
        )

    first = costs.FIRST
    base = f"`import redis` {figure(middle(found.get('redis', Results()), 'cpu'), 0)} ms"
    return "`import coord`, CPU", f"{told('coord')}; with a first `Coord` {told(first)}", base, DASH


def _rows() -> Iterator[Callable[[Bench], Row]]:
    yield _decision
    yield from map(_callers, (100, 1_000))
    yield from (_denied, _pair, _block, _many_held, _hand_off, _waiters, _contenders, _quorum, _link)
    yield from (_server, _memory, _imports)


ROWS = tuple(_rows())
"""What there are figures to reach for, in one order everywhere."""
