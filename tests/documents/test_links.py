"""Every link from one page to another leads to a page, and to a heading, that there is."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from markdown_it import MarkdownIt

if TYPE_CHECKING:
    from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
PAGES = (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")))
LABEL = re.compile(r"^\(([\w-]+)\)=$", re.MULTILINE)


def tokens_of(page: Path) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(page.read_text("utf-8"))


def slug(heading: str) -> str:
    """Name a heading as the sites that show Markdown do."""
    plain = re.sub(r"\[([^]]*)]\([^)]*\)", r"\1", heading).replace("`", "").lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


def anchors_of(page: Path) -> set[str]:
    tokens = tokens_of(page)
    headings = (after.content for one, after in pairwise(tokens) if one.type == "heading_open")
    return {slug(heading) for heading in headings} | set(LABEL.findall(page.read_text("utf-8")))


def links_of(page: Path) -> list[str]:
    inline = [child for token in tokens_of(page) for child in token.children or ()]
    wanted = [str(one.attrs["href"]) for one in inline if one.type == "link_open"]
    wanted += [str(one.attrs["src"]) for one in inline if one.type == "image"]
    return [link for link in wanted if not re.match(r"[a-z]+:", link)]


def is_dead(link: str, page: Path) -> bool:
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    if not target.exists():
        return True
    return bool(anchor) and target.suffix == ".md" and anchor not in anchors_of(target)


def dead_links_of(page: Path) -> list[str]:
    return [link for link in links_of(page) if is_dead(link, page)]


@pytest.mark.parametrize("page", [pytest.param(page, id=str(page.relative_to(ROOT))) for page in PAGES])
def test_no_link_is_dead(page: Path) -> None:
    assert dead_links_of(page) == []


def test_every_page_is_in_the_contents() -> None:
    index = (ROOT / "docs" / "index.md").read_text("utf-8")
    pages = {
        str(page.relative_to(ROOT / "docs").with_suffix(""))
        for page in PAGES
        if ROOT / "docs" in page.parents
    }

    assert {page for page in pages - {"index"} if f"\n{page}\n" not in index} == set()


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "there.md").write_text("# What is there\n\n(label)=\n## `more`, and *more*\n")
    page = tmp_path / "page.md"
    page.write_text(
        "[a](there.md#what-is-there) [b](there.md#label) [c](there.md#more-and-more) [d](https://x.y)\n"
        "[e](gone.md) [f](there.md#gone) [](#gone) ![g](gone.svg)\n"
    )

    assert dead_links_of(page) == ["gone.md", "there.md#gone", "#gone", "gone.svg"]
