"""Functions that hold or pay something around each call of them: what every room's ``around()`` makes."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial, wraps
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import TYPE_CHECKING, TypeVar, cast

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager, AbstractContextManager

__all__ = ["around", "around_coroutine", "for_key"]

F = TypeVar("F", bound=Callable[..., object])
B = TypeVar("B")


def around(function: F, kind: str, block: Callable[..., AbstractContextManager[object]]) -> F:
    """Decorate a function that blocks, or an object that is called like one.

    Args:
        function: What is called inside the block.
        kind: What decorates it, for messages: ``lock``.
        block: Makes the block of one call, given the call's arguments.

    Raises:
        TypeError: It is no function, a coroutine function, or a generator function. What turns out to
            return a coroutine or a generator raises it when it is called.
    """
    code = _code_of(function, kind)
    if inspect.iscoroutinefunction(code):
        raise TypeError(f"a sync {kind} cannot decorate {function!r}, a coroutine function; use AsyncCoord")

    @wraps(function)
    def within(*args: object, **kwargs: object) -> object:
        with block(*args, **kwargs):
            return _done(function(*args, **kwargs), function, kind)

    return cast("F", within)


def around_coroutine(function: F, kind: str, block: Callable[..., AbstractAsyncContextManager[object]]) -> F:
    """Decorate a coroutine function, or an object whose call is one; as ``around`` does."""
    code = _code_of(function, kind)
    if not inspect.iscoroutinefunction(code):
        raise TypeError(f"an async {kind} decorates coroutine functions, and {function!r} is none; use Coord")
    awaited = cast("Callable[..., CoroutineType[object, object, object]]", function)

    @wraps(function)
    async def within(*args: object, **kwargs: object) -> object:
        async with block(*args, **kwargs):
            return _done(await awaited(*args, **kwargs), function, kind)

    return cast("F", within)


def for_key(key: str | Callable[..., str], block: Callable[[str], B]) -> Callable[..., B]:
    """Make the blocks of calls whose key is always the same, or found from their arguments."""
    if isinstance(key, str):
        return lambda *_, **__: block(key)
    if not callable(key):
        raise TypeError(
            f"key must be a str, or a function of the call's arguments that returns one, "
            f"not {type(key).__name__} {key!r}"
        )
    return lambda *args, **kwargs: block(key(*args, **kwargs))


def _code_of(function: object, kind: str) -> object:
    """Find the function that says of what kind a call is.

    Raises:
        TypeError: It cannot be called, or calling it runs nothing yet.
    """
    if not callable(function):
        raise TypeError(f"a {kind} decorates functions, and {function!r} cannot be called")
    code: object = function
    while isinstance(code, partial | staticmethod):
        code = code.func if isinstance(code, partial) else code.__func__
    if not inspect.isroutine(code) and not inspect.isclass(code):
        code = type(code).__call__
    if inspect.isgeneratorfunction(code) or inspect.isasyncgenfunction(code):
        raise TypeError(_runs_later(function, kind, "is a generator function"))
    return code


def _done(result: object, function: object, kind: str) -> object:
    """Return what a call returned, unless that has yet to run: nothing would be held around it."""
    if isinstance(result, CoroutineType):
        result.close()
        raise TypeError(_runs_later(function, kind, "returned a coroutine"))
    if isinstance(result, GeneratorType | AsyncGeneratorType):
        raise TypeError(_runs_later(function, kind, "returned a generator"))
    return result


def _runs_later(function: object, kind: str, what: str) -> str:
    return (
        f"a {kind} cannot decorate {function!r}, which {what}: its body would run after the call has "
        f"returned; use a with block of the {kind} inside the function instead"
    )
