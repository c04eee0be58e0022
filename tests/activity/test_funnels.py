from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime, timedelta
from itertools import count, pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coord.activity import CHUNK
from tests.support.keys import keys_of

pytestmark = pytest.mark.anyio

MON = datetime(2026, 3, 2, 12, tzinfo=UTC)
TUE = MON + timedelta(days=1)
STEPS = ("visit", "cart", "pay")

_names = count(1)


async def ids_in(cohort: Any) -> list[Any]:
    return [one async for one in cohort]


def counts(report: Any) -> list[int]:
    return [step.count for step in report.steps]


# In any order


async def test_a_funnel_in_any_order_counts_who_did_all_the_steps_so_far(coord: Any) -> None:
    shop = coord.activity("shop")
    visit, cart, pay = (shop.event(name) for name in STEPS)
    await pay.mark(1, 5, at=MON)  # before all else: co-occurrence knows no order
    await visit.mark(1, 2, 3, 4, 3 * CHUNK, at=MON)
    await cart.mark(1, 2, 9, 3 * CHUNK, at=MON)
    steps = {"visit": visit.cohort(at=MON), "cart": cart.cohort(at=MON), "pay": pay.cohort(at=MON)}
    report = await shop.funnel(steps)

    assert counts(report) == [5, 3, 1]
    assert [step.of_first for step in report.steps] == [1.0, 0.6, 0.2]
    assert [step.of_previous for step in report.steps] == [None, 0.6, 1 / 3]
    assert (report.name, report.ordered) == ("shop", False)
    with pytest.raises(ValueError, match="at least one step"):
        await shop.funnel({})


async def test_an_empty_funnel_has_no_shares(coord: Any) -> None:
    shop = coord.activity("shop")
    report = await shop.funnel({"a": shop.cohort(at=MON), "b": shop.cohort(at=TUE)})

    assert [(step.of_first, step.of_previous) for step in report.steps] == [(None, None)] * 2


async def test_what_is_no_funnel_is_refused(coord: Any) -> None:
    shop = coord.activity("shop")
    for bad, match in (
        ([("a", shop.cohort())], "steps must be of Mapping, not list"),
        ({"a": shop}, "cohort must be of"),
        ({"a": "visit"}, "cohort must be of"),
    ):
        with pytest.raises(TypeError, match=match):
            await shop.funnel(bad)
    with pytest.raises(ValueError, match="at least one step"):
        await shop.funnel({})
    with pytest.raises(TypeError, match="cohort must be of"):
        shop.at_least(1, "visit")


# In order


@pytest.mark.parametrize("ids", ["int", "text"])
async def test_a_step_counts_only_after_the_one_before(coord: Any, other_coord: Any, ids: str) -> None:
    funnel = coord.activity("shop", ids=ids).ordered_funnel("checkout", *STEPS)
    again = other_coord.activity("shop", ids=ids).ordered_funnel("checkout", *STEPS)
    await funnel.mark("pay", 1, 2, at=MON)
    await again.mark("cart", 1, at=MON)
    await funnel.mark("visit", 1, 2, 3, at=MON)
    await again.mark("cart", 2, 3, 4, at=MON)
    await funnel.mark("pay", 1, 2, at=MON)
    report = await again.report(at=MON)

    assert counts(report) == [3, 2, 1]
    assert (report.name, report.ordered) == ("checkout", True)
    assert [str(one) for one in await ids_in(funnel.cohort("pay", at=MON))] == ["2"]
    gone = again.cohort("cart", at=MON) - again.cohort("pay", at=MON)
    assert [str(one) for one in await ids_in(gone)] == ["3"]


async def test_events_reversed_get_nobody_past_the_first_step(coord: Any) -> None:
    funnel = coord.activity("shop").ordered_funnel("checkout", *STEPS)
    for step in reversed(STEPS):
        await funnel.mark(step, *range(2000), at=MON)

    assert counts(await funnel.report(at=MON)) == [2000, 0, 0]


async def test_each_period_is_a_funnel_of_its_own(coord: Any) -> None:
    funnel = coord.activity("shop", period=["day", "week"]).ordered_funnel("checkout", *STEPS)
    await funnel.mark("visit", 1, at=MON)
    await funnel.mark("cart", 1, at=TUE)

    assert counts(await funnel.report(at=TUE)) == [0, 0, 0]
    assert counts(await funnel.report(at=MON)) == [1, 0, 0]
    assert counts(await funnel.report(period="week", at=MON)) == [1, 1, 0]
    assert await ids_in(funnel.cohort("visit", since=MON, until=TUE)) == [1]


