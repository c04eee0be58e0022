"""What a limiter costs: bytes and commands."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from coord import Coord
from tests.limits.limiters import KINDS, limiter
from tests.support.keys import keys_of

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("numbers", "most"), [((1, 60, 100), 104), ((7, 1, 7), 104), ((999_983, 86_400, 999_983), 120)]
)
def test_a_bucket_takes_at_most_104_bytes(
    client: Any, server: str, numbers: tuple[int, int, int], most: int
) -> None:
    """Somewhat more where its numbers do not fit microseconds."""
    if server.startswith("memory://"):
        pytest.skip("it takes the memory of a dict")
    rate, per, burst = numbers
    with Coord.connect(server, prefix="shop") as hub:
        hub.token_bucket("x", rate=rate, per=per, burst=burst).try_acquire("user:123", cost=burst)
        key = "shop:bucket:{user%3A123}:x"
        size = client.memory_usage(key)
        client.delete(key)
        told = client.info("memory")
        allocator = str(told.get("mem_allocator") or next(iter(told.values())))

        # Other allocators leave what is left over of a larger piece to it: up to 16 bytes for each of three.
        assert size <= most + (0 if "jemalloc" in allocator else 3 * 16)


def test_a_log_takes_at_most_16_bytes_an_entry(real_server: str, prefix: str) -> None:
    with Coord.connect(real_server, prefix=prefix) as hub, redis.Redis.from_url(real_server) as client:
        window = hub.sliding_window("w", limit=1000, per=60, precision="exact")
        for _ in range(1000):
            window.try_acquire("u")
        (key,) = keys_of(client, prefix)
        counter = hub.sliding_window("c", limit=1000, per=60)
        counter.try_acquire("u")
        size, small = client.memory_usage(key), client.memory_usage(f"{prefix}:window:{{u}}:c")
        client.delete(*keys_of(client, prefix))

        assert size <= 16 * 1000 + 512
        assert small <= 160


def test_one_decision_is_one_command(real_server: str, prefix: str) -> None:
    with Coord.connect(real_server, prefix=prefix) as hub, redis.Redis.from_url(real_server) as client:
        limiters = [limiter(hub, kind, limit=2, name=kind) for kind in KINDS]
        for api in limiters:
            api.try_acquire("u")
        client.config_resetstat()
        for api in limiters:
            assert api.try_acquire("u").headers()
            assert not api.try_acquire("u")
        calls = client.info("commandstats")
        client.delete(*keys_of(client, prefix))

        assert calls["cmdstat_evalsha"]["calls"] == 2 * len(KINDS)


def test_a_heavy_call_is_one_entry_of_a_log() -> None:
    """However great a cost, nothing is unpacked on the server's stack."""
    with Coord.connect("memory://") as hub:
        window = hub.sliding_window("w", limit=10_000, per=60, precision="exact")

        assert window.try_acquire("u", cost=9_999).remaining == 1


async def test_a_long_window_is_walked_in_slices(coord: Any, client: Any, prefix: str) -> None:
    window = coord.sliding_window("w", limit=300, per=60, precision="exact", deny_cache=0)
    for _ in range(300):
        await window.try_acquire("u")
    denied = await window.try_acquire("u", cost=250)
    key = f"{prefix}:window:{{u}}:w"

    assert not denied
    assert client.llen(key) == 602
    times = [int(at) for at in client.lrange(key, 2, -1)[::2]]
    assert denied.retry_after == pytest.approx(60 - (times[-1] - times[249]) / 1e6, abs=0.5)
