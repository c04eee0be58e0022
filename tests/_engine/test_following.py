"""What follows a call on its connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import redis

from coord._engine.script import Command
from tests._engine.scripted import SAFE, ScriptedWire, deliver

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.anyio


def followed(answer: Callable[[Any, float], Any]) -> Any:
    call = Command("GET", parse=lambda replies: replies, repeatable=True)(["k"])
    return type(call)(call.what, call.keys, call.args, call.parse, call.repeatable, then=answer)


def test_what_follows_is_sent_on_the_same_connection_and_both_are_answered() -> None:
    wire = ScriptedWire(b"value", 1)
    seen: list[Any] = []

    def then(reply: Any, left: float) -> Any:
        assert wire.taken == 1, "the connection was given back"
        seen.append((reply, left))
        return ("WAIT", 1, 5)

    assert deliver(wire, followed(then), 10) == [b"value", 1]
    assert seen == [(b"value", 10)]
    assert wire.sent == [("GET", "k"), ("WAIT", 1, 5)]
    assert deliver(ScriptedWire(b"value"), followed(lambda *_: None)) == [b"value", None]
    assert deliver(ScriptedWire(b"value"), SAFE(["k"])) == b"value"


def test_a_refusal_of_what_follows_is_an_answer_and_a_broken_connection_begins_anew() -> None:
    refusal = redis.ResponseError("unknown command 'WAIT'")
    assert deliver(ScriptedWire(b"v", refusal), followed(lambda *_: ("WAIT", 1, 5))) == [b"v", refusal]

    wire = ScriptedWire(b"v", redis.ConnectionError("reset"), b"v", 2)
    assert deliver(wire, followed(lambda *_: ("WAIT", 1, 5))) == [b"v", 2]
    assert [words[0] for words in wire.sent] == ["GET", "WAIT", "GET", "WAIT"]
