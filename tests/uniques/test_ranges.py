"""Unions over ranges and counters, roll-ups, overlaps, exports, and sketches shared with others."""

from __future__ import annotations

import itertools
from calendar import monthrange
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coord import AsyncCoord, Coord, Estimate, TooNoisy, WrongKeyType
from coord.uniques.sketch import Sketch
from coord.uniques.store import hash_of
from tests.support.flavours import awaitable
from tests.support.hubs import intercepted, name_of, recorded, slots_apart
from tests.support.keys import keys_of
from tests.support.rooms import promote_above

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

pytestmark = pytest.mark.anyio

JANUARY = date(2015, 1, 1)
YEAR = [JANUARY + timedelta(days=number) for number in range(365)]
_examples = itertools.count()


def real(server: str) -> bool:
    """Tell whether HyperLogLogs are what they are, and not sets."""
    return not server.startswith("memory")


def rolled(client: Any, prefix: str) -> list[str]:
    return sorted(key.split(":rolled:")[1] for key in keys_of(client, prefix) if ":rolled:" in key)


async def test_a_range_of_days_is_read_by_its_months(coord: Any, client: Any, prefix: str) -> None:
    visitors = coord.unique_counter("v")
    for day in YEAR[::10]:
        await visitors.add("always", f"on {day}", at=day)

    assert int(await visitors.count(since=YEAR[0], until=YEAR[-1])) == 38
    assert int(await visitors.count(since=YEAR[0], until=YEAR[-1])) == 38
    assert rolled(client, prefix) == [f"month:2015-{month:02}" for month in range(1, 13)]
    assert int(await visitors.count(since=YEAR[5], until=YEAR[75])) == 8


async def test_a_closed_month_is_rolled_up_once(coord: Any, client: Any, prefix: str) -> None:
    visitors = coord.unique_counter("v")
    await visitors.add("ann", "bob", at=YEAR[3])
    await visitors.add("ann", "cyd", at=YEAR[20])
    whole = {"since": YEAR[0], "until": YEAR[30]}
    assert int(await visitors.count(**whole)) == 3
    client.delete(f"{prefix}:unique:{{v}}:day:2015-01-04", f"{prefix}:unique:{{v}}:day:2015-01-21")

    assert int(await visitors.count(**whole)) == 3, "from the roll-up alone"
    assert int(await visitors.count(since=YEAR[0], until=YEAR[29])) == 0, "part of a month is read by day"


async def test_who_is_late_is_counted_in_a_month_that_was_rolled_up(coord: Any) -> None:
    visitors = coord.unique_counter("v", period=["week", "day"])
    whole = {"period": "day", "since": YEAR[0], "until": YEAR[30]}
    await visitors.add("ann", at=YEAR[3])
    assert int(await visitors.count(**whole)) == 1
    await visitors.add("bob", at=YEAR[4])

    assert int(await visitors.count(**whole)) == 2
    assert int(await visitors.count(**whole)) == 2


async def test_a_month_without_anybody_is_rolled_up_too(
    coord: Any, client: Any, prefix: str, server: str
) -> None:
    visitors = coord.unique_counter("v")
    await visitors.add("ann", at=YEAR[40])

    assert await visitors.count(since=YEAR[0], until=YEAR[-1]) == Estimate(1, 1, 1, exact=True)
    assert await visitors.count(since=YEAR[0], until=YEAR[-1]) == Estimate(1, 1, 1, exact=True)
    assert len(rolled(client, prefix)) == (12 if real(server) else 1)


@pytest.mark.parametrize("kind", ["minute", "hour", "month"])
async def test_minutes_hours_and_months_roll_up_as_well(
    coord: Any, client: Any, prefix: str, kind: str
) -> None:
    start = datetime(2015, 1, 1, tzinfo=UTC)
    visitors = coord.unique_counter("v", period=kind)
    for number in range(12):
        await visitors.add("always", number, at=start + timedelta(minutes=5 * number))
    ends = {"minute": timedelta(hours=1), "hour": timedelta(days=1), "month": timedelta(days=365)}
    whole = {"since": start, "until": start + ends[kind] - timedelta(seconds=1)}

    assert int(await visitors.count(**whole)) == int(await visitors.count(**whole)) == 13
    names = {"minute": "hour:2015-01-01T00", "hour": "day:2015-01-01", "month": "year:2015"}
    assert rolled(client, prefix) == [names[kind]]


