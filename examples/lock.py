"""Guard a critical section: one worker at a time, and a fence against those who come late.

Run: python examples/lock.py [URL]
"""

from __future__ import annotations

import sys

import anyio

from coord import AsyncCoord, Coord, LockTimeout


class Ledger:
    """A resource that refuses writes with a fence lower than the highest it has seen."""

    def __init__(self) -> None:
        self.highest = 0
        self.lines: list[str] = []

    def write(self, line: str, fence: int) -> None:
        if fence < self.highest:
            raise RuntimeError(f"stale fence {fence}")
        self.highest = fence
        self.lines.append(line)


def blocking(url: str) -> None:
    ledger = Ledger()
    with Coord.connect(url, prefix="example") as coord:
        lock = coord.lock("ledger", ttl=5)
        with lock.hold(timeout=2) as lease:
            ledger.write("from a thread", lease.fence)
            print(f"sync:  holding {lease.name!r}, {lease.remaining():.1f} s of the lease left")
            print(f"sync:  another try meanwhile gives {lock.try_acquire()}")


async def suspending(url: str) -> None:
    ledger = Ledger()
    async with AsyncCoord.connect(url, prefix="example") as coord:
        lock = coord.lock("ledger", ttl=5)

        async def work(name: str) -> None:
            async with lock as lease:
                ledger.write(name, lease.fence)

        async with anyio.create_task_group() as tasks:
            for number in range(5):
                tasks.start_soon(work, f"task {number}")
        print(f"async: {len(ledger.lines)} tasks wrote one after the other: {', '.join(ledger.lines)}")

        async with lock:
            try:
                await lock.acquire(timeout=0)
            except LockTimeout as refusal:
                print(f"async: {refusal}")


if __name__ == "__main__":
    target = sys.argv[1] if len(sys.argv) > 1 else "embedded://"
    blocking(target)
    anyio.run(suspending, target)
