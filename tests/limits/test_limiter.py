from __future__ import annotations

import subprocess
import sys
import threading
from datetime import timedelta
from typing import Any

import pytest
import time_machine

from coord import Coord, WrongKeyType
from coord._engine.urls import open_sync
from tests.support.keys import keys_of

pytestmark = pytest.mark.anyio

NEVER = None
GCRA_TABLE = [
    # at ms, cost, limited, remaining, reset s, retry s; limit 5, 1/s
    (0, 6, True, 5, 0, NEVER),
    (0, 1, False, 4, 1, 0),
    (0, 1, False, 3, 2, 0),
    (0, 1, False, 2, 3, 0),
    (0, 1, False, 1, 4, 0),
    (0, 1, False, 0, 5, 0),
    (0, 1, True, 0, 5, 1),
    (3000, 1, False, 2, 3, 0),
    (3100, 1, False, 1, 3.9, 0),
    (4000, 1, False, 1, 4, 0),
    (8000, 1, False, 4, 1, 0),
    (9500, 1, False, 4, 1, 0),
    (9500, 0, False, 4, 1, 0),
    (9500, 2, False, 2, 3, 0),
    (9500, 5, True, 2, 3, 3),
    (15000, 6, True, 5, 0, NEVER),
]
"""The widely published rows of redis-cell's and throttled's own tests."""


def age(client: Any, key: str, seconds: float) -> None:
    """Make a bucket's state look as if it had been written earlier."""
    state = client.get(key)
    if state is not None:
        written, rest = state.decode().split(":", 1)
        client.set(key, f"{int(written) - round(seconds * 1e6)}:{rest}", px=60_000)


async def test_the_published_table_holds_on_every_server(coord: Any, client: Any, prefix: str) -> None:
    bucket = coord.token_bucket("table", rate=1, burst=5, deny_cache=0)
    last = 0
    for at, cost, limited, remaining, reset, retry in GCRA_TABLE:
        age(client, f"{prefix}:bucket:{{u}}:table", (at - last) / 1000)
        last = at
        if retry is NEVER:
            with pytest.raises(ValueError, match="cost must be from 0 to 5, not 6"):
                await bucket.try_acquire("u", cost=cost)
            decision = await bucket.status("u")
        else:
            decision = await bucket.try_acquire("u", cost=cost)
            assert decision.allowed is not limited
            assert decision.retry_after == pytest.approx(retry, abs=0.09)

        assert decision.remaining == remaining
        assert decision.reset_after == pytest.approx(reset, abs=0.09)


def test_the_published_table_holds_to_the_microsecond() -> None:
    with time_machine.travel(1_700_000_000, tick=False) as clock, Coord.connect("memory://") as hub:
        bucket = hub.token_bucket("table", rate=1, burst=5, deny_cache=0)
        last = 0
        for at, cost, limited, remaining, reset, retry in GCRA_TABLE:
            clock.shift((at - last) / 1000)
            last = at
            if retry is NEVER:
                decision = bucket.status("u")
                assert (decision.remaining, decision.reset_after) == (remaining, reset)
                continue

            decision = bucket.try_acquire("u", cost=cost)
            assert decision.allowed is not limited
            assert (decision.remaining, decision.retry_after, decision.reset_after) == (
                remaining, retry, reset,
            )  # fmt: skip


KINDS = ["bucket", "exact", "approximate", "fixed"]
FAMILY = {"bucket": "bucket", "exact": "window", "approximate": "window", "fixed": "fixed"}


def limiter(coord: Any, kind: str, limit: int = 3, per: float = 60, name: str = "api", **options: Any) -> Any:
    options = {"deny_cache": 0, **options}
    if kind == "bucket":
        return coord.token_bucket(name, rate=limit, per=per, **options)
    if kind == "fixed":
        return coord.fixed_window(name, limit=limit, per=per, **options)
    return coord.sliding_window(name, limit=limit, per=per, precision=kind, **options)


def dump(client: Any, prefix: str) -> dict[str, tuple[bytes, int]]:
    """Every key's value and the moment of its end."""
    keys = sorted(keys_of(client, prefix))
    return {key: (client.dump(key), client.pttl(key)) for key in keys}


