"""Which servers vote, and what a quorum is made of."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
import redis
import redis.asyncio

from coord import AsyncQuorum, Quorum, QuorumError
from coord.redlock.room import FENCE
from tests.quorum.fleet import eventually, free_on, holders, joined, kill, urls
from tests.support import servers
from tests.support.flavours import awaitable

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.anyio


async def test_an_even_number_is_warned_about_and_a_tie_is_nobodys(
    flavour: str, five: list[servers.Process], prefix: str
) -> None:
    for number in (2, 4):
        half = five[: number // 2]
        theirs = five[number // 2 :]
        context = joined(flavour, five[:number], prefix)
        with pytest.warns(UserWarning, match=f"{number} servers survives no more failures"):
            quorum = await context.__aenter__()
        for process in half:
            with redis.Redis(port=process.port) as client:
                client.set(f"{prefix}:lock:{{x}}", "another's 1 0 plain nobody")
                client.pexpire(f"{prefix}:lock:{{x}}", 300)

        assert await quorum.lock("x").try_acquire() is None
        await eventually(partial(free_on, theirs, prefix), "our half is given back")
        async with quorum.lock("x").hold(timeout=5):
            pass
        await context.__aexit__(None, None, None)


async def test_a_server_given_twice_is_refused(
    flavour: str, five: list[servers.Process], prefix: str
) -> None:
    kind = Quorum if flavour == "sync" else AsyncQuorum
    with pytest.raises(ValueError, match=r"1: .* and 3: .* are the same server"):
        kind.connect(*urls([five[0], five[1], five[0]]))

    alias = f"redis://localhost:{five[0].port}/1"
    made: Any = kind.connect(*urls(five[:2]), alias, prefix=prefix, quarantine=False)
    async with awaitable(made) as quorum:
        for _ in range(2):
            with pytest.raises(ValueError, match=rf"1: redis://127.* and 3: {alias} are the same server"):
                await quorum.lock("x").try_acquire()
    assert holders(five, prefix) == 0


async def test_a_server_that_has_just_started_does_not_vote(
    flavour: str, own: Callable[[int], list[servers.Process]], prefix: str
) -> None:
    three = own(3)
    async with joined(flavour, three, prefix, quarantine=True) as quorum:
        with pytest.raises(QuorumError) as caught:
            await quorum.lock("x", ttl=30).try_acquire()
        assert [vote.outcome for vote in caught.value.votes].count("quarantined") >= 2
        assert "it votes in" in str(caught.value)
        assert holders(three, prefix) == 0
    async with joined(flavour, three, prefix, quarantine=0.2) as quorum:
        for _ in range(100):
            with contextlib.suppress(QuorumError):
                async with quorum.lock("x", ttl=0.2) as lease:
                    assert lease.valid
                    break
            await anyio.sleep(0.05)
        else:
            pytest.fail("they never came of age")


@pytest.mark.parametrize("quarantine", [False, True])
async def test_a_server_that_forgot_its_locks_in_a_restart_cannot_give_them_away(
    flavour: str, own: Callable[[int], list[servers.Process]], prefix: str, quarantine: bool
) -> None:
    three = own(3)
    binary = servers.BINARIES["valkey9"]()
    assert binary is not None
    grown_up = 0.3
    with contextlib.ExitStack() as stack:
        async with (
            joined(flavour, three, prefix) as holder,
            joined(flavour, three, prefix, quarantine=quarantine and grown_up) as contender,
        ):
            for _ in range(100):
                with contextlib.suppress(QuorumError):
                    lease = await contender.lock("x", ttl=grown_up).acquire()
                    break  # it knows the servers now, and they are old enough
                await anyio.sleep(0.05)
            await lease.release()
            await holder.lock("x", ttl=30).acquire()
            await eventually(lambda: holders(three, prefix) == 3, "the late one has granted too")
            for process in three[1:]:
                kill(process)
                stack.enter_context(servers.running(binary, port=process.port))

            message = "quarantined"
            try:
                lease = await contender.lock("x", ttl=grown_up).try_acquire()
            except QuorumError as error:
                lease, message = None, str(error)
            assert (lease is None) is quarantine, "without it nobody can know"
            assert "quarantined" in message


async def test_a_server_that_tells_nothing_of_itself_votes_only_without_quarantine(prefix: str) -> None:
    memory = ["memory://", "memory://", "memory://"]
    wary = Quorum.connect(*memory, prefix=prefix)
    with wary, pytest.raises(QuorumError, match="quarantine=False"):
        wary.lock("x").try_acquire()
    with Quorum.connect(*memory, prefix=prefix, quarantine=False) as quorum, quorum.lock("x") as lease:
        assert quorum.lock("x").try_acquire() is None
        assert lease.valid


async def test_a_fence_is_raised_only_while_that_very_grant_stands(
    five: list[servers.Process], prefix: str
) -> None:
    lock, fence = f"{prefix}:lock:{{x}}", f"{prefix}:lock:{{x}}:fence"
    with redis.Redis(port=five[0].port) as client:

        def ask(token: str, granted: int, agreed: int) -> Any:
            call = FENCE((lock, fence), token, granted, agreed, 60_000)
            return call.parse(client.execute_command(*call.words(by_text=True)))

        def stands(token: str, granted: int, agreed: int) -> bool:
            stands: bool = ask(token, granted, agreed).stands
            return stands

        assert not stands("t1", 5, 9)
        assert client.exists(fence) == 0

        client.set(lock, "t1 5 0 plain nobody")
        client.pexpire(lock, 5000)
        client.set(fence, 5, px=5000)

        assert not stands("t2", 5, 9)
        assert not stands("t1", 4, 9), "the same token, granted anew"
        assert client.get(fence) == b"5"
        assert stands("t1", 5, 9)
        assert client.get(fence) == b"9"
        assert client.pttl(fence) > 50_000
        assert stands("t1", 5, 7)
        assert client.get(fence) == b"9", "it never sinks"
        answer = ask("t1", 5, 7)
        assert (answer.run_id, answer.uptime >= 0) == (client.info("server")["run_id"], True)
        client.delete(lock)


async def test_clients_that_were_given_stay_open(five: list[servers.Process], prefix: str) -> None:
    clients = [redis.Redis(port=process.port) for process in five]
    with Quorum(clients, prefix=prefix, quarantine=False) as quorum:
        assert f"1: Redis localhost:{five[0].port}" in repr(quorum)
        with quorum.lock("x") as lease:
            assert lease.valid
    for client in clients:
        assert client.ping()
        client.close()

    with pytest.raises(RuntimeError, match="closed"):
        quorum.lock("x").try_acquire()


async def test_bad_arguments_are_refused_before_anything_is_sent() -> None:
    with pytest.raises(ValueError, match="a quorum needs servers"):
        Quorum.connect()
    with pytest.raises(ValueError, match="a quorum needs servers"):
        AsyncQuorum([])
    with pytest.raises(TypeError, match="async client"):
        Quorum([redis.asyncio.Redis()])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="quarantine must be"):
        Quorum.connect("redis://a", "redis://b", "redis://c", quarantine=-1)
    with pytest.raises(ValueError, match="call_timeout must be"):
        Quorum.connect("redis://a", "redis://b", "redis://c", call_timeout=0)
    quorum = Quorum.connect("redis://a", "redis://b", "redis://c")
    with pytest.raises(ValueError, match="ttl must be"):
        quorum.lock("x", ttl=0)
    with pytest.raises(ValueError, match="timeout must be"):
        quorum.lock("x").acquire(timeout=-1)
    quorum.close()


async def test_no_secret_is_in_any_message(flavour: str, prefix: str) -> None:
    ports = [servers.free_port() for _ in range(3)]
    addresses = [f"redis://user:sesame@127.0.0.1:{port}/0" for port in ports]
    made: Any = (Quorum if flavour == "sync" else AsyncQuorum).connect(*addresses, prefix=prefix)
    async with awaitable(made) as quorum:
        with pytest.raises(QuorumError) as caught:
            await quorum.lock("x").try_acquire()

        assert "sesame" not in f"{caught.value} {caught.value.votes} {made!r}"
        assert str(ports[2]) in str(caught.value)
