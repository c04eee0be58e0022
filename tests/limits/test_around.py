"""Functions and blocks that are limited."""

from __future__ import annotations

from typing import Any

import pytest

from coord import AsyncCoord, Coord, RateLimited
from tests.limits.limiters import limiter

pytestmark = pytest.mark.anyio


def test_a_function_is_limited_by_its_arguments() -> None:
    with Coord.connect("memory://") as hub:
        api = hub.token_bucket("api", "2/hour")

        @api.around(lambda user, *, loud=False: f"user:{user}", timeout=0)
        def greet(user: str, *, loud: bool = False) -> str:
            """Greet."""
            return user.upper() if loud else user

        assert [greet("ann"), greet("ann", loud=True)] == ["ann", "ANN"]
        with pytest.raises(RateLimited, match="user:ann"):
            greet("ann")
        assert greet("bob") == "bob"
        assert (greet.__name__, greet.__doc__) == ("greet", "Greet.")

        both = hub.limits(api, hub.token_bucket("tpm", "9/hour"))

        @both.around("all", cost={"api": 1, "tpm": 5}, timeout=0)
        def costly() -> int:
            return 5

        assert costly() == 5
        with pytest.raises(RateLimited, match="'tpm'"):
            costly()


async def test_a_coroutine_function_is_limited() -> None:
    async with AsyncCoord.connect("memory://") as hub:
        api = hub.token_bucket("api", "2/hour")

        @api.around("all", cost=2, timeout=0)
        async def work(x: int) -> int:
            return x + 1

        assert await work(1) == 2
        with pytest.raises(RateLimited):
            await work(1)

        with pytest.raises(TypeError, match="use Coord"):
            api.around("x")(lambda: None)
        with Coord.connect("memory://") as sync, pytest.raises(TypeError, match="use AsyncCoord"):
            sync.token_bucket("b", "1/s").around("x")(work)


async def test_a_block_has_its_charge(coord: Any) -> None:
    api = limiter(coord, "bucket", limit=5)
    async with api.charge("u", cost=3) as charge:
        assert charge.decision.remaining == 2
        await charge.settle(1)
    assert (await api.status("u")).remaining == 4
    with pytest.raises(RateLimited):
        async with api.charge("u", cost=5, timeout=0):
            pytest.fail("the block must not run")
    block = api.charge("u")
    async with block:
        pass
    with pytest.raises(RuntimeError, match="used before"):
        async with block:
            pass


async def test_a_block_gives_back_after_the_exceptions_named(coord: Any) -> None:
    api = limiter(coord, "bucket", limit=5)
    with pytest.raises(ConnectionError):
        async with api.charge("u", cost=3, refund_on=(ConnectionError,)):
            raise ConnectionResetError
    assert (await api.status("u")).remaining == 5
    with pytest.raises(ValueError, match="mine"):
        async with api.charge("u", cost=3, refund_on=(ConnectionError,)):
            raise ValueError("mine")
    assert (await api.status("u")).remaining == 2
    both = coord.limits(api, limiter(coord, "fixed", limit=9, name="other"))
    with pytest.raises(ConnectionError):
        async with both.charge("u", cost={"api": 1, "other": 4}, refund_on=(ConnectionError,)):
            raise ConnectionError
    assert [part.remaining for part in (await both.status("u")).parts] == [2, 9]
