"""The sync faces of admission: the same flows, stepped."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from coord._engine.faces import twin_of
from coord._engine.port import step
from coord.admission.admission import AsyncAdmission
from coord.admission.permit import AsyncAdmissionPermit, AsyncAdmissionSlot
from coord.concurrency.blocking import ConcurrencyPermit, ConcurrencySlot, entered
from coord.limits.blocking import decorated

if TYPE_CHECKING:
    from collections.abc import Callable

    from coord._engine.checks import Seconds
    from coord.concurrency.blocking import ConcurrencyLimit
    from coord.limits.blocking import Limits
    from coord.limits.charge import Cost
    from coord.limits.decision import Decision

__all__ = ["Admission", "AdmissionPermit", "AdmissionSlot"]

F = TypeVar("F", bound="Callable[..., object]")


@twin_of(AsyncAdmissionPermit)
class AdmissionPermit(ConcurrencyPermit):
    _flow: AsyncAdmissionPermit

    def __init__(self, flow: AsyncAdmissionPermit) -> None:
        super().__init__(flow)
        self.decision: Decision = flow.decision

    def __repr__(self) -> str:
        return repr(self._flow).replace("AsyncAdmissionPermit", "AdmissionPermit", 1)

    def __bool__(self) -> bool:
        return bool(self._flow)

    def settle(self, cost: Cost) -> None:
        step(self._flow.settle(cost))

    def refund(self) -> None:
        step(self._flow.refund())


@twin_of(AsyncAdmissionSlot)
class AdmissionSlot(ConcurrencySlot):
    _flow: AsyncAdmissionSlot

    def __repr__(self) -> str:
        return repr(self._flow).replace("AsyncAdmissionSlot", "AdmissionSlot", 1)

    def __enter__(self) -> AdmissionPermit:
        return AdmissionPermit(entered(self._flow, self._flow.__aenter__))


@twin_of(AsyncAdmission)
class Admission:
    def __init__(self, limits: Limits, at_once: ConcurrencyLimit) -> None:
        self._flow = AsyncAdmission(limits._flow, at_once._flow)
        self.names = self._flow.names

    def __repr__(self) -> str:
        return repr(self._flow).replace("AsyncAdmission", "Admission", 1)

    def try_acquire(self, key: str, cost: Cost = 1, *, weight: int = 1) -> AdmissionPermit:
        return AdmissionPermit(step(self._flow.try_acquire(key, cost, weight=weight)))

    def acquire(
        self, key: str, cost: Cost = 1, *, weight: int = 1, timeout: Seconds | None = None
    ) -> AdmissionPermit:
        return AdmissionPermit(step(self._flow.acquire(key, cost, weight=weight, timeout=timeout)))

    def slot(
        self,
        key: str,
        cost: Cost = 1,
        *,
        weight: int = 1,
        timeout: Seconds | None = None,
        on_lost: Callable[[], object] | None = None,
        refund_on: tuple[type[BaseException], ...] = (),
    ) -> AdmissionSlot:
        return AdmissionSlot(
            self._flow.slot(key, cost, weight=weight, timeout=timeout, on_lost=on_lost, refund_on=refund_on)
        )

    def limit(
        self,
        key: str | Callable[..., str],
        cost: Cost = 1,
        *,
        weight: int = 1,
        timeout: Seconds | None = None,
    ) -> Callable[[F], F]:
        return lambda function: decorated(
            function, key, lambda whom: self.slot(whom, cost, weight=weight, timeout=timeout)
        )
