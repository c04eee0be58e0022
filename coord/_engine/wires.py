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
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from math import inf
from typing import TYPE_CHECKING, Any, Protocol, cast

from anyio import CancelScope, current_effective_deadline, move_on_after

from coord._engine.connecting import Connecting
from coord._engine.parking import Line, Parking
from coord._engine.uptime import uptime

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    from coord._engine.script import Reply, Word
    from coord._engine.urls import Opened

__all__ = [
    "AsyncClient",
    "BlockingWire",
    "Client",
    "Faults",
    "Node",
    "SuspendingWire",
    "heed_cancellation",
    "require_flavour",
]


pack_command: Any
try:
    pack_command = import_module("hiredis").pack_command
except ImportError:
    pack_command = None

LEAST_PATIENCE = 0.001
"""Seconds of a socket's timeout: 0 would mean not to block at all, and an answer that is there already must
be read."""

Node = tuple[str, int]
"""Host and port of a cluster's node."""


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


def require_flavour(client: object, *, is_async: bool) -> None:
    """Refuse a client of the other flavour, naming the class that takes it.

    Raises:
        TypeError: ``client`` is no client, or one for the twin class.
    """
    execute = getattr(type(client), "execute_command", None)
    here, twin = ("AsyncCoord", "Coord") if is_async else ("Coord", "AsyncCoord")
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


@dataclass(frozen=True, slots=True)
class Faults:
    """The exceptions of one client library, by what they say about the call.

    Attributes:
        refused: The server answered with an error; of these:
        no_script: it does not have the script cached;
        ask: another node serves the slot (ASK, and MOVED, which is a kind of it);
        not_now: nothing was executed, and later it may be.
        broken: No answer: the connection could not be made, broke, or timed out.
        topology: What makes another look at the cluster's slots worth while.
        timed_out: Raised when the call's own deadline passes.
        lost: Raised when the connection breaks.
        read_only: The server does not take writes: it is a replica.
    """

    refused: type[Exception]
    no_script: type[Exception]
    ask: type[Exception]
    not_now: tuple[type[Exception], ...]
    broken: tuple[type[Exception], ...]
    topology: tuple[type[Exception], ...]
    timed_out: type[Exception]
    moved: type[Exception]
    lost: type[Exception]
    read_only: type[Exception]

    @classmethod
    def of(cls, client: object) -> Faults:
        """Find the exceptions of the library that ``client`` comes from."""
        roots = [base.__module__.partition(".")[0] for base in type(client).__mro__]
        library = "valkey" if "valkey" in roots else "redis"
        errors: Any = import_module(f"{library}.exceptions")
        busy = (errors.TryAgainError, errors.ClusterDownError, errors.MasterDownError)
        return cls(
            refused=errors.ResponseError,
            no_script=errors.NoScriptError,
            ask=errors.AskError,
            not_now=(*busy, errors.BusyLoadingError),
            broken=(errors.ConnectionError, errors.TimeoutError, OSError),
            topology=(errors.MovedError, errors.ClusterDownError, errors.ConnectionError),
            timed_out=errors.TimeoutError,
            moved=errors.MovedError,
            lost=errors.ConnectionError,
            read_only=errors.ReadOnlyError,
        )

    def asked_node(self, redirect: Any) -> Node | None:
        """Name the node of an ASK; ``None`` for a MOVED, which wants the slots looked up anew."""
        return None if isinstance(redirect, self.moved) else (redirect.host, redirect.port)


@cache
def _parameters(function: Hashable) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(cast("Any", function)).parameters)


def _pool_args(pool: Any) -> tuple[str, ...]:
    """What ``get_connection`` must be given: older libraries want a command's name, newer warn at it."""
    name = _parameters(type(pool).get_connection).get("command_name")
    return ("EVALSHA",) if name is not None and name.default is inspect.Parameter.empty else ()


def _takes_timeout(connection: Any) -> bool:
    """Tell whether ``read_response`` can be told how long to wait."""
    return "timeout" in _parameters(type(connection).read_response)


def _send(connection: Any, words: tuple[Word, ...]) -> None:
    """Send a command; packed as the library would, which looks at every word once more before it does."""
    packer = getattr(connection, "_command_packer", None)
    if pack_command is not None and type(packer).__name__ == "HiredisRespSerializer":
        connection.send_packed_command((pack_command(words),))
    else:
        connection.send_command(*words)


