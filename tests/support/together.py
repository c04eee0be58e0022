"""Runs many flows over one connection at once: what each asks for travels in one pipeline with the rest.

For tests that ask a real server some hundred thousand questions. A flow here suspends where it asks, and
goes on when the answer to all is there.
"""

from __future__ import annotations

from types import coroutine
from typing import TYPE_CHECKING, Any

from coord._engine.keys import Keys
from coord._engine.port import Outcome
from coord.leaderboard import Order, Setup

if TYPE_CHECKING:
    from collections.abc import Coroutine, Generator, Sequence

    from coord._engine.script import Call

__all__ = ["AskingPort", "reading", "together"]


@coroutine
def _ask(call: Call[Any]) -> Generator[Call[Any], Any, Any]:
    return (yield call)


class AskingPort:
    """As much of a port as a read needs."""

    async def run(self, call: Call[Any], *, timeout: float | None = None) -> Any:
        return await _ask(call)

    async def race(self, flows: Sequence[Coroutine[Any, Any, Any]], enough: Any) -> list[Outcome[Any]]:
        return [Outcome(await flow) for flow in flows]


def reading(prefix: str, name: str = "b", order: Order = "desc") -> Setup:
    """A board that is only read, by flows that travel together."""
    return Setup(AskingPort(), Keys(prefix), name, order)  # type: ignore[arg-type]


def together(client: Any, flows: Sequence[Coroutine[Any, Any, Any]]) -> list[Any]:
    """Run flows whose port is an ``AskingPort``; give what each returned."""
    returned: list[Any] = [None] * len(flows)
    waiting: dict[int, Call[Any]] = {}

    def go_on(number: int, answer: Any) -> None:
        try:
            waiting[number] = flows[number].send(answer)
        except StopIteration as finished:
            returned[number] = finished.value

    for number in range(len(flows)):
        go_on(number, None)
    while waiting:
        asked, waiting = waiting, {}
        for script in {call.what for call in asked.values()}:
            client.script_load(script.text)  # type: ignore[union-attr]  # rooms ask by script
        with client.pipeline(transaction=False) as pipe:
            for call in asked.values():
                pipe.execute_command(*call.words())
            answers = pipe.execute()
        for (number, call), answer in zip(asked.items(), answers, strict=True):
            go_on(number, call.parse(answer))
    return returned
