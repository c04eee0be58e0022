"""The counter whose window slides: a ring of short periods, or exactly, a time for each id."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coord._engine.checks import id_bytes, integer, micros, seconds
from coord._engine.port import run_all
from coord._engine.replies import as_int, nothing
from coord._engine.script import Script
from coord.uniques.estimate import Estimate, exactly
from coord.uniques.store import EXACT, SLICE, Part, Store, hash_of

if TYPE_CHECKING:
    from coord._engine.checks import Seconds
    from coord._engine.keys import Keys
    from coord._engine.port import Port
    from coord.periods import Calendar, Instant

__all__ = ["AsyncSlidingUniqueCounter"]

SHORTEST = 0.001
"""Seconds of a window: keys live for whole milliseconds, and at least one."""

MOST_BUCKETS = 1000
"""Pieces of a window: each is a key that a count names, and a server reads so many in a few milliseconds."""

_ADD = Script("recent_add", parse=nothing, repeatable=True)
_COUNT = Script("recent_count", parse=as_int, repeatable=True)


class AsyncSlidingUniqueCounter:
    """Counts the different ids of the last so many seconds.

    Made by ``sliding_unique_counter()`` of a ``Coord`` or ``AsyncCoord``.

    The window is cut into buckets, each counted as a period of a ``UniqueCounter`` is. A count takes every
    bucket that the window touches: nobody seen in the window is missed, and somebody seen up to one bucket's
    length before it may be in. With ``exact=True`` the server remembers when each id was last seen instead,
    and the count is right to the microsecond, at 60 to 110 bytes an id.

    Counters of one name count the same ids if their buckets are equally long, whatever their windows; exact
    ones, if their windows are. Others have ids of their own, and none removes another's.

    Guarantees: adding is idempotent, and safe to repeat. Not guaranteed, unless ``exact``: that the window
    begins at its very moment, or the exact number of more than 512 ids in one bucket.
    """

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
        self._keys = keys
        self._calendar = calendar
        self._port = port
        self._window = micros(seconds(window, "window", at_least=SHORTEST))
        integer(buckets, "buckets", at_least=1, at_most=MOST_BUCKETS)
        self._width = max(1, -(-self._window // buckets))
        self._store = Store(port, keys("recent", name, "scratch"), EXACT)
        self._seen = keys("recent", name, "seen", str(self._window)) if exact else None
        self.name = name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

    def _bucket(self, number: int) -> str:
        return self._keys("recent", self.name, str(self._width), str(number))

    async def _micros(self, at: Instant | None) -> int:
        return micros((await self._calendar.moment(at)).timestamp())

    async def add(self, *ids: str | int | bytes, at: Instant | None = None) -> None:
        """Count ids as seen.

        Args:
            *ids: Any number of them, as for a ``UniqueCounter``.
            at: When they were seen; ``None`` for now, by the server's clock, and never later than that. What
                has left the window by now is ignored.

        Raises:
            TypeError: An id is not a ``str``, ``int`` or ``bytes``, or ``at`` is no instant.
            ValueError: An id is empty, or ``at`` is a naive ``datetime``.

        Complexity: O(1) an id; O(log n) if exact.
        """
        hashes = [hash_of(id_bytes(one)) for one in ids]
        self._calendar.check(at)
        if not hashes:
            return
        now = await self._micros(None)
        seen = now if at is None else min(now, await self._micros(at))
        if seen <= now - self._window:
            return
        if self._seen is not None:
            slices = [hashes[start : start + SLICE] for start in range(0, len(hashes), SLICE)]
            given = 0 if at is None else seen
            await run_all(self._port, [_ADD([self._seen], self._window, given, *some) for some in slices])
            return
        number = seen // self._width
        end = -(-(number + 1) * self._width // 1000)
        keep = -(-(self._window + self._width) // 1000)
        await self._store.add([self._bucket(number)], [end, keep], (), hashes)

    async def count(self, *, within: Seconds | None = None) -> Estimate:
        """Estimate how many different ids were seen lately.

        Args:
            within: In the last so many seconds, up to the window; ``None`` for all of it.

        Returns:
            The estimate with its 95 % bounds. They bound the number of ids in the buckets that were read, of
            which the first may begin up to one bucket's length early.

        Raises:
            ValueError: ``within`` is longer than the window.

        Complexity: O(buckets); O(log n) if exact.
        """
        length = self._window if within is None else micros(seconds(within, "within", at_least=SHORTEST))
        if length > self._window:
            raise ValueError(f"within must be at most the window of {self._window / 1e6:g} s, not {within!r}")
        if self._seen is not None:
            return exactly(await self._port.run(_COUNT([self._seen], length)))
        now = await self._micros(None)
        numbers = range((now - length) // self._width, now // self._width + 1)
        return (await self._store.counts([Part(self._bucket(number)) for number in numbers]))[0]
