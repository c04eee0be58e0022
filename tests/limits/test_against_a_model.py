"""Every decision against a plain model: on fakeredis with a clock of its own, and on real servers."""

from __future__ import annotations

import asyncio
import itertools
import math
import os
import random
from dataclasses import dataclass
from fractions import Fraction
from importlib import import_module
from typing import TYPE_CHECKING, Any

import fakeredis
import pytest
import time_machine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coord import AsyncCoord, Coord, RateLimited
from coord.limits.room import APPLY, BUCKET, OF_ONE
from tests.limits.models import BucketModel, CounterModel, FixedModel, LogModel, fits_at
from tests.support.hubs import answers_of, naps_of, port_of
from tests.support.keys import keys_of
from tests.support.rooms import policy_of
from tests.support.rooms import step as stepped

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from tests.limits.models import Model

START = 1_700_000_000_000_000
KINDS = ["bucket", "exact", "approximate", "fixed"]
slow = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
quick = settings(slow, max_examples=8)


def pair(hub: Any, kind: str, limit: int, per: float, name: str = "api") -> tuple[Any, Model]:
    """A limiter and its model; what is remembered of denials must not stand between them."""
    window = round(per * 1_000_000)
    if kind == "bucket":
        rate = limit - 0.5 if limit % 2 else limit
        bucket = hub.token_bucket(name, rate=rate, per=per, burst=limit, deny_cache=0)
        return bucket, BucketModel(Fraction(str(rate)) / window, limit)
    if kind == "fixed":
        return hub.fixed_window(name, limit=limit, per=per, deny_cache=0), FixedModel(limit, window)
    sliding = hub.sliding_window(name, limit=limit, per=per, precision=kind, deny_cache=0)
    return sliding, (LogModel if kind == "exact" else CounterModel)(limit, window)


@dataclass(frozen=True)
class Step:
    pause: int
    verb: str
    cost: int
    patience: int


steps = st.lists(
    st.builds(
        Step,
        st.one_of(st.integers(0, 3_000), st.integers(0, 4_000_000)),
        st.sampled_from(["take", "take", "take", "reserve", "look", "refund"]),
        st.integers(1, 7),
        st.sampled_from([0, 1_000, 300_000, 5_000_000]),
    ),
    max_size=30,
)


def check(step: Step, model: Model, now: int, answer: Any) -> None:
    """Hold what the script answered at ``now`` against the model, and charge the model."""
    if step.verb == "refund":
        model.give(now, step.cost)
        return
    at = fits_at(model, now, step.cost)
    patience = step.patience if step.verb == "reserve" else 0
    assert answer.granted is (at - now <= patience)
    assert answer.wait == at - now
    if answer.granted and step.verb != "look":
        model.charge(now, at, step.cost)
    room = math.floor(model.limit - model.used(model.opens(now)))
    if isinstance(model, BucketModel):
        missing = model.missing + max(0, model.at - now) * model.rate
        missing = max(Fraction(0), missing - max(0, now - model.at) * model.rate)
        room = math.floor(model.limit - missing)
    closed = model.opens(now) > now
    remaining, wait, reset = answer.rows[0]
    assert remaining == (0 if closed else max(0, room))
    assert wait == (0 if answer.granted else at - now)
    assert reset == model.empty_at(now) - now


def perform(limiter: Any, step: Step) -> Any:
    """Do it; a coroutine on an async limiter. A turn is booked by its flow, which then does not sleep."""
    if step.verb == "look":
        return limiter.status("u", cost=step.cost)
    if step.verb == "refund":
        return limiter.refund("u", step.cost)
    if step.verb == "reserve":
        return limiter.acquire("u", cost=step.cost, timeout=step.patience / 1_000_000)
    return limiter.try_acquire("u", cost=step.cost)


@pytest.mark.parametrize("kind", KINDS)
@slow
@given(steps=steps, limit=st.integers(7, 12), per=st.sampled_from([1, 0.25, 3, 60]))
def test_a_limiter_equals_its_model(kind: str, steps: list[Step], limit: int, per: float) -> None:
    now = START
    with time_machine.travel(now / 1e6, tick=False) as clock, Coord.connect("memory://") as hub:
        answers = answers_of(hub)

        naps_of(hub)
        limiter, model = pair(hub, kind, limit, per)
        for step in steps:
            now += step.pause
            clock.move_to(now / 1e6)
            try:
                perform(limiter, step)
            except RateLimited:
                assert step.verb == "reserve"
            assert answers[-1].now == now
            check(step, model, now, answers[-1])


