"""The clock by which leases are counted."""

from __future__ import annotations

import time

import pytest

from coord._engine.uptime import uptime


def test_the_clock_counts_the_time_in_which_the_machine_is_suspended(monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(time, "CLOCK_BOOTTIME"):
        pytest.skip("this system has no such clock")
    monkeypatch.setattr(time, "clock_gettime", lambda clock: 7.5 if clock == time.CLOCK_BOOTTIME else -1.0)

    assert uptime() == 7.5
