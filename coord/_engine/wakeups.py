"""Wakes those who wait for something to come free, over one connection a Coord and server.

Theory
------
A waiter that polls is late or expensive. Here a waiter leaves word with the server of who and where it is,
and the script that frees what it waits for publishes that to the channel of its *home*, its Coord. One
connection a Coord listens, for all its waiters, however many there are and whatever they wait for; on a
cluster, one for each node that serves what they wait for (see ``listeners``).

Rules
-----
1. Messages are hints; only another attempt decides. A message names one waiter among all processes, so
   that a release does not stampede.
2. A message that came before a waiter was listening is lost to it. So whoever begins to wait is woken
   once its subscription is confirmed, or at once if it already was and it has yet to look; and all are
   woken when the connection broke and messages may have been lost.
3. The first waiter of a channel stands guard for the others of this Coord: it alone looks again when the
   holder's lease ends, and once a second in case a message was dropped. When it goes, the next is told.
   A waiter that has to give signs of life looks again for itself.
4. Who stops to wait says so to the server, which wakes another in its place if there is reason to.
"""

from __future__ import annotations

import logging
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from coord._engine.port import News, Place, Port, Signal, Tap

__all__ = ["FALLBACK", "Waiter", "Wakeups"]

FALLBACK = 0.95
"""Seconds until the first waiter of a channel looks again unasked: with the jitter, less than a second."""

READ = 0.5
"""Seconds of one read of messages, after which the listener looks whether anyone is left to listen for."""

IDLE = 5.0
"""Seconds that the listener outlives the last waiter: subscribing anew costs a round trip and a thread."""

RECONNECT = 0.2
"""Seconds until the next attempt to listen, at random from half of it, and twice as long after each that
fails: waiters look again by themselves meanwhile."""

LONGEST_RECONNECT = 0.5
"""Seconds between attempts to listen at the most: for so long may closing have to wait for the listener."""

HERD = 0.02
"""Seconds over which those are spread who look again at one time: a few hundred round trips of one server."""

_log = logging.getLogger("coord")


class Waiter:
    """One who waits on a channel.

    Attributes:
        channel: What it waits on.
        who: What messages call it.
        alone: Whether it looks again for itself, and not only while it is the first of its channel.
        signal: Set when it is to look again.
        promoted: Set with the signal when it has only become the first of its channel.
        moved: Set with the signal when messages on the channel no longer come from here.
    """

    __slots__ = ("alone", "channel", "moved", "promoted", "signal", "who")

    def __init__(self, channel: str, who: str, signal: Signal, *, alone: bool) -> None:
        self.channel = channel
        self.who = who
        self.alone = alone
        self.signal = signal
        self.promoted = False
        self.moved = False

    def wake(self) -> None:
        """Let it look again."""
        self.promoted = False
        self.signal.set()


