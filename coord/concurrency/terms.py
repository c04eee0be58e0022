"""What a concurrency limit was made with, checked once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict, get_args

from coord._engine.checks import integer, one_of, seconds
from coord._engine.keys import escape
from coord.locks.lease import SHORTEST_TTL
from coord.locks.options import Wait

if TYPE_CHECKING:
    from coord._engine.checks import Seconds

__all__ = ["ConcurrencyOptions", "Terms"]

MOST = 1_000_000
"""The most room of a key: more than anybody runs at once, and far below ``LEASES`` of ``permits.lua``."""


class ConcurrencyOptions(TypedDict, total=False):
    """What a concurrency limit may be told beside its number.

    Attributes:
        ttl: The lease: how long a permit survives a holder who disappears. At least 10 ms; by default 10 s.
        renew: Whether ``hold()`` renews the lease for as long as its block runs (by default it does).
        max_hold: How long such a block may hold its permit at the most; then it is lost. By default for ever.
        fair: Whether waiters are served in the order of their arrival at the server, whatever they want
            (by default not). For all users of a name alike.
        wait: ``"signal"`` (the default) for waiters to be woken; ``"poll"`` for them to ask again every 5 to
            100 ms, where the server allows no publish and subscribe.
    """

    ttl: Seconds
    renew: bool
    max_hold: Seconds | None
    fair: bool
    wait: Wait


@dataclass(frozen=True, slots=True)
class Terms:
    """What a concurrency limit was made with.

    Attributes:
        name: What it is called.
        limit: How much room there is for each key.
        ttl: The lease of a permit.
        renew: Whether a ``with`` block renews it.
        max_hold: For how long at the most.
        fair: Whether waiters are served in order.
        wait: ``"signal"`` or ``"poll"``.

    Raises:
        TypeError: One is of the wrong type.
        ValueError: One is out of bounds.
    """

    name: str
    limit: int
    ttl: Seconds = 10
    renew: bool = True
    max_hold: Seconds | None = None
    fair: bool = False
    wait: Wait = "signal"

    def __post_init__(self) -> None:
        escape(self.name)
        integer(self.limit, "limit", at_least=1, at_most=MOST)
        seconds(self.ttl, "ttl", at_least=SHORTEST_TTL)
        if self.max_hold is not None:
            seconds(self.max_hold, "max_hold", at_least=SHORTEST_TTL)
        one_of(self.wait, "wait", get_args(Wait))

    def weight(self, weight: int) -> int:
        """Check how much room one permit takes."""
        return integer(weight, "weight", at_least=1, at_most=self.limit)
