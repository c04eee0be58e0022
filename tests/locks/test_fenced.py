"""Values and rows that refuse whoever comes late."""

from __future__ import annotations

import asyncio
import math
import sqlite3
from typing import Any

import pytest
import redis
import redis.asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from coord import AsyncCoord, AsyncQuorum, Coord, FencedValue, LockLost, Quorum, StaleFence, WrongKeyType
from coord.locks import calls, fenced
from tests.support import servers
from tests.support.flavours import awaitable, bare
from tests.support.hubs import recorded
from tests.support.keys import keys_of, server_time
from tests.support.proxy import Mischief, Proxy
from tests.support.rooms import sent_again

pytestmark = pytest.mark.anyio


def key(prefix: str) -> str:
    return f"{prefix}:fenced:{{balance}}"


async def two_leases(coord: Any, other_coord: Any) -> tuple[Any, Any]:
    """A lease that has ended without its holder's knowledge, and the one after it."""
    slow = await coord.lock("account").acquire()
    await other_coord.lock("account").force_release(reason="as if it had run out")
    current = await other_coord.lock("account").acquire(timeout=0)
    return slow, current


# Who may


@pytest.mark.parametrize("options", [{}, {"protocol": 2}, {"protocol": 3}], ids=str)
async def test_a_client_that_decodes_gives_bytes_all_the_same(
    real_server: str, prefix: str, flavour: str, options: dict[str, Any]
) -> None:
    module: Any = redis if flavour == "sync" else redis.asyncio
    make: Any = Coord if flavour == "sync" else AsyncCoord
    client = module.Redis.from_url(real_server, decode_responses=True, **options)
    hub = awaitable(make(client, prefix=prefix))
    async with hub.lock("account") as lease:
        await lease.guard("balance").set(b"\xff\x00")
        assert await lease.guard("balance").get() == b"\xff\x00"
        assert (await hub.lock("account").status()).fence == lease.fence
    await hub.fenced("balance").reset()
    await hub.close()
    closed = client.close() if flavour == "sync" else client.aclose()
    if closed is not None:
        await closed


async def test_a_lease_reads_and_writes_under_its_own_fence(coord: Any, other_coord: Any) -> None:
    async with coord.lock("account") as lease:
        guarded = lease.guard("balance")
        assert await guarded.get() is None
        await guarded.set("100")
        assert await guarded.get() == b"100"
        await guarded.set(b"\xff\x00")

    assert await other_coord.fenced("balance").status() == FencedValue(b"\xff\x00", lease.fence)
    async with other_coord.lock("account") as later:
        assert await later.guard("balance").get() == b"\xff\x00"
        await later.guard("balance").delete()
    assert await coord.fenced("balance").status() == FencedValue(None, later.fence)


@pytest.mark.parametrize("action", ["get", "set", "delete"])
async def test_who_comes_late_is_refused_and_told_why(coord: Any, other_coord: Any, action: str) -> None:
    slow, current = await two_leases(coord, other_coord)
    await current.guard("balance").set("150")

    arguments = ("90",) if action == "set" else ()
    with pytest.raises(StaleFence, match=f"fence {slow.fence}.*fence {current.fence}") as caught:
        await getattr(slow.guard("balance"), action)(*arguments)
    with pytest.raises(StaleFence):
        await getattr(coord.fenced("balance"), action)(*arguments, fence=slow.fence)

    assert (caught.value.name, caught.value.fence, caught.value.highest) == (
        "balance", slow.fence, current.fence,
    )  # fmt: skip
    assert await coord.fenced("balance").status() == FencedValue(b"150", current.fence)


async def test_what_a_holder_has_read_no_earlier_one_can_change(coord: Any, other_coord: Any) -> None:
    slow, current = await two_leases(coord, other_coord)
    await slow.guard("balance").set("100")  # late, and in time: the later holder has not been here

    assert await current.guard("balance").get() == b"100"
    with pytest.raises(StaleFence):
        await slow.guard("balance").set("90")
    await current.guard("balance").set("101")

    assert (await coord.fenced("balance").status()).value == b"101"


async def test_reading_what_is_not_there_leaves_the_fence_too(
    coord: Any, other_coord: Any, client: Any, prefix: str
) -> None:
    slow, current = await two_leases(coord, other_coord)

    assert await current.guard("balance").get() is None
    with pytest.raises(StaleFence):
        await slow.guard("balance").set("90")
    assert 86_000_000 < client.pttl(key(prefix)) <= 86_400_000


async def test_looking_leaves_no_fence(coord: Any, client: Any, prefix: str) -> None:
    assert await coord.fenced("balance").status() == FencedValue(None, None)
    assert keys_of(client, prefix) == []