class Wakeups:
    """The listener of one Coord at one server. Nothing is connected until somebody waits.

    Args:
        port: What leads to the server.
        place: Which one it is.
    """

    def __init__(self, port: Port, place: Place) -> None:
        self._port = port
        self._place = place
        self._mutex = port.mutex()
        self._queues: dict[str, list[Waiter]] = {}
        self._subscribed: set[str] = set()
        self._confirmed: set[str] = set()
        self._tap: Tap | None = None
        self._is_open = False
        self._failures = 0
        self._unconfirmed_since: float | None = None
        self._listens: Callable[[], bool] = bool
        self._closing = False

    def hears(self, channel: str) -> bool:
        """Say whether messages on ``channel`` come in already, so that to join costs nothing."""
        return channel in self._confirmed

    async def join(
        self, channel: str, who: str, *, alone: bool = False, looks: bool = False
    ) -> Waiter | None:
        """Begin to wait on a channel of this home.

        Args:
            channel: What to wait on.
            who: What messages call the waiter.
            alone: Whether it looks again for itself.
            looks: Whether it will look at once, without being woken for that.

        Returns:
            The waiter; ``None`` where nothing can be listened to.
        """
        waiter = Waiter(channel, who, self._port.signal(), alone=alone)
        with self._mutex:
            if self._tap is None:
                self._tap = self._port.tap(self._place)
            tap = self._tap
            if tap is None:
                return None
            self._queues.setdefault(channel, []).append(waiter)
            # The listener, which connects, asks for the channels of all who wait by then.
            known = not self._is_open or channel in self._subscribed
            self._subscribed.add(channel)  # before it is asked for: the answer may be that it has moved
            if channel in self._confirmed and not looks:
                waiter.signal.set()
        try:
            self._listen_for_those_who_wait()
            if not known:
                await self._subscribe(tap, channel)
        except BaseException:
            self.leave(waiter)
            raise
        return waiter

    def _listen_for_those_who_wait(self) -> None:
        with self._mutex:
            if any(self._queues.values()) and not self._listens():
                self._listens = self._port.spawn(self._listen, "coord wake-ups")

    async def _subscribe(self, tap: Tap, channel: str) -> None:
        with self._mutex:
            if self._unconfirmed_since is None:
                self._unconfirmed_since = self._port.now()
        try:
            await tap.subscribe(channel)
        except BaseException as error:
            with self._mutex:
                if tap is self._tap:
                    self._subscribed.discard(channel)
                    self._is_open = False
            if not isinstance(error, Exception):
                raise
            # The listener connects anew; meanwhile the fallback has to do.
            _log.info("coord could not subscribe: %s", error)

    async def wait(self, waiter: Waiter, patience: float, lease: float) -> None:
        """Wait until it is worth while to look again.

        Args:
            waiter: Who waits.
            patience: For how many seconds at the most.
            lease: How many seconds the holder's lease still runs, as far as is known.
        """
        until = self._port.now() + patience
        fallback = min(FALLBACK, max(0.0, lease)) + random.uniform(0, HERD)  # noqa: S311  # jitter
        while True:
            left = until - self._port.now()
            first = waiter.alone or self._queues[waiter.channel][0] is waiter
            woken = await self._port.wait(waiter.signal, min(left, fallback) if first else left)
            with self._mutex:
                promoted, waiter.promoted = waiter.promoted, False
                if woken:
                    waiter.signal = self._port.signal()
            if not (woken and promoted):
                return
            fallback = FALLBACK

    def leave(self, waiter: Waiter) -> None:
        """Wait no longer. The first place goes to the next."""
        with self._mutex:
            queue = self._queues[waiter.channel]
            first = queue[0] is waiter
            queue.remove(waiter)
            if first and queue and not queue[0].signal.is_set():
                queue[0].promoted = True
                queue[0].signal.set()

    def _wake_all(self, channels: list[str]) -> None:
        for channel in channels:
            for waiter in self._queues.get(channel, ()):
                waiter.wake()

    async def _listen(self) -> None:
        """Hand on what comes in, for as long as somebody waits."""
        waited_for = pruned = self._port.now()
        tap = self._tap
        try:
            while tap is not None and self._wanted(waited_for):
                news = await self._next(tap)
                tap = self._tap  # another one, after a reconnection
                now = self._port.now()
                with self._mutex:
                    if any(self._queues.values()):
                        waited_for = now
                    if news is not None:
                        self._hand_on(news)
                if now - pruned > IDLE:
                    pruned = now
                    await self._prune()
        finally:
            with self._mutex:
                if self._tap is tap:
                    self._forget()
            if tap is not None:
                try:
                    await tap.close()
                except Exception as error:  # noqa: BLE001  # it is no longer needed
                    _log.debug("closing the wake-up connection failed: %s", error)

    def _wanted(self, waited_for: float) -> bool:
        """Say whether to listen on; if not, forget the tap in the same breath, so that nobody joins it."""
        with self._mutex:
            waiting = any(self._queues.values())
            if not self._closing and (waiting or self._port.now() - waited_for < IDLE):
                return True
            self._forget()
            return False

    def _forget(self) -> None:
        self._tap = None
        self._listens = bool
        self._shut()
        self._queues = {channel: queue for channel, queue in self._queues.items() if queue}

    def _shut(self) -> None:
        self._is_open = False
        self._unconfirmed_since = None
        self._subscribed.clear()
        self._confirmed.clear()

    async def _next(self, tap: Tap) -> News | None:
        has_heard = bool(self._confirmed)
        try:
            if not self._is_open:
                await self._connect(tap)
                return None
            news = await tap.read(READ)
            if self._is_open and not self._is_silent():
                return news
            error: Exception | None = None
        except Exception as problem:  # noqa: BLE001  # whatever it is, waiters must not be left alone with it
            error = problem
        if not self._failures:
            _log.warning("coord cannot listen for wake-ups now: %s", error or "no answer to a subscription")
        if not self._closing:
            await self._start_over(tap, wake=has_heard)
        return None

    def _is_silent(self) -> bool:
        """Tell whether a subscription was not confirmed in the time that any call has."""
        with self._mutex:
            if not self._subscribed - self._confirmed:
                self._unconfirmed_since = None
            since = self._unconfirmed_since
        return since is not None and self._port.now() - since > self._port.call_timeout

    async def _connect(self, tap: Tap) -> None:
        """Listen for all who wait; each of them looks once more when its channel is confirmed."""
        await tap.open(self._port.call_timeout)
        with self._mutex:
            self._is_open = True
            channels = [channel for channel, queue in self._queues.items() if queue]
            self._subscribed.clear()
            self._subscribed.update(channels)
        for channel in channels:
            if self._is_open:
                await self._subscribe(tap, channel)

    def _hand_on(self, news: News) -> None:
        if news.kind == "subscribe":
            self._confirmed.add(news.channel)
            self._failures = 0
            self._unconfirmed_since = self._port.now()
            self._wake_all([news.channel])
        elif news.kind == "message":
            for waiter in self._queues.get(news.channel, ()):
                if waiter.who == news.text:
                    waiter.wake()
        elif news.kind == "moved":
            self._subscribed.discard(news.channel)
            self._confirmed.discard(news.channel)
            for waiter in self._queues.get(news.channel, ()):
                waiter.moved = True
                waiter.wake()

    async def _start_over(self, broken: Tap, *, wake: bool) -> None:
        """Make ready for another connection; ``wake``: messages may have been lost."""
        with self._mutex:
            self._shut()
        try:
            await broken.close()
        except Exception as error:  # noqa: BLE001  # it is broken
            _log.debug("closing it failed too: %s", error)
        pause = min(LONGEST_RECONNECT, RECONNECT * 2.0 ** min(self._failures, 10))
        self._failures += 1
        await self._port.sleep(random.uniform(pause / 2, pause))  # noqa: S311  # jitter
        with self._mutex:
            self._tap = self._port.tap(self._place)
            if wake:
                self._wake_all([*self._queues])

    async def _prune(self) -> None:
        """Unsubscribe from what nobody waits for any more, or channels would pile up."""
        with self._mutex:
            tap = self._tap
            unused = [channel for channel, queue in self._queues.items() if not queue]
            for channel in unused:
                del self._queues[channel]
                self._subscribed.discard(channel)
                self._confirmed.discard(channel)
        for channel in unused:
            if tap is None:
                return
            try:
                await tap.unsubscribe(channel)
            except Exception as error:  # noqa: BLE001  # the next look will find it broken, and connect anew
                _log.debug("coord could not unsubscribe: %s", error)
                self._is_open = False
                return
            if channel in self._queues:  # somebody came in between, whose subscription this has undone
                self._subscribed.add(channel)
                await self._subscribe(tap, channel)

    def close(self) -> None:
        """Let the listener end, at its next look: within half a second."""
        self._closing = True
