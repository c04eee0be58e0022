"""Never more than so many in any stretch of time: attempts to log in, say.

Run: python examples/sliding_window.py [URL]
"""

from __future__ import annotations

import sys

import anyio

from coord import AsyncCoord, Coord


def blocking(url: str) -> None:
    with Coord.connect(url, prefix="example") as coord:
        logins = coord.sliding_window("logins", limit=3, per=60)
        logins.reset("ann@example.com")
        for attempt in range(1, 6):
            decision = logins.try_acquire("ann@example.com")
            verdict = "allowed" if decision else f"denied, retry after {decision.retry_after:.1f} s"
            print(f"sync:  attempt {attempt}: {verdict}")


async def suspending(url: str) -> None:
    async with AsyncCoord.connect(url, prefix="example") as coord:
        logins = coord.sliding_window("logins", limit=3, per=60)
        await logins.reset("bob@example.com")
        allowed = 0

        async def attempt() -> None:
            nonlocal allowed
            if await logins.try_acquire("bob@example.com"):
                allowed += 1

        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(attempt)
        print(f"async: of 20 attempts at once, {allowed} were allowed")


if __name__ == "__main__":
    target = sys.argv[1] if len(sys.argv) > 1 else "embedded://"
    blocking(target)
    anyio.run(suspending, target)
