"""Several locks at once: all or none, no deadlock, one fence for all."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import threading
import time
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import pytest
import redis

from coord import AsyncCoord, Coord, LockLost, LockTimeout, SelfDeadlock, WrongKeyType
from coord._engine.urls import open_sync
from coord.locks.calls import LockCalls
from coord.locks.several import SeveralCalls
from tests.support.flavours import awaitable
from tests.support.keys import keys_of
from tests.support.proxy import Mischief, Proxy
from tests.support.traffic import commands

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support import servers

pytestmark = pytest.mark.anyio

ABC = ("a", "b", "c")


@pytest.fixture(params=["together", "in turn"])
def way(request: pytest.FixtureRequest) -> str:
    """How the names are asked for: as on one server, or as on a cluster, where the way is always in turn."""
    return str(request.param)


def inner(hub: Any) -> Any:
    return getattr(hub, "_inner", hub)


def take_apart(hub: Any, way: str) -> Any:
    """Let a hub believe that names lie in different slots."""
    if way == "in turn":
        inner(hub)._port.one_slot = lambda: False
    return hub


def held(client: Any, prefix: str) -> list[str]:
    return [name for name in "abcd" if client.exists(f"{prefix}:lock:{{{name}}}")]


# All or none


async def test_all_are_taken_or_none(
    coord: Any, other_coord: Any, client: Any, prefix: str, way: str
) -> None:
    locks = take_apart(coord, way).locks(*ABC)
    lease = await locks.try_acquire()
    assert held(client, prefix) == [*ABC]
    assert lease.names == ABC
    for name in ABC:
        assert await other_coord.lock(name).try_acquire() is None
    await lease.release()
    assert held(client, prefix) == []

    other = await other_coord.lock("b").acquire()
    assert await locks.try_acquire() is None
    assert held(client, prefix) == ["b"]
    await other.release()
    await (await locks.try_acquire()).release()


async def test_a_refusal_changes_nothing_on_one_server(real_server: str, prefix: str, flavour: str) -> None:
    make: Any = Coord if flavour == "sync" else AsyncCoord
    hub = awaitable(make.connect(real_server, prefix=prefix))
    with open_sync(real_server).client as client:
        await hub.lock("c").acquire()
        before = {key: (client.dump(key), client.pttl(key) > 0) for key in sorted(keys_of(client, prefix))}
        assert await hub.locks(*ABC).try_acquire() is None
        after = {key: (client.dump(key), client.pttl(key) > 0) for key in sorted(keys_of(client, prefix))}
    await hub.close()

    assert after == before


async def test_neither_order_nor_repetition_matters(coord: Any) -> None:
    lease = await coord.locks("c", "a", "b", "a").acquire()

    assert lease.names == ABC
    assert coord.locks("b", "a").name == "a, b"
    with pytest.raises(LockTimeout):
        await coord.locks("b", "c", "a").acquire(timeout=0)


async def test_bad_names_are_refused_before_anything_is_sent(coord: Any, client: Any, prefix: str) -> None:
    with pytest.raises(ValueError, match="at least one"):
        coord.locks()
    with pytest.raises(ValueError, match="empty"):
        coord.locks("a", "")
    with pytest.raises(TypeError, match="must be a str"):
        coord.locks("a", 7)
    with pytest.raises(TypeError, match="must be a str"):
        coord.locks(["a", "b"])
    with pytest.raises(ValueError, match="ttl"):
        coord.locks("a", ttl=0)
    assert keys_of(client, prefix) == []


async def test_a_name_with_a_comma_is_not_two(coord: Any) -> None:
    async with coord.locks("a", "b"), coord.lock("a, b", reentrant=True) as one:
        assert one.names == ("a, b",)


async def test_a_foreign_key_is_named_and_nothing_is_taken(coord: Any, client: Any, prefix: str) -> None:
    client.rpush(f"{prefix}:lock:{{b}}", "mine")
    client.pexpire(f"{prefix}:lock:{{b}}", 60_000)
    with pytest.raises(WrongKeyType):
        await coord.locks(*ABC).try_acquire()

    assert held(client, prefix) == ["b"]


async def test_one_round_trip_takes_them_and_one_gives_them_back(own_server: servers.Process) -> None:
    with redis.Redis(port=own_server.port) as client, Coord.connect(f"redis://{own_server.address}") as hub:
        hub.locks(*ABC).acquire().release()
        before = commands(client)["evalsha"]
        for _ in range(10):
            with hub.locks(*ABC):
                pass

        assert commands(client)["evalsha"] - before == 20


# Fences


async def test_the_fence_is_above_every_earlier_one_of_each_name(
    coord: Any, other_coord: Any, client: Any, prefix: str, way: str
) -> None:
    take_apart(coord, way)
    generator = random.Random(7)
    highest = dict.fromkeys(ABC, 0)
    for turn in range(40):
        if turn % 8 == 0:  # one counter runs ahead, as if its server's clock did
            ahead = max(highest.values()) + 10_000_000
            client.set(f"{prefix}:lock:{{{generator.choice(ABC)}}}:fence", ahead, px=60_000)
        hub = generator.choice((coord, other_coord))
        names = generator.sample(ABC, generator.randint(1, 3))
        lease = await (hub.locks(*names) if len(names) > 1 else hub.lock(names[0])).acquire()
        for name in names:
            assert lease.fence > highest[name], (turn, names)
            highest[name] = lease.fence
        await lease.release()


async def test_asking_again_with_the_same_token_gets_the_same_grant(real_server: str, prefix: str) -> None:
    """What a repeated request finds, whichever of the locks it still holds."""
    with Coord.connect(real_server, prefix=prefix) as hub, open_sync(real_server).client as client:
        calls = SeveralCalls(hub._keys, [LockCalls(hub._keys, name) for name in ABC])

        def ask() -> Any:
            words = calls.acquire("t" * 32, 10.0, "label", on_repeat=lambda: None)
            return words.parse(client.execute_command(*words.words(by_text=True)))

        first = ask()
        assert first.fence is not None
        assert ask() == first
        client.delete(f"{prefix}:lock:{{b}}")
        between = hub.lock("b").acquire()
        assert ask().fence is None
        between.release()
        again = ask()
        assert again.fence > between.fence > first.fence
        assert all(client.pttl(f"{prefix}:lock:{{{name}}}") > 9000 for name in ABC)

        release = calls.release("t" * 32)
        answers = [client.execute_command(*release.words(by_text=True)) for _ in range(3)]
        assert answers == [1, 1, 1], "a repeated release answers like the first"
        assert ask().fence is None, "a token that has ended takes nothing"
        assert held(client, prefix) == []


# Waiting


async def test_who_waits_holds_none_and_is_woken_by_the_one_that_refused(
    real_server: str, prefix: str, flavour: str, no_fallback: None
) -> None:
    with Coord.connect(real_server, prefix=prefix) as holder, open_sync(real_server).client as client:
        lease = holder.lock("b").acquire()
        fences: list[int] = []

        def in_thread() -> None:
            with Coord.connect(real_server, prefix=prefix) as hub, hub.locks(*ABC).hold(timeout=20) as mine:
                fences.append(mine.fence)

        async def in_task() -> None:
            async with (
                AsyncCoord.connect(real_server, prefix=prefix) as hub,
                hub.locks(*ABC).hold(timeout=20) as mine,
            ):
                fences.append(mine.fence)

        async with anyio.create_task_group() as group:
            group.start_soon(*((anyio.to_thread.run_sync, in_thread) if flavour == "sync" else (in_task,)))
            while not client.exists(f"{prefix}:lock:{{b}}:waiting"):
                await asyncio.sleep(0.01)
            assert held(client, prefix) == ["b"]
            for name in "ac":
                holder.lock(name).acquire(timeout=0).release()
            lease.release()

    assert fences[0] > lease.fence


async def test_a_waiter_moves_on_to_the_next_that_refuses(
    real_server: str, prefix: str, flavour: str, no_fallback: None
) -> None:
    make: Any = Coord if flavour == "sync" else AsyncCoord
    hub = awaitable(make.connect(real_server, prefix=prefix))
    with Coord.connect(real_server, prefix=prefix) as holder, open_sync(real_server).client as client:
        leases = {name: holder.lock(name, ttl=60).acquire() for name in ABC}

        def free_one_after_another() -> None:
            for name in ABC:
                while not client.exists(f"{prefix}:lock:{{{name}}}:waiting"):
                    time.sleep(0.005)  # in a thread of its own
                leases[name].release()

        freeing = threading.Thread(target=free_one_after_another)
        freeing.start()
        lease = await hub.locks(*ABC, ttl=60).acquire(timeout=20)
        freeing.join()

        assert lease.fence > max(one.fence for one in leases.values())
        assert [key for key in keys_of(client, prefix) if "waiting" in key] == []
        await lease.release()
    await hub.close()


@pytest.mark.parametrize("same", [True, False], ids=["one coord", "two coords"])
async def test_a_wake_up_that_came_to_nothing_is_passed_on(
    real_server: str, prefix: str, no_fallback: None, same: bool
) -> None:
    """The first in the queue of ``a`` wants ``b`` too, which stays held; the second wants nothing else."""
    async with contextlib.AsyncExitStack() as stack:
        hub, other = [
            await stack.enter_async_context(AsyncCoord.connect(real_server, prefix=prefix)) for _ in range(2)
        ]
        client = stack.enter_context(open_sync(real_server).client)
        a, b = await other.lock("a", ttl=60).acquire(), await other.lock("b", ttl=60).acquire()
        both = asyncio.create_task(hub.locks("a", "b").acquire(timeout=20))
        while client.zcard(f"{prefix}:lock:{{a}}:waiting") < 1:
            await asyncio.sleep(0.005)
        second = asyncio.create_task((hub if same else other).lock("a").acquire(timeout=20))
        while client.zcard(f"{prefix}:lock:{{a}}:waiting") < 2:
            await asyncio.sleep(0.005)
        await a.release()
        got = await asyncio.wait_for(second, 10)
        assert not both.done()
        await got.release()
        await b.release()
        await (await both).release()


async def test_releasing_several_wakes_one_waiter_of_each(
    real_server: str, prefix: str, flavour: str, no_fallback: None
) -> None:
    make: Any = Coord if flavour == "sync" else AsyncCoord
    hub = awaitable(make.connect(real_server, prefix=prefix))
    with open_sync(real_server).client as client:
        lease = await hub.locks(*ABC, ttl=300).acquire()
        async with AsyncCoord.connect(real_server, prefix=prefix) as other:
            waiting = [asyncio.create_task(other.lock(name).acquire()) for name in ABC]
            while not all(client.exists(f"{prefix}:lock:{{{name}}}:waiting") for name in ABC):
                await asyncio.sleep(0.005)
            await lease.release()
            async with asyncio.timeout(20):
                leases = await asyncio.gather(*waiting)
            for one in leases:
                await one.release()
    await hub.close()


async def test_a_waiter_that_gives_up_stands_in_no_queue(
    real_server: str, prefix: str, no_fallback: None
) -> None:
    async with AsyncCoord.connect(real_server, prefix=prefix) as hub:
        with open_sync(real_server).client as client:
            a, b = await hub.lock("a").acquire(), await hub.lock("b").acquire()
            with pytest.raises(LockTimeout) as caught:
                await hub.locks("a", "b").acquire(timeout=0.1)
            assert caught.value.name == "a"
            await a.release()
            with pytest.raises(LockTimeout, match="'b' was still held") as caught:
                await hub.locks("a", "b").acquire(timeout=0.1)
            assert caught.value.name == "b"
            assert [key for key in keys_of(client, prefix) if "waiting" in key] == []
            await b.release()


async def test_polling_waits_too(coord: Any, other_coord: Any, way: str) -> None:
    """And what was granted and given back on the way is granted again."""
    lease = await coord.lock("b", ttl=0.3, wait="poll").acquire()
    got = await take_apart(other_coord, way).locks(*ABC, wait="poll").acquire(timeout=5)

    assert got.fence > lease.fence


class Table:
    """What philosophers share: nobody may hold what another holds."""

    def __init__(self) -> None:
        self.holders: dict[str, int] = dict.fromkeys("abcde", 0)
        self.fences: dict[str, list[int]] = {name: [] for name in self.holders}
        self.served = 0

    @contextlib.contextmanager
    def seat(self, lease: Any) -> Iterator[None]:
        for name in lease.names:
            self.holders[name] += 1
            assert self.holders[name] == 1, f"two holders of {name}"
            self.fences[name].append(lease.fence)
        yield
        for name in lease.names:
            self.holders[name] -= 1
        self.served += 1


def orders(seed: int) -> list[list[str]]:
    generator = random.Random(seed)
    return [generator.sample("abcde", generator.randint(1, 4)) for _ in range(6)]


@pytest.mark.parametrize("wait", ["signal", "poll"])
async def test_philosophers_dine(server: str, prefix: str, no_leaks: None, wait: Any, way: str) -> None:
    """Tasks and threads want overlapping locks in every order; all are served, and one at a time."""
    table = Table()

    def in_thread(hub: Coord, seed: int) -> None:
        for names in orders(seed):
            with hub.locks(*names, wait=wait).hold(timeout=60) as lease, table.seat(lease):
                time.sleep(0.001)  # a thread of a sync Coord

    async def in_task(hub: AsyncCoord, seed: int) -> None:
        for names in orders(seed):
            async with hub.locks(*names, wait=wait).hold(timeout=60) as lease:
                with table.seat(lease):
                    await asyncio.sleep(0.001)

    with Coord.connect(server, prefix=prefix) as hub:
        take_apart(hub, way)
        async with AsyncCoord.connect(server, prefix=prefix) as async_hub:
            take_apart(async_hub, way)
            async with anyio.create_task_group() as group:
                for seed in range(4):
                    group.start_soon(anyio.to_thread.run_sync, in_thread, hub, seed)
                    group.start_soon(in_task, async_hub, seed + 100)

    assert table.served == 8 * 6
    assert all(one < two for row in table.fences.values() for one, two in itertools.pairwise(row))


# Renewal, loss, hand-over


async def test_all_are_renewed_and_none_after_the_block(
    coord: Any, other_coord: Any, client: Any, prefix: str, way: str
) -> None:
    take_apart(coord, way)
    async with coord.locks(*ABC, ttl=1.2) as lease:
        for _ in range(5):
            await asyncio.sleep(0.3) if "Async" in repr(lease) else time.sleep(0.3)
            assert lease.valid
            for name in ABC:
                assert await other_coord.lock(name).try_acquire() is None
    manual = await coord.locks(*ABC, ttl=0.3).acquire()
    await manual.renew(ttl=0.2)
    await asyncio.sleep(0.3)

    assert not manual.valid
    assert held(client, prefix) == []


async def test_losing_one_is_losing_all(coord: Any, client: Any, prefix: str, way: str) -> None:
    take_apart(coord, way)
    told: list[str] = []
    with pytest.raises(LockLost):
        async with coord.locks(*ABC, ttl=0.3).hold(on_lost=lambda: told.append("x")) as lease:
            client.delete(f"{prefix}:lock:{{b}}")
            if "Async" in repr(lease):
                await asyncio.sleep(10)
            assert await lease.lost.wait(timeout=10)
    assert told == ["x"]
    assert held(client, prefix) == [], "what was left is given back"


async def test_releasing_what_is_lost_in_part_tells_so_and_frees_the_rest(
    coord: Any, client: Any, prefix: str, way: str
) -> None:
    lease = await take_apart(coord, way).locks(*ABC).acquire()
    client.delete(f"{prefix}:lock:{{b}}")
    with pytest.raises(LockLost):
        await lease.release()
    assert held(client, prefix) == []

    lease = await coord.locks(*ABC).acquire()
    client.delete(f"{prefix}:lock:{{c}}")
    with pytest.raises(LockLost):
        await lease.renew()
    assert lease.lost.is_set()


async def test_all_are_handed_over_by_export_and_adopt(coord: Any, other_coord: Any, way: str) -> None:
    lease = await take_apart(coord, way).locks(*ABC).acquire()
    adopted = await take_apart(other_coord, way).locks(*ABC).adopt(lease.export())

    assert adopted.fence == lease.fence
    assert await coord.lock("b").try_acquire() is None
    await adopted.release()
    await (await coord.lock("b").try_acquire()).release()


async def test_status_and_force_release_are_of_all(coord: Any, other_coord: Any) -> None:
    locks = coord.locks(*ABC)
    assert not (await locks.status()).held
    short, long = await other_coord.lock("a", ttl=5).acquire(), await other_coord.lock("c", ttl=50).acquire()
    status = await locks.status()
    assert status.held
    assert status.fence == long.fence

    assert await locks.force_release(reason="to see")
    assert not await locks.force_release(reason="again")
    assert (await coord.lock("a").status()).broken == "to see"
    for lease in (short, long):
        with pytest.raises(LockLost):
            await lease.release()


async def test_waiting_for_oneself_is_an_error_at_once(coord: Any) -> None:
    async with coord.locks("a", "b") as outer:
        with pytest.raises(SelfDeadlock, match="'b'"):
            await coord.locks("b", "c").acquire()
        with pytest.raises(SelfDeadlock):
            await coord.lock("a").acquire()
        async with coord.lock("b", reentrant=True) as within:
            assert within.fence == outer.fence
        assert outer.valid
    async with coord.lock("b"):
        with pytest.raises(SelfDeadlock, match="'b'"):
            await coord.locks("a", "b").acquire()
    await (await coord.locks("a", "b").acquire(timeout=0)).release()


async def test_a_decorated_function_holds_all(real_server: str, prefix: str) -> None:
    with Coord.connect(real_server, prefix=prefix) as hub:
        locks = hub.locks("a", "b")

        @locks.around()
        def work() -> bool:
            return hub.lock("a").try_acquire() is None and hub.lock("b").try_acquire() is None

        assert work()
    async with AsyncCoord.connect(real_server, prefix=prefix) as async_hub:
        async_locks = async_hub.locks("a", "b")

        @async_locks.around()
        async def async_work() -> bool:
            return await async_hub.lock("b").try_acquire() is None

        assert await async_work()


# Failures


async def test_a_grant_that_fell_before_the_fences_were_agreed_counts_for_nothing(
    real_server: str, prefix: str, flavour: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first lock's lease ends, and another takes it, before the second one is granted."""
    make: Any = Coord if flavour == "sync" else AsyncCoord
    hub = take_apart(awaitable(make.connect(real_server, prefix=prefix)), "in turn")
    with Coord.connect(real_server, prefix=prefix) as other, open_sync(real_server).client as client:
        room = inner(hub)._locks
        honest = room.acquire
        taken: list[Any] = []

        async def acquire(lock: Any, *words: Any, **options: Any) -> Any:
            if lock.name == "b" and not taken:
                client.delete(f"{prefix}:lock:{{a}}")
                taken.append(other.lock("a").acquire())
            return await honest(lock, *words, **options)

        monkeypatch.setattr(room, "acquire", acquire)
        assert await hub.locks("a", "b").try_acquire() is None
        assert held(client, prefix) == ["a"]
        taken[0].release()
    await hub.close()


