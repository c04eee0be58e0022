"""Whether who waits goes on waiting while the server cannot be asked.

Rules
-----
1. Who waits for so long goes on for so long, through any outage: a server that restarts in that time has not
   kept anybody from anything. What it raises in the end is what kept it from asking.
2. Who waits for as long as it takes goes on if a server has ever answered here. Otherwise the address is
   wrong, more likely than not, and that is an error and no wait.
3. An answer that says no, and a mistake, is raised as ever.
4. The outage is logged when it begins and every ten seconds, once for all who wait.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from coord.locks.asking import Asking

__all__ = ["Outages"]

LOGGED_EVERY = 10.0
"""Seconds between two lines of the log about one outage: enough to see it by, and no flood."""

_log = logging.getLogger("coord")


class Outages:
    """What all who wait at one Coord know of their server.

    Args:
        now: A monotonic clock.
        is_one: Says whether an error means that nobody can be asked now, and may later.
        was_answered: Says whether a server has ever answered, if only that it cannot serve now.
    """

    def __init__(
        self, now: Callable[[], float], is_one: Callable[[Exception], bool], was_answered: Callable[[], bool]
    ) -> None:
        self._now = now
        self.is_one = is_one
        self._was_answered = was_answered
        self._logged = -math.inf

    def bears(self, asking: Asking, error: Exception, what: str) -> bool:
        """Say whether to go on waiting after ``error``.

        Args:
            asking: Who waits.
            error: What kept it from asking.
            what: What it waits for, for people.
        """
        if not self.is_one(error):
            return False
        asking.outage = error
        now = self._now()
        if now >= asking.until or (math.isinf(asking.until) and not self._was_answered()):
            return False
        if now - self._logged >= LOGGED_EVERY:
            self._logged = now
            _log.warning("coord waits on for %s: it cannot be asked for (%s)", what, type(error).__name__)
        return True
