"""Several limits at once: all of them or none, at a cost for each."""

from __future__ import annotations

import itertools
import threading
from typing import Any

import pytest
import redis
import time_machine
from hypothesis import given
from hypothesis import strategies as st

from coord import Coord, RateLimited
from tests.limits.limiters import dump, same
from tests.limits.models import fits_at
from tests.limits.test_against_a_model import KINDS, START, pair, slow
from tests.support.hubs import answers_of, in_many_slots, naps_of, sleep_raises
from tests.support.keys import keys_of

pytestmark = pytest.mark.anyio


def llm(coord: Any, rpm: int = 3, tpm: int = 1000) -> Any:
    return coord.limits(
        coord.token_bucket("rpm", rate=rpm, per=60), coord.token_bucket("tpm", rate=tpm, per=60)
    )


async def test_all_are_charged_each_at_its_own_cost(coord: Any, client: Any, prefix: str) -> None:
    both = llm(coord)
    decision = await both.try_acquire("openai", cost={"rpm": 1, "tpm": 900})

    assert decision
    assert (decision.name, decision.limit, decision.remaining) == ("tpm", 1000, 100), "the one that binds"
    assert [(part.name, part.remaining) for part in decision.parts] == [("rpm", 2), ("tpm", 100)]
    assert len(keys_of(client, prefix)) == 2


async def test_none_is_charged_if_one_denies(coord: Any, client: Any, prefix: str) -> None:
    both = llm(coord)
    await both.try_acquire("openai", cost={"rpm": 1, "tpm": 900})
    before = dump(client, prefix)
    denied = await both.try_acquire("openai", cost={"rpm": 1, "tpm": 200})

    assert not denied
    assert same(before, dump(client, prefix))
    assert denied.name == "tpm"
    assert denied.retry_after == pytest.approx(6, abs=0.5)
    assert [part.allowed for part in denied.parts] == [True, False]
    assert [part.retry_after for part in denied.parts] == [0, denied.retry_after]
    assert await both.try_acquire("openai", cost={"rpm": 2, "tpm": 0}), "what costs nothing is not asked"
    denied = await both.try_acquire("openai", cost={"rpm": 1, "tpm": 1})
    assert denied.name == "rpm"


def test_it_is_one_command(real_server: str, prefix: str) -> None:
    with Coord.connect(real_server, prefix=prefix) as hub, redis.Redis.from_url(real_server) as client:
        both = llm(hub)
        both.try_acquire("u")
        client.config_resetstat()
        both.try_acquire("u", cost={"rpm": 1, "tpm": 5})
        both.acquire("u", cost={"rpm": 1, "tpm": 5}).settle({"rpm": 1, "tpm": 9})
        calls = client.info("commandstats")["cmdstat_evalsha"]["calls"]
        client.delete(*keys_of(client, prefix))

        assert calls == 3


@slow
@given(
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=3),
    steps=st.lists(
        st.tuples(
            st.integers(0, 900_000), st.lists(st.integers(0, 7), min_size=3, max_size=3), st.booleans()
        ),
        max_size=20,
    ),
)
def test_several_equal_their_models(kinds: list[str], steps: list[tuple[int, list[int], bool]]) -> None:
    now = START
    with time_machine.travel(now / 1e6, tick=False) as clock, Coord.connect("memory://") as hub:
        naps_of(hub)
        answers = answers_of(hub)
        pairs = [pair(hub, kind, 7 + at, 1 + at / 2, f"{at}") for at, kind in enumerate(kinds)]
        together = hub.limits(*(limiter for limiter, _ in pairs))
        for pause, costs, waits in steps:
            now += pause
            clock.move_to(now / 1e6)
            wanted = [(model, cost) for (_, model), cost in zip(pairs, costs, strict=False) if cost]
            named = {f"{at}": costs[at] for at in range(len(pairs))}
            at = max((fits_at(model, now, cost) for model, cost in wanted), default=now)
            if waits and wanted:
                together.acquire("u", cost=named)
            else:
                assert together.try_acquire("u", cost=named).allowed is (at == now)
            assert answers[-1].wait == at - now
            if at == now or waits:
                for model, cost in wanted:
                    model.charge(now, at, cost)


async def test_a_turn_is_booked_in_all_for_the_same_moment(coord: Any) -> None:
    naps = naps_of(coord)
    both = llm(coord)
    await both.acquire("u", cost={"rpm": 1, "tpm": 1000})
    with pytest.raises(RateLimited, match="'tpm'"):
        await both.acquire("u", cost={"rpm": 1, "tpm": 500}, timeout=29)
    assert (await both.status("u")).parts[0].remaining == 2, "nothing was booked"
    charge = await both.acquire("u", cost={"rpm": 1, "tpm": 500}, timeout=31)

    assert charge.decision.delay == pytest.approx(30, abs=0.5)
    assert naps == [charge.decision.delay]
    assert not await both.try_acquire("u", cost={"rpm": 3, "tpm": 0})


def test_an_interrupted_turn_is_undone_in_all() -> None:
    with time_machine.travel(START / 1e6, tick=False), Coord.connect("memory://") as hub:
        sleep_raises(hub, KeyboardInterrupt)
        every = hub.limits(*(pair(hub, kind, 7, 1, kind)[0] for kind in KINDS))
        every.try_acquire("u", cost=3)
        before = every.status("u", cost=7)
        with pytest.raises(KeyboardInterrupt):
            every.acquire("u", cost=7)

        assert every.status("u", cost=7) == before


