"""Limits as people write them: ``100/minute burst 20``."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

__all__ = ["Spec", "parse"]

UNITS = {
    "ms": Fraction(1, 1000),
    "millisecond": Fraction(1, 1000),
    "s": Fraction(1),
    "sec": Fraction(1),
    "second": Fraction(1),
    "m": Fraction(60),
    "min": Fraction(60),
    "minute": Fraction(60),
    "h": Fraction(3600),
    "hr": Fraction(3600),
    "hour": Fraction(3600),
    "d": Fraction(86_400),
    "day": Fraction(86_400),
    "w": Fraction(604_800),
    "week": Fraction(604_800),
}
NUMBER = r"\d[\d_]*(?:\.\d+)?"
SHAPE = re.compile(
    rf"\s*(?P<amount>{NUMBER})\s*(?:/|\bper\b)\s*(?P<times>{NUMBER})?\s*(?P<unit>[a-z]+)"
    r"(?:\s+burst\s+(?P<burst>\d[\d_]*))?\s*",
    re.IGNORECASE,
)


class Spec(NamedTuple):
    """What a text says.

    Attributes:
        amount: How much.
        per: In how many seconds, at most to the microsecond.
        burst: The most at once, if it says so.
    """

    amount: Fraction
    per: float
    burst: int | None


def parse(text: str) -> Spec:
    """Read ``AMOUNT/TIME`` or ``AMOUNT per TIME``, and ``burst N`` after it.

    A time is a unit with or without a number before it: ``minute``, ``10s``, ``500 ms``, ``2 hours``.

    Raises:
        TypeError: ``text`` is not a ``str``.
        ValueError: It cannot be read.
    """
    if not isinstance(text, str):
        raise TypeError(
            f"spec must be a str such as '100/minute burst 20', not {type(text).__name__} {text!r}"
        )
    found = SHAPE.fullmatch(text)
    unit = found and found["unit"].lower()
    length = unit and (UNITS.get(unit) or UNITS.get(unit.removesuffix("s")))
    if found is None or not length:
        raise ValueError(
            f"spec {text!r} cannot be read; write it like '100/minute', '5 per 10 s' or '10/s burst 20'"
        )
    burst = found["burst"]
    per = Fraction(found["times"] or 1) * length
    return Spec(Fraction(found["amount"]), float(per), None if burst is None else int(burst))
