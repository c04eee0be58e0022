"""What a Coord makes limiters with: the methods of either twin, apart from the rest for their number."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coord._engine.faces import twin_of
from coord.concurrency import AsyncConcurrencyLimit, ConcurrencyLimit
from coord.limits import (
    AsyncFixedWindow,
    AsyncLimits,
    AsyncSlidingWindow,
    AsyncTokenBucket,
    FixedWindow,
    Limits,
    SlidingWindow,
    TokenBucket,
)

if TYPE_CHECKING:
    from typing import Unpack

    from coord._engine.checks import Seconds
    from coord.admission import Admission, AsyncAdmission
    from coord.concurrency import ConcurrencyOptions, PermitRoom
    from coord.limits import LimiterOptions, LimitRoom, LimitsOptions
    from coord.limits.policy import Precision

__all__ = ["AsyncLimiting", "Limiting"]


class AsyncLimiting:
    """The limiters of an ``AsyncCoord``."""

    _limits: LimitRoom
    _permits: PermitRoom

    def token_bucket(
        self,
        name: str,
        spec: str | None = None,
        *,
        rate: float | None = None,
        per: Seconds = 1,
        burst: int | None = None,
        **options: Unpack[LimiterOptions],
    ) -> AsyncTokenBucket:
        """Make a token bucket: bursts, and then a steady pace.

        Args:
            name: What is limited; each key of it has a bucket of its own.
            spec: All of it in words, such as ``"100/minute burst 20"``, instead of the numbers below.
            rate: Tokens gained each ``per``.
            per: The time in which they are gained: seconds, or a ``timedelta``. At least 1 ms.
            burst: The most that a full bucket holds; ``None`` for what is gained in one ``per``.
            **options: How it behaves; see ``LimiterOptions``.

        Raises:
            ValueError: The numbers cannot be counted exactly together.
        """
        return AsyncTokenBucket(self._limits, name, spec, rate=rate, per=per, burst=burst, **options)

    def sliding_window(
        self,
        name: str,
        spec: str | None = None,
        *,
        limit: int | None = None,
        per: Seconds | None = None,
        precision: Precision = "auto",
        **options: Unpack[LimiterOptions],
    ) -> AsyncSlidingWindow:
        """Make a sliding window: never more than so many in any stretch of time.

        Args:
            name: What is limited; each key of it has a window of its own.
            spec: All of it in words, such as ``"5/10s"``, instead of the numbers below.
            limit: The most that any stretch of ``per`` may hold.
            per: The length of the window: seconds, or a ``timedelta``. At least 1 ms.
            precision: ``"exact"`` to remember each admission, up to a limit of 10,000; ``"approximate"``
                to keep two counters; ``"auto"`` for exact up to a limit of 128.
            **options: How it behaves; see ``LimiterOptions``.
        """
        return AsyncSlidingWindow(
            self._limits, name, spec, limit=limit, per=per, precision=precision, **options
        )

    def fixed_window(
        self,
        name: str,
        spec: str | None = None,
        *,
        limit: int | None = None,
        per: Seconds | None = None,
        **options: Unpack[LimiterOptions],
    ) -> AsyncFixedWindow:
        """Make a fixed window: so many, and then none until it is over.

        Args:
            name: What is limited; each key of it has a window of its own, which begins with the first
                admission after the last one has ended.
            spec: All of it in words, such as ``"1000/day"``, instead of the numbers below.
            limit: The most that a window may hold.
            per: The length of the window: seconds, or a ``timedelta``. At least 1 ms.
            **options: How it behaves; see ``LimiterOptions``.
        """
        return AsyncFixedWindow(self._limits, name, spec, limit=limit, per=per, **options)

    def limits(
        self,
        *limiters: AsyncTokenBucket | AsyncSlidingWindow | AsyncFixedWindow,
        **options: Unpack[LimitsOptions],
    ) -> AsyncLimits:
        """Ask several limiters of this object together: a call is charged to all of them, or to none.

        Args:
            *limiters: Which, of different names. Their own options count only where they are used alone.
            **options: How they behave together; see ``LimitsOptions``.
        """
        return AsyncLimits(self._limits, limiters, **options)

    def concurrency_limit(
        self, name: str, *, limit: int, **options: Unpack[ConcurrencyOptions]
    ) -> AsyncConcurrencyLimit:
        """Make a concurrency limit: so many at a time, among all processes.

        Args:
            name: What is limited; each key of it has room of its own.
            limit: How much room there is for each key, up to 1,000,000: how many permits of weight 1.
            **options: How it behaves; see ``ConcurrencyOptions``.
        """
        return AsyncConcurrencyLimit(self._permits, name, limit=limit, **options)

    def admission(
        self,
        *limiters: AsyncTokenBucket | AsyncSlidingWindow | AsyncFixedWindow,
        at_once: AsyncConcurrencyLimit,
    ) -> AsyncAdmission:
        """Decide over rates and a concurrency limit together: all of it in one step, or none.

        Args:
            *limiters: What is charged, of different names. Their own options count only where they are used
                alone, but for ``overdraft``.
            at_once: How many at a time, made with ``fair=True``.

        Raises:
            ValueError: There is no limiter, the limits are of another ``Coord``, two have the same name, or
                ``at_once`` is not fair.
        """
        from coord.admission import AsyncAdmission

        return AsyncAdmission(AsyncLimits(self._limits, limiters), at_once)


@twin_of(AsyncLimiting)
class Limiting:
    _limits: LimitRoom
    _permits: PermitRoom

    def token_bucket(
        self,
        name: str,
        spec: str | None = None,
        *,
        rate: float | None = None,
        per: Seconds = 1,
        burst: int | None = None,
        **options: Unpack[LimiterOptions],
    ) -> TokenBucket:
        return TokenBucket(self._limits, name, spec, rate=rate, per=per, burst=burst, **options)

    def sliding_window(
        self,
        name: str,
        spec: str | None = None,
        *,
        limit: int | None = None,
        per: Seconds | None = None,
        precision: Precision = "auto",
        **options: Unpack[LimiterOptions],
    ) -> SlidingWindow:
        return SlidingWindow(self._limits, name, spec, limit=limit, per=per, precision=precision, **options)

    def fixed_window(
        self,
        name: str,
        spec: str | None = None,
        *,
        limit: int | None = None,
        per: Seconds | None = None,
        **options: Unpack[LimiterOptions],
    ) -> FixedWindow:
        return FixedWindow(self._limits, name, spec, limit=limit, per=per, **options)

    def limits(
        self, *limiters: TokenBucket | SlidingWindow | FixedWindow, **options: Unpack[LimitsOptions]
    ) -> Limits:
        return Limits(self._limits, limiters, **options)

    def concurrency_limit(
        self, name: str, *, limit: int, **options: Unpack[ConcurrencyOptions]
    ) -> ConcurrencyLimit:
        return ConcurrencyLimit(self._permits, name, limit=limit, **options)

    def admission(
        self, *limiters: TokenBucket | SlidingWindow | FixedWindow, at_once: ConcurrencyLimit
    ) -> Admission:
        from coord.admission import Admission

        return Admission(Limits(self._limits, limiters), at_once)
