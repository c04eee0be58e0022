"""How a limiter behaves, apart from its numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypedDict, get_args

from coord._engine.checks import integer, known, one_of, seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from coord._engine.checks import Seconds
    from coord.limits.decision import Decision

__all__ = ["Behaviour", "LimiterOptions", "LimitsOptions", "OnError", "behaviour_of"]

OnError = Literal["raise", "allow", "deny", "local"]
BUDGET = 0.1
"""Seconds that asking may take where there is a fallback: many round trips, yet no long wait."""

STALENESS = 0.1
"""Seconds for which a denial is repeated unasked: how late a refund elsewhere may be noticed."""


class LimitsOptions(TypedDict, total=False):
    """What one limiter may be told, and several together.

    Attributes:
        on_error: What to do if the server cannot be asked: ``"raise"`` the client's exception (the
            default), ``"allow"``, ``"deny"``, or decide by a ``"local"`` limiter of this process.
        budget: Seconds, or a ``timedelta``, that asking may take; by default 0.1 with a fallback, and
            the ``call_timeout`` of the ``Coord`` without. With a fallback the first call may take a second,
            to connect.
        share: The part of the limit that a local limiter admits, above 0 and at most 1: with k processes,
            1/k. By default 1. All local limiters of one policy and share are one.
        shadow: Whether to decide and charge, but to allow in any case (by default not).
        on_decision: Called with the key and the decision, of each. Its exceptions are logged, not raised.
    """

    on_error: OnError
    budget: Seconds
    share: float
    shadow: bool
    on_decision: Callable[[str, Decision], object]


class LimiterOptions(LimitsOptions, total=False):
    """What a limiter may be told beside its numbers.

    Attributes:
        overdraft: How far beyond the limit a settlement may go; by default 0, so that it stops there.
        deny_cache: For how many seconds at the most a denial is repeated without asking again; 0 for
            never. By default 0.1.
        prefetch: How many more to take in advance, to be served without asking; by default 0.
    """

    overdraft: int
    deny_cache: Seconds
    prefetch: int


@dataclass(frozen=True, slots=True)
class Behaviour:
    """The options of a limiter, checked.

    Raises:
        TypeError: One is unknown or of the wrong type.
        ValueError: One is out of bounds.
    """

    on_error: OnError = "raise"
    budget: Seconds | None = None
    share: float = 1.0
    shadow: bool = False
    on_decision: Callable[[str, Decision], object] | None = None
    overdraft: int = 0
    deny_cache: Seconds = STALENESS
    prefetch: int = 0

    def __post_init__(self) -> None:
        one_of(self.on_error, "on_error", get_args(OnError))
        if isinstance(self.share, bool) or not isinstance(self.share, int | float):
            raise TypeError(f"share must be a number, not {type(self.share).__name__} {self.share!r}")
        if not 0 < self.share <= 1:
            raise ValueError(f"share must be above 0 and at most 1, not {self.share!r}")
        if self.on_decision is not None and not callable(self.on_decision):
            raise TypeError(f"on_decision must be a function, not {self.on_decision!r}")
        integer(self.prefetch, "prefetch", at_least=0)
        seconds(self.deny_cache, "deny_cache", at_least=0)

    @property
    def patience(self) -> float | None:
        """Seconds that asking may take; ``None`` for the Coord's own deadline."""
        if self.budget is not None:
            return seconds(self.budget, "budget", at_least=0.001)
        return None if self.on_error == "raise" else BUDGET

    @property
    def staleness(self) -> float:
        """Seconds for which a denial is remembered."""
        return seconds(self.deny_cache, "deny_cache", at_least=0)


def behaviour_of(options: LimiterOptions, what: str, *numbers: str) -> Behaviour:
    """Check the options of a limiter.

    Args:
        options: What it was told beside its numbers.
        what: The method that makes it.
        numbers: What else that method may be told.

    Raises:
        TypeError: One is unknown or of the wrong type.
        ValueError: One is out of bounds.
    """
    known(options, what, (*numbers, *LimiterOptions.__annotations__))
    return Behaviour(**options)
