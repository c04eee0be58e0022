"""The scripts of admission against the models of permits and of rates, on a clock of the test's own."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import fakeredis
import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st

from coord import Coord
from coord.admission.calls import AdmissionCalls
from coord.concurrency.terms import Terms
from tests.concurrency import test_against_a_model as permits
from tests.limits.models import BucketModel, CounterModel, FixedModel, LogModel, fits_at
from tests.limits.test_against_a_model import KINDS, pair
from tests.support.hubs import intercepted, port_of
from tests.support.rooms import permits_of, policy_of, step

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.limits.models import Model

START = 1_700_000_000


@dataclass(frozen=True)
class Step(permits.Step):
    """A step of the permits' model, which may be charged for."""

    cost: int


steps = st.lists(
    st.builds(
        Step,
        st.sampled_from([0, 1, 7, 100, 1000, 20_000]),
        st.sampled_from(["acquire", "acquire", "acquire", "renew", "release", "give up", "reset"]),
        st.integers(0, 5),
        st.integers(3, 6),
        st.sampled_from([10, 50, 1000, 5000]),
        st.integers(0, 7),
    ),
    max_size=60,
)


def calls_of(hub: Coord, limiters: list[Any], limit: int, cost: int) -> AdmissionCalls:
    group = tuple(policy_of(limiter).item(permits_of(hub).keys, "u", cost) for limiter in limiters)
    return AdmissionCalls(permits_of(hub).keys, Terms("d", limit, fair=True), "u", group, sharded=False)


def take_back(model: Model, now: int, moment: int, cost: int) -> None:
    """Take back what was charged at one moment, as far as it still counts."""
    if isinstance(model, LogModel):
        if (moment, cost) in model.log:
            model.log.remove((moment, cost))
    elif isinstance(model, FixedModel):
        if moment >= model.begin:
            model.give(now, cost)
    elif isinstance(model, CounterModel):
        begin, previous, current = model.at(now)
        if moment >= begin:
            current = max(0, current - cost)
        elif moment >= begin - model.window:
            previous = max(0, previous - cost)
        model.begin, model.counts = begin, [previous, current]
    else:
        assert isinstance(model, BucketModel)
        model.give(now, cost)


class World:
    """The scripts and the models beside them, on a clock that counts milliseconds from the start."""

    def __init__(self, hub: Coord, kinds: list[str]) -> None:
        self.hub, self.room = hub, permits.Model()
        pairs = [pair(hub, kind, 9 + at, 1 + at / 2, f"{at}") for at, kind in enumerate(kinds)]
        self.limiters = [limiter for limiter, _ in pairs]
        self.rates = [model for _, model in pairs]
        self.charged: dict[str, tuple[int, int]] = {}

    @staticmethod
    def micros(now: int) -> int:
        return START * 1_000_000 + now * 1000

    def act(self, one: Step, now: int) -> None:
        self.room.pass_to(now)
        plain = permits.calls_of(permits_of(self.hub), one.limit, fair=True)
        if one.verb == "acquire":
            self.acquire(one, now)
        elif one.verb == "give up":
            self.give_up(one, now)
        elif one.verb == "renew":
            renewed = step(permits_of(self.hub).renew(plain, one.token, one.ttl / 1000))
            assert renewed == self.room.act(one, now)
        elif one.verb == "release":
            assert step(permits_of(self.hub).release(plain, one.token)) == self.room.act(one, now)
        else:
            step(port_of(self.hub).run(plain.reset()))
            self.room.act(one, now)

    def acquire(self, one: Step, now: int) -> None:
        at, held, paid = self.micros(now), one.token in self.room.leases, self.paid(one, now)
        fits = max(fits_at(model, at, one.cost) if one.cost else at for model in self.rates)
        granted = (held or paid is not None or fits == at) and bool(self.room.act(one, now))
        calls = calls_of(self.hub, self.limiters, one.limit, one.cost)
        grant = step(permits_of(self.hub).acquire(calls, one.token, one.ttl / 1000, on_repeat=bool))

        assert (grant.fence is not None) is granted, one
        assert calls.told is not None
        assert calls.told.used == self.room.used
        if granted and paid is None and not held:
            self.charged[one.token] = (now, one.cost)
            for model in self.rates if one.cost else []:
                model.charge(at, at, one.cost)
        elif granted and paid is not None:
            assert calls.told.rates.moment == self.micros(paid[0])
        elif not granted and paid is None:
            assert max(until for _, until, _ in calls.told.rates.rows) == fits - at
            # An ended token is told nothing: nobody asks with it again.
            assert grant.held_for >= (fits - at) / 1_000_000 or one.token in self.room.ended

    def paid(self, one: Step, now: int) -> tuple[int, int] | None:
        """When a token was charged, in milliseconds, and how much; while that is remembered."""
        moment, cost = self.charged.get(one.token, (-20_000, 0))
        return (moment, cost) if now < moment + 10_000 else None

    def give_up(self, one: Step, now: int) -> None:
        """What a token was charged is given back, whether or not it still holds its permit."""
        paid = self.paid(one, now)
        calls = calls_of(self.hub, self.limiters, one.limit, paid[1] if paid else one.cost)
        answer = step(permits_of(self.hub).release(calls, one.token, end_anyway=True))

        assert answer == self.room.act(one, now)
        self.charged.pop(one.token, None)
        for model in self.rates if paid and paid[1] else []:
            take_back(model, self.micros(now), self.micros(paid[0] if paid else 0), paid[1] if paid else 0)

    def check(self, now: int) -> None:
        for limiter, model in zip(self.limiters, self.rates, strict=True):
            counted = -(-model.used(self.micros(now)) // 1)
            assert limiter.status("u").remaining == max(0, model.limit - counted)


@permits.thorough
@given(kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=3), steps=steps)
def test_admission_equals_its_models(kinds: list[str], steps: list[Step]) -> None:
    now = 0
    with time_machine.travel(START, tick=False) as clock, Coord.connect("memory://") as hub:
        world = World(hub, kinds)
        for one in steps:
            now += one.pause
            clock.move_to(START + now / 1000)
            world.act(one, now)
            world.check(now)


