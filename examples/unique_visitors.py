"""Count different visitors by day and by month, counting nobody twice; compare days; count who is here now.

Run: python examples/unique_visitors.py [URL]
"""

from __future__ import annotations

import sys
from datetime import date, timedelta

import anyio

from coord import AsyncCoord, Coord, TooNoisy

MONDAY = date(2025, 6, 2)


def blocking(url: str) -> None:
    with Coord.connect(url, prefix="example") as coord:
        visitors = coord.unique_counter("visitors", period=["day", "month"])
        for day in range(7):
            # 1,000 visitors a day, of whom 800 come back the next day.
            ids = [f"visitor-{200 * day + number}" for number in range(1000)]
            visitors.add(*ids, at=MONDAY + timedelta(days=day))
        monday = visitors.count(at=MONDAY)
        week = visitors.count(since=MONDAY, until=MONDAY + timedelta(days=6))
        print(f"sync:  Monday: about {monday.value} (1000 in truth, {monday.low} to {monday.high} at 95 %)")
        print(f"sync:  the week: about {week.value} (2200 in truth, {week.low} to {week.high} at 95 %)")
        again = visitors.select(at=MONDAY).overlap(visitors.select(at=MONDAY + timedelta(days=1)))
        print(f"sync:  both days: about {again.value} (800 in truth, {again.low} to {again.high} at 95 %)")
        try:
            visitors.select(at=MONDAY).overlap(visitors.select(at=MONDAY + timedelta(days=6)))
        except TooNoisy as error:
            print(f"sync:  refused (0 in truth): {error}")


async def suspending(url: str) -> None:
    async with AsyncCoord.connect(url, prefix="example") as coord:
        visitors = coord.unique_counter("readers", period=["day", "month"])
        await visitors.add("ann", "bob", at=MONDAY)
        await visitors.add("ann", "ann", "cyd", at=MONDAY + timedelta(days=1))
        tuesday = await visitors.count(at=MONDAY + timedelta(days=1))
        june = await visitors.count(period="month", at=MONDAY)
        print(f"async: Tuesday: {tuesday.value} readers; June: {june.value} readers")
        online = coord.sliding_unique_counter("online", window=300, exact=True)
        await online.add("ann", "bob", "ann")
        print(f"async: {(await online.count()).value} readers in the last five minutes")


if __name__ == "__main__":
    target = sys.argv[1] if len(sys.argv) > 1 else "embedded://"
    blocking(target)
    anyio.run(suspending, target)
