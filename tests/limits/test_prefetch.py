"""Tokens that are taken in advance."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from coord import AsyncCoord, Coord
from tests.limits.limiters import KINDS, limiter
from tests.support.hubs import answers_of, set_clock

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("kind", KINDS)
async def test_tokens_taken_in_advance_are_served_without_asking(
    coord: Any, other_coord: Any, kind: str
) -> None:
    set_clock(coord)
    answers = answers_of(coord)
    api = limiter(coord, kind, limit=25, per=3600, prefetch=9)
    decisions = [await api.try_acquire("u") for _ in range(30)]

    assert [bool(one) for one in decisions] == [True] * 25 + [False] * 5, "never more than was charged"
    assert len(answers) == 3 + 5
    assert [one.source for one in decisions[:11]] == ["redis", *["lease"] * 9, "redis"]
    assert [one.remaining for one in decisions[:25]] == list(range(24, -1, -1))
    assert (await limiter(other_coord, kind, limit=25, per=3600).status("u")).remaining == 0
    await api.refund("u", 25)
    await api.try_acquire("u")
    for wrong in (True, 1.0, -1):
        with pytest.raises((TypeError, ValueError)):
            await api.try_acquire("u", cost=wrong)


async def test_what_was_taken_and_not_used_is_given_back_on_close(
    server: str, flavour: str, prefix: str, client: Any
) -> None:
    with Coord.connect(server, prefix=prefix) as looking:
        window = looking.fixed_window("api", limit=100, per=60)
        if flavour == "sync":
            with Coord.connect(server, prefix=prefix) as hub:
                assert hub.fixed_window("api", limit=100, per=60, prefetch=20).try_acquire("u")
                assert window.status("u").remaining == 79
        else:
            async with AsyncCoord.connect(server, prefix=prefix) as twin:
                assert await twin.fixed_window("api", limit=100, per=60, prefetch=20).try_acquire("u")
                assert window.status("u").remaining == 79

        assert window.status("u").remaining == 99
        window.reset("u")


async def test_what_was_taken_in_advance_lapses(coord: Any) -> None:
    clock = set_clock(coord)
    api = coord.fixed_window("api", limit=10, per=60, prefetch=4, deny_cache=0)
    await api.try_acquire("u")
    clock.time += 0.9
    assert (await api.try_acquire("u")).source == "lease"
    clock.time += 0.2
    assert (await api.try_acquire("u")).source == "redis"
    await api.reset("u")
    assert (await api.try_acquire("u")).source == "redis", "a reset forgets what was taken too"


def test_threads_that_share_what_was_taken_never_serve_it_twice(real_server: str, prefix: str) -> None:
    admitted: list[bool] = []
    with Coord.connect(real_server, prefix=prefix) as hub:
        set_clock(hub)
        api = hub.fixed_window("api", limit=200, per=3600, prefetch=7, deny_cache=0)

        def work() -> None:
            admitted.extend(bool(api.try_acquire("u")) for _ in range(60))

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        while api.try_acquire("u"):  # what is left of what was taken in advance
            admitted.append(True)
        api.reset("u")

    assert admitted.count(True) == 200
