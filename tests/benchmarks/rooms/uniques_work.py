"""What is measured of unique counters, as run in the process of one contestant."""

from __future__ import annotations

import math
import random
import statistics
from datetime import date, timedelta
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.benchmarks.rounds import Sample

FIRST = date(2025, 1, 1)
PERIODS = ("minute", "hour", "day", "week", "month", "year")
KEY = "plain:{x}"
FILL = """
redis.call('SETNX', KEYS[1], ARGV[1])
redis.call('EXPIRE', KEYS[1], 600)
math.randomseed(tonumber(ARGV[4]))
local first, last, ids = tonumber(ARGV[2]), tonumber(ARGV[3]) - 1, {}
for k = 0, last do
  local id = math.random(0, 2^30 - 1) * 2^22 + math.random(0, 2^22 - 1)
  if k >= first then ids[#ids + 1] = id end
  if #ids == 1000 or k == last and #ids > 0 then
    redis.call('PFADD', KEYS[1], unpack(ids))
    ids = {}
  end
end"""
"""Adds, of the stream of ids that belongs to a seed, those from one place to another, within the server.

They are as good as random, as hashes are. The sketch is dense from the start, which is quicker.
"""


def _ids(count: int) -> list[str]:
    """Make ids as long as a UUID."""
    return [f"{number:036x}" for number in range(count)]


def _client(urls: list[str]) -> Any:
    return import_module("redis").Redis.from_url(urls[0])


def _adder(urls: list[str], contestant: str, period: Any) -> Callable[[list[str]], object]:
    """Return how ``contestant`` adds ids."""
    client = _client(urls)
    if contestant == "coord":
        counter = import_module("coord").Coord.connect(urls[0]).unique_counter("bench", period=period)
        return lambda ids: counter.add(*ids, at=FIRST)
    verb = client.pfadd if contestant == "PFADD" else client.sadd
    keys = [KEY] if isinstance(period, str) else [f"{KEY}:{one}" for one in period]

    def plain(ids: list[str]) -> None:
        for start in range(0, len(ids), 1000):
            for key in keys:
                verb(key, *ids[start : start + 1000])

    return plain


def held(urls: list[str], contestant: str, sizes: list[int]) -> Sample:
    """Return the bytes that one period takes, by the number of its ids."""
    client = _client(urls)
    add = _adder(urls, contestant, "day")
    sample = {}
    for size in sizes:
        add(_ids(size))
        (key,) = client.keys("*")
        sample[f"bytes {size}"] = client.memory_usage(key, samples=0)
    return sample


def _server_micros(client: Any) -> float:
    """Return the processor time of commands that were sent, not of those that scripts ran."""
    told = client.info("commandstats")
    scripts = [told[name]["usec"] for name in ("cmdstat_evalsha", "cmdstat_eval") if name in told]
    plain = ("cmdstat_pfadd", "cmdstat_sadd", "cmdstat_pfcount", "cmdstat_scard")
    return float(sum(scripts) if scripts else sum(told[name]["usec"] for name in plain if name in told))


def added(urls: list[str], contestant: str, batch: int, times: int) -> Sample:
    """Return the server's microseconds for one call: of ``batch`` ids in one period, and in six."""
    client = _client(urls)
    sample = {}
    for name, period in (("one", "day"), ("six", PERIODS)):
        client.flushall()
        add = _adder(urls, contestant, period)
        ids = [f"{random.getrandbits(140):036x}" for _ in range(batch * times)]
        add(ids[:batch])
        client.config_resetstat()
        for start in range(0, len(ids), batch):
            add(ids[start : start + batch])
        sample[name] = _server_micros(client) / times
    return sample


def counted(urls: list[str], contestant: str, ids: int, times: int) -> Sample:
    """Return the server's microseconds for a count over one day, 30 days and a year of them."""
    client = _client(urls)
    sketch, fill = _empty(), client.register_script(FILL)
    coord = import_module("coord").Coord.connect(urls[0])
    counter = coord.unique_counter("bench")
    days = [FIRST + timedelta(days=number) for number in range(365)]
    keys = [f"coord:unique:{{bench}}:day:{day}" for day in days]
    for number, key in enumerate(keys):
        fill(keys=[key], args=[sketch, 0, ids, number])

    def ask(first: int, last: int) -> object:
        if contestant == "coord":
            return counter.count(since=days[first], until=days[last])
        return client.pfcount(*keys[first : last + 1])

    sample = {}
    for name, last in (("day", 0), ("thirty", 29), ("year", 364)):
        client.config_resetstat()
        ask(0, last)
        sample[f"{name} first"] = _server_micros(client)
        client.config_resetstat()
        for _ in range(times):
            ask(0, last)
        sample[name] = _server_micros(client) / times
    return sample


