"""The tables of the README: coord beside each of the packages that do the same, in features and in speed.

Features are as read in the packages' documents and sources, of the versions that were measured; figures are
of the contests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.benchmarks.alternate import Results, middle, ratio
from tests.benchmarks.contests import calls, costs, locks, quorums
from tests.benchmarks.plays import CONTENDERS, HAND_OFF
from tests.benchmarks.tables import DASH, Table, figure, times

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.benchmarks.contests.bench import Bench, Found

__all__ = ["NEEDED", "tables"]

NEEDED = (
    calls.LIMITERS, calls.DENIED, locks.LOCKS, HAND_OFF, CONTENDERS, quorums.QUORUM, costs.SERVER,
    costs.MEMORY,
)  # fmt: skip
"""The contests whose figures are in it."""
LOCKS = ("coord", "redis-py `Lock`", "python-redis-lock", "pottery `Redlock`")
LOCK_FEATURES = (
    (
        "a waiter learns of a release",
        "by a message",
        "asks every 0.1 s",
        "by `BLPOP`",
        "asks at random, up to 0.2 s",
    ),
    ("connections for 1,000 waiters", "2 or 3", "those of its pool", "1,000", "those of its pools"),
    ("first come, first served", "with `fair=True`", "no", "no", "no"),
    ("renewed while the block runs", "yes", "by hand", "with `auto_renewal=True`", "by hand"),
    ("fencing number", "yes", "no", "no", "no"),
    ("several independent servers", "`Quorum`", "no", "no", "yes"),
    ("sync and async", "both", "both", "sync", "both"),
)
LIMITERS = ("coord", "limits", "throttled-py", "pyrate-limiter")
LIMITER_FEATURES = (
    ("rules", "token bucket, sliding window (exact or approximate), fixed window",
     "fixed window, moving window, sliding window counter",
     "fixed and sliding window, token bucket, leaky bucket, GCRA", "sliding log"),
    ("whose clock", "the server's", "the client's, for moving windows", "the server's",
     "the client's"),
    ("waits until it may", "yes", "no", "yes", "yes"),
    ("several limiters in one step", "yes, each with its own cost", "no", "no", "several rates of one key"),
    ("gives back what was charged", "yes", "no", "no", "no"),
    ("a denied key is answered in process", "for up to 0.1 s", "no", "no", "no"),
    ("sync and async", "both", "both", "both", "both"),
)  # fmt: skip


def tables(bench: Bench) -> list[Table]:
    """Make both tables; none if not all that they need was measured."""
    if not all(name in bench.found for name in NEEDED):
        return []
    return [_locks(bench), _limiters(bench)]


def _locks(bench: Bench) -> Table:
    found = bench.found
    blocks = (locks.BLOCK, locks.BASE, "python-redis-lock, `with`", "pottery, `with`")
    roles = ("coord", "redis-py", "python-redis-lock", "pottery")
    rows = [
        ("`with lock`, to redis-py's speed", *_speeds(found[locks.LOCKS], blocks, locks.BASE)),
        ("client CPU of it, µs", *_figures(found[locks.LOCKS], blocks, "client", 0)),
        ("hand-off to a waiter, p50, ms", *_figures(found[HAND_OFF], roles, "p50", 2)),
        ("8 contenders with 1 ms of work, locks/s", *_figures(found[CONTENDERS], roles, "rate", 0)),
        ("the luckiest of them to the unluckiest", *_figures(found[CONTENDERS], roles, "luck", 1)),
        ("the longest 1 % of their waits, ms", *_figures(found[CONTENDERS], roles, "p99", 0)),
        ("lock and release on 5 servers, ms", *_quorum(found[quorums.QUORUM])),
    ]
    note = "Speed is of one thread and a lock that nobody else wants; more is faster."
    return Table("Locks", ["", *LOCKS], [*LOCK_FEATURES, *rows], note, has_words=True)


def _quorum(found: Found) -> Sequence[str]:
    ours, theirs = (
        figure(middle(found[name], "wall") / 1e3, 2) for name in (quorums.COORD, "pottery, `with`")
    )
    return ours, DASH, DASH, theirs


def _limiters(bench: Bench) -> Table:
    found = bench.found
    kinds = (calls.COORD_BUCKET, "limits, fixed window", "throttled-py, token bucket", "pyrate-limiter")
    denied = (calls.COORD, *kinds[1:])
    logs = (costs.LOG, "limits, moving window", "", "pyrate-limiter")
    rows = [
        ("measured as", "token bucket", "fixed window", "token bucket", "sliding log"),
        ("decisions/s of one thread", *_rates(found[calls.LIMITERS], kinds)),
        ("client CPU of one, µs", *_figures(found[calls.LIMITERS], kinds, "client", 0)),
        ("server CPU of one, saturated, µs", *_figures(found[costs.SERVER], kinds, "server", 1)),
        ("denials/s of a key that is denied", *_rates(found[calls.DENIED], denied)),
        ("bytes for each entry of an exact window", *map(_entry(found[costs.MEMORY]).__getitem__, logs)),
    ]
    note = "By one thread, on one connection."
    return Table("Limiters", ["", *LIMITERS], [*LIMITER_FEATURES, *rows], note, has_words=True)


def _entry(found: Found) -> dict[str, str]:
    def told(one: Results) -> str:
        return figure((middle(one, "many") - middle(one, "one")) / costs.FURTHER, 0)

    return {name: told(one) for name, one in found.items()} | {"": DASH}


def _figures(found: Found, names: Sequence[str], key: str, digits: int) -> list[str]:
    return [figure(middle(found[name], key), digits) for name in names]


def _rates(found: Found, names: Sequence[str]) -> list[str]:
    return [figure(1e6 / middle(found[name], "wall"), 0) for name in names]


def _speeds(found: Found, names: Sequence[str], base: str) -> list[str]:
    return [times(ratio(found[base], found[name], "wall")) for name in names]
