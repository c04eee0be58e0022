"""Leases that are renewed in a thread on behalf of a loop."""

from __future__ import annotations

from typing import Any

import pytest

from coord import AsyncCoord
from coord._engine.port import step
from coord._engine.renewable import Elsewhere

pytestmark = pytest.mark.anyio


async def test_a_blocked_holder_need_not_wait_for_the_deadline_to_be_told(
    real_server: str, prefix: str
) -> None:
    brought: list[Any] = []
    async with AsyncCoord.connect(real_server, prefix=prefix) as hub:
        lease = await hub.lock("x", ttl=60).acquire()
        step(Elsewhere(lease, brought.append)._lose())

        assert not lease.valid
        assert lease.lost.is_set()
        assert not lease._told
        await brought[0]()
        assert lease._told
