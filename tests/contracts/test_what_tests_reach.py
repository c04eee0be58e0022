"""Tests speak to what is public: what reaches inside is listed here, with the reason.

What a test of a room needs from inside is a function of ``tests/support`` with a name, so that a wall of the
package can be moved by changing that package alone.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
INSIDE = {"_kit", "_leases", "_engine", "benchmarks", "campaign"}
"""Folders of tests of what is inside, or of what runs beside the tests."""
LIBRARIES = {"os", "asyncio"}
"""Modules of others, whose names that begin with an underscore are documented, or without a twin."""

LISTED = {
    "compat/awaited.py": (
        1,
        0,
        "the Coord behind a lock of redis-py's interface, to be closed and intercepted",
    ),
    "compat/test_owners.py": (2, 0, "that the table of owners does not grow is seen from nowhere else"),
    "contracts/test_lua.py": (0, 1, "it compares each script with the Script that declares it"),
    "contracts/test_public_api.py": (1, 0, "what is loaded late is the package's own list"),
    "hub/test_forked.py": (2, 0, "locks of redis-py's own, which a fork must find free"),
    "support/flavours.py": (1, 0, "what a wrapper of its own wraps"),
    "support/hubs.py": (7, 7, "time that passes at once, calls that fail, and messages that never come"),
    "support/rooms.py": (17, 3, "tokens that a test chooses, and what a limiter, counter or permit knows"),
    "support/simulation.py": (0, 5, "a port of its own, with virtual clocks and a network that loses"),
    "support/together.py": (0, 3, "a port of its own, which asks for many at once"),
}
"""For each file: how often it reads a private name of something else, how often it imports what is inside,
and why. A number that grows wants a better reason than a test that is easier to write."""


def private(name: object) -> bool:
    return isinstance(name, str) and name.startswith("_") and not name.startswith("__")


def reads(node: ast.AST) -> bool:
    """Whether it reads or sets a private attribute of something else, by ``getattr`` and the like too."""
    if isinstance(node, ast.Attribute):
        owner = node.value.id if isinstance(node.value, ast.Name) else ""
        return private(node.attr) and owner not in {"self", "cls", *LIBRARIES}
    if isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        named = [one.value for one in node.args[1:2] if isinstance(one, ast.Constant)]
        return name in {"getattr", "setattr", "hasattr", "delattr"} and any(map(private, named))
    return False


def imports(node: ast.AST) -> int:
    """How many modules inside it imports."""
    names = []
    if isinstance(node, ast.ImportFrom) and node.module:
        names = [node.module] if node.module != "coord" else [f"coord.{one.name}" for one in node.names]
    elif isinstance(node, ast.Import):
        names = [one.name for one in node.names]
    inside = [name.split(".")[1] for name in names if name.startswith("coord.")]
    return sum(map(private, inside))


def reach(path: Path) -> tuple[int, int]:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    return sum(map(reads, nodes)), sum(map(imports, nodes))


def test_tests_reach_inside_where_it_is_listed_and_no_more_than_that() -> None:
    found = {}
    for path in TESTS.rglob("*.py"):
        name = path.relative_to(TESTS)
        if name.parts[0] not in INSIDE and reach(path) != (0, 0):
            found[str(name)] = reach(path)

    assert found == {name: (number, imported) for name, (number, imported, _) in LISTED.items()}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hub._port.run", (1, 0)),
        ("hub._port._wire", (2, 0)),
        ("self._port", (0, 0)),
        ("hub.__class__", (0, 0)),
        ("os._exit(0)", (0, 0)),
        ('getattr(hub, "_port")', (1, 0)),
        ('patch.setattr(hub, "_port", None)', (1, 0)),
        ('getattr(hub, "port")', (0, 0)),
        ("from coord._engine import port, script", (0, 1)),
        ("from coord import _engine", (0, 1)),
        ("import coord._engine.port", (0, 1)),
        ("from coord import Coord", (0, 0)),
    ],
)
def test_reads_and_imports_are_found(text: str, expected: tuple[int, int], tmp_path: Path) -> None:
    path = tmp_path / "test_it.py"
    path.write_text(text)

    assert reach(path) == expected
