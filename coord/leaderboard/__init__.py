"""Who is ahead: members with scores, ranked when they are read.

Theory
------
A board is a sorted set. Four more keys keep in step with it: its distinct scores, so that dense ranks are
a count like all others; meta of members; when their scores lapse; and, on a board whose ties go to
whoever came first, when each score was reached, to the microsecond of the server's clock.

What is stored does not depend on how it is read. Any board can be read from either end and by any rule for
ties, and each rank is a few counts in the sorted set: with b members better, e level and d distinct scores
better, the rank is b + 1 (competition), b + e (modified), the mean of these (fractional), d + 1 (dense), or
the place in which the row stands (ordinal). Rows of one score stand by name, or by when they came,
whichever end is read first.

Rules
-----
1. Whatever changes a board goes through two functions of ``coord/lua/shared/board.lua``, ``put`` and
   ``forget``, which keep the five keys in step.
2. A page ranks its first row by counting and derives the rest, so it costs what its rows cost.
3. A score is a double and nothing else: no time or name is packed into it, so that sums, ranges and merges
   are those of the scores. What a double cannot hold is refused before it is sent, or in the script before
   anything is written.
4. No script does more than a few milliseconds of work; what is larger goes in slices, and says so.

Source: https://redis.io/docs/latest/develop/data-types/sorted-sets/.

In this package: ``scores`` is what goes in and out, ``schedule`` is which periods; ``submits``, ``reads``,
``upkeep`` and ``copies`` are the algorithms, ``board`` puts them together, ``shards`` and ``sharded`` make
one board of many, ``blocking`` is the sync faces.
"""

from coord.leaderboard.base import Setup
from coord.leaderboard.blocking import Leaderboard, PeriodBoard, ShardedLeaderboard
from coord.leaderboard.board import AsyncLeaderboard, AsyncPeriodBoard
from coord.leaderboard.copies import Combine, How, Movement
from coord.leaderboard.schedule import BoardPeriod, Schedule, Season
from coord.leaderboard.scores import Entry, Keep, Order, Rank, Scroll, Submission, Tiebreak, Ties
from coord.leaderboard.sharded import AsyncShardedLeaderboard

__all__ = [
    "AsyncLeaderboard",
    "AsyncPeriodBoard",
    "AsyncShardedLeaderboard",
    "BoardPeriod",
    "Combine",
    "Entry",
    "How",
    "Keep",
    "Leaderboard",
    "Movement",
    "Order",
    "PeriodBoard",
    "Rank",
    "Schedule",
    "Scroll",
    "Season",
    "Setup",
    "ShardedLeaderboard",
    "Submission",
    "Tiebreak",
    "Ties",
]
