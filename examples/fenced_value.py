"""Keep a balance that refuses a holder who comes late.

Run: python examples/fenced_value.py [URL]
"""

from __future__ import annotations

import sys

import anyio

from coord import AsyncCoord, Coord, StaleFence


def blocking(url: str) -> None:
    with Coord.connect(url, prefix="example") as coord:
        coord.fenced("balance").reset()
        with coord.lock("account", ttl=5) as lease:
            lease.guard("balance").set("100")

        slow = coord.lock("account", ttl=0.02).acquire()  # and now it is stopped for longer than its lease
        with coord.lock("account", ttl=5) as lease:
            balance = lease.guard("balance")
            balance.set(str(int(balance.get() or b"0") + 50))

        try:
            slow.guard("balance").set("90")
        except StaleFence as error:
            print(f"sync:  {error.fence} was refused, {error.highest} has been there")
        print(f"sync:  the balance is {coord.fenced('balance').status().value!r}")


async def suspending(url: str) -> None:
    async with AsyncCoord.connect(url, prefix="example") as coord:
        await coord.fenced("balance").reset()

        async def deposit() -> None:
            async with coord.lock("account", ttl=5) as lease:
                balance = lease.guard("balance")
                await balance.set(str(int(await balance.get() or b"0") + 10))

        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(deposit)
        print(
            f"async: after 5 deposits of 10 the balance is {(await coord.fenced('balance').status()).value!r}"
        )


if __name__ == "__main__":
    target = sys.argv[1] if len(sys.argv) > 1 else "embedded://"
    blocking(target)
    anyio.run(suspending, target)
