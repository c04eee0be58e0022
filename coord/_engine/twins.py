"""From an async client to a sync client of the same library, for the same server.

Built from the settings of the async client's own connections: address, database, credentials, TLS, and
Sentinels or the nodes of a cluster. What has no meaning in the other flavour (retry policies, parsers) is
left out, and every step is bounded.
"""

# pyright: basic

from __future__ import annotations

from importlib import import_module
from inspect import signature
from typing import TYPE_CHECKING, Any

from coord._engine import clusters
from coord._engine.urls import Opened, helpers_of

if TYPE_CHECKING:
    from coord._engine.wires import AsyncClient, Client

__all__ = ["blocking_twin"]

OF_ONE_FLAVOUR = frozenset({"retry", "parser_class", "encoder_class", "connection_pool", "event_dispatcher"})


def blocking_twin(client: AsyncClient, limit: float) -> Opened:
    """Make a sync client like ``client``. For a cluster this asks one of its nodes; else nothing is sent.

    Args:
        client: An async client.
        limit: How many seconds each step may take where the client does not say.

    Raises:
        TypeError: Its connections are of a kind that has no sync twin.
    """
    twin = _twin(client, limit)
    return Opened(twin, helpers_of(twin), None, "")


def _twin(given: Any, limit: float) -> Client:
    roots = {base.__module__.partition(".")[0] for base in type(given).__mro__}
    library = "valkey" if "valkey" in roots else "redis"
    if hasattr(given, "get_node_from_key"):
        return _cluster(given, library, limit)
    pool = given.connection_pool
    manager = getattr(pool, "sentinel_manager", None)
    if manager is not None:
        return _master(pool, manager, library, limit)
    if "server" in pool.connection_kwargs:  # fakeredis, in this process
        fake: Any = import_module("fakeredis")
        kept = pool.connection_kwargs
        twin: Client = fake.FakeRedis(server=kept["server"], db=kept.get("db", 0))
        return twin
    kind = _connection(pool.connection_class, library)
    module: Any = import_module(library)
    settings = _settings(pool.connection_kwargs, kind, library, limit)
    single: Client = (module.Valkey if library == "valkey" else module.Redis).from_pool(
        module.ConnectionPool(connection_class=kind, **settings)
    )
    return single


def _connection(kind: type, library: str) -> type:
    """Find the sync class of a connection; the nearest that the library itself has must do no less."""
    own = kind.__module__ == f"{library}.asyncio.connection"
    twin = getattr(import_module(f"{library}.connection"), kind.__name__, None) if own else None
    if twin is None:
        raise TypeError(
            f"renew_in='thread' needs a sync connection like {kind.__module__}.{kind.__name__}, "
            "and there is none; use renew_in='loop'"
        )
    found: type = twin
    return found


def _settings(given: dict[str, Any], kind: type, library: str, limit: float) -> dict[str, Any]:
    """Keep what the sync connections ``kind`` take too, and bound what is not."""
    inits = [
        vars(base)["__init__"] for base in kind.__mro__ if "__init__" in vars(base) and base is not object
    ]
    taken = {name for init in inits for name in signature(init).parameters}
    kept = {
        name: value
        for name, value in given.items()
        if name in taken - OF_ONE_FLAVOUR and not name.startswith(("maint_", "orig_", "oss_", "himport_"))
    }
    for name in ("socket_timeout", "socket_connect_timeout"):
        if kept.get(name) is None:
            kept[name] = limit
    retries: Any = import_module(f"{library}.retry")
    backoff: Any = import_module(f"{library}.backoff")
    return {**kept, "retry": retries.Retry(backoff.NoBackoff(), 0)}


def _master(pool: Any, manager: Any, library: str, limit: float) -> Client:
    sentinels: Any = import_module(f"{library}.sentinel")
    connections: Any = import_module(f"{library}.connection")
    is_ssl = "SSL" in pool.connection_class.__name__
    kind = connections.SSLConnection if is_ssl else connections.Connection
    sentinel = sentinels.Sentinel([], min_other_sentinels=manager.min_other_sentinels)
    sentinel.sentinels = [_twin(one, limit) for one in manager.sentinels]
    settings = _settings(pool.connection_kwargs, kind, library, limit)
    master: Client = sentinel.master_for(pool.service_name, ssl=is_ssl, **settings)
    return master


def _cluster(client: Any, library: str, limit: float) -> Client:
    module: Any = import_module(f"{library}.cluster")
    settings = dict(getattr(client, "connection_kwargs", None) or client.nodes_manager.connection_kwargs)
    kind = _connection(settings.pop("connection_class", None) or _plain(library), library)
    hosts = [(node.host, int(node.port)) for node in client.nodes_manager.startup_nodes.values()]
    factory = module.ValkeyCluster if library == "valkey" else module.RedisCluster
    twin: Client = clusters.blocking(factory, hosts, kind, _settings(settings, kind, library, limit))
    return twin


def _plain(library: str) -> type:
    kind: type = import_module(f"{library}.asyncio.connection").Connection
    return kind
