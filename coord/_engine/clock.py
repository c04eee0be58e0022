"""The server's wall clock, for choosing the period that an event belongs to.

A counter's key is named after a period, and every process must name the same one, so the time is the
server's and never a client's. Asking for it before every call would double the round trips: it is
asked once a minute and carried forward on the local monotonic clock, which in a minute drifts by less
than the reply's own travel time. A server clock that is set is therefore noticed within a minute.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from coord._engine.script import Command, Reply

if TYPE_CHECKING:
    from coord._engine.port import Port

__all__ = ["ServerClock"]

FRESH = 60.0
"""Seconds between looks at a server's clock: a clock that is off by 100 ppm, which is much, errs by 6 ms
then."""


def _epoch_seconds(reply: Reply) -> float:
    whole, micros = cast("list[bytes]", reply)
    return int(whole) + int(micros) / 1_000_000


_TIME = Command("TIME", parse=_epoch_seconds, repeatable=True)


class ServerClock:
    """Tells the server's time without asking each time.

    Args:
        port: Where the server is.
    """

    def __init__(self, port: Port) -> None:
        self._port = port
        self._sample: tuple[float, float] | None = None

    async def now(self) -> float:
        """Return the server's time in seconds since the epoch."""
        here = self._port.now()
        if self._sample is None or here - self._sample[1] > FRESH:
            there = await self._port.run(_TIME(()))
            here = self._port.now()
            self._sample = (there - here, here)
        return here + self._sample[0]
