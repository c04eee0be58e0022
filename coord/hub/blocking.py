"""The way in for threads: the same methods, which block."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from coord._engine.checks import seconds
from coord._engine.clock import ServerClock
from coord._engine.faces import async_only, twin_of
from coord._engine.keys import Keys
from coord._engine.port import step
from coord._engine.threads import ThreadPort
from coord._engine.urls import CALL_TIMEOUT, SHORTEST_CALL, open_sync
from coord.concurrency import PermitRoom
from coord.hub.limiting import Limiting
from coord.hub.suspending import AsyncCoord
from coord.limits import LimitRoom
from coord.locks import Fenced, Lock, LockRoom, Locks, Wait

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import tzinfo
    from types import TracebackType
    from typing import Self

    from coord._engine.checks import Seconds
    from coord._engine.urls import Opened
    from coord._engine.wires import Client
    from coord.activity import Activity, Ids
    from coord.leaderboard import (
        BoardPeriod,
        Keep,
        Leaderboard,
        Order,
        Season,
        ShardedLeaderboard,
        Tiebreak,
        Ties,
    )
    from coord.periods import PeriodKind, Weekday
    from coord.uniques import SlidingUniqueCounter, UniqueCounter

__all__ = ["Coord"]

RENEWS_IN_A_THREAD = "a Coord renews in a thread in any case, so leave it out; it is for an AsyncCoord"
TRAVELS_ALONE = "threads have a connection each, so leave it out; it is for an AsyncCoord"
"""What to do where an option of the async twin is given."""


@twin_of(AsyncCoord)
class Coord(Limiting):
    @async_only(coalesce=TRAVELS_ALONE)
    def __init__(
        self, client: Client, *, prefix: str = "coord", call_timeout: Seconds = CALL_TIMEOUT
    ) -> None:
        self._set_up(client, None, prefix, call_timeout)

    def _set_up(self, client: Client, owned: Opened | None, prefix: str, call_timeout: Seconds) -> None:
        limit = seconds(call_timeout, "call_timeout", at_least=SHORTEST_CALL)
        self._keys = Keys(prefix)
        self._port = ThreadPort(client, call_timeout=limit, owned=owned)
        self._clock = ServerClock(self._port)
        self._locks = LockRoom(self._port, self._keys)
        self._limits = LimitRoom(self._port, self._keys)
        self._permits = PermitRoom(self._locks)
        self._where = type(client).__name__ if owned is None else owned.shown

    @classmethod
    @async_only(coalesce=TRAVELS_ALONE)
    def connect(cls, url: str, *, prefix: str = "coord", call_timeout: Seconds = CALL_TIMEOUT) -> Self:
        limit = seconds(call_timeout, "call_timeout", at_least=SHORTEST_CALL)
        Keys(prefix)
        opened = open_sync(url, limit)
        made = cls.__new__(cls)
        made._set_up(opened.client, opened, prefix, call_timeout)
        return made

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Coord cannot be pickled; make one in each process")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} on {self._where}, prefix {self._keys.prefix!r}>"

    def close(self) -> None:
        self._locks.close()
        self._permits.close()
        step(self._limits.close())
        step(self._port.close())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @async_only(renew_in=RENEWS_IN_A_THREAD)
    def lock(
        self,
        name: str,
        *,
        ttl: Seconds = 10,
        renew: bool = True,
        max_hold: Seconds | None = None,
        fair: bool = False,
        reentrant: bool = False,
        wait: Wait = "signal",
        replicas: int = 0,
        fsync: bool = False,
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
            replicas=replicas,
            fsync=fsync,
        )

    @async_only(renew_in=RENEWS_IN_A_THREAD)
    def locks(
        self,
        *names: str,
        ttl: Seconds = 10,
        renew: bool = True,
        max_hold: Seconds | None = None,
        wait: Wait = "signal",
        replicas: int = 0,
        fsync: bool = False,
    ) -> Locks:
        return Locks(
            self._locks,
            names,
            ttl=ttl,
            renew=renew,
            max_hold=max_hold,
            wait=wait,
            replicas=replicas,
            fsync=fsync,
        )

    def fenced(self, name: str) -> Fenced:
        return Fenced(self._port, self._keys, name)

    def unique_counter(
        self,
        name: str,
        *,
        period: PeriodKind | Sequence[PeriodKind] = "day",
        tz: str | tzinfo = "UTC",
        week_start: Weekday = "monday",
        retain: Seconds | None = None,
        raw: bool = False,
    ) -> UniqueCounter:
        from coord.periods import Calendar
        from coord.uniques import UniqueCounter

        calendar = Calendar(period, tz, retain, self._clock, week_start)
        return UniqueCounter(self._port, self._keys, name, calendar, raw=raw)

    def sliding_unique_counter(
        self, name: str, *, window: Seconds = 300, buckets: int = 60, exact: bool = False
    ) -> SlidingUniqueCounter:
        from coord.periods import Calendar
        from coord.uniques import SlidingUniqueCounter

        calendar = Calendar("minute", "UTC", None, self._clock)
        return SlidingUniqueCounter(
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
    ) -> Activity:
        from coord.activity import Activity, Marker, Track
        from coord.periods import Calendar

        calendar = Calendar(period, tz, retain, self._clock, week_start)
        return Activity(Marker(self._port, calendar, ids), Track.of(self._keys, name, ids))

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
    ) -> Leaderboard:
        from coord.leaderboard import Leaderboard, Schedule, Setup

        schedule = Schedule.of(
            period, tz=tz, week_start=week_start, retain=retain, seasons=seasons, clock=self._clock
        )
        setup = Setup(self._port, self._keys, name, order, keep, ties, tiebreak, member_ttl, schedule)
        return Leaderboard(setup)

    def sharded_leaderboard(
        self,
        name: str,
        *,
        shards: int = 16,
        order: Order = "desc",
        keep: Keep = "last",
        ties: Ties = "competition",
        member_ttl: Seconds | None = None,
    ) -> ShardedLeaderboard:
        from coord.leaderboard import Setup, ShardedLeaderboard

        return ShardedLeaderboard(
            Setup(self._port, self._keys, name, order, keep, ties, member_ttl=member_ttl), shards
        )
