"""Waiting for a turn: booked on the server, first come first served, and undone when it is given up."""

from __future__ import annotations

import asyncio
import itertools
import threading
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import redis
import time_machine

from coord import AsyncCoord, Coord, RateLimited
from tests.limits.limiters import KINDS, dump, limiter, same
from tests.support.hubs import answers_of, client_of, intercepted, naps_of, sleep_raises

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("kind", KINDS)
async def test_a_turn_is_waited_for(coord: Any, kind: str) -> None:
    naps = naps_of(coord)
    api = limiter(coord, kind, limit=1, per=60)
    first = await api.acquire("u")
    second = await api.acquire("u")

    assert (first.decision.delay, first.key) == (0, "u")
    assert naps == [second.decision.delay]
    assert naps[0] > 30
    assert (await api.try_acquire("u")).allowed is False


@pytest.mark.parametrize("kind", KINDS)
async def test_a_turn_that_comes_too_late_is_not_booked(
    coord: Any, client: Any, prefix: str, kind: str
) -> None:
    api = limiter(coord, kind, limit=2)
    await api.acquire("u", cost=2, timeout=0)
    before = dump(client, prefix)
    with pytest.raises(RateLimited, match="'api' denies 'u'") as caught:
        await api.acquire("u", timeout=1)

    assert same(before, dump(client, prefix))
    assert caught.value.decision.retry_after > 1
    assert caught.value.decision.headers()["Retry-After"]
    assert caught.value.key == "u"


@pytest.mark.parametrize("kind", KINDS)
async def test_nobody_overtakes_who_waits(coord: Any, kind: str) -> None:
    """A turn is booked for a great cost; a small one would fit now, and has to stand in line."""
    naps = naps_of(coord)
    api = limiter(coord, kind, limit=4)
    await api.try_acquire("u", cost=2)
    assert (await api.try_acquire("u", cost=1)).remaining == 1
    await api.acquire("u", cost=4)
    booked = await api.try_acquire("u", cost=1)

    assert not booked
    assert booked.remaining == 0
    assert booked.retry_after > 0
    await api.acquire("u", cost=1)
    assert naps == sorted(naps)
    assert len(naps) == 2


async def test_a_thousand_waiters_are_a_thousand_commands_evenly_spaced_in_order_of_arrival(
    real_server: str, prefix: str
) -> None:
    with redis.Redis.from_url(real_server) as client:
        async with AsyncCoord.connect(real_server, prefix=prefix) as hub:
            answers = answers_of(hub)
            api = hub.token_bucket("api", rate=1000, burst=1)
            await api.acquire("u")
            client.config_resetstat()
            async with anyio.create_task_group() as group:
                for _ in range(1000):
                    group.start_soon(api.acquire, "u")
            calls = client.info("commandstats")["cmdstat_evalsha"]["calls"]

    assert calls == 1000
    by_arrival = sorted(answers, key=lambda answer: (answer.now, answer.wait))
    turns = [answer.moment for answer in by_arrival]
    assert turns == sorted(turns)
    gaps = [later - earlier for earlier, later in itertools.pairwise(turns)]
    assert min(gaps) >= 1000
    in_line = [gap for gap, answer in zip(gaps, by_arrival[1:], strict=True) if answer.wait]
    assert set(in_line) <= {1000}, "evenly spaced"


async def test_both_flavours_and_threads_wait_in_one_line(real_server: str, prefix: str) -> None:
    went: list[tuple[int, int]] = []
    with Coord.connect(real_server, prefix=prefix) as hub:
        async with AsyncCoord.connect(real_server, prefix=prefix) as twin:
            mine, theirs = answers_of(hub), answers_of(twin)
            sync, suspending = hub.token_bucket("b", "200/s burst 1"), twin.token_bucket("b", "200/s burst 1")
            threads = [threading.Thread(target=sync.acquire, args=("u",)) for _ in range(10)]
            for thread in threads:
                thread.start()
            async with anyio.create_task_group() as group:
                for _ in range(10):
                    group.start_soon(suspending.acquire, "u")
            for thread in threads:
                await anyio.to_thread.run_sync(thread.join)
            await suspending.reset("u")
            went = sorted(
                (answer.now, answer.moment) for answer in [*mine, *theirs] if hasattr(answer, "now")
            )

    assert len(went) == 20
    turns = [turn for _, turn in went]
    assert turns == sorted(turns)
    assert len(set(turns)) == 20


@pytest.mark.parametrize("kind", KINDS)
async def test_a_cancelled_waiter_gives_its_turn_back_when_it_is_the_last(
    server: str, client: Any, prefix: str, no_leaks: None, kind: str
) -> None:
    async with AsyncCoord.connect(server, prefix=prefix) as hub:
        api = limiter(hub, kind, limit=2)
        await api.try_acquire("u", cost=1)
        before = await api.status("u")
        async with anyio.create_task_group() as group:
            seen = answers_of(hub)
            group.start_soon(lambda: api.acquire("u", cost=2))
            while not seen:
                await anyio.sleep(0.001)
            group.cancel_scope.cancel()
        after = await api.status("u")
        assert (after.remaining, after.reset_after) == (1, pytest.approx(before.reset_after, abs=1))
        assert await api.try_acquire("u", cost=1)


