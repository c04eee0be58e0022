"""A server of one's own: private, and gone with its owner."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis

from coord import Coord, CoordError
from coord._engine.embedded import EmbeddedServer


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def gone(pid: int, within: float = 10) -> bool:
    deadline = time.monotonic() + within
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not alive(pid)


OWNER = """
import os, sys
from coord._engine.embedded import EmbeddedServer
import redis
server = EmbeddedServer()
with redis.Redis.from_url(server.url) as client:
    print(client.info("server")["process_id"], server.url.partition("@")[2], flush=True)
{end}
"""


def readable(path: Path) -> bool:
    try:
        path.read_bytes()
    except OSError:
        return False
    return True


def server_pid(server: EmbeddedServer) -> int:
    with redis.Redis.from_url(server.url) as client:
        pid: int = client.info("server")["process_id"]
        return pid


def test_it_answers_as_soon_as_it_is_made_and_is_gone_when_closed() -> None:
    server = EmbeddedServer()
    folder = Path(server.url.partition("@")[2]).parent
    pid = server_pid(server)
    server.close()
    server.close()

    assert not alive(pid)
    assert not folder.exists()


def test_it_is_private() -> None:
    server = EmbeddedServer()
    socket = server.url.partition("@")[2]
    password = server.url.split(":")[2].partition("@")[0]
    with redis.Redis(unix_socket_path=socket) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if readable(path)]

    assert stat.S_IMODE(Path(socket).parent.stat().st_mode) == 0o700
    assert len(password) == 32
    assert password not in repr(server)
    assert not any(password.encode() in command for command in commands)
    with redis.Redis.from_url(server.url) as client:
        assert client.config_get("port") == {b"port": b"0"} or client.config_get("port") == {"port": "0"}
    server.close()


@pytest.mark.parametrize(
    "end",
    ["os._exit(1)", "sys.exit(0)", "sys.stdin.read()", "del server, client; sys.stdin.read()"],
    ids=["died", "ended", "killed", "forgotten"],
)
def test_it_never_outlives_its_owner(end: str) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER.format(end=end)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout is not None
    assert owner.stdin is not None
    pid, socket = owner.stdout.readline().split()
    if "del" in end:
        assert gone(int(pid)), "a forgotten server is stopped while its owner lives on"
    elif "stdin" in end:
        owner.send_signal(signal.SIGKILL)

    assert gone(int(pid))
    deadline = time.monotonic() + 5
    while Path(socket).parent.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(socket).parent.exists()
    owner.stdin.close()
    owner.stdout.close()
    owner.wait()


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "appendonlydir").write_text("not a folder")
    with pytest.raises(CoordError, match="the embedded server did not start; it said:"):
        EmbeddedServer(str(tmp_path))

    (tmp_path / "appendonlydir").unlink()
    EmbeddedServer(str(tmp_path)).close()


def test_a_folder_that_others_can_enter_is_closed_or_refused(tmp_path: Path) -> None:
    (empty := tmp_path / "empty").mkdir(mode=0o755)
    EmbeddedServer(str(empty)).close()
    assert stat.S_IMODE(empty.stat().st_mode) == 0o700

    (used := tmp_path / "used").mkdir(mode=0o755)
    (used / "report.txt").touch()
    with pytest.raises(CoordError, match=r"others can enter .*/used'; make it your own \(chmod 700\)"):
        Coord.connect(f"embedded://{used}")
    assert stat.S_IMODE(used.stat().st_mode) == 0o755
    used.chmod(0o700)
    EmbeddedServer(str(used)).close()
