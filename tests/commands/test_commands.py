from __future__ import annotations

import json
import os
from typing import Any

import pytest
from redis import Redis

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
        assert lines[0].split() == [
            "LOCK",
            "HOLDER",
            "MODE",
            "HELD",
            "FOR",
            "LEASE",
            "LEFT",
            "FENCE",
            "WAITERS",
        ]
        assert lines[2].startswith("invoice:42")
        assert f":{os.getpid()}" in lines[2]
        assert lines[2].split()[-2:] == [str(first.fence), "0"]
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
    assert coord(capsys, *question) == (1, "'api' throttles nobody: it has charged nothing\n", "")

    api = hub.token_bucket("api", "2/minute")
    for key, cost in {"ann": 2, "bob": 1, "ünïcode {x}": 2, "l" * 300: 2}.items():
        api.try_acquire(key, cost=cost)
    hub.sliding_window("logins", "1/minute").try_acquire("ann")
    hub.fixed_window("api:v2", "1/minute").try_acquire("ann")
    downloads = hub.concurrency_limit("downloads", limit=1, ttl=30)
    downloads.acquire("bob").release()
    held = downloads.acquire("ann")

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
    assert ("downloads", "concurrency", "ann") in listed
    assert len(listed) == 7
    assert "CLEAR IN" in coord(capsys, "limits", "list", *where)[1]

    status, said, _ = coord(capsys, "limits", "reset", "api", "ann", *where)
    assert (status, said) == (0, "forgot what 'api' had charged to 'ann', as a token bucket\n")
    assert api.status("ann").remaining == 2
    for key in ("ann", "bob", "ünïcode {x}", "l" * 300):
        api.reset(key)
    held.release()


def test_numbers_that_make_no_limit_are_refused(capsys: pytest.CaptureFixture[str], real_server: str) -> None:
    for words in (("1/fortnight",), ("5/s", "--cost", "6"), ("5/s burst 7", "--kind", "fixed")):
        status, said, complaint = coord(capsys, "limits", "throttled", "x", *words, "--url", real_server)

        assert (status, said, complaint.count("\n")) == (2, "", 1)


