"""Locks over several servers, as their users see them."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

from coord._engine.faces import twin_of
from coord.errors import QuorumError
from coord.locks import AsyncLock, Lock
from coord.locks.lock import GRANT_ATTEMPTS
from coord.redlock.votes import UndecidedError

if TYPE_CHECKING:
    from coord._engine.checks import Seconds
    from coord.locks import AsyncLease, Lease
    from coord.locks.asking import Asking
    from coord.redlock.room import QuorumRoom

__all__ = ["AsyncQuorumLock", "QuorumLock"]


class AsyncQuorumLock(AsyncLock):
    """A lock by name over several independent servers, held by at most one lease at a time.

    Made by ``lock()`` of a ``Quorum`` or ``AsyncQuorum``. It works while a majority of the servers does,
    and otherwise like the lock of one server: the same verbs, the same leases, the same renewal.

    Guarantees, as long as no server loses what it wrote: no two leases have the same fence, and one that
    was asked for after another was granted has the higher one, whatever clocks, expiry, pauses and the
    network do. And at most one valid lease a name, if clocks run at the same rate within 1 % and no message
    outlives a lease; for this one, a server that has lost something need only stay without a vote for the
    longest lease. Not guaranteed: that a lease is still valid the moment after you looked. Guard what must
    not break with ``lease.fence``.

    Waiters ask again every 5 to 100 milliseconds, and come first in no particular order.

    Sources: see ``coord.redlock``.
    """

    def __init__(
        self,
        room: QuorumRoom,
        name: str,
        *,
        ttl: Seconds = 10,
        renew: bool = True,
        max_hold: Seconds | None = None,
        reentrant: bool = False,
    ) -> None:
        super().__init__(
            room, name, ttl=ttl, renew=renew, max_hold=max_hold, reentrant=reentrant, wait="poll"
        )
        self._servers = room

    async def try_acquire(self) -> AsyncLease | None:
        """Take the lock if nobody holds it. Never waits for another holder.

        The lease is not renewed on its own: that is what a ``with`` block does.

        Returns:
            The lease, or ``None`` if another holds the lock on too many servers.

        Raises:
            QuorumError: Too many servers failed, or are too young to vote; or the answers of enough
                came too late for a lease of ``ttl``.
            ValueError: Two of the servers are one.

        Complexity: O(n) for n servers, asked at the same time: the round trips of two phases, each that of
        the slowest server of the fastest majority.
        """
        return await super().try_acquire()

    async def acquire(self, *, timeout: Seconds | None = None) -> AsyncLease:
        """Take the lock, waiting until it is free.

        Args:
            timeout: How long to wait; ``None`` for ever, 0 not at all.

        Returns:
            The lease. It is not renewed on its own, as it is in a ``with`` block.

        Raises:
            LockTimeout: Others held the lock all the while.
            QuorumError: In the end, or without a ``timeout`` before any majority has ever answered: too many
                servers failed, or were too young to vote. At once: the answers of enough came too late.
            SelfDeadlock: This task or thread holds it itself, and would wait for ever.
            ValueError: Two of the servers are one.

        Complexity: As ``try_acquire()``, an attempt.
        """
        return await super().acquire(timeout=timeout)

    async def _attempt(self, asking: Asking) -> AsyncLease | None:
        """Ask once, with a new token: that of an attempt which failed has ended on every server."""
        undecided: UndecidedError | None = None
        for _ in range(GRANT_ATTEMPTS):
            await self._servers.introduce()
            try:
                return await super()._attempt(replace(asking, token=secrets.token_hex(16), keeps=False))
            except UndecidedError as error:
                undecided = error
        assert undecided is not None  # noqa: S101  # what the loop ends with
        raise QuorumError(self.name, undecided.votes) from None


@twin_of(AsyncQuorumLock)
class QuorumLock(Lock):
    def __init__(
        self,
        room: QuorumRoom,
        name: str,
        *,
        ttl: Seconds = 10,
        renew: bool = True,
        max_hold: Seconds | None = None,
        reentrant: bool = False,
    ) -> None:
        self._flow = AsyncQuorumLock(room, name, ttl=ttl, renew=renew, max_hold=max_hold, reentrant=reentrant)
        self.name = name
        self.names = (name,)

    def try_acquire(self) -> Lease | None:
        return super().try_acquire()

    def acquire(self, *, timeout: Seconds | None = None) -> Lease:
        return super().acquire(timeout=timeout)
