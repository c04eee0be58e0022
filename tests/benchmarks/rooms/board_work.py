"""What is measured of leaderboards, as run in the process of one contestant.

Only the standard library is imported here, and of the contestants only the one asked for.

``python -m tests.benchmarks.rooms.board_work URL MEMBERS SHARDS`` measures one sharded board
on an empty server.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.benchmarks.rounds import Sample

NAME = "benchmark"
KEY = f"coord:board:{{{NAME}}}"
SLICE = 5000
WARM_UP = 50
FRIENDS = 100
ROWS = 25
TIMES = 5
LARGE = 1_000_000
"""So many bytes have glibc tidy up what the log has freed, which would else be in the first step."""
SENT = (b"EVAL", b"UNLINK")
"""The commands that coord sends to a board; others are run by its scripts."""
SPREAD = 7919
"""Prime to the sizes, so that members have different scores."""


def player(number: int) -> str:
    return f"player:{number:07}"


def fill(client: Any, members: int, tiebreak: str) -> None:
    """Write a board as coord keeps it, as fast as the server takes it; each member has a score of its own."""
    for start in range(0, members, SLICE):
        numbers = range(start, min(start + SLICE, members))
        scores = {player(number): number * SPREAD % members for number in numbers}
        with client.pipeline(transaction=False) as pipe:
            pipe.zadd(f"{KEY}:scores", {str(score): score for score in scores.values()})
            if tiebreak == "first":
                digits = {player(number): f"{number:016}" for number in numbers}
                pipe.hset(f"{KEY}:reached", mapping=digits)
                pipe.zadd(KEY, {digits[member] + member: score for member, score in scores.items()})
            else:
                pipe.zadd(KEY, scores)
            pipe.execute()
    if tiebreak == "first":
        client.hset(f"{KEY}:reached", "", f"{members:016}")


def _opened(urls: list[str], members: int, tiebreak: str) -> tuple[Any, Any]:
    client = import_module("redis").Redis.from_url(urls[0])
    fill(client, members, tiebreak)
    board = import_module("coord").Coord.connect(urls[0]).leaderboard(NAME, tiebreak=tiebreak)
    return client, board


def growth(urls: list[str], members: int, tiebreak: str, seconds: float) -> Sample:
    """Do one thing after another on a board of so many members.

    Returns:
        For each thing how often a second (``submit_rate``) and what it cost of the server's processor time
        beyond a PING (``submit_us``); and ``bytes`` of its memory for each member.
    """
    client, board = _opened(urls, members, tiebreak)
    dice = random.Random(members)

    def someone() -> str:
        return player(dice.randrange(members))

    things: dict[str, Callable[[], object]] = {
        "submit": lambda: board.submit(someone(), dice.randrange(members)),
        "rank": lambda: board.rank(someone()),
        "around": lambda: board.around(someone(), ROWS),
        "friends": lambda: board.ranks_of(*(someone() for _ in range(FRIENDS))),
        "percentile": lambda: board.percentile(someone()),
    }
    sample: Sample = {}
    _, ping = _repeated(client, client.ping, seconds)
    for name, thing in things.items():
        rate, took = _repeated(client, thing, seconds)
        sample |= {f"{name}_rate": rate, f"{name}_us": took - ping}
    used = sum(client.memory_usage(key) or 0 for key in client.scan_iter(f"{KEY}*"))
    return sample | {"bytes": used / members}


def _repeated(client: Any, thing: Callable[[], object], seconds: float) -> tuple[float, float]:
    for _ in range(WARM_UP):
        thing()
    spent = _cpu(client)
    done, started = 0, time.perf_counter()
    while (now := time.perf_counter()) - started < seconds:
        thing()
        done += 1
    return done / (now - started), (_cpu(client) - spent) / done


def _cpu(client: Any) -> float:
    """Tell how much of the processor the thread that runs commands has used, in microseconds."""
    told = client.info("cpu")
    return float(told["used_cpu_user_main_thread"] + told["used_cpu_sys_main_thread"]) * 1e6


def sharded(urls: list[str], members: int, shards: int, seconds: float) -> Sample:
    """Do one thing after another on a sharded board of so many members, all different in score.

    Returns:
        As ``growth``: of each thing how often a second and the server's processor time, over all shards.
    """
    client = import_module("redis").Redis.from_url(urls[0])
    board = import_module("coord").Coord.connect(urls[0]).sharded_leaderboard(NAME, shards=shards)
    homes = board._flow._shards
    for start in range(0, members, SLICE * shards):
        parts: list[dict[str, int]] = [{} for _ in range(shards)]
        for number in range(start, min(start + SLICE * shards, members)):
            member = f"player:{number:08}"
            parts[homes.home(member.encode())][member] = number * SPREAD % members
        with client.pipeline(transaction=False) as pipe:
            for shard, part in zip(homes.boards, parts, strict=True):
                entries, scores, *_ = shard._setup.keys()
                pipe.zadd(entries, part)
                pipe.zadd(scores, {str(score): score for score in part.values()})
            pipe.execute()
    dice = random.Random(members)

    def someone() -> str:
        return f"player:{dice.randrange(members):08}"

    place = members // 2
    things: dict[str, Callable[[], object]] = {
        "store": lambda: board.store({someone(): dice.randrange(members)}),
        "submit": lambda: board.submit(someone(), dice.randrange(members)),
        "rank": lambda: board.rank(someone()),
        "friends": lambda: board.ranks_of(*(someone() for _ in range(FRIENDS))),
        "percentile": lambda: board.percentile(someone()),
        "around": lambda: board.around(someone(), ROWS),
        "top": lambda: board.top(ROWS),
        "deep": lambda: board.page(place // ROWS, ROWS),
        "quantile": lambda: board.score_at(37.5),
    }
    checked = place // ROWS * ROWS
    rows = board.page(place // ROWS, ROWS, ties="ordinal")
    assert rows[-1].rank == checked  # it has looked where it should
    sample: Sample = {}
    _, ping = _repeated(client, client.ping, seconds)
    for name, thing in things.items():
        rate, took = _repeated(client, thing, seconds)
        sample |= {f"{name}_ms": 1000 / rate, f"{name}_us": took - ping}
    keys = list(client.scan_iter(f"coord:shard:{{{NAME}/*"))
    return sample | {"bytes": sum(client.memory_usage(key) or 0 for key in keys) / members}


def bare(urls: list[str], members: int, seconds: float) -> Sample:
    """Submit and ask for the rank with bare commands in one pipeline: no rule, no rank before, no ties."""
    client = import_module("redis").Redis.from_url(urls[0])
    fill(client, members, "name")
    dice = random.Random(members)

    def submit() -> None:
        member = player(dice.randrange(members))
        with client.pipeline(transaction=True) as pipe:
            pipe.zadd(KEY, {member: dice.randrange(members)})
            pipe.zrevrank(KEY, member)
            pipe.execute()

    return {"submit_rate": _repeated(client, submit, seconds)[0]}


def upkeep(urls: list[str], members: int, tiebreak: str) -> Sample:
    """Do large things to a board, each five times, and see how long each of their steps held the server up.

    The steps are the same each time. What the machine happens to do meanwhile hits one time or another, so
    the least of the five is what a step takes by itself.

    Returns:
        For each thing ``/seconds`` on average, its ``/steps``, the milliseconds that they took on average by
        the server's account (``/mean``), the longest of them (``/longest``), the share that took over 5
        (``/over``, in a thousand), and the longest by the least of five (``/least``).
    """
    client, board = _opened(urls, members, tiebreak)
    hub = import_module("coord").Coord.connect(urls[0])
    small, result = (hub.leaderboard(name, tiebreak=tiebreak) for name in ("small", "result"))
    small.submit_many({player(number): number for number in range(0, members, 100)})
    things: dict[str, Callable[[int], object]] = {
        "merge with one of a hundredth": lambda _: result.merge(board, small),
        "intersect with that": lambda _: result.merge(board, small, how="intersection"),
        "snapshot": lambda _: board.snapshot("benchmark"),
        "200 ranks": lambda _: [
            board.ranks_of(*map(player, range(at, at + 200))) for at in range(0, 4_000, 200)
        ],
        "pages of 1,000": lambda _: [board.page(number, 1000) for number in range(1, 21)],
        "submit 100 scores": lambda turn: [
            board.submit_many({player(number): number + turn for number in range(at, at + 100)})
            for at in range(0, 2000, 100)
        ],
        "submit 100 and name 100 overtaken": lambda turn: [
            board.submit_many(
                {player(at + n): (1 + turn) * members + at + n for n in range(100)}, overtaken=100
            )
            for at in range(0, 2000, 100)
        ],
        "trim by a tenth": lambda turn: board.trim(members * (9 - turn) // 10),
        "clear": lambda _: board.clear(),
    }
    client.config_set("slowlog-max-len", 100_000)
    client.config_set("slowlog-log-slower-than", 0)
    sample: Sample = {}
    for name, thing in things.items():
        started = time.perf_counter()
        times = [_steps(client, partial(thing, number)) for number in range(TIMES)]
        took, steps = (time.perf_counter() - started) / TIMES, [one for found in times for one in found]
        least = [min(same) for same in zip(*times, strict=False)]
        sample |= {
            f"{name}/seconds": took,
            f"{name}/steps": len(least),
            f"{name}/mean": statistics.mean(steps),
            f"{name}/longest": max(steps),
            f"{name}/over": 1000 * sum(one > 5 for one in steps) / len(steps),
            f"{name}/least": max(least),
        }
    return sample


def _steps(client: Any, thing: Callable[[], object]) -> list[float]:
    """Do a thing; return how many milliseconds each command took that it sent, in their order."""
    client.slowlog_reset()
    client.echo(b"." * LARGE)
    thing()
    logged = reversed(client.slowlog_get(100_000))
    return [one["duration"] / 1000 for one in logged if one["command"].startswith(SENT)]


if __name__ == "__main__":
    url, size, count = sys.argv[1:]
    for what, figure in sharded([url], int(size), int(count), 3.0).items():
        sys.stdout.write(f"{what:16}{figure:12.3f}\n")
