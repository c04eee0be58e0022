"""What an algorithm may ask of the world, and the driver that runs it without an event loop.

Theory
------
Every algorithm is written once, as ``async def`` on a flow class. A flow awaits only other flows and
the methods of its ``Port``. The async face of a primitive *is* the flow, over a port that suspends
properly. The sync face runs the same coroutine over a port whose methods block instead of suspending:
such a coroutine never yields, so a single ``send(None)`` runs it from the first line to its return.

Rules
-----
1. A flow imports no clock, thread, loop or client. What it needs of them is here, or it goes without.
2. No async generators in flows: they cannot be stepped, and their cleanup has no owner.
3. Cleanup re-raises. A flow never swallows ``BaseException``, or a cancelled task would live on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from contextlib import AbstractContextManager

    from coord._engine.script import Call

__all__ = ["Guard", "News", "Outcome", "Place", "Port", "Signal", "Tap", "all_of", "run_all", "step"]

T = TypeVar("T")

CLEANUPS = 10
"""Awaits in the cleanup of a flow that suspended where it must not: more than any flow has, one inside
another."""

AT_ONCE = 8
"""Calls of one slot under way together: by then the round trips are hidden, and others get their turn in
between."""

Place = tuple[str, int] | None
"""Where messages come from: host and port of a cluster's node; ``None`` for the one server there is."""


class Signal(Protocol):
    """Something that happens once. May be set from anywhere."""

    def set(self) -> None:
        """Let it have happened."""
        ...

    def is_set(self) -> bool:
        """Say whether it has happened."""
        ...


class Guard(Protocol):
    """Watches over the body of a ``with`` block, which it may cut short where that can be done cleanly.

    A task's body is cancelled; a thread's never is. To leave it in another task or thread disarms it.
    """

    def begin(self) -> None:
        """Watch over what the caller does from now on."""
        ...

    def end(self, error: BaseException | None) -> bool:
        """Watch no longer; true if ``error``, with which the body ended, is the guard's own doing alone."""
        ...

    async def give_way(self) -> None:
        """Once all is let go, raise the cancellation that others have asked for besides, if they have."""
        ...

    def last(self, seconds: float) -> None:
        """Let the body go on for so many seconds from now."""
        ...

    def cut(self) -> None:
        """End the body now."""
        ...

    def bring(self, flow: Callable[[], Coroutine[object, None, None]]) -> None:
        """Run a flow where the body runs, beside it. May be called by any thread."""
        ...


@dataclass(frozen=True, slots=True)
class News:
    """What came in on a tap.

    Attributes:
        kind: ``subscribe`` when a subscription is confirmed, ``message``, or ``moved`` when messages on the
            channel no longer come from here; others mean nothing.
        channel: On which channel.
        text: What a message says.
    """

    kind: str
    channel: str
    text: str