@pytest.mark.parametrize("kind", KINDS)
async def test_who_gives_up_before_the_answer_is_there_gives_the_turn_back_too(
    server: str, prefix: str, no_leaks: None, kind: str
) -> None:
    async with AsyncCoord.connect(server, prefix=prefix) as hub:
        api = limiter(hub, kind, limit=1)
        await api.try_acquire("u")
        alone = (await api.status("u", cost=1)).retry_after
        sent = asyncio.Event()

        async def answer_late(call: Any, send: Callable[..., Awaitable[Any]]) -> Any:
            answer = await send()
            sent.set()
            await asyncio.sleep(0.01)
            return answer

        with intercepted(hub, answer_late):
            task = asyncio.create_task(api.acquire("u"))
            await sent.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        assert (await api.status("u", cost=1)).retry_after <= alone


@pytest.mark.parametrize("kind", KINDS)
async def test_a_cancelled_waiter_never_harms_one_behind_it(
    server: str, client: Any, prefix: str, no_leaks: None, kind: str
) -> None:
    async with AsyncCoord.connect(server, prefix=prefix) as hub:
        answers = answers_of(hub)
        api = limiter(hub, kind, limit=1)
        await api.try_acquire("u")
        first = asyncio.create_task(api.acquire("u"))
        while len(answers) < 2:
            await anyio.sleep(0.001)
        second = asyncio.create_task(api.acquire("u"))
        while len(answers) < 3:
            await anyio.sleep(0.001)
        before = dump(client, prefix)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert same(before, dump(client, prefix)), "the turn behind it stays where it was"

        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        assert not same(before, dump(client, prefix)), "the last gives its turn back"


@pytest.mark.parametrize("kind", KINDS)
def test_giving_up_leaves_things_as_though_nobody_had_waited(kind: str) -> None:
    """Byte for byte what a limiter says that nobody waited for, at any later time."""
    with time_machine.travel(1_700_000_000, tick=False) as clock, Coord.connect("memory://") as hub:
        sleep_raises(hub, KeyboardInterrupt)
        tried, alone = (limiter(hub, kind, limit=5, per=10, name=name) for name in ("tried", "alone"))
        for one in (tried, alone):
            one.try_acquire("u", cost=3)
        clock.shift(1)
        for cost in (3, 5):
            with pytest.raises(KeyboardInterrupt):
                tried.acquire("u", cost=cost)
        for _ in range(30):
            mine, theirs = tried.status("u", cost=2), alone.status("u", cost=2)
            assert (mine.remaining, mine.retry_after, mine.reset_after) == (
                theirs.remaining, theirs.retry_after, theirs.reset_after,
            )  # fmt: skip
            clock.shift(0.7)


def test_a_fresh_key_that_was_only_waited_for_is_gone() -> None:
    with Coord.connect("memory://waited") as hub, client_of("memory://waited") as client:
        sleep_raises(hub, KeyboardInterrupt)
        api = hub.token_bucket("api", "1/hour")
        api.try_acquire("u")
        with pytest.raises(KeyboardInterrupt):
            api.acquire("u")
        api.refund("u")

        assert list(client.keys()) == []


async def test_a_line_longer_than_can_be_counted_is_a_denial(coord: Any) -> None:
    naps_of(coord)
    bucket = coord.token_bucket("b", rate=1, per=86_400, burst=20_000)
    taken = 0
    with pytest.raises(RateLimited):
        while True:
            await bucket.acquire("u", cost=20_000)
            taken += 1
    assert taken == 1, "of a line of twenty thousand days"
    assert not await bucket.try_acquire("u")
    await bucket.reset("u")


@pytest.mark.parametrize("timeout", [-1, float("nan"), True, "1"])
def test_a_bad_timeout_is_refused_before_anything_is_sent(timeout: Any) -> None:
    with Coord.connect("redis://127.0.0.1:1") as hub, pytest.raises((TypeError, ValueError), match="timeout"):
        hub.token_bucket("b", rate=1).acquire("u", timeout=timeout)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_sync_limiter_does_not_wait_in_a_running_event_loop(
    server: str, client: Any, prefix: str, no_leaks: None, kind: str
) -> None:
    with Coord.connect(server, prefix=prefix) as hub:
        api = limiter(hub, kind, limit=2)
        assert api.acquire("u", cost=2).decision, "what is free needs no wait"
        before = dump(client, prefix)
        with pytest.raises(RuntimeError, match="use AsyncCoord"):
            api.acquire("u")
        with pytest.raises(RuntimeError, match="use AsyncCoord"), hub.limits(api).charge("u", timeout=300):
            pass
        with pytest.raises(RateLimited):
            api.acquire("u", timeout=0.001)
        with pytest.raises(RateLimited):
            api.acquire("u", timeout=0)

        assert same(before, dump(client, prefix)), "no turn was booked for nobody"
        await anyio.to_thread.run_sync(lambda: limiter(hub, kind, limit=1, per=0.01, name="x").acquire("u"))


async def test_a_sync_limiter_that_falls_back_does_not_wait_there_either() -> None:
    with Coord.connect("unix:///no/such/server.sock") as hub:
        api = hub.token_bucket("b", rate=1, per=5, on_error="local")
        assert api.acquire("u").decision.source == "fallback"
        with pytest.raises(RuntimeError, match="use AsyncCoord"):
            api.acquire("u")
