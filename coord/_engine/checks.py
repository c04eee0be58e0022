"""Arguments, checked before anything is sent. Each error names the argument, the value and the rule."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta
from typing import TypeVar, cast

__all__ = [
    "MAX_EXACT",
    "Seconds",
    "id_bytes",
    "instance",
    "instances",
    "integer",
    "known",
    "micros",
    "millis",
    "one_of",
    "patience",
    "seconds",
]

T = TypeVar("T")
W = TypeVar("W", bound=str)

Seconds = float | timedelta
"""A duration: seconds, or a ``timedelta``."""

MAX_EXACT = 2**53
"""Above this a double, which is what Lua and sorted sets count in, no longer holds every integer."""


def seconds(value: Seconds, what: str, *, at_least: float) -> float:
    """Return a duration as float seconds.

    Raises:
        TypeError: It is neither a number nor a ``timedelta``; ``True`` is not a number here.
        ValueError: It is NaN, infinite or below ``at_least``.
    """
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(
            f"{what} must be a number of seconds or a timedelta, not {type(value).__name__} {value!r}"
        )
    if not math.isfinite(value) or value < at_least:
        raise ValueError(f"{what} must be a finite number of seconds, at least {at_least:g}, not {value!r}")
    return float(value)


def patience(timeout: Seconds | None) -> float:
    """Return how long a caller is willing to wait: ``None`` is for ever, 0 is not at all."""
    return math.inf if timeout is None else seconds(timeout, "timeout", at_least=0)


def millis(value: float) -> int:
    """Return seconds as whole milliseconds, rounded up, at least 1: a TTL that Redis takes."""
    return max(1, math.ceil(round(value * 1000, 6)))


def micros(value: float) -> int:
    """Return seconds as whole microseconds."""
    return round(value * 1_000_000)


def known(options: Collection[str], what: str, allowed: Iterable[str]) -> None:
    """See that options are among those that a primitive has.

    Raises:
        TypeError: One is not; the message names those that there are.
    """
    names = list(allowed)
    for option in options:
        if option not in names:
            has = ", ".join(f"{name}=" for name in names)
            raise TypeError(f"{what}() has no option {option}=; it has {has}")


def integer(value: int, what: str, *, at_least: int, at_most: int = MAX_EXACT) -> int:
    """Return ``value`` if it is a whole number within bounds.

    Raises:
        TypeError: It is not an ``int``; ``True`` is not one here.
        ValueError: It is out of bounds.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{what} must be an int, not {type(value).__name__} {value!r}")
    if not at_least <= value <= at_most:
        raise ValueError(f"{what} must be from {at_least} to {at_most}, not {value!r}")
    return value


def one_of(value: W, what: str, allowed: tuple[W, ...]) -> W:
    """Return ``value`` if it is one of the ``allowed`` words."""
    if value not in allowed:
        raise ValueError(f"{what} must be one of {', '.join(map(repr, allowed))}, not {value!r}")
    return value


def id_bytes(value: str | int | bytes) -> bytes:
    """Return the bytes that stand for an id. ``1``, ``"1"`` and ``b"1"`` are one id, on purpose.

    Raises:
        TypeError: It is none of these.
        ValueError: It is empty.
    """
    if isinstance(value, str):
        value = value.encode()
    elif isinstance(value, int) and not isinstance(value, bool):
        value = b"%d" % value
    elif not isinstance(value, bytes):
        raise TypeError(f"an id must be a str, int or bytes, not {type(value).__name__} {value!r}")
    if not value:
        raise ValueError("an id must not be empty")
    return value


def instance(value: T, kind: type[object], name: str) -> T:
    """Return ``value`` if it is of the class that is wanted.

    Raises:
        TypeError: It is not.
    """
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be of {kind.__name__}, not {type(value).__name__} {value!r}")
    return value


def instances(value: T | Sequence[T], kind: type[T], name: str) -> list[T]:
    """Return a list of what is wanted, given one or several.

    Raises:
        TypeError: One of them is of another class.
    """
    is_one = isinstance(value, kind | str) or not isinstance(value, Sequence)
    several = cast("Sequence[T]", [value] if is_one else value)
    return [instance(one, kind, name) for one in several]
