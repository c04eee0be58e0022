"""What an admission refuses, and what it says of itself."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import pytest

from coord import AsyncCoord, Coord, Decision, WrongKeyType
from tests.admission.ways_in import llm
from tests.support.flavours import assert_refused_unasked, bare
from tests.support.keys import keys_of
from tests.support.rooms import token_of

if TYPE_CHECKING:
    from collections.abc import Callable


pytestmark = pytest.mark.anyio


def plain(hub: Any) -> Any:
    return hub.concurrency_limit("calls", limit=2, fair=True)


def bucket(hub: Any, name: str = "rpm") -> Any:
    return hub.token_bucket(name, rate=5)


async def test_a_sync_one_waits_in_no_loop_and_takes_what_is_free(real_server: str, prefix: str) -> None:
    with Coord.connect(real_server, prefix=prefix) as hub:
        both = llm(hub)
        held = both.acquire("u", cost={"rpm": 1, "tpm": 1}, weight=2)
        with pytest.raises(RuntimeError, match="event loop"):
            both.acquire("u", cost={"rpm": 1, "tpm": 1}, timeout=5)
        held.release()
        assert hub.concurrency_limit("calls", limit=2, fair=True).status("u").waiters == 0


@pytest.mark.parametrize(
    ("what", "error"),
    [
        (lambda hub: hub.admission(at_once=plain(hub)), ValueError),
        (lambda hub: hub.admission(bucket(hub)), TypeError),
        (lambda hub: hub.admission(bucket(hub), bucket(hub), at_once=plain(hub)), ValueError),
        (lambda hub: hub.admission(bucket(hub, "calls"), at_once=plain(hub)), ValueError),
        (lambda hub: hub.admission(bucket(hub), at_once=hub.concurrency_limit("c", limit=1)), ValueError),
        (lambda hub: llm(hub).try_acquire({"rpm": "a", "tpm": "a"}), TypeError),
        (lambda hub: llm(hub).try_acquire(""), ValueError),
        (lambda hub: llm(hub).try_acquire(None), TypeError),
        (lambda hub: llm(hub).try_acquire("u", cost={"rpm": 1}), ValueError),
        (lambda hub: llm(hub).try_acquire("u", cost={"rpm": 1, "tpm": 1, "calls": 1}), ValueError),
        (lambda hub: llm(hub).try_acquire("u", cost=6), ValueError),
        (lambda hub: llm(hub).try_acquire("u", cost=-1), ValueError),
        (lambda hub: llm(hub).try_acquire("u", cost=True), TypeError),
        (lambda hub: llm(hub).try_acquire("u", cost=float("nan")), TypeError),
        (lambda hub: llm(hub).try_acquire("u", weight=3), ValueError),
        (lambda hub: llm(hub).try_acquire("u", weight=0), ValueError),
        (lambda hub: llm(hub).acquire("u", weight=1.0), TypeError),
        (lambda hub: llm(hub).acquire("u", timeout=-1), ValueError),
        (lambda hub: llm(hub).status("u", weight=3), ValueError),
        (lambda hub: llm(hub).status({"rpm": "a", "tpm": "a"}), TypeError),
        (lambda hub: llm(hub).status("u", cost=6), ValueError),
        (lambda hub: llm(hub).penalize("u", until=-1), ValueError),
        (lambda hub: llm(hub).penalize({"rpm": "a", "tpm": "a"}, until=1), TypeError),
        (lambda hub: llm(hub).reset({"rpm": "a", "tpm": "a"}), TypeError),
        (lambda hub: llm(hub).hold("u", timeout=float("nan")), ValueError),
    ],
)
@pytest.mark.parametrize("kind", [Coord, AsyncCoord])
async def test_what_cannot_be_is_refused_before_anything_is_sent(
    kind: Any, what: Callable[[Any], Any], error: type[Exception]
) -> None:
    await assert_refused_unasked(kind, what, error)


async def test_limits_of_another_coord_are_refused() -> None:
    with Coord.connect("memory://") as hub, Coord.connect("memory://") as other:
        with pytest.raises(ValueError, match="this Coord"):
            hub.admission(bucket(hub), at_once=plain(other))
        with pytest.raises(ValueError, match="this Coord"):
            hub.admission(bucket(other), at_once=plain(hub))


@pytest.mark.parametrize("what", ["concurrency:{u}:calls", "window:{u}:rpm", "bucket:{u}:tpm"])
async def test_a_key_of_another_type_is_named_and_nothing_is_taken(
    coord: Any, client: Any, prefix: str, what: str
) -> None:
    both, key = llm(coord), f"{prefix}:{what}"
    client.set(key, "mine", px=5000)

    for attempt in (both.try_acquire, both.acquire):
        with pytest.raises(WrongKeyType) as caught:
            await attempt("u", cost={"rpm": 1, "tpm": 1})
        assert key in caught.value.keys
    assert client.get(key) in {b"mine", "mine"}
    assert not client.exists(f"{prefix}:concurrency:{{u}}:calls") or "concurrency" in what
    assert not client.exists(f"{prefix}:concurrency:{{u}}:calls:queue")


async def test_it_says_what_it_is(coord: Any, client: Any, prefix: str) -> None:
    both = llm(coord)
    permit = await both.acquire("u", cost={"rpm": 1, "tpm": 1})

    assert "Admission 'rpm', 'tpm', 'calls'" in repr(both)
    assert "AdmissionPermit of 'u' from 'calls'" in repr(permit)
    assert "AdmissionHold of 'u'" in repr(both.hold("u"))
    assert isinstance(permit.decision, Decision)
    token = token_of(permit)
    shown = [repr(permit), repr(both), repr(permit.decision)]
    await permit.release()
    assert token not in " ".join([*shown, *keys_of(client, prefix)])
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(bare(permit))
