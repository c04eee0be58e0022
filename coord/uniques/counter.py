"""The counter by periods, and what its reads choose."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coord._engine.checks import id_bytes
from coord.errors import TooNoisy
from coord.uniques.estimate import Estimate, difference_of, overlap_of
from coord.uniques.export import dump, load
from coord.uniques.store import EXACT, Content, Part, Store, hash_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from coord._engine.keys import Keys
    from coord._engine.port import Port
    from coord.periods import Calendar, Choice, Instant, Period, PeriodKind

__all__ = ["AsyncSelection", "AsyncUniqueCounter"]


class AsyncUniqueCounter:
    """Counts different ids by period.

    Made by ``unique_counter()`` of a ``Coord`` or ``AsyncCoord``. Every id is counted once a period,
    however often it is added, by however many processes.

    Guarantees: adding is idempotent, so it is safe to repeat, and safe to retry; all periods of one slice
    are updated in one step. A period counts exactly up to 512 ids. Not guaranteed: the exact number of
    more than that (see ``Estimate``), or an answer to "was this id seen?", which a sketch cannot give.
    """

    def __init__(self, port: Port, keys: Keys, name: str, calendar: Calendar, *, raw: bool = False) -> None:
        self._keys = keys
        self._calendar = calendar
        self._family = "hll" if raw else "unique"
        self._store = Store(port, keys(self._family, name, "scratch"), 0 if raw else EXACT)
        self.raw = raw
        self.name = name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

    def _key(self, period: Period) -> str:
        return self._keys(self._family, self.name, period.kind, period.label)

    def _rolled_key(self, whole: Period) -> str:
        return self._keys(self._family, self.name, "rolled", whole.kind, whole.label)

    def _roll_ups(self, periods: Sequence[Period]) -> list[str]:
        """Return the keys of all roll-ups that some periods may be part of."""
        if self.raw:  # there are none: whoever else adds would not remove them
            return []
        wholes = (self._calendar.enclosing(period) for period in periods)
        return [self._rolled_key(whole) for whole in wholes if whole is not None]

    async def add(self, *ids: str | int | bytes, at: Instant | None = None) -> None:
        """Count ids as seen, in every period kept.

        ``1``, ``"1"`` and ``b"1"`` are the same id.

        Args:
            *ids: Any number of them. They travel in slices of 600, of 200 for three periods, and so on, a
                few of which are under way at once.
            at: When they were seen; ``None`` for now, by the server's clock.

        Raises:
            TypeError: An id is not a ``str``, ``int`` or ``bytes``, or ``at`` is no instant.
            ValueError: An id is empty, or ``at`` is a naive ``datetime``.

        Complexity: O(1) an id and period.
        """
        words = [id_bytes(one) for one in ids]
        self._calendar.check(at)
        if not words:
            return
        periods = self._calendar.around(await self._calendar.moment(at))
        await self._store.add(
            [self._key(period) for period in periods],
            self._calendar.lifetimes(periods),
            self._roll_ups(periods),
            words if self.raw else [hash_of(word) for word in words],
        )

    async def count(
        self,
        *,
        period: PeriodKind | None = None,
        at: Instant | Sequence[Instant] | None = None,
        last: int | None = None,
        since: Instant | None = None,
        until: Instant | None = None,
    ) -> Estimate:
        """Estimate how many different ids were seen, in one period or over several together.

        Without arguments: in the current period.

        Args:
            period: Which kind of period to read, if several are kept; ``None`` for the first.
            at: In the period of this instant, or in those of several instants.
            last: In the last so many periods, the current one included.
            since: From the period of this instant ...
            until: ... to the period of this one, both included; ``None`` for the current one.

        Returns:
            The estimate with its 95 % bounds. Someone seen in several of the periods counts once.

        Raises:
            TypeError: Something is no instant, or ``last`` no ``int``.
            ValueError: The ways to choose are mixed, or the range is empty or over 1,000 periods.

        Complexity: O(periods), where the days of a month that is over, the hours of a day, the minutes of
        an hour and the months of a year are rolled up by the first read, and one period thereafter.
        See https://redis.io/commands/pfcount.
        """
        return await self.select(period=period, at=at, last=last, since=since, until=until).count()

    def select(
        self,
        *,
        period: PeriodKind | None = None,
        at: Instant | Sequence[Instant] | None = None,
        last: int | None = None,
        since: Instant | None = None,
        until: Instant | None = None,
    ) -> AsyncSelection:
        """Choose periods, to be united with others by ``|``, counted, compared or exported.

        Nothing is read until the selection is asked something.

        Args:
            period: As for ``count``.
            at: As for ``count``.
            last: As for ``count``.
            since: As for ``count``.
            until: As for ``count``.

        Raises:
            TypeError: As for ``count``.
            ValueError: As for ``count``.
        """
        choice = self._calendar.choose(period, at=at, last=last, since=since, until=until)
        return AsyncSelection(((self, choice),))

    async def restore(
        self, data: bytes, *, period: PeriodKind | None = None, at: Instant | None = None
    ) -> None:
        """Unite what ``export()`` wrote with what one period holds. Only that period, and no other kept.

        To repeat it changes nothing.

        Args:
            data: From ``export()``; for a raw counter, any HyperLogLog as ``GET`` returns it.
            period: Into which kind of period; ``None`` for the first kept.
            at: Into the period of this instant; ``None`` for the current one.

        Raises:
            TypeError: ``data`` is not ``bytes``, or ``at`` no instant.
            ValueError: ``data`` is damaged, or written by a raw counter and this is none, or the reverse.

        Complexity: O(1).
        """
        content = load(data, raw=self.raw)
        kind = self._calendar.kind(period)
        self._calendar.check(at)
        into = self._calendar.period(kind, await self._calendar.moment(at))
        lifetimes, rolled = self._calendar.lifetimes([into]), self._roll_ups([into])
        if content.sketch is not None:
            await self._store.restore(self._key(into), lifetimes, rolled, content.sketch.dump())
        else:
            await self._store.add([self._key(into)], lifetimes, rolled, sorted(content.words))

    async def _parts(self, choice: Choice, now: datetime) -> list[Part]:
        here = await self._calendar.moment(now)
        periods = await self._calendar.resolve(choice, here)
        if self.raw:
            return [Part(self._key(period)) for period in periods]
        parts: list[Part] = []
        for group in self._calendar.grouped(periods, here):
            keys = tuple(self._key(period) for period in group.parts)
            if group.whole is None:
                parts += map(Part, keys)
            else:
                parts.append(Part(self._rolled_key(group.whole), keys))
        return parts


class AsyncSelection:
    """Periods of one or several counters, taken together: a question, asked anew each time.

    Made by ``select()`` of a counter. ``june | july`` are both together; nobody counts twice.
    """

    def __init__(self, terms: tuple[tuple[AsyncUniqueCounter, Choice], ...]) -> None:
        self._terms = terms

    def __repr__(self) -> str:
        names = dict.fromkeys(counter.name for counter, _ in self._terms)
        return f"<{type(self).__name__} of {', '.join(map(repr, names))}>"

    def __or__(self, other: AsyncSelection) -> AsyncSelection:
        """Take both together."""
        if not isinstance(other, AsyncSelection):
            return NotImplemented
        self._require_kin(other)
        return AsyncSelection(self._terms + other._terms)

    async def count(self) -> Estimate:
        """Estimate how many different ids were seen.

        Returns:
            The estimate with its 95 % bounds. It is exact if all of its parts are, and few.

        Complexity: as for ``count`` of a counter. On a cluster, several counters are fetched, at most 12 KiB
        each, and united here, to the same answer.
        """
        return (await self._counts(None))[0]

    async def overlap(self, other: AsyncSelection, *, noisy: bool = False) -> Estimate:
        """Estimate how many ids were seen in both selections.

        It is what both count, less what they count together. The errors of the three counts are those of
        large numbers, and what is left may be small: the standard error is up to 0.8 % of the union, however
        small the overlap.

        Args:
            other: The other selection.
            noisy: Whether to answer even if the standard error is larger than the estimate.

        Returns:
            The estimate with its 95 % bounds, within 0 and the smaller of the two.

        Raises:
            TooNoisy: The standard error is larger than the estimate.

        Complexity: as for ``count``, three times.
        """
        self._require_kin(other)
        return _trusted("overlap", *overlap_of(*await self._counts(other)), noisy=noisy)

    async def difference(self, other: AsyncSelection, *, noisy: bool = False) -> Estimate:
        """Estimate how many ids were seen in this selection and not in the other; see ``overlap``.

        Args:
            other: The other selection.
            noisy: Whether to answer even if the standard error is larger than the estimate.

        Returns:
            The estimate with its 95 % bounds, within 0 and what this selection counts.

        Raises:
            TooNoisy: The standard error is larger than the estimate.

        Complexity: as for ``count``, three times.
        """
        self._require_kin(other)
        return _trusted("difference", *difference_of(*await self._counts(other)), noisy=noisy)

    async def export(self) -> bytes:
        """Write all of it down, for ``restore()`` of a counter.

        Returns:
            At most 64 KiB while it is exact, and about 12 KiB after that. For raw counters, a HyperLogLog as
            ``SET`` takes it.

        Complexity: as for ``count``.
        """
        return dump(await self._content(await self._now()), raw=self._terms[0][0].raw)

    def _require_kin(self, other: AsyncSelection) -> None:
        """Refuse what cannot be compared.

        Raises:
            TypeError: ``other`` is no selection of this flavour.
            ValueError: It is of another Coord's counter; or of a raw counter, and this is not.
        """
        if not isinstance(other, AsyncSelection):
            raise TypeError(f"select() makes what can be compared, not {type(other).__name__} {other!r}")
        ours, theirs = self._terms[0][0], other._terms[0][0]
        if ours._store.port is not theirs._store.port:
            raise ValueError(f"{ours!r} and {theirs!r} are of different Coord objects")
        if ours.raw is not theirs.raw:
            raise ValueError(f"of {ours!r} and {theirs!r}, only one is raw: they do not know ids by one name")

    async def _now(self) -> datetime:
        return await self._terms[0][0]._calendar.moment(None)

    async def _counts(self, other: AsyncSelection | None) -> list[Estimate]:
        """Count this selection; with ``other``, both, and both together."""
        now = await self._now()
        store = self._terms[0][0]._store
        terms = self._terms + (other._terms if other is not None else ())
        if store.port.one_slot() or len({counter.name for counter, _ in terms}) == 1:
            return await store.counts(
                await self._parts(now), await other._parts(now) if other is not None else ()
            )
        contents = [await self._content(now)]
        if other is not None:
            contents.append(await other._content(now))
            contents.append(contents[0] | contents[1])
        return [content.estimate() for content in contents]

    async def _parts(self, now: datetime) -> list[Part]:
        parts = [part for counter, choice in self._terms for part in await counter._parts(choice, now)]
        return list(dict.fromkeys(parts))

    async def _content(self, now: datetime) -> Content:
        together = Content(frozenset(), None)
        for counter, choice in self._terms:
            together |= await counter._store.content(await counter._parts(choice, now))
        return together


def _trusted(what: str, estimate: Estimate, deviation: float, *, noisy: bool) -> Estimate:
    if deviation > estimate.value and not noisy:
        raise TooNoisy(what, estimate, deviation)
    return estimate
