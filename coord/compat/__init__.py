"""redis-py's ``Lock``, on coord: for code that is written against it and is to change in one word.

``client.lock("invoice:42", timeout=10, lock_class=RedisPyLock)`` has the methods, the arguments and the
exceptions (``redis.exceptions.LockError``, ``LockNotOwnedError``) of redis-py's own lock. A lost reply does
not leave it held by nobody, a cancelled acquire does not leak it, a release that failed can be tried again,
and ``lock.fence`` is there for what must not break. New code wants ``Coord.lock()``: its possession is a
handle, which says more than an object shared by all who use it can.

This package is an adapter, not a room: it knows redis-py's exceptions, threads and tasks, which rooms do not,
and it has no algorithm of its own.

Whose lock it is
----------------
The API has no handle, so possession is looked up by who asks:

1. Whoever acquired, a thread or a task, means its own lease, lost or not. A late release of a lost lease
   therefore raises, and never frees the next holder's.
2. Who did not acquire means the lease of another: of anyone with ``thread_local=False``; otherwise, in async
   code only, of a task that has ended, since helpers such as ``asyncio.wait_for`` may run a coroutine in a
   task of its own. If several are not released yet, none is freed.
"""

from __future__ import annotations

from coord.compat.faces import AsyncRedisPyLock, RedisPyLock

__all__ = ["AsyncRedisPyLock", "RedisPyLock"]
