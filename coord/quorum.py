"""The way in to several independent servers: a ``Quorum`` owns the connections and hands out locks.

``Quorum`` and ``AsyncQuorum`` are twins: the same methods, with the same arguments, answered by twins.
Nothing is sent until a lock is used, so both may be made when a module is imported.
"""

from __future__ import annotations

import contextlib
import warnings
from typing import TYPE_CHECKING

from coord._engine.checks import seconds
from coord._engine.faces import twin_of
from coord._engine.keys import Keys
from coord._engine.nodes import Node
from coord._engine.port import step
from coord._engine.tasks import TaskPort
from coord._engine.threads import ThreadPort
from coord._engine.urls import SHORTEST_CALL, open_async, open_sync
from coord._engine.wires import require_flavour
from coord.redlock import AsyncQuorumLock, QuorumLock, QuorumRoom

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from types import TracebackType
    from typing import Self

    from coord._engine.checks import Seconds
    from coord._engine.port import Port
    from coord._engine.urls import Opened
    from coord._engine.wires import AsyncClient, Client

__all__ = ["AsyncQuorum", "Quorum"]

CALL_TIMEOUT = 0.5
"""Seconds until one server must have answered: many round trips, and a server that is down is not waited for,
since the others decide."""

CALLER = 4
"""How many frames lie between whoever makes a quorum and a warning about it."""


class _InProcess(int):
    """The identity of a server that is an object of this process, and has no address to show."""