async def test_a_deleted_value_still_refuses_who_comes_late(
    coord: Any, other_coord: Any, client: Any, prefix: str
) -> None:
    slow, current = await two_leases(coord, other_coord)
    await slow.guard("balance").set("100")
    await current.guard("balance").delete()

    with pytest.raises(StaleFence):
        await slow.guard("balance").set("90")
    assert 86_000_000 < client.pttl(key(prefix)) <= 86_400_000


async def test_a_fence_of_another_process_is_as_good(coord: Any, other_coord: Any) -> None:
    value, same = coord.fenced("balance"), other_coord.fenced("balance")
    await value.set("1", fence=7)
    await same.set("2", fence=7)
    await same.set("3", fence=8)
    with pytest.raises(StaleFence):
        await value.set("4", fence=7)

    assert await value.get(fence=8) == b"3"
    await value.delete(fence=9)
    assert await same.get(fence=9) is None


async def test_reset_forgets_the_fence(coord: Any) -> None:
    value = coord.fenced("balance")
    await value.set("1", fence=2**53)
    await value.reset()
    await value.set("2", fence=1)

    assert await value.status() == FencedValue(b"2", 1)


async def test_fences_are_compared_as_numbers_up_to_the_greatest(coord: Any) -> None:
    value = coord.fenced("balance")
    await value.set("0", fence=9)
    await value.set("0", fence=10)
    with pytest.raises(StaleFence):
        await value.set("0", fence=9)
    await value.set("1", fence=2**53)
    with pytest.raises(StaleFence):
        await value.set("2", fence=2**53 - 1)
    await value.set("3", fence=2**53)


@pytest.mark.parametrize(
    ("fence", "error"),
    [(0, ValueError), (-1, ValueError), (2**53 + 1, ValueError), (True, TypeError), (1.0, TypeError)],
)
async def test_bad_arguments_are_refused_before_anything_is_sent(
    coord: Any, client: Any, prefix: str, fence: Any, error: type
) -> None:
    value = coord.fenced("balance")
    for attempt in (value.get, value.delete, lambda **fenced_by: value.set("x", **fenced_by)):
        with pytest.raises(error, match="fence must be"):
            await attempt(fence=fence)
    for bad in (7, None, 1.5):
        with pytest.raises(TypeError, match="value must be a str or bytes"):
            await value.set(bad, fence=1)
    for bad_ttl in (0, -1, math.nan):
        with pytest.raises(ValueError, match="ttl must be"):
            await value.set("x", fence=1, ttl=bad_ttl)
    with pytest.raises(ValueError, match="name must"):
        coord.fenced("")
    assert keys_of(client, prefix) == []


async def test_a_key_of_another_type_is_named(coord: Any, client: Any, prefix: str) -> None:
    client.set(key(prefix), "something else", px=60_000)
    with pytest.raises(WrongKeyType, match="fenced"):
        await coord.fenced("balance").status()


# For how long


async def test_a_value_is_permanent_unless_it_is_given_a_ttl(coord: Any, client: Any, prefix: str) -> None:
    value = coord.fenced("balance")
    await value.set("1", fence=1)
    assert client.pttl(key(prefix)) == -1

    await value.set("2", fence=1, ttl=60)
    assert 86_450_000 < client.pttl(key(prefix)) <= 86_460_000, "its fence is remembered for a day longer"
    await value.get(fence=2)
    assert 86_450_000 < client.pttl(key(prefix)) <= 86_460_000
    assert (await value.status()).value == b"2"

    await value.set("3", fence=2)
    assert client.pttl(key(prefix)) == -1
    await value.get(fence=3)
    assert client.pttl(key(prefix)) == -1


async def test_a_value_ends_with_its_ttl_and_its_fence_does_not(coord: Any, client: Any, prefix: str) -> None:
    value = coord.fenced("balance")
    begun = server_time(client)
    await value.set("1", fence=5, ttl=0.05)
    while (await value.status()).value is not None:
        assert server_time(client) - begun < 5, "it has not ended"
        await asyncio.sleep(0.01)

    assert server_time(client) - begun >= 0.05
    assert await value.status() == FencedValue(None, 5)
    assert await value.get(fence=5) is None
    with pytest.raises(StaleFence):
        await value.set("2", fence=4)
    assert await value.get(fence=6) is None
    assert client.hget(key(prefix), "value") is None, "what has ended takes no memory"
    assert 86_000_000 < client.pttl(key(prefix)) <= 86_400_000


# Sent twice, or late


async def test_a_write_whose_reply_is_lost_is_sent_again(flavour: str) -> None:
    binary = servers.BINARIES["valkey9"]()
    assert binary is not None
    make: Any = Coord if flavour == "sync" else AsyncCoord
    with servers.running(binary) as process, Proxy(process.port) as proxy:
        hub = awaitable(make.connect(f"redis://127.0.0.1:{proxy.port}/0"))
        value = hub.fenced("balance")
        await value.set("0", fence=1)
        for number in range(3):
            proxy.arm("reply", Mischief("lost", "drop", hang_up=True))
            await asyncio.sleep(0.05)
            await value.set(str(number), fence=1)
            assert await value.get(fence=1) == str(number).encode()
        assert proxy.hits["lost"] == 3
        await hub.close()


