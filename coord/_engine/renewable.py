"""A lease, as those see it who renew it; also from a thread, if its holder is a task."""

from __future__ import annotations

import logging
import math
import weakref
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["Elsewhere", "Renewable", "tell"]

_log = logging.getLogger("coord")


class Renewable(Protocol):
    """A lease, as the scheduler sees it."""

    @property
    def _what(self) -> str:
        """What it is the lease of, for people."""
        ...

    @property
    def token(self) -> str:
        """What proves possession to the server."""
        ...

    @property
    def _keys(self) -> tuple[str, ...]:
        """Where the server keeps it."""
        ...

    def remaining(self) -> float:
        """Seconds until its deadline."""
        ...

    def _renewed(self, sent_at: float, ttl: float) -> None:
        """It lives for ``ttl`` seconds from ``sent_at``."""
        ...

    async def _lose(self) -> None:
        """It has ended, and its holder must be told."""
        ...


class Elsewhere:
    """A task's lease, for a scheduler that runs in a thread.

    Args:
        lease: The lease, which has to hold on to this object.
        bring: Runs a flow in the loop of its holder.
    """

    def __init__(
        self, lease: Renewable, bring: Callable[[Callable[[], Coroutine[object, None, None]]], None]
    ) -> None:
        self._lease = weakref.ref(lease)
        self._bring = bring
        self._what = lease._what
        self.token = lease.token
        self._keys = lease._keys

    def remaining(self) -> float:
        """See ``Renewable``."""
        lease = self._lease()
        return 0.0 if lease is None else lease.remaining()

    def _renewed(self, sent_at: float, ttl: float) -> None:
        lease = self._lease()
        if lease is not None:
            lease._renewed(sent_at, ttl)

    async def _lose(self) -> None:
        lease = self._lease()
        if lease is not None:
            lease._renewed(-math.inf, 0)  # whoever blocks the loop can see at once that it is over
            self._bring(lambda: tell(lease))


async def tell(lease: Renewable) -> None:
    """Tell a lease that it has ended, whatever its holder's callback makes of that."""
    try:
        await lease._lose()
    except Exception:  # noqa: BLE001  # a user's callback must not end the loop for every other lease
        _log.exception("the on_lost callback of %s failed", lease._what)
