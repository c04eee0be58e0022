from __future__ import annotations

import fnmatch
import re
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from coord._engine.keys import LONGEST, Keys, escape

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300)
nasty = st.text(st.sampled_from("{}:*?[]\\%#a \n\0é"), min_size=1, max_size=12)
any_name = st.one_of(names, nasty)


def hash_tag(key: str) -> str:
    """What a cluster hashes of a key, by its specification."""
    start = key.find("{")
    end = key.find("}", start + 1)
    return key[start + 1 : end] if start >= 0 and end > start + 1 else key


@given(any_name)
def test_no_name_leaves_its_tag(name: str) -> None:
    key = Keys("p")("lock", name, "fence")

    assert key.count("{") == key.count("}") == 1
    assert key.startswith("p:lock:{")
    assert key.endswith("}:fence")
    assert hash_tag(key) == escape(name)


@given(any_name)
def test_what_is_escaped_is_plain_ascii_without_separators_or_globs(name: str) -> None:
    escaped = escape(name)

    assert re.fullmatch(r"[A-Za-z0-9_.~@/+=,!$&%#-]+", escaped)
    assert fnmatch.fnmatchcase(escaped, escaped)
    assert len(escaped) <= LONGEST


@given(any_name, any_name)
@example("a:b", "a%3Ab")
@example("é", "e\u0301")
@example("A", "a")
def test_two_names_never_share_a_key(left: str, right: str) -> None:
    assume(left != right)

    assert escape(left) != escape(right)


@given(st.text(min_size=201, max_size=300, alphabet="ab"))
def test_a_hashed_name_is_not_the_name_of_its_own_hash(name: str) -> None:
    hashed = escape(name)

    assert hashed.startswith("#")
    assert len(hashed) == 65
    assert escape(hashed) != hashed


def test_names_are_hashed_only_beyond_the_limit() -> None:
    assert escape("x" * LONGEST) == "x" * LONGEST
    assert escape("x" * (LONGEST + 1)).startswith("#")
    assert escape("é" * 33).startswith("%C3%A9")
    assert escape("é" * 34).startswith("#"), "the limit is of the escaped form"


@given(any_name, any_name, any_name, any_name)
def test_two_subjects_or_objects_never_share_a_key(a: str, b: str, c: str, d: str) -> None:
    assume((a, b) != (c, d))
    keys = Keys("p")

    assert keys.of_subject("bucket", a, b) != keys.of_subject("bucket", c, d)


def test_all_limits_of_one_subject_share_a_slot() -> None:
    keys = Keys("p")

    assert hash_tag(keys.of_subject("bucket", "rpm", "u:7")) == hash_tag(
        keys.of_subject("window", "tpm", "u:7")
    )


def test_prefixes_nest_and_stay_apart() -> None:
    assert Keys("shop:prod")("lock", "x") == "shop:prod:lock:{x}"
    assert Keys("sh{op")("lock", "x") == "sh%7Bop:lock:{x}"
    assert Keys("a:lock")("lock", "x") != Keys("a")("lock", "lock:{x}")


@pytest.mark.parametrize(
    ("name", "error"),
    [("", ValueError), (None, TypeError), (7, TypeError), (b"x", TypeError), ("\ud800", ValueError)],
)
def test_what_is_no_name_is_refused(name: Any, error: type) -> None:
    with pytest.raises(error, match="name"):
        escape(name)


@pytest.mark.parametrize(("prefix", "error"), [("", ValueError), ("a::b", ValueError), (None, TypeError)])
def test_what_is_no_prefix_is_refused(prefix: Any, error: type) -> None:
    with pytest.raises(error, match="prefix"):
        Keys(prefix)
