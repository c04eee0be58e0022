"""The scripts of a concurrency limit against plain models, on a clock of the test's own."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import fakeredis
import pytest
import time_machine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coord import Coord
from coord.concurrency.calls import PermitCalls
from coord.concurrency.terms import Terms
from coord.locks.calls import LockCalls
from tests.support.hubs import port_of
from tests.support.rooms import locks_of, permits_of, step

if TYPE_CHECKING:
    from collections.abc import Callable

    from coord.concurrency import PermitRoom

START = 1_700_000_000.0
OPERATIONS = int(os.environ.get("COORD_CHAOS", "700"))
thorough = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def calls_of(room: PermitRoom, limit: int, *, fair: bool = False) -> PermitCalls:
    return PermitCalls(room.keys, Terms("d", limit, fair=fair), "u", sharded=False)


@dataclass(frozen=True)
class Step:
    """What one of some contenders does, after a pause in milliseconds."""

    pause: int
    verb: str
    who: int
    limit: int
    ttl: int

    @property
    def weight(self) -> int:
        return 1 + self.who % 3

    @property
    def token(self) -> str:
        return f"t{self.who} {self.weight} me"


steps = st.lists(
    st.builds(
        Step,
        st.sampled_from([0, 1, 7, 100, 1000, 20_000]),
        st.sampled_from(["acquire", "acquire", "acquire", "renew", "release", "give up", "reset"]),
        st.integers(0, 5),
        st.integers(3, 6),
        st.sampled_from([10, 50, 1000, 5000]),
    ),
    max_size=60,
)


@dataclass
class Model:
    """What permits are, without a server: times in milliseconds."""

    leases: dict[str, int] = field(default_factory=dict)
    ended: dict[str, tuple[int, bool]] = field(default_factory=dict)

    def pass_to(self, now: int) -> None:
        self.leases = {token: end for token, end in self.leases.items() if end > now}
        self.ended = {token: row for token, row in self.ended.items() if row[0] > now}

    @property
    def used(self) -> int:
        return sum(int(token.split()[1]) for token in self.leases)

    def act(self, one: Step, now: int) -> bool | None:
        self.pass_to(now)
        mine = one.token in self.leases
        if one.verb == "acquire":
            fits = one.token not in self.ended and self.used + one.weight <= one.limit
            granted = mine or fits
            if granted:
                self.leases[one.token] = now + one.ttl
            return granted
        if one.verb == "renew":
            if mine:
                self.leases[one.token] = now + one.ttl
            return mine
        if one.verb == "reset":
            self.leases.clear()
            return None
        self.leases.pop(one.token, None)
        if mine:
            self.ended[one.token] = (now + (60_000 if one.verb == "give up" else 10_000), True)
        elif one.verb == "give up" and one.token not in self.ended:
            self.ended[one.token] = (now + 60_000, False)
        return self.ended.get(one.token, (0, False))[1]


def act(room: PermitRoom, one: Step) -> bool | None:
    calls = calls_of(room, one.limit)
    if one.verb == "acquire":
        return step(room.acquire(calls, one.token, one.ttl / 1000, on_repeat=bool)).fence is not None
    if one.verb == "renew":
        return step(room.renew(calls, one.token, one.ttl / 1000))
    if one.verb == "reset":
        step(room.port.run(calls.reset()))
        return None
    return step(room.release(calls, one.token, end_anyway=one.verb == "give up"))


@thorough
@given(steps=steps)
def test_permits_equal_their_model(steps: list[Step]) -> None:
    now, model = 0, Model()
    with time_machine.travel(START, tick=False) as clock, Coord.connect("memory://") as hub:
        for one in steps:
            now += one.pause
            clock.move_to(START + now / 1000)

            assert act(permits_of(hub), one) == model.act(one, now), one
            used, permits, waiters, holders = step(
                port_of(hub).run(calls_of(permits_of(hub), one.limit).look())
            )
            left = sorted((end - now) / 1000 for end in model.leases.values())
            assert (used, permits, waiters) == (model.used, len(model.leases), 0)
            assert [holder.remaining for holder in holders] == pytest.approx(left, abs=0.002)


def test_the_clock_of_a_server_that_steps_back_keeps_what_was_left_of_a_lease() -> None:
    with time_machine.travel(START, tick=False) as clock, Coord.connect("memory://") as hub:
        limit = hub.concurrency_limit("d", limit=1, ttl=10)
        assert limit.try_acquire("u")
        clock.shift(-3600)

        assert limit.try_acquire("u") is None, "not a moment early"
        assert limit.status("u").holders[0].remaining == pytest.approx(10, abs=0.01)
        clock.shift(9.9)
        assert limit.try_acquire("u") is None
        clock.shift(0.2)
        assert limit.try_acquire("u"), "nor an hour late: its holder is dead"


def test_looking_alone_is_enough_to_see_through_a_step_back() -> None:
    with time_machine.travel(START, tick=False) as clock, Coord.connect("memory://") as hub:
        limit = hub.concurrency_limit("d", limit=1, ttl=10)
        limit.try_acquire("u")
        clock.shift(-3600)

        assert limit.status("u").holders[0].remaining == pytest.approx(10, abs=0.01)


@thorough
@given(
    moves=st.lists(
        st.tuples(
            st.sampled_from(["acquire", "acquire", "renew", "release", "die", "back", "wait"]),
            st.integers(0, 7),
            st.sampled_from([0.001, 0.5, 3.0]),
        ),
        max_size=60,
    )
)
def test_a_clock_that_steps_back_admits_too_many_never_and_blocks_nobody_for_long(
    moves: list[tuple[str, int, float]],
) -> None:
    """``alive`` has who would still think that it holds a permit, by a clock that only moves forward."""
    limit, ttl, now = 3, 5.0, 0.0
    alive: dict[str, float] = {}
    with time_machine.travel(START, tick=False) as clock, Coord.connect("memory://") as hub:
        room, calls = permits_of(hub), calls_of(permits_of(hub), limit)

        def ask(token: str) -> bool:
            return step(room.acquire(calls, token, ttl, on_repeat=bool)).fence is not None

        for number, (verb, who, pause) in enumerate(moves):
            now += pause
            clock.shift(pause)
            alive = {token: end for token, end in alive.items() if end > now}
            token = sorted(alive)[who % len(alive)] if alive else ""
            if verb == "back":
                clock.shift(-(10**who) / 100)
            elif verb == "acquire":
                fresh = f"t{number} 1 me"
                if ask(fresh):
                    alive[fresh] = now + ttl
            elif verb == "renew" and token:
                assert step(room.renew(calls, token, ttl)), "its lease still runs"
                alive[token] = now + ttl
            elif verb == "release" and token:
                assert step(room.release(calls, token)), "its lease still runs"
                del alive[token]
            elif verb == "die" and token:
                del alive[token]
            assert len(alive) <= limit

        assert ask("look 1 me") in {True, False}
        clock.shift(ttl + 0.01)
        assert ask("last 3 me"), "all others have died, and a lease has passed since"


def test_a_clock_that_steps_forward_ends_leases_early_and_their_holders_are_told() -> None:
    with time_machine.travel(START, tick=False) as clock, Coord.connect("memory://") as hub:
        room, calls = permits_of(hub), calls_of(permits_of(hub), 1)
        assert step(room.acquire(calls, "t1 1 me", 10, on_repeat=bool)).fence
        clock.shift(3600)

        assert step(room.acquire(calls, "t2 1 me", 10, on_repeat=bool)).fence, "as the documents say"
        assert not step(room.renew(calls, "t1 1 me", 10))
        assert not step(room.release(calls, "t1 1 me"))
        assert step(room.renew(calls, "t2 1 me", 10))


def test_room_is_kept_for_who_was_woken_for_a_moment_and_not_an_hour() -> None:
    waiting, kept = "coord:concurrency:{u}:d:waiting", 0.05
    with fakeredis.FakeRedis() as client, time_machine.travel(START, tick=False) as clock:
        limit = Coord(client).concurrency_limit("d", limit=3)
        client.zadd(waiting, {"home:stopped.2.3": -(START + kept) * 1_000_000})

        assert limit.try_acquire("u", weight=2) is None
        assert limit.try_acquire("u", weight=1), "beside it there is room"
        clock.shift(kept - 0.001)
        assert limit.try_acquire("u", weight=1) is None
        clock.shift(0.002)
        assert limit.try_acquire("u", weight=1), "it has not come"
        client.zadd(waiting, {"home:stopped.1.3": -(START + 2 * kept) * 1_000_000})
        assert limit.try_acquire("u", weight=1) is None
        clock.shift(-3600)
        assert limit.try_acquire("u", weight=1), "nobody can be kept room for so long"


@pytest.mark.parametrize("fair", [False, True])
def test_only_those_are_woken_who_may_come(fair: bool) -> None:
    with fakeredis.FakeRedis(decode_responses=True) as client, client.pubsub() as listener:
        room = permits_of(Coord(client))
        calls = calls_of(room, 3, fair=fair)
        listener.subscribe(f"{calls.key}:free:home")
        assert listener.get_message()["type"] == "subscribe"

        def ask(who: str, weight: int) -> bool:
            token, waiter = f"{who} {weight} me", f"home:{who}.{weight}.3"
            return step(room.acquire(calls, token, 60, waiter, on_repeat=bool)).fence is not None

        def woken() -> list[str]:
            found: list[str] = []
            while (message := listener.get_message()) is not None:
                found.append(message["data"])
            return found

        assert [ask("a", 2), ask("b", 1), ask("heavy", 3), ask("light", 1), ask("other", 1)] == [
            True, True, False, False, False,
        ]  # fmt: skip
        assert woken() == []
        step(room.release(calls, "b 1 me"))
        assert woken() == ([] if fair else ["light.1.3"])
        assert ask("light", 1) is not fair
        step(room.release(calls, "a 2 me"))
        assert woken() == (["heavy.3.3"] if fair else ["other.1.3"])


@pytest.mark.parametrize("what", ["lock", "permit"])
def test_a_dead_waiter_is_passed_though_the_clock_has_stepped_back(what: str) -> None:
    with time_machine.travel(START, tick=False) as clock, Coord.connect("memory://") as hub:
        room = locks_of(hub) if what == "lock" else permits_of(hub)
        calls = (
            LockCalls(room.keys, "x", fair=True)
            if what == "lock"
            else calls_of(permits_of(hub), 1, fair=True)
        )

        def token(who: str) -> str:
            return who if what == "lock" else f"{who} 1 me"

        def ask(who: str) -> bool:
            waiter = f"home:{who}.1.1"
            return step(room.acquire(calls, token(who), 60, waiter, on_repeat=bool)).fence is not None

        assert ask("holder")
        assert not ask("dies")
        clock.shift(-3600)
        assert not ask("patient")
        step(room.release(calls, token("holder")))
        clock.shift(2)
        assert not ask("patient"), "the other may be alive"
        clock.shift(2)
        assert ask("patient")


class Line:
    """A fair limit on a virtual clock, and what must be true of it."""

    TTL = 5.0
    LIMIT = 4
    MOST_WAITING = 8

    def __init__(self, room: PermitRoom, clock: Any, dice: random.Random) -> None:
        self.room, self.clock, self.dice = room, clock, dice
        self.calls = calls_of(room, self.LIMIT, fair=True)
        self.waiting: list[str] = []  # the living, in order of arrival
        self.holders: list[str] = []
        self.corpses: list[tuple[float, int]] = []
        self.now = 0.0
        self.arrived = self.granted = 0

    @staticmethod
    def weight(token: str) -> int:
        return int(token.split()[1])

    def waiter(self, token: str) -> str:
        return f"home:{token.split(maxsplit=1)[0]}.{self.weight(token)}.{self.LIMIT}"

    def used(self) -> int:
        buried = sum(weight for until, weight in self.corpses if until > self.now)
        return buried + sum(map(self.weight, self.holders))

    def ask(self, token: str) -> None:
        grant = step(self.room.acquire(self.calls, token, self.TTL, self.waiter(token), on_repeat=bool))
        if grant.fence is None:
            return
        place = self.waiting.index(token)
        before = sum(map(self.weight, self.waiting[:place]))
        assert self.used() + before + self.weight(token) <= self.LIMIT, "too many, or out of order"
        del self.waiting[place]
        self.holders.append(token)
        self.granted += 1

    def arrive(self) -> None:
        if len(self.waiting) < self.MOST_WAITING:
            self.arrived += 1
            self.waiting.append(f"{self.arrived:032d} {self.dice.choice([1, 1, 2, 4])} me")
            self.ask(self.waiting[-1])

    def tick(self) -> None:
        """Up to a second passes, in which everyone alive does what keeps it alive."""
        seconds = self.dice.random()
        self.now += seconds
        self.clock.shift(seconds)
        for token in self.holders:
            assert step(self.room.renew(self.calls, token, self.TTL))
        for token in self.dice.sample(self.waiting, len(self.waiting)):
            self.ask(token)

    def release(self) -> None:
        if self.holders:
            token = self.holders.pop(self.dice.randrange(len(self.holders)))
            assert step(self.room.release(self.calls, token))

    def give_up(self) -> None:
        if self.waiting:
            gone = self.waiting.pop(self.dice.randrange(len(self.waiting)))
            step(self.room.release(self.calls, gone, self.waiter(gone), end_anyway=True))

    def die_waiting(self) -> None:
        if self.waiting:
            self.waiting.pop(self.dice.randrange(len(self.waiting)))

    def die_holding(self) -> None:
        if self.holders:
            token = self.holders.pop(self.dice.randrange(len(self.holders)))
            self.corpses.append((self.now + self.TTL - 1, self.weight(token)))

    def step_back(self) -> None:
        self.clock.shift(-self.dice.choice([0.01, 1, 3600]))

    def live(self, choices: Callable[[int], list[Callable[[], None]]], seed: int) -> None:
        """Let things happen by chance, of those that may at each step; then let all who wait be served."""
        for number in range(OPERATIONS):
            try:
                self.dice.choice(choices(number))()
            except AssertionError as error:
                error.add_note(f"seed {seed}, operation {number}")
                raise
        while self.waiting:
            before = self.granted
            for _ in range(16):
                self.tick()
            while self.holders:
                self.release()
            self.tick()

            assert self.granted > before, f"stuck, with seed {seed}"


def test_random_deaths_and_clocks_leave_nothing_stuck_and_no_order_broken() -> None:
    """The real scripts on a virtual clock; ``COORD_CHAOS=100000`` in the environment for more of it."""
    seed = random.randrange(10**6)
    dice = random.Random(seed)
    with time_machine.travel(START, tick=False) as clock, Coord.connect("memory://") as hub:
        line = Line(permits_of(hub), clock, dice)
        actions = [line.arrive] * 4 + [line.tick] * 6 + [line.release] * 6
        actions += [line.give_up, line.die_waiting, line.die_holding]
        line.live(lambda number: [*actions, line.step_back] if number % 10 == 0 else actions, seed)

        assert line.granted > OPERATIONS / 20
