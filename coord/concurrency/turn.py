"""One acquisition of a permit: the lock's algorithm, asked of a server that lets several hold it."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from coord.errors import PermitLost, PermitTimeout
from coord.locks.asking import Asking
from coord.locks.calls import waiter_of
from coord.locks.lock import AsyncLock

if TYPE_CHECKING:
    from coord.concurrency.calls import PermitCalls
    from coord.concurrency.room import PermitRoom
    from coord.concurrency.terms import Terms

__all__ = ["Turn"]


class Turn(AsyncLock):
    """What the permits of one key and weight are acquired through; of a lock's verbs nothing else is used.

    Args:
        room: What all limits share.
        terms: What the limit was made with.
        key: Whom or what the permit is for.
        weight: How much room it takes.
        calls: What the server is asked, if it is more than for a permit.
    """

    _instead = "acquire one here"

    def __init__(
        self, room: PermitRoom, terms: Terms, key: str, weight: int, calls: PermitCalls | None = None
    ) -> None:
        self.terms = terms
        self.key = key
        self.weight = terms.weight(weight)
        self.calls = calls or room.permits(terms, key)
        super().__init__(
            room,
            terms.name,
            ttl=terms.ttl,
            renew=terms.renew,
            max_hold=terms.max_hold,
            fair=terms.fair,
            wait=terms.wait,
        )

    @property
    def _what(self) -> str:
        return f"the permit of {self.key!r} from {self.terms.name!r}"

    def _spell(self, name: str) -> PermitCalls:
        del name
        return self.calls

    def _ask(self) -> Asking:
        return Asking(f"{secrets.token_hex(16)} {self.weight} {self._port.label()}")

    def _who(self, asking: Asking) -> str:
        return f"{waiter_of(asking.token)}.{self.weight}.{self.terms.limit}"

    def _was_lost(self) -> PermitLost:
        return PermitLost(self.terms.name, self.key)

    def _timed_out(self, asking: Asking, limit: float) -> PermitTimeout:
        del asking
        return PermitTimeout(
            self.terms.name, self.key, weight=self.weight, limit=self.terms.limit, timeout=limit
        )

    def _refuse_self_deadlock(self, limit: float) -> None:
        """Let a task or thread hold several permits. That they are enough is its own matter."""
