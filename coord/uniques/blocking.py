"""The sync faces of the counters: the same flows, stepped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coord._engine.faces import twin_of
from coord._engine.port import step
from coord.uniques.counter import AsyncSelection, AsyncUniqueCounter
from coord.uniques.sliding import AsyncSlidingUniqueCounter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coord._engine.checks import Seconds
    from coord._engine.keys import Keys
    from coord._engine.port import Port
    from coord.periods import Calendar, Instant, PeriodKind
    from coord.uniques.estimate import Estimate

__all__ = ["Selection", "SlidingUniqueCounter", "UniqueCounter"]


@twin_of(AsyncUniqueCounter)
class UniqueCounter:
    def __init__(self, port: Port, keys: Keys, name: str, calendar: Calendar, *, raw: bool = False) -> None:
        self._flow = AsyncUniqueCounter(port, keys, name, calendar, raw=raw)
        self.raw = raw
        self.name = name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

    def add(self, *ids: str | int | bytes, at: Instant | None = None) -> None:
        return step(self._flow.add(*ids, at=at))

    def count(
        self,
        *,
        period: PeriodKind | None = None,
        at: Instant | Sequence[Instant] | None = None,
        last: int | None = None,
        since: Instant | None = None,
        until: Instant | None = None,
    ) -> Estimate:
        return step(self._flow.count(period=period, at=at, last=last, since=since, until=until))

    def select(
        self,
        *,
        period: PeriodKind | None = None,
        at: Instant | Sequence[Instant] | None = None,
        last: int | None = None,
        since: Instant | None = None,
        until: Instant | None = None,
    ) -> Selection:
        return Selection(self._flow.select(period=period, at=at, last=last, since=since, until=until))

    def restore(self, data: bytes, *, period: PeriodKind | None = None, at: Instant | None = None) -> None:
        return step(self._flow.restore(data, period=period, at=at))


@twin_of(AsyncSelection)
class Selection:
    def __init__(self, flow: AsyncSelection) -> None:
        self._flow = flow

    def __repr__(self) -> str:
        return repr(self._flow).replace("AsyncSelection", "Selection", 1)

    def __or__(self, other: Selection) -> Selection:
        return Selection(self._flow | other._flow) if isinstance(other, Selection) else NotImplemented

    def count(self) -> Estimate:
        return step(self._flow.count())

    def overlap(self, other: Selection, *, noisy: bool = False) -> Estimate:
        return step(self._flow.overlap(_flow_of(other), noisy=noisy))

    def difference(self, other: Selection, *, noisy: bool = False) -> Estimate:
        return step(self._flow.difference(_flow_of(other), noisy=noisy))

    def export(self) -> bytes:
        return step(self._flow.export())


def _flow_of(other: Selection) -> AsyncSelection:
    if not isinstance(other, Selection):
        raise TypeError(f"select() makes what can be compared, not {type(other).__name__} {other!r}")
    return other._flow


@twin_of(AsyncSlidingUniqueCounter)
class SlidingUniqueCounter:
    def __init__(
        self,
        port: Port,
        keys: Keys,
        name: str,
        calendar: Calendar,
        *,
        window: Seconds = 300,
        buckets: int = 60,
        exact: bool = False,
    ) -> None:
        self._flow = AsyncSlidingUniqueCounter(
            port, keys, name, calendar, window=window, buckets=buckets, exact=exact
        )
        self.name = name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

    def add(self, *ids: str | int | bytes, at: Instant | None = None) -> None:
        return step(self._flow.add(*ids, at=at))

    def count(self, *, within: Seconds | None = None) -> Estimate:
        return step(self._flow.count(within=within))
