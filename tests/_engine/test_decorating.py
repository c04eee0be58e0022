"""What every room's decorator takes and refuses."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import pytest

from coord import AsyncCoord, Coord

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

pytestmark = pytest.mark.anyio

ROOMS = ["lock", "locks", "limiter", "limits", "concurrency limit", "admission"]


def decorator_of(hub: Any, room: str) -> Callable[[Any], Any]:
    """Make the decorator of a room; each call of what it decorates takes all there is."""
    a, b = hub.token_bucket("a", "1/hour"), hub.token_bucket("b", "1/hour")
    seats = hub.concurrency_limit("seats", limit=1, fair=True)
    decorators: dict[str, Callable[[], Callable[[Any], Any]]] = {
        "lock": lambda: hub.lock("a").around(timeout=0),
        "locks": lambda: hub.locks("a", "b").around(timeout=0),
        "limiter": lambda: a.around("key", timeout=0),
        "limits": lambda: hub.limits(a, b).around("key", timeout=0),
        "concurrency limit": lambda: seats.around("key", timeout=0),
        "admission": lambda: hub.admission(a, b, at_once=seats).around("key", timeout=0),
    }
    return decorators[room]()


async def taken(hub: Any, room: str) -> bool:
    """Whether a room's decorator holds, or has paid, something now."""
    if room in ("lock", "locks"):
        found = hub.lock("a").status()
        return bool((await found if isinstance(hub, AsyncCoord) else found).held)
    if room in ("limiter", "limits"):
        found = hub.token_bucket("a", "1/hour").status("key")
        return bool((await found if isinstance(hub, AsyncCoord) else found).remaining == 0)
    found = hub.concurrency_limit("seats", limit=1, fair=True).status("key")
    return bool((await found if isinstance(hub, AsyncCoord) else found).used == 1)


def rows() -> Iterator[int]:
    yield 1


async def pages() -> AsyncIterator[int]:
    yield 1


class Rows:
    def __call__(self) -> Iterator[int]:
        yield 1


class Pages:
    async def __call__(self) -> AsyncIterator[int]:
        yield 1


@pytest.mark.parametrize("room", ROOMS)
@pytest.mark.parametrize("hub_class", [Coord, AsyncCoord])
async def test_generators_are_refused_and_told_what_to_write(hub_class: Any, room: str) -> None:
    hub = hub_class.connect("memory://")
    for function in (rows, pages, Rows(), Pages(), functools.partial(rows), staticmethod(pages)):
        with pytest.raises(TypeError, match=r"generator function.*with block"):
            decorator_of(hub, room)(function)
    for nothing in (None, "work", 3):
        with pytest.raises(TypeError, match="cannot be called"):
            decorator_of(hub, room)(nothing)
    if hub_class is AsyncCoord:
        await hub.close()
    else:
        hub.close()


@pytest.mark.parametrize("room", ROOMS)
async def test_an_object_that_is_called_like_a_function_is_held_around(room: str) -> None:
    class Work:
        def __init__(self, hub: Coord) -> None:
            self.hub = hub

        async def seen(self) -> bool:
            return await taken(self.hub, room)

        def __call__(self) -> bool:
            with pytest.raises(StopIteration) as stopped:
                self.seen().send(None)
            return bool(stopped.value.value)

    with Coord.connect("memory://") as hub:
        assert decorator_of(hub, room)(Work(hub))() is True


@pytest.mark.parametrize("room", ROOMS)
async def test_an_object_whose_call_is_a_coroutine_is_awaited_inside(room: str) -> None:
    class Work:
        async def __call__(self) -> bool:
            return await taken(hub, room)

    async with AsyncCoord.connect("memory://") as hub:
        assert await decorator_of(hub, room)(Work())() is True
        assert await taken(hub, room) is (room in ("limiter", "limits")), "what is held is let go of"
        with Coord.connect("memory://") as other, pytest.raises(TypeError, match="use AsyncCoord"):
            decorator_of(other, room)(Work())
        with pytest.raises(TypeError, match="use Coord"):
            decorator_of(hub, room)(print)


@pytest.mark.parametrize("room", ROOMS)
async def test_what_turns_out_to_run_later_is_refused_when_it_is_called(room: str) -> None:
    async def work(_: int) -> None: ...

    async def made() -> Iterator[int]:
        return rows()

    with (
        Coord.connect("memory://") as hub,
        pytest.raises(TypeError, match=r"returned a coroutine.*with block"),
    ):
        decorator_of(hub, room)(lambda: work(1))()
    for later in (rows, pages):
        with Coord.connect("memory://") as hub, pytest.raises(TypeError, match="returned a generator"):
            decorator_of(hub, room)(lambda later=later: later())()
    async with AsyncCoord.connect("memory://") as async_hub:
        with pytest.raises(TypeError, match="returned a generator"):
            await decorator_of(async_hub, room)(made)()


@pytest.mark.parametrize("room", ROOMS[2:])
@pytest.mark.parametrize("hub_class", [Coord, AsyncCoord])
def test_a_key_that_is_neither_a_text_nor_a_function_is_refused_before_any_call(
    hub_class: Any, room: str
) -> None:
    hub = hub_class.connect("memory://")
    a = hub.token_bucket("a", "1/hour")
    seats = hub.concurrency_limit("seats", limit=1, fair=True)
    makers = {
        "limiter": a,
        "limits": hub.limits(a),
        "concurrency limit": seats,
        "admission": hub.admission(a, at_once=seats),
    }
    with pytest.raises(TypeError, match="key must be a str, or a function"):
        makers[room].around(7)(lambda: None)
