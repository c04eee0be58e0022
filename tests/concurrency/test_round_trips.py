"""What a permit costs, and what becomes of it when a reply is lost."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import redis
import redis.asyncio

from coord import AsyncCoord, Coord
from tests.support.flavours import awaitable
from tests.support.proxy import Mischief, Proxy
from tests.support.traffic import scripts_run

if TYPE_CHECKING:
    from tests.support import servers

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("retries", ["those of the client library", "none"])
async def test_a_lost_reply_to_any_verb_is_no_false_answer(
    own_server: servers.Process, flavour: str, retries: str
) -> None:
    """The server does as asked, and each verb's first reply in turn is lost."""
    module: Any = redis if flavour == "sync" else redis.asyncio
    make: Any = Coord if flavour == "sync" else AsyncCoord
    with Proxy(own_server.port) as proxy:
        options: dict[str, Any] = {} if retries.startswith("those") else {"retry": None}
        client = module.Redis(port=proxy.port, **options)
        hub = awaitable(make(client))
        limit = hub.concurrency_limit("d", limit=3, ttl=20)
        await (await limit.acquire("u")).release()

        async def losing() -> None:
            proxy.arm("reply", Mischief("lost", "drop", hang_up=True))
            await asyncio.sleep(0.05)

        await losing()
        permit = await limit.try_acquire("u", weight=2)
        assert permit, "it is ours, although the first reply was lost"
        assert (await limit.status("u")).used == 2
        await losing()
        await permit.renew(ttl=30)
        await losing()
        await permit.release()
        assert proxy.hits["lost"] == 3
        assert (await limit.status("u")).used == 0
        await hub.close()
        closed = client.close() if flavour == "sync" else client.aclose()
        if closed is not None:
            await closed


async def test_an_uncontended_permit_costs_one_round_trip_to_take_and_one_to_give_back(
    own_server: servers.Process, flavour: str
) -> None:
    make: Any = Coord if flavour == "sync" else AsyncCoord
    hub = awaitable(make.connect(own_server.url))
    limit = hub.concurrency_limit("d", limit=2)
    await (await limit.acquire("u")).release()
    with redis.Redis(port=own_server.port) as client:
        before = scripts_run(client)
        await (await limit.acquire("u")).release()
        async with limit.hold("u"):
            pass
        assert scripts_run(client) - before == 4
    await hub.close()
