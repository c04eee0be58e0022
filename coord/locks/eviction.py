"""Says once if the server may throw locks and permits away to save memory.

Every key of a lock has a TTL, so ``volatile-*`` policies may evict it as well as ``allkeys-*``. A lock that
is evicted is free for the next who asks, while its holder works on.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

from coord._engine.script import Command

if TYPE_CHECKING:
    from coord._engine.port import Port
    from coord._engine.script import Reply

__all__ = ["warn_of_eviction"]

_log = logging.getLogger("coord")


def _policy(reply: Reply) -> str | None:
    """Read the policy by which keys may be evicted; ``None`` if none may be, or if it is not told."""
    info = reply.decode() if isinstance(reply, bytes) else str(reply)
    limit = re.search(r"maxmemory:(\d+)", info)
    policy = re.search(r"maxmemory_policy:([\w-]+)", info)
    if limit is None or policy is None or limit[1] == "0" or policy[1] == "noeviction":
        return None
    return policy[1]


MEMORY = Command("INFO", parse=_policy, repeatable=True)


async def warn_of_eviction(port: Port, where: str, seconds: float) -> None:
    """Look at the server's policy, and log a warning if it can evict a lock. Fails silently.

    Args:
        port: The server.
        where: What to call it.
        seconds: For how long to wait for its answer.
    """
    try:
        policy = await port.run(MEMORY((), "memory"), timeout=seconds)
    except Exception as error:  # noqa: BLE001  # it may be forbidden, or slow; no lock must fail by this
        _log.debug("coord could not look at maxmemory_policy of %s: %s", where, error)
        return
    if policy is not None:
        _log.warning(
            "%s may evict locks and permits when its memory is full, and so give them to others while they "
            "are held: its maxmemory-policy is %s; set it to noeviction, or keep them on another server",
            where, policy,
        )  # fmt: skip
