"""An AsyncCoord belongs to one event loop, and a sync Coord does not wait in any: both say so at once."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from coord import AsyncCoord, AsyncQuorum, Coord, LockTimeout, Quorum

if TYPE_CHECKING:
    from collections.abc import Callable

MAKERS: dict[str, Callable[[], AsyncCoord | AsyncQuorum]] = {
    "coord": lambda: AsyncCoord.connect("memory://"),
    "quorum": lambda: AsyncQuorum.connect("memory://", "memory://", "memory://", quarantine=False),
}


@pytest.fixture(params=MAKERS)
def hub(request: pytest.FixtureRequest) -> Any:
    return MAKERS[request.param]()


async def once(hub: Any) -> int:
    lease = await hub.lock("x").acquire(timeout=1)
    await lease.release()
    fence: int = lease.fence
    return fence


def test_one_that_was_made_outside_of_any_loop_belongs_to_the_first_that_uses_it(hub: Any) -> None:
    async def main() -> None:
        assert await once(hub) < await once(hub)
        await hub.close()

    asyncio.run(main())


def test_a_second_loop_after_the_first_is_told_to_make_its_own(hub: Any) -> None:
    assert asyncio.run(once(hub))
    for _ in range(2):
        with pytest.raises(RuntimeError, match="event loop that first uses them, which has ended; make one"):
            asyncio.run(once(hub))


def test_a_second_loop_beside_the_first_is_told_to_make_its_own(hub: Any) -> None:
    failures: list[BaseException] = []

    def elsewhere() -> None:
        try:
            asyncio.run(once(hub))
        except RuntimeError as error:
            failures.append(error)

    async def main() -> None:
        await once(hub)
        thread = threading.Thread(target=elsewhere)
        thread.start()
        await asyncio.to_thread(thread.join)
        assert await once(hub), "the first is none the worse for it"
        await hub.close()

    asyncio.run(main())
    assert len(failures) == 1
    assert "which is another than this" in str(failures[0])


@pytest.mark.parametrize("fair", [False, True])
@pytest.mark.parametrize("wait", ["signal", "poll"])
def test_a_sync_lock_does_not_wait_in_an_event_loop(wait: Any, fair: bool) -> None:
    with Coord.connect("memory://") as hub:
        lock = hub.lock("x", wait=wait, fair=fair)

        async def main() -> None:
            with lock:  # free, as in a notebook
                assert lock.try_acquire() is None
                with pytest.raises(LockTimeout):
                    lock.acquire(timeout=0)
                with pytest.raises(RuntimeError, match="AsyncCoord or AsyncQuorum with await"):
                    lock.acquire(timeout=5)
                with pytest.raises(RuntimeError, match="to_thread"), lock.hold(timeout=5):
                    pass
            lease = lock.acquire()
            with pytest.raises(RuntimeError, match="AsyncCoord"):
                lease.lost.wait(timeout=5)
            assert not lease.lost.wait(timeout=0)
            waiting = asyncio.create_task(asyncio.to_thread(lock.acquire, timeout=5))
            await asyncio.sleep(0.1)
            lease.release()
            (await waiting).release()

        asyncio.run(main())
        lock.acquire(timeout=1).release()


def test_a_sync_quorum_does_not_wait_in_an_event_loop() -> None:
    with Quorum.connect("memory://", "memory://", "memory://", quarantine=False) as hub:

        async def main() -> None:
            lease = hub.lock("x").acquire()
            with pytest.raises(RuntimeError, match="AsyncQuorum"):
                hub.lock("x").acquire(timeout=5)
            lease.release()

        asyncio.run(main())
