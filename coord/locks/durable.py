"""Grants that have to be on replicas, or on disk, before they count.

Theory
------
A server answers before its replicas have heard of a write, and before it is on any disk. A failover, or a
crash without ``appendfsync always``, may then forget the grant and give the lock to another. ``WAIT`` and
``WAITAOF`` tell how many replicas and disks have what was written *on this connection* until now.

Rules
-----
1. Asked on the connection that the grant came over, and after it: WAIT inside a script does not wait.
2. Whoever falls short holds nothing: the token is given up, which ends this lease and no other's.
3. A server that does not know the command, or forbids it, is found out before any lock is taken, once.
4. It is the grant that is waited for, not its renewals. A failover that loses a renewal leaves the lease
   that was waited for, or a later one.

This narrows the window in which a failover can grant twice, and does not close it: a replica that has not got
the grant may still be promoted. The fence decides.

Sources: https://redis.io/docs/latest/commands/wait/, https://redis.io/docs/latest/commands/waitaof/
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from coord._engine.checks import integer, millis
from coord._engine.replies import as_both, as_int, as_rows, nothing
from coord._engine.script import Command
from coord.errors import NotDurable
from coord.locks.room import SharedRoom

if TYPE_CHECKING:
    from collections.abc import Callable

    from coord._engine.script import Reply, Word
    from coord.locks.calls import Grant, LockCalls
    from coord.locks.room import LockRoom

__all__ = ["durable"]

PATIENCE_SHARE = 0.75
"""The part of the time that the call has left, and of the lease, for which replicas or a disk are waited for:
the rest is for the answer to come back, and for giving up in time."""

MOST_REPLICAS = 1000
"""Replicas that may be asked for: more than any server has, and a slip of the keyboard is refused."""

PING = Command("PING", parse=nothing, repeatable=True)


def durable(room: LockRoom, replicas: int, fsync: bool) -> LockRoom:  # noqa: FBT001  # as the user gave it
    """Make a room whose grants are as durable as asked for; the same room if nothing was.

    Raises:
        TypeError: ``replicas`` is no number, or ``fsync`` no bool.
        ValueError: ``replicas`` is out of bounds.
    """
    integer(replicas, "replicas", at_least=0, at_most=MOST_REPLICAS)
    if not isinstance(fsync, bool):
        raise TypeError(f"fsync must be a bool, not {type(fsync).__name__} {fsync!r}")
    return DurableRoom(room, replicas, fsync=fsync) if replicas or fsync else room


class DurableRoom(SharedRoom):
    """A room whose grants have to be on replicas, or on disk, before they count.

    Args:
        room: The room of the Coord.
        replicas: How many replicas must have a grant; on disk, if ``fsync``.
        fsync: Whether the server must have it on disk.
    """

    def __init__(self, room: LockRoom, replicas: int, *, fsync: bool) -> None:
        super().__init__(room)
        self._replicas = replicas
        self._fsync = fsync
        self._command = "WAITAOF" if fsync else "WAIT"

    async def acquire(
        self,
        lock: LockCalls,
        token: str,
        ttl: float,
        waiter: str = "",
        *,
        on_repeat: Callable[[], object],
        within: float | None = None,
    ) -> Grant:
        """Ask for a lock once, and if it is granted, wait until it is durable.

        Raises:
            NotDurable: It could not be made so. The caller gives the token up.
        """
        if self._command not in self.known_commands:
            await self._probe(lock.name, within)
            self.known_commands.add(self._command)
        call = lock.acquire(token, ttl, self.port.label(), waiter, on_repeat=on_repeat)

        def then(reply: Reply, left: float) -> tuple[Word, ...] | None:
            granted = call.parse(reply).fence is not None
            return self._words(PATIENCE_SHARE * min(ttl, left), self._replicas) if granted else None

        def parse(replies: Reply) -> Grant:
            reply, acknowledged = as_both(replies)
            if acknowledged is not None:
                self._require(lock.name, acknowledged)
            return call.parse(reply)

        return await self.port.run(replace(call, then=then, parse=parse), timeout=within)

    async def _probe(self, name: str, within: float | None) -> None:
        """Find out whether the server can tell at all, before it grants anything."""

        def then(_reply: Reply, _left: float) -> tuple[Word, ...]:
            return self._words(0.001, 0)

        def parse(replies: Reply) -> None:
            self._refuse(name, as_both(replies)[1])

        await self.port.run(replace(PING(()), then=then, parse=parse), timeout=within)

    def _words(self, seconds: float, replicas: int) -> tuple[Word, ...]:
        on_disk = (1,) if self._fsync else ()
        return (self._command, *on_disk, replicas, millis(seconds))

    def _refuse(self, name: str, answer: Reply) -> None:
        if isinstance(answer, Exception):
            raise NotDurable(name, f"the server refuses {self._command}: {answer}") from answer

    def _require(self, name: str, acknowledged: Reply) -> None:
        self._refuse(name, acknowledged)
        local, replicas = map(as_int, as_rows(acknowledged)) if self._fsync else (0, as_int(acknowledged))
        missing: list[str] = []
        if self._fsync and not local:
            missing.append("the server did not have it on disk in time")
        if replicas < self._replicas:
            where = " on disk" if self._fsync else ""
            missing.append(f"{replicas} of {self._replicas} replicas had it{where} in time")
        if missing:
            raise NotDurable(name, "; ".join(missing), replicas=replicas, fsynced=bool(local))
