"""Keep a season's scores, and show a player the rows around their own.

Run: python examples/leaderboard.py [URL]
"""

from __future__ import annotations

import sys

import anyio

from coord import AsyncCoord, Coord

SCORES = {"ann": 310.0, "bob": 290.0, "cyd": 290.0, "dan": 150.0, "eve": 120.0, "fay": 90.0}


def blocking(url: str) -> None:
    with Coord.connect(url, prefix="example") as coord:
        board = coord.leaderboard("season-1", keep="best")
        for member, score in SCORES.items():
            board.submit(member, score)
        for entry in board.top(4):
            print(f"sync:  {entry.rank}. {entry.member} {entry.score:g}")
        rise = board.submit("eve", 300)
        print(f"sync:  eve rises from rank {rise.previous_rank} to {rise.rank}")
        board.remove(*SCORES)  # a board is permanent until it is emptied


async def suspending(url: str) -> None:
    async with AsyncCoord.connect(url, prefix="example") as coord:
        board = coord.leaderboard("season-2", keep="sum")
        for member, score in SCORES.items():
            await board.submit(member, score)
        rows = await board.around("dan", 3)
        print("async: around dan:", ", ".join(f"{row.rank}. {row.member}" for row in rows))
        print(f"async: rank of someone unknown: {await board.rank('zed')}")
        await board.remove(*SCORES)


if __name__ == "__main__":
    target = sys.argv[1] if len(sys.argv) > 1 else "embedded://"
    blocking(target)
    anyio.run(suspending, target)
