"""What travels to another process, and what does not."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from coord import Coord, LockLost, LockTimeout
from tests.support.flavours import bare

pytestmark = pytest.mark.anyio


async def test_a_lease_is_handed_over_by_export_and_adopt(coord: Any, other_coord: Any) -> None:
    lease = await coord.lock("x").acquire()
    text = lease.export()

    assert not lease.valid
    await lease.release()
    adopted = await other_coord.lock("x", ttl=5).adopt(text)
    assert adopted.fence == lease.fence
    assert await coord.lock("x").try_acquire() is None
    await adopted.release()
    with pytest.raises(LockLost):
        await coord.lock("x").adopt(text)
    with pytest.raises(LockLost):
        lease.export()
    for bad in ("", "x", "a" * 32, f"{'a' * 32}:x", text[1:]):
        with pytest.raises(ValueError, match="exported must be"):
            await coord.lock("x").adopt(bad)


def test_errors_travel_by_pickle(real_server: str, prefix: str) -> None:
    with Coord.connect(real_server, prefix=prefix) as hub, hub.lock("x"):
        with pytest.raises(LockTimeout) as caught:
            hub.lock("x").acquire(timeout=0)
        again = pickle.loads(pickle.dumps(caught.value))

    assert (type(again), str(again)) == (LockTimeout, str(caught.value))
    assert again.name == "x"
    lost = pickle.loads(pickle.dumps(LockLost("y")))
    assert (lost.name, str(lost)) == ("y", str(LockLost("y")))


async def test_what_has_a_connection_refuses_to_be_pickled(coord: Any) -> None:
    hub = bare(coord)
    for thing in (hub, hub.lock("x"), hub.locks("x", "y")):
        with pytest.raises(TypeError, match=r"cannot be pickled; make one"):
            pickle.dumps(thing)


async def test_a_lease_does_not_travel_by_pickle(coord: Any) -> None:
    lease = await coord.lock("x").acquire()
    with pytest.raises(TypeError, match=r"export\(\)"):
        pickle.dumps(bare(lease))
