"""Functions that hold a lock around each call of them."""

from __future__ import annotations

import inspect
from functools import wraps
from typing import TYPE_CHECKING, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from contextlib import AbstractAsyncContextManager, AbstractContextManager

__all__ = ["held_around", "held_around_coroutine"]

F = TypeVar("F", bound="Callable[..., object]")
C = TypeVar("C", bound="Callable[..., Coroutine[object, object, object]]")


def held_around(function: F, hold: Callable[[], AbstractContextManager[object]]) -> F:
    """Decorate a function that blocks."""
    if inspect.iscoroutinefunction(function):
        raise TypeError(f"a sync lock cannot hold around {function!r}, a coroutine function; use AsyncCoord")

    @wraps(function)
    def held(*args: object, **kwargs: object) -> object:
        with hold():
            return function(*args, **kwargs)

    return cast("F", held)


def held_around_coroutine(function: C, hold: Callable[[], AbstractAsyncContextManager[object]]) -> C:
    """Decorate a coroutine function."""
    if not inspect.iscoroutinefunction(function):
        raise TypeError(f"an async lock decorates coroutine functions, and {function!r} is none; use Coord")

    @wraps(function)
    async def held(*args: object, **kwargs: object) -> object:
        async with hold():
            return await function(*args, **kwargs)

    return cast("C", held)
