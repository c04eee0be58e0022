"""The way in for tasks of an event loop, and what every method of either twin says."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from coord._engine.checks import seconds
from coord._engine.clock import ServerClock
from coord._engine.keys import Keys
from coord._engine.tasks import TaskPort
from coord._engine.urls import CALL_TIMEOUT, SHORTEST_CALL, open_async
from coord.concurrency import PermitRoom
from coord.hub.limiting import AsyncLimiting
from coord.limits import LimitRoom
from coord.locks import AsyncFenced, AsyncLock, AsyncLocks, LockRoom, RenewIn, Wait

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import tzinfo
    from types import TracebackType
    from typing import Self

    from coord._engine.checks import Seconds
    from coord._engine.urls import Opened
    from coord._engine.wires import AsyncClient
    from coord.activity import AsyncActivity, Ids
    from coord.leaderboard import (
        AsyncLeaderboard,
        AsyncShardedLeaderboard,
        BoardPeriod,
        Keep,
        Order,
        Season,
        Tiebreak,
        Ties,
    )
    from coord.periods import PeriodKind, Weekday
    from coord.uniques import AsyncSlidingUniqueCounter, AsyncUniqueCounter

__all__ = ["AsyncCoord"]


class AsyncCoord(AsyncLimiting):
    """One connection to Redis or Valkey, and every primitive on it.

    Keep it for the life of the process; share it between all its threads (``Coord``) or all tasks of an
    event loop (``AsyncCoord``).

    Args:
        client: A client that stays yours to close: of the ``redis`` or ``valkey`` package or
            ``fakeredis``, for one server, a cluster or a Sentinel's master.
        prefix: What every key begins with; ``:`` nests. Two applications on one server take two.
        call_timeout: Seconds, or a ``timedelta``, until a single call must have been answered.
        coalesce: Whether the concurrent calls of an event loop travel together, over one connection to each
            server. Of an ``AsyncCoord`` alone: the threads of a ``Coord`` have a connection each.

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
        self._limits = LimitRoom(self._port, self._keys)
        self._permits = PermitRoom(self._locks)
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
            coalesce: As for the class; of an ``AsyncCoord`` alone.

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

    def __reduce__(self) -> NoReturn:
        raise TypeError("an AsyncCoord cannot be pickled; make one in each process")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} on {self._where}, prefix {self._keys.prefix!r}>"

    async def close(self) -> None:
        """Close what this object opened; a client given to it stays open. Closing twice is harmless."""
        self._locks.close()
        self._permits.close()
        await self._limits.close()
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
        renew_in: RenewIn = "loop",
        max_hold: Seconds | None = None,
        fair: bool = False,
        reentrant: bool = False,
        wait: Wait = "signal",
        replicas: int = 0,
        fsync: bool = False,
    ) -> AsyncLock:
        """Make a lock.

        Args:
            name: What is locked; the same name is the same lock in every process.
            ttl: The lease: how long the lock survives a holder who disappears. At least 10 ms.
            renew: Whether a ``with`` block renews its lease for as long as it runs.
            renew_in: ``"loop"`` to renew in a task of the same event loop; ``"thread"`` to do it in a thread,
                over a connection of its own, so that a body may block the event loop for longer than its
                lease. Of an ``AsyncCoord`` alone: a ``Coord`` renews in a thread in any case.
            max_hold: How long a ``with`` block may hold it at the most; then the lease is lost.
            fair: Whether waiters are served in the order of their arrival at the server. For all holders
                of a name or for none: who does not ask for it does not stand in line.
            reentrant: Whether a task or thread may enter ``with`` blocks of this name inside one another;
                they hold one lease, which the outermost releases.
            wait: ``"signal"`` to be woken by the release over a connection for messages, one for each
                ``Coord``, or for each node of a cluster; ``"poll"`` for servers that forbid those.
            replicas: How many replicas must have a grant before it counts. A grant that falls short is given
                back, and ``NotDurable`` raised.
            fsync: Whether a grant must be on disk before it counts: the server's, and that of ``replicas``.
                Needs ``appendonly yes`` there, and Redis 7.2 or Valkey.
        """
        return AsyncLock(
            self._locks,
            name,
            ttl=ttl,
            renew=renew,
            renew_in=renew_in,
            max_hold=max_hold,
            fair=fair,
            reentrant=reentrant,
            wait=wait,
            replicas=replicas,
            fsync=fsync,
        )

    def locks(
        self,
        *names: str,
        ttl: Seconds = 10,
        renew: bool = True,
        renew_in: RenewIn = "loop",
        max_hold: Seconds | None = None,
        wait: Wait = "signal",
        replicas: int = 0,
        fsync: bool = False,
    ) -> AsyncLocks:
        """Make a lock of several names, which are taken all together or not at all.

        Args:
            names: What is locked; each is the same lock that ``lock()`` makes. Neither their order nor a
                name given twice makes a difference. None of them may be locked with ``fair=True`` elsewhere.
            ttl: As for ``lock``.
            renew: As for ``lock``.
            renew_in: As for ``lock``; of an ``AsyncCoord`` alone.
            max_hold: As for ``lock``.
            wait: As for ``lock``.
            replicas: As for ``lock``.
            fsync: As for ``lock``.
        """
        return AsyncLocks(
            self._locks,
            names,
            ttl=ttl,
            renew=renew,
            renew_in=renew_in,
            max_hold=max_hold,
            wait=wait,
            replicas=replicas,
            fsync=fsync,
        )

    def fenced(self, name: str) -> AsyncFenced:
        """Make a value that a lock's fence guards. Its key is permanent, unless it is set with a ``ttl``.

        Args:
            name: The value; the same name is the same value in every process.
        """
        return AsyncFenced(self._port, self._keys, name)

    def unique_counter(
        self,
        name: str,
        *,
        period: PeriodKind | Sequence[PeriodKind] = "day",
        tz: str | tzinfo = "UTC",
        week_start: Weekday = "monday",
        retain: Seconds | None = None,
        raw: bool = False,
    ) -> AsyncUniqueCounter:
        """Make a counter of different ids.

        Args:
            name: What is counted.
            period: One kind of period to keep, or several: ``minute``, ``hour``, ``day``, ``week``,
                ``month``, ``year``.
            tz: Where a day begins at midnight: an IANA time zone, or a ``tzinfo``.
            week_start: The day on which a week begins; ``"monday"`` for ISO weeks.
            retain: How long a period is kept after its end; ``None`` for a day (minutes), 31 days
                (hours), 400 days (days), 800 days (weeks), 5 years (months) or 10 years (years).
            raw: Whether ids go as they are into a HyperLogLog that others use too, by ``PFADD`` and
                ``PFCOUNT``. Nothing is counted exactly then, and no ranges are rolled up.
        """
        from coord.periods import Calendar
        from coord.uniques import AsyncUniqueCounter

        calendar = Calendar(period, tz, retain, self._clock, week_start)
        return AsyncUniqueCounter(self._port, self._keys, name, calendar, raw=raw)

    def sliding_unique_counter(
        self, name: str, *, window: Seconds = 300, buckets: int = 60, exact: bool = False
    ) -> AsyncSlidingUniqueCounter:
        """Make a counter of the different ids of the last so many seconds.

        Args:
            name: What is counted.
            window: How far back it reaches, in seconds. At least 1 ms.
            buckets: Into how many pieces the window is cut, up to 1,000: what it counts may reach back one
                piece too far.
            exact: Whether to remember when each id was last seen instead, at 60 to 110 bytes an id.
        """
        from coord.periods import Calendar
        from coord.uniques import AsyncSlidingUniqueCounter

        calendar = Calendar("minute", "UTC", None, self._clock)
        return AsyncSlidingUniqueCounter(
            self._port, self._keys, name, calendar, window=window, buckets=buckets, exact=exact
        )

    def activity(
        self,
        name: str,
        *,
        period: PeriodKind | Sequence[PeriodKind] = "day",
        ids: Ids = "int",
        tz: str | tzinfo = "UTC",
        week_start: Weekday = "monday",
        retain: Seconds | None = None,
    ) -> AsyncActivity:
        """Make a record of who was active when.

        Args:
            name: What is recorded.
            period: As for ``unique_counter``.
            ids: ``"int"`` if ids are numbers, best of all those of a sequence; ``"text"`` for any other kind,
                and for numbers that are scattered.
            tz: As for ``unique_counter``.
            week_start: On which day a week begins; ``"monday"`` for ISO weeks.
            retain: As for ``unique_counter``.
        """
        from coord.activity import AsyncActivity, Marker, Track
        from coord.periods import Calendar

        calendar = Calendar(period, tz, retain, self._clock, week_start)
        return AsyncActivity(Marker(self._port, calendar, ids), Track.of(self._keys, name, ids))

    def leaderboard(
        self,
        name: str,
        *,
        order: Order = "desc",
        keep: Keep = "last",
        ties: Ties = "competition",
        tiebreak: Tiebreak = "name",
        member_ttl: Seconds | None = None,
        period: BoardPeriod | Sequence[BoardPeriod] | Mapping[BoardPeriod, Keep] | None = None,
        tz: str | tzinfo = "UTC",
        week_start: Weekday = "monday",
        retain: Seconds | None = None,
        seasons: Sequence[Season] = (),
    ) -> AsyncLeaderboard:
        """Make a leaderboard. Its keys are permanent, unless it has periods.

        Args:
            name: The board.
            order: ``"desc"`` if more is better, ``"asc"`` if less is.
            keep: Which score stays when a member submits again: ``"last"``, ``"best"``, ``"worst"``,
                ``"sum"`` or ``"first"``.
            ties: How equal scores rank, unless a read says otherwise: ``"competition"`` (1, 2, 2, 4),
                ``"modified"`` (1, 3, 3, 4), ``"dense"`` (1, 2, 2, 3), ``"fractional"`` (1, 2.5, 2.5, 4) or
                ``"ordinal"`` (1, 2, 3, 4).
            tiebreak: How equal scores stand: by ``"name"``, or ``"first"`` who reached it first. A board
                keeps that of its first submission.
            member_ttl: How long a score lives after its member's last submission; ``None`` for ever.
            period: What each submission feeds at once, if not one permanent board: one or several of
                ``"minute"``, ``"hour"``, ``"day"``, ``"week"``, ``"month"``, ``"year"``, ``"season"`` and
                ``"all"``, or a rule to keep scores by for each: ``{"day": "best", "all": "sum"}``. The first
                is what reads are about, and ``of()`` gives the others.
            tz: As for ``unique_counter``.
            week_start: On which day a week begins; ``"monday"`` for ISO weeks.
            retain: As for ``unique_counter``; a season is kept for 5 years.
            seasons: The seasons that there are, for ``period="season"``. Between seasons nothing is kept
                under that.
        """
        from coord.leaderboard import AsyncLeaderboard, Schedule, Setup

        schedule = Schedule.of(
            period, tz=tz, week_start=week_start, retain=retain, seasons=seasons, clock=self._clock
        )
        setup = Setup(self._port, self._keys, name, order, keep, ties, tiebreak, member_ttl, schedule)
        return AsyncLeaderboard(setup)

    def sharded_leaderboard(
        self,
        name: str,
        *,
        shards: int = 16,
        order: Order = "desc",
        keep: Keep = "last",
        ties: Ties = "competition",
        member_ttl: Seconds | None = None,
    ) -> AsyncShardedLeaderboard:
        """Make a leaderboard that is spread over a cluster. Its keys are permanent.

        Args:
            name: The board. It is another one than that of this name without shards.
            shards: Over how many boards to spread its members, up to 1,024: some times as many as the
                cluster will ever have nodes. With another number it is another board.
            order: As for ``leaderboard``.
            keep: As for ``leaderboard``.
            ties: As for ``leaderboard``, but for ``"dense"``.
            member_ttl: As for ``leaderboard``.
        """
        from coord.leaderboard import AsyncShardedLeaderboard, Setup

        return AsyncShardedLeaderboard(
            Setup(self._port, self._keys, name, order, keep, ties, member_ttl=member_ttl), shards
        )
