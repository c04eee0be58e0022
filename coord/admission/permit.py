"""Possession of a permit and its charges, until it is given back or lost; and a ``with`` block of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from coord.concurrency.permit import AsyncConcurrencyHold, AsyncConcurrencyPermit
from coord.limits.charge import AsyncCharge

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from coord._engine.checks import Seconds
    from coord.admission.entrance import Entrance
    from coord.limits.charge import Cost
    from coord.locks.lease import AsyncLease

__all__ = ["AsyncAdmissionHold", "AsyncAdmissionPermit"]


class AsyncAdmissionPermit(AsyncConcurrencyPermit):
    """Room at a concurrency limit, and what was charged with it. Always true, where a ``Denied`` is false.

    That says that it was granted, and not that it still lives: ``valid`` does.

    Attributes:
        name: The concurrency limit's name.
        key: Whom or what it is for.
        weight: How much room it takes.
        decision: How things stood when it was granted: its ``parts`` are those of the rates, in their order,
            and of the room.
    """

    def __init__(self, entrance: Entrance, lease: AsyncLease) -> None:
        super().__init__(entrance, lease)
        self._charge = AsyncCharge(entrance.gate, entrance.key, entrance.verdict())
        self.decision = entrance.decision()

    def __bool__(self) -> Literal[True]:
        return True

    async def settle(self, cost: Cost) -> None:
        """Correct what was charged to the rates to what it turned out to be; the room stays as it is.

        As ``settle()`` of a limiter's charge: what was charged too much is given back, what was charged too
        little is charged now, up to the limit and the limiter's ``overdraft``, and to settle at the same cost
        again does nothing. It may be done after the permit was given back, or lost.

        Args:
            cost: What it cost; of several rates, a number for each limiter by name, or 0 for all.

        Raises:
            TypeError: ``cost`` is not an ``int``, or has a value that is none; or it is a number but 0,
                and there are several rates.
            ValueError: ``cost`` is negative, or does not name each limiter.

        Complexity: As of a limiter's charge, one round trip.
        """
        await self._charge.settle(cost)

    async def refund(self) -> None:
        """Give back all that was charged, as ``settle(0)`` does; the room stays as it is."""
        await self._charge.refund()


class AsyncAdmissionHold(AsyncConcurrencyHold):
    """A permit and its charges for one ``with`` block. Made by ``hold()``; good for one use."""

    def __init__(
        self,
        entrance: Entrance,
        timeout: Seconds | None,
        on_lost: Callable[[], object] | None,
        refund_on: tuple[type[BaseException], ...],
    ) -> None:
        super().__init__(entrance, timeout, on_lost)
        self._entrance = entrance
        self._refund_on = refund_on
        self._permit: AsyncAdmissionPermit | None = None

    async def __aenter__(self) -> AsyncAdmissionPermit:
        self._permit = AsyncAdmissionPermit(self._entrance, await self._enter())
        return self._permit

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        permit = self._permit
        try:
            await super().__aexit__(kind, error, trace)
        finally:
            if (
                permit is not None
                and isinstance(error, self._refund_on)
                and not permit._lease._is_inherited()
            ):
                await permit._charge._refund_after(error)
