"""One listener for each server that serves what somebody waits for.

Theory
------
A cluster publishes a release on the node that serves the lock, and there alone it is heard (sharded
publish and subscribe, https://redis.io/docs/latest/develop/pubsub/#sharded-pubsub). So there is a listener
for each node, and a waiter stands at that of its channel. Where there is one server, there is one listener.

Rules
-----
1. A waiter looks where its channel is before each wait. When its slot has moved, the node says so or the
   connection breaks; both wake the waiter, whose next attempt is redirected, and so learns the new node.
2. It stands at the new listener before it leaves the old one.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from coord._engine.wakeups import Wakeups

if TYPE_CHECKING:
    from coord._engine.port import Place, Port
    from coord._engine.wakeups import Waiter

__all__ = ["Listeners", "Waiting"]


class Waiting:
    """One who waits, wherever its channel is."""

    __slots__ = ("listener", "place", "waiter")

    def __init__(self, listener: Wakeups, place: Place, waiter: Waiter) -> None:
        self.listener = listener
        self.place = place
        self.waiter = waiter


class Listeners:
    """The listeners of one Coord. Nothing is connected until somebody waits.

    Args:
        port: Where the messages come from.
    """

    def __init__(self, port: Port) -> None:
        self._port = port
        self._set_up()

    def _set_up(self) -> None:
        self._process = self._port.process()
        self._home = secrets.token_hex(6)
        self._at: dict[Place, Wakeups] = {}

    @property
    def home(self) -> str:
        """What distinguishes this Coord from all others, those of forked children too."""
        if self._process != self._port.process():
            self._set_up()  # a forked child has neither its parent's threads nor its connections
        return self._home

    def hears(self, channel: str) -> bool:
        """Say whether messages on ``channel`` come in already, so that to join costs nothing."""
        return self._listener(self._port.place(channel)).hears(channel)

    async def join(
        self, channel: str, who: str, *, alone: bool = False, looks: bool = False
    ) -> Waiting | None:
        """Begin to wait on ``channel``, one of this home; see ``Wakeups.join``."""
        place = self._port.place(channel)
        listener = self._listener(place)
        waiter = await listener.join(channel, who, alone=alone, looks=looks)
        return None if waiter is None else Waiting(listener, place, waiter)

    async def wait(self, waiting: Waiting, patience: float, lease: float) -> None:
        """Wait until it is worth while to look again; see ``Wakeups.wait``."""
        if waiting.waiter.moved or self._port.place(waiting.waiter.channel) != waiting.place:
            await self._follow(waiting)
        await waiting.listener.wait(waiting.waiter, patience, lease)

    async def _follow(self, waiting: Waiting) -> None:
        """Wait where the channel is now. Whoever begins to is woken, and so looks once more."""
        old = waiting.waiter
        new = await self.join(old.channel, old.who, alone=old.alone)
        if new is not None:
            waiting.listener.leave(old)
            waiting.listener, waiting.place, waiting.waiter = new.listener, new.place, new.waiter

    def leave(self, waiting: Waiting) -> None:
        """Wait no longer. The first place goes to the next."""
        waiting.listener.leave(waiting.waiter)

    def _listener(self, place: Place) -> Wakeups:
        return self._at.get(place) or self._at.setdefault(place, Wakeups(self._port, place))

    def close(self) -> None:
        """Let the listeners end, at their next look."""
        for listener in tuple(self._at.values()):
            listener.close()
