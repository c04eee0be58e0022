"""Values on a server that refuse whoever comes late: the fence's other half, ready made.

Theory
------
A lease can end without its holder noticing, at any instruction, and no look at a clock prevents the write
that follows. So a value keeps the highest fence that it has seen, and one script compares and applies: an
earlier lease is refused once a later one has been here. No clock decides, and no lease is asked for.

Rules
-----
1. Reading leaves the reader's fence, like writing. What a holder makes of what it read can then be
   overwritten by later holders only: read, change and write need no more than the same fence.
2. The fence outlives the value: deleting leaves it behind for a day, and so does a value's end.
3. Writes of one lease are numbered. A copy that arrives after a later one has no effect, so that a write
   whose reply was lost may be sent again.

Source: M. Kleppmann, "How to do distributed locking" (2016).
"""

from __future__ import annotations

import secrets
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coord._engine.checks import integer, millis, seconds
from coord._engine.faces import twin_of
from coord._engine.port import step
from coord._engine.replies import as_int, as_rows, nothing
from coord._engine.script import Command, Script
from coord.errors import StaleFence

if TYPE_CHECKING:
    from coord._engine.checks import Seconds
    from coord._engine.keys import Keys
    from coord._engine.port import Port
    from coord._engine.script import Reply

__all__ = ["AsyncFenced", "AsyncGuarded", "Fenced", "FencedValue", "Guarded", "Writer"]

MEMORY = 86_400.0
"""Seconds that a fence outlives its value: a day, as that of a lock."""

SHORTEST_TTL = 0.001
"""Seconds of a value's life: what Redis counts in."""


@dataclass(frozen=True, slots=True)
class FencedValue:
    """What a server holds at one moment.

    Attributes:
        value: The value; ``None`` if there is none.
        fence: The highest fence that it has seen; ``None`` if none is remembered.
    """

    value: bytes | None
    fence: int | None


class Writer:
    """Numbers the writes of one lease, or of whoever writes without one here.

    Args:
        port: Keeps threads apart.

    Attributes:
        name: What tells it from all others.
    """

    def __init__(self, port: Port) -> None:
        self.name = secrets.token_hex(8)
        self._mutex = port.mutex()
        self._last = 0

    def next_turn(self) -> int:
        """Give the next write its number."""
        with self._mutex:
            self._last += 1
            return self._last


def _applied(reply: Reply) -> tuple[bool, FencedValue]:
    done, fence, value = as_rows(reply)
    held = None if value is None else value if isinstance(value, bytes) else str(value).encode()
    return bool(done), FencedValue(held, None if fence is None else as_int(fence))


_APPLY = Script("fenced_apply", parse=_applied, repeatable=True)
_DEL = Command("DEL", parse=nothing, repeatable=True)


