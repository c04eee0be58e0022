"""What is on a server, and what time it is there."""

from __future__ import annotations

from typing import Any


def keys_of(client: Any, prefix: str) -> list[str]:
    """List the keys that begin with a prefix."""
    return [key.decode() if isinstance(key, bytes) else key for key in client.scan_iter(f"{prefix}:*")]


def server_time(client: Any) -> float:
    """Ask a server for its time."""
    reply = client.time()
    seconds, micros = next(iter(reply.values())) if isinstance(reply, dict) else reply
    return float(seconds + micros / 1_000_000)
