"""A HyperLogLog read here is held against the servers' own."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coord.uniques.export import dump, load
from coord.uniques.sketch import REGISTERS, Sketch
from coord.uniques.store import Content, hash_of


@pytest.fixture
def real_client(server: str, client: Any) -> Any:
    if server.startswith("memory"):
        pytest.skip("there HyperLogLogs are sets")
    return client


def elements(count: int, seed: int) -> list[bytes]:
    """Any bytes, of every length up to 40: the hash function treats the last eight apart."""
    source = random.Random(seed)
    return [source.randbytes(number % 41) for number in range(count)]


@pytest.mark.parametrize("count", [0, 1, 40, 700, 1500, 6000])
def test_what_a_server_stores_is_read_and_counted_as_it_does(
    real_client: Any, prefix: str, count: int
) -> None:
    key = f"{prefix}:{{x}}"
    real_client.pfadd(key)
    ours = Sketch()
    for element in elements(count, seed=count):
        real_client.pfadd(key, element)
        ours.add(element)
    stored = Sketch.load(real_client.get(key))
    expected = real_client.pfcount(key)

    assert stored.count() == ours.count() == expected
    assert stored.dump() == ours.dump()
    real_client.set(key, ours.dump())
    assert real_client.pfcount(key) == expected
    real_client.delete(key)


def test_a_union_made_here_counts_as_one_made_by_a_server(real_client: Any, prefix: str) -> None:
    keys = [f"{prefix}:{{x}}:{number}" for number in range(3)]
    union = Sketch()
    for number, key in enumerate(keys):
        for start in range(0, 40 * 10**number, 4000):  # sparse, sparse and dense
            real_client.pfadd(key, *elements(40 * 10**number, seed=number)[start : start + 4000])
        union.merge(Sketch.load(real_client.get(key)))

    assert union.count() == real_client.pfcount(*keys)
    real_client.delete(*keys)


def test_a_large_sketch_is_counted_to_the_last_digit(real_client: Any, prefix: str) -> None:
    key = f"{prefix}:{{x}}"
    fill = "for i = 1, 300000, 1000 do local t = {} for k = 1, 1000 do t[k] = i + k end"
    real_client.eval(f"{fill} redis.call('PFADD', KEYS[1], unpack(t)) end", 1, key)

    assert Sketch.load(real_client.get(key)).count() == real_client.pfcount(key)
    real_client.delete(key)


good = Sketch()
for _word in range(100):
    good.add(b"%d" % _word)
DENSE = good.dump()


@pytest.mark.parametrize(
    "damaged",
    [b"", b"HYLL", DENSE[:-1], DENSE + b"\0", b"HYLX" + DENSE[4:], b"HYLL\2" + DENSE[5:], DENSE[:16],
     b"HYLL\1" + bytes(11), b"HYLL\1" + bytes(11) + b"\x7f", b"HYLL\1" + bytes(11) + b"\x7f\xff" * 2,
     b"HYLL\1" + bytes(11) + b"\xff" * 5000],
)  # fmt: skip
def test_what_is_no_hyperloglog_is_refused(damaged: bytes) -> None:
    with pytest.raises(ValueError, match=r"not a HyperLogLog|damaged"):
        Sketch.load(damaged)


def test_an_empty_sparse_value_is_empty() -> None:
    assert Sketch.load(b"HYLL\1" + bytes(11) + b"\x7f\xff").count() == 0
    assert Sketch().count() == 0
    assert len(DENSE) == 16 + REGISTERS * 6 // 8


@given(st.sets(st.binary(min_size=1, max_size=20), max_size=30))
def test_an_exact_export_is_read_as_it_was_written(ids: set[bytes]) -> None:
    words = frozenset(b"%d" % hash_of(one) for one in ids)

    assert load(dump(Content(words, None), raw=False), raw=False) == Content(words, None)


@pytest.mark.parametrize("data", [b"", b"coord unique 1\n", b"coord unique 1\nE123", b"coord unique 1\nX",
                                  b"coord unique 1\nSHYLL", b"something else", DENSE])  # fmt: skip
def test_a_damaged_export_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"damaged|raw=True"):
        load(data, raw=False)


def test_an_export_of_hashes_is_no_raw_one() -> None:
    with pytest.raises(ValueError, match="without raw=True"):
        load(dump(Content(frozenset(), good), raw=False), raw=True)
    with pytest.raises(ValueError, match="damaged"):
        load(DENSE[:-1], raw=True)


def test_a_hash_fits_a_compact_set_and_depends_on_the_bytes_alone() -> None:
    assert hash_of(b"ann") == -6488803333072012659
    assert all(-(2**63) <= hash_of(b"%d" % number) < 2**63 for number in range(1000))
    assert any(hash_of(b"%d" % number) < 0 for number in range(10))
