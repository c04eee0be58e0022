"""What takes several processes that share a lock: hand-offs, and contenders."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.benchmarks.alternate import Block, Reading
    from tests.benchmarks.workers import Worker

__all__ = ["CONTENDERS", "HAND_OFF", "PLAYS", "Play"]

HAND_OFF, CONTENDERS = "hand-off", "8 contenders"
SETTLE = (0.005, 0.02)
"""Seconds for which a waiter has waited when it gets the lock."""
SHIFT = 0.5
"""Seconds for which contenders contend, a block."""
SOON = 0.05
"""Seconds in which all of them are told."""


@dataclass(frozen=True, slots=True)
class Play:
    """What takes several processes.

    Attributes:
        players: How many.
        block_of: What they do in a role.
        size: How often, in a block.
        figures: What is told of it: name, heading and decimal places.
        note: How it is measured.
    """

    players: int
    block_of: Callable[[Sequence[Worker], str], Block]
    size: int
    figures: Sequence[tuple[str, str, int]]
    note: str


def hand_offs(workers: Sequence[Worker], role: str) -> Block:
    """Make a block of hand-offs from the first to the second; figures are in milliseconds."""
    holder, waiter = workers

    def block(count: int) -> Reading:
        delays = []
        for _ in range(count):
            holder.ask("act", role=role, what="hold")
            waiter.tell("act", role=role, what="wait")
            released = holder.ask("act", role=role, what="let_go", after=random.uniform(*SETTLE))
            delays.append((waiter.answer() - released) / 1e6)
        return {"p50": median(delays), "longest": max(delays)}

    return block


def contention(workers: Sequence[Worker], role: str) -> Block:
    """Make a block in which all of them contend for one lock."""

    def block(count: int) -> Reading:
        del count
        start = time.monotonic() + SOON
        until = start + SHIFT
        for worker in workers:
            worker.tell("act", role=role, what="contend", start=start, until=until)
        told = [worker.answer() for worker in workers]
        counts = [len(one["waits"]) - one["late"] for one in told]
        waits = sorted(wait for one in told for wait in one["waits"])
        return {
            "rate": sum(counts) / SHIFT,
            "p50": waits[len(waits) // 2],
            "p99": waits[int(len(waits) * 0.99)],
            "luck": max(counts) / max(1, min(counts)),
            "client": sum(one["cpu"] for one in told) / max(1, sum(counts)) * 1e6,
        }

    return block


PLAYS = {
    HAND_OFF: Play(
        2, hand_offs, 10, [("p50", "p50, ms", 2)],
        "From the call of release in one process to the moment that another, which waits, has the lock.",
    ),
    CONTENDERS: Play(
        8, contention, 1,
        [("rate", "locks/s", 0), ("p99", "wait p99, ms", 1), ("luck", "luckiest / unluckiest", 2),
         ("client", "client CPU, µs", 0)],
        "Eight processes take one lock over and over, and sleep for 1 ms while they hold it.",
    ),
}  # fmt: skip
