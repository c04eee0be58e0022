"""Puts what was measured where the documentation shows it.

A page says by two comments where a part belongs, ``<!-- measured: NAME -->`` and ``<!-- end of NAME -->``.
What stands between them is replaced, and the rest of the page is written by hand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["fill", "write"]


def fill(text: str, parts: Mapping[str, str]) -> str:
    """Replace the parts that a page has a place for.

    Args:
        text: The page.
        parts: What belongs there, by name.
    """
    for name, part in parts.items():
        opening, ending = f"<!-- measured: {name} -->", f"<!-- end of {name} -->"
        before, found, rest = text.partition(opening)
        if found:
            after = rest[rest.index(ending) :]
            text = f"{before}{opening}\n\n{part.strip()}\n\n{after}"
    return text


def write(docs: Path, parts: Mapping[str, str]) -> list[Path]:
    """Replace the parts in the page on speed and in the README beside the docs; return those changed."""
    changed = []
    for page in (docs / "explanation" / "speed.md", docs.parent / "README.md"):
        before = page.read_text("utf-8")
        after = fill(before, parts)
        if after != before:
            page.write_text(after, "utf-8")
            changed.append(page)
    return changed