@contextlib.contextmanager
def _socket_timeout(connection: Any, seconds: float) -> Iterator[None]:
    """Bound the reads of a block where the library knows but one timeout a connection."""
    socket: Any = getattr(connection, "_sock", None)
    if not hasattr(socket, "settimeout"):
        yield  # fakeredis, which answers at once
        return
    usual = socket.gettimeout()
    socket.settimeout(seconds)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            socket.settimeout(usual)


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
        return self._parking.find(pool) or self._connecting.connect(pool, _pool_args(pool), within)

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
        connect = getattr(client, "get_redis_connection", None) or client.get_valkey_connection
        return connect(target).connection_pool

    async def ask(self, line: Line, words: tuple[Word, ...], seconds: float, *, asking: bool) -> Reply:
        """See ``Wire``."""
        connection, limit = line.connection, max(seconds, LEAST_PATIENCE)
        try:
            if _takes_timeout(connection):
                return self._exchange(connection, words, asking=asking, timeout=limit)
            with _socket_timeout(connection, limit):
                return self._exchange(connection, words, asking=asking)
        except self.faults.refused:
            raise
        except BaseException:
            # A reply may still come; whoever used this connection next would read it as theirs.
            connection.disconnect()
            raise

    async def ask_together(
        self, line: Line, several: Sequence[tuple[Word, ...]], seconds: float
    ) -> list[Reply]:
        """See ``Road``."""
        connection, until = line.connection, uptime() + seconds
        try:
            connection.send_packed_command(connection.pack_commands(several))
            return [self._read(connection, until) for _ in several]
        except BaseException:
            connection.disconnect()
            raise

    def _read(self, connection: Any, until: float) -> Reply:
        limit = max(until - uptime(), LEAST_PATIENCE)
        try:
            if _takes_timeout(connection):
                return connection.read_response(disable_decoding=True, timeout=limit)
            with _socket_timeout(connection, limit):
                return connection.read_response(disable_decoding=True)
        except self.faults.refused as refusal:
            return refusal

    def _exchange(self, connection: Any, words: tuple[Word, ...], *, asking: bool, **limit: float) -> Reply:
        if asking:
            connection.send_command("ASKING")
            connection.read_response(**limit)
        _send(connection, words)
        reply: Reply = connection.read_response(disable_decoding=True, **limit)
        return reply

    async def give(self, line: Line) -> None:
        """See ``Wire``."""
        self._parking.leave(line)

    async def refresh(self) -> None:
        """See ``Wire``."""
        if self.is_cluster:
            self._parking.clear()
            self._client.nodes_manager.initialize()

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
        """See ``Wire``. The port that runs this keeps the deadline."""
        del within
        return await self.borrow(await self.home(key, node))

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
            return client.get_node(*node)
        if key is not None:
            return client.get_node_from_key(key)
        return client.get_default_node()

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
        self, line: tuple[Any, Any], words: tuple[Word, ...], seconds: float, *, asking: bool
    ) -> Reply:
        """See ``Wire``. The port that runs this keeps the deadline."""
        del seconds
        _, connection = line
        try:
            if asking:
                await connection.send_command("ASKING")
                await connection.read_response()
            await connection.send_command(*words)
            reply: Reply = await connection.read_response(disable_decoding=True)
        except self.faults.refused:
            raise
        except BaseException:
            # A reply may still come; whoever used this connection next would read it as theirs.
            with CancelScope(shield=True):
                await connection.disconnect(nowait=True)
            raise
        return reply

    async def ask_together(
        self, line: tuple[Any, Any], several: Sequence[tuple[Word, ...]], seconds: float
    ) -> list[Reply]:
        """See ``Road``. The port that runs this keeps the deadline."""
        del seconds
        _, connection = line
        replies: list[Reply] = []
        try:
            await connection.send_packed_command(connection.pack_commands(several))
            for _ in several:
                try:
                    replies.append(await connection.read_response(disable_decoding=True))
                except self.faults.refused as refusal:
                    replies.append(refusal)
        except BaseException:
            with CancelScope(shield=True):
                await connection.disconnect(nowait=True)
            raise
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

    async def refresh(self) -> None:
        """See ``Wire``."""
        if self.is_cluster:
            await self._client.nodes_manager.initialize()

    async def close(self, owned: Opened | None) -> None:
        """See ``Wire``."""
        for client in (self._client, *owned.helpers) if owned is not None else ():
            await client.aclose()
