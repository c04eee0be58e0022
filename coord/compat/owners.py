"""Who acquired what: threads, tasks, and the table of a lock object's leases."""

from __future__ import annotations

import asyncio
import threading
import weakref
from typing import TYPE_CHECKING, Literal

from coord._engine.forks import Mutex

if TYPE_CHECKING:
    from coord.locks import AsyncLease

__all__ = ["Table", "this_task", "this_thread"]

_here = threading.local()


class _Thread:
    """Stands for a thread for as long as it lives. Idents are used again by later threads."""


def this_thread() -> object:
    """Give what stands for the calling thread."""
    me: object = getattr(_here, "me", None)
    if me is None:
        me = _here.me = _Thread()
    return me


def this_task() -> object | None:
    """Give the calling task, if it is one."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None  # called before there is a loop, as by ``asyncio.run(lock.acquire())``


class Possession:
    """A lease and who acquired it.

    Args:
        owner: The thread or task.
        lease: What it acquired.
    """

    def __init__(self, owner: object, lease: AsyncLease) -> None:
        self._owner = weakref.ref(owner)
        self.lease = lease

    def is_of(self, who: object) -> bool:
        """Tell whether ``who`` acquired it."""
        return self._owner() is who

    def is_orphan(self) -> bool:
        """Tell whether who acquired it has ended."""
        owner = self._owner()
        return owner is None or (isinstance(owner, asyncio.Task) and owner.done())


class Table:
    """The leases of one lock object.

    Args:
        adopts: Whose leases are also those of a caller who acquired none: ``"none"``, ``"orphans"``
            or ``"all"``.
    """

    def __init__(self, adopts: Literal["none", "orphans", "all"]) -> None:
        self._adopts = adopts
        self._mutex = Mutex()
        self._rows: list[Possession] = []

    def of(self, who: object) -> list[AsyncLease]:
        """List what ``who`` may mean: one, if it is clear."""
        with self._mutex:
            mine = [row.lease for row in self._rows if row.is_of(who)]
            return mine or [row.lease for row in self._rows if self._may_adopt(row)]

    def _may_adopt(self, row: Possession) -> bool:
        return self._adopts == "all" or (self._adopts == "orphans" and row.is_orphan())

    def keep(self, who: object, lease: AsyncLease) -> None:
        """Note down an acquisition, in place of the caller's earlier one."""
        with self._mutex:
            others = [row for row in self._rows if not row.is_of(who)]
            # That there is one of these is worth knowing; how many there were is not.
            past = [row for row in others if row.is_orphan() and not row.lease.valid][:-1]
            self._rows = [*(row for row in others if row not in past), Possession(who, lease)]

    def forget(self, leases: list[AsyncLease]) -> None:
        """Note down that they are over."""
        with self._mutex:
            self._rows = [row for row in self._rows if not any(row.lease is lease for lease in leases)]
