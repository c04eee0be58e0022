"""Remember who was active on which day, and ask who came back.

Run: python examples/daily_actives.py [URL]
"""

from __future__ import annotations

import sys
from datetime import date

import anyio

from coord import AsyncCoord, Coord

MONDAY, TUESDAY, WEDNESDAY, THURSDAY = (date(2025, 6, day) for day in (2, 3, 4, 5))


def blocking(url: str) -> None:
    with Coord.connect(url, prefix="example") as coord:
        players = coord.activity("players", period=["day", "week"])
        players.mark(*range(100), at=MONDAY)
        players.mark(*range(60, 130), at=TUESDAY)
        monday, tuesday = players.cohort(at=MONDAY), players.cohort(at=TUESDAY)
        came_back = monday & tuesday
        print(f"sync:  active on Monday {players.count(at=MONDAY)}, on Tuesday {players.count(at=TUESDAY)}")
        print(f"sync:  on both {came_back.count()}; was 75 among them? {came_back.is_active(75)}")
        print(f"sync:  lost {(monday - tuesday).count()}, on either {(monday | tuesday).count()}")
        print(f"sync:  in the week {players.count(period='week', at=MONDAY)}")
        print(players.retention(rows=3, now=WEDNESDAY))


async def suspending(url: str) -> None:
    async with AsyncCoord.connect(url, prefix="example") as coord:
        members = coord.activity("members", ids="text")
        await members.mark("ann", "bob", "cyd", at=MONDAY)
        await members.mark("bob", "cyd", at=TUESDAY)
        await members.mark("cyd", "dan", at=WEDNESDAY)
        loyal = members.cohort(since=MONDAY, until=WEDNESDAY, at_least=3)
        print(f"async: on all three days {await loyal.count()}; is it cyd? {await loyal.is_active('cyd')}")
        regular = members.cohort(since=MONDAY, until=WEDNESDAY, at_least=2)
        print(f"async: on two of them: {', '.join([str(one) async for one in regular])}")
        print(await members.retention(rows=4, now=THURSDAY))


if __name__ == "__main__":
    target = sys.argv[1] if len(sys.argv) > 1 else "embedded://"
    blocking(target)
    anyio.run(suspending, target)
