"""Fetch many files from few hosts: so many at a time from each, in all processes.

Run: python examples/concurrency.py [URL]
"""

from __future__ import annotations

import sys
from collections import Counter

import anyio

from coord import AsyncCoord, Coord, PermitTimeout

FILES = [(f"host-{number % 2}", f"file-{number}") for number in range(24)]


def blocking(url: str) -> None:
    with Coord.connect(url, prefix="example") as coord:
        limit = coord.concurrency_limit("downloads", limit=2, ttl=5)
        with limit.hold("host-0") as first, limit.hold("host-0"):
            print(f"sync:  a third one meanwhile: {limit.try_acquire('host-0')}")
            try:
                limit.acquire("host-0", timeout=0.05)
            except PermitTimeout as error:
                print(f"sync:  {error}")
            print(f"sync:  another host: weight {limit.acquire('host-1', weight=2).weight}")
            print(f"sync:  the first is still good: {first.valid}")
        limit.reset("host-1")
        print(f"sync:  at work now: {limit.status('host-0').used}")


async def suspending(url: str) -> None:
    at_work, most = Counter[str](), Counter[str]()
    async with AsyncCoord.connect(url, prefix="example") as coord:
        limit = coord.concurrency_limit("downloads", limit=3, ttl=5, fair=True)

        async def fetch(host: str, file: str) -> None:
            async with limit.hold(host, timeout=30):
                at_work[host] += 1
                most[host] = max(most[host], at_work[host])
                await anyio.sleep(0.01 if file else 0)
                at_work[host] -= 1

        async with anyio.create_task_group() as tasks:
            for host, file in FILES:
                tasks.start_soon(fetch, host, file)
    print(f"async: fetched {len(FILES)} files, from each host at most {max(most.values())} at a time")


if __name__ == "__main__":
    address = sys.argv[1] if len(sys.argv) > 1 else "embedded://"
    blocking(address)
    anyio.run(suspending, address)
