"""Who was active when: a bitmap a period, one bit an id, in chunks.

Theory
------
A bitmap remembers exactly who was active: it can be asked about one id, counted, and combined with others
bit by bit. Its price is that it is as long as its highest id, so that one id of three thousand million takes
384 MiB in each period. Here a bitmap is cut into chunks of 16 KiB, and a chunk exists only if someone in
it was active. So one id costs one chunk a period whatever its number, and crowded ids cost one bit each,
as ever. Text ids are numbered in order of appearance and are crowded by construction.

Rules
-----
1. A period's chunks are listed in a directory, a sorted set, which every script that makes a chunk keeps.
   A chunk is read only if it is listed.
2. Every key of a period lives until the period's end plus its retention. All of an activity's keys share a
   slot, and every script is told each key that it touches.
3. The server computes nothing: what is combined travels here a mebibyte at a time, and is combined here
   (``survey``). Nothing is written by a question, and no step holds the server up.
4. A report is made by one "now". What is not over by then is unknown, and not zero.
5. A number once given to a text id is its own for ever (``numbers``).

Sources: https://redis.io/docs/latest/develop/data-types/bitmaps/; C. Li et al., "Fast, easy, realtime metrics
using Redis bitmaps" (2011), for the use; S. Chambi et al., "Better bitmap performance with Roaring bitmaps"
(2016), for chunks by the high bits of an id.

In this package: ``chunks`` and ``expressions`` are pure, ``tracks`` names keys, ``marks`` writes, ``survey``
reads, ``cohorts``, ``retention`` and ``funnels`` ask, ``activity`` is what users hold, ``blocking`` its sync
faces, ``tables`` and ``plots`` show results.
"""

from coord.activity.activity import AsyncActivity
from coord.activity.blocking import Activity, Cohort, OrderedFunnel
from coord.activity.chunks import CHUNK, MAX_ID
from coord.activity.cohorts import AsyncCohort
from coord.activity.funnels import AsyncOrderedFunnel, FunnelReport, FunnelStep
from coord.activity.marks import Id, Ids, Marker
from coord.activity.retention import RetentionRow, RetentionTable
from coord.activity.tracks import Track

__all__ = [
    "CHUNK",
    "MAX_ID",
    "Activity",
    "AsyncActivity",
    "AsyncCohort",
    "AsyncOrderedFunnel",
    "Cohort",
    "FunnelReport",
    "FunnelStep",
    "Id",
    "Ids",
    "Marker",
    "OrderedFunnel",
    "RetentionRow",
    "RetentionTable",
    "Track",
]
