"""A clock that only moves forward, and that also counts the time in which the machine is suspended.

``time.monotonic()`` stands still on Linux while a laptop sleeps or a virtual machine is paused by its
own kernel; the leases on the server do not.
"""

from __future__ import annotations

import time

__all__ = ["uptime"]

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def uptime() -> float:
    """Return seconds since some moment before the process began."""
    return time.clock_gettime(_CLOCK)
