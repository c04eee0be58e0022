"""Locks over several independent servers: Redlock, with a fence that all majorities agree on.

Theory
------
The same token is asked for on all N servers at once, and the lock is held by whoever holds it on a quorum,
``N // 2 + 1`` of the servers that were *configured*: any two quorums share a server, and no server grants
to two tokens at a time. It goes on working while a minority is down, slow or unreachable.

A server's own fence is no fence: the counters drift apart, and the largest of a majority may come from a
server that the next majority does not ask. So a grant takes two phases. First each server grants and tells
its counter; then the largest one, f, is written back to the servers that granted, each of which raises its
counter to f *if that very grant still stands there*, and a quorum must say so. Two leases thus share a
server on which both were confirmed. There one of the two was granted after the other was confirmed, and so
got a larger f. That needs no clock at all: fences are in order even if leases expire at any moment.

Rules
-----
1. validity = ttl - time since before the first send - (1 % of ttl + 2 ms); at least nothing, or no lease.
2. Decided as early as certain: at a quorum of grants, or when what is left cannot make one. Refused (held
   by another) is not failed (down, slow, in error): failures alone raise ``QuorumError``.
3. A token per attempt. What ends, ends on all servers, those that have not answered too: the token is
   refused there from then on, should the acquire arrive late. A server that cannot be reached is owed it.
4. A server that has been up for less than the longest lease may have forgotten one, and does not vote.
   The second phase tells which run of the server confirms, so that no restart goes unnoticed.
5. Renewed is what a quorum renewed, within its validity; lost is what no quorum can hold any more.

Sources: https://redis.io/docs/latest/develop/clients/patterns/distributed-locks/ (arithmetic, delayed
restart); M. Kleppmann, "How to do distributed locking" (2016), for the fence and its objection to counters
that drift apart, which the second phase answers.

In this package: ``room`` is the algorithm, ``lock`` what users hold. Everything that a lease, a ``with``
block and a renewal do is that of ``coord.locks``, over a room that asks several servers.
"""

from coord.redlock.lock import AsyncQuorumLock, QuorumLock
from coord.redlock.room import QuorumRoom

__all__ = ["AsyncQuorumLock", "QuorumLock", "QuorumRoom"]
