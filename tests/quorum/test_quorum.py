"""Locks over five independent servers, which are stopped, killed and restarted."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
import redis
import redis.asyncio

from coord import AsyncQuorum, LockLost, LockTimeout, Quorum, QuorumError
from coord._engine.port import step
from coord._engine.threads import ThreadPort
from coord.redlock.room import FENCE
from tests import servers
from tests.conftest import keys_of
from tests.flavours import awaitable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

pytestmark = pytest.mark.anyio


def run_servers(number: int, stack: contextlib.ExitStack) -> list[servers.Process]:
    binary = servers.BINARIES["valkey9"]()
    assert binary is not None
    return [stack.enter_context(servers.running(binary)) for _ in range(number)]


@pytest.fixture(scope="module")
def five_servers() -> Iterator[list[servers.Process]]:
    with contextlib.ExitStack() as stack:
        yield run_servers(5, stack)


@pytest.fixture
def five(five_servers: list[servers.Process], prefix: str) -> Iterator[list[servers.Process]]:
    """Five servers that run again when the test is over, and on which every key had a TTL."""
    yield five_servers
    for process in five_servers:
        os.kill(process.pid, signal.SIGCONT)
        with redis.Redis(port=process.port) as client:
            assert [key for key in keys_of(client, prefix) if client.pttl(key) == -1] == []


@pytest.fixture
def own(prefix: str) -> Iterator[Callable[[int], list[servers.Process]]]:
    """Start servers that the test may kill."""
    with contextlib.ExitStack() as stack:
        yield lambda number: run_servers(number, stack)


def stop(*processes: servers.Process) -> None:
    for process in processes:
        os.kill(process.pid, signal.SIGSTOP)


def resume(*processes: servers.Process) -> None:
    for process in processes:
        os.kill(process.pid, signal.SIGCONT)


def kill(*processes: servers.Process) -> None:
    for process in processes:
        process.popen.kill()
        process.popen.wait()


def urls(processes: Sequence[servers.Process]) -> list[str]:
    return [f"redis://{process.address}/0" for process in processes]


@contextlib.asynccontextmanager
async def joined(
    flavour: str, processes: Sequence[servers.Process], prefix: str, **options: Any
) -> AsyncIterator[Any]:
    """A quorum of either flavour; the sync one may be awaited too."""
    options = {"prefix": prefix, "quarantine": False, "call_timeout": 0.2, **options}
    if flavour == "sync":
        with Quorum.connect(*urls(processes), **options) as quorum:
            yield awaitable(quorum)
    else:
        async with AsyncQuorum.connect(*urls(processes), **options) as quorum:
            yield quorum


@pytest.fixture
async def quorum(flavour: str, five: list[servers.Process], prefix: str) -> AsyncIterator[Any]:
    async with joined(flavour, five, prefix) as made:
        yield made


@pytest.fixture
async def other(flavour: str, five: list[servers.Process], prefix: str) -> AsyncIterator[Any]:
    """A quorum of the flavour that ``quorum`` is not, on the same keys."""
    async with joined("async" if flavour == "sync" else "sync", five, prefix) as made:
        yield made


def holders(processes: Sequence[servers.Process], prefix: str) -> int:
    """On how many servers somebody holds the lock."""
    found = 0
    for process in processes:
        with redis.Redis(port=process.port) as client:
            found += client.exists(f"{prefix}:lock:{{x}}")
    return found


def free_on(processes: Sequence[servers.Process], prefix: str) -> bool:
    return holders(processes, prefix) == 0


async def eventually(question: Callable[[], bool], what: str) -> None:
    with anyio.move_on_after(5):
        while not await anyio.to_thread.run_sync(question):
            await anyio.sleep(0.01)
        return
    pytest.fail(f"not within 5 s: {what}")


# Possession


async def test_a_free_lock_is_granted_and_a_held_one_refused(
    quorum: Any, other: Any, five: list[servers.Process], prefix: str
) -> None:
    lease = await quorum.lock("x").try_acquire()

    assert lease.valid
    assert 9 < lease.remaining() < 9.9
    assert holders(five, prefix) >= 3
    assert await quorum.lock("x").try_acquire() is None
    assert await other.lock("x").try_acquire() is None

    await lease.release()

    assert not lease.valid
    await eventually(lambda: holders(five, prefix) == 0, "all have given it back")
    async with other.lock("x") as next_lease:
        assert next_lease.fence > lease.fence


async def test_waiting_ends_when_the_lock_is_free_or_after_the_timeout(quorum: Any, other: Any) -> None:
    lease = await quorum.lock("x").acquire()
    with pytest.raises(LockTimeout):
        await other.lock("x").acquire(timeout=0.05)
    with pytest.raises(LockTimeout):
        async with other.lock("x").hold(timeout=0):
            pytest.fail("the body must not run without the lock")
    await lease.renew(ttl=0.1)

    async with other.lock("x").hold(timeout=5) as next_lease:
        assert next_lease.fence > lease.fence
    with pytest.raises(LockLost):
        await lease.release()


async def test_a_with_block_renews_its_lease(quorum: Any, five: list[servers.Process], prefix: str) -> None:
    async with quorum.lock("x", ttl=1) as lease:
        stop(five[4])
        await anyio.sleep(1.5)

        assert lease.valid
        assert holders(five[:4], prefix) >= 3


async def test_status_and_force_release_ask_a_majority(quorum: Any, other: Any) -> None:
    lease = await quorum.lock("x").acquire()
    status = await other.lock("x").status()

    assert (status.held, status.fence, str(os.getpid()) in status.holder) == (True, lease.fence, True)
    assert 8 < status.remaining < 10.01
    assert await other.lock("x").force_release(reason="a test")
    with pytest.raises(LockLost):
        await lease.renew()
    assert not (await quorum.lock("x").status()).held


# Servers that fail


async def test_fences_grow_from_majority_to_majority(
    quorum: Any, five: list[servers.Process], prefix: str
) -> None:
    """Each time another two are stopped, so that no server sees every grant."""
    fences = []
    for i in range(5):
        stopped = five[i], five[(i + 1) % 5]
        stop(*stopped)
        try:
            async with quorum.lock("x", ttl=5) as lease:
                fences.append(lease.fence)
        finally:
            resume(*stopped)
        await eventually(lambda: holders(five, prefix) == 0, "what the stopped ones were sent is undone")

    assert fences == sorted(set(fences))


async def test_a_fence_is_above_what_any_server_of_the_majority_has_seen(
    quorum: Any, five: list[servers.Process], prefix: str
) -> None:
    """One server's counter is far ahead; the majority that it is in must carry that to the next."""
    ahead = 2**52
    with redis.Redis(port=five[0].port) as client:
        client.set(f"{prefix}:lock:{{x}}:fence", ahead, px=60_000)
    stop(*five[3:])
    async with quorum.lock("x") as first:
        assert first.fence == ahead + 1
    resume(*five[3:])
    stop(five[0], five[1])
    try:
        async with quorum.lock("x") as second:
            assert second.fence > first.fence
    finally:
        resume(five[0], five[1])


