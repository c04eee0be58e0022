"""What a server was asked."""

from __future__ import annotations

from typing import Any


def commands(client: Any) -> dict[str, int]:
    """How often each command was called since the server began, scripts' own commands included."""
    return {name.removeprefix("cmdstat_"): row["calls"] for name, row in client.info("commandstats").items()}


def scripts_run(client: Any) -> int:
    """How many scripts were called since the server began."""
    called = commands(client)
    return called.get("evalsha", 0) + called.get("eval", 0)


def subscribers(client: Any) -> int:
    """How many connections listen for messages."""
    return sum(
        any(one.get(kind, "0") != "0" for kind in ("sub", "psub", "ssub")) for one in client.client_list()
    )
