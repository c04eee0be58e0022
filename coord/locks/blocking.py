"""The sync faces of the lock: the same flows, stepped."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn, TypeVar

from coord._engine.checks import patience
from coord._engine.decorating import around
from coord._engine.faces import no_block, twin_of
from coord._engine.port import step
from coord.locks.entered import caller
from coord.locks.fenced import Fenced, Guarded
from coord.locks.hold import AsyncHold
from coord.locks.lease import AsyncLease, AsyncLoss
from coord.locks.lock import AsyncLock

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from coord._engine.checks import Seconds
    from coord.locks.calls import LockStatus
    from coord.locks.options import Wait
    from coord.locks.room import LockRoom

__all__ = ["Hold", "Lease", "Lock", "Loss"]

F = TypeVar("F", bound="Callable[..., object]")


@twin_of(AsyncLock)
class Lock:
    def __init__(
        self,
        room: LockRoom,
        name: str,
        *,
        ttl: Seconds = 10,
        renew: bool = True,
        max_hold: Seconds | None = None,
        fair: bool = False,
        reentrant: bool = False,
        wait: Wait = "signal",
        replicas: int = 0,
        fsync: bool = False,
    ) -> None:
        self._flow = AsyncLock(
            room,
            name,
            ttl=ttl,
            renew=renew,
            max_hold=max_hold,
            fair=fair,
            reentrant=reentrant,
            wait=wait,
            replicas=replicas,
            fsync=fsync,
        )
        self.name = name
        self.names: tuple[str, ...] = (name,)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a lock cannot be pickled; make one of the same name in the other process")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

    def try_acquire(self) -> Lease | None:
        lease = step(self._flow.try_acquire())
        return None if lease is None else Lease(lease)

    def acquire(self, *, timeout: Seconds | None = None) -> Lease:
        return Lease(step(self._flow.acquire(timeout=timeout)))

    def hold(self, *, timeout: Seconds | None = None, on_lost: Callable[[], object] | None = None) -> Hold:
        return Hold(self._flow.hold(timeout=timeout, on_lost=on_lost))

    def adopt(self, exported: str) -> Lease:
        return Lease(step(self._flow.adopt(exported)))

    def status(self) -> LockStatus:
        return step(self._flow.status())

    def force_release(self, *, reason: str) -> bool:
        return step(self._flow.force_release(reason=reason))

    def around(
        self, *, timeout: Seconds | None = None, on_lost: Callable[[], object] | None = None
    ) -> Callable[[F], F]:
        patience(timeout)
        return lambda function: around(
            function, "lock", lambda *_, **__: self.hold(timeout=timeout, on_lost=on_lost)
        )

    def __enter__(self) -> Lease:
        return Lease(step(self._flow._enter(caller())))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        step(self._flow._leave(caller(), error))


@no_block("with lock.hold(timeout=...) as lease")
@twin_of(AsyncLease)
class Lease:
    def __init__(self, flow: AsyncLease) -> None:
        self._flow = flow
        self.name = flow.name
        self.names = flow.names
        self.token = flow.token
        self.fence = flow.fence

    def __repr__(self) -> str:
        return repr(self._flow).replace("AsyncLease", "Lease", 1)

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

    def guard(self, value: str | Fenced) -> Guarded:
        return Guarded(self._flow.guard(value._flow if isinstance(value, Fenced) else value))

    def export(self) -> str:
        return self._flow.export()


@twin_of(AsyncLoss)
class Loss:
    def __init__(self, flow: AsyncLoss) -> None:
        self._flow = flow

    def __repr__(self) -> str:
        return repr(self._flow).replace("AsyncLoss", "Loss", 1)

    def is_set(self) -> bool:
        return self._flow.is_set()

    def wait(self, *, timeout: Seconds | None = None) -> bool:
        return step(self._flow.wait(timeout=timeout))


@twin_of(AsyncHold)
class Hold:
    def __init__(self, flow: AsyncHold) -> None:
        self._flow = flow

    def __repr__(self) -> str:
        return repr(self._flow).replace("AsyncHold", "Hold", 1)

    def __enter__(self) -> Lease:
        try:
            return Lease(step(self._flow._begin(caller())))
        except KeyboardInterrupt:  # it may have come between the flow's return and ours
            step(self._flow._abandon())
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        step(self._flow.__aexit__(kind, error, trace))
