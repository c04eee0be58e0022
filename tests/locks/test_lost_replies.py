"""Replies that are lost and requests that arrive late."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import redis
import redis.asyncio

from coord import AsyncCoord, Coord, LockTimeout
from tests.support.flavours import awaitable
from tests.support.proxy import Mischief, Proxy

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
        await (await hub.lock("warm").acquire()).release()

        async def losing() -> None:
            proxy.arm("reply", Mischief("lost", "drop", hang_up=True))
            await asyncio.sleep(0.05)

        await losing()
        lease = await hub.lock("x", ttl=20).try_acquire()
        assert lease is not None, "it is ours, although the first reply was lost"
        await losing()
        await lease.renew(ttl=30)
        await losing()
        await lease.release()
        assert proxy.hits["lost"] == 3
        assert await hub.lock("x").try_acquire() is not None, "nobody holds it"
        await hub.close()
        closed = client.close() if flavour == "sync" else client.aclose()
        if closed is not None:
            await closed


async def test_a_copy_of_a_request_that_arrives_late_takes_the_lock_for_nobody(
    own_server: servers.Process, flavour: str
) -> None:
    """The first copy is held back, its connection breaks, and the second copy is refused."""

    make: Any = Coord if flavour == "sync" else AsyncCoord
    with Proxy(own_server.port) as proxy, Coord.connect(own_server.url) as direct:
        hub = awaitable(make.connect(f"redis://127.0.0.1:{proxy.port}/0"))
        for wait in (0, 0.02):
            await (await hub.lock("warm").try_acquire()).release()
            held = direct.lock("x", ttl=20).acquire()
            proxy.arm("request", Mischief("late", "late", seconds=0.3))
            await asyncio.sleep(0.05)
            with pytest.raises(LockTimeout):
                await hub.lock("x", ttl=20).acquire(timeout=wait)
            held.release()
            await asyncio.sleep(0.4)

            assert not direct.lock("x").status().held
        await hub.close()