async def test_two_dead_servers_of_five_are_survived_and_three_are_named(
    flavour: str, own: Callable[[int], list[servers.Process]], prefix: str
) -> None:
    five = own(5)
    async with joined(flavour, five, prefix) as quorum:
        async with quorum.lock("x") as lease:
            kill(*five[:2])
            await lease.renew()
        async with quorum.lock("x") as next_lease:
            assert next_lease.fence > lease.fence

        kill(five[2])
        with pytest.raises(QuorumError) as caught:
            await quorum.lock("x").acquire()

    votes = caught.value.votes
    assert [vote.outcome == "failed" for vote in votes] == [True, True, True, False, False]
    for vote, process in zip(votes, five, strict=True):
        assert process.address in vote.node
        assert process.address in str(caught.value)
    assert "ConnectionError" in votes[0].why
    await eventually(lambda: holders(five[3:], prefix) == 0, "those that answer have given it back")


async def test_refused_is_not_failed(quorum: Any, other: Any, five: list[servers.Process]) -> None:
    async with other.lock("x"):
        stop(*five[:2])
        assert await quorum.lock("x").try_acquire() is None, "three refuse, which is an answer"
    stop(five[2])
    with pytest.raises(QuorumError) as caught:
        await quorum.lock("x").try_acquire()
    resume(*five[:3])

    outcomes = [vote.outcome for vote in caught.value.votes]
    assert outcomes == ["failed", "failed", "failed", "granted", "granted"]


async def test_renewal_needs_a_majority_and_no_more(
    quorum: Any, five: list[servers.Process], prefix: str
) -> None:
    lease = await quorum.lock("x").acquire()
    await eventually(lambda: holders(five, prefix) == 5, "the late ones have granted too")
    stop(*five[:2])
    await lease.renew()

    stop(five[2])
    with pytest.raises(QuorumError):
        await lease.renew()
    assert lease.valid, "nobody said that it was lost"

    resume(*five[:3])
    await lease.renew(ttl=20)
    assert lease.remaining() > 15

    for process in five[:3]:
        with redis.Redis(port=process.port) as client:
            client.delete(f"{prefix}:lock:{{x}}")
    with pytest.raises(LockLost):
        await lease.renew()
    assert not lease.valid


