"""A limit's numbers, checked and made ready to be sent."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from itertools import product
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from coord._engine.checks import MAX_EXACT, integer, micros, one_of, seconds
from coord.limits.grammar import parse

if TYPE_CHECKING:
    from coord._engine.checks import Seconds
    from coord._engine.keys import Keys

__all__ = ["Item", "Policy", "Precision", "bucket", "fixed", "sliding"]

Precision = Literal["auto", "exact", "approximate"]

SHORTEST_PER = 0.001
"""Seconds: a millisecond, in which Redis counts a key's life; what is shorter limits nothing."""

LONGEST_PER = 10 * 366 * 86_400.0
"""Seconds, ten years: longer than anybody limits by, and it leaves room to count microseconds exactly."""

LONGEST_LOG = 10_000
"""Admissions that an exact window may remember: 120 KB a key. Beyond, one call could hold the server up."""

AUTO_LOG = 128
"""The limit up to which ``precision="auto"`` is exact: 1.5 KB a key, little for being exact."""

LONGEST_PAUSE = LONGEST_PER
"""Seconds for which nothing may be admitted: whoever asks for longer has made a mistake with a unit."""

MOST_PARTS = 1000
"""The greatest number that a ``float`` rate is taken to be divided by: 1/3 is a third, 2/7 two sevenths."""

