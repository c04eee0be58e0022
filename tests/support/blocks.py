"""Every kind of ``with`` block that holds something, and how to tell that it is free again."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from coord import AsyncCoord, AsyncQuorum, Coord, Quorum

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

KINDS = ("lock", "hold", "locks", "permit", "admission", "quorum")


class Kind(NamedTuple):
    """A kind of block, at one hub.

    Attributes:
        block: Makes a block that waits for its turn.
        taken: Tries to take the same at once, and gives what it got, if anything.
        lose: Takes it from whoever holds it.
    """

    block: Callable[[], Any]
    taken: Callable[[], Any]
    lose: Callable[[], Any]


def kind_of(hub: Any, kind: str, ttl: float) -> Kind:
    """Find a kind of block; its names are the same at every hub of one prefix."""
    if kind in ("permit", "admission"):
        limit = hub.concurrency_limit("held", limit=1, ttl=ttl, fair=True)
        way_in = hub.admission(hub.token_bucket("rate", rate=1000), at_once=limit)
        block = (limit if kind == "permit" else way_in).hold
        return Kind(lambda: block("u"), lambda: limit.try_acquire("u"), lambda: limit.reset("u"))
    lock = hub.locks("held", "too", ttl=ttl) if kind == "locks" else hub.lock("held", ttl=ttl)
    return Kind(
        lock.hold if kind == "hold" else lambda: lock,
        lock.try_acquire,
        lambda: lock.force_release(reason="a test"),
    )


@contextlib.contextmanager
def hub_of(kind: str, url: str, prefix: str, *, call_timeout: float = 5) -> Iterator[Any]:
    """Open the sync hub that has such blocks."""
    options: dict[str, Any] = {"prefix": prefix, "call_timeout": call_timeout}
    opened: Any = Quorum.connect(url, quarantine=False, **options) if kind == "quorum" else None
    with opened or Coord.connect(url, **options) as hub:
        yield hub


@contextlib.asynccontextmanager
async def async_hub_of(kind: str, url: str, prefix: str, *, call_timeout: float = 5) -> AsyncIterator[Any]:
    """Open the async hub that has such blocks."""
    options: dict[str, Any] = {"prefix": prefix, "call_timeout": call_timeout}
    opened: Any = AsyncQuorum.connect(url, quarantine=False, **options) if kind == "quorum" else None
    async with opened or AsyncCoord.connect(url, **options) as hub:
        yield hub


def in_thread(function: Callable[[], Any]) -> Any:
    """Call a function in a thread of its own; give what it returned or raised."""
    outcome: list[Any] = []

    def call() -> None:
        try:
            outcome.append(function())
        except BaseException as error:  # noqa: BLE001  # it is the test's to judge
            outcome.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    return outcome[0]
