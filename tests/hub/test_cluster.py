"""What only a cluster does: redirect."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
import redis
import redis.asyncio
import valkey.asyncio.cluster
import valkey.cluster
from redis.cluster import LoadBalancingStrategy

from coord import AsyncCoord, Coord
from tests.hub.test_hub import exercise
from tests.support import servers
from tests.support.flavours import awaitable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.anyio


@pytest.fixture
def cluster_url(running_servers: Callable[[str], str], request: pytest.FixtureRequest) -> str:
    chosen = request.config.getoption("--servers")
    if chosen != "all" and "cluster" not in chosen:
        pytest.skip("needs --servers=all, or one that names cluster")
    return running_servers("cluster")


@pytest.fixture
def behind(cluster_url: str) -> Iterator[Any]:
    client = redis.RedisCluster.from_url(cluster_url.replace("redis+cluster", "redis"))
    yield client
    client.close()


async def test_a_slot_on_the_move_is_followed(
    cluster_url: str, behind: Any, flavour: str, prefix: str
) -> None:
    """ASK while the slot moves and MOVED after: every charge lands, and lands once."""
    key = f"{prefix}:bucket:{{traveller}}:b"
    slot = behind.keyslot(key)
    source = behind.get_node_from_key(key)
    target = next(node for node in behind.get_primaries() if node.name != source.name)
    ids = {
        name: behind.execute_command("CLUSTER MYID", target_nodes=node)
        for name, node in (("source", source), ("target", target))
    }

    def set_slot(node: Any, *words: Any) -> None:
        behind.get_redis_connection(node).execute_command("CLUSTER SETSLOT", slot, *words)

    make: Any = Coord if flavour == "sync" else AsyncCoord
    hub = awaitable(make.connect(cluster_url, prefix=prefix))
    bucket = hub.token_bucket("b", rate=9, per=3600)
    assert (await bucket.try_acquire("traveller")).remaining == 8

    set_slot(target, "IMPORTING", ids["source"])
    set_slot(source, "MIGRATING", ids["target"])
    host, port = target.host, target.port
    behind.get_redis_connection(source).execute_command("MIGRATE", host, port, key, 0, 5000)
    assert (await bucket.try_acquire("traveller")).remaining == 7, "ASK"

    set_slot(target, "NODE", ids["target"])
    set_slot(source, "NODE", ids["target"])
    assert (await bucket.try_acquire("traveller")).remaining == 6, "MOVED"
    assert (await bucket.status("traveller")).remaining == 6
    await bucket.reset("traveller")
    await hub.close()


async def test_keys_of_one_object_share_a_slot_and_objects_spread(
    cluster_url: str, behind: Any, prefix: str
) -> None:
    with Coord.connect(cluster_url, prefix=prefix) as hub:
        for number in range(20):
            with hub.lock(f"lock {{{number}}}"):
                pass
            hub.activity(f"a{number}", ids="text", period=["day", "week"]).mark("x")
    keys = [key.decode() for key in behind.scan_iter(f"{prefix}:*")]
    slots: dict[str, set[int]] = {}
    for key in keys:
        slots.setdefault(key.partition("}")[0], set()).add(behind.keyslot(key))
        behind.delete(key)

    assert len(slots) == 40
    assert all(len(one) == 1 for one in slots.values())
    assert len(set.union(*slots.values())) > 20


@pytest.mark.parametrize("library", ["redis", "valkey"])
async def test_cluster_clients_of_both_libraries_may_be_wrapped(
    cluster_url: str, behind: Any, prefix: str, library: str
) -> None:
    host, _, port = cluster_url.removeprefix("redis+cluster://").partition(":")
    kind, async_kind = {
        "redis": (redis.RedisCluster, redis.asyncio.RedisCluster),
        "valkey": (valkey.cluster.ValkeyCluster, valkey.asyncio.cluster.ValkeyCluster),
    }[library]
    client: Any = kind(host=host, port=int(port))
    await exercise(awaitable(Coord(client, prefix=f"{prefix}s")))
    client.close()
    async_client: Any = async_kind(host=host, port=int(port))
    await exercise(AsyncCoord(async_client, prefix=f"{prefix}a"))
    await async_client.aclose()
    for key in behind.scan_iter(f"{prefix}*"):
        behind.delete(key)


async def test_a_lock_is_never_looked_at_on_a_replica(cluster_url: str, prefix: str) -> None:
    """A replica lags. So even a client that reads from replicas is pinned to the masters."""
    binary = servers.BINARIES["valkey9"]()
    assert binary is not None
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(servers.cluster(binary))
        host, port = url.removeprefix("redis+cluster://").split(":")
        options = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"]
        node = stack.enter_context(servers.running(binary, *options, port=servers.cluster_port()))
        replica = stack.enter_context(redis.Redis(port=node.port))
        with redis.Redis(port=int(port)) as master:
            replica.execute_command("CLUSTER", "MEET", host, port)
            name = master.execute_command("CLUSTER", "MYID").decode()
            known = lambda: name in str(replica.execute_command("CLUSTER", "NODES"))  # noqa: E731
            servers.until(known, "the new node knows the others")
            replica.execute_command("CLUSTER", "REPLICATE", name)
            servers.until(lambda: master.info("replication")["connected_slaves"] == 1, "it replicates")
            told = lambda: str(node.port) in str(master.execute_command("CLUSTER", "SLOTS"))  # noqa: E731
            servers.until(told, "the cluster tells clients of the replica")

        anywhere = LoadBalancingStrategy.RANDOM_REPLICA
        client = stack.enter_context(redis.RedisCluster(host, int(port), load_balancing_strategy=anywhere))
        suspending = redis.asyncio.RedisCluster(host, int(port), load_balancing_strategy=anywhere)
        replica.config_resetstat()
        with Coord(client, prefix=prefix) as hub:
            async with AsyncCoord(suspending, prefix=prefix) as async_hub:
                for number in range(30):
                    lease = hub.lock(f"n{number}").acquire()
                    assert (await async_hub.lock(f"n{number}").status()).fence == lease.fence
                    assert hub.lock(f"n{number}").status().fence == lease.fence
        await suspending.aclose()

        assert "cmdstat_evalsha" not in replica.info("commandstats")
        assert "cmdstat_eval" not in replica.info("commandstats")
