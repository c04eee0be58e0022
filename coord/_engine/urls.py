"""From a URL to a client that coord owns.

======================================  ==================================================
``redis://`` ``rediss://`` ``unix://``  one server, as ``redis-py`` reads the URL
``redis+cluster://host:port``           a cluster, found through any of its nodes
``redis+sentinel://h:p,h:p/service``    the master of ``service``, as the Sentinels name it
``embedded://`` ``embedded:///dir``     a private Valkey server, started now, stopped on close
``memory://`` ``memory://name``         inside this process, on fakeredis; same name, same data
======================================  ==================================================

Clients of one server that are opened here do not retry on their own, since the courier decides what may
be sent again, and wait for a free connection instead of failing when all are in use. Connecting, waiting
for a connection and each read are bounded by the time that a single call may take.
"""

# pyright: basic

from __future__ import annotations

import contextlib
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
from coord._engine.forks import Mutex

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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

SCHEMES = "redis, rediss, unix, redis+sentinel, redis+cluster, embedded, memory"
ENCODE = "in a user name or password, each of / # ? @ : % must be percent-encoded"

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

    url: str
    parts: SplitResult
    is_async: bool
    limit: float

    def patience(self) -> dict[str, float]:
        """How long every connection waits."""
        return {"socket_connect_timeout": self.limit, "socket_timeout": self.limit}

    def policy(self) -> dict[str, Any]:
        """How every connection behaves."""
        retry: Any = AsyncRetry(NoBackoff(), 0) if self.is_async else Retry(NoBackoff(), 0)
        return {"retry": retry, **self.patience()}


def open_sync(url: str, limit: float = CALL_TIMEOUT) -> Opened:
    """Open a sync client for ``url``, no step of which takes more than ``limit`` seconds."""
    return _open(url, limit, is_async=False)


def open_async(url: str, limit: float = CALL_TIMEOUT) -> Opened:
    """Open an async client for ``url``. Nothing is sent until it is used."""
    return _open(url, limit, is_async=True)


def _open(url: str, limit: float, *, is_async: bool) -> Opened:
    if not isinstance(url, str):
        raise TypeError(f"url must be a str, not {type(url).__name__}")
    with _without_secrets(url.partition("://")[0]):
        parts = urlsplit(url)
    opener = _OPENERS.get(parts.scheme)
    if opener is None:
        raise ValueError(f"the url's scheme is {parts.scheme!r}; it must be one of {SCHEMES}")
    server = EmbeddedServer(unquote(parts.path) or None) if parts.scheme == "embedded" else None
    target = server.url if server is not None else url
    client = opener(_Wanted(target, urlsplit(target), is_async, limit))
    return Opened(client, helpers_of(client), server, _shown(parts))


def helpers_of(client: object) -> tuple[Any, ...]:
    """List the clients that a client needs besides itself: the Sentinels'."""
    pool = getattr(client, "connection_pool", None)
    return tuple(getattr(getattr(pool, "sentinel_manager", None), "sentinels", ()))


def _shown(parts: SplitResult) -> str:
    """Spell a URL without user, password and options."""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


@contextlib.contextmanager
def _without_secrets(scheme: str) -> Iterator[None]:
    """Replace the errors of URL parsers, which may quote a piece of the password."""
    try:
        yield
    except ValueError:
        raise ValueError(f"the {scheme}:// url cannot be read; {ENCODE}") from None


def _open_single(wanted: _Wanted) -> Client | AsyncClient:
    options = {**wanted.policy(), "max_connections": CONNECTIONS, "timeout": wanted.limit}
    with _without_secrets(wanted.parts.scheme):
        if wanted.is_async:
            pool = redis.asyncio.BlockingConnectionPool.from_url(wanted.url, **options)
            return redis.asyncio.Redis.from_pool(pool)
        return redis.Redis.from_pool(redis.BlockingConnectionPool.from_url(wanted.url, **options))


def _open_cluster(wanted: _Wanted) -> Client | AsyncClient:
    if not wanted.parts.netloc.rpartition("@")[2]:
        raise ValueError(f"a cluster's url names one of its nodes, redis+cluster://host:port; {ENCODE}")
    plain = wanted.parts._replace(scheme="redis").geturl()
    factory: Any = redis.asyncio.RedisCluster if wanted.is_async else redis.RedisCluster
    with _without_secrets(wanted.parts.scheme):
        client: Client | AsyncClient = factory.from_url(plain, **wanted.patience())
    return client


def _open_sentinel(wanted: _Wanted) -> Client | AsyncClient:
    credentials, _, hosts = wanted.parts.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    service, _, database = wanted.parts.path.strip("/").partition("/")
    nodes = [host.rpartition(":") for host in hosts.split(",")]
    if not service or not all(name and port.isdecimal() for name, _, port in nodes):
        raise ValueError(
            f"a Sentinel's url reads redis+sentinel://host:port,host:port/service[/db]; {ENCODE}"
        )
    policy = wanted.policy()
    sentinel: Any = (AsyncSentinel if wanted.is_async else Sentinel)(
        [(name.strip("[]"), int(port)) for name, _, port in nodes], sentinel_kwargs=policy
    )
    master: Client | AsyncClient = sentinel.master_for(
        service,
        username=unquote(user) or None,
        password=unquote(password) or None,
        db=int(database or 0),
        **policy,
    )
    return master


def _open_memory(wanted: _Wanted) -> Client | AsyncClient:
    try:
        import fakeredis  # noqa: PLC0415  # optional
    except ImportError:
        raise ImportError("memory:// runs on fakeredis: pip install 'coord[memory]'") from None
    server: Any = fakeredis.FakeServer()
    if wanted.parts.netloc:
        with _memory_mutex:
            server = _memory.setdefault(wanted.parts.netloc, server)
    client: Client | AsyncClient = (
        fakeredis.FakeAsyncRedis(server=server) if wanted.is_async else fakeredis.FakeRedis(server=server)
    )
    return client


_OPENERS: dict[str, Callable[[_Wanted], Client | AsyncClient]] = {
    "redis": _open_single,
    "rediss": _open_single,
    "unix": _open_single,
    "embedded": _open_single,
    "redis+cluster": _open_cluster,
    "redis+sentinel": _open_sentinel,
    "memory": _open_memory,
}
