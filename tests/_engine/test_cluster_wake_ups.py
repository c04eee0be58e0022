"""Waiters on a cluster: woken where their lock is, over one connection a node, wherever it moves."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import pytest
import redis

from coord import AsyncCoord, Coord
from coord._engine import wakeups
from coord._engine.urls import open_sync
from tests.support import servers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.anyio

BINARIES = ("valkey9", "redis6", "redis7", "redis8")


@pytest.fixture(scope="module")
def clusters(request: pytest.FixtureRequest, running_servers: Callable[[str], str]) -> Iterator[Any]:
    """Start a cluster of each kind of server once, when first asked for."""
    chosen = request.config.getoption("--servers")
    urls: dict[str, str] = {}
    with contextlib.ExitStack() as stack:

        def url_of(name: str) -> str:
            if chosen != "all" and "cluster" not in chosen:
                pytest.skip("needs --servers=all, or one that names cluster")
            if name == "valkey9":
                return running_servers("cluster")
            binary = servers.BINARIES[name]()
            if chosen != "all" or binary is None:
                pytest.skip("needs --servers=all, and such a server")
            if name not in urls:
                urls[name] = stack.enter_context(servers.cluster(binary))
            return urls[name]

        yield url_of


@pytest.fixture(params=BINARIES)
def any_cluster(request: pytest.FixtureRequest, clusters: Callable[[str], str]) -> str:
    return clusters(request.param)


@pytest.fixture
def cluster_url(clusters: Callable[[str], str]) -> str:
    return clusters("valkey9")


@pytest.fixture
def no_fallback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks again unasked within a test: who gets the lock has been woken."""
    monkeypatch.setattr(wakeups, "FALLBACK", 600.0)


@contextlib.contextmanager
def nodes_of(url: str) -> Iterator[list[Any]]:
    """A client for each node of a cluster."""
    with cluster_client(url) as behind:
        yield [behind.get_redis_connection(node) for node in behind.get_primaries()]


@contextlib.contextmanager
def cluster_client(url: str) -> Iterator[Any]:
    """A client of a cluster, whose own close() leaves the nodes' connections to the garbage collector."""
    with open_sync(url).client as behind:
        yield behind
        behind.disconnect_connection_pools()


def called(nodes: list[Any], *commands: str) -> int:
    """How often any node was asked to do any of these."""
    stats = [node.info("commandstats") for node in nodes]
    return sum(one.get(f"cmdstat_{name}", {"calls": 0})["calls"] for one in stats for name in commands)


def listening(node: Any) -> list[Any]:
    """The connections that have subscribed to something."""
    return [one for one in node.client_list() if one["sub"] != "0" or one.get("ssub", "0") != "0"]


@contextlib.asynccontextmanager
async def waiter(url: str, prefix: str, flavour: str) -> Any:
    """What waits for a lock beside the test, in a task or in a thread; gives the lease's fence."""
    if flavour == "async":
        async with AsyncCoord.connect(url, prefix=prefix) as hub:

            async def in_task(name: str, **options: Any) -> int:
                lease = await hub.lock(name, **options).acquire(timeout=20)
                await lease.release()
                return lease.fence

            yield in_task
        return
    with Coord.connect(url, prefix=prefix) as blocking:

        def wait(name: str, options: dict[str, Any]) -> int:
            lease = blocking.lock(name, **options).acquire(timeout=20)
            lease.release()
            return lease.fence

        async def in_thread(name: str, **options: Any) -> int:
            return await anyio.to_thread.run_sync(wait, name, options)

        yield in_thread


async def until(question: Callable[[], bool]) -> None:
    with anyio.fail_after(20):
        while not question():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("fair", [False, True])
async def test_a_waiter_on_a_cluster_is_woken_and_does_not_poll(
    any_cluster: str, prefix: str, flavour: str, no_fallback: None, fair: bool
) -> None:
    with nodes_of(any_cluster) as nodes, Coord.connect(any_cluster, prefix=prefix) as holder:
        async with waiter(any_cluster, prefix, flavour) as acquire:
            lease = holder.lock("x", ttl=60, fair=fair).acquire()
            subscribed = called(nodes, "subscribe", "ssubscribe")
            before = called(nodes, "evalsha", "eval")
            waiting = asyncio.create_task(acquire("x", fair=fair))
            await until(lambda: called(nodes, "subscribe", "ssubscribe") > subscribed)
            await asyncio.sleep(0.3)
            attempts = called(nodes, "evalsha", "eval") - before
            published = called(nodes, "publish", "spublish")
            lease.release()

            assert await waiting > lease.fence
            assert attempts <= 4, (
                "the first, twice if a script was not cached, and one when it was subscribed"
            )
            assert called(nodes, "publish", "spublish") > published


async def test_who_releases_tells_the_shard_alone_where_the_server_can(
    cluster_url: str, prefix: str, flavour: str
) -> None:
    with nodes_of(cluster_url) as nodes, Coord.connect(cluster_url, prefix=prefix) as holder:
        async with waiter(cluster_url, prefix, flavour) as acquire:
            lease = holder.lock("x").acquire()
            waiting = asyncio.create_task(acquire("x"))
            await until(lambda: any(map(listening, nodes)))
            plain = called(nodes, "publish", "subscribe")
            lease.release()
            await waiting

            assert called(nodes, "publish", "subscribe") == plain