class AsyncQuorum:
    """Several servers that do not know of each other, and locks that a majority of them grants.

    Use an odd number, three or five, each a master without automatic failover, on machines that do not
    fail together. Keep the object for the life of the process; share it between all its threads
    (``Quorum``) or all tasks of an event loop (``AsyncQuorum``).

    Args:
        clients: Clients that stay yours to close, one for each server: of the ``redis`` or ``valkey``
            package. Every process gives the same servers.
        prefix: What every key begins with; ``:`` nests. Two applications on the same servers take two.
        call_timeout: Seconds, or a ``timedelta``, until a server must have answered; it is also never
            waited for longer than 5 % of the lease, or 50 ms if that is more.
        quarantine: Whether a server that has just started stays without a vote, until it has been up for
            as long as the longest lease that this object was asked for: it may have forgotten a lock.
            Give the time if other processes ask for longer ones. ``False`` is for servers that fsync
            every write, and for tests.

    Raises:
        TypeError: A client is for the twin class, or no client.
        ValueError: There is no client, or two for one server, or one of a cluster; ``prefix`` is empty;
            or a time is not positive.

    Warns:
        UserWarning: The number is even: one server more than an odd number survives no more failures.
    """

    def __init__(
        self,
        clients: Sequence[AsyncClient],
        *,
        prefix: str = "coord",
        call_timeout: Seconds = CALL_TIMEOUT,
        quarantine: bool | Seconds = True,
    ) -> None:
        self._set_up([(client, None) for client in clients], prefix, call_timeout, quarantine)

    def _set_up(
        self,
        servers: Sequence[tuple[AsyncClient, Opened | None]],
        prefix: str,
        call_timeout: Seconds,
        quarantine: bool | Seconds,  # noqa: FBT001
    ) -> None:
        limit = seconds(call_timeout, "call_timeout", at_least=SHORTEST_CALL)
        for client, _ in servers:
            require_flavour(client, is_async=True, owner="Quorum")
        self._ports = [TaskPort(client, call_timeout=limit, owned=owned) for client, owned in servers]
        self._room = _room(servers, self._ports, prefix, limit, quarantine)

    @classmethod
    def connect(
        cls,
        *urls: str,
        prefix: str = "coord",
        call_timeout: Seconds = CALL_TIMEOUT,
        quarantine: bool | Seconds = True,
    ) -> Self:
        """Open a client for each URL, and own it: closing closes it too.

        Args:
            urls: One for each server, as for ``Coord.connect``; ``embedded://`` starts one each.
            prefix: What every key begins with.
            call_timeout: Seconds, or a ``timedelta``, until a server must have answered.
            quarantine: Whether, or for how long, a server that has just started has no vote.

        Raises:
            ImportError: A URL needs an extra that is not installed; the message names it.
            ValueError: A URL cannot be read, or names a server twice.
        """
        limit = seconds(call_timeout, "call_timeout", at_least=SHORTEST_CALL)
        made = cls.__new__(cls)
        with _opened(urls, limit, open_async) as opened:
            made._set_up([(one.client, one) for one in opened], prefix, call_timeout, quarantine)
        return made

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {_named(self._room)}>"

    async def close(self) -> None:
        """Close what this object opened; clients given to it stay open. Closing twice is harmless."""
        self._room.close()
        await self._room.settle()
        async with contextlib.AsyncExitStack() as stack:
            for port in reversed(self._ports):
                stack.push_async_callback(port.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def lock(
        self,
        name: str,
        *,
        ttl: Seconds = 10,
        renew: bool = True,
        max_hold: Seconds | None = None,
        reentrant: bool = False,
    ) -> AsyncQuorumLock:
        """Make a lock.

        Args:
            name: What is locked; the same name is the same lock in every process.
            ttl: The lease: how long the lock survives a holder who disappears. At least 10 ms; below a
                second, the way to the servers takes much of it.
            renew: Whether a ``with`` block renews its lease for as long as it runs.
            max_hold: How long a ``with`` block may hold it at the most; then the lease is lost.
            reentrant: Whether a task or thread may enter ``with`` blocks of this name inside one another;
                they hold one lease, which the outermost releases.
        """
        return AsyncQuorumLock(self._room, name, ttl=ttl, renew=renew, max_hold=max_hold, reentrant=reentrant)


@twin_of(AsyncQuorum)
class Quorum:
    def __init__(
        self,
        clients: Sequence[Client],
        *,
        prefix: str = "coord",
        call_timeout: Seconds = CALL_TIMEOUT,
        quarantine: bool | Seconds = True,
    ) -> None:
        self._set_up([(client, None) for client in clients], prefix, call_timeout, quarantine)

    def _set_up(
        self,
        servers: Sequence[tuple[Client, Opened | None]],
        prefix: str,
        call_timeout: Seconds,
        quarantine: bool | Seconds,  # noqa: FBT001
    ) -> None:
        limit = seconds(call_timeout, "call_timeout", at_least=SHORTEST_CALL)
        for client, _ in servers:
            require_flavour(client, is_async=False, owner="Quorum")
        self._ports = [ThreadPort(client, call_timeout=limit, owned=owned) for client, owned in servers]
        self._room = _room(servers, self._ports, prefix, limit, quarantine)

    @classmethod
    def connect(
        cls,
        *urls: str,
        prefix: str = "coord",
        call_timeout: Seconds = CALL_TIMEOUT,
        quarantine: bool | Seconds = True,
    ) -> Self:
        limit = seconds(call_timeout, "call_timeout", at_least=SHORTEST_CALL)
        made = cls.__new__(cls)
        with _opened(urls, limit, open_sync) as opened:
            made._set_up([(one.client, one) for one in opened], prefix, call_timeout, quarantine)
        return made

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {_named(self._room)}>"

    def close(self) -> None:
        self._room.close()
        step(self._room.settle())
        with contextlib.ExitStack() as stack:
            for port in reversed(self._ports):
                stack.callback(_close, port)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def lock(
        self,
        name: str,
        *,
        ttl: Seconds = 10,
        renew: bool = True,
        max_hold: Seconds | None = None,
        reentrant: bool = False,
    ) -> QuorumLock:
        return QuorumLock(self._room, name, ttl=ttl, renew=renew, max_hold=max_hold, reentrant=reentrant)


@contextlib.contextmanager
def _opened(
    urls: Sequence[str], limit: float, opener: Callable[[str, float], Opened]
) -> Generator[list[Opened]]:
    """Open clients for a block that takes them over; should that fail, start nothing for good."""
    opened: list[Opened] = []
    try:
        for url in urls:
            opened.append(opener(url, limit))  # noqa: PERF401  # those opened before a failure must be known
        yield opened
    except BaseException:
        for one in opened:
            if one.server is not None:
                one.server.close()
        raise


def _room(
    servers: Sequence[tuple[object, Opened | None]],
    ports: Sequence[Port],
    prefix: str,
    limit: float,
    quarantine: bool | Seconds,  # noqa: FBT001
) -> QuorumRoom:
    if not servers:
        raise ValueError("a quorum needs servers: an odd number of them, three or more")
    span: float | None = 0.0 if quarantine is True else None
    if not isinstance(quarantine, bool):
        span = seconds(quarantine, "quarantine", at_least=0)
    nodes: list[Node] = []
    places: dict[object, Node] = {}
    for number, ((client, owned), port) in enumerate(zip(servers, ports, strict=True), 1):
        if not port.one_slot():
            raise ValueError(f"server {number} of a quorum is a cluster; give single, independent servers")
        place = _place(client)
        shown = owned.shown if owned is not None else f"{type(client).__name__} {_spelled(place)}".rstrip()
        nodes.append(Node(port, f"{number}: {shown}"))
        twin = places.setdefault(place or client, nodes[-1])
        if twin is not nodes[-1]:
            raise ValueError(
                f"{twin.label} and {nodes[-1].label} are the same server; a quorum needs independent ones"
            )
    if len(nodes) % 2 == 0:
        warnings.warn(
            f"a quorum of {len(nodes)} servers survives no more failures than one of {len(nodes) - 1}",
            stacklevel=CALLER,
        )
    return QuorumRoom(nodes, Keys(prefix), call_timeout=limit, quarantine=span)


def _close(port: Port) -> None:
    step(port.close())


def _place(client: object) -> tuple[object, ...]:
    """Where a client connects to, as far as it tells: what may tell two of its kind apart."""
    pool = getattr(client, "connection_pool", None)
    options: dict[str, object] = getattr(pool, "connection_kwargs", {})
    if "path" in options:
        return (options["path"],)
    if "server" in options:  # fakeredis, in this process
        return (_InProcess(id(options["server"])),)
    if "host" in options or "port" in options:
        return (options.get("host", "localhost"), options.get("port", 6379))
    return ()


def _spelled(place: tuple[object, ...]) -> str:
    return ":".join(str(part) for part in place if not isinstance(part, _InProcess))


def _named(room: QuorumRoom) -> str:
    return f"{', '.join(node.label for node in room.nodes)}; prefix {room.keys.prefix!r}"
