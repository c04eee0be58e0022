"""What keeps a sync class the twin of its async flow."""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["twin_of"]

C = TypeVar("C", bound=type)


def twin_of(flow: type) -> Callable[[C], C]:
    """Give a sync class the docstrings of its async twin, so that each is written once."""

    def dress(face: C) -> C:
        for name, member in vars(face).items():
            target: object = getattr(member, "__func__", member)  # of a class method
            if isinstance(target, FunctionType | property) and not target.__doc__:
                target.__doc__ = getattr(getattr(flow, name, None), "__doc__", None)
        face.__doc__ = face.__doc__ or flow.__doc__
        return face

    return dress
