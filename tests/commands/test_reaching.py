"""Which server a command asks, with what password, and what its exit status tells."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from redis import Redis

from coord import Coord
from coord.__main__ import main
from tests.support import servers

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMANDS = (
    ("locks", "list"),
    ("locks", "show", "x"),
    ("limits", "list"),
    ("limits", "reset", "a", "b"),
    ("board", "x"),
)


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("COORD_URL", "REDIS_URL", "COLUMNS", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def guarded() -> Iterator[str]:
    """A server that wants the password s3c/ret, and has a lock."""
    binary = servers.BINARIES["valkey9"]()
    assert binary is not None
    with servers.running(binary, "--requirepass", "s3c/ret") as process:
        with Coord.connect(f"redis://:s3c%2Fret@{process.address}") as hub:
            hub.lock("door", ttl=60).acquire()
        yield f"redis://{process.address}"


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_server_that_cannot_be_reached_is_status_3(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    assert main([*words, "--url", "redis://:hush@127.0.0.1:1"]) == 3
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("coord: cannot reach redis://127.0.0.1:1: ")
    assert said.err.count("\n") == 1
    assert "hush" not in said.err


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_wrong_password_is_status_2_since_asking_again_does_not_help(
    capsys: pytest.CaptureFixture[str], guarded: str, words: tuple[str, ...]
) -> None:
    for url in (guarded, guarded.replace("redis://", "redis://:hush@")):
        assert main([*words, "--url", url]) == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert "hush" not in said.err


def test_a_server_that_is_loading_or_read_only_is_status_3(
    capsys: pytest.CaptureFixture[str], own_server: servers.Process
) -> None:
    with Redis(port=own_server.port) as raw, Coord(raw) as hub:
        hub.lock("x").acquire()
        raw.replicaof("127.0.0.1", "1")

        assert main(["locks", "break", "x", "--reason", "why", "--url", f"redis://{own_server.address}"]) == 3
    assert "the server cannot now" in capsys.readouterr().err


def test_the_environment_says_which_server(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, guarded: str
) -> None:
    here = guarded.replace("redis://", "redis://:s3c%2Fret@")
    monkeypatch.setenv("REDIS_URL", here)
    assert main(["locks", "show", "door"]) == 0
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")
    assert main(["locks", "show", "door"]) == 3
    monkeypatch.setenv("COORD_URL", here)
    assert main(["locks", "show", "door"]) == 0
    assert main(["locks", "show", "door", "--url", "redis://127.0.0.1:1"]) == 3
    assert "s3c" not in "".join(capsys.readouterr())


def test_a_password_is_read_from_a_file(
    capsys: pytest.CaptureFixture[str], guarded: str, tmp_path: Path
) -> None:
    secret = tmp_path / "password"
    secret.write_text("s3c/ret\nand no more")
    words = ["locks", "show", "door", "--password-file", str(secret), "--url"]
    assert main([*words, guarded]) == 0
    assert main([*words, guarded.replace("redis://", "redis://default@") + "/0?client_name=cli"]) == 0
    for url in (guarded.replace("redis://", "redis://:other@"), f"{guarded}?password=other"):
        assert main([*words, url]) == 2
        assert "has a password of its own" in capsys.readouterr().err
    secret.write_text("\n")
    assert main([*words, guarded]) == 2
    secret.unlink()
    assert main([*words, guarded]) == 2
    assert "No such file" in capsys.readouterr().err


def test_a_password_is_asked_for_at_a_terminal(capsys: pytest.CaptureFixture[str], guarded: str) -> None:
    words = ["locks", "show", "door", "--ask-password", "--url", guarded]
    assert main(words) == 2
    assert "needs a terminal" in capsys.readouterr().err

    pid, terminal = pty.fork()
    if not pid:
        os.execv(sys.executable, [sys.executable, "-m", "coord", *words])
    said = b""
    while b"password: " not in said:
        said += os.read(terminal, 1000)
    os.write(terminal, b"s3c/ret\n")
    with suppress(OSError):  # the end of a terminal
        while more := os.read(terminal, 1000):
            said += more
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert b"door" in said
    assert b"s3c" not in said


def test_help_fits_in_80_columns_and_names_no_secret(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("COORD_URL", "redis://:s3cret@h")
    for words in (
        (),
        ("locks",),
        ("locks", "list"),
        ("limits", "throttled"),
        ("board",),
        ("completion",),
        ("demo",),
    ):
        assert main([*words, "--help"]) == 0
        said = capsys.readouterr().out
        assert max(map(len, said.splitlines())) <= 80
        assert "s3cret" not in said


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_a_shell_gets_its_completions(capsys: pytest.CaptureFixture[str], shell: str) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out

    assert all(word in script for word in ("locks", "break", "throttled", "password-file"))
    if shell == "bash":
        ask = 'COMP_WORDS=(coord lo); COMP_CWORD=1; COMP_LINE="coord lo"; '
        name = re.findall(r"complete .*-F (\S+) coord", script)[0]
        found = subprocess.run(
            ["bash", "-c", f'{script}\n{ask}{name} coord lo coord; echo "${{COMPREPLY[@]}}"'],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert found.stdout.strip() == "locks"


def test_without_what_makes_completions_it_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 2
    assert "pip install 'coord[completion]'" in capsys.readouterr().err


def test_every_command_and_option_is_on_its_page() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "command-line.md").read_text("utf-8")
    of_the_demo = {"--kill-one", "--workers"}  # these are on the demo's own
    commands = ["locks list", "locks show", "locks break", "limits list", "limits throttled", "limits reset"]
    for words in (*commands, "board", "completion", "demo"):
        told = subprocess.run(
            [sys.executable, "-m", "coord", *words.split(), "--help"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert f"coord {words}" in page
        options = set(re.findall(r"--[a-z][a-z-]+", told)) - {"--help"} - of_the_demo
        assert {option for option in options if option not in page} == set()
