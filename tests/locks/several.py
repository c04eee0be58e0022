"""Names that are locked together, on servers where they lie in one slot and where they do not."""

from __future__ import annotations

from typing import Any

from tests.support.hubs import in_many_slots

ABC = ("a", "b", "c")


def take_apart(hub: Any, way: str) -> Any:
    """Let a hub believe that names lie in different slots, if they are to be asked for in turn."""
    return in_many_slots(hub) if way == "in turn" else hub


def held(client: Any, prefix: str) -> list[str]:
    return [name for name in "abcd" if client.exists(f"{prefix}:lock:{{{name}}}")]
