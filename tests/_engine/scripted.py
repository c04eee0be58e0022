"""A connection that answers what it was told to, and a clock that only sleeping moves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import redis
import redis.asyncio

from coord._engine.courier import Courier
from coord._engine.faults import Faults
from coord._engine.port import step
from coord._engine.script import Command

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.anyio


SAFE = Command("GET", parse=lambda reply: reply, repeatable=True)
UNSAFE = Command("INCR", parse=lambda reply: reply, repeatable=False)


class ScriptedWire:
    """Answers with what it was given, in order; an exception is raised, ``take:`` ones before sending."""

    def __init__(self, *answers: Any) -> None:
        self.faults = Faults.of(redis.Redis())
        self.answers = list(answers)
        self.sent: list[tuple[Any, ...]] = []
        self.nodes: list[Any] = []
        self.taken = 0
        self.refreshed = 0
        self.silences: list[float] = []

    async def take(self, key: str | None, node: Any, *, within: float = 0) -> object:
        if self.answers and isinstance(self.answers[0], tuple):
            raise self.answers.pop(0)[0]
        self.taken += 1
        self.nodes.append(node)
        return object()

    async def ask(self, line: object, words: Any, seconds: float, *, asking: bool, silence: float = 0) -> Any:
        self.sent.append(words)
        self.silences.append(silence)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def give(self, line: object) -> None:
        self.taken -= 1

    async def refresh(self, *, within: float = 0) -> None:
        self.refreshed += 1

    async def close(self, owned: object) -> None: ...


class World:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds


class SameAgain(list[Any]):
    """Answers that never come to an end."""

    def pop(self, _: Any = 0) -> Any:
        return self[0]


def deliver(wire: ScriptedWire, call: Any, seconds: float = 10, world: World | None = None) -> Any:
    world = world or World()
    try:
        return step(Courier(wire, world.now, world.sleep).deliver(call, seconds))
    finally:
        assert wire.taken == 0, "a connection was not given back"


class ScriptedRoad(ScriptedWire):
    """Answers a convoy with its first answer, a list or what is raised."""

    async def ask_together(self, line: object, several: Sequence[Any], seconds: float) -> list[Any]:
        answer = await self.ask(line, several, seconds, asking=False)
        assert isinstance(answer, list)
        return answer
