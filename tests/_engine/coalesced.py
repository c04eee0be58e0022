"""A server that answers when the test says so, and calls that travel together to it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import hiredis
import pytest

from coord._engine.script import Command

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coord import AsyncCoord
    from coord._engine import trunk

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _together(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--coalesce") == "off":
        pytest.skip("calls travel alone")


@pytest.fixture(autouse=True)
def _no_complaints(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Asyncio reports by its logger what was never looked at."""
    yield
    assert [one.getMessage() for one in caplog.records if one.name == "asyncio"] == []


ECHO = Command("ECHO", parse=lambda reply: reply, repeatable=True)


async def echo(hub: AsyncCoord, word: object, *, command: Any = ECHO, timeout: float | None = None) -> Any:
    return await hub._port.run(command([], str(word)), timeout=timeout)


def trunk_of(hub: AsyncCoord) -> trunk.Trunk:
    found = hub._port._shared._line_ups[""]._trunk
    assert found is not None
    return found


class Peer:
    """A server that answers when the test says so, and speaks just enough for ECHO."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.chunks = 0
        self.answers = True
        self.writers: list[asyncio.StreamWriter] = []
        self._come = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        commands = hiredis.Reader()
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 20):
                self.chunks += 1
                commands.feed(data)
                while command := commands.gets():
                    if command[0] != b"ECHO":
                        writer.write(b"+OK\r\n")  # the library introduces itself
                        continue
                    self.heard.append(command[-1])
                    if self.answers:
                        self.answer(command[-1])
                self._come.set()
        writer.close()

    def answer(self, word: bytes) -> None:
        self.writers[-1].write(b"$%d\r\n%b\r\n" % (len(word), word))

    async def has_heard(self, count: int) -> None:
        while len(self.heard) < count:
            self._come.clear()
            await asyncio.wait_for(self._come.wait(), 5)

    async def hang_up(self) -> None:
        self.writers[-1].transport.abort()
