"""What each script costs the server, as run in the process that measures it.

A script is met by using coord: a scenario prepares what the script will find, and then has it run once for
each of many objects of one kind. What was sent is noted down, and sent again to a server in the same state,
in the same order, first one by one and then in pipelines.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import date, timedelta
from importlib import import_module
from itertools import groupby, zip_longest
from typing import TYPE_CHECKING, Any

from coord import PermitTimeout
from tests.benchmarks.rooms import board_work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.benchmarks.rounds import Sample

    Act = Callable[[int], object]
    Prepare = Callable[[Any], Act]

BATCH = 500
MEMBERS = 10_000
FIRST = date(2025, 1, 1)
PLENTY = 10**6
NOT_INSIDE = ("cmdstat_config", "cmdstat_eval")
"""What the server counts beside the commands that scripts run: the reset of its figures, and the scripts."""
YARDSTICKS = {
    "a script that does nothing": "return 1",
    "one that calls `TIME`": "redis.call('TIME') return 1",
    "one that calls `GET` ten times": "for i = 1, 10 do redis.call('GET', KEYS[1]) end return 1",
    "one that writes ten numbers": "for i = 1, 10 do string.format('%.0f', i * 1e9) end return 1",
}
"""What scripts are made of: what every one of them costs beside its own work."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A script at its usual size.

    Attributes:
        script: Which.
        size: What "usual" means here.
        prepare: Given a ``Coord``, fills the server, and returns what has the script run on the n-th object.
        times: How many objects.
    """

    script: str
    size: str
    prepare: Prepare
    times: int = 500

    @property
    def title(self) -> str:
        """What the row is called."""
        return f"`{self.script}`, {self.size}"


SCENARIOS: list[Scenario] = []


def usual(script: str, size: str, times: int = 500) -> Callable[[Prepare], Prepare]:
    """Let the function decorated prepare a scenario."""

    def note(prepare: Prepare) -> Prepare:
        SCENARIOS.append(Scenario(script, size, prepare, times))
        return prepare

    return note


@usual("lock_acquire", "a free lock")
@usual("lock_release", "nobody waits")
def _locked(coord: Any) -> Act:
    return lambda n: coord.lock(f"x{n}").acquire().release()


@usual("lock_acquire", "`fair=True`, a free lock")
@usual("lock_release", "`fair=True`, nobody waits")
def _locked_fairly(coord: Any) -> Act:
    return lambda n: coord.lock(f"x{n}", fair=True).acquire().release()


@usual("lock_renew", "one lease")
def _renewed(coord: Any) -> Act:
    return lambda n: coord.lock(f"x{n}").acquire().renew()


@usual("lock_renew", "100 leases", times=20)
def _renewed_together(coord: Any) -> Act:
    renewal = import_module("coord.locks.calls").renewal
    step = import_module("coord._engine.port").step

    def act(n: int) -> object:
        names = [f"x{n}:{number}" for number in range(100)]
        leases = [(coord._keys("lock", name), coord.lock(name).acquire().token, 10.0) for name in names]
        return step(coord._port.run(renewal(leases)))

    return act


@usual("lock_status", "held")
def _looked_at(coord: Any) -> Act:
    def act(n: int) -> None:
        coord.lock(f"x{n}").acquire()
        coord.lock(f"x{n}").status()

    return act


@usual("lock_break", "held")
def _broken(coord: Any) -> Act:
    def act(n: int) -> None:
        coord.lock(f"x{n}").acquire()
        coord.lock(f"x{n}").force_release(reason="benchmark")

    return act


@usual("locks_acquire", "three free locks")
@usual("locks_release", "three locks")
def _locked_together(coord: Any) -> Act:
    return lambda n: coord.locks(f"x{n}", f"y{n}", f"z{n}").acquire().release()


@usual("quorum_fence", "one server's part")
def _agreed(coord: Any) -> Act:
    quorum = import_module("coord").Quorum([_client(coord)], quarantine=False)
    return lambda n: quorum.lock(f"x{n}").acquire()


@usual("fenced_apply", "`set` of 20 bytes")
def _fenced(coord: Any) -> Act:
    return lambda n: coord.fenced(f"x{n}").set("x" * 20, fence=1)


@usual("limit_bucket", "one token")
def _bucket(coord: Any) -> Act:
    limiter = coord.token_bucket("x", rate=PLENTY)
    return lambda n: limiter.try_acquire("one")


@usual("limit_fixed", "one of many")
def _fixed(coord: Any) -> Act:
    limiter = coord.fixed_window("x", limit=PLENTY, per=60)
    return lambda n: limiter.try_acquire("one")


@usual("limit_counter", "one of many")
def _approximate(coord: Any) -> Act:
    limiter = coord.sliding_window("x", limit=PLENTY, per=60, precision="approximate")
    return lambda n: limiter.try_acquire("one")


@usual("limit_log", "one of up to 100", times=100)
def _exact(coord: Any) -> Act:
    limiter = coord.sliding_window("x", limit=100, per=60, precision="exact")
    return lambda n: limiter.try_acquire("one")


@usual("limit_apply", "two limiters together")
def _both(coord: Any) -> Act:
    both = coord.limits(
        coord.token_bucket("rpm", rate=PLENTY), coord.token_bucket("tpm", rate=PLENTY, burst=PLENTY)
    )
    return lambda n: both.try_acquire("one", cost={"rpm": 1, "tpm": 900})


def _permits(coord: Any) -> Any:
    return coord.concurrency_limit("x", limit=PLENTY)


@usual("permit_acquire", "the first of a key")
@usual("permit_release", "nobody waits")
def _admitted(coord: Any) -> Act:
    limit = _permits(coord)
    return lambda n: limit.acquire(f"x{n}").release()


@usual("permit_admit", "the first of a key, and two rates")
def _let_in(coord: Any) -> Act:
    rates = (coord.token_bucket(name, rate=PLENTY) for name in ("rpm", "tpm"))
    both = coord.admission(*rates, at_once=coord.concurrency_limit("x", limit=PLENTY, fair=True))
    return lambda n: both.acquire(f"x{n}", cost={"rpm": 1, "tpm": 900}).release()


@usual("permit_withdraw", "one who has waited")
def _gives_up(coord: Any) -> Act:
    limit = coord.concurrency_limit("x", limit=1, fair=True)
    both = coord.admission(coord.token_bucket("rpm", rate=PLENTY), at_once=limit)

    def act(n: int) -> None:
        limit.acquire(f"x{n}")
        with contextlib.suppress(PermitTimeout):
            both.acquire(f"x{n}", timeout=0.001)

    return act


@usual("permit_renew", "one permit")
def _kept(coord: Any) -> Act:
    limit = _permits(coord)
    return lambda n: limit.acquire(f"x{n}").renew()


@usual("permit_status", "one permit")
def _who_is_at_work(coord: Any) -> Act:
    limit = _permits(coord)

    def act(n: int) -> None:
        limit.acquire(f"x{n}")
        limit.status(f"x{n}")

    return act


@usual("permit_reset", "one permit")
def _thrown_out(coord: Any) -> Act:
    limit = _permits(coord)

    def act(n: int) -> None:
        limit.acquire(f"x{n}")
        limit.reset(f"x{n}")

    return act


@usual("unique_add", "one id, counted exactly")
def _counted(coord: Any) -> Act:
    counter = coord.unique_counter("x")
    return lambda n: counter.add(f"user:{n}", at=FIRST)


@usual("unique_add", "one id, estimated")
def _estimated(coord: Any) -> Act:
    counter = coord.unique_counter("x")
    counter.add(*range(2000), at=FIRST)
    return lambda n: counter.add(f"user:{n}", at=FIRST)


@usual("unique_read", "one day, estimated")
def _read(coord: Any) -> Act:
    counter = coord.unique_counter("x")
    counter.add(*range(2000), at=FIRST)
    return lambda n: counter.count(at=FIRST)


@usual("unique_read", "30 days, estimated", times=100)
def _read_a_month(coord: Any) -> Act:
    counter = coord.unique_counter("x")
    days = [FIRST + timedelta(days=number) for number in range(40)]
    for number, day in enumerate(days):
        counter.add(*range(1000 * number, 1000 * number + 2000), at=day)
    return lambda n: counter.count(since=days[3], until=days[32])


@usual("unique_roll", "a month of 31 days, estimated", times=5)
def _rolled(coord: Any) -> Act:
    days = [FIRST + timedelta(days=number) for number in range(31)]
    for n in range(5):
        for day in days:
            coord.unique_counter(f"x{n}").add(*range(1000), at=day)
    return lambda n: coord.unique_counter(f"x{n}").count(since=days[0], until=days[-1])


@usual("unique_restore", "a sketch", times=50)
def _restored(coord: Any) -> Act:
    counter = coord.unique_counter("x")
    counter.add(*range(2000), at=FIRST)
    data = counter.select(at=FIRST).export()
    return lambda n: coord.unique_counter(f"y{n}").restore(data, at=FIRST)


@usual("recent_add", "one id")
@usual("recent_count", "up to 100 ids")
def _recent(coord: Any) -> Act:
    counter = coord.sliding_unique_counter("x", exact=True)

    def act(n: int) -> None:
        counter.add(f"user:{n}")
        counter.count()

    return act


def _active(coord: Any, **options: Any) -> Any:
    activity = coord.activity("x", **options)
    activity.mark(*(("id%d" % n if options else n) for n in range(0, 1000, 2)), at=FIRST)  # noqa: UP031
    return activity


@usual("activity_mark", "one number, in a day")
def _marked(coord: Any) -> Act:
    activity = _active(coord)
    return lambda n: activity.mark(2 * n + 1, at=FIRST)


@usual("activity_mark", "one number, in a day, a week and a month")
def _marked_in_three(coord: Any) -> Act:
    activity = coord.activity("x", period=("day", "week", "month"))
    return lambda n: activity.mark(n, at=FIRST)


@usual("activity_mark", "one text id, in a day")
def _marked_as_text(coord: Any) -> Act:
    activity = _active(coord, ids="text")
    return lambda n: activity.mark(f"id{2 * n + 1}", at=FIRST)


@usual("activity_merge", "10,000 numbers close together", times=20)
def _merged(coord: Any) -> Act:
    return lambda n: coord.activity(f"x{n}").mark(*range(10_000), at=FIRST)


@usual("activity_unmark", "one number, in a day")
def _unmarked(coord: Any) -> Act:
    activity = _active(coord)
    return lambda n: activity.unmark(2 * n, at=FIRST)


@usual("activity_count", "one day")
@usual("activity_test", "one id")
def _asked(coord: Any) -> Act:
    activity = _active(coord)

    def act(n: int) -> None:
        activity.count(at=FIRST)
        activity.is_active(n, at=FIRST)

    return act


@usual("activity_chunks", "two days")
@usual("activity_names", "100 text ids", times=50)
def _cohorts(coord: Any) -> Act:
    activity = _active(coord, ids="text")
    next_day = FIRST + timedelta(days=1)
    activity.mark("id0", at=next_day)
    either = activity.cohort(at=FIRST) | activity.cohort(at=next_day)
    return lambda n: list(either)


def _board(coord: Any, tiebreak: str = "name") -> Any:
    board_work.fill(_client(coord), MEMBERS, tiebreak)
    return coord.leaderboard(board_work.NAME, tiebreak=tiebreak)


@usual("board_submit", f"one score, {MEMBERS:,} members")
def _submitted(coord: Any) -> Act:
    board = _board(coord)
    return lambda n: board.submit(f"player:{n:07}", 37 * n)


@usual("board_submit", '`tiebreak="first"`, one score')
def _submitted_first(coord: Any) -> Act:
    board = _board(coord, tiebreak="first")
    return lambda n: board.submit(f"player:{n:07}", 37 * n)


@usual("board_meta", "one meta")
def _annotated(coord: Any) -> Act:
    board = _board(coord)
    return lambda n: board.set_meta(f"player:{n:07}", "blue")


@usual("board_find", "one rank")
def _ranked(coord: Any) -> Act:
    board = _board(coord)
    return lambda n: board.rank(f"player:{n:07}")


@usual("board_find", "100 ranks", times=50)
def _friends(coord: Any) -> Act:
    board = _board(coord)
    return lambda n: board.ranks_of(*(f"player:{97 * n + one:07}" for one in range(100)))


@usual("board_page", "the top 10")
def _top(coord: Any) -> Act:
    board = _board(coord)
    return lambda n: board.top(10)


@usual("board_page", "25 rows around one")
def _around(coord: Any) -> Act:
    board = _board(coord)
    return lambda n: board.around(f"player:{40 * n + 30:07}", 12)


@usual("board_count", "a percentile")
def _percentile(coord: Any) -> Act:
    board = _board(coord)
    return lambda n: board.percentile(f"player:{n:07}")


@usual("board_quantile", "a median")
def _median(coord: Any) -> Act:
    board = _board(coord)
    return lambda n: board.score_at(50)


@usual("board_remove", "one member")
def _removed(coord: Any) -> Act:
    board = _board(coord)
    return lambda n: board.remove(f"player:{n:07}")


@usual("board_dump", "a part of 100", times=20)
@usual("board_load", "a part of 100", times=20)
@usual("board_swap", "the last step", times=20)
def _copied(coord: Any) -> Act:
    for n in range(20):
        coord.leaderboard(f"x{n}").submit_many({f"player:{one}": one for one in range(100)})
    return lambda n: coord.leaderboard(f"x{n}").snapshot("then")


@usual("board_compare", "one member")
def _compared(coord: Any) -> Act:
    board = coord.leaderboard("x")
    board.submit_many({f"player:{one}": one for one in range(1000)})
    board.snapshot("then")
    return lambda n: board.movement(f"player:{n}", snapshot="then")


@usual("board_tally", "one shard's part of a rank")
def _sharded(coord: Any) -> Act:
    board = coord.sharded_leaderboard("x", shards=2)
    board.store({f"player:{n:07}": n for n in range(MEMBERS)})
    return lambda n: board.rank(f"player:{n:07}")


@usual("board_sample", "one shard's part of a page from the middle", times=20)
def _paged(coord: Any) -> Act:
    board = coord.sharded_leaderboard("x", shards=2)
    board.store({f"player:{n:07}": n for n in range(MEMBERS)})
    return lambda n: board.page(200 + n, 25)


def _client(coord: Any) -> Any:
    return coord._port._wire._client


Sent = list[tuple[str, tuple[Any, ...]]]
"""Calls, in the order in which they are sent: the name of a script, or nothing, and the words."""


def measured(urls: list[str], share: float) -> Sample:
    """Have each script run at its usual size, for a ``share`` of the usual times.

    Returns:
        By scenario: microseconds a call ``alone`` and ``saturated``, the ``commands`` it runs inside and the
        ``inside`` microseconds of those (alone), and the ``bytes`` of a request.
    """
    client = import_module("redis").Redis.from_url(urls[0])
    sample: Sample = {title: _yardstick(client, text) for title, text in YARDSTICKS.items()}
    for scenario in SCENARIOS:
        sample[scenario.title] = _one(client, urls[0], scenario, max(3, round(scenario.times * share)))
    return sample


def _one(client: Any, url: str, scenario: Scenario, times: int) -> Sample:
    act = _prepared(client, url, scenario)
    sent = [*_transposed(_noted(act, times))]
    texts = {call.what.text for calls in sent for call in calls if not isinstance(call.what, str)}
    words = [[(getattr(call.what, "name", ""), call.words()) for call in calls] for calls in sent]
    figures: Sample = {}
    for way, size in (("alone", 1), ("saturated", BATCH)):
        _prepared(client, url, scenario)
        for text in texts:
            client.script_load(text)
        figures |= _sent_again(client, words, scenario.script, way, size)
    ours = [one for calls in words for name, one in calls if name == scenario.script]
    connection = client.connection_pool.get_connection()
    packed = sum(len(piece) for one in ours for piece in connection.pack_command(*one))
    client.connection_pool.release(connection)
    return figures | {"bytes": packed / len(ours)}


def _prepared(client: Any, url: str, scenario: Scenario) -> Act:
    client.flushall()
    return scenario.prepare(import_module("coord").Coord.connect(url))


def _noted(act: Act, times: int) -> list[list[Any]]:
    """Note down the calls that each of so many acts makes."""
    courier = import_module("coord._engine.courier").Courier
    deliver = courier.deliver
    noted: list[list[Any]] = []

    async def note_and_deliver(self: Any, call: Any, *details: Any, **options: Any) -> Any:
        noted[-1].append(call)
        return await deliver(self, call, *details, **options)

    courier.deliver = note_and_deliver
    try:
        for n in range(times):
            noted.append([])
            act(n)
    finally:
        courier.deliver = deliver
    return noted


def _transposed(acts: list[list[Any]]) -> Iterable[list[Any]]:
    """Order calls so that the first of all acts come first, then the second: acts do not meet one another."""
    for calls in zip_longest(*acts):
        yield [call for call in calls if call is not None]


def _sent_again(client: Any, sent: list[Sent], script: str, way: str, size: int) -> Sample:
    """Send all that was sent, and add up what the server says of the script's share."""
    calls = spent = commands = inside = 0.0
    for step in sent:
        for is_ours, group in groupby(step, lambda one: one[0] == script):
            words = [one for _, one in group]
            client.config_resetstat()
            for start in range(0, len(words), size):
                _send(client, words[start : start + size])
            if not is_ours:
                continue
            told = client.info("commandstats")
            calls += told["cmdstat_evalsha"]["calls"]
            spent += told["cmdstat_evalsha"]["usec"]
            parts = [one for name, one in told.items() if not name.startswith(NOT_INSIDE)]
            commands += sum(one["calls"] for one in parts)
            inside += sum(one["usec"] for one in parts)
    figures: Sample = {way: spent / calls}
    if size == 1:
        figures |= {"commands": commands / calls, "inside": inside / calls}
    return figures


def _send(client: Any, several: list[tuple[Any, ...]]) -> None:
    if len(several) == 1:
        client.execute_command(*several[0])
        return
    with client.pipeline(transaction=False) as pipe:
        for words in several:
            pipe.execute_command(*words)
        pipe.execute()


def _yardstick(client: Any, text: str) -> Sample:
    words = ("EVALSHA", client.script_load(text), 1, "coord:lock:{nothing}")
    step = [("yardstick", words)] * 500
    alone = _sent_again(client, [step], "yardstick", "alone", 1)
    packed = sum(map(len, client.connection_pool.get_connection().pack_command(*words)))
    return alone | _sent_again(client, [step], "yardstick", "saturated", BATCH) | {"bytes": packed}
