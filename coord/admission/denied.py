"""What an admission answers to those whom it does not admit."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from coord.limits.decision import Decision

__all__ = ["Denied"]


@dataclass(frozen=True, slots=True)
class Denied(Decision):
    """An admission's "no": the decision of the limit that binds. Always false, where a permit is always true.

    Its fields are those of a ``Decision``, and its ``parts`` those of the rates, in their order, and of the
    room: how long each rate would deny it, and what room there is. For room, ``retry_after`` is when to look
    again.
    """

    def __bool__(self) -> Literal[False]:
        return False

    @classmethod
    def by(cls, decision: Decision) -> Denied:
        """Make it of a decision that denies."""
        return cls(*[getattr(decision, field.name) for field in fields(decision)])
