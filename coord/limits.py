"""Rate limiters: a token bucket, and an exact sliding window.

Theory
------
A *token bucket* holds up to ``burst`` tokens and gains ``rate`` of them each ``period``, evenly. It
admits bursts and then a steady pace: in any stretch of time t at most burst + rate * t / period. Its
state is one small string.

A *sliding window* admits at most ``limit`` in any stretch of ``period``, exactly, by remembering each
admission until it is a period old.

Both take the server's time, decide in one script on one key, and count in whole numbers: no decision
depends on a client's clock or on a rounded fraction.

Sources: ITU-T I.371 for GCRA; B. Barrault, https://brandur.org/rate-limiting.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, cast

from coord._engine.checks import MAX_EXACT, integer, micros, seconds
from coord._engine.faces import twin_of
from coord._engine.port import step
from coord._engine.replies import nothing
from coord._engine.script import Command, Script

if TYPE_CHECKING:
    from coord._engine.checks import Seconds
    from coord._engine.keys import Keys
    from coord._engine.port import Port
    from coord._engine.script import Call, Reply

__all__ = ["AsyncSlidingWindow", "AsyncTokenBucket", "Decision", "SlidingWindow", "TokenBucket"]

SHORTEST_PERIOD = 0.001


@dataclass(frozen=True, slots=True)
class Decision:
    """A limiter's answer. True when the call is allowed.

    Attributes:
        allowed: Whether the call may go ahead. If so, its cost has been charged.
        limit: The most that can be charged at once: a bucket's burst, a window's limit.
        remaining: How much could be charged right after this decision.
        retry_after: Seconds until the same call would be allowed if nobody else called; 0 if it was.
            Sufficient, and minimal to the microsecond.
        reset_after: Seconds until nothing is charged any more, if nobody calls.
    """

    allowed: bool
    limit: int
    remaining: int
    retry_after: float
    reset_after: float

    def __bool__(self) -> bool:
        return self.allowed


_Row = tuple[int, int, int, int]


def _row(reply: Reply) -> _Row:
    allowed, remaining, retry, reset = cast("list[int]", reply)
    return allowed, remaining, retry, reset


_TAKE_TOKENS = Script("bucket_take", parse=_row, repeatable=False)
_SEE_TOKENS = Script("bucket_take", parse=_row, repeatable=True)
_TAKE_ROOM = Script("window_take", parse=_row, repeatable=False)
_SEE_ROOM = Script("window_take", parse=_row, repeatable=True)
_FORGET = Command("DEL", parse=nothing, repeatable=True)


class _Limiter:
    """What every limiter does with its one script.

    Guarantees: a charge is never sent twice. A denied call changes nothing. Not guaranteed: that a
    charge whose reply was lost was not made; the client's exception says that its outcome is unknown.
    """

    def __init__(self, port: Port, keys: Keys, kind: str, name: str, limit: int) -> None:
        self._port = port
        self._keys = keys
        self._kind = kind
        self._limit = limit
        self.name = name
        keys.of_subject(kind, name, "probe")  # refuses a bad name now

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

    async def try_acquire(self, key: str, cost: int = 1) -> Decision:
        """Charge ``cost`` to ``key`` if the limit allows it now. Never waits.

        Args:
            key: Whom or what to charge: a user, an address, an API key. Each has a limit of its own.
            cost: How much; 0 looks and charges nothing.

        Returns:
            The decision, true when allowed.

        Raises:
            TypeError: ``key`` is not a ``str``, or ``cost`` not an ``int``.
            ValueError: ``key`` is empty, ``cost`` negative or more than can ever be allowed at once.

        Complexity: O(1) amortised, one round trip.
        """
        amount = integer(cost, "cost", at_least=0, at_most=self._limit)
        row = await self._port.run(self._call(self._keys.of_subject(self._kind, self.name, key), amount))
        allowed, remaining, retry, reset = row
        return Decision(bool(allowed), self._limit, remaining, retry / 1_000_000, reset / 1_000_000)

    async def peek(self, key: str) -> Decision:
        """Say how things stand for ``key``, charging nothing.

        Returns:
            A decision like that of a call that costs nothing, whose ``remaining`` says what could be
            charged.

        Complexity: O(1) amortised, one round trip; writes nothing.
        """
        return await self.try_acquire(key, 0)

    async def reset(self, key: str) -> None:
        """Forget all that was charged to ``key``. O(1)."""
        await self._port.run(_FORGET([self._keys.of_subject(self._kind, self.name, key)]))

    def _call(self, key: str, cost: int) -> Call[_Row]:
        raise NotImplementedError


class AsyncTokenBucket(_Limiter):
    """Admits bursts up to ``burst``, and ``rate`` each ``period`` in the long run.

    Made by ``token_bucket()`` of a ``Coord`` or ``AsyncCoord``. The limits are sent with every call and
    not stored: change them at any time, and what was used stays used.

    Source: the generic cell rate algorithm, kept as a deficit in whole ticks.
    """

    def __init__(
        self, port: Port, keys: Keys, name: str, *, rate: float, period: Seconds = 1, burst: int | None = None
    ) -> None:
        length = micros(seconds(period, "period", at_least=SHORTEST_PERIOD))
        if isinstance(rate, bool) or not isinstance(rate, int | float):
            raise TypeError(f"rate must be a number, not {type(rate).__name__} {rate!r}")
        if not 0 < rate <= MAX_EXACT:
            raise ValueError(f"rate must be above 0 and at most 2**53, not {rate!r}")
        default = max(1, round(rate))
        capacity = integer(default if burst is None else burst, "burst", at_least=1)
        # Tokens a microsecond, in lowest terms: `ticks` pass each microsecond, `token` make a token.
        pace = Fraction(str(rate)) / length
        self._ticks, self._token = pace.numerator, pace.denominator
        if 2 * capacity * self._token >= MAX_EXACT or self._ticks >= MAX_EXACT:
            most = (MAX_EXACT - 1) // (2 * self._token)
            advice = (
                f"lower burst to at most {most}"
                if most
                else "write it in whole numbers: not rate=1/3 but rate=1, period=3"
            )
            raise ValueError(
                f"rate={rate!r}, period={period!r} and burst={capacity} cannot be counted exactly: {advice}"
            )
        super().__init__(port, keys, "bucket", name, capacity)

    def _call(self, key: str, cost: int) -> Call[_Row]:
        script = _TAKE_TOKENS if cost else _SEE_TOKENS
        return script([key], self._ticks, self._token, self._limit * self._token, cost)


class AsyncSlidingWindow(_Limiter):
    """Admits at most ``limit`` in any stretch of ``period``.

    Made by ``sliding_window()`` of a ``Coord`` or ``AsyncCoord``. Exact, and so its memory grows with
    what it has admitted in a period: for large limits a token bucket is the better choice.
    """

    def __init__(self, port: Port, keys: Keys, name: str, *, limit: int, period: Seconds) -> None:
        self._window = micros(seconds(period, "period", at_least=SHORTEST_PERIOD))
        super().__init__(port, keys, "window", name, integer(limit, "limit", at_least=1, at_most=1_000_000))

    def _call(self, key: str, cost: int) -> Call[_Row]:
        return (_TAKE_ROOM if cost else _SEE_ROOM)([key], self._limit, self._window, cost)


@twin_of(_Limiter)
class _BlockingLimiter:
    def __init__(self, flow: _Limiter) -> None:
        self._flow = flow
        self.name = flow.name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

    def try_acquire(self, key: str, cost: int = 1) -> Decision:
        return step(self._flow.try_acquire(key, cost))

    def peek(self, key: str) -> Decision:
        return step(self._flow.peek(key))

    def reset(self, key: str) -> None:
        step(self._flow.reset(key))


@twin_of(AsyncTokenBucket)
class TokenBucket(_BlockingLimiter):
    def __init__(
        self, port: Port, keys: Keys, name: str, *, rate: float, period: Seconds = 1, burst: int | None = None
    ) -> None:
        super().__init__(AsyncTokenBucket(port, keys, name, rate=rate, period=period, burst=burst))


@twin_of(AsyncSlidingWindow)
class SlidingWindow(_BlockingLimiter):
    def __init__(self, port: Port, keys: Keys, name: str, *, limit: int, period: Seconds) -> None:
        super().__init__(AsyncSlidingWindow(port, keys, name, limit=limit, period=period))
