"""The algorithm of a lock, once for both flavours."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, NoReturn, TypeVar, get_args

from coord._engine.checks import one_of, patience, seconds
from coord._engine.decorating import around_coroutine
from coord.errors import LockLost, LockTimeout, SelfDeadlock
from coord.locks.asking import UNDO_TIME, Asking
from coord.locks.calls import waiter_of
from coord.locks.durable import durable
from coord.locks.entered import Entered, caller
from coord.locks.hold import AsyncHold
from coord.locks.lease import SHORTEST_TTL, AsyncLease
from coord.locks.options import RenewIn, Wait

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from types import FrameType, TracebackType

    from coord._engine.checks import Seconds
    from coord._engine.listeners import Waiting
    from coord.errors import CoordError
    from coord.locks.calls import LockCalls, LockStatus
    from coord.locks.room import LockRoom

__all__ = ["AsyncLock"]

F = TypeVar("F", bound="Callable[..., Coroutine[object, object, object]]")

GRANT_ATTEMPTS = 3
"""Requests for one grant, should an answer take longer than the lease: three in a row are no accident."""


class AsyncLock:
    """A lock by name, held by at most one lease at a time among all processes.

    Made by ``lock()`` of a ``Coord`` or ``AsyncCoord``. The object holds nothing itself: share it, reuse
    it, make another with the same name.

    Guarantees, on one server that keeps its data: at most one valid lease a name; fences that strictly
    grow, as long as the server's clock does not step back. Not guaranteed: that a lease is still valid
    the moment after you looked, or that a failover to a replica, an eviction or a restart without
    persistence keeps the lock. Guard what must not break with ``lease.fence``.

    ``with lock as lease:`` waits for as long as it takes, renews the lease while the block runs, and
    releases at its end; ``with lock.hold(timeout=...) as lease:`` waits for so long. ``@lock.around()``
    holds it around each call of a function.
    """

    _instead = "to hand it over, export() it there and adopt() it here"
    """What to do where a forked child has its parent's lease."""

    def __init__(
        self,
        room: LockRoom,
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
    ) -> None:
        self._room = durable(room, replicas, fsync)
        self._port = room.port
        self._ttl = seconds(ttl, "ttl", at_least=SHORTEST_TTL)
        longest = math.inf if max_hold is None else seconds(max_hold, "max_hold", at_least=SHORTEST_TTL)
        self._max_hold = longest if renew else 0.0
        self._renew_in = one_of(renew_in, "renew_in", get_args(RenewIn))
        self._fair = fair
        self._reentrant = reentrant
        self._listens = one_of(wait, "wait", get_args(Wait)) == "signal"
        self._calls = self._spell(name)
        self._entered = Entered()
        self.name = name
        self.names: tuple[str, ...] = (name,)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a lock cannot be pickled; make one of the same name in the other process")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

    async def try_acquire(self) -> AsyncLease | None:
        """Take the lock if nobody holds it. Never waits.

        The lease is not renewed on its own: that is what a ``with`` block does.

        Returns:
            The lease, or ``None`` if another holds the lock, or it is free and kept for a moment, 50 ms at
            the most, for a waiter that was just woken.

        Raises:
            LockLost: It was granted, but every answer took longer than ``ttl`` to arrive.
            NotDurable: It was granted, but not as safe as asked for, and is given back.

        Complexity: O(1), one round trip.
        """
        asking = self._ask()
        lease = await self._attempt(asking)
        if lease is None and asking.doubtful:
            await self._give_up(asking)
        return lease

    async def acquire(self, *, timeout: Seconds | None = None) -> AsyncLease:
        """Take the lock, waiting until it is free.

        Whoever waits is woken by the release. Should that be missed, the lock is looked at once a second,
        and when the holder's lease ends. Waiters of a fair lock are served in the order in which they
        arrived at the server; those of any other in about the order of their arrival. Without a ``timeout``
        an outage is waited out only if a server has ever answered: a wrong address is an error.

        Args:
            timeout: How long to wait, through outages too; ``None`` for ever, 0 not at all.

        Returns:
            The lease. It is not renewed on its own, as it is in a ``with`` block.

        Raises:
            LockTimeout: Another held the lock all the while.
            LockLost: It was granted, but every answer took longer than ``ttl`` to arrive.
            NotDurable: It was granted, but not as safe as asked for, and is given back.
            RuntimeError: A sync lock would have to wait in a thread that runs an event loop.
            SelfDeadlock: This task or thread holds it itself, and would wait for ever.

        Complexity: O(1) an attempt.
        """
        limit = patience(timeout)
        asking = self._ask()
        until = self._port.now() + limit
        asking.until = until if limit else -math.inf
        if self._fair and limit > 0:
            asking.waiter = self._waiter(asking)
        place = lease = None
        try:
            if limit and self._listens and self._room.wakeups.hears(self._channel):
                # Who is listening already stands in the queue from the first attempt on.
                place = await self._stand(asking, looks=True)
            lease = await self._look(asking)
            if lease is None:
                self._refuse_self_deadlock(limit)
                self._port.admit(waits=limit > 0)
                lease = await self._wait(asking, until, place)
        finally:
            if place is not None:
                self._room.wakeups.leave(place)
            if lease is None and (asking.waiter or asking.doubtful):
                await self._tidy_up(asking, asking.time_to_end(self._port.now()))
        if lease is None:
            raise asking.outage or self._timed_out(asking, limit)
        return lease

    def hold(
        self, *, timeout: Seconds | None = None, on_lost: Callable[[], object] | None = None
    ) -> AsyncHold:
        """Hold the lock for a ``with`` block.

        While the block runs the lease is renewed, unless the lock was made with ``renew=False``. Should
        it be lost all the same, an async block is cancelled and ends with ``LockLost``; a sync block
        cannot be cut short, and is told by ``lease.lost``, ``lease.check()`` and ``on_lost``.

        Args:
            timeout: How long to wait for it; ``None`` for ever, 0 not at all.
            on_lost: Called without arguments, once, should the lease be lost inside the block; in a
                sync block by another thread. It may be a coroutine function in an async block.

        Returns:
            A context manager that acquires on entry, gives the lease, and releases on exit.

        Raises:
            LockTimeout: On entry: another held the lock all the while.
            LockLost: On exit, unless the block raised something else: the lease had ended before it.
        """
        patience(timeout)
        return AsyncHold(self, timeout, on_lost)

    async def adopt(self, exported: str) -> AsyncLease:
        """Take over a lease that another process has exported, and start it anew.

        Args:
            exported: What ``lease.export()`` returned there.

        Returns:
            The lease, with the same fence.

        Raises:
            LockLost: It has ended meanwhile.
            ValueError: ``exported`` is nothing that ``export()`` returns.

        Complexity: O(1), one round trip.
        """
        token, _, fence = exported.partition(":")
        if len(token) != 32 or not fence.isdecimal():  # noqa: PLR2004  # 16 bytes in hexadecimal
            raise ValueError("exported must be what lease.export() returned")
        lease = AsyncLease(self, Asking(token), int(fence), self._port.now(), self._ttl)
        await lease.renew()
        return lease

    async def status(self) -> LockStatus:
        """Look at the lock, whoever holds it.

        Returns:
            What the server knows at this moment; it may have changed when you read it.

        Complexity: O(1), one round trip.
        """
        return await self._room.status(self._calls)

    async def force_release(self, *, reason: str) -> bool:
        """Take the lock from whoever holds it, who will learn of it at the next renewal or release.

        Args:
            reason: Why; ``status()`` shows it for a day.

        Returns:
            Whether anybody held it.

        Complexity: O(1), one round trip.
        """
        if not isinstance(reason, str) or not reason:
            raise ValueError(f"reason must be a str that says why, not {reason!r}")
        return await self._room.force_release(self._calls, reason)

    def around(
        self, *, timeout: Seconds | None = None, on_lost: Callable[[], object] | None = None
    ) -> Callable[[F], F]:
        """Decorate a function so that each call holds the lock.

        Args:
            timeout: As for ``hold()``; what it raises, the call raises.
            on_lost: As for ``hold()``.

        Raises:
            TypeError: The function is of the other flavour, or a generator function.
        """
        patience(timeout)
        return lambda function: around_coroutine(
            function, "lock", lambda *_, **__: self.hold(timeout=timeout, on_lost=on_lost)
        )

    async def __aenter__(self) -> AsyncLease:
        return await self._enter(caller())

    async def _enter(self, frame: FrameType) -> AsyncLease:
        hold = self.hold()
        self._entered.add(hold, self._port.whoami(), frame)
        try:
            return await hold._begin(frame)
        except BaseException:
            self._entered.discard(hold)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._leave(caller(), error)

    async def _leave(self, frame: FrameType, error: BaseException | None) -> None:
        mine, others = self._entered.leave(self._port.whoami(), frame)
        for hold in others:
            with contextlib.suppress(Exception):  # nobody is there to be told
                await hold._end(None)
        problems: list[Exception] = []
        for hold in mine:
            try:
                await hold._end(error)
            except Exception as problem:  # noqa: BLE001  # the others are let go too
                problems.append(problem)
        if problems:
            raise problems[0]

    @property
    def _channel(self) -> str:
        """Where this process listens for what wakes its waiters."""
        return f"{self._calls.channel}:{self._room.wakeups.home}"

    @property
    def _what(self) -> str:
        """What it is, for people."""
        return f"lock {self.name!r}"

    def _spell(self, name: str) -> LockCalls:
        return self._room.calls(name, fair=self._fair, wakes=self._listens)

    def _ask(self) -> Asking:
        return Asking()

    def _was_lost(self) -> CoordError:
        return LockLost(self.name)

    def _timed_out(self, asking: Asking, limit: float) -> CoordError:
        return LockTimeout(self.names[asking.refused_by], limit)

    def _who(self, asking: Asking) -> str:
        return waiter_of(asking.token)

    def _waiter(self, asking: Asking) -> str:
        return f"{self._room.wakeups.home}:{self._who(asking)}"

    async def _stand(self, asking: Asking, *, looks: bool = False) -> Waiting | None:
        """Stand where wake-ups come in, if they can; ``looks``: the caller asks for the lock right after."""
        who = self._who(asking)
        place = await self._room.wakeups.join(self._channel, who, alone=self._fair, looks=looks)
        if place is not None:
            asking.waiter = self._waiter(asking)
        return place

    async def _wait(self, asking: Asking, until: float, place: Waiting | None) -> AsyncLease | None:
        if place is not None:
            return await self._await_wakeup(asking, until, place)
        if self._listens and until > self._port.now():
            place = await self._stand(asking)
        if place is None:
            return await self._poll(asking, until)
        try:
            return await self._await_wakeup(asking, until, place)
        finally:
            self._room.wakeups.leave(place)

    async def _attempt(self, asking: Asking) -> AsyncLease | None:
        """Ask once more with the same token; return the lease, if it is granted."""
        try:
            for _ in range(GRANT_ATTEMPTS):
                sent_at = self._port.now()
                within = asking.time_for_one(sent_at, self._port.call_timeout)
                grant = await self._room.acquire(
                    self._calls, asking.token, self._ttl, asking.waiter, on_repeat=asking.doubt, within=within
                )
                asking.held_for, asking.refused_by = grant.held_for, grant.by
                if grant.fence is None:
                    return None
                lease = AsyncLease(self, asking, grant.fence, sent_at, self._ttl)
                if lease.valid:
                    return lease
                # The answer took longer than the lease. Asking again starts the lease anew.
            raise self._was_lost()  # noqa: TRY301  # the token is given up below
        except BaseException as error:
            # It may have been granted, or be granted yet: whoever is told nothing must hold nothing.
            if not isinstance(error, Exception) or not self._room.outages.is_one(error):
                await self._give_up(asking)
            elif not asking.keeps or asking.until == -math.inf:
                asking.outage = error
                await self._tidy_up(asking, asking.time_to_end(self._port.now()))
            raise

    async def _look(self, asking: Asking) -> AsyncLease | None:
        """Ask once more, and bear it if the server cannot be asked, while that is worth while."""
        asking.outage = None
        try:
            return await self._attempt(asking)
        except Exception as error:
            if not self._room.outages.bears(asking, error, self._what):
                raise
            return None

    async def _give_up(self, asking: Asking, within: float = math.inf) -> None:
        """End a token that may hold the lock, come to hold it, or stand in its queue; as far as possible."""
        with contextlib.suppress(Exception):
            await self._port.finish(self._undo(asking, within))

    async def _undo(self, asking: Asking, within: float = math.inf) -> None:
        limit = min(UNDO_TIME, within)
        await self._room.release(self._calls, asking.token, asking.waiter, end_anyway=True, timeout=limit)
        asking.waiter, asking.doubtful = "", False

    async def _tidy_up(self, asking: Asking, left: float) -> None:
        """End a token that is lost, while its lease had ``left`` seconds; after that beside the caller."""
        if left > 0:
            await self._give_up(asking, left)
            return
        with contextlib.suppress(RuntimeError):  # no thread can be started while the interpreter ends
            self._port.spawn(lambda: self._give_up(asking), "coord clean-up")

    async def _await_wakeup(self, asking: Asking, until: float, place: Waiting) -> AsyncLease | None:
        lease = None
        while lease is None and (left := until - self._port.now()) > 0:
            await self._room.wakeups.wait(place, asking.patience(left), asking.lease())
            lease = await self._look(asking)
        return lease

    async def _poll(self, asking: Asking, until: float) -> AsyncLease | None:
        lease = None
        while lease is None and (left := until - self._port.now()) > 0:
            await self._port.sleep(min(left, asking.poll()))
            lease = await self._look(asking)
        return lease

    def _refuse_self_deadlock(self, limit: float) -> None:
        for name in self.names:
            mine = self._room.holdings.get((name, self._port.whoami()))
            if mine is not None and mine.is_of_caller() and math.isinf(limit):
                raise SelfDeadlock(name)