async def test_a_roll_up_expires_with_the_first_of_its_days(coord: Any, client: Any, prefix: str) -> None:
    await coord.unique_counter("v", retain=timedelta(hours=9)).add("ann", at=YEAR[3])
    await coord.unique_counter("v", retain=timedelta(hours=3)).add("bob", at=YEAR[4])
    await coord.unique_counter("v", retain=timedelta(hours=6)).add("cyd", at=YEAR[5])
    await coord.unique_counter("v").count(since=YEAR[0], until=YEAR[30])

    assert client.pttl(f"{prefix}:unique:{{v}}:rolled:month:2015-01") / 1000 == pytest.approx(3 * 3600, abs=5)


async def test_any_year_of_days_is_at_most_eleven_months_and_sixty_days() -> None:
    async with AsyncCoord.connect("memory://") as hub:
        counter = hub.unique_counter("v")
        sizes = []
        for first in YEAR[::13]:
            with recorded(hub) as calls:
                await counter.count(since=first, until=first + timedelta(days=364))
            read = next(call for call in calls if name_of(call) == "unique_read").keys
            months = [key.rpartition(":")[2] for key in read if ":rolled:month:" in key]
            days = [key for key in read if ":day:" in key]
            assert sum(monthrange(*map(int, month.split("-")))[1] for month in months) + len(days) == 365
            sizes.append((len(months), len(days)))

    assert sizes[0] == (12, 0)
    assert all(months == 11 and days <= 60 for months, days in sizes[1:])


async def test_an_add_between_roll_up_and_read_hides_nobody() -> None:
    """The roll-up that it removes must not be taken for an empty month."""
    async with AsyncCoord.connect("memory://") as hub:
        counter = hub.unique_counter("v")
        await counter.add("ann", at=YEAR[3])
        late = iter(["late", "later"])

        async def interrupt(call: Any, send: Callable[..., Awaitable[Any]]) -> Any:
            answer = await send()
            if name_of(call) == "unique_roll" and (who := next(late, None)):
                await counter.add(who, at=YEAR[4])
            return answer

        with intercepted(hub, interrupt):
            counts = [int(await counter.count(since=YEAR[0], until=YEAR[30])) for _ in range(3)]

    assert counts == [2, 3, 3]


async def test_a_union_of_exact_days_and_sketches_counts_as_one_sketch(
    coord: Any, client: Any, prefix: str, server: str
) -> None:
    visitors = coord.unique_counter("v")
    expected = Sketch()
    for number, size in enumerate([3, 900, 512, 40, 2000]):
        ids = [f"{one % 600}/{number if one > 20 else 'all'}" for one in range(size)]
        await visitors.add(*ids, at=YEAR[number])
        for one in ids:
            expected.add(b"%d" % hash_of(one.encode()))
    together = await visitors.count(since=YEAR[0], until=YEAR[4])

    assert not together.exact
    if real(server):
        assert together.value == expected.count()
        assert (await visitors.count(since=YEAR[0], until=YEAR[30])).value == expected.count(), "rolled up"
        assert (await visitors.count(since=YEAR[0], until=YEAR[30])).value == expected.count()


async def test_a_full_month_of_exact_days_is_one_roll_up(coord: Any, server: str) -> None:
    """31 times 512 hashes are more than one command in a script may be given."""
    visitors = coord.unique_counter("v")
    for number in range(31):
        await visitors.add(*range(512 * number, 512 * (number + 1)), at=YEAR[number])
    by_day = await visitors.count(since=YEAR[0], until=YEAR[29])
    first = await visitors.count(since=YEAR[0], until=YEAR[30])
    again = await visitors.count(since=YEAR[0], until=YEAR[30])

    assert by_day.low <= 30 * 512 <= by_day.high
    assert first.value == again.value
    assert again.low <= 31 * 512 <= again.high
    assert not again.exact