def _empty() -> bytes:
    """Return an empty sketch that is dense from the start: quicker to fill, and counted the same."""
    written: bytes = import_module("coord.uniques.sketch").Sketch().dump()
    return written


def covered(urls: list[str], ids: int, trials: int) -> Sample:
    """Count many different sets of as many ids, and see how often the bounds hold.

    Returns:
        ``inside``; the ``deviation`` of the counts, and as it is ``computed``. All in percent.
    """
    client = _client(urls)
    fill, empty = client.register_script(FILL), _empty()
    day = import_module("coord").Coord.connect(urls[0]).unique_counter("bench", raw=True).select(at=FIRST)
    key = f"coord:hll:{{bench}}:day:{FIRST}"
    counts = []
    for _ in range(trials):
        client.delete(key)
        fill(keys=[key], args=[empty, 0, ids, random.randrange(2**31)])
        counts.append(day.count())
    return _coverage(counts, ids)


def _coverage(counts: list[Any], ids: int) -> Sample:
    return {
        "inside": 100 * sum(one.low <= ids <= one.high for one in counts) / len(counts),
        "deviation": 100 * statistics.pstdev([one.value for one in counts], ids) / ids,
        "computed": 100 * math.sqrt(import_module("coord.uniques.estimate")._variance(ids)) / ids,
    }


def sampled(ids: int, chance: random.Random) -> Any:
    """Draw a sketch of so many ids from all that there may be: adding millions of them takes too long.

    A register's rank is at most k with probability exp(-ids / registers * 2**-k).
    """
    sketch = import_module("coord.uniques.sketch").Sketch()
    fill = [math.exp(-ids / 16_384 * 2.0**-rank) for rank in range(51)]
    sketch._registers = bytearray(chance.choices(range(52), cum_weights=[*fill, 1.0], k=16_384))
    return sketch


def covered_sampled(urls: list[str], ids: int, trials: int) -> Sample:
    """As ``covered``, of sketches that were drawn, and are counted by the server."""
    client, chance = _client(urls), random.Random()
    counter = import_module("coord").Coord.connect(urls[0]).unique_counter("bench", raw=True)
    counts = []
    for _ in range(trials):
        client.set(f"coord:hll:{{bench}}:day:{FIRST}", sampled(ids, chance).dump())
        counts.append(counter.count(at=FIRST))
    return _coverage(counts, ids)


def overlapped(urls: list[str], one: int, other: int, common: int, trials: int) -> Sample:
    """Estimate the overlap of many pairs of sets, and see how often the bounds hold.

    Returns:
        ``inside`` in percent; ``deviation`` of the estimates in ids, and ``refused`` in percent.
    """
    client = _client(urls)
    coord = import_module("coord").Coord.connect(urls[0])
    noisy = import_module("coord").TooNoisy
    fill, empty = client.register_script(FILL), _empty()
    days = [coord.unique_counter(name, raw=True).select(at=FIRST) for name in ("a", "b")]
    found, inside, refused = [], 0, 0
    for _ in range(trials):
        seed = random.randrange(2**31)
        for name, start, stop in (("a", 0, one), ("b", one - common, one - common + other)):
            key = f"coord:hll:{{{name}}}:day:{FIRST}"
            client.delete(key)
            fill(keys=[key], args=[empty, start, stop, seed])
        counts = [day.count().value for day in (*days, days[0] | days[1])]
        found.append(counts[0] + counts[1] - counts[2])
        estimate = days[0].overlap(days[1], noisy=True)
        inside += estimate.low <= common <= estimate.high
        try:
            days[0].overlap(days[1])
        except noisy:
            refused += 1
    return {
        "inside": 100 * inside / trials,
        "deviation": statistics.pstdev(found, common),
        "refused": 100 * refused / trials,
    }


def promoted(urls: list[str], sets: int) -> Sample:
    """Count sets of 1 to 512 ids, and return how many counts are wrong, or not said to be exact."""
    counter = import_module("coord").Coord.connect(urls[0]).unique_counter("bench", retain=60)
    wrong = 0
    for number in range(sets):
        size, at = random.randint(1, 512), 60 * number
        name = f"{random.getrandbits(64):x}"
        day = FIRST + timedelta(days=at)
        counter.add(*(f"{name}/{one}" for one in range(size)), at=day)
        counted = counter.count(at=day)
        wrong += counted.value != size or not counted.exact
    return {"sets": sets, "wrong": wrong}
