"""A factory that is told what it does not know names what it does."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from coord import AsyncCoord, Coord


@pytest.mark.parametrize("kind", [Coord, AsyncCoord])
@pytest.mark.parametrize(
    ("factory", "word", "right"),
    [
        ("token_bucket", "limit", "rate=, per=, burst=, on_error="),
        ("token_bucket", "period", "rate=, per="),
        ("sliding_window", "rate", "limit=, per=, precision=, on_error="),
        ("sliding_window", "burst", "limit=, per="),
        ("fixed_window", "precision", "limit=, per=, on_error="),
        ("concurrency_limit", "timeout", "limit=, ttl=, renew="),
        ("concurrency_limit", "on_error", "limit=, ttl="),
        ("limits", "mode", "on_error="),
        ("lock", "timeout", ""),
        ("leaderboard", "periods", ""),
        ("unique_counter", "per", ""),
    ],
)
def test_the_right_words_are_named(kind: Any, factory: str, word: str, right: str) -> None:
    hub = kind.connect("memory://")
    make = getattr(hub, factory)
    given: list[Any] = [hub.token_bucket("a", rate=1)] if factory == "limits" else ["a"]
    needed = {"limit": 1} if factory == "concurrency_limit" else {}
    with pytest.raises(TypeError) as caught:
        make(*given, **needed, **{word: 1})

    assert factory in str(caught.value)
    assert word in str(caught.value)
    assert "__init__" not in str(caught.value)
    assert right in str(caught.value)
    for named in inspect.signature(make).parameters if right else ():
        assert named in ("name", "spec", "limiters", "options") or f"{named}=" in str(caught.value)
