"""Blocks of a ``Coord`` that are left in another thread than has entered them, or by nobody in particular."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from coord import Coord, LockLost, PermitLost, SelfDeadlock
from tests.support.blocks import KINDS, hub_of, in_thread, kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from tests.support import servers


def inside(block: Any) -> Generator[Any]:
    """A generator that is suspended inside of a block, as a dependency of a web framework is."""
    with block as possession:
        yield possession


@pytest.mark.parametrize("kind", KINDS)
def test_a_block_left_in_another_thread_lets_go(real_server: str, prefix: str, kind: str) -> None:
    with hub_of(kind, real_server, prefix) as hub, hub_of(kind, real_server, prefix) as other:
        block = inside(kind_of(hub, kind, ttl=30).block())
        possession = in_thread(lambda: next(block))
        assert possession.valid
        rival = kind_of(other, kind, ttl=30)
        assert rival.taken() is None

        assert in_thread(block.close) is None
        assert not possession.valid
        taken = rival.taken()
        assert taken is not None
        taken.release()


@pytest.mark.parametrize("kind", KINDS)
def test_a_block_whose_generator_is_dropped_lets_go(real_server: str, prefix: str, kind: str) -> None:
    with hub_of(kind, real_server, prefix) as hub:
        here = kind_of(hub, kind, ttl=30)
        block = inside(here.block())
        next(block)
        del block
        gc.collect()

        taken = here.taken()
        assert taken is not None
        taken.release()


def test_what_was_lost_elsewhere_is_told_where_the_block_is_left(real_server: str, prefix: str) -> None:
    with Coord.connect(real_server, prefix=prefix) as hub:
        lock = hub.lock("x", ttl=30)
        block = inside(lock)
        in_thread(lambda: next(block))
        lock.force_release(reason="a test")

        assert isinstance(in_thread(lambda: next(block, None)), LockLost)


def test_requests_whose_dependencies_wander_between_threads_exclude_each_other(
    real_server: str, prefix: str
) -> None:
    """A pool of threads enters and leaves generators in whichever thread is free, as a web framework does."""
    with Coord.connect(real_server, prefix=prefix) as hub, ThreadPoolExecutor(6) as pool:
        lock = hub.lock("x", ttl=30)
        busy = threading.Lock()

        def work() -> None:
            assert busy.acquire(blocking=False), "two at once"
            time.sleep(0.002)
            busy.release()

        def request() -> None:
            dependency = inside(lock)
            pool.submit(next, dependency).result(60)
            pool.submit(work).result(60)
            pool.submit(dependency.close).result(60)

        # Fewer requests than threads: one that waits for its turn takes up a thread.
        with ThreadPoolExecutor(4) as clients:
            for done in [clients.submit(request) for _ in range(40)]:
                done.result(60)
        assert lock.try_acquire() is not None


def test_who_waits_for_a_suspended_generator_of_the_same_thread_may_yet_be_served(
    real_server: str, prefix: str
) -> None:
    """Another thread may close it; so that is no deadlock."""
    with Coord.connect(real_server, prefix=prefix) as hub:
        lock = hub.lock("x", ttl=30)
        block = inside(lock)
        next(block)
        closing = threading.Timer(0.1, block.close)
        closing.start()

        with lock:
            with pytest.raises(SelfDeadlock):
                lock.acquire()
            with pytest.raises(SelfDeadlock):
                next(inside(lock))
        closing.join()


def at_once(lock: Any, enter: Callable[[Any], Any]) -> tuple[Any, Any]:
    """Enter two blocks of one lock at once, which takes that the first loses it."""
    lost = enter(lock)
    lock.force_release(reason="a test")
    return lost, enter(lock)


def test_a_lost_block_that_is_left_releases_nobody_elses(real_server: str, prefix: str) -> None:
    """Even in the thread that has entered the other block."""

    def enter(lock: Any) -> Any:
        block = inside(lock)
        return block, next(block)

    with Coord.connect(real_server, prefix=prefix) as hub:
        lock = hub.lock("x", ttl=30)
        (lost, _), (good, lease) = at_once(lock, enter)

        with pytest.raises(LockLost):
            next(lost, None)
        lease.renew()
        assert in_thread(good.close) is None
        assert not lease.valid
        assert lock.try_acquire() is not None


def entered_by_a_helper(lock: Any) -> contextlib.ExitStack:
    """Enter in one function, to be left in another."""
    stack = contextlib.ExitStack()
    stack.enter_context(lock)
    return stack


def test_a_block_that_a_helper_has_entered_is_left_anywhere(real_server: str, prefix: str) -> None:
    with Coord.connect(real_server, prefix=prefix) as hub:
        lock = hub.lock("x", ttl=30)
        stack = in_thread(lambda: entered_by_a_helper(lock))
        assert lock.try_acquire() is None
        assert in_thread(stack.close) is None

        with entered_by_a_helper(lock):
            assert lock.try_acquire() is None
        assert lock.try_acquire() is not None


def test_a_helper_that_is_left_inside_of_anothers_block_does_not_leave_that(
    real_server: str, prefix: str
) -> None:
    with Coord.connect(real_server, prefix=prefix) as hub:
        lock = hub.lock("x", ttl=30)
        lost = in_thread(lambda: entered_by_a_helper(lock))
        lock.force_release(reason="a test")
        with lock as lease:
            with contextlib.suppress(LockLost):
                lost.close()
            lease.renew()
        assert lock.try_acquire() is not None


def test_what_cannot_be_told_apart_is_kept_until_all_have_left(
    real_server: str, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    with Coord.connect(real_server, prefix=prefix) as hub:
        lock = hub.lock("x", ttl=30)
        lost, good = at_once(lock, lambda lock: in_thread(lambda: entered_by_a_helper(lock)))

        in_thread(good.close)
        assert "cannot tell whose block of lock 'x' is left, of 2 that are open" in caplog.text
        assert lock.try_acquire() is None
        assert isinstance(in_thread(lost.close), LockLost)
        assert lock.try_acquire() is not None


def test_a_lock_that_nobody_has_entered_cannot_be_left(real_server: str, prefix: str) -> None:
    hub = Coord.connect(real_server, prefix=prefix)
    with hub, pytest.raises(RuntimeError, match="no block is open"):
        hub.lock("x").__exit__(None, None, None)


# A server that hangs


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_lost_while_the_server_hangs_is_told_at_the_deadline(
    own_server: servers.Process, prefix: str, kind: str, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the body ends before the deadline or after it. To give up on the server takes longer by far."""
    monkeypatch.setattr("coord.locks.lock.UNDO_TIME", 60)
    with hub_of(kind, f"redis://{own_server.address}", prefix, call_timeout=60) as hub:
        here = kind_of(hub, kind, ttl=1)
        try:
            with here.block() as possession:
                os.kill(own_server.pid, signal.SIGSTOP)
                began = time.monotonic()
                if when == "after":
                    assert possession.lost.wait(timeout=30)
        except (LockLost, PermitLost):
            assert time.monotonic() - began < 30
        else:
            pytest.fail("nothing was told")
        finally:
            os.kill(own_server.pid, signal.SIGCONT)
        assert not possession.valid


# The end of the process

AT_EXIT = """
import sys
from coord import Coord
from tests.support.blocks import kind_of
hub = Coord.connect(sys.argv[1], prefix=sys.argv[2])
def inside():
    with kind_of(hub, sys.argv[3], ttl=1).block():
        yield
block = inside()
next(block)
print("inside", flush=True)
"""


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "quorum"])
def test_a_process_that_ends_inside_of_a_suspended_block_ends(
    real_server: str, prefix: str, kind: str
) -> None:
    """Its threads are stopped wherever they are, and it waits for none of them."""
    program = [sys.executable, "-c", AT_EXIT, real_server, prefix, kind]
    ended = subprocess.run(program, check=False, capture_output=True, text=True, timeout=60)

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "inside\n", "")
    with Coord.connect(real_server, prefix=prefix) as hub, kind_of(hub, kind, ttl=1).block():
        pass