async def test_exact_days_together_stay_exact_while_they_are_few(coord: Any) -> None:
    visitors = coord.unique_counter("v")
    for number in range(16):
        await visitors.add(*range(512 * number, 512 * (number + 1)), at=YEAR[number])

    assert await visitors.count(since=YEAR[0], until=YEAR[15]) == Estimate(8192, 8192, 8192, exact=True)
    await visitors.add("one more", at=YEAR[16])
    assert not (await visitors.count(since=YEAR[0], until=YEAR[16])).exact


async def test_a_list_of_days_and_several_counters_are_united(coord: Any) -> None:
    shop, blog = coord.unique_counter("shop"), coord.unique_counter("blog", period=["day", "month"])
    await shop.add("ann", "bob", at=YEAR[0])
    await shop.add("cyd", at=YEAR[1])
    await shop.add("dan", at=YEAR[2])
    await blog.add("ann", "eve", at=YEAR[2])

    assert int(await shop.count(at=[YEAR[0], YEAR[2], YEAR[0]])) == 3
    both = shop.select(at=[YEAR[0], YEAR[1]]) | blog.select(period="month", at=YEAR[0])
    assert await both.count() == Estimate(4, 4, 4, exact=True)
    assert await (both | shop.select(at=YEAR[2]) | both).count() == Estimate(5, 5, 5, exact=True)


async def test_overlaps_and_differences_of_exact_days_are_exact(coord: Any) -> None:
    visitors, buyers = coord.unique_counter("visitors"), coord.unique_counter("buyers")
    await visitors.add("ann", "bob", "cyd", at=YEAR[0])
    await visitors.add("ann", "dan", at=YEAR[1])
    await buyers.add("ann", "zoe", at=YEAR[0])
    first, second = visitors.select(at=YEAR[0]), visitors.select(at=YEAR[1])
    bought = buyers.select(at=YEAR[0])

    assert await first.overlap(second) == Estimate(1, 1, 1, exact=True)
    assert await first.difference(second) == Estimate(2, 2, 2, exact=True)
    assert await (first | second).overlap(bought) == Estimate(1, 1, 1, exact=True)
    assert await (first | second).difference(bought) == Estimate(3, 3, 3, exact=True)
    assert await bought.overlap(visitors.select(at=YEAR[9])) == Estimate(0, 0, 0, exact=True)


async def test_an_overlap_that_is_mostly_noise_is_refused_unless_asked_for(coord: Any, server: str) -> None:
    if not real(server):
        pytest.skip("there is no noise")
    one, other = coord.unique_counter("one"), coord.unique_counter("other")
    await one.add(*range(20_000), at=YEAR[0])
    await other.add(*range(20_000, 40_000), at=YEAR[0])
    ours, theirs = one.select(at=YEAR[0]), other.select(at=YEAR[0])
    with pytest.raises(TooNoisy, match="noisy=True") as refused:
        await ours.overlap(theirs)
    asked = await ours.overlap(theirs, noisy=True)

    assert asked == refused.value.estimate
    assert asked.low == 0 <= asked.value <= asked.high
    difference = await ours.difference(theirs)
    assert difference.low <= 20_000 <= difference.high


async def test_what_cannot_be_compared_is_refused(coord: Any, other_coord: Any) -> None:
    raw, day = coord.unique_counter("r", raw=True).select(), coord.unique_counter("v").select()
    with pytest.raises(ValueError, match="only one is raw"):
        await day.overlap(raw)
    with pytest.raises(ValueError, match="only one is raw"):
        day | raw
    for wrong in ("v", None, coord.unique_counter("v")):
        with pytest.raises(TypeError, match="can be compared"):
            await day.overlap(wrong)
    for hub in (Coord.connect("memory://"), AsyncCoord.connect("memory://")):
        with pytest.raises(TypeError, match="unsupported operand"):
            hub.unique_counter("v").select() | "v"  # type: ignore[operator]
    with (
        Coord.connect("memory://") as one,
        Coord.connect("memory://") as other,
        pytest.raises(ValueError, match="different Coord objects"),
    ):
        one.unique_counter("v").select() | other.unique_counter("v").select()