@pytest.mark.parametrize("ids", ["int", "text"])
async def test_each_period_has_a_gate_of_its_own_for_each_of_many_ids(coord: Any, ids: str) -> None:
    shop = coord.activity("shop", period=["day", "week"], ids=ids)
    checkout = shop.ordered_funnel("checkout", "visit", "pay")
    await checkout.mark("visit", 1, 2, 3, at=MON)
    await checkout.mark("visit", 2, 3, 4, at=TUE)
    await checkout.mark("pay", 1, 2, 3, 4, 5, at=TUE)

    assert [int(one) for one in await ids_in(checkout.cohort("pay", at=TUE))] == [2, 3, 4]
    paid = checkout.cohort("pay", period="week", at=TUE)
    assert [int(one) for one in await ids_in(paid)] == [1, 2, 3, 4]


async def test_refused_steps_write_nothing(coord: Any, client: Any, prefix: str) -> None:
    funnel = coord.activity("shop").ordered_funnel("checkout", *STEPS)
    await funnel.mark("cart", 1, *range(5 * CHUNK, 5 * CHUNK + 900), at=MON)

    assert keys_of(client, prefix) == []


async def test_funnels_and_steps_of_other_names_are_apart(coord: Any) -> None:
    shop = coord.activity("shop")
    one, two = shop.ordered_funnel("one", "a", "b"), shop.ordered_funnel("two", "a", "b")
    await one.mark("a", 1, at=MON)
    await two.mark("b", 1, at=MON)
    await shop.mark(2, at=MON)
    await shop.event("a").mark(3, at=MON)

    assert counts(await one.report(at=MON)) == [1, 0]
    assert counts(await two.report(at=MON)) == [0, 0]


async def test_bad_steps_are_refused(coord: Any) -> None:
    shop = coord.activity("shop")
    for steps in ((), ("a", "a"), ("",)):
        with pytest.raises(ValueError, match="step"):
            shop.ordered_funnel("checkout", *steps)
    with pytest.raises(ValueError, match="name must not be empty"):
        shop.ordered_funnel("", "a")
    funnel = shop.ordered_funnel("checkout", *STEPS)
    with pytest.raises(ValueError, match="a step must be one of 'visit', 'cart', 'pay', not 'paid'"):
        await funnel.mark("paid", 1)
    with pytest.raises(ValueError, match="a step must be one of"):
        funnel.cohort("paid")
    with pytest.raises(TypeError, match="an id"):
        await funnel.mark("visit", "ann")


# How it is shown


async def test_it_is_shown_as_a_table_records_and_csv(coord: Any) -> None:
    funnel = coord.activity("shop").ordered_funnel("checkout", *STEPS)
    for step, reached in zip(STEPS, (200, 50, 0), strict=True):
        await funnel.mark(step, *range(reached), at=date(2026, 3, 2))
    report = await funnel.report(at=MON)

    assert str(report) == (
        "funnel of 'checkout', in order\n"
        "step   ids  of first  of previous\n"
        "visit  200      100%            -\n"
        "cart    50       25%          25%\n"
        "pay      0        0%           0%"
    )
    assert report.records()[1] == {"step": "cart", "ids": 50, "of_first": 0.25, "of_previous": 0.25}
    assert [row["of_previous"] for row in csv.DictReader(io.StringIO(report.csv()))] == ["", "0.25", "0.0"]


async def test_it_is_drawn_as_bars(coord: Any) -> None:
    pytest.importorskip("matplotlib.figure")
    funnel = coord.activity("shop").ordered_funnel("checkout", *STEPS)
    for step, reached in zip(STEPS, (200, 50, 0), strict=True):
        await funnel.mark(step, *range(reached), at=MON)
    axes = (await funnel.report(at=MON)).plot().axes[0]

    assert [bar.get_width() for bar in axes.patches] == [200, 50, 0]
    assert [text.get_text() for text in axes.texts] == ["200 (100%)", "50 (25%)", "0 (0%)"]


# Against a model


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(
    events=st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 1), st.sets(st.integers(0, 6), max_size=4)), max_size=20
    ),
    by_text=st.booleans(),
)
async def test_an_ordered_funnel_equals_one_kept_in_sets(coord: Any, events: Any, by_text: bool) -> None:
    shop = coord.activity("shop", period=["day", "week"], ids="text" if by_text else "int")
    funnel = shop.ordered_funnel(f"funnel {next(_names)}", *STEPS)
    reached: dict[str, list[set[int]]] = {kind: [set(), set(), set()] for kind in ("Mon", "Tue", "week")}
    for step, day, ids in events:
        await funnel.mark(STEPS[step], *ids, at=(MON, TUE)[day])
        for kind in (("Mon", "Tue")[day], "week"):
            reached[kind][step] |= ids if step == 0 else ids & reached[kind][step - 1]

    for kind, choice in (("Mon", {"at": MON}), ("Tue", {"at": TUE}), ("week", {"at": MON, "period": "week"})):
        assert counts(await funnel.report(**choice)) == [len(ids) for ids in reached[kind]]
        for step, ids in zip(STEPS, reached[kind], strict=True):
            assert {int(one) for one in await ids_in(funnel.cohort(step, **choice))} == ids
        assert all(later <= earlier for earlier, later in pairwise(reached[kind]))