def test_threads_never_charge_one_without_the_other(real_server: str, prefix: str) -> None:
    with Coord.connect(real_server, prefix=prefix) as hub:
        rpm, tpm = hub.token_bucket("rpm", "60/hour"), hub.token_bucket("tpm", "100/hour")
        both = hub.limits(rpm, tpm)
        admitted: list[bool] = []

        def work() -> None:
            admitted.extend(bool(both.try_acquire("u", cost={"rpm": 1, "tpm": 3})) for _ in range(15))

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        left = rpm.status("u").remaining, tpm.status("u").remaining
        both.reset("u")

        assert (admitted.count(True), left) == (33, (27, 1))


def per_user(coord: Any) -> Any:
    return coord.limits(
        coord.token_bucket("user", rate=2, per=3600), coord.fixed_window("all", limit=3, per=60)
    )


@pytest.mark.parametrize("together", [True, False])
async def test_limits_of_different_subjects(coord: Any, client: Any, prefix: str, together: bool) -> None:
    """One script on one server; on a cluster one after the other, and given back when a later one denies."""
    if not together:
        in_many_slots(coord)
    both = per_user(coord)

    def of(user: str) -> dict[str, str]:
        return {"user": user, "all": "everyone"}

    assert await both.try_acquire(of("ann"))
    assert (await both.try_acquire(of("ann"))).remaining == 0
    assert (await both.try_acquire(of("ann"))).name == "user"
    assert await both.try_acquire(of("bob"))
    denied = await both.try_acquire(of("bob"))
    assert (denied.allowed, denied.name) == (False, "all")
    looked = await both.status(of("bob"))
    assert [part.remaining for part in looked.parts] == [1, 0], "what was charged first is given back"
    assert (await both.status(of("bob"), cost=1)).name == "all", "to look gives nothing back either"
    with pytest.raises(RateLimited):
        await both.acquire(of("bob"), timeout=0)
    assert [part.remaining for part in (await both.status(of("bob"))).parts] == [1, 0]
    await both.refund(of("bob"))
    assert [part.remaining for part in (await both.status(of("bob"))).parts] == [2, 1]
    await both.reset(of("ann"))
    assert [part.remaining for part in (await both.status(of("ann"))).parts] == [2, 3]


@pytest.mark.parametrize("together", [True, False])
async def test_a_penalty_closes_every_one_of_them(coord: Any, together: bool) -> None:
    if not together:
        in_many_slots(coord)
    both = per_user(coord)
    where = {"user": "ann", "all": "everyone"}
    await both.penalize(where, until=30)

    assert [part.retry_after > 29 for part in (await both.status(where, cost=1)).parts] == [True, True]
    assert not await both.try_acquire({"user": "bob", "all": "everyone"}), "all is closed to whoever asks"
    assert await both.try_acquire({"user": "bob", "all": "others"})
    with pytest.raises(ValueError, match="until"):
        await both.penalize(where, until=-1)


async def test_an_interrupted_turn_of_different_subjects_is_undone(coord: Any) -> None:
    class Stop(BaseException):
        pass

    sleep_raises(in_many_slots(coord), Stop)
    both = per_user(coord)
    where = {"user": "ann", "all": "everyone"}
    await both.try_acquire(where, cost={"user": 0, "all": 3})
    with pytest.raises(Stop):
        await both.acquire(where)

    assert [part.remaining for part in (await both.status(where)).parts] == [2, 0]


def test_what_cannot_be_asked_together_is_refused() -> None:
    with Coord.connect("redis://127.0.0.1:1") as hub, Coord.connect("redis://127.0.0.1:1") as other:
        bucket = hub.token_bucket("b", "5/s")
        with pytest.raises(ValueError, match="at least one"):
            hub.limits()
        with pytest.raises(ValueError, match="different names"):
            hub.limits(bucket, hub.fixed_window("b", "5/s"))
        with pytest.raises(ValueError, match="of this Coord only"):
            hub.limits(bucket, other.token_bucket("c", "5/s"))
        with pytest.raises(TypeError, match="prefetch"):
            hub.limits(bucket, prefetch=3)  # type: ignore[call-arg]
        seats = hub.concurrency_limit("seats", limit=1, fair=True)
        makers: list[Any] = [hub.limits, lambda *limiters: hub.admission(*limiters, at_once=seats)]
        for make, wrong_one in itertools.product(makers, ("1/second", [bucket], hub.lock("l"), None, seats)):
            with pytest.raises(TypeError, match=r"token_bucket\(\) and the windows make them, not \w+ .*"):
                make(bucket, wrong_one)
        with pytest.raises(TypeError, match="at_once must be of ConcurrencyLimit, not int 3"):
            hub.admission(bucket, at_once=3)  # type: ignore[arg-type]
        both = hub.limits(bucket, hub.token_bucket("c", "9/s"))
        wrong: list[tuple[Any, Any, type]] = [
            ("u", {"b": 1}, ValueError), ("u", {"b": 1, "d": 1}, ValueError), ("u", 6, ValueError),
            ("u", {"b": 1, "c": -1}, ValueError), ("u", {"b": True, "c": 1}, TypeError),
            ("u", 1.0, TypeError), ("", 1, ValueError), ({"b": "u"}, 1, ValueError),
            ({"b": "u", "c": 7}, 1, TypeError),
        ]  # fmt: skip
        for key, cost, error in wrong:
            with pytest.raises(error):
                both.try_acquire(key, cost=cost)
        assert repr(both) == "<Limits 'b', 'c'>"
