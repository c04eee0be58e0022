from __future__ import annotations

import json
import os
from typing import Any

import pytest

from coord import Coord, LockLost
from coord.__main__ import main


def coord(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = main(list(words))
    said = capsys.readouterr()
    return status, said.out, said.err


@pytest.fixture
def hub(real_server: str, prefix: str) -> Any:
    with Coord.connect(real_server, prefix=prefix) as hub:
        yield hub


def test_the_locks_that_are_held_are_listed(
    capsys: pytest.CaptureFixture[str], hub: Coord, real_server: str, prefix: str
) -> None:
    where = ("--url", real_server, "--prefix", prefix)
    assert coord(capsys, "locks", "list", *where) == (0, "nothing is locked\n", "")

    with hub.lock("invoice:42", ttl=5) as first, hub.lock("ünïcode {x}"), hub.lock("l" * 300), hub.lock("y"):
        hub.lock("free").acquire().release()
        status, said, _ = coord(capsys, "locks", "list", *where)
        lines = said.splitlines()
        assert status == 0
        assert len(lines) == 5
        assert lines[0].split() == ["LOCK", "HOLDER", "HELD", "FOR", "LEASE", "LEFT", "FENCE"]
        assert lines[2].startswith("invoice:42")
        assert f":{os.getpid()}" in lines[2]
        assert lines[2].endswith(str(first.fence))
        assert lines[1].startswith("#")

        status, said, _ = coord(capsys, "locks", "list", "--json", *where)
        rows = {row["name"]: row for row in json.loads(said)}
        assert rows["ünïcode {x}"]["held"]
        assert rows["invoice:42"]["fence"] == first.fence
        assert first.token not in said


def test_a_lock_is_shown_and_broken(
    capsys: pytest.CaptureFixture[str], hub: Coord, real_server: str, prefix: str
) -> None:
    where = ("--url", real_server, "--prefix", prefix)
    assert coord(capsys, "locks", "show", "x", *where) == (1, "nobody holds 'x'\n", "")
    lease = hub.lock("x").acquire()
    status, said, _ = coord(capsys, "locks", "show", "x", *where)
    assert (status, str(lease.fence) in said) == (0, True)

    status, said, _ = coord(capsys, "locks", "break", "x", "--reason", "the host is gone", *where)
    assert (status, said.startswith("broke 'x', which ")) == (0, True)
    with pytest.raises(LockLost):
        lease.release()
    status, said, _ = coord(capsys, "locks", "show", "x", *where)
    assert status == 1
    assert "last broken because: the host is gone" in said
    status, said, _ = coord(capsys, "locks", "break", "x", "--reason", "again", "--json", *where)
    assert (status, json.loads(said)["broken"]) == (1, False)


def test_who_is_throttled_is_listed(
    capsys: pytest.CaptureFixture[str], hub: Coord, real_server: str, prefix: str
) -> None:
    where = ("--url", real_server, "--prefix", prefix)
    assert coord(capsys, "limits", "list", *where) == (0, "nothing is charged to anybody\n", "")
    question = ("limits", "throttled", "api", "2/minute", *where)
    assert coord(capsys, *question) == (1, "'api' throttles nobody\n", "")

    api = hub.token_bucket("api", "2/minute")
    for key, cost in {"ann": 2, "bob": 1, "ünïcode {x}": 2, "l" * 300: 2}.items():
        api.try_acquire(key, cost)
    hub.sliding_window("logins", "1/minute").try_acquire("ann")
    hub.fixed_window("api:v2", "1/minute").try_acquire("ann")

    status, said, _ = coord(capsys, *question)
    lines = said.splitlines()
    assert (status, len(lines)) == (0, 4)
    assert lines[0].split() == ["KEY", "REMAINING", "RETRY", "IN", "CLEAR", "IN"]
    status, said, _ = coord(capsys, *question, "--json")
    rows = {row["key"]: row for row in json.loads(said)}
    assert {key for key in rows if not key.startswith("#")} == {"ann", "ünïcode {x}"}
    assert rows["ann"]["remaining"] == 0
    assert 29 < rows["ann"]["retry_after"] <= 30

    status, said, _ = coord(capsys, "limits", "throttled", "logins", "1/minute", "--kind", "sliding", *where)
    assert (status, said.splitlines()[1].split()[0]) == (0, "ann")
    status, said, _ = coord(capsys, "limits", "list", "--json", *where)
    listed = [(row["name"], row["kind"], row["key"]) for row in json.loads(said)]
    assert ("logins", "window", "ann") in listed
    assert ("api:v2", "fixed", "ann") in listed
    assert len(listed) == 6
    assert "CLEAR IN" in coord(capsys, "limits", "list", *where)[1]

    status, said, _ = coord(capsys, "limits", "reset", "api", "ann", *where)
    assert (status, said) == (0, "forgot what 'api' had charged to 'ann'\n")
    assert api.peek("ann").remaining == 2
    for key in ("ann", "bob", "ünïcode {x}", "l" * 300):
        api.reset(key)


def test_numbers_that_make_no_limit_are_refused(capsys: pytest.CaptureFixture[str], real_server: str) -> None:
    for words in (("1/fortnight",), ("5/s", "--cost", "6"), ("5/s burst 7", "--kind", "fixed")):
        status, said, complaint = coord(capsys, "limits", "throttled", "x", *words, "--url", real_server)

        assert (status, said, complaint.count("\n")) == (2, "", 1)


@pytest.mark.parametrize(
    "words",
    [
        ("limits",), ("limits", "list", "--url", "memory://"), ("limits", "throttled", "api"),
        ("limits", "throttled", "", "1/s"), ("limits", "reset", "x", ""),
        ("limits", "list", "--url", "redis://:pw@127.0.0.1:1"),
        ("locks",), ("locks", "list", "--url", "memory://"), ("locks", "list", "--url", "redis://:pw@127.0.0.1:1"),
        ("locks", "list", "--prefix", ""), ("locks", "show", ""), ("locks", "break", "x"),
        ("locks", "break", "x", "--reason", ""), ("nonsense",),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_one_line_and_status_2(capsys: pytest.CaptureFixture[str], words: Any) -> None:
    status, said, complaint = coord(capsys, *words)

    assert (status, said) == (2, "")
    assert complaint.count("\n") == 1
    assert "pw" not in complaint
