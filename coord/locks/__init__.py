"""Locks with a lease and a fence, on one server.

Theory
------
A lock is a key that lives as long as its holder's lease. The holder is known by a random token, one for
each acquisition, and every script compares tokens before it changes anything: whoever has lost the lock
can neither renew it nor release it from under the next holder.

Any lease can be lost without its holder noticing: a process may be stopped for longer than its lease at
any instruction. So each grant carries a *fence*, a number greater than that of every earlier grant of
the same name. A resource that refuses fences lower than the highest it has seen is safe even then.

Rules
-----
1. One token an ``acquire()``. Asking again with the same token, because a reply was lost, gets the same
   answer: granted is granted, with the same fence; released is released.
2. An acquire that ends in any exception, cancellation included, gives its token up on the server, which
   thereafter refuses that token even if the acquire itself arrives late.
3. The lease's local deadline counts from *before* the request was sent, on a monotonic clock, less a
   margin for clocks that drift. ``lease.valid`` never outlives the key.
4. Possession is the ``Lease`` and nothing else; a lock object is a reusable factory.
5. Waiters are woken, and what wakes them is a hint: only another attempt decides.

Sources: https://redis.io/docs/latest/develop/clients/patterns/distributed-locks/; M. Kleppmann, "How to do
distributed locking" (2016), for the fence.

In this package: ``lease`` is possession, ``lock`` is the algorithm, ``hold`` a ``with`` block, ``around`` a
decorated function, ``several`` many locks as one, ``blocking`` the sync faces, ``calls`` what the server is
asked, ``room`` what all locks of one Coord share, ``fenced`` the values that their fences guard.
"""

from coord.locks.blocking import Hold, Lease, Lock, Loss
from coord.locks.calls import LockStatus
from coord.locks.fenced import AsyncFenced, AsyncGuarded, Fenced, FencedValue, Guarded
from coord.locks.hold import AsyncHold
from coord.locks.lease import AsyncLease, AsyncLoss
from coord.locks.lock import AsyncLock
from coord.locks.options import RenewIn, Wait
from coord.locks.room import LockRoom
from coord.locks.several import AsyncLocks, Locks

__all__ = [
    "AsyncFenced",
    "AsyncGuarded",
    "AsyncHold",
    "AsyncLease",
    "AsyncLock",
    "AsyncLocks",
    "AsyncLoss",
    "Fenced",
    "FencedValue",
    "Guarded",
    "Hold",
    "Lease",
    "Lock",
    "LockRoom",
    "LockStatus",
    "Locks",
    "Loss",
    "RenewIn",
    "Wait",
]
