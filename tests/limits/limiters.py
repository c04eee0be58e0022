"""Limiters of each kind, and what they keep on the server."""

from __future__ import annotations

from typing import Any

from tests.support.keys import keys_of

KINDS = ["bucket", "exact", "approximate", "fixed"]
FAMILY = {"bucket": "bucket", "exact": "window", "approximate": "window", "fixed": "fixed"}


def limiter(coord: Any, kind: str, limit: int = 3, per: float = 60, name: str = "api", **options: Any) -> Any:
    options = {"deny_cache": 0, **options}
    if kind == "bucket":
        return coord.token_bucket(name, rate=limit, per=per, **options)
    if kind == "fixed":
        return coord.fixed_window(name, limit=limit, per=per, **options)
    return coord.sliding_window(name, limit=limit, per=per, precision=kind, **options)


def dump(client: Any, prefix: str) -> dict[str, tuple[bytes, int]]:
    """Every key's value and the moment of its end."""
    keys = sorted(keys_of(client, prefix))
    return {key: (client.dump(key), client.pttl(key)) for key in keys}


def same(before: dict[str, tuple[bytes, int]], after: dict[str, tuple[bytes, int]]) -> bool:
    return {key: value for key, (value, _) in before.items()} == {
        key: value for key, (value, _) in after.items()
    } and all(after[key][1] <= ttl for key, (_, ttl) in before.items())