async def test_what_was_granted_is_given_back_when_a_later_one_fails(
    real_server: str, prefix: str, flavour: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make: Any = Coord if flavour == "sync" else AsyncCoord
    hub = take_apart(awaitable(make.connect(real_server, prefix=prefix)), "in turn")
    room = inner(hub)._locks
    honest = room.acquire

    async def acquire(lock: Any, *words: Any, **options: Any) -> Any:
        if lock.name == "c":
            raise redis.ConnectionError("its node is down")
        return await honest(lock, *words, **options)

    monkeypatch.setattr(room, "acquire", acquire)
    with pytest.raises(redis.ConnectionError, match="node is down"):
        await hub.locks(*ABC).acquire()
    with open_sync(real_server).client as client:
        assert held(client, prefix) == []
    await hub.close()


@pytest.mark.parametrize("way_of_reply", ["request", "reply"])
async def test_a_lost_message_costs_nothing_but_time(
    own_server: servers.Process, flavour: str, way: str, way_of_reply: Any
) -> None:
    """The connection breaks before the server has heard, or before its answer is back: each in its turn."""
    make: Any = Coord if flavour == "sync" else AsyncCoord
    with redis.Redis(port=own_server.port) as client, Proxy(own_server.port) as proxy:
        hub = take_apart(awaitable(make.connect(f"redis://127.0.0.1:{proxy.port}/0")), way)
        await (await hub.locks(*ABC).acquire()).release()
        highest = 0
        for _ in range(3):
            proxy.arm(way_of_reply, Mischief("lost", "drop", hang_up=True))
            lease = await hub.locks(*ABC).acquire(timeout=5)
            assert lease.fence > highest
            highest = lease.fence
            proxy.arm(way_of_reply, Mischief("lost", "drop", hang_up=True))
            await lease.release()
            assert not any(client.exists(f"coord:lock:{{{name}}}") for name in ABC)
        await hub.close()
        assert proxy.hits["lost"] == 6


async def test_a_copy_of_a_request_that_arrives_late_takes_nothing(
    own_server: servers.Process, flavour: str
) -> None:
    """The first copy is held back, its connection breaks, and the second copy is refused."""
    make: Any = Coord if flavour == "sync" else AsyncCoord
    with Proxy(own_server.port) as proxy, Coord.connect(f"redis://{own_server.address}") as direct:
        hub = awaitable(make.connect(f"redis://127.0.0.1:{proxy.port}/0"))
        await (await hub.locks(*ABC).try_acquire()).release()
        for timeout in (0, 0.02):
            block = direct.lock("b", ttl=20).acquire()
            proxy.arm("request", Mischief("late", "late", seconds=0.3))
            await asyncio.sleep(0.05)
            with pytest.raises(LockTimeout):
                await hub.locks(*ABC, ttl=20).acquire(timeout=timeout)
            block.release()
            await asyncio.sleep(0.4)
            assert not direct.locks(*ABC).status().held
        await hub.close()


async def test_cancelling_at_any_await_leaves_nothing_behind(real_server: str, prefix: str, way: str) -> None:
    """One more turn of the loop before the cancellation each time, until the body has ended by itself."""
    with open_sync(real_server).client as client:
        async with AsyncCoord.connect(real_server, prefix=prefix) as hub:
            take_apart(hub, way)
            ended = 0
            for turns in range(600):

                async def body() -> None:
                    async with hub.locks(*ABC, ttl=30):
                        await asyncio.sleep(0)

                task = asyncio.create_task(body())
                for _ in range(turns):
                    if task.done():
                        break
                    await asyncio.sleep(0)
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
                ended += not task.cancelled()
                deadline = time.monotonic() + 1
                while held(client, prefix) and time.monotonic() < deadline:
                    await asyncio.sleep(0.001)
                assert held(client, prefix) == [], f"cancelled after {turns} turns"
                if ended > 3:
                    break
            assert ended > 3, "the sweep did not reach the end of the body"


async def test_cancelling_a_waiter_at_any_await_harms_nobody(real_server: str, prefix: str) -> None:
    async with AsyncCoord.connect(real_server, prefix=prefix) as hub:
        for turns in range(0, 80, 2):
            block = await hub.lock("b").acquire()
            task = asyncio.create_task(hub.locks(*ABC).acquire())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await block.release()

            await (await hub.locks(*ABC).acquire(timeout=0.5)).release()


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_keyboard_interrupt_at_any_call_leaves_nothing_behind(
    real_server: str, prefix: str, when: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_sync(real_server).client as client, Coord.connect(real_server, prefix=prefix) as hub:
        take_apart(hub, way)
        honest: Callable[..., Any] = hub._port.run
        interruptions = 0
        for target in range(12):
            calls = itertools.count()

            async def run(
                call: Any, *, timeout: float | None = None, calls: Any = calls, target: int = target
            ) -> Any:
                if threading.current_thread() is not threading.main_thread():
                    return await honest(call, timeout=timeout)
                mine = next(calls)
                if mine == target and when == "before":
                    raise KeyboardInterrupt
                answer = await honest(call, timeout=timeout)
                if mine == target:
                    raise KeyboardInterrupt
                return answer

            monkeypatch.setattr(hub._port, "run", run)
            try:
                with hub.locks(*ABC, ttl=30):
                    pass
            except KeyboardInterrupt:
                interruptions += 1
            monkeypatch.setattr(hub._port, "run", honest)

            assert held(client, prefix) == [], f"interrupted {when} call {target}"
            assert hub._locks.holdings == {}
        assert interruptions >= 2


async def test_leftovers_expire(coord: Any, client: Any, prefix: str, way: str) -> None:
    take_apart(coord, way)
    await coord.locks(*ABC).acquire()
    with pytest.raises(LockTimeout):
        await coord.locks("b", "d").acquire(timeout=0.02)

    assert all(client.pttl(key) > 0 for key in keys_of(client, prefix))