def same(before: dict[str, tuple[bytes, int]], after: dict[str, tuple[bytes, int]]) -> bool:
    return {key: value for key, (value, _) in before.items()} == {
        key: value for key, (value, _) in after.items()
    } and all(after[key][1] <= ttl for key, (_, ttl) in before.items())


@pytest.mark.parametrize("kind", KINDS)
async def test_the_limit_is_admitted_and_not_one_more(coord: Any, other_coord: Any, kind: str) -> None:
    mine, theirs = limiter(coord, kind), limiter(other_coord, kind)
    answers = [await one.try_acquire("user:7") for one in (mine, theirs, mine, theirs, mine)]

    assert [bool(answer) for answer in answers] == [True, True, True, False, False]
    assert [answer.remaining for answer in answers] == [2, 1, 0, 0, 0]
    assert (answers[0].limit, answers[0].name, answers[0].source) == (3, "api", "redis")
    assert 0 < answers[3].retry_after <= 120
    assert 0 < answers[3].reset_after <= 120


@pytest.mark.parametrize("kind", KINDS)
async def test_each_key_and_each_name_has_a_limit_of_its_own(coord: Any, kind: str) -> None:
    api = limiter(coord, kind, limit=1)

    assert await api.try_acquire("ann")
    assert await api.try_acquire("bob")
    assert not await api.try_acquire("ann")
    for other in KINDS:
        assert await limiter(coord, other, limit=1, name=f"other-{other}").try_acquire("ann")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_denied_call_changes_nothing(coord: Any, client: Any, prefix: str, kind: str) -> None:
    api = limiter(coord, kind, limit=4)
    await api.try_acquire("u", cost=3)
    before = dump(client, prefix)

    assert not await api.try_acquire("u", cost=2)
    assert not await api.try_acquire("u", cost=4)
    assert same(before, dump(client, prefix))
    assert await api.try_acquire("u", cost=1)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_look_charges_nothing_and_creates_nothing(
    coord: Any, client: Any, prefix: str, kind: str
) -> None:
    api = limiter(coord, kind)
    untouched = await api.status("u")

    assert (untouched.allowed, untouched.remaining, untouched.reset_after) == (True, 3, 0)
    assert await api.try_acquire("u", cost=0)
    assert keys_of(client, prefix) == []

    await api.try_acquire("u", cost=2)

    assert [(await api.status("u")).remaining for _ in range(3)] == [1, 1, 1]
    assert (await api.try_acquire("u", cost=0)).remaining == 1
    wanted = await api.status("u", cost=2)
    assert not wanted
    assert wanted.retry_after == pytest.approx((await api.try_acquire("u", cost=2)).retry_after, abs=1)


@pytest.mark.parametrize("kind", KINDS)
async def test_resetting_forgets_one_key_only(coord: Any, kind: str) -> None:
    api = limiter(coord, kind, limit=1)
    await api.try_acquire("ann")
    await api.try_acquire("bob")
    await api.reset("ann")

    assert await api.try_acquire("ann")
    assert not await api.try_acquire("bob")


@pytest.mark.parametrize("kind", KINDS)
async def test_every_key_lives_as_long_as_it_matters(coord: Any, client: Any, prefix: str, kind: str) -> None:
    api = limiter(coord, kind, limit=10, per=100)
    decision = await api.try_acquire("u", cost=5)
    (key,) = keys_of(client, prefix)

    assert abs(client.pttl(key) / 1000 - decision.reset_after) < 1
    lives = {"bucket": 50, "exact": 100, "approximate": 200, "fixed": 100}[kind]
    assert decision.reset_after == pytest.approx(lives, abs=1)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_key_that_lost_its_ttl_gets_one_on_sight(
    coord: Any, client: Any, prefix: str, kind: str
) -> None:
    api = limiter(coord, kind, limit=1)
    await api.try_acquire("u")
    (key,) = keys_of(client, prefix)
    client.persist(key)
    assert not await api.try_acquire("u")

    assert client.pttl(key) > 0


