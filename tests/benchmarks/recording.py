"""A relay before a server, which notes what a client sends, whatever client that is.

So the very commands of a library can be sent again: by a bare socket, to see what the library costs beside
them; or in long pipelines, to see what they cost the server.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import socket
import threading
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tests.benchmarks.operation import Place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.benchmarks.operation import Operation

__all__ = [
    "Relay",
    "Renewed",
    "commands",
    "connect",
    "evaluations",
    "packed",
    "recorded",
    "replay",
    "scripts",
]

CHUNK = 1 << 16
BUFFER = 1 << 20
QUIET = 0.1
"""Seconds after which what was sent has passed."""
TOKEN = re.compile(rb"(?<![0-9a-f])[0-9a-f]{20,39}(?![0-9a-f])")
"""What is random in a command, or made of that; a script's digest has 40 digits."""
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


def scripts(sent: bytes) -> dict[bytes, bytes]:
    """Find the scripts whose text was sent, by their digests."""
    texts = [
        words[1] if words[0].upper() == b"EVAL" else words[2]
        for words in commands(sent)
        if words[0].upper() == b"EVAL" or [word.upper() for word in words[:2]] == [b"SCRIPT", b"LOAD"]
    ]
    return {hashlib.sha1(text, usedforsecurity=False).hexdigest().encode(): text for text in texts}


def evaluations(sent: bytes) -> list[tuple[bytes, ...]]:
    """Leave out all but calls of scripts by digest: connecting, and scripts sent by text."""
    return [words for words in commands(sent) if words[0].upper() == b"EVALSHA"]


class Renewed:
    """Commands sent again, with tokens that nobody has had: what only a token's first use does is done."""

    def __init__(self, sent: bytes) -> None:
        self._sent, self._count = sent, 0
        self._tokens = list(dict.fromkeys(TOKEN.findall(sent)))

    def again(self) -> bytes:
        """The same commands with other tokens."""
        self._count += 1
        sent = self._sent
        for number, token in enumerate(self._tokens):
            sent = sent.replace(token, b"%0*x" % (len(token), self._count * 16 + number))
        return sent


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


def recorded(place: Place, operation: Operation, count: int = 1, warm: int = 3) -> list[bytes]:
    """Note what an operation sends to each server of a place.

    Args:
        place: Where.
        operation: What.
        count: Calls to note.
        warm: Calls before those, which connect and load scripts.
    """
    with contextlib.ExitStack() as stack:
        relays = [stack.enter_context(contextlib.closing(Relay(url))) for url in place.urls]
        loop = stack.enter_context(asyncio.Runner())
        urls = [relay.url for relay in relays]
        run = operation.open(Place(urls, place.pids, loop, stack, place.prefix))
        run(warm)
        time.sleep(QUIET)
        for relay in relays:
            relay.taken()
        run(count)
        time.sleep(QUIET)
        return [relay.taken() for relay in relays]