async def test_a_copy_that_arrives_after_a_later_write_has_no_effect(coord: Any) -> None:
    lease = await coord.lock("account").acquire()
    with recorded(coord) as sent:
        guarded = lease.guard("balance")
        await guarded.set("1")
        await lease.guard("balance").set("2")
    early, late = sent
    for copy in (early, late):
        done, _ = await sent_again(coord, copy)
        assert done, "what a repeated write is told"
        assert await guarded.get() == b"2"

    await lease.guard("balance").delete()
    assert await guarded.get() is None


async def test_a_lease_that_was_handed_over_goes_on_writing(coord: Any, other_coord: Any) -> None:
    lease = await coord.lock("account").acquire()
    for number in range(3):
        await lease.guard("balance").set(str(number))
    adopted = await other_coord.lock("account").adopt(lease.export())
    await adopted.guard("balance").set("adopted")

    assert (await coord.fenced("balance").status()).value == b"adopted"
    await adopted.release()


class PlainValue:
    """A fenced value in plain Python: the model."""

    def __init__(self) -> None:
        self.fence, self.value = 0, None

    def apply(self, action: str, fence: int, value: bytes) -> bytes | None:
        if fence < self.fence:
            raise StaleFence("v", fence, self.fence)
        self.fence = fence
        if action != "get":
            self.value = value if action == "set" else None  # type: ignore[assignment]
        return self.value


@settings(deadline=None, max_examples=60)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["get", "set", "delete"]), st.integers(1, 6), st.binary(max_size=3)),
        max_size=20,
    )
)
def test_a_value_equals_a_plain_one(steps: list[tuple[str, int, bytes]]) -> None:
    model = PlainValue()
    with Coord.connect("memory://") as hub:
        value = hub.fenced("v")
        for action, fence, data in steps:
            try:
                expected, refused = model.apply(action, fence, data), False
            except StaleFence:
                expected, refused = None, True
            try:
                if action == "get":
                    assert value.get(fence=fence) == expected
                elif action == "set":
                    value.set(data, fence=fence)
                else:
                    value.delete(fence=fence)
                assert not refused
            except StaleFence:
                assert refused
            assert value.status() == FencedValue(model.value, model.fence)


# A quorum's lease


async def test_a_lease_of_a_quorum_guards_a_value_elsewhere(coord: Any, flavour: str) -> None:
    make: Any = Quorum if flavour == "sync" else AsyncQuorum
    quorum = awaitable(make.connect(*["memory://"] * 3, quarantine=False))
    early = await quorum.lock("account").acquire()
    await early.release()
    late = await quorum.lock("account").acquire()
    value = bare(coord.fenced("balance"))
    await late.guard(value).set("1")

    with pytest.raises(StaleFence):
        await early.guard(value).set("2")
    with pytest.raises(TypeError, match=r"lease\.guard\(coord\.fenced\(\.\.\.\)\)"):
        late.guard("balance")
    assert await coord.fenced("balance").status() == FencedValue(b"1", late.fence)
    await late.release()
    await quorum.close()


# The recipe for a database


async def test_a_row_refuses_who_comes_late(coord: Any, other_coord: Any) -> None:
    """The recipe of the documents, with two connections and a writer that was stopped for too long."""
    file = "file:row?mode=memory&cache=shared"
    early_db, late_db = (sqlite3.connect(file, uri=True) for _ in range(2))
    early_db.execute("CREATE TABLE account (id TEXT PRIMARY KEY, value INTEGER, fence INTEGER NOT NULL)")
    early_db.execute("INSERT INTO account VALUES ('ann', 100, 0)")
    early_db.commit()

    def write(db: sqlite3.Connection, value: int, fence: int) -> bool:
        with db:
            done = db.execute(
                "UPDATE account SET value = ?, fence = ? WHERE id = 'ann' AND fence <= ?",
                (value, fence, fence),
            )
        return done.rowcount == 1

    slow, current = await two_leases(coord, other_coord)
    assert write(late_db, 150, current.fence)
    assert write(late_db, 151, current.fence), "one lease may write more than once"
    assert not write(early_db, 90, slow.fence)

    assert early_db.execute("SELECT value, fence FROM account").fetchone() == (151, current.fence)
    with pytest.raises(LockLost):
        await slow.release()
    await current.release()
    for db in (early_db, late_db):
        db.close()


def test_the_fence_is_remembered_for_as_long_as_the_locks_own() -> None:
    assert fenced.MEMORY == calls.FENCE_MEMORY
