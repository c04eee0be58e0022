"""The sync client is like the async one that it is made from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import redis
import redis.asyncio

from coord._engine.twins import blocking_twin
from coord._engine.urls import open_async

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


def test_tls_is_imitated(tmp_path: Path) -> None:
    (tmp_path / "ca").touch()
    client = open_async(f"rediss://user:pw@h:1/2?ssl_ca_certs={tmp_path}/ca&ssl_check_hostname=false").client
    pool = blocking_twin(client, 1.5).client.connection_pool

    assert pool.connection_class is redis.SSLConnection
    wanted = {"host": "h", "port": 1, "db": 2, "username": "user", "password": "pw"}
    assert {name: pool.connection_kwargs[name] for name in wanted} == wanted
    assert pool.connection_kwargs["ssl_ca_certs"] == f"{tmp_path}/ca"
    assert not pool.connection_kwargs["ssl_check_hostname"]
    made = pool.connection_class(**pool.connection_kwargs)
    assert made.socket_connect_timeout is not None
    sentinel = open_async("redis+sentinel://u:pw@h:1,i:2/main/4").client
    twin = blocking_twin(sentinel, 1.5)
    assert twin.client.connection_pool.service_name == "main"
    assert twin.client.connection_pool.connection_kwargs["db"] == 4
    assert [one.connection_pool.connection_kwargs["host"] for one in twin.helpers] == ["h", "i"]


def test_a_client_without_limits_gets_some() -> None:
    client = redis.asyncio.Redis(socket_timeout=None, socket_connect_timeout=None)
    options = blocking_twin(client, 1.5).client.connection_pool.connection_kwargs

    assert (options["socket_timeout"], options["socket_connect_timeout"]) == (1.5, 1.5)