class AsyncFenced:
    """A value by name that refuses fences lower than the highest it has seen.

    Made by ``fenced()`` of a ``Coord`` or ``AsyncCoord``. Under a lease, ``lease.guard()`` is the same with
    the lease's own fence. All fences of one value must come from one lock.

    Guarantees, on a server that keeps its data: once a call with a fence was answered, no call with a lower
    one reads or changes the value. A value without a ``ttl`` is permanent. Not guaranteed: that the order
    survives what makes the server forget the value, or the fence of one that ended more than a day ago.
    """

    def __init__(self, port: Port, keys: Keys, name: str) -> None:
        self._port = port
        self._key = keys("fenced", name)
        self._writer = Writer(port)
        self.name = name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

    async def status(self) -> FencedValue:
        """Look at the value without a fence. That keeps nobody from changing it.

        Complexity: O(1), one round trip.
        """
        _, found = await self._port.run(_APPLY((self._key,), "status", 0, 0, "", 0, "", 0))
        return found

    async def get(self, *, fence: int) -> bytes | None:
        """Read the value, so that nobody with a lower fence can change it any more.

        Args:
            fence: That of the lease under which it is read.

        Returns:
            The value; ``None`` if there is none.

        Raises:
            StaleFence: A later lease has been here.

        Complexity: O(1), one round trip.
        """
        return await self._apply("get", fence)

    async def set(self, value: str | bytes, *, fence: int, ttl: Seconds | None = None) -> None:
        """Set the value.

        Args:
            value: Text is kept as UTF-8.
            fence: That of the lease under which it is written.
            ttl: How long it lives; ``None`` for ever. Its fence is remembered for a day longer.

        Raises:
            StaleFence: A later lease has been here; nothing was changed.

        Complexity: O(1), one round trip.
        """
        if not isinstance(value, str | bytes):
            raise TypeError(f"value must be a str or bytes, not {type(value).__name__} {value!r}")
        length = 0 if ttl is None else millis(seconds(ttl, "ttl", at_least=SHORTEST_TTL))
        await self._apply("set", fence, value=value, ttl=length)

    async def delete(self, *, fence: int) -> None:
        """Delete the value, if there is one. The fence is remembered for a day.

        Args:
            fence: That of the lease under which it is deleted.

        Raises:
            StaleFence: A later lease has been here; nothing was changed.

        Complexity: O(1), one round trip.
        """
        await self._apply("delete", fence)

    async def reset(self) -> None:
        """Forget the value and its fence, whoever has been here. Then any fence is good again.

        Complexity: O(1), one round trip.
        """
        await self._port.run(_DEL((self._key,)))

    async def _apply(
        self, action: str, fence: int, *, value: str | bytes = b"", ttl: int = 0
    ) -> bytes | None:
        integer(fence, "fence", at_least=1)
        data = value.encode() if isinstance(value, str) else value
        by = self._writer
        call = _APPLY((self._key,), action, fence, millis(MEMORY), data, ttl, by.name, by.next_turn())
        done, found = await self._port.run(call)
        if not done:
            raise StaleFence(self.name, fence, found.fence or 0)
        return found.value


class AsyncGuarded:
    """A value under the fence of one lease. Made by ``lease.guard()``.

    The fence decides, and not whether the lease is still valid: a holder who comes late is refused once a
    later one has read or written the value, and harms nobody before.
    """

    def __init__(self, value: AsyncFenced, fence: int, writer: Writer) -> None:
        self._value = copy(value)
        self._value._writer = writer
        self.name = value.name
        self.fence = fence

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}, fence {self.fence}>"

    async def get(self) -> bytes | None:
        """Read the value, so that no earlier holder can change it any more.

        Returns:
            The value; ``None`` if there is none.

        Raises:
            StaleFence: A later holder has been here.

        Complexity: O(1), one round trip.
        """
        return await self._value.get(fence=self.fence)

    async def set(self, value: str | bytes, *, ttl: Seconds | None = None) -> None:
        """Set the value.

        Args:
            value: Text is kept as UTF-8.
            ttl: How long it lives; ``None`` for ever. Its fence is remembered for a day longer.

        Raises:
            StaleFence: A later holder has been here; nothing was changed.

        Complexity: O(1), one round trip.
        """
        await self._value.set(value, fence=self.fence, ttl=ttl)

    async def delete(self) -> None:
        """Delete the value, if there is one. The fence is remembered for a day.

        Raises:
            StaleFence: A later holder has been here; nothing was changed.

        Complexity: O(1), one round trip.
        """
        await self._value.delete(fence=self.fence)


@twin_of(AsyncFenced)
class Fenced:
    def __init__(self, port: Port, keys: Keys, name: str) -> None:
        self._flow = AsyncFenced(port, keys, name)
        self.name = name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

    def status(self) -> FencedValue:
        return step(self._flow.status())

    def get(self, *, fence: int) -> bytes | None:
        return step(self._flow.get(fence=fence))

    def set(self, value: str | bytes, *, fence: int, ttl: Seconds | None = None) -> None:
        step(self._flow.set(value, fence=fence, ttl=ttl))

    def delete(self, *, fence: int) -> None:
        step(self._flow.delete(fence=fence))

    def reset(self) -> None:
        step(self._flow.reset())


@twin_of(AsyncGuarded)
class Guarded:
    def __init__(self, flow: AsyncGuarded) -> None:
        self._flow = flow
        self.name = flow.name
        self.fence = flow.fence

    def __repr__(self) -> str:
        return repr(self._flow).replace("AsyncGuarded", "Guarded", 1)

    def get(self) -> bytes | None:
        return step(self._flow.get())

    def set(self, value: str | bytes, *, ttl: Seconds | None = None) -> None:
        step(self._flow.set(value, ttl=ttl))

    def delete(self) -> None:
        step(self._flow.delete())
