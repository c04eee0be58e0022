"""A parent whose threads are at work, and which forks at random moments; run as a program of its own.

``python -m tests.support.forking URL PREFIX FORKS`` prints, as JSON, how many children ended how: ``ok``,
``hung``, or with which exit code. A child looks at what it has inherited, takes locks, waits and limits.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import random
import sys
import threading
import time
import traceback
from collections import Counter
from typing import Any

from coord import Coord, NotOwned, PermitLost, RateLimited

PATIENCE = 20.0
"""Seconds after which a child has hung. It needs some milliseconds."""


def busy(hub: Coord, number: int, stopped: threading.Event) -> None:
    """Keep the pool, the renewals and the listener at work, as threads of a server do."""
    limiter = hub.token_bucket("busy", rate=1_000_000, deny_cache=1, prefetch=50)
    room = hub.concurrency_limit("busy", limit=2, ttl=0.3)
    while not stopped.is_set():
        with hub.lock("contended", ttl=0.3).hold(timeout=30):
            limiter.try_acquire("u")
        try:
            room.acquire(f"u{number % 2}", timeout=30).release()
        except PermitLost:  # on a machine that is overloaded
            continue


def child(hub: Coord, lease: Any, permit: Any, number: int) -> None:
    """What a child must be able to do, and must not."""
    for possession in (lease, permit):
        assert not possession.valid
        for forbidden in (possession.check, possession.release, possession.renew):
            try:
                forbidden()
            except NotOwned:
                continue
            raise AssertionError("a child owns nothing")
    with hub.lock(f"child {number}", ttl=5) as own:
        own.check()
        assert hub.lock("parent").try_acquire() is None
    if number % 10 == 0:  # it waits for its turn, over a listener of its own
        with hub.lock("contended", ttl=0.3).hold(timeout=PATIENCE):
            pass
    hub.token_bucket("busy", rate=1_000_000, prefetch=50).try_acquire("u")
    with contextlib.suppress(RateLimited):
        hub.fixed_window("denied", limit=1, per=3600).acquire("u", timeout=0)
    hub.close()


def fork(hub: Coord, lease: Any, permit: Any, number: int) -> int:
    """Fork, and do the child's part in the child."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    faulthandler.dump_traceback_later(PATIENCE - 1)
    try:
        child(hub, lease, permit, number)
        code = 0
    except BaseException:  # noqa: BLE001  # it is reported, and the child ends here in any case
        traceback.print_exc()
    finally:
        os._exit(code)


def ended(pid: int) -> str:
    """Wait for a child, and say how it has ended."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return "ok" if status == 0 else f"exit {os.waitstatus_to_exitcode(status)}"
        time.sleep(0.001)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    return "hung"


def main(url: str, prefix: str, forks: int) -> None:
    hub = Coord.connect(url, prefix=prefix)
    stopped = threading.Event()
    threads = [threading.Thread(target=busy, args=(hub, i, stopped), daemon=True) for i in range(4)]
    outcomes: Counter[str] = Counter()
    room = hub.concurrency_limit("parent", limit=1, ttl=30)
    with hub.lock("parent", ttl=30) as lease, room.hold("u") as permit:
        for thread in threads:
            thread.start()
        for number in range(forks):
            time.sleep(random.uniform(0, 0.004))
            outcomes[ended(fork(hub, lease, permit, number))] += 1
        lease.check()
        permit.check()
        stopped.set()
        for thread in threads:
            thread.join()
    hub.close()
    print(json.dumps(outcomes))  # noqa: T201  # to the test that runs it


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
