"""What keeps a sync class the twin of its async flow, and says where it is not."""

from __future__ import annotations

from functools import wraps
from types import FunctionType
from typing import TYPE_CHECKING, NoReturn, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["async_only", "no_block", "twin_of"]

C = TypeVar("C", bound=type)
P = ParamSpec("P")
R = TypeVar("R")


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


def no_block(instead: str) -> Callable[[C], C]:
    """Have a class of things that are had already refuse a ``with`` block, and say what makes one.

    Only when it runs: a type checker finds it out by itself.
    """

    def refuse(self: object, *_: object) -> NoReturn:
        raise TypeError(f"{type(self).__name__} is no block: it is had already; write {instead}")

    def dress(plain: C) -> C:
        kind = "a" if plain.__name__.startswith("Async") else ""
        for name in (f"__{kind}enter__", f"__{kind}exit__"):
            setattr(plain, name, refuse)
        return plain

    return dress


def async_only(**instead: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Refuse the options that the async twin alone can honour, and say of each what to do instead."""

    def refuse(function: Callable[P, R]) -> Callable[P, R]:
        called = function.__qualname__.removesuffix(".__init__")

        @wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            for name in instead.keys() & kwargs.keys():
                raise TypeError(f"{called}() takes no {name}=: {instead[name]}")
            return function(*args, **kwargs)

        return checked

    return refuse
