"""How a thread writes to a connection of its client, and for how long at the most."""

# pyright: basic

from __future__ import annotations

import contextlib
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coord._engine.script import Word

__all__ = ["bounded", "send", "socket_timeout"]

pack_command: Any
try:
    pack_command = import_module("hiredis").pack_command
except ImportError:
    pack_command = None

LARGE = 16_384
"""Bytes of a command from which sending it may have to wait for the server to read: any kernel buffers as
much."""

AT_ONCE = contextlib.nullcontext()


def send(connection: Any, words: tuple[Word, ...], seconds: float) -> None:
    """Send a command; packed as the library would, which looks at every word once more before it does."""
    packer = getattr(connection, "_command_packer", None)
    if pack_command is None or type(packer).__name__ != "HiredisRespSerializer":
        with bounded(connection, sum(len(word) for word in words if not isinstance(word, int)), seconds):
            connection.send_command(*words)
        return
    packed = pack_command(words)
    with bounded(connection, len(packed), seconds):
        connection.send_packed_command((packed,))


def bounded(connection: Any, size: int, seconds: float) -> contextlib.AbstractContextManager[None]:
    """Bound the sending of so many bytes, where it may have to wait."""
    return socket_timeout(connection, seconds) if size > LARGE else AT_ONCE


@contextlib.contextmanager
def socket_timeout(connection: Any, seconds: float) -> Iterator[None]:
    """Bound each read and write of a block where the library knows but one timeout a connection."""
    socket: Any = getattr(connection, "_sock", None)
    if not hasattr(socket, "settimeout"):
        yield  # fakeredis, which answers at once
        return
    usual = socket.gettimeout()
    socket.settimeout(seconds)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            socket.settimeout(usual)
