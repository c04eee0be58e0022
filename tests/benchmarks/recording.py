"""A relay before a server, which notes what a client sends, whatever client that is.

So the very commands of a library can be sent again: by a bare socket, to see what the library costs beside
them; or in long pipelines, to see what they cost the server.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["Relay", "commands", "connect", "replay"]

CHUNK = 1 << 16
BUFFER = 1 << 20
MARK = b"this-is-the-last-of-all"


def connect(url: str) -> socket.socket:
    """Open a bare connection, which sends at once."""
    where = urlsplit(url)
    line = socket.create_connection((where.hostname or "127.0.0.1", where.port or 6379))
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return line


class Relay:
    """Passes bytes on, and keeps those to the server; with ``delay``, each way takes so many seconds."""

    def __init__(self, url: str, delay: float = 0) -> None:
        self._target, self._delay = url, delay
        self._sent: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lines: list[socket.socket] = []
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                server = connect(self._target)
                self._lines += [client, server]
                for pair in ((client, server, self._sent.append), (server, client, None)):
                    threading.Thread(target=self._pass, args=pair, daemon=True).start()

    def _pass(
        self, source: socket.socket, target: socket.socket, note: Callable[[bytes], None] | None
    ) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK):
                if note is not None:
                    note(data)
                if self._delay:
                    time.sleep(self._delay)
                target.sendall(data)

    def taken(self) -> bytes:
        """What was sent since this was last asked."""
        found = b"".join(self._sent)
        self._sent.clear()
        return found

    def close(self) -> None:
        """Close all connections."""
        for line in (self._listener, *self._lines):
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
            line.close()


def commands(sent: bytes) -> Iterator[tuple[bytes, ...]]:
    """Take apart what was sent: the words of each command, in order."""
    at = 0
    while found := re.compile(rb"\*(\d+)\r\n").match(sent, at):
        at, words = found.end(), []
        for _ in range(int(found[1])):
            end = sent.index(b"\r\n", at)
            size = int(sent[at + 1 : end])
            words.append(sent[end + 2 : end + 2 + size])
            at = end + 4 + size
        yield tuple(words)


def packed(words: Sequence[bytes]) -> bytes:
    """Put a command together."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def replay(line: socket.socket, sent: bytes) -> None:
    """Send many commands in one go, and read all replies."""
    sender = threading.Thread(target=line.sendall, args=(sent + packed((b"ECHO", MARK)),))
    sender.start()
    tail = b""
    while MARK not in tail:
        tail = (tail + line.recv(BUFFER))[-2 * len(MARK) :]
    sender.join()
