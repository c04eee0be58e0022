"""What is made when it is first needed is made once, however many threads need it at the same moment."""

from __future__ import annotations

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from coord import Coord, LockLost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

THREADS = 4
ROUNDS = 100


@pytest.fixture(autouse=True)
def switching() -> Iterator[None]:
    """Have threads take turns as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def at_once(do: Callable[[], T]) -> list[T]:
    """Do something in several threads that begin together; give what each made of it."""
    start = threading.Barrier(THREADS)

    def begin() -> T:
        start.wait()
        return do()

    with ThreadPoolExecutor(THREADS) as threads:
        return [job.result() for job in [threads.submit(begin) for _ in range(THREADS)]]


def test_those_who_open_one_memory_share_its_data(prefix: str) -> None:
    for turn in range(ROUNDS):
        hubs = at_once(partial(Coord.connect, f"memory://{prefix}-{turn}"))
        assert [hub.lock("x").try_acquire() is not None for hub in hubs] == [True, False, False, False]
        for hub in hubs:
            hub.close()


def test_limiters_that_are_made_together_share_what_was_taken_in_advance(
    real_server: str, prefix: str
) -> None:
    """All of it is given back when the Coord is closed."""
    with Coord.connect(real_server, prefix=prefix) as other:
        for turn in range(ROUNDS // 4):
            hub = Coord.connect(real_server, prefix=prefix)
            options: dict[str, Any] = {"rate": 1, "per": 1000, "burst": 1000}

            def take(hub: Coord = hub, turn: int = turn, options: dict[str, Any] = options) -> Any:
                return hub.token_bucket(f"b{turn}", prefetch=50, **options).try_acquire("u")

            at_once(take)
            hub.close()
            bucket = other.token_bucket(f"b{turn}", **options)
            assert bucket.status("u").remaining >= 1000 - THREADS
            bucket.reset("u")


def test_all_who_await_one_loss_are_told_of_it_at_once(real_server: str, prefix: str) -> None:
    with Coord.connect(real_server, prefix=prefix) as hub:
        for turn in range(ROUNDS):
            lease = hub.lock(f"x{turn}", ttl=600).acquire()

            def lose(turn: int = turn, lease: Any = lease) -> None:
                hub.lock(f"x{turn}").force_release(reason="a test")
                with pytest.raises(LockLost):
                    lease.renew()

            timer = threading.Timer(0.01, lose)
            timer.start()
            begun = time.monotonic()
            assert at_once(partial(lease.lost.wait, timeout=20)) == [True] * THREADS
            assert time.monotonic() - begun < 10  # who was not told has looked again at its timeout
            timer.join()
