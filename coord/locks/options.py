"""Options of a lock that have few values."""

from __future__ import annotations

from typing import Literal

__all__ = ["Mode", "RenewIn", "Wait"]

RenewIn = Literal["loop", "thread"]
"""Where an async lease is renewed: in a task of its event loop, or in a thread that the loop cannot block."""

Wait = Literal["signal", "poll"]
"""How a waiter learns of a release: by a message, or by asking again and again."""

Mode = Literal["plain", "fair", "several"]
"""How a lock was taken: as one, in a queue, or with others in one step."""
