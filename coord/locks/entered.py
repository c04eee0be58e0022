"""Whose block is left, of a lock that is itself the context manager.

Theory
------
``with lock:`` has no object of its own for the block. One lock is entered by many tasks and threads, and a
block may be left by another of them than has entered it: a generator is resumed or closed by whoever has it
then. But a ``with`` statement enters and leaves in one frame, whoever runs that. So the frame tells blocks
apart.

Rules
-----
1. The block that was entered in the same frame is left; of several, the last.
2. Where there is none, since a helper such as ``ExitStack`` enters and leaves, it is one whose ``with``
   statement the caller is not inside of: the last that this task or thread has entered.
3. Where there is none either: the only one of them that is open.
4. Otherwise it cannot be told, and nothing is released until all blocks that are open have been left.
"""

from __future__ import annotations

import contextlib
import inspect
import logging
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

    from coord.locks.hold import AsyncHold

__all__ = ["Entered", "caller", "is_anybodys"]

SUSPENDABLE = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
RESUMED_BY_OTHERS = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR

_log = logging.getLogger("coord")


def caller() -> FrameType:
    """Find the frame that has called the function that asks."""
    return sys._getframe(2)


def is_inside(frame: FrameType) -> bool:
    """Tell whether the caller runs in a frame, or in what that has called."""
    here: FrameType | None = sys._getframe(1)
    while here is not None and here is not frame:
        here = here.f_back
    return here is frame


def is_anybodys(frame: FrameType) -> bool:
    """Tell whether another than who runs a frame may run it on: it is suspended, and not inside of itself."""
    return bool(frame.f_code.co_flags & RESUMED_BY_OTHERS) and not is_inside(frame)


@dataclass(slots=True, eq=False)
class _Block:
    hold: AsyncHold
    owner: int
    frame: FrameType

    def is_of(self, owner: int, frame: FrameType) -> bool:
        # One thread or task runs a plain function from its call to its return.
        return self.frame is frame and (self.owner == owner or bool(frame.f_code.co_flags & SUSPENDABLE))


class Entered:
    """The blocks of one lock that are open."""

    def __init__(self) -> None:
        # Changed by single operations only, each of which is safe among threads.
        self._blocks: list[_Block] = []
        self._unclear: list[int] = []

    def add(self, hold: AsyncHold, owner: int, frame: FrameType) -> None:
        """Note a block down that is about to be entered."""
        self._blocks.append(_Block(hold, owner, frame))

    def discard(self, hold: AsyncHold) -> None:
        """Strike out a block that was not entered after all."""
        self._strike_out([block for block in self._blocks if block.hold is hold])

    def leave(self, owner: int, frame: FrameType) -> tuple[list[AsyncHold], list[AsyncHold]]:
        """Say which blocks end now: the caller's, and those that others have left before.

        Where it cannot be told both are empty; where it is only clear that all are left, they are the first.
        """
        blocks = [block for block in self._blocks if block.hold._is_open()]
        if not blocks:
            raise RuntimeError("a lock is left of which no block is open")
        mine = self._find(blocks, owner, frame)
        rest = [block for block in blocks if block not in mine]
        if not mine:
            self._unclear.append(owner)
        others = rest if self._unclear and len(self._unclear) >= len(rest) else []
        if others:
            self._unclear.clear()
        elif not mine:
            _log.warning(
                "coord cannot tell whose block of %s is left, of %d that are open: none is released until "
                "all have been left; with hold() each block has an object of its own",
                blocks[0].hold._what, len(blocks),
            )  # fmt: skip
        self._strike_out([*mine, *others])
        told, untold = (mine, others) if mine else (others, mine)
        return [block.hold for block in told], [block.hold for block in untold]

    @staticmethod
    def _find(blocks: list[_Block], owner: int, frame: FrameType) -> list[_Block]:
        own = [block for block in blocks if block.is_of(owner, frame)]
        if not own:
            elsewhere = [block for block in blocks if not is_inside(block.frame)]
            own = [block for block in elsewhere if block.owner == owner]
            own = own or (elsewhere if len(elsewhere) == 1 else [])
        return own[-1:]

    def _strike_out(self, blocks: list[_Block]) -> None:
        for block in blocks:
            with contextlib.suppress(ValueError):  # another thread was quicker
                self._blocks.remove(block)
