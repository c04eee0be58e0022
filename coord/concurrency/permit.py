"""Possession of a permit, from one acquisition until it is given back or lost; and a ``with`` block of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from coord._engine.faces import no_block

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from coord._engine.checks import Seconds
    from coord.concurrency.turn import Turn
    from coord.locks.lease import AsyncLease, AsyncLoss

__all__ = ["AsyncConcurrencyHold", "AsyncConcurrencyPermit"]


@no_block("async with limit.hold(key, timeout=...) as permit")
class AsyncConcurrencyPermit:
    """Room at a concurrency limit, from one acquisition until it is given back or lost.

    Attributes:
        name: The limit's name.
        key: Whom or what it is for.
        weight: How much room it takes.
    """

    def __init__(self, turn: Turn, lease: AsyncLease) -> None:
        self._lease = lease
        self.name = turn.terms.name
        self.key = turn.key
        self.weight = turn.weight

    def __repr__(self) -> str:
        state = f"{self.remaining():.3f} s left" if self.valid else "over"
        return f"<{type(self).__name__} of {self.key!r} from {self.name!r}, weight {self.weight}, {state}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a permit cannot be pickled; acquire one in each process")

    def remaining(self) -> float:
        """Return how many seconds the lease is still good for; 0 when it is not. Local, no round trip."""
        return self._lease.remaining()

    @property
    def valid(self) -> bool:
        """Whether the permit is good as far as is known here. True may be a moment out of date."""
        return self._lease.valid

    @property
    def lost(self) -> AsyncLoss:
        """The event that the lease ended before the permit was given back."""
        return self._lease.lost

    def check(self) -> None:
        """Raise unless the permit is still good, as far as is known here.

        Raises:
            PermitLost: Its lease has run out, or it was given back.
            NotOwned: It is held by the process that this one was forked from.
        """
        self._lease.check()

    async def renew(self, *, ttl: Seconds | None = None) -> None:
        """Start the lease anew, from now on.

        Args:
            ttl: Its length; ``None`` for the limit's own.

        Raises:
            PermitLost: The lease had ended; it is not revived.
            NotOwned: It is held by the process that this one was forked from.

        Complexity: O(log n) for n permits of the key, one round trip.
        """
        await self._lease.renew(ttl=ttl)

    async def release(self) -> None:
        """Give the permit back. Releasing twice is harmless.

        Raises:
            PermitLost: The lease had ended before, so another may have been admitted in its place.
            NotOwned: It is held by the process that this one was forked from.

        Complexity: O(log n) for n permits of the key, one round trip.
        """
        await self._lease.release()


class AsyncConcurrencyHold:
    """A permit for one ``with`` block. Made by ``hold()``; good for one use."""

    def __init__(self, turn: Turn, timeout: Seconds | None, on_lost: Callable[[], object] | None) -> None:
        self._turn = turn
        self._hold = turn.hold(timeout=timeout, on_lost=on_lost)
        self._used = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._turn.key!r} from {self._turn.terms.name!r}>"

    async def __aenter__(self) -> AsyncConcurrencyPermit:
        return AsyncConcurrencyPermit(self._turn, await self._enter())

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._used:
            raise RuntimeError("this block was never entered")
        await self._hold.__aexit__(kind, error, trace)

    async def _enter(self) -> AsyncLease:
        if self._used:
            raise RuntimeError("this block was used before; call hold() for each")
        self._used = True
        return await self._hold.__aenter__()

    async def _abandon(self) -> None:
        """Give up what was acquired, if anything."""
        await self._hold._abandon()
