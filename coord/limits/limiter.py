"""One limit: the flows that a token bucket and the windows share."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from coord._engine.checks import Seconds, integer, patience, seconds
from coord._engine.decorating import around_coroutine, for_key
from coord._engine.keys import escape
from coord.limits import policy as policies
from coord.limits.charge import AsyncCharge, AsyncCharging
from coord.limits.gate import Gate
from coord.limits.options import Behaviour, behaviour_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Unpack

    from coord.limits.decision import Decision
    from coord.limits.options import LimiterOptions
    from coord.limits.policy import Item, Policy, Precision
    from coord.limits.room import LimitRoom

__all__ = ["AsyncFixedWindow", "AsyncLimiter", "AsyncSlidingWindow", "AsyncTokenBucket", "until_seconds"]

F = TypeVar("F", bound="Callable[..., object]")


def until_seconds(until: Seconds | datetime, limits: Iterable[Policy]) -> float:
    """Return how long it is until then: an aware ``datetime``, or seconds from now.

    Raises:
        TypeError: It is neither.
        ValueError: It is a naive ``datetime``, below 0 seconds, or later than the limits can count.
    """
    if not isinstance(until, datetime):
        pause = seconds(until, "until", at_least=0)
    elif until.tzinfo is None:
        raise ValueError(f"until must be an aware datetime, not {until!r}")
    else:
        pause = max(0.0, (until - datetime.now(UTC)).total_seconds())
    longest = min(policy.longest_pause for policy in limits)
    if pause > longest:
        raise ValueError(f"until must be at most {longest:g} seconds from now, not {until!r}")
    return pause


class AsyncLimiter:
    """What every limiter does.

    Args:
        room: What all limiters share.
        policy: The limit.
        behaviour: The options.
    """

    def __init__(self, room: LimitRoom, policy: Policy, behaviour: Behaviour) -> None:
        escape(policy.name)  # refuses a bad name now
        self._room = room
        self._policy = policy
        self._behaviour = behaviour
        self._gate = Gate(room, behaviour)
        self._denials = room.denials(policy)
        self._remembers = behaviour.staleness
        self._more = behaviour.prefetch
        self._stock = room.stock(policy) if self._more else None
        # Whether a denial that is remembered may be handed out before anything else is looked at: no
        # hook wants to see it, shadow mode does not turn it, and nothing was taken in advance.
        self._plain = behaviour.on_decision is None and not behaviour.shadow and not self._more
        self.name = policy.name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

    async def try_acquire(self, key: str, *, cost: int = 1) -> Decision:
        """Charge ``cost`` to ``key`` if the limit allows it now. Never waits.

        Args:
            key: Whom or what to charge: a user, an address, an API key. Each has a limit of its own.
            cost: How much; 0 looks and charges nothing.

        Returns:
            The decision, true when allowed.

        Raises:
            TypeError: ``key`` is not a ``str``, or ``cost`` not an ``int``.
            ValueError: ``key`` is empty, ``cost`` negative or more than can ever be allowed at once.

        Complexity: O(1) amortised, for a cost c that an exact window of n denies O(min(c, n - c)); one round
        trip; none for a denial that is remembered, or out of what
        was taken in advance.
        """
        if self._stock is not None and (served := self._stock.serve(key, cost)) is not None:
            return await self._gate.tell(key, served)
        denied = self._denials.find(key, cost)
        if denied is not None:
            return denied if self._plain else await self._gate.tell(key, denied)
        return await self._ask(key, cost)

    async def acquire(self, key: str, *, cost: int = 1, timeout: Seconds | None = None) -> AsyncCharge:
        """Wait for a turn, and charge ``cost``.

        The turn is booked on the server at once, behind all that are booked already, in every process. So
        this is one round trip and one sleep. If the wait is cancelled, the booking is undone when it is
        the last; otherwise it is spent, so that nobody else's changes.

        Args:
            key: Whom or what to charge.
            cost: How much, at least 1.
            timeout: Seconds, or a ``timedelta``, to wait at the most; ``None`` for as long as it takes.

        Returns:
            The charge, once its time has come.

        Raises:
            RateLimited: The turn would come too late. Nothing was charged.
            RuntimeError: A sync limiter would have to wait in a thread that runs an event loop. Nothing was
                charged.
            TypeError: ``key`` is not a ``str``, or ``cost`` not an ``int``.
            ValueError: ``key`` is empty, or ``cost`` can never be allowed.

        Complexity: O(1) amortised, one round trip.
        """
        item = self._item(key, cost, at_least=1)
        within = patience(timeout)
        verdict = await self._gate.wait_turn([(item,)], within)
        return AsyncCharge(self._gate, key, verdict)

    def charge(
        self,
        key: str,
        *,
        cost: int = 1,
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
        self, key: str | Callable[..., str], *, cost: int = 1, timeout: Seconds | None = None
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

    async def status(self, key: str, *, cost: int = 0) -> Decision:
        """Say how things stand for ``key``, charging nothing.

        Args:
            key: Whom or what.
            cost: What a call would cost. It is allowed at a cost of 0.

        Returns:
            The decision that such a call would get.

        Complexity: O(1) amortised, one round trip; writes nothing.
        """
        return await self._gate.look([(self._item(key, cost, at_least=0),)])

    async def refund(self, key: str, cost: int = 1) -> None:
        """Give back what was charged, the newest first. Never more than is charged.

        Args:
            key: To whom.
            cost: How much, at least 1.

        Complexity: O(1), one round trip. Sent at most once.
        """
        amount = integer(cost, "cost", at_least=1)
        await self._gate.correct((self._policy.item(self._room.keys, key, -amount),), -1)

    async def penalize(self, key: str, *, until: Seconds | datetime) -> None:
        """Admit nothing for ``key`` for a while, in no process: a server beyond has asked for patience.

        A bucket is empty then, and begins to fill. Turns that are booked already stand. ``upstream_pause()``
        reads from a response's headers for how long.

        Args:
            key: Whom or what.
            until: Until when: seconds from now, a ``timedelta``, or an aware ``datetime`` by this
                machine's clock; at most ten years ahead. A penalty that ends earlier than what is booked
                changes nothing.

        Raises:
            TypeError: ``key`` is not a ``str``, or ``until`` none of these.
            ValueError: ``key`` is empty; or ``until`` is a naive ``datetime``, below 0 seconds, or further
                ahead than ten years, or than a bucket of a very high rate can count.

        Complexity: O(1), one round trip.
        """
        wait = until_seconds(until, [self._policy])
        await self._gate.penalize((self._item(key, 0, at_least=0),), wait)

    async def reset(self, key: str) -> None:
        """Forget all that was charged to ``key``, booked turns and penalties included. O(1)."""
        item = self._item(key, 0, at_least=0)
        await self._room.reset([item])

    def _item(self, key: str, cost: int, *, at_least: int) -> Item:
        amount = integer(cost, "cost", at_least=at_least, at_most=self._policy.limit)
        return self._policy.item(self._room.keys, key, amount)

    async def _ask(self, key: str, cost: int) -> Decision:
        item = self._item(key, cost, at_least=0)
        if not item.cost:
            return await self._gate.look([(item,)])
        asked = self._room.port.now()
        verdict = await self._gate.take([(item,)], self._more)
        decision = verdict.decision
        if self._stock is not None and verdict.debits:
            answer = verdict.debits[0].answer
            if answer.more:
                self._stock.put(key, answer.more, answer.now, decision, asked)
                decision = replace(decision, remaining=decision.remaining + answer.more)
        if self._remembers and decision.source == "redis" and (not decision.allowed or decision.shadowed):
            denied = replace(decision, allowed=False, shadowed=False)
            self._denials.remember(key, cost, denied, asked=asked, longest=self._remembers)
        return decision


class AsyncTokenBucket(AsyncLimiter):
    """Admits bursts up to ``burst``, and ``rate`` each ``per`` in the long run.

    Made by ``token_bucket()`` of a ``Coord`` or ``AsyncCoord``. The limits are sent with every call and
    not stored: change them at any time, and what was used stays used.

    Guarantees: a charge is never sent twice. A denied call changes nothing. Not guaranteed: that a charge
    whose reply was lost was not made; the client's exception says that its outcome is unknown.

    Source: the generic cell rate algorithm, kept as a deficit in whole ticks.
    """

    def __init__(
        self,
        room: LimitRoom,
        name: str,
        spec: str | None = None,
        *,
        rate: float | None = None,
        per: Seconds = 1,
        burst: int | None = None,
        **options: Unpack[LimiterOptions],
    ) -> None:
        behaviour = behaviour_of(options, "token_bucket", "rate", "per", "burst")
        policy = policies.bucket(name, spec, rate=rate, per=per, burst=burst, overdraft=behaviour.overdraft)
        super().__init__(room, policy, behaviour)


class AsyncSlidingWindow(AsyncLimiter):
    """Admits at most ``limit`` in any stretch of ``per``.

    Made by ``sliding_window()`` of a ``Coord`` or ``AsyncCoord``. If exact, its memory grows with what it
    has admitted in that time. If approximate, two counters stand for that: at no moment does the estimate
    exceed ``limit``, but the worst stretch of ``per`` may hold nearly twice as much.

    Guarantees and their limits are those of a token bucket.
    """

    def __init__(
        self,
        room: LimitRoom,
        name: str,
        spec: str | None = None,
        *,
        limit: int | None = None,
        per: Seconds | None = None,
        precision: Precision = "auto",
        **options: Unpack[LimiterOptions],
    ) -> None:
        behaviour = behaviour_of(options, "sliding_window", "limit", "per", "precision")
        policy = policies.sliding(
            name, spec, limit=limit, per=per, precision=precision, overdraft=behaviour.overdraft
        )
        super().__init__(room, policy, behaviour)


class AsyncFixedWindow(AsyncLimiter):
    """Admits at most ``limit`` in each window of ``per``, the next of which begins when it is needed.

    Made by ``fixed_window()`` of a ``Coord`` or ``AsyncCoord``. Cheap and easily explained; where two
    windows meet, a stretch of ``per`` may hold twice the ``limit``.

    Guarantees and their limits are those of a token bucket.
    """

    def __init__(
        self,
        room: LimitRoom,
        name: str,
        spec: str | None = None,
        *,
        limit: int | None = None,
        per: Seconds | None = None,
        **options: Unpack[LimiterOptions],
    ) -> None:
        behaviour = behaviour_of(options, "fixed_window", "limit", "per")
        policy = policies.fixed(name, spec, limit=limit, per=per, overdraft=behaviour.overdraft)
        super().__init__(room, policy, behaviour)