@pytest.fixture
def apart(monkeypatch: Any) -> Callable[[bool], None]:
    """Let a server behave towards coord as a cluster does whose slots are apart, or not."""

    return lambda yes: slots_apart(monkeypatch, yes=yes)


async def test_counters_in_different_slots_count_as_in_one(
    coord: Any, client: Any, prefix: str, server: str, apart: Callable[[bool], None]
) -> None:
    if not real(server):
        pytest.skip("there HyperLogLogs are sets")
    names = ["few", "some", "many"]
    for name, size in zip(names, [100, 800, 30_000], strict=True):
        await coord.unique_counter(name).add(*range(size // 2, size // 2 + size), at=YEAR[0])
    selections = [coord.unique_counter(name).select(since=YEAR[0], until=YEAR[30]) for name in names]
    few, some, many = selections

    async def answers() -> list[Any]:
        return [
            *[await one.count() for one in selections],
            await (few | some).count(), await (some | many).count(), await (few | some | many).count(),
            await many.overlap(some, noisy=True), await many.difference(few | some),
            await few.overlap(some, noisy=True), await few.difference(many, noisy=True),
        ]  # fmt: skip

    apart(True)
    found = await answers()
    if "cluster" not in server:
        apart(False)
        assert found == await answers()
    else:
        assert len({client.keyslot(f"{prefix}:unique:{{{name}}}:x") for name in names}) == 3
        sketch = Sketch()
        for number in [*range(50, 150), *range(400, 1200), *range(15_000, 45_000)]:
            sketch.add(b"%d" % hash_of(b"%d" % number))
        assert found[5].value == sketch.count()


async def test_an_exported_day_is_restored_wherever_it_is_wanted(coord: Any, server: str) -> None:
    visitors, copy = coord.unique_counter("v"), coord.unique_counter("copy", period=["day", "month"])
    for number, size in enumerate([0, 3, 512, 3000]):
        await visitors.add(*range(size), at=YEAR[number])
        written = await visitors.select(at=YEAR[number]).export()
        if number == 3 and real(server):
            assert len(written) < 12_400
        for _ in range(2):
            await copy.restore(written, at=YEAR[number])
        assert await copy.count(at=YEAR[number]) == await visitors.count(at=YEAR[number])

    assert int(await copy.count(period="month", at=YEAR[0])) == 0, "that period alone"


@pytest.mark.parametrize(("there", "more"), [(0, 900), (5, 900), (900, 900), (900, 5), (400, 400)])
async def test_a_restored_day_is_united_with_what_is_there(
    coord: Any, client: Any, prefix: str, there: int, more: int
) -> None:
    source, target = coord.unique_counter("source"), coord.unique_counter("target")
    both = coord.unique_counter("both")
    await source.add(*range(more), at=YEAR[1])
    await target.add(*range(-there, 0), at=YEAR[0])
    await both.add(*range(-there, more), at=YEAR[0])
    assert int(await target.count(since=YEAR[0], until=YEAR[30])) >= there * 0.9, "and rolled up"
    await target.restore(await source.select(at=YEAR[1]).export(), at=YEAR[0])

    assert (await target.count(at=YEAR[0])).value == (await both.count(at=YEAR[0])).value
    assert (await target.count(since=YEAR[0], until=YEAR[30])).value == (await both.count(at=YEAR[0])).value
    assert all(client.pttl(key) > 0 for key in keys_of(client, prefix))
    assert not [key for key in keys_of(client, prefix) if "scratch" in key]


async def test_what_is_no_export_is_refused_before_anything_is_sent(
    coord: Any, client: Any, prefix: str
) -> None:
    visitors = coord.unique_counter("v")
    with pytest.raises(TypeError, match="data must be bytes"):
        await visitors.restore("text")
    with pytest.raises(ValueError, match="raw=True"):
        await visitors.restore(Sketch().dump())
    with pytest.raises(ValueError, match="without raw=True"):
        await coord.unique_counter("v", raw=True).restore(await visitors.select().export())
    with pytest.raises(ValueError, match="one that is kept"):
        await visitors.restore(await visitors.select().export(), period="week")

    assert keys_of(client, prefix) == []


async def test_a_raw_counter_shares_its_keys_with_plain_commands(
    coord: Any, client: Any, prefix: str
) -> None:
    visitors = coord.unique_counter("v", raw=True)
    key = f"{prefix}:hll:{{v}}:day:2015-01-01"
    await visitors.add("ann", 1, b"bob", at=YEAR[0])
    client.pfadd(key, "ann", "1", "bob", "cyd")

    assert client.pfcount(key) == 4
    counted = await visitors.count(at=YEAR[0])
    assert counted.value == 4
    assert not counted.exact
    assert client.pttl(key) > 0
    client.persist(key)
    await visitors.add("ann", at=YEAR[0])
    assert client.pttl(key) > 0, "it is not kept for ever, though nothing was new"
    client.pfadd(f"{prefix}:hll:{{v}}:day:2015-01-02", "dan")
    client.expire(f"{prefix}:hll:{{v}}:day:2015-01-02", 100)
    assert int(await visitors.count(since=YEAR[0], until=YEAR[30])) == 5
    client.pfadd(f"{prefix}:hll:{{v}}:day:2015-01-02", "eve")
    assert int(await visitors.count(since=YEAR[0], until=YEAR[30])) == 6, "no roll-up that others do not know"
    assert rolled(client, prefix) == []


async def test_a_raw_export_is_a_value_for_set(coord: Any, client: Any, prefix: str, server: str) -> None:
    visitors = coord.unique_counter("v", raw=True)
    await visitors.add(*range(700), at=YEAR[0])
    written = await visitors.select(at=YEAR[0]).export()
    if real(server):
        client.set(f"{prefix}:{{x}}", written, ex=60)
        assert client.pfcount(f"{prefix}:{{x}}") == (await visitors.count(at=YEAR[0])).value
        await visitors.restore(client.get(f"{prefix}:{{x}}"), at=YEAR[1])
        assert await visitors.count(at=YEAR[1]) == await visitors.count(at=YEAR[0])


async def test_counters_of_one_name_raw_and_not_do_not_meet(coord: Any) -> None:
    await coord.unique_counter("v").add("ann", at=YEAR[0])
    await coord.unique_counter("v", raw=True).add("ann", "bob", at=YEAR[0])

    assert int(await coord.unique_counter("v").count(at=YEAR[0])) == 1
    assert int(await coord.unique_counter("v", raw=True).count(at=YEAR[0])) == 2


async def test_no_question_leaves_a_key_behind(coord: Any, client: Any, prefix: str) -> None:
    visitors = coord.unique_counter("v")
    for number, size in enumerate([3, 700, 700]):
        await visitors.add(*range(size), at=YEAR[number])
    before = set(keys_of(client, prefix))
    days = [visitors.select(at=YEAR[number]) for number in range(3)]
    await (days[0] | days[1] | days[2]).count()
    await days[0].overlap(days[1] | days[2], noisy=True)
    await days[1].difference(days[2], noisy=True)
    await (days[0] | days[1]).export()

    assert set(keys_of(client, prefix)) == before


async def test_an_error_halfway_leaves_nothing_that_would_be_counted_later(
    coord: Any, client: Any, prefix: str, server: str
) -> None:
    if not real(server):
        pytest.skip("no damaged sketches there")
    visitors = coord.unique_counter("v")
    await visitors.add("ann", "bob", at=YEAR[0])
    await visitors.add("cyd", at=YEAR[2])
    client.set(f"{prefix}:unique:{{v}}:day:2015-01-02", b"HYLL\1" + bytes(11) + b"\x01", ex=60)
    with pytest.raises(Exception, match="INVALIDOBJ"):
        await visitors.count(since=YEAR[0], until=YEAR[1])
    assert all(client.pttl(key) > 0 for key in keys_of(client, prefix))
    client.delete(f"{prefix}:unique:{{v}}:day:2015-01-02")
    await visitors.add(*range(600), at=YEAR[3])
    expected = Sketch()
    for one in [b"cyd", *(b"%d" % number for number in range(600))]:
        expected.add(b"%d" % hash_of(one))

    assert (await visitors.count(at=[YEAR[2], YEAR[3]])).value == expected.count()
    assert all(client.pttl(key) > 0 for key in keys_of(client, prefix))


async def test_a_foreign_key_in_a_range_is_named(coord: Any, client: Any, prefix: str) -> None:
    key = f"{prefix}:unique:{{v}}:day:2015-01-03"
    client.lpush(key, "x")
    for chosen in ({"at": YEAR[2]}, {"since": YEAR[0], "until": YEAR[30]}):
        with pytest.raises(WrongKeyType, match="2015-01-03"):
            await coord.unique_counter("v").count(**chosen)
    client.delete(key)


actions = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 70), st.sets(st.integers(0, 40), min_size=1, max_size=9)),
        st.tuples(st.just("count"), st.integers(0, 70), st.integers(0, 70)),
        st.tuples(st.just("overlap"), st.integers(0, 70), st.integers(0, 70)),
    ),
    min_size=1,
    max_size=14,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=st.tuples(actions, st.sampled_from([4, 512])))
