"""Every Python block of the README and of the documentation runs, in the order in which it is read.

The blocks marked ``python`` of one document share a namespace and an event loop. Blocks marked ``py`` need
something that a test does not have, such as a cluster, and are only compiled. Tracebacks point into the
Markdown.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import anyio
import pytest
from markdown_it import MarkdownIt

from tests.support.flavours import out_of_loop

ROOT = Path(__file__).parents[2]
DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))


@dataclass(frozen=True)
class Block:
    info: str
    text: str
    line: int

    def compiled(self, document: Path) -> CodeType:
        padded = "\n" * (self.line - 1) + self.text
        code = compile(padded, str(document), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        assert isinstance(code, CodeType)
        return code


def blocks_of(document: Path) -> list[Block]:
    tokens = MarkdownIt("commonmark").parse(document.read_text("utf-8"))
    return [
        Block(token.info.strip(), token.content, token.map[0] + 2)
        for token in tokens
        if token.type == "fence" and token.map is not None
    ]


async def run_all(document: Path) -> None:
    namespace: dict[str, Any] = {"__name__": document.stem}
    for block in blocks_of(document):
        if block.info == "python":
            with out_of_loop():  # as in a script; what awaits only begins here
                waiting = FunctionType(block.compiled(document), namespace)()
            if waiting is not None:
                await waiting
        elif block.info == "py":
            block.compiled(document)


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(one, id=str(one.relative_to(ROOT)))
        for one in DOCUMENTS
        if any(block.info in ("python", "py") for block in blocks_of(one))
    ],
)
def test_the_code_in_a_document_runs(document: Path) -> None:
    anyio.run(run_all, document)


def test_no_python_escapes_the_tests_by_its_label() -> None:
    labels = {block.info for document in DOCUMENTS for block in blocks_of(document)}

    assert {label for label in labels if "py" in label.lower()} <= {"python", "py"}


def test_the_readme_names_its_commands_one_a_block() -> None:
    commands = [block.text for block in blocks_of(ROOT / "README.md") if block.info == "sh"]

    assert all(len(command.splitlines()) == 1 for command in commands)
    assert [command.count("pytest") for command in commands if "pytest" in command] == [1]
