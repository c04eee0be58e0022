"""Upkeep: meta, and taking members off a board. In slices, so that none holds the server up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coord._engine.checks import integer
from coord._engine.replies import as_bool, as_int, as_rows, nothing
from coord._engine.script import Command, Script
from coord.leaderboard.base import BoardFlow
from coord.leaderboard.scores import member_bytes, meta_bytes

if TYPE_CHECKING:
    from coord._engine.script import Reply

__all__ = ["AsyncUpkeep"]

SLICE = 50
"""Members that one script takes off, in about a millisecond."""


def _removed(reply: Reply) -> tuple[int, int, int]:
    trimmed, named, lapsed = map(as_int, as_rows(reply))
    return trimmed, named, lapsed


_REMOVE = Script("board_remove", parse=_removed, repeatable=False)
_SET_META = Script("board_meta", parse=as_bool, repeatable=True)
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
            call = _REMOVE(await self._keys(), self._order, "", 0, *words[start : start + SLICE])
            removed += (await self._port.run(call))[1]
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
        return await self._port.run(_SET_META(await self._keys(), *words))

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
            trimmed, _, _ = await self._port.run(_REMOVE(await self._keys(), self._order, leave, SLICE))
            removed += trimmed
            if trimmed < SLICE:
                return removed

    async def purge(self) -> int:
        """Take those off whose scores have lapsed.

        Every call on a board does so first, for up to 50 members. Call this where more may lapse at once
        on a board that is seldom used.

        Returns:
            How many were taken off.

        Complexity: O(log n) for each of them, in slices of 50.
        """
        removed = 0
        while True:
            _, _, lapsed = await self._port.run(_REMOVE(await self._keys(), self._order, "", 0))
            removed += lapsed
            if not lapsed:
                return removed

    async def clear(self) -> None:
        """Take everyone off. The server frees the memory in the background. O(1)."""
        await self._port.run(_UNLINK(await self._keys()))
