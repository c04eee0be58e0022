"""What a forked child, and the last thread of a process, find of locks that others held."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from coord._engine.forks import Mutex, forget_in_child

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

PATIENCE = 30.0
"""Seconds after which a child has hung."""


def ended(pid: int) -> int:
    """Wait for a child, which is stopped if it hangs."""
    stopping = threading.Timer(PATIENCE, os.kill, (pid, 9))
    stopping.start()
    status = os.waitpid(pid, 0)[1]
    stopping.cancel()
    return os.waitstatus_to_exitcode(status)


def forked(work: Callable[[], object]) -> int:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return pid


def free(mutex: Mutex) -> None:
    """Take a mutex, in another thread too, so that it is free and not one's own."""

    def take() -> None:
        with mutex:
            pass

    take()
    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_a_fork_waits_for_who_is_amidst_of_something() -> None:
    mutex, state = Mutex(), [0, 0]
    stopped = threading.Event()

    def change() -> None:
        while not stopped.is_set():
            with mutex:
                state[0] += 1
                state[1] += 1

    def look() -> None:
        assert state[0] == state[1]
        free(mutex)

    thread = threading.Thread(target=change)
    thread.start()
    assert [ended(forked(look)) for _ in range(30)] == [0] * 30
    stopped.set()
    thread.join()
    free(mutex)


def test_a_mutex_that_is_not_given_back_in_time_is_free_in_the_child_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("coord._engine.forks.PATIENCE", 0.01)
    mutex, inside, over = Mutex(), threading.Event(), threading.Event()

    def hold() -> None:
        with mutex:
            inside.set()
            over.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    inside.wait()
    assert ended(forked(lambda: free(mutex))) == 0
    assert not mutex.take(0)
    over.set()
    thread.join()
    free(mutex)


def test_who_forks_inside_of_a_mutex_has_it_on_both_sides() -> None:
    mutex = Mutex()
    with mutex:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                mutex.free()
                free(mutex)
                code = 0
            finally:
                os._exit(code)
    assert ended(pid) == 0
    free(mutex)


def test_threads_that_fork_at_once_do_not_wait_for_each_other_for_ever() -> None:
    mutexes = [Mutex() for _ in range(50)]
    codes: list[int] = []

    def fork_some() -> None:
        codes.extend(ended(forked(lambda: free(mutexes[7]))) for _ in range(20))

    threads = [threading.Thread(target=fork_some) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [0] * 60
    for mutex in mutexes:
        free(mutex)


def test_a_child_forgets_what_it_is_told_to_for_as_long_as_its_owner_lives() -> None:
    class Owner:
        def __init__(self) -> None:
            self.owned = ["something"]
            forget_in_child(self.forget)

        def forget(self) -> None:
            self.owned.clear()

    owner = Owner()
    for _ in range(3):
        Owner()  # and is gone

    def look() -> None:
        assert owner.owned == []

    assert ended(forked(look)) == 0
    assert owner.owned == ["something"]


AT_EXIT = """
import threading, time
from coord._engine.forks import Mutex
mutex = Mutex()
def hold():
    with mutex:
        time.sleep(60)
class Last:
    def __del__(self, mutex=mutex):
        with mutex:
            pass
last = Last()
threading.Thread(target=hold, daemon=True).start()
time.sleep(0.1)
"""


def test_the_last_thread_of_a_process_waits_for_none_that_is_stopped() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", AT_EXIT], check=False, capture_output=True, text=True, timeout=PATIENCE
    )
    assert (ended.returncode, ended.stderr) == (0, "")
