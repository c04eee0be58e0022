"""What another server says about its own limits."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["upstream_pause"]

NUMBER = re.compile(r"\s*(\d+(?:\.\d+)?)\s*")
ITEM = re.compile(r'"(?:[^"\\]|\\.)*"((?:\s*;\s*[a-z*][a-z0-9_.*-]*(?:=[^;,]*)?)*)')
EPOCH = 100_000_000.0
"""A reset beyond this is a date in seconds since the epoch: as a duration it would be three years."""


def upstream_pause(headers: Mapping[str, str]) -> float | None:
    """Read from a response's headers for how long its server asks to be left alone.

    In this order: ``Retry-After`` (seconds, or a date, which counts from the response's own ``Date``);
    ``RateLimit`` as structured fields, of whose items only those with nothing remaining matter;
    ``RateLimit-Reset``, ``X-RateLimit-Reset`` or ``X-Rate-Limit-Reset`` if their ``-Remaining`` is 0.

    Args:
        headers: By name, in any case.

    Returns:
        Seconds, for ``penalize(until=)``; ``None`` if the headers ask for nothing.
    """
    found = {name.lower(): value for name, value in headers.items()}
    here = _date(found.get("date", "")) or datetime.now(UTC)
    after = found.get("retry-after")
    if after is not None and (pause := _seconds_or_date(after, here)) is not None:
        return pause
    spent = [pause for pause in map(_spent, ITEM.findall(found.get("ratelimit", ""))) if pause is not None]
    if spent:
        return max(spent)
    for prefix in ("ratelimit", "x-ratelimit", "x-rate-limit"):
        left, reset = found.get(f"{prefix}-remaining", ""), found.get(f"{prefix}-reset", "")
        if _number(left) == 0 and (pause := _seconds_or_date(reset, here)) is not None:
            return pause
    return None


def _spent(parameters: str) -> float | None:
    """Return when an item of ``RateLimit`` with nothing remaining has some again."""
    pairs = [pair.strip().partition("=") for pair in parameters.split(";") if pair.strip()]
    told = {name: _number(value) for name, _, value in pairs}
    return told.get("t") if told.get("r") == 0 else None


def _number(text: str) -> float | None:
    found = NUMBER.fullmatch(text)
    return None if found is None or not math.isfinite(float(found[1])) else float(found[1])


def _seconds_or_date(text: str, here: datetime) -> float | None:
    value = _number(text)
    if value is not None:
        return value if value < EPOCH else max(0.0, value - here.timestamp())
    date = _date(text)
    return None if date is None else max(0.0, (date - here).total_seconds())


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)
