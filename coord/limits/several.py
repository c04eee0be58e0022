"""Several limits at once, all of them or none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

from coord._engine.checks import known, patience
from coord._engine.decorating import around_coroutine, for_key
from coord.limits.charge import AsyncCharge, AsyncCharging, Cost, costs_of
from coord.limits.gate import Gate
from coord.limits.limiter import AsyncLimiter, until_seconds
from coord.limits.options import Behaviour, LimitsOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from typing import Unpack

    from coord._engine.checks import Seconds
    from coord.limits.decision import Decision
    from coord.limits.gate import Group
    from coord.limits.policy import Item
    from coord.limits.room import LimitRoom

__all__ = ["AsyncLimits", "Key", "limiters"]

F = TypeVar("F", bound="Callable[..., object]")
T = TypeVar("T")
Key = str | Mapping[str, str]
"""Whom to charge; or whom for each limit, by its limiter's name."""


def limiters(members: Sequence[T], kind: type[T]) -> Sequence[T]:
    """Return limiters that are asked together, if each is one.

    Raises:
        TypeError: One of them is none, or of the other flavour.
    """
    for member in members:
        if not isinstance(member, kind):
            raise TypeError(
                f"limiters of this Coord are needed, as token_bucket() and the windows make them, "
                f"not {type(member).__name__} {member!r}"
            )
    return members


class AsyncLimits:
    """Several limiters that are asked together: a call is allowed by all of them, and charged to all.

    Made by ``limits()`` of a ``Coord`` or ``AsyncCoord``.

    Guarantees, for one key: one script charges all limits or none, at a cost for each. For different keys
    the same on a single server. Not guaranteed, for different keys on a cluster: there the limits are
    charged one after the other, in the order given, and given back if a later one denies. Others may be
    denied meanwhile, and what was charged stays charged if the process dies in between.
    """

    def __init__(
        self, room: LimitRoom, members: Sequence[AsyncLimiter], **options: Unpack[LimitsOptions]
    ) -> None:
        if not members:
            raise ValueError("at least one limiter is needed")
        limiters(members, AsyncLimiter)
        if any(member._room is not room for member in members):
            raise ValueError("limits() takes limiters of this Coord only")
        names = [member.name for member in members]
        if len(set(names)) < len(names):
            raise ValueError(f"limits() needs limiters of different names, not {', '.join(map(repr, names))}")
        for unknown in options.keys() & {"overdraft", "deny_cache", "prefetch"}:
            raise TypeError(f"{unknown}= is an option of a single limiter")
        known(options, "limits", LimitsOptions.__annotations__)
        self._room = room
        self._policies = {member.name: member._policy for member in members}
        self._gate = Gate(room, Behaviour(**options))
        self.names = tuple(names)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {', '.join(map(repr, self.names))}>"

    async def try_acquire(self, key: Key, *, cost: Cost = 1) -> Decision:
        """Charge all limits if all allow it now. Never waits.

        Args:
            key: Whom or what to charge: a ``str``, or one for each limiter by name.
            cost: How much: a number for all, or one for each limiter by name. A limit that is charged 0
                is not asked.

        Returns:
            The decision of the limit that binds, with those of all as its ``parts``.

        Raises:
            TypeError: A key is not a ``str``, or a cost not an ``int``.
            ValueError: Not each limiter is named, a key is empty, or a cost is negative or more than its
                limit can ever allow.

        Complexity: O(n) for n limits, one round trip.
        """
        groups = self._groups(key, cost)
        if not any(item.cost for group in groups for item in group):
            return await self._gate.look(groups)
        return (await self._gate.take(groups)).decision

    async def acquire(self, key: Key, *, cost: Cost = 1, timeout: Seconds | None = None) -> AsyncCharge:
        """Wait until all limits allow it, and charge them.

        The turn is booked as by ``acquire()`` of one limiter, for all at the same moment.

        Args:
            key: As for ``try_acquire()``.
            cost: As for ``try_acquire()``.
            timeout: Seconds, or a ``timedelta``, to wait at the most; ``None`` for as long as it takes.

        Raises:
            RateLimited: The turn would come too late. Nothing was charged.
            RuntimeError: A sync limiter would have to wait in a thread that runs an event loop. Nothing was
                charged.

        Complexity: O(n) for n limits, one round trip.
        """
        within = patience(timeout)
        groups = self._groups(key, cost)
        return AsyncCharge(self._gate, groups[0][0].subject, await self._gate.wait_turn(groups, within))

    def charge(
        self,
        key: Key,
        *,
        cost: Cost = 1,
        timeout: Seconds | None = None,
        refund_on: tuple[type[BaseException], ...] = (),
    ) -> AsyncCharging:
        """Acquire for a ``with`` block, which gets the charge.

        Args:
            key: As for ``acquire()``.
            cost: As for ``acquire()``.
            timeout: As for ``acquire()``.
            refund_on: Exceptions of the block after which the cost is given back.
        """
        return AsyncCharging(lambda: self.acquire(key, cost=cost, timeout=timeout), refund_on)

    def around(
        self, key: str | Callable[..., str], *, cost: Cost = 1, timeout: Seconds | None = None
    ) -> Callable[[F], F]:
        """Decorate a function so that each call waits for its turn.

        Args:
            key: Whom to charge; or a function that is given the call's arguments and says so.
            cost: As for ``acquire()``.
            timeout: As for ``acquire()``; what it raises, the call raises.

        Raises:
            TypeError: The function is of the other flavour, or a generator function.
        """
        block = for_key(key, lambda whom: self.charge(whom, cost=cost, timeout=timeout))
        return lambda function: around_coroutine(function, "limiter", block)

    async def status(self, key: Key, *, cost: Cost = 0) -> Decision:
        """Say how things stand, charging nothing; as ``status()`` of one limiter."""
        return await self._gate.look(self._groups(key, cost))

    async def refund(self, key: Key, cost: Cost = 1) -> None:
        """Give back to all limits, the newest charges first; as ``refund()`` of one limiter."""
        for group in self._groups(key, cost):
            back = tuple(item._replace(cost=-item.cost) for item in group if item.cost)
            if back:
                await self._gate.correct(back, -1)

    async def penalize(self, key: Key, *, until: Seconds | datetime) -> None:
        """Admit nothing by any of the limits for a while; as ``penalize()`` of one limiter.

        Args:
            key: As for ``try_acquire()``.
            until: As for ``penalize()`` of one limiter.

        Complexity: O(n) for n limits, one round trip.
        """
        wait = until_seconds(until, self._policies.values())
        for group in self._groups(key, 0):
            await self._gate.penalize(group, wait)

    async def reset(self, key: Key) -> None:
        """Forget all that was charged to all limits."""
        for group in self._groups(key, 0):
            await self._room.reset(group)

    def _groups(self, key: Key, cost: Cost) -> list[Group]:
        costs = costs_of(cost, self.names, at_least=0)
        if isinstance(key, Mapping):
            if set(key) != set(self.names):
                wanted = ", ".join(map(repr, self.names))
                raise ValueError(f"key must have a str for each of {wanted}, not {dict(key)!r}")
            subjects = dict(key)
        else:
            subjects = dict.fromkeys(self.names, key)
        together = self._room.port.one_slot()
        groups: dict[str, list[Item]] = {}
        for name, policy in self._policies.items():
            if costs[name] > policy.limit:
                raise ValueError(f"cost[{name!r}] must be from 0 to {policy.limit}, not {costs[name]!r}")
            item = policy.item(self._room.keys, subjects[name], costs[name])
            groups.setdefault("" if together else item.subject, []).append(item)
        return [tuple(items) for items in groups.values()]
