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


def connections(client: Any) -> set[str]:
    """The ids of all connections that there are."""
    return {one["id"] for one in client.client_list()}


def subscribers(client: Any) -> set[str]:
    """The ids of those that listen for messages."""
    kinds = ("sub", "psub", "ssub")
    return {one["id"] for one in client.client_list() if any(one.get(kind, "0") != "0" for kind in kinds)}
