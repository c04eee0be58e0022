"""What a limiter answers, and how to say it in HTTP headers."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args
from urllib.parse import quote

from coord._engine.checks import one_of, seconds

if TYPE_CHECKING:
    from coord._engine.checks import Seconds

__all__ = ["Decision", "HeaderStyle", "Source"]

Source = Literal["redis", "cache", "lease", "fallback"]
HeaderStyle = Literal["ietf", "x"]


@dataclass(frozen=True, slots=True)
class Decision:
    """A limiter's answer. True when the call is allowed.

    Attributes:
        allowed: Whether the call may go ahead. If so, its cost has been charged.
        limit: The most that can be charged at once: a bucket's burst, a window's limit.
        remaining: How much could be charged right after this decision.
        retry_after: Seconds until the same call would be allowed if nobody else called; 0 if it was.
            Sufficient, and minimal to the microsecond (to the millisecond, out of the deny-cache). For room
            at a concurrency limit, when to look again.
        reset_after: Seconds until nothing is charged any more, if nobody calls.
        name: The limiter's name; of several limits, that of the one that binds: the one that denies
            longest, or has the smallest part remaining.
        window: Seconds in which ``limit`` comes back: a window's ``per``, the time to fill a bucket;
            0 for room, which comes back when it is given back.
        source: Who answered: ``redis``; ``cache``, which remembers denials; ``lease``, tokens taken in
            advance; ``fallback``, because the server could not be asked.
        delay: Seconds to wait before going ahead, which ``acquire()`` does.
        shadowed: Whether it would have been denied, but for the limiter's shadow mode.
        parts: Of several limits, what each alone says; else empty.
    """

    allowed: bool
    limit: int
    remaining: int
    retry_after: float
    reset_after: float
    name: str = ""
    window: float = 0.0
    source: Source = "redis"
    delay: float = 0.0
    shadowed: bool = False
    parts: tuple[Decision, ...] = ()

    def __bool__(self) -> bool:
        return self.allowed

    def headers(self, style: HeaderStyle = "ietf", *, jitter: Seconds = 0) -> dict[str, str]:
        """Say it in HTTP response headers, in whole seconds, rounded up: never earlier than the truth.

        Args:
            style: ``"ietf"`` for the structured fields ``RateLimit`` and ``RateLimit-Policy``
                (draft-ietf-httpapi-ratelimit-headers), an item for each limit; ``"x"`` for
                ``X-RateLimit-Limit``, ``-Remaining`` and ``-Reset``, which counts seconds from now.
            jitter: Up to so many seconds are added to ``Retry-After`` by chance, so that those denied
                together do not come back together.

        Returns:
            The headers. A denial has ``Retry-After``, at least 1, in either style.
        """
        one_of(style, "style", get_args(HeaderStyle))
        spread = seconds(jitter, "jitter", at_least=0)
        limits = self.parts or (self,)
        if style == "x":
            fields = {
                "X-RateLimit-Limit": str(self.limit),
                "X-RateLimit-Remaining": str(self.remaining),
                "X-RateLimit-Reset": str(_whole(self.reset_after)),
            }
        else:
            fields = {
                "RateLimit-Policy": ", ".join(map(_policy, limits)),
                "RateLimit": ", ".join(map(_standing, limits)),
            }
        if not self.allowed:
            late = self.retry_after + (random.uniform(0, spread) if spread else 0.0)  # noqa: S311  # jitter
            fields["Retry-After"] = str(max(1, _whole(late)))
        return fields


def _whole(value: float) -> int:
    """Round up; a double's last digits do not count for a second."""
    return math.ceil(round(value, 6))


def _policy(one: Decision) -> str:
    window = f";w={max(1, _whole(one.window))}" if one.window else ""
    return f"{_item(one.name)};q={one.limit}{window}"


def _standing(one: Decision) -> str:
    window = f";t={_whole(one.reset_after)}" if one.window else ""
    return f"{_item(one.name)};r={one.remaining}{window}"


def _item(name: str) -> str:
    """Spell a name as a structured field's string, which is of ASCII (RFC 9651)."""
    return f'"{quote(name or "default", safe=" !#$&()*+,-./:;<=>?@[]^_`{|}~")}"'
