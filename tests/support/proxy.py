"""A TCP proxy that mistreats what passes through it, as much as it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

if TYPE_CHECKING:
    from types import TracebackType

CHUNK = 65536
Way = Literal["request", "reply"]
Deed = Literal["drop", "cut", "delay", "late"]


@dataclass(frozen=True, slots=True)
class Mischief:
    """What happens to one chunk of bytes.

    Attributes:
        kind: What it is counted as.
        deed: ``drop`` it and all that follow on this connection, ``cut`` it in half and hang up, ``delay``
            it, or let it arrive ``late``: after the client was hung up on.
        seconds: How long it is held back.
        hang_up: Whether a drop resets the connection, rather than leave the client waiting.
    """

    kind: str
    deed: Deed
    seconds: float = 0.0
    hang_up: bool = False


class Proxy:
    """Forwards connections to a local port, in a thread, until the ``with`` block ends.

    What was sent to the server stays sent when its client disconnects: a delayed request arrives.

    Args:
        upstream: The server's port.
    """

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self._armed: dict[Way, deque[Mischief]] = {"request": deque(), "reply": deque()}
        self._clients: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="proxy")
        self.hits: Counter[str] = Counter()
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def arm(self, way: Way, *mischief: Mischief) -> None:
        """Let it happen to the next chunks of that direction, one each, of whatever connection."""
        self._loop.call_soon_threadsafe(self._armed[way].extend, mischief)

    def reset(self, kind: str, share: float) -> None:
        """Reset a share of the connections, at least one."""

        def act() -> None:
            chosen = list(self._clients)
            for writer in chosen[: max(1, round(len(chosen) * share))]:
                self.hits[kind] += 1
                _reset(writer)

        self._loop.call_soon_threadsafe(act)

    def calm(self) -> None:
        """Forget what was armed and has not happened."""

        def act() -> None:
            for queue in self._armed.values():
                queue.clear()

        self._loop.call_soon_threadsafe(act)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._join(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _join(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        try:
            back, server = await asyncio.open_connection("127.0.0.1", self._upstream)
        except OSError:
            _reset(client)
            return
        self._clients.add(client)
        try:
            await asyncio.gather(
                self._pump("request", reader, server, client), self._pump("reply", back, client, client)
            )
        finally:
            self._clients.discard(client)
            for writer in (client, server):
                writer.close()

    async def _pump(
        self, way: Way, source: asyncio.StreamReader, sink: asyncio.StreamWriter, client: asyncio.StreamWriter
    ) -> None:
        armed = self._armed[way]
        dead = False
        with contextlib.suppress(OSError):
            while data := await source.read(CHUNK):
                mischief = armed.popleft() if armed and not dead else None
                if mischief is not None:
                    self.hits[mischief.kind] += 1
                    dead = mischief.deed == "drop"
                    data = await _mistreat(mischief, data, client)
                if not dead and not sink.is_closing():
                    sink.write(data)
                    await sink.drain()
                if mischief is not None and mischief.deed == "cut":
                    break
        sink.close()


async def _mistreat(mischief: Mischief, data: bytes, client: asyncio.StreamWriter) -> bytes:
    """Do it, and return what of the chunk is to be sent on."""
    if mischief.deed == "late" or mischief.hang_up:
        _reset(client)
    if mischief.seconds:
        await asyncio.sleep(mischief.seconds)
    return data[: len(data) // 2] if mischief.deed == "cut" else data


def _reset(writer: asyncio.StreamWriter) -> None:
    """Hang up with a TCP reset."""
    with contextlib.suppress(OSError, AttributeError):
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
    writer.transport.abort()
