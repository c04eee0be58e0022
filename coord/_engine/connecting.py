"""Connections that have to be made, within a call's own deadline.

Theory
------
How long a client library takes to connect is the business of its own timeouts, of which there may be none,
and of its retries. A server that does not answer would so cost a caller seconds that its call does not have.
So another thread gets the connection, and the caller waits for it no longer than the call may take.

Rules
-----
1. A thread is only asked where something has to be connected: not where the pool has a connection at hand
   that can be used at once, and that the client does not want to check first.
2. A connection that comes too late goes back to its pool, for the next caller.
3. At most ``MOST`` threads connect at a time, and what they wait for ends by the client's own timeouts. Who
   comes when all are busy waits for one of them, and no longer than its call may take either.
"""

# pyright: basic

from __future__ import annotations

import socket
import sys
import threading
import time
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, Any, TypeVar

from coord._engine.forks import Mutex
from coord._engine.parking import Line
from coord._engine.uptime import uptime

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Connecting", "is_checkup_due"]

T = TypeVar("T")

MOST = 16
"""Threads that connect at a time: enough for a burst of callers while one server takes a second, and few
enough for a server that does not answer at all."""


class Connecting:
    """Gets connections from pools.

    Args:
        timed_out: What to raise if there is none in time.
    """

    def __init__(self, timed_out: type[Exception]) -> None:
        self._timed_out = timed_out
        self._mutex = Mutex()
        self._threads: list[threading.Thread] = []

    def connect(self, pool: Any, words: tuple[str, ...], within: float) -> Line:
        """Get a live connection.

        Args:
            pool: From where.
            words: What the pool wants to be told.
            within: How many seconds that may take.
        """
        if _has_one_at_hand(pool) or sys.is_finalizing():  # when no thread can be started any more
            return Line(pool, pool.get_connection(*words))
        return Line(pool, self.run(lambda: _checked(pool, words), within, pool.release))

    def run(
        self, work: Callable[[], T], within: float, too_late: Callable[[T], object] = lambda _: None
    ) -> T:
        """Have something done that talks to a server.

        Args:
            work: What to do.
            within: How many seconds that may take.
            too_late: What to do with what comes of it later.
        """
        until = uptime() + within
        found: Future[T] = Future()
        thread = threading.Thread(
            target=_work, args=(work, found, too_late), name="connecting for coord", daemon=True
        )
        self._start(thread, until)
        try:
            wait([found], _left(until))
        except BaseException:  # the thread was interrupted
            if not found.cancel():
                found.add_done_callback(lambda _: found.exception() or too_late(found.result()))
            raise
        if found.cancel():
            raise self._timed_out(f"no connection within {within:g} s")
        thread.join()  # it has nothing left to do
        return found.result()

    def _start(self, thread: threading.Thread, until: float) -> None:
        while True:
            with self._mutex:
                self._threads = [one for one in self._threads if one.is_alive()]
                if len(self._threads) < MOST:
                    thread.start()
                    self._threads.append(thread)
                    return
                oldest = self._threads[0]
            if not _left(until):
                raise self._timed_out("no connection in time: too many are being made")
            oldest.join(_left(until))


def _left(until: float) -> float:
    return min(max(0.0, until - uptime()), threading.TIMEOUT_MAX)


def _has_one_at_hand(pool: Any) -> bool:
    free: Any = getattr(pool, "_available_connections", ())
    try:
        connection = free[-1]
    except IndexError:
        return False
    found = getattr(connection, "_sock", None)
    if not isinstance(found, socket.socket):
        return found is not None  # fakeredis, which connects to nothing
    line = Line(pool, connection)
    return line.is_watched() and line.is_quiet() and not is_checkup_due(connection)


def is_checkup_due(connection: Any) -> bool:
    """Tell whether the client library would ask the server for a sign of life before the next command."""
    return bool(getattr(connection, "health_check_interval", 0)) and (
        time.monotonic() > connection.next_health_check
    )


def _checked(pool: Any, words: tuple[str, ...]) -> Any:
    connection = pool.get_connection(*words)
    try:
        if is_checkup_due(connection):
            connection.check_health()
    except BaseException:
        pool.release(connection)
        raise
    return connection


def _work(work: Callable[[], T], found: Future[T], too_late: Callable[[T], object]) -> None:
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001  # it is the caller's
        if found.set_running_or_notify_cancel():
            found.set_exception(error)
    else:
        if found.set_running_or_notify_cancel():
            found.set_result(result)
        else:
            too_late(result)
