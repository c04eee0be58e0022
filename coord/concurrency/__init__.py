"""Concurrency limits: so many at a time, among all processes.

Theory
------
Whoever is admitted holds a *permit*, which has a weight and a lease. There is room for another as long as the
weights of all permits whose leases still run do not exceed the limit. A holder renews its lease; one that
has died does not, and its room comes free when the lease ends. So a counter, which a crash would leave too
high for ever, is never kept without the leases that it sums up: both are one key.

Rules
-----
1. All that a lock's lease promises holds for a permit: one token an acquisition, the same answer to whoever
   asks again, nothing left behind by whoever gives up, a local deadline that the server's never precedes.
   The flows are the lock's (see ``coord.locks``); what differs is what the server is asked.
2. The server's clock decides. If it steps back, each lease keeps what was left of it; if it steps forward,
   leases end early, as keys do, and their holders learn of it when they renew.
3. The limit travels with each call and is not stored. It rules the caller's own admission, and nobody
   loses a permit by another's limit.
4. Waiters are woken one for each room there is, never all. A free limit takes them about in order; those whom
   there is room for may go before one that wants more. At a fair limit nobody goes first.
5. There is none over a quorum of servers. What makes Redlock safe for one holder is that two majorities have
   a server in common; for several holders that proves nothing. With a limit of 3 on three servers, four
   holders can have two of them each.

In this package: ``terms`` is what a limit was made with, ``calls`` what the server is asked, ``room`` what
all limits of one Coord share, ``turn`` one acquisition, ``permit`` possession, ``limit`` the way in, and
``blocking`` the sync faces.
"""

from coord.concurrency.blocking import ConcurrencyHold, ConcurrencyLimit, ConcurrencyPermit
from coord.concurrency.calls import ConcurrencyHolder, ConcurrencyStatus
from coord.concurrency.limit import AsyncConcurrencyLimit
from coord.concurrency.permit import AsyncConcurrencyHold, AsyncConcurrencyPermit
from coord.concurrency.room import PermitRoom
from coord.concurrency.terms import ConcurrencyOptions

__all__ = [
    "AsyncConcurrencyHold",
    "AsyncConcurrencyLimit",
    "AsyncConcurrencyPermit",
    "ConcurrencyHold",
    "ConcurrencyHolder",
    "ConcurrencyLimit",
    "ConcurrencyOptions",
    "ConcurrencyPermit",
    "ConcurrencyStatus",
    "PermitRoom",
]
