"""Where the client libraries differ: sync from async, one server from a cluster, redis from valkey.

A wire takes one connection at a time from the client's own pool, so that TLS, authentication, RESP3,
health checks and Sentinel discovery stay the client's business, and sends one command on it. Replies
are read undecoded, so a client with ``decode_responses`` answers like one without.

The client libraries are only partly typed. This file is where that ends: everything behind it is typed.
"""

# pyright: basic

from __future__ import annotations

import asyncio
import contextlib
import inspect
from functools import cache
from math import inf
from typing import TYPE_CHECKING, Any, Protocol, cast

from anyio import CancelScope, current_effective_deadline, move_on_after

from coord._engine.connecting import Connecting, is_checkup_due
from coord._engine.faults import Faults
from coord._engine.parking import Line, Parking
from coord._engine.sending import bounded, send, socket_timeout
from coord._engine.uptime import uptime

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    from coord._engine.faults import Node
    from coord._engine.script import Reply, Word
    from coord._engine.urls import Opened

__all__ = [
    "AsyncClient",
    "BlockingWire",
    "Client",
    "SuspendingWire",
    "heed_cancellation",
    "require_flavour",
    "takes_timeout",
]


LEAST_PATIENCE = 0.001
"""Seconds of a socket's timeout: 0 would mean not to block at all, and an answer that is there already must
be read."""

UNKNOWN_NODE = "a node that the cluster sends calls to is not known here yet"


class Client(Protocol):
    """A sync client: ``redis.Redis``, ``redis.RedisCluster``, a Sentinel master, their valkey twins."""

    # What tells the flavours apart for a type checker; close() does not, being untyped in places.
    def __enter__(self) -> object: ...

    def close(self) -> None:
        """Close it."""


class AsyncClient(Protocol):
    """An async client: ``redis.asyncio.Redis``, ``redis.asyncio.RedisCluster``, their valkey twins."""

    async def __aenter__(self) -> object: ...

    async def aclose(self) -> None:
        """Close it."""


def require_flavour(client: object, *, is_async: bool, owner: str = "Coord") -> None:
    """Refuse a client of the other flavour, naming the class that takes it.

    Raises:
        TypeError: ``client`` is no client, or one for the twin class.
    """
    execute = getattr(type(client), "execute_command", None)
    here, twin = (f"Async{owner}", owner) if is_async else (owner, f"Async{owner}")
    if execute is None or not hasattr(client, "close"):
        raise TypeError(
            f"{here} needs a Redis or Valkey client, not {type(client).__name__}; "
            f"to open one from a URL use {here}.connect(url)"
        )
    if inspect.iscoroutinefunction(execute) is not is_async:
        kind = "a sync" if is_async else "an async"
        module = type(client).__module__.partition(".")[0]
        raise TypeError(
            f"{here} was given {kind} client ({module} {type(client).__name__}); use {twin}(client) for it"
        )


@cache
def _parameters(function: Hashable) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(cast("Any", function)).parameters)


def _pool_args(pool: Any) -> tuple[str, ...]:
    """What ``get_connection`` must be given: older libraries want a command's name, newer warn at it."""
    name = _parameters(type(pool).get_connection).get("command_name")
    return ("EVALSHA",) if name is not None and name.default is inspect.Parameter.empty else ()


def takes_timeout(connection: Any) -> bool:
    """Tell whether ``read_response`` can be told how long to wait."""
    return "timeout" in _parameters(type(connection).read_response)


def _idle(home: Any) -> list[Any]:
    """List the connections that wait in a pool, or at a cluster's node, for their next use."""
    waiting = [getattr(home, "_available_connections", ()), getattr(home, "_free", ())]
    queue = getattr(getattr(home, "pool", None), "queue", ())
    return [connection for some in (*waiting, queue) for connection in [*some] if connection is not None]


