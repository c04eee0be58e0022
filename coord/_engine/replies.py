"""How replies are read. RESP2 and RESP3, decoded or not, come out the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from coord._engine.script import Reply

__all__ = ["as_bool", "as_both", "as_int", "as_optional_float", "as_rows", "nothing", "text"]


def nothing(reply: Reply) -> None:
    """Ignore a reply that says no more than that it came."""
    del reply


def as_int(reply: Reply) -> int:
    """Read an integer."""
    return int(cast("int", reply))


def as_bool(reply: Reply) -> bool:
    """Read 1 or 0."""
    return bool(reply)


def as_optional_float(reply: Reply) -> float | None:
    """Read a double, as RESP3 sends it or as RESP2 spells it; nil is ``None``."""
    return None if reply is None else float(cast("bytes", reply))


def as_rows(reply: Reply) -> list[bytes | int | None]:
    """Read an array."""
    return cast("list[bytes | int | None]", reply)


def as_both(replies: Reply) -> tuple[Reply, Reply]:
    """Read the reply to a call, and that to what was sent after it."""
    first, second = cast("list[Reply]", replies)
    return first, second


def text(word: bytes | str | int | None) -> str:
    """Read a string."""
    return word.decode() if isinstance(word, bytes) else str(word)
