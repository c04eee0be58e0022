"""Scenarios of locks, limiters and permits."""

from __future__ import annotations

import contextlib
from importlib import import_module
from typing import TYPE_CHECKING, Any

from coord import PermitTimeout
from tests.benchmarks.rooms.scenarios import PLENTY, client_of, usual

if TYPE_CHECKING:
    from tests.benchmarks.rooms.scenarios import Act


@usual("lock_acquire", "a free lock")
@usual("lock_release", "nobody waits")
def _locked(coord: Any) -> Act:
    return lambda n: coord.lock(f"x{n}").acquire().release()


@usual("lock_acquire", "`fair=True`, a free lock")
@usual("lock_release", "`fair=True`, nobody waits")
def _locked_fairly(coord: Any) -> Act:
    return lambda n: coord.lock(f"x{n}", fair=True).acquire().release()


@usual("lock_renew", "one lease")
def _renewed(coord: Any) -> Act:
    return lambda n: coord.lock(f"x{n}").acquire().renew()


@usual("lock_renew", "100 leases", times=20)
def _renewed_together(coord: Any) -> Act:
    renewal = import_module("coord.locks.calls").renewal
    step = import_module("coord._engine.port").step

    def act(n: int) -> object:
        names = [f"x{n}:{number}" for number in range(100)]
        leases = [(coord._keys("lock", name), coord.lock(name).acquire().token, 10.0) for name in names]
        return step(coord._port.run(renewal(leases)))

    return act


@usual("lock_status", "held")
def _looked_at(coord: Any) -> Act:
    def act(n: int) -> None:
        coord.lock(f"x{n}").acquire()
        coord.lock(f"x{n}").status()

    return act


@usual("lock_break", "held")
def _broken(coord: Any) -> Act:
    def act(n: int) -> None:
        coord.lock(f"x{n}").acquire()
        coord.lock(f"x{n}").force_release(reason="benchmark")

    return act


@usual("locks_acquire", "three free locks")
@usual("locks_release", "three locks")
def _locked_together(coord: Any) -> Act:
    return lambda n: coord.locks(f"x{n}", f"y{n}", f"z{n}").acquire().release()


@usual("quorum_fence", "one server's part")
def _agreed(coord: Any) -> Act:
    quorum = import_module("coord").Quorum([client_of(coord)], quarantine=False)
    return lambda n: quorum.lock(f"x{n}").acquire()


@usual("fenced_apply", "`set` of 20 bytes")
def _fenced(coord: Any) -> Act:
    return lambda n: coord.fenced(f"x{n}").set("x" * 20, fence=1)


@usual("limit_bucket", "one token")
def _bucket(coord: Any) -> Act:
    limiter = coord.token_bucket("x", rate=PLENTY)
    return lambda n: limiter.try_acquire("one")


@usual("limit_fixed", "one of many")
def _fixed(coord: Any) -> Act:
    limiter = coord.fixed_window("x", limit=PLENTY, per=60)
    return lambda n: limiter.try_acquire("one")


@usual("limit_counter", "one of many")
def _approximate(coord: Any) -> Act:
    limiter = coord.sliding_window("x", limit=PLENTY, per=60, precision="approximate")
    return lambda n: limiter.try_acquire("one")


@usual("limit_log", "one of up to 100", times=100)
def _exact(coord: Any) -> Act:
    limiter = coord.sliding_window("x", limit=100, per=60, precision="exact")
    return lambda n: limiter.try_acquire("one")


@usual("limit_apply", "two limiters together")
def _both(coord: Any) -> Act:
    both = coord.limits(
        coord.token_bucket("rpm", rate=PLENTY), coord.token_bucket("tpm", rate=PLENTY, burst=PLENTY)
    )
    return lambda n: both.try_acquire("one", cost={"rpm": 1, "tpm": 900})


def _permits(coord: Any) -> Any:
    return coord.concurrency_limit("x", limit=PLENTY)


@usual("permit_acquire", "the first of a key")
@usual("permit_release", "nobody waits")
def _admitted(coord: Any) -> Act:
    limit = _permits(coord)
    return lambda n: limit.acquire(f"x{n}").release()


@usual("permit_admit", "the first of a key, and two rates")
def _let_in(coord: Any) -> Act:
    rates = (coord.token_bucket(name, rate=PLENTY) for name in ("rpm", "tpm"))
    both = coord.admission(*rates, at_once=coord.concurrency_limit("x", limit=PLENTY, fair=True))
    return lambda n: both.acquire(f"x{n}", cost={"rpm": 1, "tpm": 900}).release()


@usual("permit_withdraw", "one who has waited")
def _gives_up(coord: Any) -> Act:
    limit = coord.concurrency_limit("x", limit=1, fair=True)
    both = coord.admission(coord.token_bucket("rpm", rate=PLENTY), at_once=limit)

    def act(n: int) -> None:
        limit.acquire(f"x{n}")
        with contextlib.suppress(PermitTimeout):
            both.acquire(f"x{n}", timeout=0.001)

    return act


@usual("permit_renew", "one permit")
def _kept(coord: Any) -> Act:
    limit = _permits(coord)
    return lambda n: limit.acquire(f"x{n}").renew()


@usual("permit_status", "one permit")
def _who_is_at_work(coord: Any) -> Act:
    limit = _permits(coord)

    def act(n: int) -> None:
        limit.acquire(f"x{n}")
        limit.status(f"x{n}")

    return act


@usual("permit_reset", "one permit")
def _thrown_out(coord: Any) -> Act:
    limit = _permits(coord)

    def act(n: int) -> None:
        limit.acquire(f"x{n}")
        limit.reset(f"x{n}")

    return act
