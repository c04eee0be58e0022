"""When too few servers of several can vote, and enough may later."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coord.errors import QuorumError
from coord.locks.outages import Outages

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coord._engine.nodes import Node

__all__ = ["outages_of"]


def outages_of(nodes: Sequence[Node], quorum: int, *, is_strict: bool) -> Outages:
    """Make what tells those who wait for a lock of several servers whether to go on.

    Args:
        nodes: The servers.
        quorum: How many of them decide.
        is_strict: Whether a server has to tell for how long it has been up. One that never will never votes.
    """

    def is_one(error: Exception) -> bool:
        if not isinstance(error, QuorumError):
            return False
        absent = sum(vote.outcome in ("failed", "quarantined") for vote in error.votes)
        mute = sum(is_strict and node.known and node.age() < 0 for node in nodes)
        return absent > len(nodes) - quorum >= mute

    def was_answered() -> bool:
        return sum(node.port.answered for node in nodes) >= quorum

    return Outages(nodes[0].port.now, is_one, was_answered)