def test_a_long_log_is_read_to_where_it_matters() -> None:
    """It is read a slice at a time; expired entries and a great cost reach over many slices."""
    now = START
    with time_machine.travel(now / 1e6, tick=False) as clock, Coord.connect("memory://") as hub:
        answers = answers_of(hub)
        limiter, model = pair(hub, "exact", 300, 1)
        taking = [Step(1_000, "take", 1, 0)] * 300
        probing = [Step(0, "look", cost, 0) for cost in (1, 15, 16, 17, 100, 250, 300)]
        for one in [*taking, *probing, Step(760_000, "take", 1, 0), *probing, Step(2_000_000, "take", 1, 0)]:
            now += one.pause
            clock.move_to(now / 1e6)
            perform(limiter, one)
            check(one, model, now, answers[-1])


@pytest.mark.parametrize("kind", KINDS)
@slow
@given(
    steps=st.lists(
        st.tuples(
            st.one_of(st.integers(0, 3_000), st.integers(-1_000_000, 4_000_000)),
            st.sampled_from(["take", "take", "reserve", "look", "settle", "penalize", "other precision"]),
            st.integers(0, 7),
            st.sampled_from([0, 1, 300_000, 5_000_000]),
        ),
        max_size=30,
    )
)
def test_a_limit_alone_is_decided_as_one_of_several(
    kind: str, steps: list[tuple[int, str, int, int]]
) -> None:
    """The script of its kind answers as the one for any number of limits does, and leaves the same TTL."""
    now = START
    with (
        time_machine.travel(now / 1e6, tick=False) as clock,
        fakeredis.FakeRedis(server=fakeredis.FakeServer()) as client,
        Coord(client) as hub,
    ):
        policy = policy_of(pair(hub, kind, 7, 1)[0])
        words = {policy.kind: policy.words}
        if other := {"log": "counter", "counter": "log"}.get(policy.kind):
            words[other] = (other, *policy.words[1:])
        chosen = policy.kind

        def run(what: Any, key: str, *args: Any) -> Any:
            return stepped(port_of(hub).run(what([key], *args)))

        for pause, verb, cost, operand in steps:
            now += pause
            clock.move_to(now / 1e6)
            if verb == "other precision":
                chosen = other or chosen
                other = policy.kind if chosen != policy.kind else other
            elif verb in {"settle", "penalize"}:
                for key in "ab":
                    run(APPLY, key, verb, operand, *words[chosen], cost - 3)
            else:
                alone = (cost, *words[chosen][1 : 3 if chosen == "fixed" else 5])
                answers = (
                    run(OF_ONE[chosen], "a", verb, operand, *alone),
                    run(APPLY, "b", verb, operand, *words[chosen], cost),
                )
                assert answers[0] == answers[1]
            assert client.pttl("a") == client.pttl("b")


numbers = itertools.count()


@pytest.fixture
def loop() -> Iterator[Callable[[Awaitable[Any]], Any]]:
    with asyncio.Runner() as runner:
        yield lambda flow: runner.run(_awaited(flow))


async def _awaited(flow: Awaitable[Any]) -> Any:
    return await flow


@pytest.mark.parametrize("kind", KINDS)
@quick
@given(data=st.data(), limit=st.integers(7, 9))
def test_both_flavours_in_turn_equal_one_model_on_every_server(  # noqa: PLR0917  # fixtures
    kind: str, server: str, prefix: str, loop: Any, client: Any, data: st.DataObject, limit: int
) -> None:
    import time

    with Coord.connect(server, prefix=prefix) as hub:
        twin = AsyncCoord.connect(server, prefix=prefix)
        naps_of(hub)
        naps_of(twin)
        name = f"api{next(numbers)}"
        seen = [answers_of(hub), answers_of(twin)]
        (mine, model), (theirs, _) = pair(hub, kind, limit, 0.02, name), pair(twin, kind, limit, 0.02, name)
        for number, step in enumerate(data.draw(steps, "steps")):
            time.sleep(step.pause % 6_000 / 1_000_000)
            try:
                done = perform((mine, theirs)[number % 2], step)
                if number % 2:
                    loop(done)
            except RateLimited:
                assert step.verb == "reserve"
            answer = seen[number % 2][-1]
            check(step, model, answer.now, answer)
        loop(twin.close())
        for key in keys_of(client, prefix):
            assert client.pttl(key) != -1
            client.delete(key)


