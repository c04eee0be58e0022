"""See how far people get: a funnel in any order, and one in strict order.

Run: python examples/funnels.py [URL]
"""

from __future__ import annotations

import sys
from datetime import date

import anyio

from coord import AsyncCoord, Coord

MONDAY = date(2025, 6, 2)


def blocking(url: str) -> None:
    with Coord.connect(url, prefix="example") as coord:
        shop = coord.activity("shop", ids="text")
        visits, orders = shop.event("visits"), shop.event("orders")
        visits.mark("ann", "bob", "cyd", "dan", at=MONDAY)
        orders.mark("bob", "eve", at=MONDAY)
        print(shop.funnel({"visited": visits.cohort(at=MONDAY), "ordered": orders.cohort(at=MONDAY)}))


async def suspending(url: str) -> None:
    async with AsyncCoord.connect(url, prefix="example") as coord:
        checkout = coord.activity("shop", ids="text").ordered_funnel("checkout", "cart", "paid")
        await checkout.mark("paid", "ann", at=MONDAY)  # too early: does not count
        await checkout.mark("cart", "ann", "bob", "cyd", at=MONDAY)
        await checkout.mark("paid", "bob", at=MONDAY)
        print(await checkout.report(at=MONDAY))
        stuck = checkout.cohort("cart", at=MONDAY) - checkout.cohort("paid", at=MONDAY)
        print(f"stuck at the cart: {', '.join([str(one) async for one in stuck])}")


if __name__ == "__main__":
    target = sys.argv[1] if len(sys.argv) > 1 else "embedded://"
    blocking(target)
    anyio.run(suspending, target)