def test_a_server_whose_clock_steps_back_charges_as_it_should() -> None:
    with time_machine.travel(START, tick=False) as clock, Coord.connect("memory://") as hub:
        bucket = hub.token_bucket("r", rate=2, per=60)
        both = hub.admission(bucket, at_once=hub.concurrency_limit("d", limit=3, fair=True))
        assert both.try_acquire("u")
        clock.shift(-3600)

        assert both.try_acquire("u"), "there is room, and a token"
        assert not both.try_acquire("u"), "no token is left"
        clock.shift(30)
        assert both.try_acquire("u")
        assert bucket.status("u").remaining == 0


def test_what_is_given_back_is_what_was_charged_and_not_what_came_later() -> None:
    with time_machine.travel(START, tick=False) as clock, Coord.connect("memory://") as hub:
        window = hub.sliding_window("r", limit=9, per=60, precision="exact")
        calls = calls_of(hub, [window], 3, 2)
        assert step(permits_of(hub).acquire(calls, "t1 1 me", 60, on_repeat=bool)).fence
        clock.shift(8)
        assert window.try_acquire("u", cost=2)
        step(permits_of(hub).release(calls, "t1 1 me", end_anyway=True))
        clock.shift(55)

        assert window.status("u").remaining == 7, "the later one still counts"


def test_a_charge_that_nobody_asks_about_any_more_stands() -> None:
    with time_machine.travel(START, tick=False) as clock, Coord.connect("memory://") as hub:
        window = hub.fixed_window("r", limit=9, per=600)
        calls = calls_of(hub, [window], 3, 2)
        assert step(permits_of(hub).acquire(calls, "t1 1 me", 60, on_repeat=bool)).fence
        clock.shift(11)
        assert step(permits_of(hub).acquire(calls, "t1 1 me", 60, on_repeat=bool)).fence
        assert window.status("u").remaining == 7, "nor is it made again"
        step(permits_of(hub).release(calls, "t1 1 me", end_anyway=True))

        assert window.status("u").remaining == 7


def test_what_is_given_back_may_be_had_at_once() -> None:
    with time_machine.travel(START, tick=False), Coord.connect("memory://") as hub:
        window = hub.fixed_window("r", limit=2, per=60, deny_cache=5)
        both = hub.admission(window, at_once=hub.concurrency_limit("d", limit=3, fair=True))
        denied: list[bool] = []

        async def act(call: Any, send: Callable[..., Awaitable[Any]]) -> Any:
            answer = await send()
            if not denied:
                denied.append(True)
                denied.append(not window.try_acquire("u"))  # which is remembered
                raise KeyboardInterrupt
            return answer

        with intercepted(hub, act), pytest.raises(KeyboardInterrupt):
            both.try_acquire("u", cost=2)
        assert denied == [True, True]

        assert window.try_acquire("u")


