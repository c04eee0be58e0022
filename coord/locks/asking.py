"""One acquisition of a lock that is under way."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

__all__ = ["Asking"]


@dataclass(slots=True)
class Asking:
    """One acquisition that is under way.

    Attributes:
        token: Its token; the same for every attempt.
        waiter: As whom it stands in the queue; empty if it does not.
        held_for: What the last refusal said of the holder's lease.
        refused_by: Which of several locks refused it last: how many come before it.
        doubtful: Whether a copy of a request may still be on its way, so that the token has to be ended.
    """

    token: str = field(default_factory=lambda: secrets.token_hex(16))
    waiter: str = ""
    held_for: float = 0.0
    refused_by: int = 0
    doubtful: bool = False

    def doubt(self) -> None:
        """Note that a copy may be on its way."""
        self.doubtful = True
