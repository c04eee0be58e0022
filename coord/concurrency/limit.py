"""The way in to a concurrency limit: the verbs of the other limiters, for permits."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from coord._engine.checks import known
from coord._engine.decorating import around_coroutine, for_key
from coord.concurrency.calls import ConcurrencyStatus
from coord.concurrency.permit import AsyncConcurrencyHold, AsyncConcurrencyPermit
from coord.concurrency.terms import ConcurrencyOptions, Terms
from coord.concurrency.turn import Turn

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Unpack

    from coord._engine.checks import Seconds
    from coord.concurrency.room import PermitRoom

__all__ = ["AsyncConcurrencyLimit"]

F = TypeVar("F", bound="Callable[..., object]")


class AsyncConcurrencyLimit:
    """Admits at most ``limit`` at a time for each key, among all processes.

    Made by ``concurrency_limit()`` of a ``Coord`` or ``AsyncCoord``. The object holds nothing itself: share
    it, reuse it, make another with the same name. Who is admitted holds a permit, which lives as long as its
    lease: a holder that dies is gone when that ends, ``ttl`` after its last renewal at the latest.

    The limit is sent with every call and not stored: where processes disagree, each is admitted by its own,
    with everybody's permits counted. To lower it takes no permit from anybody; there is no room until enough
    of them were given back.

    Guarantees, on one server that keeps its data: the weights of a key's valid permits never exceed the
    largest limit that anybody asked with, whatever the clocks of the clients say, and also if the server's
    clock steps back. Not guaranteed: that a permit is still valid the moment after you looked; that a step
    of the server's clock forward, a failover to a replica, an eviction or a restart without persistence
    keeps the permits. Whoever has lost one so may be at work beside those who were admitted in its place
    until it learns of it, at its next renewal. A permit has no fence, since its holders are meant to be
    several.
    """

    def __init__(
        self, room: PermitRoom, name: str, *, limit: int, **options: Unpack[ConcurrencyOptions]
    ) -> None:
        self._room = room
        known(options, "concurrency_limit", ("limit", *ConcurrencyOptions.__annotations__))
        self._terms = Terms(name, limit, **options)
        self.name = name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}, {self._terms.limit} at a time>"

    async def try_acquire(self, key: str, *, weight: int = 1) -> AsyncConcurrencyPermit | None:
        """Take a permit if there is room for it now. Never waits.

        Its lease is not renewed on its own: that is what ``hold()`` does.

        Args:
            key: Whom or what it is for: a user, an API, a host. Each has room of its own.
            weight: How much room it takes, from 1 to the limit.

        Returns:
            The permit; ``None`` if there is no room, or what there is, is kept for a moment, 50 ms at the
            most, for waiters that were just woken.

        Raises:
            PermitLost: It was granted, but every answer took longer than ``ttl`` to arrive.
            TypeError: ``key`` is not a ``str``, or ``weight`` not an ``int``.
            ValueError: ``key`` is empty, or there can never be so much room.

        Complexity: O(log n) amortised for n permits of the key, one round trip.
        """
        turn = self._turn(key, weight)
        lease = await turn.try_acquire()
        return None if lease is None else AsyncConcurrencyPermit(turn, lease)

    async def acquire(
        self, key: str, *, weight: int = 1, timeout: Seconds | None = None
    ) -> AsyncConcurrencyPermit:
        """Take a permit, waiting until there is room for it.

        Whoever waits is woken when there is room. Should that be missed, it is looked for once a second, and
        when a lease ends. Waiters of a fair limit are served in the order in which they arrived at the
        server; at any other about so, except that one for whom there is room may go before one that wants
        more, and one that wants much may wait for as long as others keep coming.

        Args:
            key: As for ``try_acquire()``.
            weight: As for ``try_acquire()``.
            timeout: Seconds, or a ``timedelta``, to wait at the most; ``None`` for ever, 0 not at all.

        Returns:
            The permit. Its lease is not renewed on its own, as it is in a ``hold()`` block.

        Raises:
            PermitTimeout: There was no room all the while. Nothing is held.
            PermitLost: It was granted, but every answer took longer than ``ttl`` to arrive.
            RuntimeError: A sync limit would have to wait in a thread that runs an event loop.
            TypeError: ``key`` is not a ``str``, or ``weight`` not an ``int``.
            ValueError: ``key`` is empty, or there can never be so much room.

        Complexity: As ``try_acquire()``, an attempt.
        """
        turn = self._turn(key, weight)
        return AsyncConcurrencyPermit(turn, await turn.acquire(timeout=timeout))

    def hold(
        self,
        key: str,
        *,
        weight: int = 1,
        timeout: Seconds | None = None,
        on_lost: Callable[[], object] | None = None,
    ) -> AsyncConcurrencyHold:
        """Hold a permit for a ``with`` block, which gets it.

        While the block runs the lease is renewed, unless the limit was made with ``renew=False``. Should it
        be lost all the same, an async block is cancelled and ends with ``PermitLost``; a sync block cannot
        be cut short, and is told by ``permit.lost``, ``permit.check()`` and ``on_lost``.

        Args:
            key: As for ``try_acquire()``.
            weight: As for ``try_acquire()``.
            timeout: As for ``acquire()``.
            on_lost: Called without arguments, once, should the permit be lost inside the block; in a sync
                block by another thread. It may be a coroutine function in an async block.

        Raises:
            PermitTimeout: On entry: there was no room all the while.
            PermitLost: On exit, unless the block raised something else: the lease had ended before it.
        """
        return AsyncConcurrencyHold(self._turn(key, weight), timeout, on_lost)

    def around(
        self, key: str | Callable[..., str], *, weight: int = 1, timeout: Seconds | None = None
    ) -> Callable[[F], F]:
        """Decorate a function so that each call holds a permit.

        Args:
            key: Whom or what it is for; or a function that is given the call's arguments and says so.
            weight: As for ``try_acquire()``.
            timeout: As for ``acquire()``; what it raises, the call raises.

        Raises:
            TypeError: The function is of the other flavour, or a generator function.
        """
        block = for_key(key, lambda whom: self.hold(whom, weight=weight, timeout=timeout))
        return lambda function: around_coroutine(function, "concurrency limit", block)

    async def status(self, key: str) -> ConcurrencyStatus:
        """Look at the permits of a key, whoever holds them.

        Args:
            key: Whom or what.

        Returns:
            What the server knows at this moment; it may have changed when you read it.

        Complexity: O(log n + 100) for n permits, one round trip; writes nothing.
        """
        used, permits, waiters, holders = await self._room.port.run(
            self._room.permits(self._terms, key).look()
        )
        limit = self._terms.limit
        return ConcurrencyStatus(limit, used, max(0, limit - used), permits, waiters, holders)

    async def reset(self, key: str) -> None:
        """Take all permits of a key from whoever holds them, and let waiters in.

        Their holders learn of it when they next renew or give back, and are at work beside the new ones
        until then.

        Args:
            key: Whom or what.

        Complexity: O(n) for n permits, one round trip.
        """
        await self._room.port.run(self._room.permits(self._terms, key).reset())

    def _turn(self, key: str, weight: int) -> Turn:
        return Turn(self._room, self._terms, key, weight)
