"""What a newcomer pastes first can be pasted into Python's prompt, where an empty line ends a block."""

from __future__ import annotations

import ast
from codeop import CommandCompiler
from pathlib import Path

import pytest

from tests.documents.test_documents import Block, blocks_of

ROOT = Path(__file__).parents[2]
FIRST_PAGES = ("README.md", "docs/index.md", "docs/tutorial.md")


def paste(block: Block) -> None:
    """Give the lines to the compiler of ``python -m asyncio``, one by one, as a terminal does."""
    compiler = CommandCompiler()
    compiler.compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    entered: list[str] = []
    for line in [*block.text.splitlines(), ""]:
        entered.append(line)
        if compiler("\n".join(entered)) is not None:
            entered = []
    assert entered == []


@pytest.mark.parametrize("page", FIRST_PAGES)
def test_each_snippet_can_be_pasted(page: str) -> None:
    for block in blocks_of(ROOT / page):
        if block.info == "python":
            paste(block)


def test_an_empty_line_within_a_block_is_found() -> None:
    with pytest.raises(SyntaxError):
        paste(Block("python", "with open('a') as a:\n    a.read()\n\n    a.read()\n", 1))