@pytest.mark.usefixtures("no_leaks")
def test_a_counter_equals_sets(server: str, flavour: str, prefix: str, case: tuple[list[Any], int]) -> None:
    """With a low limit, periods are promoted; then the model is a sketch of all that they hold."""
    name = f"v{next(_examples)}"
    anyio.run(on, server, flavour, prefix, lambda hub: compare(hub, name, *case, real=real(server)))


async def on(server: str, flavour: str, prefix: str, body: Callable[[Any], Awaitable[None]]) -> None:
    if flavour == "sync":
        with Coord.connect(server, prefix=prefix) as hub:
            await body(awaitable(hub))
    else:
        async with AsyncCoord.connect(server, prefix=prefix) as hub:
            await body(hub)


async def compare(hub: Any, name: str, actions: list[Any], limit: int, *, real: bool) -> None:
    counter = hub.unique_counter(name, period=["day", "month"])
    promote_above(counter, limit)
    days: dict[int, set[int]] = {number: set() for number in range(71)}

    def told(members: set[int], *, exact: bool) -> int:
        if exact or not real:
            return len(members)
        sketch = Sketch()
        for one in members:
            sketch.add(b"%d" % hash_of(b"%d" % one))
        return sketch.count()

    def between(low: int, high: int) -> set[int]:
        return set().union(*(days[number] for number in range(low, high + 1)))

    for what, number, other in actions:
        if what == "add":
            await counter.add(*other, at=YEAR[number])
            days[number] |= other
            continue
        low, high = sorted((number, other))
        counted = await counter.count(since=YEAR[low], until=YEAR[high])
        assert counted.value == told(between(low, high), exact=counted.exact)
        assert counted.exact or any(len(days[day]) > limit for day in days) or high - low > 27
        if what == "overlap":
            one, two = counter.select(at=YEAR[low]), counter.select(at=YEAR[high])
            common = await one.overlap(two, noisy=True)
            if common.exact:
                assert common.value == len(days[low] & days[high])
            assert 0 <= common.low <= common.value <= common.high
    month = set().union(*(days[number] for number in range(31)))
    counted = await counter.count(period="month", at=YEAR[0])
    assert counted.value == told(month, exact=counted.exact)