class Tap(Protocol):
    """A connection that messages come in on."""

    async def open(self, seconds: float) -> None:
        """Connect, within so many seconds. Nothing else does, and nothing else comes before it."""
        ...

    async def subscribe(self, channel: str) -> None:
        """Ask for a channel's messages."""
        ...

    async def unsubscribe(self, channel: str) -> None:
        """Ask for no more of them."""
        ...

    async def read(self, seconds: float) -> News | None:
        """Wait for what comes next."""
        ...

    async def close(self) -> None:
        """Hang up."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """How one flow of several ended.

    Attributes:
        value: What it returned, if it did.
        error: What it raised, if it did.
    """

    value: T | None = None
    error: Exception | None = None


class Port(Protocol):
    """All that a flow may ask of the world."""

    call_timeout: float
    """Seconds until a call must have been answered, unless another time is given for it."""

    @property
    def answered(self) -> bool:
        """Whether a server has ever answered here, if only with an error."""
        ...

    is_outage: Callable[[Exception], bool]
    """Says whether what a call has raised means that the server cannot be asked now, and may later."""

    async def run(self, call: Call[T], *, timeout: float | None = None) -> T:
        """Send ``call`` and return its parsed answer.

        Args:
            call: The operation.
            timeout: Seconds until it must have been answered; ``None`` for the port's own deadline.
        """
        ...

    async def together(self, calls: Sequence[Call[T]]) -> list[T]:
        """Send calls of one slot at once, to be executed in their order unless some have to be sent again.

        Only a few, since the server may answer nobody else meanwhile.

        Returns:
            Their parsed answers.

        Raises:
            Exception: What one of those that failed raised, once none is under way any more.
        """
        ...

    async def sleep(self, seconds: float) -> None:
        """Pause for ``seconds``."""
        ...

    def now(self) -> float:
        """Seconds on a clock that only moves forward. Differences mean something, values do not."""
        ...

    def whoami(self) -> int:
        """Tell the calling task or thread from every other one that lives, or has ended and left a guard."""
        ...

    def admit(self, *, waits: bool = False) -> None:
        """Refuse a caller of the wrong kind, before it does harm.

        Args:
            waits: Whether it is about to wait for somebody else, for as long as that takes.

        Raises:
            RuntimeError: It is a task of another event loop than the port's; or a thread that would stop
                the event loop which it runs.
        """
        ...

    def process(self) -> int:
        """Tell this process from one that was forked from it."""
        ...

    def label(self) -> str:
        """Say to people which process this is."""
        ...

    def one_slot(self) -> bool:
        """Say whether one call may touch any keys together, as on a single server."""
        ...

    def mutex(self, forget: Callable[[], object] | None = None) -> AbstractContextManager[object]:
        """Make what keeps other threads out of a few lines that do not await. Reusable.

        Args:
            forget: A method that is called in a forked child, where nobody holds the mutex: to begin anew
                with what it guards, if the child must not have that of its parent.
        """
        ...

    async def finish(self, flow: Coroutine[object, None, T]) -> T:
        """Run a short flow to its end even if the caller is cancelled meanwhile, and only then give way."""
        ...

    async def race(
        self, flows: Sequence[Coroutine[object, None, T]], enough: Callable[[list[Outcome[T] | None]], bool]
    ) -> list[Outcome[T] | None]:
        """Run several flows at once until ``enough`` of their outcomes are known.

        Args:
            flows: They run to their ends in any case, those that the caller did not wait for too.
            enough: Asked after each end; an outcome not known yet is ``None``.

        Returns:
            The outcomes known then, in the order of ``flows``.
        """
        ...

    def spawn(self, loop: Callable[[], Coroutine[object, None, None]], name: str) -> Callable[[], bool]:
        """Run a loop-flow beside the caller.

        Returns:
            A function that says whether it still runs; false in a forked child.
        """
        ...

    async def aside(self) -> Port:
        """Find the port whose loops run on while a caller of this one blocks; make it when first asked."""
        ...

    def signal(self) -> Signal:
        """Make a signal."""
        ...

    async def wait(self, signal: Signal, seconds: float) -> bool:
        """Wait for a signal, for so long at the most; say whether it came."""
        ...

    def guard(self) -> Guard:
        """Make a guard."""
        ...

    def place(self, channel: str) -> Place:
        """Say where messages on a channel come from, as far as is known here."""
        ...

    def tap(self, place: Place) -> Tap | None:
        """Open a connection for messages from there; ``None`` where there can be none."""
        ...

    async def invoke(self, callback: Callable[[], object]) -> None:
        """Call a user's function; await what it returns where that can be awaited."""
        ...

    async def close(self) -> None:
        """Close what the port owns. Closing twice is harmless."""
        ...


async def all_of(port: Port, flows: Sequence[Coroutine[object, None, T]]) -> list[T]:
    """Run flows at once, each to its end, and return what they return, or raise what the first has raised."""
    if len(flows) == 1:
        return [await flows[0]]
    answers: list[T] = []
    for outcome in await port.race(flows, lambda known: None not in known):
        assert outcome is not None  # noqa: S101  # nothing is enough but all
        if outcome.error is not None:
            raise outcome.error
        answers.append(cast("T", outcome.value))
    return answers


async def run_all(port: Port, calls: Sequence[Call[T]]) -> list[T]:
    """Run any number of calls, a few of them under way at once; see ``together``.

    The first goes alone, and if it fails none other is sent.

    Returns:
        Their answers, in the order of ``calls``.

    Raises:
        Exception: What one of those that failed raised, once none is under way any more.
    """
    answers = [await port.run(call) for call in calls[:1]]
    for start in range(1, len(calls), AT_ONCE):
        answers += await port.together(calls[start : start + AT_ONCE])
    return answers


def step(flow: Coroutine[object, None, T]) -> T:
    """Run a flow to its end over a blocking port, and return what it returns.

    Args:
        flow: A coroutine of a flow whose port never suspends.

    Raises:
        RuntimeError: Something in the flow suspended. That is a bug in coord.
    """
    try:
        flow.send(None)
    except StopIteration as finished:
        return finished.value  # type: ignore[no-any-return]  # StopIteration is not generic
    for _ in range(CLEANUPS):
        try:
            flow.close()
            break
        except RuntimeError:
            # Its cleanup awaited too, and so "ignored" the close; the next one ends that as well.
            continue
    raise RuntimeError(
        f"{flow!r} suspended where it had to block: a sync coord object was given an async port"
    )
