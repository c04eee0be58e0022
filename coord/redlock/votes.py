"""How one server answers, and what that counts for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar, cast

from coord._engine.port import Outcome
from coord._engine.replies import as_int, as_rows, text
from coord.errors import QuorumError, Vote

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from coord._engine.nodes import Node
    from coord._engine.script import Reply
    from coord.locks.calls import LockCalls

__all__ = [
    "Bid", "Confirmation", "QuarantinedError", "UndecidedError",
    "confirmation", "is_grant", "too_late", "values", "vote_of", "votes_of",
]  # fmt: skip

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Confirmation:
    """How a server answered the second phase."""

    stands: bool
    run_id: str
    uptime: int


def confirmation(reply: Reply) -> Confirmation:
    """Read the second phase's reply."""
    stands, run_id, uptime = as_rows(reply)
    return Confirmation(bool(stands), text(run_id), as_int(uptime))


class QuarantinedError(Exception):
    """The server has not been up for long enough to vote."""


class UndecidedError(QuorumError):
    """The attempt failed although a quorum is up and nobody refused; another one is worth while."""


@dataclass(slots=True)
class Bid:
    """One attempt: what its requests to the servers share, so that one that is late knows.

    Attributes:
        lock: What it is about.
        token: Who wants it.
        ttl: For how long.
        flying: How many of its requests have not been answered.
        over: Whether it was decided against, or its lease released.
    """

    lock: LockCalls
    token: str
    ttl: float
    flying: int = 0
    over: bool = False


def is_grant(fence: int | None) -> bool:
    """Say whether a server granted, or confirmed."""
    return fence is not None


def values(outcomes: Sequence[Outcome[T] | None]) -> list[T]:
    """List what the servers answered, of those that did."""
    return [cast("T", one.value) for one in outcomes if one is not None and one.error is None]


def too_late(vote: Vote, elapsed: float, ttl: float) -> Vote:
    """Note on a grant that it came to nothing."""
    if vote.outcome != "granted":
        return vote
    return replace(vote, why=f"but after {elapsed:.3f} s, too late for a lease of {ttl:g} s")


def vote_of(node: Node, outcome: Outcome[int | None] | None) -> Vote:
    """Say to people what a server answered."""
    if outcome is None:
        return Vote(node.label, "pending")
    if isinstance(outcome.error, QuarantinedError):
        return Vote(node.label, "quarantined", str(outcome.error))
    if outcome.error is not None:
        return Vote(node.label, "failed", f"{type(outcome.error).__name__}: {outcome.error}")
    return Vote(node.label, "refused" if outcome.value is None else "granted")


def votes_of(
    nodes: Sequence[Node], outcomes: Sequence[Outcome[T] | None], yes: Callable[[T], object]
) -> tuple[Vote, ...]:
    """Say to people what each server answered."""
    votes: list[Vote] = []
    for node, one in zip(nodes, outcomes, strict=True):
        said = None if one is None or one.value is None or not yes(one.value) else 1
        votes.append(vote_of(node, None if one is None else Outcome(said, one.error)))
    return tuple(votes)
