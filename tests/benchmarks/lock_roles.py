"""Parts in a play of several processes that share a lock: who waits, who holds, who contends.

Each is played in a process of its own, and told what to do by another one, so that nothing but the players
runs while it counts: a holder sleeps by itself, and lets go by itself.
"""

from __future__ import annotations

import time
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tests.benchmarks.coord_operations import home_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.benchmarks.operation import Place

__all__ = ["ROLES", "Player"]

TTL = 10
"""A lease, in seconds, as long as a benchmark's longest wait."""
WORK = 0.001
APART = 0.003
"""Seconds for which who has let go stays silent, so that only the next holder runs."""


class Player:
    """Takes one lock and gives it back, in a way that a user would."""

    def __init__(self, acquire: Callable[[], object], release: Callable[[], object]) -> None:
        self._acquire, self._release = acquire, release

    def hold(self) -> None:
        """Take the lock."""
        self._acquire()

    def let_go(self, after: float) -> float:
        """Give it back after so many seconds, and tell when: nanoseconds, the same for all processes."""
        time.sleep(after)
        when = time.monotonic_ns()
        self._release()
        time.sleep(APART)
        return when

    def wait(self) -> float:
        """Take the lock from its holder, tell when one had it, and give it back."""
        self._acquire()
        when = time.monotonic_ns()
        self._release()
        return when

    def contend(self, start: float, until: float) -> dict[str, Any]:
        """Take the lock over and over between two times, and sleep for a millisecond each time.

        Returns:
            ``waits`` in milliseconds, how many of them came ``late``, and ``cpu`` seconds.
        """
        self._acquire()  # connected, and scripts known
        self._release()
        time.sleep(max(0.0, start - time.monotonic()))
        waits, late, spent = [], 0, time.process_time()
        while (asked := time.monotonic()) < until:
            self._acquire()
            got = time.monotonic()
            waits.append((got - asked) * 1e3)
            late += got >= until
            time.sleep(WORK)
            self._release()
        return {"waits": waits, "late": late, "cpu": time.process_time() - spent}


def _coord(place: Place) -> Player:
    return _of_blocks(home_of(place).lock("shared", ttl=TTL))


def _coord_fair(place: Place) -> Player:
    return _of_blocks(home_of(place).lock("shared", ttl=TTL, fair=True))


def _of_blocks(lock: Any) -> Player:
    """Use ``with lock``, as people write it."""
    return Player(lock.__enter__, lambda: lock.__exit__(None, None, None))


def _redis_py(place: Place) -> Player:
    return _of_blocks(import_module("redis").Redis.from_url(place.url).lock("redis-py", timeout=TTL))


def _python_redis_lock(place: Place) -> Player:
    client = import_module("redis").Redis.from_url(place.url)
    return _of_blocks(import_module("redis_lock").Lock(client, "python-redis-lock", expire=TTL))


def _pottery(place: Place) -> Player:
    masters = {import_module("redis").Redis.from_url(url) for url in place.urls}
    return _of_blocks(import_module("pottery").Redlock(key="pottery", masters=masters, auto_release_time=TTL))


def _tokens(place: Place) -> Player:
    """Pass a token by `BLPOP` and `LPUSH`: no lock, but the least that a lock with a queue could cost."""
    redis = import_module("redis")
    line = redis.Redis.from_url(place.url).connection_pool.get_connection()

    def ask(*words: object) -> object:
        line.send_command(*words)
        return line.read_response()

    ask("EVAL", "if redis.call('SETNX', 'began', 1) == 1 then redis.call('LPUSH', 'token', 1) end", 0)
    return Player(lambda: ask("BLPOP", "token", 0), lambda: ask("LPUSH", "token", 1))


ROLES: dict[str, Callable[[Place], Player]] = {
    "coord": _coord,
    "coord, fair": _coord_fair,
    "redis-py": _redis_py,
    "python-redis-lock": _python_redis_lock,
    "pottery": _pottery,
    "BLPOP tokens": _tokens,
}
