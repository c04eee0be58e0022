"""Looks at the locks' server all the while, beside the contenders and not through their proxy."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Self

from coord import Coord
from tests.campaign.history import Sample

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    import redis

PAUSE = 0.005
"""Seconds between looks: a few in each hold."""
SWEEP = 0.5
"""Seconds between looks at all keys: a few in the life of any."""


class Watch:
    """Looks at some locks and at all keys until the ``with`` block ends.

    Args:
        url: The server's.
        control: A client of it.
        prefix: What every key begins with.
        names: The locks.

    Attributes:
        samples: What it saw, in order.
        keys_without_ttl: Those that it saw at any time.
        errors: What ended it too early, if anything did.
    """

    def __init__(self, url: str, control: redis.Redis, prefix: str, names: Sequence[str]) -> None:
        self._url = url
        self._control = control
        self._prefix = prefix
        self._names = names
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look_on, name="watch")
        self.samples: list[Sample] = []
        self.keys_without_ttl: set[str] = set()
        self.errors: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join(10)

    def _look_on(self) -> None:
        try:
            self._look_until_over()
        except Exception as error:  # noqa: BLE001  # a judge who saw nothing must not find all well
            self.errors.append(f"the watch ended: {error!r}")

    def _look_until_over(self) -> None:
        with Coord.connect(self._url, prefix=self._prefix, call_timeout=10) as hub:
            locks = [hub.lock(name) for name in self._names]
            swept = 0.0
            while not self._over.wait(PAUSE):
                for lock in locks:
                    asked = time.monotonic()
                    seen = lock.status()
                    self.samples.append(
                        Sample(
                            lock.name,
                            asked,
                            time.monotonic(),
                            seen.held,
                            seen.fence,
                            seen.remaining or 0.0,
                            seen.waiters,
                        )
                    )
                if time.monotonic() - swept > SWEEP:
                    swept = time.monotonic()
                    self._sweep()

    def _sweep(self) -> None:
        keys = list(self._control.scan_iter(f"{self._prefix}:*", count=1000))
        pipeline = self._control.pipeline(transaction=False)
        for key in keys:
            pipeline.pttl(key)
        for key, left in zip(keys, pipeline.execute(), strict=True):
            if left == -1:
                self.keys_without_ttl.add(key.decode())