UNITS = (1, 10, 100, 1000, 10_000, 100_000, 1_000_000, 60_000_000)
"""Microseconds that time may be counted in: of these the finest in which a limit is exact."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A limit.

    Attributes:
        family: What its keys are called after.
        name: Its name.
        limit: The most that can be charged at once.
        window: Seconds in which ``limit`` comes back.
        words: What the script for several limits is told about it, but for the cost.
        gradual: Whether it comes back evenly, as in a bucket.
        alone: What the script of its kind is told, but for the cost.
    """

    family: str
    name: str
    limit: int
    window: float
    words: tuple[str, int, int, int, int, int]
    gradual: bool = False
    alone: tuple[str, ...] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        numbers = self.words[1:3] if self.kind == "fixed" else self.words[1:5]
        object.__setattr__(self, "alone", tuple(map(str, numbers)))  # spelled once, and not in each call

    @property
    def kind(self) -> str:
        """How it is counted."""
        return self.words[0]

    @property
    def longest_pause(self) -> float:
        """Seconds for which nothing may be admitted, and be counted exactly."""
        if self.kind != "bucket":
            return LONGEST_PAUSE
        _, capacity, ticks, token, unit, extra = self.words
        spare = MAX_EXACT // 2 - (capacity + extra) * token
        return min(LONGEST_PAUSE, spare // ticks * unit / 1_000_000)

    def item(self, keys: Keys, subject: str, cost: int) -> Item:
        """Make what one call asks of this limit."""
        return Item(self, subject, keys.of_subject(self.family, self.name, subject), cost)


class Item(NamedTuple):
    """What one call asks of one limit.

    Attributes:
        policy: The limit.
        subject: Whom or what to charge.
        key: Where that is kept.
        cost: How much.
    """

    policy: Policy
    subject: str
    key: str
    cost: int


def bucket(
    name: str, spec: str | None, *, rate: float | None, per: Seconds, burst: int | None, overdraft: int
) -> Policy:
    """Make the policy of a token bucket.

    Raises:
        TypeError: An argument is of the wrong type, or both ``spec`` and ``rate`` are given.
        ValueError: An argument is out of bounds, or the numbers cannot be counted exactly together.
    """
    if spec is not None:
        if rate is not None or burst is not None or per != 1:
            raise TypeError("give either a spec or rate=, per= and burst=, not both")
        pace, per, burst = parse(spec)
    else:
        if rate is None:
            raise TypeError("a token bucket needs rate=, or a spec such as '10/second burst 20'")
        if isinstance(rate, bool) or not isinstance(rate, int | float):
            raise TypeError(f"rate must be a number, not {type(rate).__name__} {rate!r}")
        if not 0 < rate <= MAX_EXACT:
            raise ValueError(f"rate must be above 0 and at most 2**53, not {rate!r}")
        pace = Fraction(str(rate))
    length = _length(per)
    if pace <= 0:
        raise ValueError(f"spec {spec!r} allows nothing")
    simple = _simple(pace)
    capacity = integer(max(1, round(pace)) if burst is None else burst, "burst", at_least=1)
    most = integer(overdraft, "overdraft", at_least=0)
    for exact, unit in product((pace, simple) if float(simple) == float(pace) else (pace,), UNITS):
        # Tokens a unit, in lowest terms: `ticks` pass each unit, `token` make a token.
        ticks, token = (exact * unit / length).as_integer_ratio()
        if 2 * (capacity + most) * token < MAX_EXACT and ticks * 1000 < MAX_EXACT:
            window = float(capacity * length / exact) / 1_000_000
            words = ("bucket", capacity, ticks, token, unit, most)
            return Policy("bucket", name, capacity, window, words, gradual=True)
    raise ValueError(
        f"{float(pace):g} each {length / 1_000_000:g} s with burst={capacity} cannot be counted exactly: "
        f"lower the burst, or write the rate in whole numbers, as {_whole_numbers(pace, length)}"
    )


def sliding(
    name: str,
    spec: str | None,
    *,
    limit: int | None,
    per: Seconds | None,
    precision: Precision,
    overdraft: int,
) -> Policy:
    """Make the policy of a sliding window; raises as ``bucket`` does."""
    most, length = _window(spec, limit, per)
    one_of(precision, "precision", get_args(Precision))
    exact = precision == "exact" or (precision == "auto" and most <= AUTO_LOG)
    if exact and most > LONGEST_LOG:
        raise ValueError(
            f"an exact sliding window remembers each admission, up to {LONGEST_LOG:,} of them; "
            f"for limit={most} use precision='approximate', or a token bucket"
        )
    extra = integer(overdraft, "overdraft", at_least=0)
    for unit in UNITS:
        if length % unit == 0 and 2 * (most + extra) * (length // unit) < MAX_EXACT:
            words = ("log" if exact else "counter", most, length, length // unit, unit, extra)
            return Policy("window", name, most, length / 1_000_000, words)
    raise ValueError(
        f"limit={most} in {length / 1_000_000:g} s cannot be counted exactly: use a rounder per="
    )


def fixed(name: str, spec: str | None, *, limit: int | None, per: Seconds | None, overdraft: int) -> Policy:
    """Make the policy of a fixed window; raises as ``bucket`` does."""
    most, length = _window(spec, limit, per)
    words = ("fixed", most, length, 1, 1, integer(overdraft, "overdraft", at_least=0))
    return Policy("fixed", name, most, length / 1_000_000, words)


def _simple(pace: Fraction) -> Fraction:
    """Find the ratio of small numbers that a rate is, or is about."""
    return pace.limit_denominator(MOST_PARTS) if pace >= 1 else 1 / (1 / pace).limit_denominator(MOST_PARTS)


def _whole_numbers(pace: Fraction, length: int) -> str:
    """Say in whole numbers what a rate is about, to three digits or better."""
    times, parts = _simple(pace).as_integer_ratio()
    return f"rate={times}, per={parts * length / 1_000_000:.12g}"


def _window(spec: str | None, limit: int | None, per: Seconds | None) -> tuple[int, int]:
    if spec is not None:
        if limit is not None or per is not None:
            raise TypeError("give either a spec or limit= and per=, not both")
        amount, per, burst = parse(spec)
        if burst is not None:
            raise ValueError(f"spec {spec!r}: a window has no burst; a token bucket does")
        if amount.denominator != 1:
            raise ValueError(f"spec {spec!r}: a window admits a whole number")
        limit = amount.numerator
    if limit is None or per is None:
        raise TypeError("a window needs limit= and per=, or a spec such as '100/minute'")
    return integer(limit, "limit", at_least=1), _length(per)


def _length(per: Seconds) -> int:
    length = seconds(per, "per", at_least=SHORTEST_PER)
    if length > LONGEST_PER:
        raise ValueError(f"per must be at most ten years, not {per!r}")
    return micros(length)
