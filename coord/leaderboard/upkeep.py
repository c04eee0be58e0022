"""Upkeep: meta, and taking members off a board. In slices, so that none holds the server up."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from coord._engine.checks import integer
from coord._engine.replies import as_bool, as_int, as_rows, nothing
from coord._engine.script import Command, Script
from coord.leaderboard.base import BoardFlow, settled
from coord.leaderboard.scores import member_bytes, meta_bytes

if TYPE_CHECKING:
    from coord._engine.script import Reply

__all__ = ["AsyncUpkeep"]

SLICE = 50
"""Members that one script takes off, in about a millisecond."""


@dataclass(frozen=True, slots=True)
class _Removed:
    """How many one step took off by rank, by name, and as lapsed; and whether more have lapsed."""

    trimmed: int
    named: int
    lapsed: int
    lapsing: int


def _removed(reply: Reply) -> _Removed:
    return _Removed(*map(as_int, as_rows(reply)))


_REMOVE = Script("board_remove", parse=settled(_removed), repeatable=False)
_SET_META = Script("board_meta", parse=settled(as_bool), repeatable=True)
_UNLINK = Command("UNLINK", parse=nothing, repeatable=True)


class AsyncUpkeep(BoardFlow):
    """How a board is kept in order."""

    async def remove(self, *members: str) -> int:
        """Take members off the board, with their meta.

        Returns:
            How many were on it.

        Complexity: O(log n) a member; in slices of 50.
        """
        words = [member_bytes(one) for one in members]
        removed = 0
        for start in range(0, len(words), SLICE):
            removed += (await self._take_off("", 0, *words[start : start + SLICE])).named
        return removed

    async def set_meta(self, member: str, meta: str | None) -> bool:
        """Change the meta of a member, whatever its score.

        Args:
            member: Who.
            meta: Any text; ``None`` to forget it.

        Returns:
            Whether the member is on the board. Nothing is kept of one who is not.

        Complexity: O(log n), one round trip.
        """
        words = [member_bytes(member), *([] if meta is None else [meta_bytes(meta)])]
        return await self._ask(_SET_META, *words)

    async def trim(self, best: int) -> int:
        """Take everyone off but the best so many; of those level at the edge, the first that stand there.

        It goes by slices from the far end, and is done when there is no more to take off. What is
        submitted meanwhile counts. A member who was trimmed and submits again is a newcomer: under
        ``keep="sum"`` its old points are gone.

        Args:
            best: How many to leave, at least 0.

        Returns:
            How many were taken off.

        Complexity: O(log n) for each of them, in slices of 50.
        """
        leave = integer(best, "best", at_least=0)
        removed = 0
        while True:
            trimmed = (await self._take_off(leave, SLICE)).trimmed
            removed += trimmed
            if trimmed < SLICE:
                return removed

    async def purge(self) -> int:
        """Take those off whose scores have lapsed.

        Every call on a board does so first, a step for each 50 of them. Call this now and then where many
        may lapse on a board that is seldom used, so that nobody has to wait for it.

        Returns:
            How many were taken off.

        Complexity: O(log n) for each of them, in slices of 50.
        """
        return (await self._take_off("", 0)).lapsed

    async def clear(self) -> None:
        """Take everyone off. The server frees the memory in the background. O(1)."""
        await self._port.run(_UNLINK(await self._keys()))

    async def _take_off(self, best: int | str, most: int, *members: bytes) -> _Removed:
        """Take off all that have lapsed, and then those beyond the best, or those named."""
        lapsed = 0
        while True:
            step = await self._ask(_REMOVE, self._order, best, most, *members)
            lapsed += step.lapsed
            if not step.lapsing:
                return replace(step, lapsed=lapsed)