@contextlib.contextmanager
def heed_cancellation() -> Iterator[None]:
    """Raise a cancellation that was asked for within the block, and that the block has swallowed.

    ``asyncio.wait_for`` of Python 3.11, with which the client libraries send, returns its result when it
    is cancelled at the very moment that it has one (python/cpython#86296). A cancelled scope of anyio is left
    to itself: it cancels again at the next await, and would not know an exception that is none of its own.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task is not None else 0
    yield
    if task is not None and task.cancelling() > before and current_effective_deadline() > -inf:
        raise asyncio.CancelledError


class BlockingWire:
    """The connections of a sync client."""

    def __init__(self, client: Client) -> None:
        self._client: Any = client
        self._parking = Parking()
        self.is_cluster = hasattr(client, "get_node_from_key")
        self.faults = Faults.of(client)
        self._connecting = Connecting(self.faults.timed_out)

    async def take(self, key: str | None, node: Node | None, *, within: float = inf) -> Line:
        """See ``Wire``."""
        pool = self._pool(key, node)
        line = self._parking.find(pool)
        if line is None:
            return self._connecting.connect(pool, _pool_args(pool), within)
        if is_checkup_due(line.connection):
            line.give_back()
            return self._connecting.connect(pool, _pool_args(pool), within)
        return line

    async def keep(self, node: Node | None, *, within: float) -> Line:
        """Get a connection to keep for longer, and leave the callers theirs."""
        pool = self._pool(None, node)
        return self._connecting.connect(pool, _pool_args(pool), within)

    def _pool(self, key: str | None, node: Node | None) -> Any:
        client = self._client
        if not self.is_cluster:
            return client.connection_pool
        if node is not None:
            target = client.get_node(*node)
        elif key is not None:
            target = client.get_node_from_key(key)
        else:
            target = client.get_default_node()
        if target is None:
            raise self.faults.lost(UNKNOWN_NODE)
        connect = getattr(client, "get_redis_connection", None) or client.get_valkey_connection
        return connect(target).connection_pool

    async def ask(
        self, line: Line, words: tuple[Word, ...], seconds: float, *, asking: bool, silence: float = inf
    ) -> Reply:
        """See ``Wire``."""
        connection, limit = line.connection, max(min(seconds, silence), LEAST_PATIENCE)
        try:
            if takes_timeout(connection):
                return self._exchange(connection, words, limit, asking=asking, timeout=limit)
            with socket_timeout(connection, limit):
                return self._exchange(connection, words, limit, asking=asking)
        except self.faults.refused as refusal:
            if isinstance(refusal, self.faults.read_only):
                self._leave(line)
            raise
        except BaseException:
            # A reply may still come; whoever used this connection next would read it as theirs.
            connection.disconnect()
            raise

    def _leave(self, line: Line) -> None:
        """Hang up on a server that takes no writes, also where that has yet to be found out."""
        self._parking.clear()
        for connection in (line.connection, *_idle(line.pool)):
            connection.disconnect()

    async def ask_together(
        self, line: Line, several: Sequence[tuple[Word, ...]], seconds: float
    ) -> list[Reply]:
        """See ``Road``."""
        connection, until = line.connection, uptime() + seconds
        try:
            packed = connection.pack_commands(several)
            with bounded(connection, sum(map(len, packed)), max(seconds, LEAST_PATIENCE)):
                connection.send_packed_command(packed)
            replies = [self._read(connection, until) for _ in several]
        except BaseException:
            connection.disconnect()
            raise
        if any(isinstance(reply, self.faults.read_only) for reply in replies):
            self._leave(line)
        return replies

    def _read(self, connection: Any, until: float) -> Reply:
        limit = max(until - uptime(), LEAST_PATIENCE)
        try:
            if takes_timeout(connection):
                return connection.read_response(disable_decoding=True, timeout=limit)
            with socket_timeout(connection, limit):
                return connection.read_response(disable_decoding=True)
        except self.faults.refused as refusal:
            return refusal

    def _exchange(
        self, connection: Any, words: tuple[Word, ...], seconds: float, *, asking: bool, **limit: float
    ) -> Reply:
        if asking:
            connection.send_command("ASKING")
            connection.read_response(**limit)
        send(connection, words, seconds)
        reply: Reply = connection.read_response(disable_decoding=True, **limit)
        return reply

    async def give(self, line: Line) -> None:
        """See ``Wire``."""
        self._parking.leave(line)

    async def refresh(self, *, within: float = inf) -> None:
        """See ``Wire``. Where no node can tell, the next attempt says so."""
        if self.is_cluster:
            self._parking.clear()
            with contextlib.suppress(*self.faults.broken):
                self._connecting.run(self._client.nodes_manager.initialize, within)

    async def close(self, owned: Opened | None) -> None:
        """See ``Wire``."""
        self._parking.close()
        if owned is not None and self.is_cluster:
            self._client.disconnect_connection_pools()  # which its close() leaves to the garbage collector
        for client in (self._client, *owned.helpers) if owned is not None else ():
            client.close()


class SuspendingWire:
    """The connections of an async client."""

    def __init__(self, client: AsyncClient) -> None:
        self.client = client
        self._client: Any = client
        self.is_cluster = hasattr(client, "get_node_from_key")
        self.faults = Faults.of(client)

    async def take(self, key: str | None, node: Node | None, *, within: float = inf) -> tuple[Any, Any]:
        """See ``Wire``."""
        with move_on_after(within):
            return await self.borrow(await self.home(key, node))
        raise self.faults.timed_out(f"no connection within {within:g} s")

    async def home(self, key: str | None, node: Node | None, *, within: float = inf) -> Any:
        """Find where connections come from: the client's pool, or in a cluster a node.

        Raises:
            Exception: As the client library, also if it was not found ``within`` so many seconds.
        """
        client = self._client
        if not self.is_cluster:
            return client.connection_pool
        if getattr(client, "_initialize", True):
            with move_on_after(within) as scope:
                await client.initialize()
            if scope.cancelled_caught:
                raise self.faults.timed_out(f"the cluster was not reached within {within:g} s")
        if node is not None:
            found = client.get_node(*node)
        elif key is not None:
            found = client.get_node_from_key(key)
        else:
            found = client.get_default_node()
        if found is None:
            raise self.faults.lost(UNKNOWN_NODE)
        return found

    async def borrow(self, home: Any) -> tuple[Any, Any]:
        """Get a live connection from a pool or a node."""
        if not self.is_cluster:
            return home, await home.get_connection(*_pool_args(home))
        connection = home.acquire_connection()
        try:
            await connection.connect()
        except BaseException:
            await self.give((home, connection))
            raise
        return home, connection

    async def ask(
        self,
        line: tuple[Any, Any],
        words: tuple[Word, ...],
        seconds: float,
        *,
        asking: bool,
        silence: float = inf,
    ) -> Reply:
        """See ``Wire``."""
        limit = min(seconds, silence)
        with move_on_after(limit):
            return await self._exchange(line, words, asking=asking)
        raise self.faults.timed_out(f"no answer within {limit:g} s")

    async def _exchange(self, line: tuple[Any, Any], words: tuple[Word, ...], *, asking: bool) -> Reply:
        home, connection = line
        try:
            if asking:
                await connection.send_command("ASKING")
                await connection.read_response()
            await connection.send_command(*words)
            reply: Reply = await connection.read_response(disable_decoding=True)
        except self.faults.refused as refusal:
            if isinstance(refusal, self.faults.read_only):
                await self.hang_up(connection, *_idle(home))
            raise
        except BaseException:
            # A reply may still come; whoever used this connection next would read it as theirs.
            await self.hang_up(connection)
            raise
        return reply

    async def leave(self, home: Any) -> None:
        """Hang up on a server that takes no writes, where that has yet to be found out."""
        await self.hang_up(*_idle(home))

    async def hang_up(self, *connections: Any) -> None:
        """Close connections, whoever is cancelled meanwhile."""
        with CancelScope(shield=True):
            for connection in connections:
                await connection.disconnect(nowait=True)

    async def ask_together(
        self, line: tuple[Any, Any], several: Sequence[tuple[Word, ...]], seconds: float
    ) -> list[Reply]:
        """See ``Road``."""
        with move_on_after(seconds):
            return await self._exchange_together(line, several)
        raise self.faults.timed_out(f"no answers within {seconds:g} s")

    async def _exchange_together(
        self, line: tuple[Any, Any], several: Sequence[tuple[Word, ...]]
    ) -> list[Reply]:
        home, connection = line
        replies: list[Reply] = []
        try:
            await connection.send_packed_command(connection.pack_commands(several))
            for _ in several:
                try:
                    replies.append(await connection.read_response(disable_decoding=True))
                except self.faults.refused as refusal:
                    replies.append(refusal)
        except BaseException:
            await self.hang_up(connection)
            raise
        if any(isinstance(reply, self.faults.read_only) for reply in replies):
            await self.hang_up(connection, *_idle(home))
        return replies

    async def give(self, line: tuple[Any, Any]) -> None:
        """See ``Wire``."""
        home, connection = line
        release = getattr(home, "release", None)
        if release is None:
            # The cluster nodes of valkey and of older redis give back only within their own methods.
            home._free.append(connection)
            return
        with CancelScope(shield=True):
            given = release(connection)
            if inspect.isawaitable(given):
                await given

    async def refresh(self, *, within: float = inf) -> None:
        """See ``Wire``. Where no node can tell, the next attempt says so."""
        if self.is_cluster:
            with contextlib.suppress(*self.faults.broken), move_on_after(within):
                await self._client.nodes_manager.initialize()

    async def close(self, owned: Opened | None) -> None:
        """See ``Wire``."""
        for client in (self._client, *owned.helpers) if owned is not None else ():
            await client.aclose()