async def test_a_renewal_that_fails_past_the_deadline_means_lost(
    quorum: Any, five: list[servers.Process]
) -> None:
    lease = await quorum.lock("x", ttl=0.1).acquire()
    stop(*five[:3])
    await eventually(lambda: not lease.valid, "its deadline has passed")
    with pytest.raises(LockLost):
        await lease.renew()
    resume(*five[:3])
    assert lease.lost.is_set()


async def test_an_expired_lease_is_lost_and_not_revived(
    quorum: Any, five: list[servers.Process], prefix: str
) -> None:
    lease = await quorum.lock("x", ttl=0.1).acquire()
    await eventually(lambda: holders(five, prefix) == 0, "it has expired")

    assert not lease.valid
    with pytest.raises(LockLost):
        lease.check()
    with pytest.raises(LockLost):
        await lease.renew()
    assert holders(five, prefix) == 0


async def test_losing_the_lock_ends_an_async_block(five: list[servers.Process], prefix: str) -> None:
    async with joined("async", five, prefix) as quorum:
        with pytest.raises(LockLost):
            async with quorum.lock("x", ttl=0.3):
                for process in five:
                    with redis.Redis(port=process.port) as client:
                        client.delete(f"{prefix}:lock:{{x}}")
                await anyio.sleep(5)
                pytest.fail("the block went on without the lock")


# What must not stay behind


async def test_a_server_that_was_stopped_meanwhile_holds_nothing_a_moment_after_it_resumes(
    quorum: Any, five: list[servers.Process], prefix: str
) -> None:
    async with quorum.lock("x"):
        pass  # every server has been connected to
    stop(five[4])
    try:
        lease = await quorum.lock("x", ttl=30).acquire()
        await lease.release()
        await anyio.sleep(0.3)  # both calls have timed out
    finally:
        resume(five[4])

    await eventually(lambda: holders(five, prefix) == 0, "the late acquire is undone")
    await anyio.sleep(0.1)
    assert holders(five, prefix) == 0


async def test_a_failed_attempt_leaves_no_key(quorum: Any, five: list[servers.Process], prefix: str) -> None:
    async with quorum.lock("warm"):
        pass
    stop(*five[:3])
    try:
        with pytest.raises(QuorumError):
            await quorum.lock("x", ttl=30).try_acquire()
        await eventually(lambda: holders(five[3:], prefix) == 0, "those that answer have given it back")
    finally:
        resume(*five[:3])

    await eventually(lambda: holders(five, prefix) == 0, "the late acquires are undone")


async def test_cancelling_an_acquire_midway_leaves_no_key(five: list[servers.Process], prefix: str) -> None:
    async with joined("async", five, prefix) as quorum:
        async with quorum.lock("warm"):
            pass
        stop(*five[:3])
        try:
            with anyio.move_on_after(0.02) as scope:
                await quorum.lock("x", ttl=30).acquire()
            assert scope.cancelled_caught
            await eventually(lambda: holders(five[3:], prefix) == 0, "those that answer have given it back")
        finally:
            resume(*five[:3])

        await eventually(lambda: holders(five, prefix) == 0, "the late acquires are undone")
        assert await quorum.lock("x").try_acquire() is not None


async def test_contenders_in_threads_and_tasks_never_overlap(
    five: list[servers.Process], prefix: str
) -> None:
    inside = threading.Semaphore(1)
    fences: list[int] = []

    def enter(fence: int) -> None:
        assert inside.acquire(blocking=False), "two holders at once"
        fences.append(fence)

    def sync_contender(quorum: Quorum) -> None:
        for _ in range(6):
            with quorum.lock("x") as lease:
                enter(lease.fence)
                inside.release()

    async def async_contender(quorum: AsyncQuorum) -> None:
        for _ in range(6):
            async with quorum.lock("x") as lease:
                enter(lease.fence)
                await anyio.lowlevel.checkpoint()
                inside.release()

    options: Any = {"prefix": prefix, "quarantine": False}
    with Quorum.connect(*urls(five), **options) as sync:
        async with AsyncQuorum.connect(*urls(five), **options) as quorum, anyio.create_task_group() as group:
            for _ in range(2):
                group.start_soon(anyio.to_thread.run_sync, sync_contender, sync)
                group.start_soon(async_contender, quorum)

    assert len(fences) == 24
    assert fences == sorted(set(fences))


# Which servers vote


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


# Clients, arguments, scripts


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
        port = ThreadPort(client, call_timeout=2, owned=None)

        def stands(token: str, granted: int, agreed: int) -> bool:
            return step(port.run(FENCE((lock, fence), token, granted, agreed, 60_000))).stands

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
        answer = step(port.run(FENCE((lock, fence), "t1", 5, 7, 60_000)))
        assert (answer.run_id, answer.uptime >= 0) == (client.info("server")["run_id"], True)
        client.delete(lock)
