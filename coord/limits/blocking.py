"""The sync faces of the limiters: the same flows, stepped."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from coord._engine.decorating import around, for_key
from coord._engine.faces import no_block, twin_of
from coord._engine.port import step
from coord.limits.charge import AsyncCharge, AsyncCharging
from coord.limits.limiter import AsyncFixedWindow, AsyncLimiter, AsyncSlidingWindow, AsyncTokenBucket
from coord.limits.several import AsyncLimits, limiters

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from types import TracebackType
    from typing import Unpack

    from coord._engine.checks import Seconds
    from coord.limits.charge import Cost
    from coord.limits.decision import Decision
    from coord.limits.options import LimiterOptions, LimitsOptions
    from coord.limits.policy import Precision
    from coord.limits.room import LimitRoom
    from coord.limits.several import Key

__all__ = ["Charge", "Charging", "FixedWindow", "Limiter", "Limits", "SlidingWindow", "TokenBucket"]

F = TypeVar("F", bound="Callable[..., object]")


@no_block("with limiter.charge(key, timeout=...) as charge")
@twin_of(AsyncCharge)
class Charge:
    def __init__(self, flow: AsyncCharge) -> None:
        self._flow = flow
        self.key = flow.key
        self.decision: Decision = flow.decision

    def __repr__(self) -> str:
        return repr(self._flow).replace("AsyncCharge", "Charge", 1)

    def settle(self, cost: Cost) -> None:
        step(self._flow.settle(cost))

    def refund(self) -> None:
        step(self._flow.refund())


@twin_of(AsyncCharging)
class Charging:
    def __init__(self, flow: AsyncCharging) -> None:
        self._flow = flow

    def __enter__(self) -> Charge:
        return Charge(step(self._flow.__aenter__()))

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

    def try_acquire(self, key: str, *, cost: int = 1) -> Decision:
        # What the flow does first too; to find a denial takes less time than to make a coroutine.
        if self._plain and (denied := self._find(key, cost)) is not None:
            return denied
        return step(self._flow.try_acquire(key, cost=cost))

    def acquire(self, key: str, *, cost: int = 1, timeout: Seconds | None = None) -> Charge:
        return Charge(step(self._flow.acquire(key, cost=cost, timeout=timeout)))

    def charge(
        self,
        key: str,
        *,
        cost: int = 1,
        timeout: Seconds | None = None,
        refund_on: tuple[type[BaseException], ...] = (),
    ) -> Charging:
        return Charging(self._flow.charge(key, cost=cost, timeout=timeout, refund_on=refund_on))

    def around(
        self, key: str | Callable[..., str], *, cost: int = 1, timeout: Seconds | None = None
    ) -> Callable[[F], F]:
        block = for_key(key, lambda whom: self.charge(whom, cost=cost, timeout=timeout))
        return lambda function: around(function, "limiter", block)

    def status(self, key: str, *, cost: int = 0) -> Decision:
        return step(self._flow.status(key, cost=cost))

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
        per: Seconds = 1,
        burst: int | None = None,
        **options: Unpack[LimiterOptions],
    ) -> None:
        super().__init__(AsyncTokenBucket(room, name, spec, rate=rate, per=per, burst=burst, **options))


@twin_of(AsyncSlidingWindow)
class SlidingWindow(Limiter):
    def __init__(
        self,
        room: LimitRoom,
        name: str,
        spec: str | None = None,
        *,
        limit: int | None = None,
        per: Seconds | None = None,
        precision: Precision = "auto",
        **options: Unpack[LimiterOptions],
    ) -> None:
        super().__init__(
            AsyncSlidingWindow(room, name, spec, limit=limit, per=per, precision=precision, **options)
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
        per: Seconds | None = None,
        **options: Unpack[LimiterOptions],
    ) -> None:
        super().__init__(AsyncFixedWindow(room, name, spec, limit=limit, per=per, **options))


@twin_of(AsyncLimits)
class Limits:
    def __init__(self, room: LimitRoom, members: Sequence[Limiter], **options: Unpack[LimitsOptions]) -> None:
        self._flow = AsyncLimits(room, [member._flow for member in limiters(members, Limiter)], **options)
        self.names = self._flow.names

    def __repr__(self) -> str:
        return repr(self._flow).replace("AsyncLimits", "Limits", 1)

    def try_acquire(self, key: Key, *, cost: Cost = 1) -> Decision:
        return step(self._flow.try_acquire(key, cost=cost))

    def acquire(self, key: Key, *, cost: Cost = 1, timeout: Seconds | None = None) -> Charge:
        return Charge(step(self._flow.acquire(key, cost=cost, timeout=timeout)))

    def charge(
        self,
        key: Key,
        *,
        cost: Cost = 1,
        timeout: Seconds | None = None,
        refund_on: tuple[type[BaseException], ...] = (),
    ) -> Charging:
        return Charging(self._flow.charge(key, cost=cost, timeout=timeout, refund_on=refund_on))

    def around(
        self, key: str | Callable[..., str], *, cost: Cost = 1, timeout: Seconds | None = None
    ) -> Callable[[F], F]:
        block = for_key(key, lambda whom: self.charge(whom, cost=cost, timeout=timeout))
        return lambda function: around(function, "limiter", block)

    def status(self, key: Key, *, cost: Cost = 0) -> Decision:
        return step(self._flow.status(key, cost=cost))

    def refund(self, key: Key, cost: Cost = 1) -> None:
        step(self._flow.refund(key, cost))

    def penalize(self, key: Key, *, until: Seconds | datetime) -> None:
        step(self._flow.penalize(key, until=until))

    def reset(self, key: Key) -> None:
        step(self._flow.reset(key))
