"""The sync faces of the concurrency limit: the same flows, stepped."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn, TypeVar

from coord._engine.decorating import around, for_key
from coord._engine.faces import no_block, twin_of
from coord._engine.port import step
from coord.concurrency.limit import AsyncConcurrencyLimit
from coord.concurrency.permit import AsyncConcurrencyHold, AsyncConcurrencyPermit
from coord.locks.blocking import Loss

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from types import TracebackType
    from typing import Unpack

    from coord._engine.checks import Seconds
    from coord.concurrency.calls import ConcurrencyStatus
    from coord.concurrency.room import PermitRoom
    from coord.concurrency.terms import ConcurrencyOptions

__all__ = ["ConcurrencyHold", "ConcurrencyLimit", "ConcurrencyPermit", "entered"]

F = TypeVar("F", bound="Callable[..., object]")
P = TypeVar("P", bound=AsyncConcurrencyPermit)


def entered(hold: AsyncConcurrencyHold, enter: Callable[[], Coroutine[object, None, P]]) -> P:
    """Step into a block, and leave nothing held if that is interrupted."""
    try:
        return step(enter())
    except KeyboardInterrupt:  # it may have come between the flow's return and ours
        step(hold._abandon())
        raise


@no_block("with limit.hold(key, timeout=...) as permit")
@twin_of(AsyncConcurrencyPermit)
class ConcurrencyPermit:
    def __init__(self, flow: AsyncConcurrencyPermit) -> None:
        self._flow = flow
        self.name = flow.name
        self.key = flow.key
        self.weight = flow.weight

    def __repr__(self) -> str:
        return repr(self._flow).replace("AsyncConcurrencyPermit", "ConcurrencyPermit", 1)

    def __reduce__(self) -> NoReturn:
        self._flow.__reduce__()

    def remaining(self) -> float:
        return self._flow.remaining()

    @property
    def valid(self) -> bool:
        return self._flow.valid

    @property
    def lost(self) -> Loss:
        return Loss(self._flow.lost)

    def check(self) -> None:
        self._flow.check()

    def renew(self, *, ttl: Seconds | None = None) -> None:
        step(self._flow.renew(ttl=ttl))

    def release(self) -> None:
        step(self._flow.release())


@twin_of(AsyncConcurrencyHold)
class ConcurrencyHold:
    def __init__(self, flow: AsyncConcurrencyHold) -> None:
        self._flow = flow

    def __repr__(self) -> str:
        return repr(self._flow).replace("AsyncConcurrencyHold", "ConcurrencyHold", 1)

    def __enter__(self) -> ConcurrencyPermit:
        return ConcurrencyPermit(entered(self._flow, self._flow.__aenter__))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        step(self._flow.__aexit__(kind, error, trace))


@twin_of(AsyncConcurrencyLimit)
class ConcurrencyLimit:
    def __init__(
        self, room: PermitRoom, name: str, *, limit: int, **options: Unpack[ConcurrencyOptions]
    ) -> None:
        self._flow = AsyncConcurrencyLimit(room, name, limit=limit, **options)
        self.name = name

    def __repr__(self) -> str:
        return repr(self._flow).replace("AsyncConcurrencyLimit", "ConcurrencyLimit", 1)

    def try_acquire(self, key: str, *, weight: int = 1) -> ConcurrencyPermit | None:
        permit = step(self._flow.try_acquire(key, weight=weight))
        return None if permit is None else ConcurrencyPermit(permit)

    def acquire(self, key: str, *, weight: int = 1, timeout: Seconds | None = None) -> ConcurrencyPermit:
        return ConcurrencyPermit(step(self._flow.acquire(key, weight=weight, timeout=timeout)))

    def hold(
        self,
        key: str,
        *,
        weight: int = 1,
        timeout: Seconds | None = None,
        on_lost: Callable[[], object] | None = None,
    ) -> ConcurrencyHold:
        return ConcurrencyHold(self._flow.hold(key, weight=weight, timeout=timeout, on_lost=on_lost))

    def around(
        self, key: str | Callable[..., str], *, weight: int = 1, timeout: Seconds | None = None
    ) -> Callable[[F], F]:
        block = for_key(key, lambda whom: self.hold(whom, weight=weight, timeout=timeout))
        return lambda function: around(function, "concurrency limit", block)

    def status(self, key: str) -> ConcurrencyStatus:
        return step(self._flow.status(key))

    def reset(self, key: str) -> None:
        step(self._flow.reset(key))
