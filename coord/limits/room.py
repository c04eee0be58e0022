"""What all limiters of one Coord share: the script, the breaker, and what is kept to save round trips."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from coord._engine.replies import as_int, as_rows, nothing, text
from coord._engine.script import Command, Script
from coord.limits.denials import Denials
from coord.limits.fallback import Breaker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coord._engine.keys import Keys
    from coord._engine.port import Port
    from coord._engine.script import Call, Reply
    from coord.limits.policy import Item, Policy
    from coord.limits.stock import Stock

__all__ = ["Answer", "LimitRoom", "Row"]

ROW = 3
HEAD = 5
Row = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Answer:
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


def _answer(reply: Reply, limits: int) -> Answer:
    words = as_rows(reply)
    granted, wait, now, more, binding = cast("list[int]", words[:HEAD])
    rest = cast("list[int]", words[HEAD : HEAD + ROW * limits])
    rows = tuple((rest[at], rest[at + 1], rest[at + 2]) for at in range(0, len(rest), ROW))
    marks = tuple(text(mark) for mark in words[HEAD + ROW * limits :])
    return Answer(bool(granted), as_int(wait), as_int(now), as_int(more), as_int(binding) - 1, rows, marks)


def _one(reply: Reply) -> Answer:
    return _answer(reply, 1)


APPLY = Script("limit_apply", parse=_one, repeatable=False)
LOOK = Script("limit_apply", parse=_one, repeatable=True)
FORGET = Command("DEL", parse=nothing, repeatable=True)


class LimitRoom:
    """What all limiters of one Coord share.

    Args:
        port: Where the server is.
        keys: How keys are spelled.
    """

    def __init__(self, port: Port, keys: Keys) -> None:
        self.port = port
        self.keys = keys
        self.breaker = Breaker()
        self.log = logging.getLogger("coord")
        self.stocks: list[Stock] = []
        self._denials: dict[Policy, Denials] = {}

    async def close(self) -> None:
        """Give back what was taken in advance and not used, as far as the server can be reached."""
        for stock in self.stocks:
            await stock.give_back()

    def call(self, verb: str, operand: int, items: Sequence[Item], marks: Sequence[str] = ()) -> Call[Answer]:
        """Make the call that applies a verb to some limits."""
        words: list[str | int] = [verb, operand]
        for item in items:
            words += item.policy.words
            words.append(item.cost)
        keys = [item.key for item in items]
        script = LOOK if verb == "look" else APPLY
        if len(items) > 1:
            count = len(items)
            script = Script("limit_apply", lambda reply: _answer(reply, count), script.repeatable)
        return script(keys, *words, *marks)

    def denials(self, policy: Policy) -> Denials:
        """Find what is remembered of a policy's denials."""
        return self._denials.setdefault(policy, Denials(self.port))

    def forget(self, items: Sequence[Item]) -> None:
        """Forget the denials of limits that were given something back, whatever the policy."""
        for item in items:
            for policy, denials in list(self._denials.items()):
                if (policy.family, policy.name) == (item.policy.family, item.policy.name):
                    denials.forget(item.subject)

    async def reset(self, items: Sequence[Item]) -> None:
        """Forget all that was charged."""
        self.forget(items)
        await self.port.run(FORGET([item.key for item in items]))
        self.forget(items)
