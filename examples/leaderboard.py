"""Keep a game's scores: a season, its days, the players around oneself, and one's friends.

Run: python examples/leaderboard.py [URL]
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta

import anyio

from coord import AsyncCoord, Coord

SCORES = {"ann": 310.0, "bob": 290.0, "cyd": 290.0, "dan": 150.0, "eve": 120.0, "fay": 90.0}


def blocking(url: str) -> None:
    with Coord.connect(url, prefix="example") as coord:
        board = coord.leaderboard("season-1", keep="best")
        board.submit_many(SCORES)
        for entry in board.top(4):
            print(f"sync:  {entry.rank}. {entry.member} {entry.score:g}")
        dense = ", ".join(f"{entry.rank}. {entry.member}" for entry in board.top(4, ties="dense"))
        print(f"sync:  the same without gaps: {dense}")
        board.snapshot("yesterday", ttl=60)
        rise = board.submit("eve", 300, overtaken=5)
        passed = ", ".join(row.member for row in rise.overtaken)
        print(f"sync:  eve rises from rank {rise.previous_rank} to {rise.rank}, past {passed}")
        moved = board.movement("eve", snapshot="yesterday")[0]
        print(f"sync:  eve is up {moved.up} since yesterday, and better than {board.percentile('eve'):.0f} %")
        board.clear()  # a board is permanent until it is emptied


async def suspending(url: str) -> None:
    async with AsyncCoord.connect(url, prefix="example") as coord:
        board = coord.leaderboard("season-2", period={"day": "best", "all": "sum"}, retain=60)
        yesterday = datetime.now(UTC) - timedelta(days=1)
        await board.submit_many(SCORES, at=yesterday)
        for member in ("ann", "fay"):
            await board.submit(member, 100)
        today = ", ".join(f"{row.rank}. {row.member} {row.score:g}" for row in await board.top(3))
        print(f"async: today: {today}")
        rows = await board.of("day", ago=1).around("dan", 3)
        print("async: yesterday around dan:", ", ".join(f"{row.rank}. {row.member}" for row in rows))
        friends = await board.of("all").ranks_of("fay", "zed", "ann")
        told = ", ".join(
            "nobody" if row is None else f"{row.rank}. {row.member} {row.score:g}" for row in friends
        )
        print(f"async: friends of all time: {told}")
        await board.of("all").clear()

        huge = coord.sharded_leaderboard("world", shards=8)  # spread over the nodes of a cluster
        await huge.store({f"player {n}": n % 1000 for n in range(5000)})
        rise = await huge.submit("ann", 499.5)
        share = await huge.percentile("ann")
        print(f"async: of {await huge.len()} in the world ann is {rise.rank}., before {share:.0f} %")
        await huge.clear()


if __name__ == "__main__":
    target = sys.argv[1] if len(sys.argv) > 1 else "embedded://"
    blocking(target)
    anyio.run(suspending, target)
