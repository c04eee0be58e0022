"""Connections that wait for a thread's next call outside of their pool.

Theory
------
Taking a connection from a client's pool and putting it back costs about as much as talking to the server
does: locks, counters, and a look at the socket through several layers. A caller in a loop pays that each
time for the same connection. So a connection that has just answered is parked here, in one list that all
threads share, and the next call takes it from there.

Rules
-----
1. Every connection comes from the client's pool and goes back to it, so that TLS, authentication, health
   checks, reconnecting and a Sentinel's discovery stay the pool's business.
2. It goes back a second after it came, even if it is in constant use: that is when a pool renews
   credentials, follows a failover, or obeys a server that announces its maintenance.
3. At most a quarter of a pool's connections are parked, since whoever shares the client needs the rest. A
   pool of fewer than four is left alone.
4. Before it is used again one system call tells whether there is anything to read, as there is when the
   server has hung up. Then, and when it belongs to the parent of a forked process, it is not used.
5. Where a client's connection does not show its socket nothing is parked, and all is as it was.
"""

# pyright: basic

from __future__ import annotations

import os
import select
import socket
import weakref
from typing import Any

from coord._engine.uptime import uptime

__all__ = ["Line", "Parking"]

LONGEST = 1.0
"""Seconds that a connection stays outside of its pool: how late a failover or new credentials may be
noticed."""

SHARE = 4
"""One in so many of a pool's connections may be parked: whoever shares the client needs the rest."""

ANYTHING = getattr(select, "POLLIN", 0) | getattr(select, "POLLRDHUP", 0)


class Line:
    """A connection taken from a pool.

    Attributes:
        pool: Where it goes back to.
        connection: The client library's own.
    """

    __slots__ = ("_poll", "_process", "_socket", "_until", "connection", "pool")

    def __init__(self, pool: Any, connection: Any) -> None:
        self.pool = pool
        self.connection = connection
        self._process = os.getpid()
        self._socket: object = None
        self._until = uptime() + LONGEST

    def is_watched(self) -> bool:
        """Tell whether it can be told later if anything has happened to the connection."""
        found = getattr(self.connection, "_sock", None)
        if found is None or found is not self._socket:
            if not isinstance(found, socket.socket) or not hasattr(select, "poll"):
                return False
            poller = select.poll()
            poller.register(found, ANYTHING)
            self._socket, self._poll = found, poller.poll
        return True

    def is_quiet(self) -> bool:
        """Tell whether it may be used again: of this process, young, and with nothing to read."""
        return self._process == os.getpid() and uptime() < self._until and not self._poll(0)

    def give_back(self) -> None:
        """Put it back into its pool; a parent's is nothing to the pool of a forked child, and is dropped."""
        if self._process == os.getpid():
            self.pool.release(self.connection)


class Parking:
    """The parked connections of one client, by pool: a cluster has one for each node."""

    def __init__(self) -> None:
        self._lines: dict[Any, list[Line]] = {}
        self._is_open = True
        weakref.finalize(self, _give_back, self._lines).atexit = False

    def find(self, pool: Any) -> Line | None:
        """Take a connection of ``pool`` that can be used at once, if one is parked."""
        lines = self._lines.get(pool)
        while lines:
            try:
                line = lines.pop()
            except IndexError:  # another thread was quicker
                return None
            if line.is_quiet():
                return line
            line.give_back()
        return None

    def leave(self, line: Line) -> None:
        """Park a connection, or give it back if it cannot stay."""
        pool = line.pool
        lines = self._lines.get(pool)
        if lines is None:
            lines = self._lines.setdefault(pool, [])
        if self._is_open and len(lines) < getattr(pool, "max_connections", 0) // SHARE and line.is_watched():
            lines.append(line)
        else:
            line.give_back()
        if not self._is_open or self._lines.get(pool) is not lines:
            _give_back({pool: lines})  # all were given back in between

    def clear(self) -> None:
        """Give all connections back."""
        _give_back(self._lines)

    def close(self) -> None:
        """Give all connections back, and park none from now on."""
        self._is_open = False
        self.clear()


def _give_back(lines: dict[Any, list[Line]]) -> None:
    for pool in list(lines):
        parked = lines.pop(pool, None)  # first, so that who parks in it can tell
        while parked:
            try:
                line = parked.pop()
            except IndexError:
                break
            line.give_back()
