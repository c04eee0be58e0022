"""From a URL to a client that coord owns.

======================================  ==================================================
``redis://`` ``rediss://`` ``unix://``  one server, as ``redis-py`` reads the URL
``redis+cluster://host:port``           a cluster, found through any of its nodes
``redis+sentinel://h:p,h:p/service``    the master of ``service``, as the Sentinels name it
``embedded://`` ``embedded:///dir``     a private Valkey server, started now, stopped on close
``memory://`` ``memory://name``         inside this process, on fakeredis; same name, same data
======================================  ==================================================

Clients opened here do not retry on their own (the courier decides what may be sent again), and wait for
a free connection instead of failing when all are in use.
"""

# pyright: basic

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, unquote, urlsplit

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.asyncio.sentinel import Sentinel as AsyncSentinel
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from coord._engine.embedded import EmbeddedServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from coord._engine.wires import AsyncClient, Client

__all__ = ["Opened", "open_async", "open_sync"]

CONNECTIONS = 50
WAIT_FOR_CONNECTION = 20
CONNECT_TIMEOUT = 2
SCHEMES = "redis, rediss, unix, redis+sentinel, redis+cluster, embedded, memory"

_memory: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()


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


def open_sync(url: str) -> Opened:
    """Open a sync client for ``url``."""
    return _open(url, is_async=False)


def open_async(url: str) -> Opened:
    """Open an async client for ``url``. Nothing is sent until it is used."""
    return _open(url, is_async=True)


def _open(url: str, *, is_async: bool) -> Opened:
    if not isinstance(url, str):
        raise TypeError(f"url must be a str, not {type(url).__name__}")
    parts = urlsplit(url)
    opener = _OPENERS.get(parts.scheme)
    if opener is None:
        raise ValueError(f"the url's scheme is {parts.scheme!r}; it must be one of {SCHEMES}")
    server = EmbeddedServer(unquote(parts.path) or None) if parts.scheme == "embedded" else None
    target = server.url if server is not None else url
    client = opener(target, urlsplit(target), is_async)
    pool = getattr(client, "connection_pool", None)
    helpers = getattr(getattr(pool, "sentinel_manager", None), "sentinels", ())
    return Opened(client, tuple(helpers), server, _shown(parts))


def _shown(parts: SplitResult) -> str:
    """Spell a URL without user, password and options."""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _policy(*, is_async: bool) -> dict[str, Any]:
    retry: Any = AsyncRetry(NoBackoff(), 0) if is_async else Retry(NoBackoff(), 0)
    return {"retry": retry, "socket_connect_timeout": CONNECT_TIMEOUT}


def _open_single(url: str, parts: SplitResult, is_async: bool) -> Client | AsyncClient:  # noqa: FBT001
    del parts
    options = {**_policy(is_async=is_async), "max_connections": CONNECTIONS, "timeout": WAIT_FOR_CONNECTION}
    if is_async:
        return redis.asyncio.Redis.from_pool(redis.asyncio.BlockingConnectionPool.from_url(url, **options))
    return redis.Redis.from_pool(redis.BlockingConnectionPool.from_url(url, **options))


def _open_cluster(url: str, parts: SplitResult, is_async: bool) -> Client | AsyncClient:  # noqa: FBT001
    plain = parts._replace(scheme="redis").geturl()
    del url
    factory: Any = redis.asyncio.RedisCluster if is_async else redis.RedisCluster
    client: Client | AsyncClient = factory.from_url(plain, socket_connect_timeout=CONNECT_TIMEOUT)
    return client


def _open_sentinel(url: str, parts: SplitResult, is_async: bool) -> Client | AsyncClient:  # noqa: FBT001
    del url
    credentials, _, hosts = parts.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    service, _, database = parts.path.strip("/").partition("/")
    if not hosts or not service:
        raise ValueError("a Sentinel url reads redis+sentinel://host:port,host:port/service[/db]")
    nodes: list[tuple[str, int]] = []
    for host in hosts.split(","):
        name, _, port = host.rpartition(":")
        if not name or not port.isdecimal():
            raise ValueError(f"each Sentinel must be host:port, not {host!r}")
        nodes.append((name.strip("[]"), int(port)))
    policy = _policy(is_async=is_async)
    sentinel: Any = (AsyncSentinel if is_async else Sentinel)(nodes, sentinel_kwargs=policy)
    master: Client | AsyncClient = sentinel.master_for(
        service,
        username=unquote(user) or None,
        password=unquote(password) or None,
        db=int(database or 0),
        **policy,
    )
    return master


def _open_memory(url: str, parts: SplitResult, is_async: bool) -> Client | AsyncClient:  # noqa: FBT001
    del url
    try:
        import fakeredis  # noqa: PLC0415  # optional
    except ImportError:
        raise ImportError("memory:// runs on fakeredis: pip install 'coord[memory]'") from None
    server: Any = fakeredis.FakeServer()
    if parts.netloc:
        server = _memory.setdefault(parts.netloc, server)
    client: Client | AsyncClient = (
        fakeredis.FakeAsyncRedis(server=server) if is_async else fakeredis.FakeRedis(server=server)
    )
    return client


_OPENERS: dict[str, Callable[[str, SplitResult, bool], Client | AsyncClient]] = {
    "redis": _open_single,
    "rediss": _open_single,
    "unix": _open_single,
    "embedded": _open_single,
    "redis+cluster": _open_cluster,
    "redis+sentinel": _open_sentinel,
    "memory": _open_memory,
}
