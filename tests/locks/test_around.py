"""A decorated function holds the lock."""

from __future__ import annotations

from typing import Any

import pytest
import redis
import redis.asyncio

from coord import AsyncCoord, Coord, LockTimeout

pytestmark = pytest.mark.anyio


async def test_a_decorated_function_holds_the_lock(real_server: str, prefix: str) -> None:
    with Coord.connect(real_server, prefix=prefix) as hub:
        lock = hub.lock("x")

        @lock.around()
        def work(number: int) -> int:
            """Work."""
            assert lock.try_acquire() is None
            return number + 1

        assert work(41) == 42
        assert work.__doc__ == "Work."
        with pytest.raises(TypeError, match="coroutine function"):

            @lock.around()
            async def wrong() -> None: ...

    async with AsyncCoord.connect(real_server, prefix=prefix) as async_hub:
        async_lock = async_hub.lock("x")

        @async_lock.around()
        async def async_work(number: int) -> int:
            assert await async_lock.try_acquire() is None
            return number + 1

        assert await async_work(41) == 42
        with pytest.raises(TypeError, match="use Coord"):
            async_lock.around()(work)  # type: ignore[type-var]


async def test_a_decorated_function_waits_as_long_as_it_was_told_to(
    real_server: str, prefix: str, flavour: str
) -> None:
    with Coord.connect(real_server, prefix=prefix) as hub, hub.lock("x"):
        if flavour == "sync":

            @hub.lock("x").around(timeout=0)
            def work() -> None: ...

            with pytest.raises(LockTimeout):
                work()
            return
        async with AsyncCoord.connect(real_server, prefix=prefix) as async_hub:

            @async_hub.lock("x").around(timeout=0)
            async def async_work() -> None: ...

            with pytest.raises(LockTimeout):
                await async_work()


@pytest.mark.parametrize("make", [Coord, AsyncCoord])
def test_a_decorator_refuses_a_bad_timeout_before_any_call(make: Any) -> None:
    hub = make(redis.Redis() if make is Coord else redis.asyncio.Redis())
    with pytest.raises(ValueError, match="timeout must be"):
        hub.lock("x").around(timeout=-1)
