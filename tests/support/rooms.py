"""Asks at the level of a room: under tokens of the test's own choosing, as whoever repeats a request does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coord._engine.port import step
from coord._engine.threads import ThreadPort
from tests.support.flavours import bare
from tests.support.hubs import port_of

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from coord._engine.script import Call
    from coord.concurrency import PermitRoom
    from coord.locks.room import LockRoom


__all__ = [
    "Tokens",
    "charged_at",
    "flow_of",
    "hints_of",
    "locks_of",
    "permits_of",
    "policy_of",
    "promote_above",
    "run",
    "sent_again",
    "step",
    "token_of",
]


async def run(port: Any, flow: Coroutine[Any, Any, Any]) -> Any:
    """A blocking port finishes a flow in one step; any other is awaited."""
    return step(flow) if isinstance(port, ThreadPort) else await flow


async def sent_again(hub: Any, call: Call[Any]) -> Any:
    """Send what a hub has sent before, as a copy that arrives late; give the answer."""
    port = port_of(hub)
    return await run(port, port.run(call))


def flow_of(thing: Any) -> Any:
    """The flow behind a sync object; an async one is its own."""
    inner = bare(thing)
    return getattr(inner, "_flow", inner)


def locks_of(hub: Any) -> LockRoom:
    """What asks for a hub's locks."""
    room: LockRoom = bare(hub)._locks
    return room


def permits_of(hub: Any) -> PermitRoom:
    """What asks for a hub's permits."""
    room: PermitRoom = bare(hub)._permits
    return room


def policy_of(limiter: Any) -> Any:
    """What a limiter's script is told: the limit in its own units, and how a key is spelled."""
    return flow_of(limiter)._policy


def token_of(permit: Any) -> str:
    """What proves to the server that a permit is held, and is a secret."""
    token: str = flow_of(permit)._lease.token
    return token.split(maxsplit=1)[0]


def charged_at(permit: Any) -> int:
    """When a permit of an admission was charged, in microseconds by the server's clock."""
    ((_, answer, _),) = flow_of(permit)._charge._debits
    moment: int = answer.moment
    return moment


def promote_above(counter: Any, limit: int) -> None:
    """Let a counter keep no more than so many of a period exactly."""
    flow_of(counter)._store.limit = limit


def hints_of(activity: Any) -> int:
    """How many hints of where texts are numbered an activity remembers."""
    return len(flow_of(activity)._marker._hints._chunks)


class Tokens:
    """Asks for one thing under tokens that the test chooses; with a room of either flavour.

    Args:
        room: What asks.
        calls: What it asks about.
    """

    def __init__(self, room: Any, calls: Any) -> None:
        self.room, self.calls = room, calls

    @classmethod
    def of_lock(cls, lock: Any) -> Tokens:
        flow = flow_of(lock)
        return cls(flow._room, flow._calls)

    @classmethod
    def of_limit(cls, limit: Any, key: str, weight: int) -> Tokens:
        flow = flow_of(limit)
        return cls(flow._room, flow._turn(key, weight).calls)

    @classmethod
    def of_admission(cls, both: Any, key: str, cost: int, weight: int) -> Tokens:
        entrance = flow_of(both)._entrance(key, cost, weight)
        return cls(entrance._room, entrance.calls)

    async def acquire(self, token: str, ttl: float = 5.0) -> int | None:
        """Give the fence, or ``None`` if it was refused."""
        grant = await run(self.room.port, self.room.acquire(self.calls, token, ttl, on_repeat=bool))
        fence: int | None = grant.fence
        return fence

    async def renew(self, token: str, ttl: float = 5.0) -> bool:
        return bool(await run(self.room.port, self.room.renew(self.calls, token, ttl)))

    async def release(self, token: str, *, end_anyway: bool = False) -> bool:
        return bool(await run(self.room.port, self.room.release(self.calls, token, end_anyway=end_anyway)))
