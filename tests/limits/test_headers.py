"""A decision as the headers of an answer."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coord import Decision

pytestmark = pytest.mark.anyio


def decision(**other: Any) -> Decision:
    fields = {
        "allowed": False, "limit": 20, "remaining": 0, "retry_after": 1.2, "reset_after": 60.000_01,
        "name": "api", "window": 60.0,
    }  # fmt: skip
    return Decision(**{**fields, **other})


def test_headers_as_structured_fields() -> None:
    assert decision().headers() == {
        "RateLimit-Policy": '"api";q=20;w=60',
        "RateLimit": '"api";r=0;t=61',
        "Retry-After": "2",
    }
    allowed = decision(allowed=True, remaining=7, retry_after=0.0, reset_after=0.5, window=0.25)
    assert allowed.headers() == {"RateLimit-Policy": '"api";q=20;w=1', "RateLimit": '"api";r=7;t=1'}
    both = decision(parts=(decision(name="rpm", remaining=3), decision(name='t"ü\\\n')))
    assert both.headers()["RateLimit"] == '"rpm";r=3;t=61, "t%22%C3%BC%5C%0A";r=0;t=61'
    assert decision(name="").headers()["RateLimit"].startswith('"default"')


def test_headers_in_the_older_style() -> None:
    assert decision(retry_after=0.000_001).headers("x") == {
        "X-RateLimit-Limit": "20",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": "61",
        "Retry-After": "1",
    }
    with pytest.raises(ValueError, match="style"):
        decision().headers("y")  # type: ignore[arg-type]


@given(
    retry=st.floats(0, 1e9, allow_nan=False),
    reset=st.floats(0, 1e9, allow_nan=False),
    jitter=st.floats(0, 100),
)
def test_headers_are_whole_seconds_and_never_earlier_than_the_truth(
    retry: float, reset: float, jitter: float
) -> None:
    fields = decision(retry_after=retry, reset_after=reset).headers(jitter=jitter)
    after = int(fields["Retry-After"])

    assert max(1, retry - 1e-6) <= after <= math.ceil(retry + jitter) + 1
    found = re.fullmatch(r'"api";r=0;t=(\d+)', fields["RateLimit"])
    assert found is not None
    assert int(found[1]) >= reset - 1e-6
