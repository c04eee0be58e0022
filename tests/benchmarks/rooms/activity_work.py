"""What is measured of activities, as run in the process of one contestant.

Only the standard library is imported here, and of the contestants only the one asked for.
"""

from __future__ import annotations

import os
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tests.benchmarks.rooms.watch import PATIENCE, Watch, client_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.benchmarks.rounds import Sample

CHUNK = 2**17
FAR = 3_000_000_000
NOW = datetime.now(UTC)
KINDS = ("day", "week", "month")
FORMATS = ("%Y-%m-%d", "%G-W%V", "%Y-%m")


@dataclass(frozen=True, slots=True)
class Tracker:
    """How one contestant marks, and asks who was active on two days, and who came back by weeks."""

    mark: Callable[[int], object]
    mark_all: Callable[[Sequence[int]], object]
    both_days: Callable[[], int]
    retention: Callable[[int], object]
    fill: Callable[[datetime, int], object]


def _content(ids: int) -> bytes:
    return random.Random(ids).randbytes(ids // 8)


def _coord(urls: list[str], ids: str = "int") -> Tracker:
    hub = import_module("coord").Coord.connect(urls[0], call_timeout=PATIENCE)
    activity = hub.activity("a", period=KINDS, ids=ids)
    client = client_of(urls)

    def fill(at: datetime, ids: int) -> None:
        """Write the chunks of a day and a week, which marking so many ids one by one would take too long."""
        content = _content(ids)
        for kind, form in zip(KINDS[:2], FORMATS, strict=False):
            directory = f"coord:activity:{{a}}:{kind}:{at.strftime(form)}"
            for chunk in range(ids // CHUNK):
                client.set(f"{directory}:{chunk}", content[chunk * CHUNK // 8 : (chunk + 1) * CHUNK // 8])
            client.zadd(directory, {str(chunk): chunk for chunk in range(ids // CHUNK)})

    def both() -> int:
        before = NOW - timedelta(days=1)
        return int((activity.cohort(at=NOW) & activity.cohort(at=before)).count())

    words: Callable[[int], Any] = str if ids == "text" else int
    return Tracker(
        lambda one: activity.mark(words(one), at=NOW),
        lambda several: activity.mark(*map(words, several), at=NOW),
        both,
        lambda weeks: activity.retention(period="week", rows=weeks, now=NOW),
        fill,
    )


def _coord_text(urls: list[str]) -> Tracker:
    return _coord(urls, "text")


def _setbit(urls: list[str]) -> Tracker:
    client = client_of(urls)

    def key(kind: str, form: str, at: datetime) -> str:
        return f"a:{kind}:{at.strftime(form)}"

    def mark_all(several: Sequence[int]) -> None:
        pipeline = client.pipeline(transaction=False)
        for one in several:
            for kind, form in zip(KINDS, FORMATS, strict=True):
                pipeline.setbit(key(kind, form, NOW), one, 1)
        pipeline.execute()

    def fill(at: datetime, ids: int) -> None:
        for kind, form in zip(KINDS[:2], FORMATS, strict=False):
            client.set(key(kind, form, at), _content(ids))

    def both(*keys: str) -> int:
        pipeline = client.pipeline()
        pipeline.bitop("AND", "scratch", *keys)
        pipeline.bitcount("scratch")
        pipeline.unlink("scratch")
        return int(pipeline.execute()[1])

    def retention(weeks: int) -> list[list[int]]:
        keys = [key("week", "%G-W%V", NOW - timedelta(weeks=age)) for age in reversed(range(weeks))]
        return [[both(keys[row], one) for one in keys[row:]] for row in range(weeks)]

    days = [key("day", "%Y-%m-%d", NOW - timedelta(days=age)) for age in (0, 1)]
    return Tracker(lambda one: mark_all([one]), mark_all, lambda: both(*days), retention, fill)


def _bitmapist(urls: list[str]) -> Tracker:
    package = import_module("bitmapist")
    cohort = import_module("bitmapist.cohort")
    client = client_of(urls)
    host, _, port = urls[0].removeprefix("redis://").partition(":")
    package.setup_redis("default", host, int(port), socket_timeout=PATIENCE)

    def mark_all(several: Sequence[int]) -> None:
        pipeline = client.pipeline(transaction=False)
        for one in several:
            package.mark_event("a", one, system=pipeline, now=NOW, use_pipeline=False)
        pipeline.execute()

    def fill(at: datetime, ids: int) -> None:
        content = _content(ids)
        for events in (package.DayEvents.from_date("a", at), package.WeekEvents.from_date("a", at)):
            client.set(events.redis_key, content)

    def both() -> int:
        days = [package.DayEvents.from_date("a", NOW - timedelta(days=age)) for age in (0, 1)]
        return len(package.BitOpAnd(*days))

    def retention(weeks: int) -> Any:
        return cohort.get_dates_data("a", "a", time_group="weeks", num_results=weeks, num_of_rows=weeks - 1)

    return Tracker(lambda one: package.mark_event("a", one, now=NOW), mark_all, both, retention, fill)


OPENERS: dict[str, Callable[[list[str]], Tracker]] = {
    "coord": _coord,
    "coord text": _coord_text,
    "setbit": _setbit,
    "bitmapist": _bitmapist,
}


def one_by_one(urls: list[str], contestant: str, times: int, *, again: bool) -> Sample:
    """Mark ids one at a time, in a day, a week and a month; ``again`` for ids that are marked already."""
    tracker = OPENERS[contestant](urls)
    ids = random.Random(1).sample(range(100_000), times)
    tracker.mark(99_999)
    if again:
        tracker.mark_all(ids)
    watch = Watch(urls)
    watch.ignore_steps()
    for one in ids:
        tracker.mark(one)
    return watch.sample(times)


def at_once(urls: list[str], contestant: str, times: int, span: int) -> Sample:
    """Mark many ids in one call."""
    tracker = OPENERS[contestant](urls)
    tracker.mark(0)
    ids = random.Random(1).sample(range(span), times)
    watch = Watch(urls)
    tracker.mark_all(ids)
    return watch.sample()


FLOOR = """
local found = redis.call('ZMSCORE', KEYS[1], unpack(ARGV))
for key = 2, 4 do
  for i = 1, #found do
    redis.call('SETBIT', KEYS[key], found[i], 1)
  end
end
return found"""
"""The least that a script must do for text ids that have numbers: no TTL, no chunk, nothing new."""


def _recorded(hub: Any, act: Callable[[], object]) -> list[Any]:
    """Do something, and tell which scripts it sent."""
    port, sent = hub._port, []
    run, together = port.run, port.together

    def note(call: Any) -> Any:
        sent.append(call.words())
        return call

    port.run = lambda call, **options: run(note(call), **options)
    port.together = lambda calls: together([note(call) for call in calls])
    act()
    del port.run, port.together
    return [words for words in sent if words[0] == "EVALSHA"]


def saturated(urls: list[str], contestant: str, batch: int, times: int) -> Sample:
    """Mark ids that are marked already, so many a call, by pipelines of 100 calls from two clients."""
    client = client_of(urls)
    ids = [f"user:{number:031d}" for number in range(batch * times)]
    if contestant == "floor":
        client.zadd("{floor}", {one: number for number, one in enumerate(ids)})
        sha, keys = client.script_load(FLOOR), ["{floor}", *(f"{{floor}}{kind}" for kind in KINDS)]
        calls = [("EVALSHA", sha, 4, *keys, *ids[at : at + batch]) for at in range(0, len(ids), batch)]
        for words in calls:
            client.execute_command(*words)
    else:
        hub = import_module("coord").Coord.connect(urls[0], call_timeout=PATIENCE)
        text = contestant == "coord text"
        activity = hub.activity("a", period=KINDS, ids="text" if text else "int")
        some = ids if text else [17 * number for number in range(len(ids))]
        activity.mark(*some, at=NOW)
        parts = [some[at : at + batch] for at in range(0, len(some), batch)]
        calls = _recorded(hub, lambda: [activity.mark(*part, at=NOW) for part in parts])
    clients = [client_of(urls) for _ in range(2)]
    watch = Watch(urls)
    watch.ignore_steps()

    def send(number: int) -> None:
        mine = calls[number::2]
        for at in range(0, len(mine), 100):
            pipeline = clients[number].pipeline(transaction=False)
            for words in mine[at : at + 100]:
                pipeline.execute_command(*words)
            pipeline.execute()

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(send, range(2)))
    return watch.sample(len(ids))


def far(urls: list[str], contestant: str) -> Sample:
    """Mark one id with a large number, in a day, a week and a month."""
    tracker = OPENERS[contestant](urls)
    watch = Watch(urls)
    tracker.mark(FAR)
    return watch.sample() | {"kib": watch.memory() / 1024}


def kept(urls: list[str], contestant: str, ids: int) -> Sample:
    """Mark so many ids, one day; return bytes for each."""
    tracker = OPENERS[contestant](urls)
    names = [int.from_bytes(os.urandom(15), "big") if "text" in contestant else one for one in range(ids)]
    for start in range(0, ids, 50_000):
        tracker.mark_all(names[start : start + 50_000])
    return {"bytes": Watch(urls).memory() / ids}


def both_days(urls: list[str], contestant: str, ids: int) -> Sample:
    """Count who was active on both of two days, of so many ids."""
    tracker = OPENERS[contestant](urls)
    for age in (0, 1):
        tracker.fill(NOW - timedelta(days=age), ids)
    watch = Watch(urls)
    tracker.both_days()
    return watch.sample()


def retention(urls: list[str], contestant: str, ids: int, weeks: int) -> Sample:
    """Make a retention table of so many weeks and ids."""
    tracker = OPENERS[contestant](urls)
    for age in range(weeks):
        tracker.fill(NOW - timedelta(weeks=age), ids)
    watch = Watch(urls)
    tracker.retention(weeks)
    return watch.sample()


ASKED = 5
WALKED = 2000


def _fill_text(urls: list[str], activity: Any, names: int) -> None:
    """Number so many text ids, and mark them all yesterday and today."""
    client = client_of(urls)
    home = "coord:activity:{text}"
    for start in range(0, names, 10_000):
        several = {f"user:{number:031d}": number for number in range(start, min(start + 10_000, names))}
        client.zadd(f"{home}:numbers", several)
    client.zadd(f"{home}:numbers", {"": -names})
    full = b"\xff" * (CHUNK // 8)
    for age in (0, 1):
        directory = f"{home}:day:{(NOW - timedelta(days=age)).strftime(FORMATS[0])}"
        for chunk in range(names // CHUNK):
            client.set(f"{directory}:{chunk}", full)
            client.zadd(directory, {str(chunk): chunk})


def asked(urls: list[str], question: str, ids: int, names: int) -> Sample:
    """Ask one question several times, and look at every step of the server.

    A step's time is the least of those that it took each time it was asked: what the machine did meanwhile is
    left out, and what the step itself needs is not.
    """
    tracker = _coord(urls)
    for age in range(8 if question == "retention" else 3):
        tracker.fill(NOW - (timedelta(weeks=age) if question == "retention" else timedelta(days=age)), ids)
    hub = import_module("coord").Coord.connect(urls[0], call_timeout=PATIENCE)
    numbers, text = hub.activity("a", period=KINDS), hub.activity("text", ids="text")
    if "text" in question:
        _fill_text(urls, text, names)
    a, b, c = (numbers.cohort(at=NOW - timedelta(days=age)) for age in range(3))
    several = random.Random(2).sample(range(ids), 1000)
    words = [f"user:{number:031d}" for number in random.Random(2).sample(range(names), 1000)]
    bought = numbers.ordered_funnel("checkout", "visit", "buy")
    if "ordered" in question:
        for step in bought.steps:
            bought.mark(step, *several, at=NOW)

    def walk(cohort: Any) -> None:
        for _ in zip(range(WALKED), cohort, strict=False):
            pass

    ask: dict[str, Callable[[], object]] = {
        "count of a day": lambda: numbers.count(at=NOW),
        "count of 3 days": lambda: numbers.count(at=[NOW - timedelta(days=age) for age in range(3)]),
        "a & b": (a & b).count,
        "a / b": (a | b).count,
        "a ^ b": (a ^ b).count,
        "a - b": (a - b).count,
        "at least 2 of 3": numbers.at_least(2, a, b, c).count,
        "is_active": lambda: (a & b).is_active(ids - 1),
        "iteration": lambda: walk(a - b),
        "iteration, text": lambda: walk(text.cohort(at=NOW)),
        "retention": lambda: numbers.retention(period="week", rows=8, now=NOW),
        "funnel": lambda: numbers.funnel({"a": a, "b": b, "c": c}),
        "ordered funnel": lambda: bought.report(at=NOW),
        "mark 1,000": lambda: numbers.mark(*several, at=NOW),
        "mark 1,000, text": lambda: text.mark(*words, at=NOW),
        "mark 1,000, ordered": lambda: bought.mark("buy", *several, at=NOW),
        "unmark 1,000": lambda: numbers.unmark(*several, at=NOW),
    }
    ask[question]()  # and the server knows the scripts
    watch = Watch(urls)
    times, samples = [], []
    for _ in range(ASKED):
        watch.restart()
        ask[question]()
        samples.append(watch.sample())
        times.append(watch.steps())
    least = map(min, zip(*times, strict=True))
    return min(samples, key=lambda one: one["server_ms"]) | {"slowest_ms": max(least) / 1e3}
