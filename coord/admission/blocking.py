"""The sync faces of admission: the same flows, stepped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeVar

from coord._engine.checks import instance
from coord._engine.decorating import around, for_key
from coord._engine.faces import twin_of
from coord._engine.port import step
from coord.admission.admission import AsyncAdmission
from coord.admission.denied import Denied
from coord.admission.permit import AsyncAdmissionHold, AsyncAdmissionPermit
from coord.concurrency.blocking import ConcurrencyHold, ConcurrencyLimit, ConcurrencyPermit, entered

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from coord._engine.checks import Seconds
    from coord.limits.blocking import Limits
    from coord.limits.charge import Cost
    from coord.limits.decision import Decision

__all__ = ["Admission", "AdmissionHold", "AdmissionPermit"]

F = TypeVar("F", bound="Callable[..., object]")


@twin_of(AsyncAdmissionPermit)
class AdmissionPermit(ConcurrencyPermit):
    _flow: AsyncAdmissionPermit

    def __init__(self, flow: AsyncAdmissionPermit) -> None:
        super().__init__(flow)
        self.decision: Decision = flow.decision

    def __repr__(self) -> str:
        return repr(self._flow).replace("AsyncAdmissionPermit", "AdmissionPermit", 1)

    def __bool__(self) -> Literal[True]:
        return True

    def settle(self, cost: Cost) -> None:
        step(self._flow.settle(cost))

    def refund(self) -> None:
        step(self._flow.refund())


@twin_of(AsyncAdmissionHold)
class AdmissionHold(ConcurrencyHold):
    _flow: AsyncAdmissionHold

    def __repr__(self) -> str:
        return repr(self._flow).replace("AsyncAdmissionHold", "AdmissionHold", 1)

    def __enter__(self) -> AdmissionPermit:
        return AdmissionPermit(entered(self._flow, self._flow.__aenter__))


@twin_of(AsyncAdmission)
class Admission:
    def __init__(self, limits: Limits, at_once: ConcurrencyLimit) -> None:
        instance(at_once, ConcurrencyLimit, "at_once")
        self._flow = AsyncAdmission(limits._flow, at_once._flow)
        self.names = self._flow.names

    def __repr__(self) -> str:
        return repr(self._flow).replace("AsyncAdmission", "Admission", 1)

    def try_acquire(self, key: str, *, cost: Cost = 1, weight: int = 1) -> AdmissionPermit | Denied:
        permit = step(self._flow.try_acquire(key, cost=cost, weight=weight))
        return permit if isinstance(permit, Denied) else AdmissionPermit(permit)

    def acquire(
        self, key: str, *, cost: Cost = 1, weight: int = 1, timeout: Seconds | None = None
    ) -> AdmissionPermit:
        return AdmissionPermit(step(self._flow.acquire(key, cost=cost, weight=weight, timeout=timeout)))

    def hold(
        self,
        key: str,
        *,
        cost: Cost = 1,
        weight: int = 1,
        timeout: Seconds | None = None,
        on_lost: Callable[[], object] | None = None,
        refund_on: tuple[type[BaseException], ...] = (),
    ) -> AdmissionHold:
        return AdmissionHold(
            self._flow.hold(
                key, cost=cost, weight=weight, timeout=timeout, on_lost=on_lost, refund_on=refund_on
            )
        )

    def around(
        self,
        key: str | Callable[..., str],
        *,
        cost: Cost = 1,
        weight: int = 1,
        timeout: Seconds | None = None,
    ) -> Callable[[F], F]:
        block = for_key(key, lambda whom: self.hold(whom, cost=cost, weight=weight, timeout=timeout))
        return lambda function: around(function, "admission", block)

    def status(self, key: str, *, cost: Cost = 0, weight: int = 1) -> Decision:
        return step(self._flow.status(key, cost=cost, weight=weight))

    def penalize(self, key: str, *, until: Seconds | datetime) -> None:
        step(self._flow.penalize(key, until=until))

    def reset(self, key: str) -> None:
        step(self._flow.reset(key))
