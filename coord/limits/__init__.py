"""Rate limiters: token buckets and windows, one by one or several at once.

Theory
------
A *token bucket* holds up to ``burst`` tokens and gains ``rate`` of them each ``per``, evenly. It admits
bursts and then a steady pace: in any stretch of time t at most burst + rate * t / per. Its state is one
small string.

A *sliding window* admits at most ``limit`` in any stretch of ``per``. The exact one remembers each
admission until it is as old as that. The approximate one keeps two counters and takes the calls of the
window before to have been spread evenly; what it admits instantly is never more than ``limit``, and what a
stretch holds at worst is nearly twice that.

A *fixed window* begins with the first admission after the last one has ended, and admits ``limit``. Two
windows may meet, so a stretch can hold twice that. Windows do not begin at a common moment for all.

Rules
-----
1. One script decides, on the server's time, in whole numbers. It decides for several limits as for one:
   all are charged or none is.
2. A limit's numbers travel with each call and are not stored. They may change at any time.
3. A charge is sent once. If its reply is lost, nobody knows whether it was made, and the caller is told.
4. Nobody overtakes. ``acquire()`` books a moment, and until then nothing is admitted before it; so it is
   one round trip and one sleep, and the order is that of arrival at the server.
5. "Denied" is an answer and never leads to a fallback; only not being able to ask does.

Sources: ITU-T I.371 for GCRA; B. Barrault, https://brandur.org/rate-limiting; the two counters are those of
https://blog.cloudflare.com/counting-things-a-lot-of-different-things/.

In this package: ``decision`` is what is answered, ``policy`` a limit's numbers and ``grammar`` how they are
written, ``gate`` asks the server or answers instead of it, ``limiter`` is one limit and ``several`` many,
``charge`` is the receipt by which a charge is corrected, ``denials`` and ``stock`` save round trips,
``fallback`` is for when the server cannot be asked, ``upstream`` reads what another server says, ``blocking``
has the sync faces, and ``room`` what all limiters of one Coord share.
"""

from coord.limits.blocking import Charge, Charging, FixedWindow, Limits, SlidingWindow, TokenBucket
from coord.limits.charge import AsyncCharge, AsyncCharging
from coord.limits.decision import Decision
from coord.limits.limiter import AsyncFixedWindow, AsyncSlidingWindow, AsyncTokenBucket
from coord.limits.options import LimiterOptions, LimitsOptions
from coord.limits.room import LimitRoom
from coord.limits.several import AsyncLimits
from coord.limits.upstream import upstream_pause

__all__ = [
    "AsyncCharge",
    "AsyncCharging",
    "AsyncFixedWindow",
    "AsyncLimits",
    "AsyncSlidingWindow",
    "AsyncTokenBucket",
    "Charge",
    "Charging",
    "Decision",
    "FixedWindow",
    "LimitRoom",
    "LimiterOptions",
    "Limits",
    "LimitsOptions",
    "SlidingWindow",
    "TokenBucket",
    "upstream_pause",
]