STUB = """
local state, now = nil, 0
redis = {call = function(verb, _, value)
  if verb == 'TIME' then return {string.format('%d', now / 1000000), string.format('%d', now % 1000000)} end
  if verb == 'TYPE' then return {ok = state and 'string' or 'none'} end
  if verb == 'GET' then return state end
  if verb == 'SET' then state = value end
  if verb == 'DEL' then state = nil end
  return 0
end}
KEYS = {'k'}
function decide(script, words, at)
  ARGV, now = words, at
  local reply = script()
  return reply[1], reply[3 + 3], reply[3 + 4]
end
"""
"""Just enough of a server for the script, with a clock of its own."""


@pytest.mark.parametrize("of", [BUCKET, APPLY], ids=lambda script: script.name)
@pytest.mark.parametrize(
    ("rate", "per", "burst"), [(7, 1, 7), (0.1, 3, 5), (3, 7, 4), (100_003, 86_400, 100_003)]
)
def test_decisions_do_not_drift(of: Any, rate: float, per: float, burst: int) -> None:
    """The script itself, in Lua without a server, so often that a lost fraction would show.

    ``COORD_DECISIONS=1000000`` in the environment for a million of each.
    """
    with Coord.connect("memory://") as hub:
        policy = policy_of(hub.token_bucket("b", rate=rate, per=per, burst=burst))
    lua = import_module("lupa.lua51").LuaRuntime()
    lua.execute(STUB)
    script = lua.eval("loadstring")(of.text)
    words = (*policy.words, 1) if of is APPLY else (1, *policy.alone)
    argv = lua.table_from(["take", "0", *map(str, words)])
    decide = lua.eval("decide")
    _, _, gained, token, unit, _ = policy.words
    missing, now, dice = 0, START, random.Random(burst)
    for _ in range(int(os.environ.get("COORD_DECISIONS", "25000"))):
        pause = dice.randrange(2 * token // gained + 2)
        now += pause * unit
        # The rational model, in whole ticks: exact, since a Python integer never overflows.
        missing = max(0, missing - pause * gained)
        allowed = missing + token <= burst * token
        missing += token * allowed
        granted, remaining, wait = decide(script, argv, now)
        assert (granted, remaining) == (allowed, burst - -(-missing // token))
        if not allowed:
            assert wait == -(-(missing + token - burst * token) // gained) * unit


REDIS_GCRA_TABLE = [
    # burst, cost, times, remaining; the rate is the burst each minute
    (1000, 2, 1, 998), (1000, 200, 1, 800), (1000, 200, 4, 200), (1000, 200, 5, 0), (1000, 1, 137, 863),
    (300, 1, 101, 199), (300, 2, 101, 98),
]  # fmt: skip
"""The table of redis-gcra's own tests, but for the row that can never be allowed."""


@pytest.mark.parametrize(("burst", "cost", "times", "remaining"), REDIS_GCRA_TABLE)
def test_the_table_of_redis_gcra_holds(burst: int, cost: int, times: int, remaining: int) -> None:
    with time_machine.travel(START / 1e6, tick=False), Coord.connect("memory://") as hub:
        bucket = hub.token_bucket("b", rate=burst, per=60, burst=burst)

        assert [bucket.try_acquire("u", cost=cost) for _ in range(times)][-1].remaining == remaining


BUCKET4J_TABLE = [(100, 49, 0), (1, 1, 0), (70, 80, 0.010), (0, 10, 0.010)]
"""Tokens there, tokens wanted, wait; of 100 that refill in 100 units of time: here, milliseconds."""


@pytest.mark.parametrize(("there", "wanted", "wait"), BUCKET4J_TABLE)
def test_the_table_of_bucket4j_holds(there: int, wanted: int, wait: float) -> None:
    with time_machine.travel(START / 1e6, tick=False), Coord.connect("memory://") as hub:
        bucket = hub.token_bucket("b", rate=100, per=0.1, burst=100)
        bucket.try_acquire("u", cost=100 - there)
        probe = bucket.status("u", cost=wanted)

        assert (probe.allowed, probe.retry_after, probe.remaining) == (wait == 0, wait, there)
        with pytest.raises(ValueError, match="cost must be from 0 to 100, not 120"):
            bucket.status("u", cost=120)