@pytest.mark.parametrize("fair", [False, True])
async def test_any_number_of_waiters_share_one_connection_a_node(
    any_cluster: str, prefix: str, flavour: str, fair: bool
) -> None:
    names = [f"n{number}" for number in range(12)]
    with nodes_of(any_cluster) as nodes, Coord.connect(any_cluster, prefix=prefix) as holder:
        leases = [holder.lock(name, fair=fair).acquire() for name in names]
        async with waiter(any_cluster, prefix, flavour) as acquire:
            waiting = [asyncio.create_task(acquire(name, fair=fair)) for name in 3 * names]

            def channels() -> int:
                rows = [one for node in nodes for one in listening(node)]
                return sum(int(row["sub"]) + int(row.get("ssub", 0)) for row in rows)

            await until(lambda: channels() == len(names))
            # What an earlier listener still closes goes; what this one had too many would stay.
            await until(lambda: [len(listening(node)) for node in nodes] == [1, 1, 1])
            for lease in leases:
                lease.release()
            fences = await asyncio.gather(*waiting)
            for number in range(len(names)):  # those of two names may well be the same
                assert len(set(fences[number :: len(names)])) == 3


async def test_losing_the_connection_loses_no_waiter(
    any_cluster: str, prefix: str, flavour: str, no_fallback: None
) -> None:
    with nodes_of(any_cluster) as nodes, Coord.connect(any_cluster, prefix=prefix) as holder:
        async with waiter(any_cluster, prefix, flavour) as acquire:
            lease = holder.lock("x", ttl=60).acquire()
            waiting = asyncio.create_task(acquire("x"))
            await until(lambda: any(map(listening, nodes)))
            for node in nodes:
                node.client_kill_filter(_type="pubsub")
            await until(lambda: not any(map(listening, nodes)))
            lease.release()

            assert await waiting > lease.fence


@pytest.mark.parametrize("moves", [1, 2])
async def test_a_waiter_follows_a_slot_to_another_node(
    any_cluster: str, prefix: str, flavour: str, no_fallback: None, moves: int
) -> None:
    """There, and in the second turn back; or there and back before anybody has looked."""
    with cluster_client(any_cluster) as behind, Coord.connect(any_cluster, prefix=prefix) as holder:
        key = f"{prefix}:lock:{{wanderer}}"
        async with waiter(any_cluster, prefix, flavour) as acquire:
            for _ in range(2):
                lease = holder.lock("wanderer", ttl=60).acquire()
                waiting = [asyncio.create_task(acquire("wanderer")) for _ in range(3)]
                await until(lambda: behind.zcard(f"{key}:waiting") == 3)
                for _ in range(moves):
                    move(behind, key)
                await asyncio.sleep(0.3)
                lease.release()

                with anyio.fail_after(5):
                    fences = await asyncio.gather(*waiting)
                assert min(fences) > lease.fence


def move(behind: Any, key: str) -> None:
    """Move the slot of a key, and all that is in it, to another node."""
    behind.nodes_manager.initialize()
    slot = behind.keyslot(key)
    source = behind.get_node_from_key(key)
    target = next(node for node in behind.get_primaries() if node.name != source.name)
    old, new = behind.get_redis_connection(source), behind.get_redis_connection(target)
    source_id, target_id = (one.execute_command("CLUSTER MYID") for one in (old, new))
    new.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", source_id)
    old.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", target_id)
    for one in old.execute_command("CLUSTER GETKEYSINSLOT", slot, 1000):
        old.execute_command("MIGRATE", target.host, target.port, one, 0, 5000)
    others = [behind.get_redis_connection(node) for node in behind.get_primaries()]
    for one in (new, old, *others):  # the others would hear of it soon
        one.execute_command("CLUSTER SETSLOT", slot, "NODE", target_id)


@pytest.mark.parametrize("options", [{"protocol": 3}, {"protocol": 2, "decode_responses": True}])
async def test_any_protocol_and_decoding_will_do(
    cluster_url: str, prefix: str, flavour: str, no_fallback: None, options: dict[str, Any]
) -> None:
    host, _, port = cluster_url.removeprefix("redis+cluster://").partition(":")
    with nodes_of(cluster_url) as nodes, Coord.connect(cluster_url, prefix=prefix) as holder:
        lease = holder.lock("x", ttl=60).acquire()
        kind: Any = redis.RedisCluster if flavour == "sync" else redis.asyncio.RedisCluster
        client = kind(host=host, port=int(port), **options)

        async def acquire() -> Any:
            if flavour == "async":
                return await AsyncCoord(client, prefix=prefix).lock("x").acquire(timeout=20)
            lock = Coord(client, prefix=prefix).lock("x")
            return await anyio.to_thread.run_sync(lambda: lock.acquire(timeout=20))

        waiting = asyncio.create_task(acquire())
        await until(lambda: any(map(listening, nodes)))
        await asyncio.sleep(0.1)
        lease.release()

        assert (await waiting).fence > lease.fence
        if flavour == "sync":
            client.disconnect_connection_pools()
            client.close()
        else:
            await client.aclose()


async def test_where_sharded_messages_are_not_allowed_plain_ones_will_do(
    cluster_url: str, prefix: str, flavour: str, no_fallback: None
) -> None:
    limited = cluster_url.replace("://", "://limited:secret@")
    with nodes_of(cluster_url) as nodes:
        for node in nodes:
            rights = ["on", ">secret", "~*", "&*", "+@all", "-ssubscribe", "-spublish"]
            node.execute_command("ACL SETUSER", "limited", *rights)
        with Coord.connect(limited, prefix=prefix) as holder:
            async with waiter(limited, prefix, flavour) as acquire:
                lease = holder.lock("x", ttl=60).acquire()
                waiting = asyncio.create_task(acquire("x"))
                await until(lambda: any(map(listening, nodes)))
                await asyncio.sleep(0.1)
                lease.release()

                assert await waiting > lease.fence
