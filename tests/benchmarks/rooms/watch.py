"""Sees what a server does between two moments, for the measurements of activities."""

from __future__ import annotations

import time
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.benchmarks.rounds import Sample

__all__ = ["PATIENCE", "Watch", "client_of"]

PATIENCE = 100.0
"""Seconds for any one call: what takes long is to be measured, and not given up."""
WATCHING = ("config", "slowlog", "info", "dbsize")
"""The commands of who watches, which are left out."""

SENT = ("cmdstat_evalsha", "cmdstat_eval", "cmdstat_mget")
"""The commands that coord sends: others are run by its scripts, whose time they are part of."""


def client_of(urls: list[str]) -> Any:
    """Connect to the first server."""
    return import_module("redis").Redis.from_url(urls[0], socket_timeout=PATIENCE)


class Watch:
    """Sees what a server does between two moments: its processor time, its slowest step, what it keeps."""

    def __init__(self, urls: list[str]) -> None:
        self._client = client_of(urls)
        self._client.config_set("slowlog-max-len", 100_000)
        self._client.config_set("slowlog-log-slower-than", 0)
        self.restart()

    def restart(self) -> None:
        """Begin anew."""
        self._keys = self._client.dbsize()
        self._client.slowlog_reset()
        self._client.config_resetstat()
        self._began = time.perf_counter()

    def ignore_steps(self) -> None:
        """Look at the sum of the times only: to log each step takes a while of its own."""
        self._client.config_set("slowlog-log-slower-than", -1)

    def steps(self) -> list[int]:
        """Return how long each command took since the beginning, in microseconds, in their order."""
        logged = reversed(self._client.slowlog_get(100_000))
        return [
            one["duration"] for one in logged if one["command"].split()[0].decode().lower() not in WATCHING
        ]

    def sample(self, operations: int = 1) -> Sample:
        """Tell what was seen, a share of it for each of several operations."""
        took = time.perf_counter() - self._began
        stats = self._client.info("commandstats")
        steps = self.steps()
        ours = tuple(f"cmdstat_{name}" for name in WATCHING)
        sent = {name: one["usec"] for name, one in stats.items() if not name.startswith(ours)}
        if "cmdstat_evalsha" in sent:  # what a script runs is counted once more by itself
            sent = {name: usec for name, usec in sent.items() if name in SENT}
        busy = sum(sent.values())
        return {
            "ms": took * 1e3 / operations,
            "rate": operations / took,
            "server_us": busy / operations,
            "server_ms": busy / 1e3 / operations,
            "slowest_ms": max(steps, default=0) / 1e3,
            "steps": len(steps),
            "left": self._client.dbsize() - self._keys,
        }

    def memory(self) -> float:
        """Return what all keys together take, in bytes."""
        return float(sum(self._client.memory_usage(key, samples=0) for key in self._client.keys("*")))
