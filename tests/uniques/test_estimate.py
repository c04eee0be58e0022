"""The bounds are held against what sketches do. Every set here is fixed, and so is every outcome."""

from __future__ import annotations

import math
import os
import random
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
import redis

from coord import Coord, TooNoisy
from coord.uniques.estimate import Estimate, _variance, difference_of, estimate_of, exactly, overlap_of
from coord.uniques.sketch import Sketch
from tests.benchmarks.rooms.uniques_work import FILL, sampled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TRIALS = int(os.environ.get("COORD_TRIALS", "500"))
"""How many sets. More of them take longer, and leave less to the luck of these ones."""

DAY = date(2025, 6, 2)


def sketched(value: int) -> Estimate:
    return estimate_of(value, exact=False)


@pytest.fixture
def sketch(real_server: str, prefix: str) -> Iterator[Callable[..., Any]]:
    """Make a selection of a raw counter whose day was filled from within the server."""
    with Coord.connect(real_server, prefix=prefix) as hub, redis.Redis.from_url(real_server) as client:
        fill: Any = client.register_script(FILL)

        def make(name: str, *ranges: tuple[int, int], family: int = 0) -> Any:
            for start, stop in ranges:
                fill(
                    keys=[f"{prefix}:hll:{{{name}}}:day:2025-06-02"],
                    args=[Sketch().dump(), start, stop, family],
                )
            return hub.unique_counter(name, raw=True).select(at=DAY)

        yield make


def test_the_bounds_hold_95_times_in_100(sketch: Callable[..., Any]) -> None:
    """At each size, the true number lies within for 93 to 97 % of the sets."""
    sizes = (600, 1000, 5000)
    inside = dict.fromkeys(sizes, 0)
    for trial in range(TRIALS):
        reached = 0
        for size in sizes:
            estimate = sketch(f"t{trial}", (reached, size), family=trial).count()
            reached = size
            inside[size] += estimate.low <= size <= estimate.high
    coverage = {size: round(count / TRIALS, 3) for size, count in inside.items()}

    assert all(0.93 <= share <= 0.97 for share in coverage.values()), coverage


def test_the_bounds_hold_as_often_for_millions() -> None:
    chance = random.Random(95)
    trials = TRIALS // 2
    inside = 0
    for _ in range(trials):
        estimate = sketched(sampled(2_000_000, chance).count())
        inside += estimate.low <= 2_000_000 <= estimate.high

    assert 0.93 <= inside / trials <= 0.97


def test_the_bounds_of_overlaps_and_differences_hold_as_often(sketch: Callable[..., Any]) -> None:
    inside = {"overlap": 0, "difference": 0}
    trials = TRIALS
    for trial in range(trials):
        one = sketch(f"a{trial}", (0, 800), family=trial)
        other = sketch(f"b{trial}", (500, 1300), family=trial)
        overlap, difference = one.overlap(other), one.difference(other)
        inside["overlap"] += overlap.low <= 300 <= overlap.high
        inside["difference"] += difference.low <= 500 <= difference.high
    coverage = {what: round(count / trials, 3) for what, count in inside.items()}

    assert all(0.93 <= share <= 0.97 for share in coverage.values()), coverage


@pytest.mark.parametrize(
    ("ids", "percent"), [(1000, 0.558), (16_384, 0.613), (100_000, 0.748), (10**6, 0.806), (10**9, 0.812)]
)
def test_the_standard_error_grows_to_the_one_of_the_textbook(ids: int, percent: float) -> None:
    assert math.sqrt(_variance(ids)) / ids * 100 == pytest.approx(percent, abs=0.001)


def test_bounds_are_whole_numbers_around_the_value() -> None:
    for value in [*range(1, 3000), 10**6, 10**12]:
        estimate = sketched(value)
        assert estimate.low <= value <= estimate.high
        assert not estimate.exact
        assert value - estimate.low <= 0.02 * value + 1
    assert sketched(0) == exactly(0) == Estimate(0, 0, 0, exact=True)


def test_a_small_overlap_of_large_sets_is_refused_with_what_it_would_have_been(
    sketch: Callable[..., Any],
) -> None:
    """100,000 against 100,000 with 100 in common: the standard error is larger than the overlap."""
    one, other = sketch("a", (0, 100_000), family=2), sketch("b", (99_900, 199_900), family=2)
    with pytest.raises(TooNoisy, match=r"the overlap is about \d+, with a standard error of 1\d\d\d .*noisy"):
        one.overlap(other)
    asked = one.overlap(other, noisy=True)
    large = one.overlap(sketch("c", (50_000, 150_000), family=2))

    assert asked.low == 0
    assert asked.low <= 100 <= asked.high
    assert large.low <= 50_000 <= large.high
    assert large.high - large.low < 4000


@pytest.mark.parametrize(
    ("one", "other", "common", "deviation"),
    [(100_000, 100_000, 1_000, 1181), (100_000, 100_000, 10_000, 1100), (100_000, 100_000, 50_000, 775),
     (1_000_000, 10_000, 5_000, 839)],
)  # fmt: skip
def test_the_error_of_an_overlap_scales_with_the_union(
    one: int, other: int, common: int, deviation: int
) -> None:
    """The deviations are those of 600 simulated pairs each, to within their own error."""
    _, found = overlap_of(sketched(one), sketched(other), sketched(one + other - common))

    assert found == pytest.approx(deviation, rel=0.01)


@pytest.mark.parametrize("of", [overlap_of, difference_of])
@pytest.mark.parametrize(
    "sizes",
    [(900, 40_000, 40_000), (900, 900, 900), (1000, 1000, 2100), (5000, 600, 5000), (5000, 600, 4900),
     (513, 10**9, 10**9)],
    ids=str,
)  # fmt: skip
def test_bounds_stay_between_nothing_and_the_smaller(of: Any, sizes: tuple[int, int, int]) -> None:
    one, other, both = map(sketched, sizes)
    estimate, deviation = of(one, other, both)

    assert 0 <= estimate.low <= estimate.value <= estimate.high <= one.high
    assert of is difference_of or estimate.high <= other.high
    assert math.isfinite(deviation)


def test_exact_counts_have_exact_overlaps() -> None:
    assert overlap_of(exactly(5), exactly(7), exactly(9)) == (exactly(3), 0)
    assert difference_of(exactly(5), exactly(7), exactly(9)) == (exactly(2), 0)


def test_nothing_has_no_overlap_and_takes_nothing_away() -> None:
    many = sketched(5000)

    assert overlap_of(exactly(0), many, many) == overlap_of(many, exactly(0), many) == (exactly(0), 0)
    assert difference_of(exactly(0), many, many) == (exactly(0), 0)
    assert difference_of(many, exactly(0), many)[0] == many


def test_what_is_exact_adds_no_error_of_its_own() -> None:
    many, together = sketched(50_000), sketched(50_100)
    _, with_exact = overlap_of(exactly(400), many, together)
    _, with_sketch = overlap_of(sketched(400), many, together)

    assert with_exact > 0
    assert with_exact != with_sketch
    assert difference_of(exactly(400), many, together)[1] == with_exact
