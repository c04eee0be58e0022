"""What four limiters admit of the same bursts: ten in two seconds.

Run: python examples/compare_limiters.py [URL]
"""

from __future__ import annotations

import sys
import time

import anyio

from coord import AsyncCoord, Coord

PER = 2.0
BURSTS = ((0.0, 1), (1.6, 10), (2.2, 10))


def blocking(url: str) -> None:
    with Coord.connect(url, prefix="example") as coord:
        limiters = {
            "token bucket": coord.token_bucket("bucket", rate=10, per=PER, deny_cache=0),
            "sliding, exact": coord.sliding_window("exact", limit=10, per=PER, deny_cache=0),
            "sliding, approximate": coord.sliding_window(
                "counter", limit=10, per=PER, precision="approximate", deny_cache=0
            ),
            "fixed": coord.fixed_window("fixed", limit=10, per=PER, deny_cache=0),
        }
        admitted: dict[str, list[int]] = {name: [] for name in limiters}
        for limiter in limiters.values():
            limiter.reset("u")
        start = time.monotonic()
        for at, calls in BURSTS:
            time.sleep(max(0.0, start + at - time.monotonic()))
            for name, limiter in limiters.items():
                admitted[name].append(sum(bool(limiter.try_acquire("u")) for _ in range(calls)))
        print(f"{'':21}  0.0 s   1.6 s        2.2 s        in 0.6 s")
        for name, (first, second, third) in admitted.items():
            bars = f"{'█' * first:<6}  {'█' * second:<11}  {'█' * third:<11}"
            print(f"{name:<21}  {bars}  {second + third}")


async def suspending(url: str) -> None:
    async with AsyncCoord.connect(url, prefix="example") as coord:
        pace = coord.token_bucket("pace", "50/s burst 1")
        await pace.reset("u")
        turns: list[int] = []

        async def worker(number: int) -> None:
            await pace.acquire("u")
            turns.append(number)

        async with anyio.create_task_group() as tasks:
            for number in range(10):
                tasks.start_soon(worker, number)
        print(f"async: {len(turns)} workers had their turns, one each 20 ms")


if __name__ == "__main__":
    target = sys.argv[1] if len(sys.argv) > 1 else "embedded://"
    blocking(target)
    anyio.run(suspending, target)
