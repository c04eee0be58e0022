"""Limits when clocks step back or are apart, and how soon to come back."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import time_machine

from coord import Coord
from tests.limits.limiters import KINDS, limiter

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("kind", KINDS)
def test_a_clock_that_steps_back_blocks_nobody_longer_than_a_full_refill(kind: str) -> None:
    full = 6 if kind == "approximate" else 3
    with time_machine.travel(1_700_000_000, tick=False) as clock, Coord.connect("memory://") as hub:
        api = limiter(hub, kind, limit=3, per=3)
        assert api.try_acquire("u", cost=3)
        clock.shift(-3600)
        denied = api.try_acquire("u", cost=3)

        assert not denied
        assert denied.retry_after == full
        clock.shift(full)
        assert api.try_acquire("u", cost=3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_clock_that_steps_back_forgives_nothing_either(kind: str) -> None:
    with time_machine.travel(1_700_000_000, tick=False) as clock, Coord.connect("memory://") as hub:
        api = limiter(hub, kind, limit=4, per=4)
        api.try_acquire("u", cost=2)
        clock.shift(1)
        api.try_acquire("u", cost=2)
        left = api.status("u").remaining
        clock.shift(-3600)

        assert api.status("u").remaining == left
        assert api.try_acquire("u", cost=4).allowed is False
        clock.shift(0.5)
        assert api.status("u").remaining == left


def test_two_clients_whose_clocks_are_a_minute_apart_admit_exactly_the_limit(
    real_server: str, prefix: str
) -> None:
    """Each in a process of its own, whose clock is set while it runs."""
    program = (
        "import sys, time_machine; from coord import Coord\n"
        "_, url, prefix, at = sys.argv\n"
        "with time_machine.travel(float(at)), Coord.connect(url, prefix=prefix) as hub:\n"
        "  for kind in ('token_bucket', 'sliding_window', 'fixed_window'):\n"
        "    api = getattr(hub, kind)(kind, '10/hour', deny_cache=0)\n"
        "    print(sum(bool(api.try_acquire('u')) for _ in range(9)))\n"
    )
    import time

    spent = [
        subprocess.run(
            [sys.executable, "-c", program, real_server, prefix, str(time.time() + skew)],
            capture_output=True, text=True, check=True,
        ).stdout.split()
        for skew in (-30, 30)
    ]  # fmt: skip

    assert spent == [["9"] * 3, ["1"] * 3]


@pytest.mark.parametrize("kind", KINDS)
async def test_retry_after_is_sufficient(coord: Any, kind: str) -> None:
    import anyio

    api = limiter(coord, kind, limit=1, per=0.05)
    while denied := await api.try_acquire("u"):
        pass  # the machine was slow

    await anyio.sleep(denied.retry_after)
    assert await api.try_acquire("u")


@pytest.mark.parametrize("kind", KINDS)
def test_retry_after_is_minimal(kind: str) -> None:
    with time_machine.travel(1_700_000_000, tick=False) as clock, Coord.connect("memory://") as hub:
        api = limiter(hub, kind, limit=3, per=1)
        for _ in range(3):
            api.try_acquire("u")
            clock.shift(0.1)
        denied = api.try_acquire("u", cost=2)
        clock.shift(denied.retry_after - 0.000_002)

        assert not api.try_acquire("u", cost=2)
        clock.shift(0.000_003)
        assert api.try_acquire("u", cost=2)
