from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coord import Coord
from coord.activity import CHUNK, MAX_ID, survey
from coord.activity.chunks import bits_of, offsets_in, packed, place
from coord.activity.expressions import AtLeast, Leaf, Without, every, odd, some
from tests.support.hubs import name_of, recorded
from tests.support.keys import keys_of

pytestmark = pytest.mark.anyio

MON = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAYS = [MON + timedelta(days=number) for number in range(5)]

_names = count(1)


async def ids_in(cohort: Any) -> list[Any]:
    return [one async for one in cohort]


async def marked(coord: Any, *days: set[int]) -> list[Any]:
    """Mark ids on one day after another; give the days' cohorts."""
    logins = coord.activity(f"logins {next(_names)}")
    for at, ids in zip(DAYS, days, strict=False):
        await logins.mark(*ids, at=at)
    return [logins.cohort(at=at) for at, _ in zip(DAYS, days, strict=False)]


# Pure parts


@given(st.sets(st.integers(0, CHUNK - 1), min_size=1))
def test_a_packed_chunk_is_read_as_the_offsets_in_it(offsets: set[int]) -> None:
    bits = bits_of(packed(offsets))

    assert list(offsets_in(bits)) == sorted(offsets)
    assert bits.bit_count() == len(offsets)


def test_a_chunk_is_read_as_the_server_numbers_its_bits() -> None:
    assert list(offsets_in(bits_of(b"\x80\x01\x00\x40"))) == [0, 15, 25]
    assert list(offsets_in(bits_of(None))) == []
    assert [place(one) for one in (0, CHUNK, MAX_ID)] == [(0, 0), (1, 0), (2**63 // CHUNK, 0)]


class Named(Leaf):
    def __init__(self, name: int) -> None:
        self.name = name


@given(sets=st.lists(st.integers(0, 2**20 - 1), min_size=1, max_size=9), data=st.data())
def test_at_least_so_many_equals_counting(sets: list[int], data: st.DataObject) -> None:
    least = data.draw(st.integers(1, len(sets)))
    leaves = [Named(n) for n in range(len(sets))]
    counted = Counter(offset for one in sets for offset in range(20) if one >> offset & 1)

    bits = AtLeast(least, tuple(leaves)).bits(dict(zip(leaves, sets, strict=True)))

    assert bits == sum(1 << offset for offset, times in counted.items() if times >= least)


def test_a_chain_of_thousands_does_not_nest() -> None:
    leaves = [Named(n) for n in range(3000)]
    found: dict[Leaf, int] = {leaf: 1 << leaf.name for leaf in leaves}
    for combine, expected in ((some, 2**3000 - 1), (odd, 2**3000 - 1), (every, 0)):
        chain: Any = leaves[0]
        for leaf in leaves[1:]:
            chain = combine(chain, leaf)

        assert chain.bits(found) == expected
        assert len(list(chain.leaves())) == 3000
        assert chain.possible(leaves)
        assert chain.possible(leaves[:1]) is (combine is not every)


def test_a_chunk_is_passed_over_only_if_nobody_can_be_in_it() -> None:
    one, two = Named(1), Named(2)

    assert Without(one, two).possible([one, two])
    assert not Without(one, two).possible([two])
    assert odd(one, two).possible([one, two])
    assert not every(one, two).possible([one])
    assert every(some(one, two), two).possible([two])


# Composition


async def test_cohorts_combine(coord: Any) -> None:
    one, two = await marked(coord, {1, 2, 900, 3 * CHUNK}, {2, 900, 901, MAX_ID})

    assert await ids_in(one & two) == [2, 900]
    assert await ids_in(one | two) == [1, 2, 900, 901, 3 * CHUNK, MAX_ID]
    assert await ids_in(one ^ two) == [1, 901, 3 * CHUNK, MAX_ID]
    assert await ids_in(one - two) == [1, 3 * CHUNK]
    assert await ids_in(two - one) == [901, MAX_ID]
    assert await ids_in((one | two) - (one & two)) == await ids_in(one ^ two)
    assert await (one - one).count() == 0


@pytest.mark.parametrize(
    ("whole", "less", "left"),
    [
        ({2, 3, 100}, {2}, [3, 100]),
        ({2}, {2, 3, 100}, []),
        ({100}, {2}, [100]),
        ({5 * CHUNK}, {1}, [5 * CHUNK]),
        ({1}, set(), [1]),
        (set(), {1}, []),
    ],
)
async def test_and_not_is_right_whatever_the_lengths(
    coord: Any, whole: set[int], less: set[int], left: list[int]
) -> None:
    one, two = await marked(coord, whole, less)

    assert await ids_in(one - two) == left
    assert await (one - two).count() == len(left)
    assert [await (one - two).is_active(number) for number in left] == [True] * len(left)


async def test_at_least_so_many_of_several(coord: Any) -> None:
    days = await marked(coord, {1, 2, 3}, {2, 3, 4}, {3, 4, 5}, {9})
    activity = coord.activity("any")

    for least, expected in ((1, [1, 2, 3, 4, 5, 9]), (2, [2, 3, 4]), (3, [3]), (4, [])):
        assert await ids_in(activity.at_least(least, *days)) == expected
    with pytest.raises(ValueError, match="least must be from 1 to 4"):
        activity.at_least(5, *days)
    with pytest.raises(ValueError, match="at least one cohort"):
        activity.at_least(1)


async def test_several_periods_are_chosen_in_one_cohort(coord: Any) -> None:
    logins = coord.activity("logins")
    for at, ids in zip(DAYS, ({1}, {1, 2}, {1, 2, 3}, {4}, set()), strict=True):
        await logins.mark(*ids, at=at)
    week = {"since": DAYS[0], "until": DAYS[4]}

    assert await ids_in(logins.cohort(**week)) == [1, 2, 3, 4]
    assert await ids_in(logins.cohort(**week, at_least=2)) == [1, 2]
    assert await ids_in(logins.cohort(**week, at_least=3)) == [1]
    assert await logins.count(**week) == 4
    assert await logins.count(at=[DAYS[0], DAYS[3]]) == 2
    await logins.mark(7)
    assert await logins.count(last=3) == 1
    with pytest.raises(ValueError, match="at_least=6 is more than the 5 periods"):
        await logins.cohort(**week, at_least=6).count()
    with pytest.raises(ValueError, match="at_least must be from 1"):
        logins.cohort(at_least=0)
    with pytest.raises(ValueError, match="not a mixture"):
        logins.cohort(last=2, at=MON)


async def test_a_cohort_is_asked_anew_each_time(coord: Any) -> None:
    logins = coord.activity("logins")
    cohort = logins.cohort(at=MON) | logins.cohort(at=DAYS[1])
    counts = [await cohort.count()]
    await logins.mark(1, at=MON)
    counts.append(await cohort.count())

    assert counts == [0, 1]


async def test_number_ids_of_different_activities_combine(coord: Any) -> None:
    visits, orders = coord.activity("visits"), coord.activity("orders", tz="Asia/Tokyo")
    await visits.mark(1, 2, 5 * CHUNK, at=MON)
    await orders.mark(2, 5 * CHUNK, 7, at=MON)
    bought = visits.cohort(at=MON) & orders.cohort(at=MON)

    assert await ids_in(bought) == [2, 5 * CHUNK]
    assert await bought.is_active(2)
    assert await (visits.cohort(at=MON) - orders.cohort(at=MON)).count() == 1


async def test_what_numbers_its_ids_apart_does_not_combine(coord: Any, other_coord: Any) -> None:
    one, two = coord.activity("a", ids="text"), coord.activity("b", ids="text")
    for left, right in ((one, two), (one, coord.activity("a"))):
        with pytest.raises(ValueError, match="number their ids apart"):
            left.cohort() & right.cohort()
        with pytest.raises(ValueError, match="number their ids apart"):
            coord.activity("x").at_least(1, left.cohort(), right.cohort())
    with Coord.connect("memory://") as left_hub, Coord.connect("memory://") as right_hub:
        with pytest.raises(ValueError, match="within one Coord"):
            left_hub.activity("a").cohort() | right_hub.activity("a").cohort()
        with pytest.raises(TypeError):
            left_hub.activity("a").cohort() & {1}  # type: ignore[operator]


# How the server is asked


async def test_asking_writes_nothing_and_leaves_nothing(coord: Any, client: Any, prefix: str) -> None:
    one, two, never = await marked(coord, {1, 2, 5 * CHUNK}, {2, 3}, set())
    before = {key: client.pttl(key) > 0 for key in keys_of(client, prefix)}
    for cohort in (one, one & two, one | never, one ^ two, two - never, never & one, never):
        await cohort.count()
        await ids_in(cohort)
        await cohort.is_active(2)
    after = {key: client.pttl(key) > 0 for key in keys_of(client, prefix)}

    assert before == after
    assert all(after.values())


async def test_no_step_reads_more_than_a_mebibyte(coord: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    logins = coord.activity("logins")
    for at in DAYS:
        await logins.mark(*range(0, 200 * CHUNK, CHUNK), at=at)
    with recorded(coord) as calls:
        week = logins.cohort(since=DAYS[0], until=DAYS[4])
        assert await week.count() == 200
        assert await logins.count(at=MON) == 200
        assert len(await ids_in(week)) == 200

    reads = [len(call.keys) for call in calls if name_of(call) in {"MGET", "activity_count"}]
    assert len(reads) >= 2 * (5 * 200 // survey.READ) + 200 // survey.READ
    assert max(reads) * CHUNK // 8 <= 2**20


async def test_directories_are_read_a_page_at_a_time(coord: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "PAGE", 6)
    even, third = set(range(0, 40 * CHUNK, 2 * CHUNK)), set(range(0, 60 * CHUNK, 3 * CHUNK))
    one, two = await marked(coord, even, third)

    assert await ids_in(one & two) == sorted(even & third)
    assert await ids_in(one | two) == sorted(even | third)
    assert await ids_in(one - two) == sorted(even - third)
    assert await (one ^ two).count() == len(even ^ third)


async def test_who_stops_walking_has_read_no_further(coord: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    logins = coord.activity("logins")
    everyone = range(0, 3 * survey.READ * CHUNK, CHUNK)
    await logins.mark(*everyone, at=MON)
    reads: list[int] = []
    read = survey.Survey.read

    async def counted(self: survey.Survey, places: Any) -> Any:
        reads.append(len(places))
        return await read(self, places)

    monkeypatch.setattr(survey.Survey, "read", counted)
    seen = []
    async for one in logins.cohort(at=MON):
        seen.append(one)
        if len(seen) == 3:
            break

    assert seen == list(everyone[:3])
    assert reads == [survey.READ]
    assert await ids_in(logins.cohort(at=MON)) == list(everyone)


# Against a model


IDS = st.sets(
    st.one_of(st.integers(0, 30), st.sampled_from([CHUNK - 1, CHUNK, 2**32, 2**53 + 1, MAX_ID])), max_size=10
)


def expressions(leaf: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Trees: a day's number, an operator with two trees, or ``at least`` with several."""
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            st.tuples(st.sampled_from("&|^-"), inner, inner),
            st.lists(inner, min_size=1, max_size=4).flatmap(
                lambda parts: st.tuples(st.just("least"), st.integers(1, len(parts)), st.just(parts))
            ),
        ),
        max_leaves=8,
    )


OPERATORS: dict[str, Any] = {
    "&": lambda a, b: a & b,
    "|": lambda a, b: a | b,
    "^": lambda a, b: a ^ b,
    "-": lambda a, b: a - b,
}


def evaluate(tree: Any, leaves: Any, at_least: Any) -> Any:
    if isinstance(tree, int):
        return leaves[tree]
    operator, one, two = tree
    if operator == "least":
        return at_least(one, [evaluate(part, leaves, at_least) for part in two])
    return OPERATORS[operator](evaluate(one, leaves, at_least), evaluate(two, leaves, at_least))


def in_at_least(least: int, sets: list[set[int]]) -> set[int]:
    counted = Counter(one for several in sets for one in several)
    return {one for one, times in counted.items() if times >= least}


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(days=st.lists(IDS, min_size=3, max_size=3), tree=expressions(st.integers(0, 2)))
async def test_composed_cohorts_equal_composed_sets(coord: Any, days: list[set[int]], tree: Any) -> None:
    activity = coord.activity("any")
    leaves = await marked(coord, *days)
    cohort = evaluate(tree, leaves, lambda least, parts: activity.at_least(least, *parts))
    expected = evaluate(tree, days, in_at_least)

    assert await ids_in(cohort) == sorted(expected)
    assert await cohort.count() == len(expected)
    everyone = sorted(set.union(*days))
    assert [one for one in everyone if await cohort.is_active(one)] == sorted(expected)