@pytest.mark.parametrize("kind", KINDS)
async def test_retry_after_is_sufficient(coord: Any, kind: str) -> None:
    import anyio

    api = limiter(coord, kind, limit=1, per=0.05)
    while denied := await api.try_acquire("u"):
        pass  # the machine was slow

    await anyio.sleep(denied.retry_after)
    assert await api.try_acquire("u")


@pytest.mark.parametrize("kind", KINDS)
def test_retry_after_is_minimal(kind: str) -> None:
    with time_machine.travel(1_700_000_000, tick=False) as clock, Coord.connect("memory://") as hub:
        api = limiter(hub, kind, limit=3, per=1)
        for _ in range(3):
            api.try_acquire("u")
            clock.shift(0.1)
        denied = api.try_acquire("u", cost=2)
        clock.shift(denied.retry_after - 0.000_002)

        assert not api.try_acquire("u", cost=2)
        clock.shift(0.000_003)
        assert api.try_acquire("u", cost=2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_clock_that_steps_back_blocks_nobody_longer_than_a_full_refill(kind: str) -> None:
    full = 6 if kind == "approximate" else 3
    with time_machine.travel(1_700_000_000, tick=False) as clock, Coord.connect("memory://") as hub:
        api = limiter(hub, kind, limit=3, per=3)
        assert api.try_acquire("u", cost=3)
        clock.shift(-3600)
        denied = api.try_acquire("u", cost=3)

        assert not denied
        assert denied.retry_after == full
        clock.shift(full)
        assert api.try_acquire("u", cost=3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_clock_that_steps_back_forgives_nothing_either(kind: str) -> None:
    with time_machine.travel(1_700_000_000, tick=False) as clock, Coord.connect("memory://") as hub:
        api = limiter(hub, kind, limit=4, per=4)
        api.try_acquire("u", cost=2)
        clock.shift(1)
        api.try_acquire("u", cost=2)
        left = api.status("u").remaining
        clock.shift(-3600)

        assert api.status("u").remaining == left
        assert api.try_acquire("u", cost=4).allowed is False
        clock.shift(0.5)
        assert api.status("u").remaining == left


def test_two_clients_whose_clocks_are_a_minute_apart_admit_exactly_the_limit(
    real_server: str, prefix: str
) -> None:
    """Each in a process of its own, whose clock is set while it runs."""
    program = (
        "import sys, time_machine; from coord import Coord\n"
        "_, url, prefix, at = sys.argv\n"
        "with time_machine.travel(float(at)), Coord.connect(url, prefix=prefix) as hub:\n"
        "  for kind in ('token_bucket', 'sliding_window', 'fixed_window'):\n"
        "    api = getattr(hub, kind)(kind, '10/hour', deny_cache=0)\n"
        "    print(sum(bool(api.try_acquire('u')) for _ in range(9)))\n"
    )
    import time

    spent = [
        subprocess.run(
            [sys.executable, "-c", program, real_server, prefix, str(time.time() + skew)],
            capture_output=True, text=True, check=True,
        ).stdout.split()
        for skew in (-30, 30)
    ]  # fmt: skip

    assert spent == [["9"] * 3, ["1"] * 3]


def test_the_limits_may_change_on_any_call_without_losing_what_was_used() -> None:
    with time_machine.travel(1_700_000_000, tick=False), Coord.connect("memory://") as hub:
        wide = hub.token_bucket("b", rate=10, per=10, burst=10)
        narrow = hub.token_bucket("b", rate=1, per=1, burst=2)
        odd = hub.token_bucket("b", rate=3, per=10, burst=10)
        wide.try_acquire("u", cost=8)

        assert not narrow.try_acquire("u")
        assert wide.status("u").remaining == 2, "a smaller bucket's denial forgives nothing"
        assert odd.status("u").reset_after == 8, "time to full carries over"
        odd.try_acquire("u", cost=1)
        assert wide.status("u").reset_after == 10, "no bucket is emptier than empty"
        assert odd.status("u").reset_after == pytest.approx(8 + 10 / 3, abs=0.000_002)


@pytest.mark.parametrize("kind", ["exact", "approximate", "fixed"])
async def test_a_windows_limit_and_time_may_change_on_any_call(coord: Any, kind: str) -> None:
    await limiter(coord, kind, limit=10).try_acquire("u", cost=6)

    assert (await limiter(coord, kind, limit=20).status("u")).remaining == 14
    assert not await limiter(coord, kind, limit=5).try_acquire("u")
    assert (await limiter(coord, kind, limit=5).status("u")).remaining == 0
    assert (await limiter(coord, kind, limit=10, per=7200).status("u")).remaining == 4


@pytest.mark.parametrize(("before", "after"), [("exact", "approximate"), ("approximate", "exact")])
async def test_a_sliding_window_may_change_its_precision(coord: Any, before: str, after: str) -> None:
    await limiter(coord, before, limit=10).try_acquire("u", cost=6)

    changed = limiter(coord, after, limit=10)
    assert (await changed.status("u")).remaining == 4
    assert (await changed.try_acquire("u", cost=4)).remaining == 0
    assert not await changed.try_acquire("u")
    assert (await limiter(coord, before, limit=10).status("u")).remaining == 0


def test_auto_is_exact_up_to_128_and_remembers_across() -> None:
    with Coord.connect("memory://") as hub:
        assert hub.sliding_window("w", "128/hour")._flow._policy.words[0] == "log"
        assert hub.sliding_window("w", "129/hour")._flow._policy.words[0] == "counter"
        hub.sliding_window("w", "128/hour").try_acquire("u", cost=100)

        assert hub.sliding_window("w", "129/hour").status("u").remaining == 29


def test_threads_sharing_one_coord_admit_exactly_the_limit(real_server: str, prefix: str) -> None:
    admitted: list[bool] = []
    with Coord.connect(real_server, prefix=prefix) as hub:
        for kind in KINDS:
            admitted.clear()
            api = limiter(hub, kind, limit=50, per=3600, name=kind)

            def work(api: Any = api) -> None:
                admitted.extend(bool(api.try_acquire("u")) for _ in range(20))

            threads = [threading.Thread(target=work) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            api.reset("u")

            assert admitted.count(True) == 50


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


def test_a_heavy_call_is_one_entry_of_a_log() -> None:
    """However great a cost, nothing is unpacked on the server's stack."""
    with Coord.connect("memory://") as hub:
        window = hub.sliding_window("w", limit=10_000, per=60, precision="exact")

        assert window.try_acquire("u", cost=9_999).remaining == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_a_lost_script_and_a_lost_key_are_no_trouble(coord: Any, client: Any, kind: str) -> None:
    api = limiter(coord, kind, limit=2)
    await api.try_acquire("u")
    client.script_flush()
    assert (await api.try_acquire("u")).remaining == 0

    for key in client.scan_iter(f"*:{FAMILY[kind]}:{{u}}:api"):
        client.delete(key)
    assert (await api.try_acquire("u")).remaining == 1


BUCKETS: list[tuple[dict[str, Any], type]] = [
    ({"rate": 0}, ValueError), ({"rate": -1}, ValueError), ({"rate": True}, TypeError),
    ({"rate": float("nan")}, ValueError),
    ({"rate": float("inf")}, ValueError), ({"rate": "1"}, TypeError), ({}, TypeError),
    ({"rate": 1, "per": 0}, ValueError), ({"rate": 1, "per": -1}, ValueError),
    ({"rate": 1, "per": 10**9}, ValueError),
    ({"rate": 1, "burst": 0}, ValueError), ({"rate": 1, "burst": 1.5}, TypeError),
    ({"rate": 3.14159265358979, "per": 3600, "burst": 10**6}, ValueError),
    ({"spec": "1/s", "rate": 1}, TypeError), ({"spec": 5}, TypeError), ({"spec": "0/s"}, ValueError),
    ({"rate": 1, "overdraft": -1}, ValueError), ({"rate": 1, "on_error": "ignore"}, ValueError),
    ({"rate": 1, "share": 0}, ValueError), ({"rate": 1, "share": float("nan")}, ValueError),
    ({"rate": 1, "budget": 0}, ValueError),
    ({"rate": 1, "prefetch": -1}, ValueError), ({"rate": 1, "deny_cache": -1}, ValueError),
    ({"rate": 1, "on_decision": 7}, TypeError), ({"rate": 1, "bursts": 7}, TypeError),
]  # fmt: skip


@pytest.mark.parametrize(("options", "error"), BUCKETS)
def test_a_bad_bucket_is_refused_when_it_is_made(options: dict[str, Any], error: type) -> None:
    with Coord.connect("redis://127.0.0.1:1") as hub, pytest.raises(error):
        hub.token_bucket("b", **options)


@pytest.mark.parametrize(
    ("rate", "whole"),
    [(1 / 3, (1, 3)), (2 / 7, (2, 7)), (100 / 3, (100, 3)), (1 / 3000, (1, 3000)), (0.1, (1, 10))],
)
def test_a_rate_that_is_a_ratio_of_small_numbers_is_counted_as_that(
    rate: float, whole: tuple[int, int]
) -> None:
    with Coord.connect("memory://") as hub:
        rated, exact = (
            hub.token_bucket("b", rate=rate, burst=10**6),
            hub.token_bucket("b", rate=whole[0], per=whole[1], burst=10**6),
        )
        exact.try_acquire("u", cost=10**6)
        assert abs(rated.status("u", cost=7).retry_after - 7 * whole[1] / whole[0]) < 1
        assert rated.status("u").window == pytest.approx(exact.status("u").window, rel=1e-12)


@pytest.mark.parametrize(
    ("rate", "instead"), [(3.14159265358979, "rate=355, per=113"), (0.31830988618379, "rate=113, per=355")]
)
def test_a_rate_that_cannot_be_counted_is_told_in_whole_numbers(rate: float, instead: str) -> None:
    with Coord.connect("redis://127.0.0.1:1") as hub, pytest.raises(ValueError, match=f"as {instead}$"):
        hub.token_bucket("b", rate=rate, burst=10**6)


@pytest.mark.parametrize(
    ("limit", "per", "error"),
    [(0, 1, ValueError), (1.5, 1, TypeError), (True, 1, TypeError), (1, 0, ValueError), (None, 1, TypeError),
     (1, None, TypeError), (2**52, 1, ValueError), (1, float("nan"), ValueError)],
)  # fmt: skip
def test_a_bad_window_is_refused_when_it_is_made(limit: Any, per: Any, error: type) -> None:
    with Coord.connect("redis://127.0.0.1:1") as hub, pytest.raises(error):
        hub.sliding_window("w", limit=limit, per=per)


def test_a_log_has_a_hard_cap() -> None:
    with Coord.connect("redis://127.0.0.1:1") as hub:
        with pytest.raises(ValueError, match="use precision='approximate'"):
            hub.sliding_window("w", limit=10_001, per=1, precision="exact")
        with pytest.raises(ValueError, match="precision must be one of"):
            hub.sliding_window("w", limit=1, per=1, precision="rough")  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("key", "cost", "error"),
    [("u", -1, ValueError), ("u", 4, ValueError), ("u", True, TypeError), ("u", 1.0, TypeError),
     ("u", float("nan"), TypeError), ("", 1, ValueError), (7, 1, TypeError), (None, 1, TypeError)],
)  # fmt: skip
def test_a_bad_call_is_refused_before_anything_is_sent(kind: str, key: Any, cost: Any, error: type) -> None:
    with Coord.connect("redis://127.0.0.1:1") as hub:
        api = limiter(hub, kind)
        for call in (api.try_acquire, api.acquire, api.status):
            with pytest.raises(error):
                call(key, cost=cost)
        with pytest.raises(ValueError, match="cost must be from 1"):
            api.acquire("u", cost=0)
        with pytest.raises(ValueError, match="cost must be from 1"):
            api.refund("u", 0)


SPECS: list[tuple[str, float, float, int | None]] = [
    ("100/minute burst 20", 100, 60, 20), ("10/s", 10, 1, None), ("5 per 10 seconds", 5, 10, None),
    ("1_000/day", 1000, 86_400, None), (" 2.5 / 100ms ", 2.5, 0.1, None), ("3 PER Hour BURST 7", 3, 3600, 7),
    ("1/week", 1, 604_800, None), ("8/0.5 s", 8, 0.5, None),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "amount", "per", "burst"), SPECS)
def test_a_limit_may_be_written_in_words(spec: str, amount: float, per: float, burst: int | None) -> None:
    with Coord.connect("redis://127.0.0.1:1") as hub:
        words = hub.token_bucket("b", spec)._flow._policy
        numbers = hub.token_bucket("b", rate=amount, per=per, burst=burst)._flow._policy

        assert words == numbers


def test_a_window_in_words() -> None:
    with Coord.connect("redis://127.0.0.1:1") as hub:
        window = hub.fixed_window("f", "10/2 min")._flow._policy
        assert (window.limit, window.window) == (10, 120)
        for make in (hub.fixed_window, hub.sliding_window):
            for spec in ("10/s burst 5", "1.5/s"):
                with pytest.raises(ValueError, match="a window"):
                    make("w", spec)
            with pytest.raises(TypeError, match="not both"):
                make("w", "10/s", limit=5)


@pytest.mark.parametrize(
    "spec", ["", "10", "10/", "10/fortnight", "-1/s", "1e3/s", "10/s burst", "10/s burst 1.5", "x"]
)
def test_words_that_make_no_sense_are_refused(spec: str) -> None:
    with Coord.connect("redis://127.0.0.1:1") as hub, pytest.raises(ValueError, match="cannot be read"):
        hub.token_bucket("b", spec)


def test_a_limits_time_may_be_a_timedelta_and_shorter_than_a_second() -> None:
    with time_machine.travel(1_700_000_000, tick=False) as clock, Coord.connect("memory://") as hub:
        bucket = hub.token_bucket("b", rate=1, per=timedelta(milliseconds=20), deny_cache=0)
        bucket.try_acquire("u")

        assert bucket.try_acquire("u").retry_after == 0.02
        clock.shift(0.02)
        assert bucket.try_acquire("u")


def test_numbers_that_do_not_fit_microseconds_are_counted_in_longer_units() -> None:
    with time_machine.travel(1_700_000_000, tick=False) as clock, Coord.connect("memory://") as hub:
        bucket = hub.token_bucket("b", rate=999_983, per=86_400, burst=999_983, deny_cache=0)
        assert bucket._flow._policy.words[4] > 1
        assert bucket.try_acquire("u", cost=999_983)
        denied = bucket.try_acquire("u", cost=500_000)
        assert denied.retry_after == pytest.approx(500_000 * 86_400 / 999_983, rel=1e-6)
        clock.shift(denied.retry_after - 0.000_010)
        assert not bucket.try_acquire("u", cost=500_000)
        clock.shift(0.000_011)
        assert bucket.try_acquire("u", cost=500_000)
        window = hub.sliding_window("w", limit=10**9, per=30 * 86_400)
        assert window.try_acquire("u", cost=10**9)
        assert window.status("u").remaining == 0


@pytest.mark.parametrize("kind", KINDS)
async def test_a_key_of_another_type_is_named(coord: Any, client: Any, prefix: str, kind: str) -> None:
    key = f"{prefix}:{FAMILY[kind]}:{{u}}:api"
    client.hset(key, "a", "b")
    with pytest.raises(WrongKeyType, match=FAMILY[kind]):
        await limiter(coord, kind).try_acquire("u")
    client.delete(key)
    client.set(key, "what is this", px=60_000)
    with pytest.raises(WrongKeyType, match=FAMILY[kind]):
        await limiter(coord, kind).try_acquire("u")
    assert client.get(key) == b"what is this"

    client.delete(key)
    if FAMILY[kind] == "window":
        client.rpush(key, "what", "is", "this")
        with pytest.raises(WrongKeyType, match="window"):
            await limiter(coord, kind).try_acquire("u")
        client.delete(key)


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
    with Coord.connect(real_server, prefix=prefix) as hub, open_sync(real_server).client as client:
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
    with Coord.connect(real_server, prefix=prefix) as hub, open_sync(real_server).client as client:
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
