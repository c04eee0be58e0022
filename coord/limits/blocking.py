"""The sync faces of the limiters: the same flows, stepped."""

from __future__ import annotations

import inspect
from functools import wraps
from typing import TYPE_CHECKING, TypeVar, cast

from coord._engine.faces import twin_of
from coord._engine.port import step
from coord.limits.limiter import AsyncFixedWindow, AsyncLimiter, AsyncSlidingWindow, AsyncTokenBucket
from coord.limits.permit import AsyncPermit, AsyncSlot
from coord.limits.several import AsyncLimits

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime
    from types import TracebackType
    from typing import Unpack

    from coord._engine.checks import Seconds
    from coord.limits.decision import Decision
    from coord.limits.options import LimiterOptions, LimitsOptions
    from coord.limits.permit import Cost
    from coord.limits.policy import Precision
    from coord.limits.room import LimitRoom
    from coord.limits.several import Key

__all__ = ["FixedWindow", "Limiter", "Limits", "Permit", "SlidingWindow", "Slot", "TokenBucket", "decorated"]

F = TypeVar("F", bound="Callable[..., object]")


def decorated(
    function: F, key: str | Callable[..., str], entered: Callable[[str], AbstractContextManager[object]]
) -> F:
    """Make a function wait for its turn before each call.

    Raises:
        TypeError: The function is of the other flavour.
    """
    if inspect.iscoroutinefunction(function):
        raise TypeError(f"a sync limiter cannot limit {function!r}, a coroutine function; use AsyncCoord")

    @wraps(function)
    def limited(*args: object, **kwargs: object) -> object:
        with entered(key if isinstance(key, str) else key(*args, **kwargs)):
            return function(*args, **kwargs)

    return cast("F", limited)


@twin_of(AsyncPermit)
class Permit:
    def __init__(self, flow: AsyncPermit) -> None:
        self._flow = flow
        self.key = flow.key
        self.decision: Decision = flow.decision

    def __repr__(self) -> str:
        return repr(self._flow).replace("AsyncPermit", "Permit", 1)

    def settle(self, cost: Cost) -> None:
        step(self._flow.settle(cost))

    def refund(self) -> None:
        step(self._flow.refund())


@twin_of(AsyncSlot)
class Slot:
    def __init__(self, flow: AsyncSlot) -> None:
        self._flow = flow

    def __enter__(self) -> Permit:
        return Permit(step(self._flow.__aenter__()))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        step(self._flow.__aexit__(kind, error, trace))


@twin_of(AsyncLimiter)
class Limiter:
    def __init__(self, flow: AsyncLimiter) -> None:
        self._flow = flow
        self._find, self._plain = flow._denials.find, flow._plain
        self.name = flow.name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

    def try_acquire(self, key: str, cost: int = 1) -> Decision:
        # What the flow does first too; to find a denial takes less time than to make a coroutine.
        if self._plain and (denied := self._find(key, cost)) is not None:
            return denied
        return step(self._flow.try_acquire(key, cost))

    def acquire(self, key: str, cost: int = 1, *, timeout: Seconds | None = None) -> Permit:
        return Permit(step(self._flow.acquire(key, cost, timeout=timeout)))

    def slot(
        self,
        key: str,
        cost: int = 1,
        *,
        timeout: Seconds | None = None,
        refund_on: tuple[type[BaseException], ...] = (),
    ) -> Slot:
        return Slot(self._flow.slot(key, cost, timeout=timeout, refund_on=refund_on))

    def limit(
        self, key: str | Callable[..., str], cost: int = 1, *, timeout: Seconds | None = None
    ) -> Callable[[F], F]:
        return lambda function: decorated(function, key, lambda whom: self.slot(whom, cost, timeout=timeout))

    def peek(self, key: str, cost: int = 0) -> Decision:
        return step(self._flow.peek(key, cost))

    def refund(self, key: str, cost: int = 1) -> None:
        step(self._flow.refund(key, cost))

    def penalize(self, key: str, *, until: Seconds | datetime) -> None:
        step(self._flow.penalize(key, until=until))

    def reset(self, key: str) -> None:
        step(self._flow.reset(key))


@twin_of(AsyncTokenBucket)
class TokenBucket(Limiter):
    def __init__(
        self,
        room: LimitRoom,
        name: str,
        spec: str | None = None,
        *,
        rate: float | None = None,
        period: Seconds = 1,
        burst: int | None = None,
        **options: Unpack[LimiterOptions],
    ) -> None:
        super().__init__(AsyncTokenBucket(room, name, spec, rate=rate, period=period, burst=burst, **options))


@twin_of(AsyncSlidingWindow)
class SlidingWindow(Limiter):
    def __init__(
        self,
        room: LimitRoom,
        name: str,
        spec: str | None = None,
        *,
        limit: int | None = None,
        period: Seconds | None = None,
        precision: Precision = "auto",
        **options: Unpack[LimiterOptions],
    ) -> None:
        super().__init__(
            AsyncSlidingWindow(room, name, spec, limit=limit, period=period, precision=precision, **options)
        )


@twin_of(AsyncFixedWindow)
class FixedWindow(Limiter):
    def __init__(
        self,
        room: LimitRoom,
        name: str,
        spec: str | None = None,
        *,
        limit: int | None = None,
        period: Seconds | None = None,
        **options: Unpack[LimiterOptions],
    ) -> None:
        super().__init__(AsyncFixedWindow(room, name, spec, limit=limit, period=period, **options))


@twin_of(AsyncLimits)
class Limits:
    def __init__(self, room: LimitRoom, members: Sequence[Limiter], **options: Unpack[LimitsOptions]) -> None:
        self._flow = AsyncLimits(room, [member._flow for member in members], **options)
        self.names = self._flow.names

    def __repr__(self) -> str:
        return repr(self._flow).replace("AsyncLimits", "Limits", 1)

    def try_acquire(self, key: Key, cost: Cost = 1) -> Decision:
        return step(self._flow.try_acquire(key, cost))

    def acquire(self, key: Key, cost: Cost = 1, *, timeout: Seconds | None = None) -> Permit:
        return Permit(step(self._flow.acquire(key, cost, timeout=timeout)))

    def slot(
        self,
        key: Key,
        cost: Cost = 1,
        *,
        timeout: Seconds | None = None,
        refund_on: tuple[type[BaseException], ...] = (),
    ) -> Slot:
        return Slot(self._flow.slot(key, cost, timeout=timeout, refund_on=refund_on))

    def limit(
        self, key: str | Callable[..., str], cost: Cost = 1, *, timeout: Seconds | None = None
    ) -> Callable[[F], F]:
        return lambda function: decorated(function, key, lambda whom: self.slot(whom, cost, timeout=timeout))

    def peek(self, key: Key, cost: Cost = 0) -> Decision:
        return step(self._flow.peek(key, cost))

    def refund(self, key: Key, cost: Cost = 1) -> None:
        step(self._flow.refund(key, cost))

    def reset(self, key: Key) -> None:
        step(self._flow.reset(key))