def test_only_the_first_in_line_is_woken_and_a_denial_by_a_rate_wakes_nobody() -> None:
    with fakeredis.FakeRedis(decode_responses=True) as client, client.pubsub() as listener:
        hub = Coord(client)
        calls = calls_of(hub, [hub.fixed_window("r", limit=2, per=60)], 3, 1)
        listener.subscribe(f"{calls.key}:free:home")
        assert listener.get_message()["type"] == "subscribe"

        def ask(who: str) -> bool:
            token, waiter = f"{who} 3 me", f"home:{who}.3.3"
            return step(permits_of(hub).acquire(calls, token, 60, waiter, on_repeat=bool)).fence is not None

        def woken() -> list[str]:
            found: list[str] = []
            while (message := listener.get_message()) is not None:
                found.append(message["data"])
            return found

        assert [ask("a"), ask("b"), ask("c")] == [True, False, False]
        assert woken() == []
        step(permits_of(hub).release(calls, "a 3 me"))
        assert woken() == ["b.3.3"]
        assert not ask("c"), "it is not its turn"
        assert ask("b")
        step(permits_of(hub).release(calls, "b 3 me"))
        assert woken() == ["c.3.3"]
        assert not ask("c"), "the rate says no"
        assert not ask("d")
        assert woken() == []


class Line(permits.Line):
    """A line before room and a rate, on a virtual clock, and what must be true of it."""

    RATE, BURST = 3.0, 5

    def __init__(self, hub: Coord, clock: Any, dice: random.Random) -> None:
        super().__init__(permits_of(hub), clock, dice)
        limiter = hub.token_bucket("r", rate=self.RATE, burst=self.BURST)
        self.asked = [calls_of(hub, [limiter], self.LIMIT, cost) for cost in range(self.BURST + 1)]
        self.paid = 0

    def cost(self, token: str) -> int:
        return int(token.split(maxsplit=1)[0]) * 7 % (self.BURST + 1)

    def ask(self, token: str) -> None:
        calls = self.asked[self.cost(token)]
        grant = step(self.room.acquire(calls, token, self.TTL, self.waiter(token), on_repeat=bool))
        if grant.fence is None:
            return
        assert self.waiting.index(token) == 0, "somebody came before"
        assert self.used() + self.weight(token) <= self.LIMIT, "too many"
        self.waiting.remove(token)
        self.holders.append(token)
        self.granted += 1
        self.paid += self.cost(token)
        assert self.paid <= self.BURST + self.RATE * self.now + 1e-6, "too fast"

    def give_up(self) -> None:
        if self.waiting:
            gone = self.waiting.pop(self.dice.randrange(len(self.waiting)))
            calls = self.asked[self.cost(gone)]
            step(self.room.release(calls, gone, self.waiter(gone), end_anyway=True))

    def withdraw(self) -> None:
        """Whoever was granted it just now has not been told of it, and gives up."""
        before = len(self.holders)
        for token in self.waiting[:1]:
            self.ask(token)
        if len(self.holders) > before:
            gone = self.holders.pop()
            calls = self.asked[self.cost(gone)]
            assert step(self.room.release(calls, gone, end_anyway=True))
            self.paid -= self.cost(gone)


@pytest.mark.parametrize("steps_back", [False, True])
def test_random_deaths_leave_nothing_stuck_and_no_order_broken(steps_back: bool) -> None:
    """The real scripts on a virtual clock; ``COORD_CHAOS=100000`` in the environment for more of it."""
    seed = random.randrange(10**6)
    dice = random.Random(seed)
    with time_machine.travel(START, tick=False) as clock, Coord.connect("memory://") as hub:
        line = Line(hub, clock, dice)
        actions = [line.arrive] * 4 + [line.tick] * 6 + [line.release] * 6
        actions += [line.give_up, line.withdraw, line.die_waiting, line.die_holding]
        line.live(lambda number: [line.step_back] if steps_back and number % 50 == 0 else actions, seed)

        assert line.granted > permits.OPERATIONS / 30
