"""An AsyncCoord belongs to one event loop; another is told so at once."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from coord import AsyncCoord, AsyncQuorum

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
