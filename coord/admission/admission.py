"""The way in: the verbs of a concurrency limit, with a cost for each rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from coord._engine.checks import instance
from coord._engine.decorating import around_coroutine, for_key
from coord.admission.denied import Denied
from coord.admission.entrance import Entrance, decision_of
from coord.admission.permit import AsyncAdmissionHold, AsyncAdmissionPermit
from coord.concurrency.limit import AsyncConcurrencyLimit

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from coord._engine.checks import Seconds
    from coord.limits.charge import Cost
    from coord.limits.decision import Decision
    from coord.limits.gate import Group
    from coord.limits.several import AsyncLimits

__all__ = ["AsyncAdmission"]

LOOK_AGAIN = 0.05
"""Seconds until those who come first may have gone: as long as room is kept for a waiter that was woken."""

F = TypeVar("F", bound="Callable[..., object]")


class AsyncAdmission:
    """Admits so many at a time, and charges rates to whom it admits: all of it in one step, or none.

    Made by ``admission()`` of a ``Coord`` or ``AsyncCoord``. The limits and the limiters may be used alone
    beside it: they count together.

    Guarantees, on one server that keeps its data: those of the concurrency limit and of the limiters, and
    that neither is taken from without the other. Whoever waits is served in the order of arrival at the
    server, in all processes. Not guaranteed: that nobody goes before, who uses the limiters alone; that a
    process that is killed has not been charged; and what the parts do not.
    """

    def __init__(self, limits: AsyncLimits, at_once: AsyncConcurrencyLimit) -> None:
        terms = instance(at_once, AsyncConcurrencyLimit, "at_once")._terms
        if limits._room.port is not at_once._room.port:
            raise ValueError("admission() takes limits of this Coord only")
        if not terms.fair:
            raise ValueError(
                f"admission() needs a line to wait in: make concurrency limit {terms.name!r} with fair=True"
            )
        if terms.name in limits.names:
            raise ValueError(f"admission() needs limits of different names, not {terms.name!r} twice")
        self._limits = limits
        self._at_once = at_once
        self.names = (*limits.names, terms.name)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {', '.join(map(repr, self.names))}>"

    async def try_acquire(
        self, key: str, *, cost: Cost = 1, weight: int = 1
    ) -> AsyncAdmissionPermit | Denied:
        """Take a permit and charge the rates, if there is room and all rates allow it now. Never waits.

        The lease is not renewed on its own: that is what ``hold()`` does.

        Args:
            key: Whom or what it is for: a user, an API, a model.
            cost: What is charged to the rates: a number for all, or one for each limiter by name. A rate that
                is charged 0 is not asked.
            weight: How much room it takes, from 1 to the concurrency limit.

        Returns:
            The permit, which is true; or a ``Denied``, which is false. That is the decision of the limit
            that binds, with those of all as its ``parts``: how long the rates would deny it, and what room
            there is. For the room, ``retry_after`` is when to look again: the end of the next lease, which
            may be renewed or given back before; 50 ms, if others come first.

        Raises:
            PermitLost: It was granted, but every answer took longer than ``ttl`` to arrive. What was charged
                is given back.
            TypeError: ``key`` is not a ``str``, or a cost or ``weight`` not an ``int``.
            ValueError: Not each limiter is named, ``key`` is empty, or a cost or ``weight`` is negative or
                more than can ever be allowed.

        Complexity: O(n) for n rates, and O(log m) amortised for m permits of the key; one round trip.
        """
        entrance = self._entrance(key, cost, weight)
        lease = await entrance.try_acquire()
        return Denied.by(entrance.decision()) if lease is None else AsyncAdmissionPermit(entrance, lease)

    async def acquire(
        self, key: str, *, cost: Cost = 1, weight: int = 1, timeout: Seconds | None = None
    ) -> AsyncAdmissionPermit:
        """Take a permit and charge the rates, waiting until there is room and all rates allow it.

        Whoever waits stands in a line, and is charged when its turn has come and not before. The first in it
        is woken when there is room, and looks again when the rates should allow it, or once a second.

        Args:
            key: As for ``try_acquire()``.
            cost: As for ``try_acquire()``.
            weight: As for ``try_acquire()``.
            timeout: Seconds, or a ``timedelta``, to wait at the most; ``None`` for ever, 0 not at all.

        Returns:
            The permit. Its lease is not renewed on its own, as it is in a ``hold()`` block.

        Raises:
            RateLimited: The rates will not allow it in time; raised as soon as that is known. Nothing was
                charged, and nothing is held.
            PermitTimeout: There was no room in time, or others came before. Nothing was charged.
            PermitLost: As for ``try_acquire()``.
            RuntimeError: A sync one would have to wait in a thread that runs an event loop.
            TypeError: As for ``try_acquire()``.
            ValueError: As for ``try_acquire()``.

        Complexity: As ``try_acquire()``, an attempt.
        """
        entrance = self._entrance(key, cost, weight)
        return AsyncAdmissionPermit(entrance, await entrance.acquire(timeout=timeout))

    def hold(
        self,
        key: str,
        *,
        cost: Cost = 1,
        weight: int = 1,
        timeout: Seconds | None = None,
        on_lost: Callable[[], object] | None = None,
        refund_on: tuple[type[BaseException], ...] = (),
    ) -> AsyncAdmissionHold:
        """Hold a permit for a ``with`` block, which gets it, and charge the rates for it.

        While the block runs the lease is renewed, as by ``hold()`` of the concurrency limit.

        Args:
            key: As for ``try_acquire()``.
            cost: As for ``try_acquire()``.
            weight: As for ``try_acquire()``.
            timeout: As for ``acquire()``; what it raises, entering raises.
            on_lost: Called without arguments, once, should the permit be lost inside the block; in a sync
                block by another thread. It may be a coroutine function in an async block.
            refund_on: Exceptions of the block after which the cost is given back.

        Raises:
            PermitLost: On exit, unless the block raised something else: the lease had ended before it.
        """
        return AsyncAdmissionHold(self._entrance(key, cost, weight), timeout, on_lost, refund_on)

    def around(
        self,
        key: str | Callable[..., str],
        *,
        cost: Cost = 1,
        weight: int = 1,
        timeout: Seconds | None = None,
    ) -> Callable[[F], F]:
        """Decorate a function so that each call holds a permit, and is charged.

        Args:
            key: Whom or what it is for; or a function that is given the call's arguments and says so.
            cost: As for ``try_acquire()``.
            weight: As for ``try_acquire()``.
            timeout: As for ``acquire()``; what it raises, the call raises.

        Raises:
            TypeError: The function is of the other flavour, or a generator function.
        """
        block = for_key(key, lambda whom: self.hold(whom, cost=cost, weight=weight, timeout=timeout))
        return lambda function: around_coroutine(function, "admission", block)

    async def status(self, key: str, *, cost: Cost = 0, weight: int = 1) -> Decision:
        """Say how things stand for ``key``, taking nothing.

        Args:
            key: Whom or what.
            cost: What a call would cost: a number for all rates, or one for each limiter by name.
            weight: How much room it would take.

        Returns:
            The decision that such a call would get, as far as can be told. The rates and the room are looked
            at one after the other, and one who has died in the line counts for some seconds.

        Complexity: O(n) for n rates, and O(log m + 100) for m permits of the key; two round trips, and writes
        nothing.
        """
        self._group(key, cost)
        self._at_once._terms.weight(weight)
        rates, room = await self._limits.status(key, cost=cost), await self._at_once.status(key)
        wait = 0.0
        if weight > room.available:
            wait = room.holders[0].remaining if room.holders else LOOK_AGAIN
        elif room.waiters:
            wait = LOOK_AGAIN
        return decision_of(rates, self._at_once._terms, room.used, wait)

    async def penalize(self, key: str, *, until: Seconds | datetime) -> None:
        """Admit nothing for ``key`` for a while, by any of the rates; as ``penalize()`` of a limiter.

        Permits that were given stay good.

        Args:
            key: Whom or what.
            until: Until when: seconds from now, a ``timedelta``, or an aware ``datetime``.

        Complexity: O(n) for n rates, one round trip.
        """
        self._group(key, 0)
        await self._limits.penalize(key, until=until)

    async def reset(self, key: str) -> None:
        """Forget all that was charged to ``key``, and take its permits from whoever holds them.

        As ``reset()`` of each limiter and of the concurrency limit, one after the other.

        Args:
            key: Whom or what.

        Complexity: O(n) for n permits and rates, two round trips.
        """
        self._group(key, 0)
        await self._limits.reset(key)
        await self._at_once.reset(key)

    def _group(self, key: str, cost: Cost) -> Group:
        if not isinstance(key, str):
            raise TypeError(f"key must be a str, one for all limits, not {type(key).__name__} {key!r}")
        (group,) = self._limits._groups(key, cost)
        return group

    def _entrance(self, key: str, cost: Cost, weight: int) -> Entrance:
        group = self._group(key, cost)
        room, terms = self._at_once._room, self._at_once._terms
        return Entrance(room, terms, key, weight, gate=self._limits._gate, group=group)
