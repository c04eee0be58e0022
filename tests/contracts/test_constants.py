"""A number with a name says its unit, and why it is that number."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import coord

ROOT = Path(coord.__file__).parent
FORMATS = {ROOT / "uniques" / "sketch.py"}
"""Files whose numbers are those of a format, which their docstring describes."""

MODULES = sorted({*ROOT.rglob("*.py")} - FORMATS)


def is_number(value: ast.expr) -> bool:
    """Say whether an expression is a number, or a tuple of them."""
    if isinstance(value, ast.Tuple):
        return all(map(is_number, value.elts))
    if isinstance(value, ast.BinOp):
        return is_number(value.left) and is_number(value.right)
    return isinstance(value, ast.Constant) and isinstance(value.value, int | float)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_named_number_is_followed_by_what_it_means(path: Path) -> None:
    body = ast.parse(path.read_text()).body
    bare = [
        ast.unparse(one)
        for one, following in zip(body, [*body[1:], None], strict=True)
        if isinstance(one, ast.Assign) and is_number(one.value)
        if not (isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant))
    ]

    assert bare == []
