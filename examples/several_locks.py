"""Move money between accounts: both are locked at once, in whatever order, and nobody deadlocks.

Run: python examples/several_locks.py [URL]
"""

from __future__ import annotations

import itertools
import sys

import anyio

from coord import AsyncCoord, Coord

ACCOUNTS = ("ann", "bob", "cyd", "dan")


class Bank:
    """Balances, each with the highest fence that has written it."""

    def __init__(self) -> None:
        self.balances = dict.fromkeys(ACCOUNTS, 100)
        self.fences = dict.fromkeys(ACCOUNTS, 0)

    def write(self, account: str, balance: int, fence: int) -> None:
        if fence < self.fences[account]:
            raise RuntimeError(f"stale fence {fence} for {account}")
        self.fences[account] = fence
        self.balances[account] = balance


def blocking(url: str) -> None:
    with Coord.connect(url, prefix="example") as coord, coord.locks("bob", "ann", ttl=5) as lease:
        print(f"sync:  holding {', '.join(lease.names)} with one lease")
        print(f"sync:  one of them alone meanwhile: {coord.lock('ann').try_acquire()}")
        print(f"sync:  one of them and another: {coord.locks('cyd', 'bob').try_acquire()}")


async def suspending(url: str) -> None:
    bank = Bank()
    async with AsyncCoord.connect(url, prefix="example") as coord:

        async def transfer(source: str, target: str, amount: int) -> None:
            async with coord.locks(source, target, ttl=5) as lease:
                here, there = bank.balances[source], bank.balances[target]
                await anyio.sleep(0.001)  # without the locks, another transfer would be lost here
                bank.write(source, here - amount, lease.fence)
                bank.write(target, there + amount, lease.fence)

        async with anyio.create_task_group() as tasks:
            for amount, pair in enumerate([*itertools.permutations(ACCOUNTS, 2)] * 3):
                tasks.start_soon(transfer, *pair, amount)
    print(f"async: 36 transfers later there are {sum(bank.balances.values())} in all")


if __name__ == "__main__":
    address = sys.argv[1] if len(sys.argv) > 1 else "embedded://"
    blocking(address)
    anyio.run(suspending, address)
