"""From a URL to a client."""

from __future__ import annotations

import pytest
import redis
import redis.asyncio

from coord._engine import urls

pytestmark = pytest.mark.anyio


def test_urls_choose_their_clients() -> None:
    opened = urls.open_sync("rediss://:pw@example.invalid:6380/2")

    assert opened.client.connection_pool.connection_class is redis.SSLConnection
    assert opened.client.connection_pool.connection_kwargs["db"] == 2
    sentinel = urls.open_sync("redis+sentinel://u:p%40ss@a:1,[::1]:2/main/3").client.connection_pool
    assert sentinel.service_name == "main"
    assert sentinel.connection_kwargs["password"] == "p@ss"
    assert sentinel.connection_kwargs["db"] == 3
    nodes = [one.connection_pool.connection_kwargs for one in sentinel.sentinel_manager.sentinels]
    assert [(one["host"], one["port"]) for one in nodes] == [("a", 1), ("::1", 2)]
