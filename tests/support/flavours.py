"""Lets one test body, written with ``await``, run on a sync object as well.

``awaitable(Coord(...))`` looks like an ``AsyncCoord``: exactly the methods that are coroutines on the
async twin are awaited, and whatever else the sync object hands out is wrapped the same way.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from typing import TYPE_CHECKING, Any, Self

import pytest

import coord

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

TWINS = {
    getattr(coord, name.removeprefix("Async")): getattr(coord, name)
    for name in coord.__all__
    if name.startswith("Async")
}
"""Every sync class and its async twin."""


def awaitable(thing: Any) -> Any:
    """Wrap a sync object of coord; give back anything else as it is."""
    return _Awaitable(thing, TWINS[type(thing)]) if type(thing) in TWINS else thing


@contextlib.contextmanager
def out_of_loop() -> Iterator[None]:
    """Let a block run as if no event loop ran in this thread: a sync object refuses to wait in one."""
    loop = asyncio.get_running_loop()
    asyncio._set_running_loop(None)
    try:
        yield
    finally:
        asyncio._set_running_loop(loop)


class _Awaitable:
    def __init__(self, inner: Any, twin: type) -> None:
        self._inner = inner
        self._twin = twin

    def __repr__(self) -> str:
        return repr(self._inner)

    def __bool__(self) -> bool:
        return bool(self._inner)

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._inner, name)
        if not callable(member) or name.startswith("_"):
            return awaitable(member)
        if inspect.iscoroutinefunction(getattr(self._twin, name)):
            return _coroutine(member)
        return lambda *args, **kwargs: awaitable(member(*map(bare, args), **_bare_values(kwargs)))

    def __and__(self, other: Self) -> Any:
        return awaitable(self._inner & bare(other))

    def __or__(self, other: Self) -> Any:
        return awaitable(self._inner | bare(other))

    def __xor__(self, other: Self) -> Any:
        return awaitable(self._inner ^ bare(other))

    def __sub__(self, other: Self) -> Any:
        return awaitable(self._inner - bare(other))

    async def __aiter__(self) -> AsyncIterator[Any]:
        for one in self._inner:
            yield one

    async def __aenter__(self) -> Any:
        with out_of_loop():
            entered = self._inner.__enter__()
        return self if entered is self._inner else awaitable(entered)

    async def __aexit__(self, *details: object) -> Any:
        with out_of_loop():
            return self._inner.__exit__(*details)


def _coroutine(member: Callable[..., Any]) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        with out_of_loop():
            return awaitable(member(*map(bare, args), **_bare_values(kwargs)))

    return call


def bare(thing: Any) -> Any:
    """Unwrap what ``awaitable`` wrapped, also inside of a list, a tuple or a dictionary."""
    if isinstance(thing, _Awaitable):
        return thing._inner
    if isinstance(thing, list | tuple):
        return type(thing)(map(bare, thing))
    return _bare_values(thing) if isinstance(thing, dict) else thing


def _bare_values(things: dict[str, Any]) -> dict[str, Any]:
    return {name: bare(thing) for name, thing in things.items()}


async def assert_refused_unasked(kind: Any, what: Callable[[Any], Any], error: type[Exception]) -> None:
    """Hold that something is refused by a ``Coord`` whose server does not exist."""
    hub = kind.connect("redis://localhost:1")  # where nobody answers
    with pytest.raises(error):
        refused = what(hub)
        if kind is coord.AsyncCoord:
            await refused
    closed = hub.close()
    if closed is not None:
        await closed
