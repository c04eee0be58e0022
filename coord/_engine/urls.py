"""From a URL to a client that coord owns.

==========================================  ==================================================
``redis://`` ``rediss://`` ``unix://``      one server; with the second s over TLS, here and below
``redis+cluster://h:p,h:p``                 a cluster, found through any of its nodes
``redis+sentinel://h:p,h:p/service``        the master of ``service``, as the Sentinels name it
``embedded://`` ``embedded:///dir``         a private server, started now, stopped on close
``memory://`` ``memory://name``             inside this process, on fakeredis; same name, same data
==========================================  ==================================================

What a URL may say is in ``addresses``. Clients of one server that are opened here do not retry on their own,
since the courier decides what may be sent again, and wait for a free connection instead of failing when all
are in use. Connecting, waiting for a connection and each read are bounded by the time that a single call may
take, unless the URL says otherwise.
"""

# pyright: basic

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import redis
import redis.asyncio
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry as AsyncRetry
from redis.asyncio.sentinel import Sentinel as AsyncSentinel
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from coord._engine import clusters
from coord._engine.addresses import Address, read
from coord._engine.embedded import EmbeddedServer
from coord._engine.forks import Mutex

if TYPE_CHECKING:
    from collections.abc import Callable

    from coord._engine.wires import AsyncClient, Client

__all__ = ["CALL_TIMEOUT", "SHORTEST_CALL", "Opened", "helpers_of", "open_async", "open_sync"]

CALL_TIMEOUT = 2.0
"""Seconds until a call must have been answered: many round trips over any network, and about as long as
somebody waits for a page."""

SHORTEST_CALL = 0.001
"""Seconds that a deadline of a call must at least have: about what a round trip in a local network takes."""

CONNECTIONS = 50
"""Connections that one Coord opens: what a web server has threads, and far from the 10,000 that a server
takes."""

_memory: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()
_memory_mutex = Mutex()


@dataclass(frozen=True, slots=True)
class Opened:
    """A client and what must be stopped after it.

    Attributes:
        client: The client, of the flavour asked for.
        helpers: Further clients that it needed: the Sentinels'.
        server: The embedded server behind it, if it has one of its own.
        shown: The URL without its secrets, for a ``repr``.
    """

    client: Any
    helpers: tuple[Any, ...]
    server: EmbeddedServer | None
    shown: str


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What an opener must know."""

    address: Address
    is_async: bool
    limit: float

    def settings(self) -> dict[str, Any]:
        """How connections behave: bounded and checked as much as the URL does not say otherwise."""
        said = self.address.options
        settings = {"socket_connect_timeout": self.limit, "socket_timeout": self.limit, **said}
        if self.address.is_tls:  # which not every version of redis-py does by default
            settings.setdefault("ssl_check_hostname", said.get("ssl_cert_reqs") != "none")
        return settings

    def policy(self) -> dict[str, Any]:
        """How connections behave that never retry on their own."""
        retry: Any = AsyncRetry(NoBackoff(), 0) if self.is_async else Retry(NoBackoff(), 0)
        return {"retry": retry, **self.settings()}


def open_sync(url: str, limit: float = CALL_TIMEOUT) -> Opened:
    """Open a sync client for ``url``, no step of which takes more than ``limit`` seconds."""
    return _open(url, limit, is_async=False)


def open_async(url: str, limit: float = CALL_TIMEOUT) -> Opened:
    """Open an async client for ``url``. Nothing is sent until it is used."""
    return _open(url, limit, is_async=True)


def _open(url: str, limit: float, *, is_async: bool) -> Opened:
    address = read(url)
    shown = address.shown
    server = None
    if address.scheme == "embedded":
        server = EmbeddedServer(address.place or None)
        address = read(server.url)
    client = _OPENERS[address.scheme](_Wanted(address, is_async, limit))
    return Opened(client, helpers_of(client), server, shown)


def helpers_of(client: object) -> tuple[Any, ...]:
    """List the clients that a client needs besides itself: the Sentinels'."""
    pool = getattr(client, "connection_pool", None)
    return tuple(getattr(getattr(pool, "sentinel_manager", None), "sentinels", ()))


def _open_single(wanted: _Wanted) -> Client | AsyncClient:
    address = wanted.address
    module: Any = redis.asyncio if wanted.is_async else redis
    where: dict[str, Any] = {"path": address.place}
    kind = module.UnixDomainSocketConnection
    if address.hosts:
        ((host, port),) = address.hosts
        where = {"host": host, "port": port}
        kind = module.SSLConnection if address.is_tls else module.Connection
    settings = {"max_connections": CONNECTIONS, "timeout": wanted.limit, **wanted.policy()}
    pool: Any = module.BlockingConnectionPool(connection_class=kind, **where, **settings)
    client: Client | AsyncClient = module.Redis.from_pool(pool)
    return client


def _open_cluster(wanted: _Wanted) -> Client | AsyncClient:
    hosts, is_tls = wanted.address.hosts, wanted.address.is_tls
    if wanted.is_async:
        nodes = [ClusterNode(*host) for host in hosts]
        return redis.asyncio.RedisCluster(startup_nodes=nodes, ssl=is_tls, **wanted.settings())
    kind = redis.SSLConnection if is_tls else redis.Connection
    client: Client = clusters.blocking(redis.RedisCluster, hosts, kind, wanted.settings())
    return client


def _open_sentinel(wanted: _Wanted) -> Client | AsyncClient:
    address, policy = wanted.address, wanted.policy()
    of_the_masters_alone = {"username", "password", "db", "client_name"}
    of_both = {name: value for name, value in policy.items() if name not in of_the_masters_alone}
    sentinel: Any = (AsyncSentinel if wanted.is_async else Sentinel)(
        address.hosts, sentinel_kwargs={**of_both, **address.sentinel, "ssl": address.is_tls}
    )
    master: Client | AsyncClient = sentinel.master_for(address.place, ssl=address.is_tls, **policy)
    return master


def _open_memory(wanted: _Wanted) -> Client | AsyncClient:
    try:
        import fakeredis  # noqa: PLC0415  # optional
    except ImportError:
        raise ImportError("memory:// runs on fakeredis: pip install 'coord[memory]'") from None
    server: Any = fakeredis.FakeServer()
    if wanted.address.place:
        with _memory_mutex:
            server = _memory.setdefault(wanted.address.place, server)
    client: Client | AsyncClient = (
        fakeredis.FakeAsyncRedis(server=server) if wanted.is_async else fakeredis.FakeRedis(server=server)
    )
    return client


_OPENERS: dict[str, Callable[[_Wanted], Client | AsyncClient]] = {
    "redis": _open_single,
    "rediss": _open_single,
    "unix": _open_single,
    "redis+cluster": _open_cluster,
    "rediss+cluster": _open_cluster,
    "redis+sentinel": _open_sentinel,
    "rediss+sentinel": _open_sentinel,
    "memory": _open_memory,
}
