"""Throttle the clients of an API: a burst is welcome, and then a steady pace.

Run: python examples/token_bucket.py [URL]
"""

from __future__ import annotations

import sys

import anyio

from coord import AsyncCoord, Coord


def blocking(url: str) -> None:
    with Coord.connect(url, prefix="example") as coord:
        api = coord.token_bucket("api", rate=6, per=60, burst=5)
        api.reset("user:7")
        for request in range(1, 8):
            decision = api.try_acquire("user:7")
            verdict = "allowed" if decision else f"denied, retry after {decision.retry_after:.2f} s"
            print(f"sync:  request {request}: {verdict}; {decision.remaining} of {decision.limit} remaining")


async def suspending(url: str) -> None:
    async with AsyncCoord.connect(url, prefix="example") as coord:
        api = coord.token_bucket("api", rate=6, per=60, burst=5)
        await api.reset("user:8")
        big = await api.try_acquire("user:8", cost=4)
        bigger = await api.try_acquire("user:8", cost=3)
        print(f"async: a call that costs 4: {big.allowed}; then one that costs 3: {bigger.allowed}")
        print(f"async: the bucket is full again in {(await api.status('user:8')).reset_after:.1f} s")


if __name__ == "__main__":
    target = sys.argv[1] if len(sys.argv) > 1 else "embedded://"
    blocking(target)
    anyio.run(suspending, target)
