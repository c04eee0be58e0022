"""What all limiters of one Coord share: the script, the breaker, and what is kept to save round trips."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, TypeVar, cast

from coord._engine.replies import nothing, text
from coord._engine.script import Command, Script
from coord.limits.denials import Denials
from coord.limits.fallback import MOST_POLICIES, Breaker, LocalLimits
from coord.limits.stock import Stock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from coord._engine.keys import Keys
    from coord._engine.port import Place, Port
    from coord._engine.script import Call, Reply
    from coord.limits.policy import Item, Policy

__all__ = ["MOST_POLICIES", "Answer", "LimitRoom", "Row", "rows_of", "words_of"]

ROW = 3
"""Words that a script says of each limit: see ``Answer.rows``."""

HEAD = 5
"""Words that it says before them, of all limits together."""

Row = tuple[int, int, int]


class Answer(NamedTuple):
    """What the script said. Times are microseconds.

    Attributes:
        granted: Whether all limits were charged; for a look, whether they would be.
        wait: How long until the call may go ahead, or could.
        now: The server's time.
        more: How much was taken beyond the cost.
        binding: Which limit says no, from 0 on; -1 if none does.
        rows: Of each limit: what remains, the wait until its cost fits, the time until nothing is charged.
        marks: Of each limit, the state before and after a reservation that waits.
    """

    granted: bool
    wait: int
    now: int
    more: int
    binding: int
    rows: tuple[Row, ...]
    marks: tuple[str, ...] = ()

    @property
    def moment(self) -> int:
        """When the charge is dated."""
        return self.now + self.wait if self.granted else -1


def rows_of(words: Sequence[int]) -> tuple[Row, ...]:
    """Read what is said of each limit."""
    return tuple([(words[at], words[at + 1], words[at + 2]) for at in range(0, len(words), ROW)])


def _answer(reply: Reply, limits: int) -> Answer:
    words = cast("list[int]", reply)
    granted, wait, now, more, binding = words[:HEAD]
    end = HEAD + ROW * limits
    rows = rows_of(words[HEAD:end])
    marks = tuple([text(mark) for mark in words[end:]])
    return Answer(granted == 1, wait, now, more, binding - 1, rows, marks)


def _one(reply: Reply) -> Answer:
    """Read what is said of one limit, which is what is read most often."""
    granted, wait, now, more, binding, remaining, until, reset, *marks = cast("list[int]", reply)
    told = tuple([text(mark) for mark in marks]) if marks else ()
    return Answer(granted == 1, wait, now, more, binding - 1, ((remaining, until, reset),), told)


MOST_BREAKERS = 1000
"""Nodes and budgets that have breakers: more than there are, unless budgets are made up for each call."""

T = TypeVar("T")


APPLY = Script("limit_apply", parse=_one, repeatable=False)
BUCKET = Script("limit_bucket", parse=_one, repeatable=False)
FIXED = Script("limit_fixed", parse=_one, repeatable=False)
COUNTER = Script("limit_counter", parse=_one, repeatable=False)
LOG = Script("limit_log", parse=_one, repeatable=False)
OF_ONE = {"bucket": BUCKET, "fixed": FIXED, "counter": COUNTER, "log": LOG}
LOOKS = {kind: replace(script, repeatable=True) for kind, script in OF_ONE.items()}
DECISIONS = frozenset({"take", "reserve", "look"})
FORGET = Command("DEL", parse=nothing, repeatable=True)


def words_of(items: Sequence[Item]) -> list[str | int]:
    """Spell limits and costs for a script that is told several."""
    return [word for item in items for word in (*item.policy.words, item.cost)]


class LimitRoom:
    """What all limiters of one Coord share.

    Args:
        port: Where the server is.
        keys: How keys are spelled.

    Attributes:
        local: Limiters that decide without the server.
        heard: Whether the server has been asked before, and has answered or failed to.
    """

    def __init__(self, port: Port, keys: Keys) -> None:
        self.port = port
        self.keys = keys
        self.local = LocalLimits(port)
        self.heard = False
        self.log = logging.getLogger("coord")
        self._mutex = port.mutex()
        self._stocks: dict[Policy, Stock] = {}
        self._denials: dict[Policy, Denials] = {}
        self._breakers: dict[tuple[Place, float | None], Breaker] = {}

    async def close(self) -> None:
        """Give back what was taken in advance and not used, as far as the server can be reached."""
        for stock in list(self._stocks.values()):
            await stock.give_back()

    def call(
        self, verb: str, operand: int, items: Sequence[Item], marks: Sequence[str] = (), *, once: bool = False
    ) -> Call[Answer]:
        """Make the call that applies a verb to some limits; ``once``: where a fallback stands ready."""
        if len(items) == 1 and verb in DECISIONS:
            policy, _, key, cost = items[0]
            return (LOOKS if verb == "look" else OF_ONE)[policy.words[0]](
                (key,), verb, str(operand), str(cost), *policy.alone, once=once
            )
        words = [verb, operand, *words_of(items)]
        keys = [item.key for item in items]
        script = APPLY
        if len(items) > 1:
            count = len(items)
            script = Script("limit_apply", lambda reply: _answer(reply, count), verb == "look")
        return script(keys, *words, *marks, once=once)

    def breaker(self, key: str, budget: float | None) -> Breaker:
        """Find what says whether to ask the node that serves a key, with so much time."""
        found = self._breakers.get((place := self.port.place(key), budget))
        if found is not None:
            return found
        made = Breaker(self.port.mutex())
        with self._mutex:
            while len(self._breakers) >= MOST_BREAKERS:
                del self._breakers[next(iter(self._breakers))]
            return self._breakers.setdefault((place, budget), made)

    def denials(self, policy: Policy) -> Denials:
        """Find what is remembered of a policy's denials."""
        return self._kept(self._denials, policy, lambda: Denials(self.port))

    def stock(self, policy: Policy) -> Stock:
        """Find what was taken in advance of a policy."""
        return self._kept(self._stocks, policy, lambda: Stock(self, policy))

    def _kept(self, found: dict[Policy, T], policy: Policy, make: Callable[[], T]) -> T:
        """Find what belongs to a policy, or make it; only so many, for limiters made on each call."""
        kept = found.get(policy)
        if kept is not None:
            return kept
        made = make()
        with self._mutex:
            while len(found) >= MOST_POLICIES and policy not in found:
                del found[next(iter(found))]
            return found.setdefault(policy, made)

    def forget(self, items: Sequence[Item]) -> None:
        """Forget the denials of limits that were given something back, whatever the policy."""
        for item in items:
            for policy, denials in list(self._denials.items()):
                if (policy.family, policy.name) == (item.policy.family, item.policy.name):
                    denials.forget(item.subject)

    async def reset(self, items: Sequence[Item]) -> None:
        """Forget all that was charged."""
        for item in items:
            for policy, stock in list(self._stocks.items()):
                if (policy.family, policy.name) == (item.policy.family, item.policy.name):
                    stock.forget(item.subject)
        await self.port.run(FORGET([item.key for item in items]))
        self.forget(items)
