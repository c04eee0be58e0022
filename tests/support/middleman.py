"""A server's stand-in that forwards, except for what a test has it say, or keep silent about.

A real server cannot be made to say ``LOADING`` or ``MASTERDOWN`` on demand, or to forget a connection.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import BufferedReader

__all__ = ["SILENCE", "Middleman", "middleman"]

Words = list[bytes]
SILENCE = b""
"""What is said instead of an answer, by a connection that was dropped on its way."""


class Middleman:
    """Accepts connections on ``port`` and forwards each command, one after the other, to a server.

    Args:
        upstream: The server's port; may be changed, for connections that are yet to come.

    Attributes:
        says: Given a command's words (the first in capitals), returns the bytes to answer with; ``None`` to
            forward it.
        loses: Given a command's words, says whether the server's reply to it is lost: it is executed, and its
            connection hung up.
        heard: The commands that came, without those that a client sends when it connects.
        greets: Whether new connections are served; those of an unwelcome client are accepted and kept silent.
    """

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        self.says: Callable[[Words], bytes | None] = lambda _: None
        self.loses: Callable[[Words], bool] = lambda _: False
        self.heard: list[Words] = []
        self.greets = True
        self.connections: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def close(self) -> None:
        """Refuse connections, and reset all that there are."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.reset()

    def reset(self) -> None:
        """Reset all connections."""
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self.connections.clear()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections.append(client)
            if self.greets:
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with (
            contextlib.suppress(OSError, ValueError),
            client,
            client.makefile("rb") as commands,
            socket.create_connection(("127.0.0.1", self.upstream)) as server,
            server.makefile("rb") as replies,
        ):
            while words := self._read_command(commands):
                said = self._said(words)
                if said is not None:
                    client.sendall(said)
                    continue
                server.sendall(_packed(words))
                if words[0] in (b"SUBSCRIBE", b"SSUBSCRIBE"):
                    threading.Thread(target=_pump, args=(replies, client), daemon=True).start()
                    _forward(commands, server)
                    return
                reply = _reply(replies)
                if self.loses(words):
                    return
                client.sendall(reply)

    def _said(self, words: Words) -> bytes | None:
        if words[0] == b"ASKING":
            return b"+OK\r\n"
        if words[0] in (b"HELLO", b"CLIENT", b"AUTH", b"SELECT", b"PING"):
            return None
        self.heard.append(words)
        return self.says(words)

    @staticmethod
    def _read_command(commands: BufferedReader) -> Words:
        head = commands.readline()
        words = []
        for _ in range(int(head[1:]) if head else 0):
            size = int(commands.readline()[1:])
            words.append(commands.read(size + 2)[:-2])
        return [words[0].upper(), *words[1:]] if words else []


def _packed(words: Words) -> bytes:
    parts = [b"*%d\r\n" % len(words)]
    parts += [b"$%d\r\n%s\r\n" % (len(word), word) for word in words]
    return b"".join(parts)


def _reply(replies: BufferedReader) -> bytes:
    """Read one reply, whole and unread."""
    line: bytes = replies.readline()
    if not line:
        raise OSError("the server hung up")
    kind, rest = line[:1], line[1:-2]
    if kind in b"$=!" and rest != b"-1":
        return line + replies.read(int(rest) + 2)
    if kind in b"*~>%" and rest != b"-1":
        count = int(rest) * (2 if kind == b"%" else 1)
        return line + b"".join(_reply(replies) for _ in range(count))
    return line


def _pump(replies: BufferedReader, client: socket.socket) -> None:
    with contextlib.suppress(OSError, ValueError):
        while data := replies.read1(65536):
            client.sendall(data)


def _forward(commands: BufferedReader, server: socket.socket) -> None:
    while data := commands.read1(65536):
        server.sendall(data)


@contextlib.contextmanager
def middleman(upstream: int) -> Iterator[Middleman]:
    """Run one until the block ends."""
    between = Middleman(upstream)
    try:
        yield between
    finally:
        between.close()