@pytest.mark.parametrize(
    "words",
    [
        ("limits",), ("limits", "list", "--url", "memory://"), ("limits", "throttled", "api"),
        ("limits", "throttled", "", "1/s"), ("limits", "reset", "x", ""),
        ("locks",), ("locks", "list", "--url", "memory://"), ("locks", "list", "--url", "redis://h/pw"),
        ("locks", "list", "--prefix", ""), ("locks", "show", ""), ("locks", "break", "x"),
        ("locks", "break", "x", "--reason", ""), ("nonsense",), ("board",), ("board", ""),
        ("board", "x", "--url", "memory://"), ("board", "x", "--timeout", "0"),
        ("locks", "list", "--limit", "0"), ("limits", "list", "--limit", "x"),
        ("board", "x", "--prefix", ""), ("board", "x", "--rows", "0"), ("board", "x", "--watch", "0"),
        ("board", "x", "--watch", "nan"), ("board", "x", "--ties", "none"), ("board", "x", "--ago", "1"),
        ("board", "x", "--period", "day", "--tz", "Mars"), ("board", "x", "--around", ""),
        ("board", "x", "--period", "all", "--ago", "1"), ("board", "x", "--shards", "0"),
        ("board", "x", "--shards", "2", "--period", "day"),
        ("board", "x", "--shards", "2", "--ties", "dense"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_one_line_and_status_2(
    capsys: pytest.CaptureFixture[str], real_server: str, words: Any
) -> None:
    where = () if words[0] != "board" or "--url" in words else ("--url", real_server)
    status, said, complaint = coord(capsys, *words, *where)

    assert (status, said) == (2, "")
    assert complaint.count("\n") == 1
    assert "pw" not in complaint


def test_a_board_is_shown(
    capsys: pytest.CaptureFixture[str], hub: Coord, real_server: str, prefix: str
) -> None:
    where = ("--url", real_server, "--prefix", prefix)
    assert coord(capsys, "board", "x", *where) == (1, "nobody is on 'x'\n", "")
    board = hub.leaderboard("x")
    board.submit_many({"ann": 1234567, "bob": 0.5, "cyd": 0.5, "e\x1b[2Jve": -3}, meta={"bob": "fast\n"})

    status, said, _ = coord(capsys, "board", "x", *where, "--rows", "3", "--ties", "fractional")
    assert status == 0
    assert said.splitlines() == [
        "x: 4 members",
        "RANK      SCORE  MEMBER  META",
        "   1  1,234,567  ann",
        " 2.5        0.5  bob     fast\\n",
        " 2.5        0.5  cyd",
    ]
    status, said, _ = coord(capsys, "board", "x", *where, "--around", "cyd", "--rows", "1", "--order", "asc")
    assert said.splitlines()[2].split() == ["2", "0.5", "cyd", "<"]
    assert coord(capsys, "board", "x", *where, "--around", "zed") == (1, "'zed' is not on 'x'\n", "")
    assert "\x1b" not in coord(capsys, "board", "x", *where)[1]

    status, said, _ = coord(capsys, "board", "x", *where, "--json", "--rows", "1")
    assert json.loads(said) == {
        "name": "x",
        "members": 4,
        "rows": [{"rank": 1, "member": "ann", "score": 1234567.0, "meta": None}],
    }
    board.clear()


def test_a_sharded_board_is_shown(
    capsys: pytest.CaptureFixture[str], hub: Coord, real_server: str, prefix: str
) -> None:
    where = ("--url", real_server, "--prefix", prefix, "--shards", "3")
    assert coord(capsys, "board", "x", *where) == (1, "nobody is on 'x'\n", "")
    board = hub.sharded_leaderboard("x", shards=3)
    board.store({"ann": 3, "bob": 2, "cyd": 2, "dan": 1}, meta={"dan": "last"})

    said = coord(capsys, "board", "x", *where, "--around", "dan", "--rows", "2")[1]
    assert said.splitlines() == [
        "x: 4 members",
        "RANK  SCORE  MEMBER  META",
        "   2      2  cyd",
        "   4      1  dan <   last",
    ]
    assert json.loads(coord(capsys, "board", "x", *where, "--json")[1])["members"] == 4
    board.clear()


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("board", ("board", "x")),
        ("board", ("board", "x", "--around", "ann")),
        ("shard", ("board", "x", "--shards", "1")),
        ("lock", ("locks", "show", "x")),
        ("lock", ("locks", "break", "x", "--reason", "why")),
    ],
)
def test_a_key_that_coord_did_not_write_is_named(
    capsys: pytest.CaptureFixture[str], real_server: str, prefix: str, kind: str, words: Any
) -> None:
    key = f"{prefix}:{kind}:{{{'x/1/0' if kind == 'shard' else 'x'}}}"
    with Redis.from_url(real_server) as raw:
        raw.rpush(key, "something else")
        status, said, complaint = coord(capsys, *words, "--url", real_server, "--prefix", prefix)
        raw.delete(key)

    assert (status, said, complaint.count("\n")) == (2, "", 1)
    assert key in complaint
    assert "did not write" in complaint
    assert "no longer answers" not in complaint


@pytest.mark.parametrize("words", [("board", "x"), ("limits", "reset", "x", "ann")], ids=" ".join)
def test_what_the_server_refuses_is_said(
    capsys: pytest.CaptureFixture[str], real_server: str, prefix: str, words: tuple[str, ...]
) -> None:
    with Redis.from_url(real_server) as raw:
        raw.acl_setuser("reader", enabled=True, passwords=["+pw"], commands=["+ping"], keys=["*"])
        try:
            url = real_server.replace("redis://", "redis://reader:pw@")
            status, said, complaint = coord(capsys, *words, "--url", url, "--prefix", prefix)
        finally:
            raw.acl_deluser("reader")

    assert (status, said, complaint.count("\n")) == (2, "", 1)
    assert "the server refuses" in complaint
    assert "pw" not in complaint


def test_a_period_of_a_board_is_shown(
    capsys: pytest.CaptureFixture[str], hub: Coord, real_server: str, prefix: str
) -> None:
    where = ("--url", real_server, "--prefix", prefix)
    hub.leaderboard("x", period="day").submit("ann", 1)

    assert "ann" in coord(capsys, "board", "x", *where, "--period", "day")[1]
    assert coord(capsys, "board", "x", *where, "--period", "day", "--ago", "1")[0] == 1
    hub.leaderboard("x", period="day").clear()


def test_a_board_is_watched_until_one_has_seen_enough(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    hub: Coord,
    real_server: str,
    prefix: str,
) -> None:
    board = hub.leaderboard("x")
    board.submit_many({"ann": 3, "bob": 2, "cyd": 1})
    happenings = [lambda: board.submit("cyd", 9), lambda: board.submit("new", 5)]

    def instead_of_sleep(seconds: float) -> None:
        assert seconds == 1
        if not happenings:
            raise KeyboardInterrupt
        happenings.pop(0)()

    monkeypatch.setattr("coord.commands.board.time.sleep", instead_of_sleep)
    status, said, _ = coord(capsys, "board", "x", "--watch", "1", "--url", real_server, "--prefix", prefix)
    lines = [line.split() for line in said.splitlines()]

    assert status == 0
    assert lines[:5] == [
        ["x:", "3", "members"], ["RANK", "SCORE", "MOVED", "MEMBER"], ["1", "3", "ann"], ["2", "2", "bob"],
        ["3", "1", "cyd"],
    ]  # fmt: skip
    assert lines[7:10] == [["1", "9", "+2", "cyd"], ["2", "3", "-1", "ann"], ["3", "2", "-1", "bob"]]
    assert lines[12:] == [
        ["1", "9", "cyd"],
        ["2", "5", "new", "new"],
        ["3", "3", "-1", "ann"],
        ["4", "2", "-1", "bob"],
    ]
    board.clear()
