"""The one way in: a ``Coord`` owns the connection and hands out primitives.

``Coord`` and ``AsyncCoord`` are twins: the same methods, with the same arguments, answered by twins.
Nothing is sent until a primitive is used, so both may be made when a module is imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coord._engine.checks import seconds
from coord._engine.clock import ServerClock
from coord._engine.faces import twin_of
from coord._engine.keys import Keys
from coord._engine.port import step
from coord._engine.tasks import TaskPort
from coord._engine.threads import ThreadPort
from coord._engine.urls import CALL_TIMEOUT, open_async, open_sync
from coord.activity import Activity, AsyncActivity
from coord.leaderboard import AsyncLeaderboard, Leaderboard
from coord.limits import AsyncSlidingWindow, AsyncTokenBucket, SlidingWindow, TokenBucket
from coord.locks import AsyncLock, Lock, LockRoom
from coord.periods import Calendar
from coord.uniques import AsyncUniqueCounter, UniqueCounter

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo
    from types import TracebackType
    from typing import Literal, Self

    from coord._engine.checks import Seconds
    from coord._engine.urls import Opened
    from coord._engine.wires import AsyncClient, Client
    from coord.leaderboard import Keep, Order, Ties

__all__ = ["AsyncCoord", "Coord"]

SHORTEST_CALL = 0.001


class AsyncCoord:
    """One connection to Redis or Valkey, and every primitive on it.

    Keep it for the life of the process; share it between all its threads (``Coord``) or all tasks of an
    event loop (``AsyncCoord``).

    Args:
        client: A client that stays yours to close: of the ``redis`` or ``valkey`` package or
            ``fakeredis``, for one server, a cluster or a Sentinel's master.
        prefix: What every key begins with; ``:`` nests. Two applications on one server take two.
        call_timeout: Seconds, or a ``timedelta``, until a single call must have been answered.
        coalesce: Whether the concurrent calls of an event loop travel together, over one connection to each
            server. For ``Coord``, whose threads have a connection each, it changes nothing.

    Raises:
        TypeError: ``client`` is for the twin class, or no client.
        ValueError: ``prefix`` is empty, or ``call_timeout`` not a positive time.
    """

    def __init__(
        self,
        client: AsyncClient,
        *,
        prefix: str = "coord",
        call_timeout: Seconds = CALL_TIMEOUT,
        coalesce: bool = True,
    ) -> None:
        self._set_up(client, None, prefix, call_timeout, coalesce=coalesce)

    def _set_up(
        self, client: AsyncClient, owned: Opened | None, prefix: str, call_timeout: Seconds, *, coalesce: bool
    ) -> None:
        limit = seconds(call_timeout, "call_timeout", at_least=SHORTEST_CALL)
        self._keys = Keys(prefix)
        self._port = TaskPort(client, call_timeout=limit, owned=owned, coalesce=coalesce)
        self._clock = ServerClock(self._port)
        self._locks = LockRoom(self._port, self._keys)
        self._where = type(client).__name__ if owned is None else owned.shown

    @classmethod
    def connect(
        cls, url: str, *, prefix: str = "coord", call_timeout: Seconds = CALL_TIMEOUT, coalesce: bool = True
    ) -> Self:
        """Open a client for a URL, and own it: closing closes it too.

        ``redis://``, ``rediss://``, ``unix://``, ``redis+cluster://host:port``,
        ``redis+sentinel://host:port,host:port/service``; ``embedded://`` starts a private Valkey server
        (``embedded:///folder`` keeps its data there), ``memory://`` stays inside the process (give it a
        name, ``memory://tests``, to share the data).

        Args:
            url: Where to connect. Only ``embedded://``, and a cluster's for ``Coord``, do anything
                right away.
            prefix: What every key begins with.
            call_timeout: Seconds, or a ``timedelta``, until a single call must have been answered.
            coalesce: As for the class.

        Raises:
            ImportError: The URL needs an extra that is not installed; the message names it.
            ValueError: The URL cannot be read.
        """
        limit = seconds(call_timeout, "call_timeout", at_least=SHORTEST_CALL)
        Keys(prefix)
        opened = open_async(url, limit)
        made = cls.__new__(cls)
        made._set_up(opened.client, opened, prefix, call_timeout, coalesce=coalesce)
        return made

    def __repr__(self) -> str:
        return f"<{type(self).__name__} on {self._where}, prefix {self._keys.prefix!r}>"

    async def close(self) -> None:
        """Close what this object opened; a client given to it stays open. Closing twice is harmless."""
        self._locks.close()
        await self._port.close()

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
        fair: bool = False,
        reentrant: bool = False,
        wait: Literal["signal", "poll"] = "signal",
    ) -> AsyncLock:
        """Make a lock.

        Args:
            name: What is locked; the same name is the same lock in every process.
            ttl: The lease: how long the lock survives a holder who disappears. At least 10 ms.
            renew: Whether a ``with`` block renews its lease for as long as it runs.
            max_hold: How long a ``with`` block may hold it at the most; then the lease is lost.
            fair: Whether waiters are served in the order of their arrival at the server. For all holders
                of a name or for none: who does not ask for it does not stand in line.
            reentrant: Whether a task or thread may enter ``with`` blocks of this name inside one another;
                they hold one lease, which the outermost releases.
            wait: ``"signal"`` to be woken by the release over a connection for messages, one for each
                ``Coord``; ``"poll"`` for servers that forbid those. On a cluster it is always polling.
        """
        return AsyncLock(
            self._locks,
            name,
            ttl=ttl,
            renew=renew,
            max_hold=max_hold,
            fair=fair,
            reentrant=reentrant,
            wait=wait,
        )

    def token_bucket(
        self, name: str, *, rate: float, period: Seconds = 1, burst: int | None = None
    ) -> AsyncTokenBucket:
        """Make a token bucket: bursts, and then a steady pace.

        Args:
            name: What is limited; each key of it has a bucket of its own.
            rate: Tokens gained each period.
            period: The time in which they are gained. At least 1 ms.
            burst: The most that a full bucket holds; ``None`` for one period's worth.

        Raises:
            ValueError: The numbers cannot be counted exactly together.
        """
        return AsyncTokenBucket(self._port, self._keys, name, rate=rate, period=period, burst=burst)

    def sliding_window(self, name: str, *, limit: int, period: Seconds) -> AsyncSlidingWindow:
        """Make a sliding window: never more than so many in any stretch of time.

        Args:
            name: What is limited; each key of it has a window of its own.
            limit: The most that any stretch of ``period`` may hold, up to 1,000,000.
            period: The length of the window. At least 1 ms.
        """
        return AsyncSlidingWindow(self._port, self._keys, name, limit=limit, period=period)

    def unique_counter(
        self,
        name: str,
        *,
        period: str | Sequence[str] = "day",
        tz: str | tzinfo = "UTC",
        retain: Seconds | None = None,
    ) -> AsyncUniqueCounter:
        """Make a counter of different ids.

        Args:
            name: What is counted.
            period: One kind of period to keep, or several: ``minute``, ``hour``, ``day``, ``week`` (ISO),
                ``month``, ``year``.
            tz: Where a day begins at midnight: an IANA time zone, or a ``tzinfo``.
            retain: How long a period is kept after its end; ``None`` for a day (minutes), 31 days
                (hours), 400 days (days), 800 days (weeks), 5 years (months) or 10 years (years).
        """
        return AsyncUniqueCounter(self._port, self._keys, name, Calendar(period, tz, retain, self._clock))

    def activity(
        self,
        name: str,
        *,
        period: str | Sequence[str] = "day",
        ids: Literal["int", "text"] = "int",
        tz: str | tzinfo = "UTC",
        retain: Seconds | None = None,
    ) -> AsyncActivity:
        """Make a record of who was active when.

        Args:
            name: What is recorded.
            period: As for ``unique_counter``.
            ids: ``"int"`` if ids are small numbers, ``"text"`` to number any other kind densely.
            tz: As for ``unique_counter``.
            retain: As for ``unique_counter``.
        """
        return AsyncActivity(self._port, self._keys, name, Calendar(period, tz, retain, self._clock), ids)

    def leaderboard(
        self, name: str, *, order: Order = "desc", keep: Keep = "last", ties: Ties = "competition"
    ) -> AsyncLeaderboard:
        """Make a leaderboard. Its key is permanent.

        Args:
            name: The board.
            order: ``"desc"`` if more is better, ``"asc"`` if less is.
            keep: Which score stays when a member submits again: ``"last"``, ``"best"`` or ``"sum"``.
            ties: How equal scores rank: ``"competition"`` (1, 2, 2, 4), or ``"ordinal"`` by name.
        """
        return AsyncLeaderboard(self._port, self._keys, name, order=order, keep=keep, ties=ties)


@twin_of(AsyncCoord)
class Coord:
    def __init__(
        self,
        client: Client,
        *,
        prefix: str = "coord",
        call_timeout: Seconds = CALL_TIMEOUT,
        coalesce: bool = True,
    ) -> None:
        del coalesce
        self._set_up(client, None, prefix, call_timeout)

    def _set_up(self, client: Client, owned: Opened | None, prefix: str, call_timeout: Seconds) -> None:
        limit = seconds(call_timeout, "call_timeout", at_least=SHORTEST_CALL)
        self._keys = Keys(prefix)
        self._port = ThreadPort(client, call_timeout=limit, owned=owned)
        self._clock = ServerClock(self._port)
        self._locks = LockRoom(self._port, self._keys)
        self._where = type(client).__name__ if owned is None else owned.shown

    @classmethod
    def connect(
        cls, url: str, *, prefix: str = "coord", call_timeout: Seconds = CALL_TIMEOUT, coalesce: bool = True
    ) -> Self:
        del coalesce
        limit = seconds(call_timeout, "call_timeout", at_least=SHORTEST_CALL)
        Keys(prefix)
        opened = open_sync(url, limit)
        made = cls.__new__(cls)
        made._set_up(opened.client, opened, prefix, call_timeout)
        return made

    def __repr__(self) -> str:
        return f"<{type(self).__name__} on {self._where}, prefix {self._keys.prefix!r}>"

    def close(self) -> None:
        self._locks.close()
        step(self._port.close())

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
        fair: bool = False,
        reentrant: bool = False,
        wait: Literal["signal", "poll"] = "signal",
    ) -> Lock:
        return Lock(
            self._locks,
            name,
            ttl=ttl,
            renew=renew,
            max_hold=max_hold,
            fair=fair,
            reentrant=reentrant,
            wait=wait,
        )

    def token_bucket(
        self, name: str, *, rate: float, period: Seconds = 1, burst: int | None = None
    ) -> TokenBucket:
        return TokenBucket(self._port, self._keys, name, rate=rate, period=period, burst=burst)

    def sliding_window(self, name: str, *, limit: int, period: Seconds) -> SlidingWindow:
        return SlidingWindow(self._port, self._keys, name, limit=limit, period=period)

    def unique_counter(
        self,
        name: str,
        *,
        period: str | Sequence[str] = "day",
        tz: str | tzinfo = "UTC",
        retain: Seconds | None = None,
    ) -> UniqueCounter:
        return UniqueCounter(self._port, self._keys, name, Calendar(period, tz, retain, self._clock))

    def activity(
        self,
        name: str,
        *,
        period: str | Sequence[str] = "day",
        ids: Literal["int", "text"] = "int",
        tz: str | tzinfo = "UTC",
        retain: Seconds | None = None,
    ) -> Activity:
        return Activity(self._port, self._keys, name, Calendar(period, tz, retain, self._clock), ids)

    def leaderboard(
        self, name: str, *, order: Order = "desc", keep: Keep = "last", ties: Ties = "competition"
    ) -> Leaderboard:
        return Leaderboard(self._port, self._keys, name, order=order, keep=keep, ties=ties)
