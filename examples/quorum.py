"""Hold a lock across three independent servers: one may fail, and the fences stay in order.

Run: python examples/quorum.py [URL URL URL]
"""

from __future__ import annotations

import sys

import anyio

from coord import AsyncQuorum, Quorum, QuorumError


def blocking(urls: list[str], *, trusted: bool) -> None:
    with Quorum.connect(*urls, prefix="example", quarantine=not trusted) as quorum:
        lock = quorum.lock("ledger", ttl=5)
        with lock.hold(timeout=2) as lease:
            print(f"sync:  holding {lease.name!r} on a majority of {len(urls)}")
            print(f"sync:  another try meanwhile gives {lock.try_acquire()}")


async def suspending(urls: list[str], *, trusted: bool) -> None:
    fences: list[int] = []
    async with AsyncQuorum.connect(*urls, prefix="example", quarantine=not trusted) as quorum:
        lock = quorum.lock("ledger", ttl=5)

        async def work() -> None:
            async with lock as lease:
                fences.append(lease.fence)

        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(work)
    print(f"async: {len(fences)} tasks held it in turn; fences in order: {fences == sorted(set(fences))}")


async def without_a_majority(urls: list[str], *, trusted: bool) -> None:
    nobody = ["redis://127.0.0.1:1", "redis://127.0.0.1:2"]
    async with AsyncQuorum.connect(urls[0], *nobody, prefix="example", quarantine=not trusted) as quorum:
        try:
            await quorum.lock("ledger", ttl=5).try_acquire()
        except QuorumError as error:
            failed = [vote.node for vote in error.votes if vote.outcome == "failed"]
            print(f"async: no majority, since these failed: {', '.join(failed)}")


if __name__ == "__main__":
    # Servers that were started this very moment have no vote, unless they are trusted to have lost nothing.
    private = len(sys.argv) == 1
    targets = ["embedded://"] * 3 if private else sys.argv[1:]
    blocking(targets, trusted=private)
    anyio.run(lambda: suspending(targets, trusted=private))
    anyio.run(lambda: without_a_majority(targets, trusted=private))
