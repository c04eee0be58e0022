"""What is measured of coord itself, in whichever words a checkout has.

The one place that knows older words: ``_over`` says how the time of a limit is called.
"""

from __future__ import annotations

import contextlib
import inspect
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tests.benchmarks.operation import Operation, each, tasks

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.benchmarks.operation import Place, Run

__all__ = ["ENTRIES", "HELD", "HOUR", "OPERATIONS", "PLENTY", "SLOW_BUCKET", "bucket_of", "home_of"]

PLENTY = 10**6
"""A limit that no measurement comes to."""
HOUR = 3600.0
LASTING = 600.0
"""A lease, in seconds, that is not renewed during a measurement."""
HELD = 10_000
GATHERING = 15.0
"""Seconds in which they are to be taken: what takes longer is told by the number that is held."""
USERS = 200
ENTRIES = 100
"""Entries of an exact window."""


def home_of(place: Place) -> Any:
    """Connect a ``Coord``, which is closed at the end."""
    home = import_module("coord").Coord.connect(place.url, prefix=place.prefix, call_timeout=60)
    place.close_with(home.close)
    return home


def _async_home(place: Place) -> Any:
    home = import_module("coord").AsyncCoord.connect(place.url, prefix=place.prefix, call_timeout=60)
    place.close_with(home.close)
    return home


def _over(factory: Any, seconds: float) -> dict[str, float]:
    """The time that a limit is counted over: ``per=``, or ``period=`` in older words."""
    return {"per" if "per" in inspect.signature(factory).parameters else "period": seconds}


def bucket_of(home: Any) -> Any:
    """Make a token bucket that never runs dry; coord is asked for the same one everywhere."""
    return home.token_bucket("calls", rate=PLENTY, burst=PLENTY)


def _decision(place: Place) -> Run:
    bucket = bucket_of(home_of(place))
    return each(lambda: bucket.try_acquire("u"))


def _fixed(place: Place) -> Run:
    home = home_of(place)
    window = home.fixed_window("fixed", limit=PLENTY, **_over(home.fixed_window, HOUR))
    return each(lambda: window.try_acquire("u"))


def _approximate(place: Place) -> Run:
    home = home_of(place)
    per = _over(home.sliding_window, HOUR)
    window = home.sliding_window("counted", limit=PLENTY, precision="approximate", **per)
    return each(lambda: window.try_acquire("u"))


def _exact(place: Place) -> Run:
    home = home_of(place)
    window = home.sliding_window(
        "logged", limit=ENTRIES, precision="exact", **_over(home.sliding_window, HOUR)
    )
    asked = 0

    def ask() -> None:
        nonlocal asked
        asked += 1
        window.try_acquire(f"u{asked // ENTRIES:09}")

    return each(ask)


def _slow_bucket(place: Place) -> Run:
    home = home_of(place)
    bucket = home.token_bucket("slow", rate=PLENTY, burst=PLENTY, **_over(home.token_bucket, HOUR))
    return each(lambda: bucket.try_acquire("u"))


def _denied(place: Place) -> Run:
    home = home_of(place)
    window = home.fixed_window("denied", limit=1, **_over(home.fixed_window, HOUR))
    window.try_acquire("u")
    return each(lambda: window.try_acquire("u"))


def _pair(place: Place) -> Run:
    lock = home_of(place).lock("pair")
    return each(lambda: lock.acquire().release())


def _fair_pair(place: Place) -> Run:
    lock = home_of(place).lock("fair", fair=True)
    return each(lambda: lock.acquire().release())


def _block_of(lock: Any) -> Callable[[], object]:
    def block() -> None:
        with lock:
            pass

    return block


def _with(place: Place) -> Run:
    return each(_block_of(home_of(place).lock("block")))


def _fair_with(place: Place) -> Run:
    return each(_block_of(home_of(place).lock("fair block", fair=True)))


def _with_many_held(place: Place) -> Run:
    """Hold many leases, or as many as can be had in a while; ``held`` tells how many."""
    home = home_of(place)
    held = place.stack.enter_context(contextlib.ExitStack())
    number, until = 0, time.monotonic() + GATHERING
    while number < HELD and time.monotonic() < until:
        held.enter_context(home.lock(f"held:{number}", ttl=LASTING).hold())
        number += 1
    blocks = each(_block_of(home.lock("one more", ttl=LASTING)))

    def run(count: int) -> dict[str, float]:
        blocks(count)
        return {"held": number}

    return run


def _permits(place: Place) -> Run:
    limit = home_of(place).concurrency_limit("at once", limit=10)
    return each(lambda: limit.acquire("u").release())


def _submit(place: Place) -> Run:
    board = home_of(place).leaderboard("season")
    turn = 0

    def submit() -> None:
        nonlocal turn
        turn += 1
        board.submit(f"player:{turn % USERS}", turn * 7919 % 1000)

    return each(submit)


def _rank(place: Place) -> Run:
    board = home_of(place).leaderboard("season")
    board.submit_many({f"player:{number}": number for number in range(USERS)})
    return each(lambda: board.rank("player:7"))


def _add(place: Place) -> Run:
    visitors = home_of(place).unique_counter("visitors")
    return each(lambda: visitors.add("user-000000000000000000000000000007"))


def _mark(place: Place) -> Run:
    active = home_of(place).activity("active")
    return each(lambda: active.mark(7))


def _quorum(place: Place) -> Run:
    # The servers have just started, and have nothing to forget.
    quorum = import_module("coord").Quorum.connect(*place.urls, prefix=place.prefix, quarantine=False)
    place.close_with(quorum.close)
    lock = quorum.lock("pair")
    return each(lambda: lock.acquire().release())


def _by_callers(callers: int) -> Callable[[Place], Run]:
    def opened(place: Place) -> Run:
        bucket = bucket_of(_async_home(place))
        return tasks(place, callers, lambda: bucket.try_acquire("u"))

    return opened


def _async_with(place: Place) -> Run:
    lock = _async_home(place).lock("async block")

    async def block() -> None:
        async with lock:
            pass

    return tasks(place, 1, block)


SLOW_BUCKET = Operation("decision, slow bucket", _slow_bucket, 100)
"""One that is not full again at once, and so has something to remember."""
_ALL = (
    Operation("decision", _decision, 100),
    SLOW_BUCKET,
    Operation("decision, fixed window", _fixed, 100),
    Operation("decision, sliding window, approximate", _approximate, 100),
    Operation("decision, sliding window, exact", _exact, 100),
    Operation("decision, denied", _denied, 20_000),
    Operation("1 async caller", _by_callers(1), 100),
    Operation("10 async callers", _by_callers(10), 300),
    Operation("100 async callers", _by_callers(100), 500),
    Operation("1,000 async callers", _by_callers(1_000), 2_000),
    Operation("lock pair", _pair),
    Operation("lock pair, fair", _fair_pair),
    Operation("with lock", _with),
    Operation("with lock, fair", _fair_with),
    Operation("with lock, 10,000 held", _with_many_held),
    Operation("async with lock", _async_with),
    Operation("permit pair", _permits),
    Operation("submit", _submit, 100),
    Operation("rank", _rank, 100),
    Operation("add", _add, 100),
    Operation("mark", _mark, 100),
    Operation("quorum pair", _quorum, 25),
)
OPERATIONS = {one.name: one for one in _ALL}
"""By name, as ``--only`` takes them."""
