"""Long lists: streamed, cut to what was asked for, and not hidden by keys that coord did not write."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from redis import Redis

from coord import Coord
from coord.__main__ import main
from coord.commands.terminal import table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support import servers

MANY = 1200
"""Locks: several pages of a listing."""


@pytest.fixture
def hub(real_server: str, prefix: str) -> Iterator[Coord]:
    with Coord.connect(real_server, prefix=prefix) as hub:
        yield hub


@pytest.fixture
def where(real_server: str, prefix: str) -> list[str]:
    return ["--url", real_server, "--prefix", prefix]


def test_one_key_that_coord_did_not_write_does_not_hide_the_others(
    capsys: pytest.CaptureFixture[str], hub: Coord, where: list[str], real_server: str, prefix: str
) -> None:
    bucket = hub.token_bucket("api", "2/minute")
    bucket.try_acquire("ann", cost=2)
    strange: dict[str, list[bytes]] = {
        "lock": [b"{}", b"{a b}", b"{%}", b"{x}:{y}", b"{\xff}", b"{list}"],
        "bucket": [b"{}:api", b"{u}:", b"{a b}:api", b"{\xff}:api", b"{u", b"{list}:api"],
    }
    with Redis.from_url(real_server) as raw, hub.lock("visible"):
        keys = [f"{prefix}:{kind}:".encode() + name for kind, names in strange.items() for name in names]
        for key in keys:
            raw.rpush(key, "something else")
        try:
            assert main(["locks", "list", "--json", *where]) == 0
            locks = capsys.readouterr()
            assert main(["limits", "list", "--json", *where]) == 0
            limits = capsys.readouterr()
            assert main(["limits", "throttled", "api", "2/minute", "--json", *where]) == 0
            throttled = capsys.readouterr()
        finally:
            raw.delete(*keys)

    assert [row["name"] for row in json.loads(locks.out)] == ["visible"]
    assert locks.err == "coord: skipped 6 keys that coord did not write\n"
    assert [row["key"] for row in json.loads(limits.out)] == ["ann"]
    assert limits.err == "coord: skipped 5 keys that coord did not write\n"
    assert [row["key"] for row in json.loads(throttled.out)] == ["ann"]
    assert throttled.err == "coord: skipped 4 keys that coord did not write\n"


def test_a_long_list_is_read_in_few_steps_and_may_be_cut_short(
    capsys: pytest.CaptureFixture[str], own_server: servers.Process
) -> None:
    where = ["--url", f"redis://{own_server.address}"]
    with Redis(port=own_server.port) as raw, Coord(raw) as hub:
        for number in range(MANY):
            hub.lock(f"job:{number}", ttl=600).acquire()
        hub.lock("other", ttl=600).acquire()
        before = int(raw.info("stats")["total_reads_processed"])
        assert main(["locks", "list", "--json", *where]) == 0
        rows = json.loads(capsys.readouterr().out)
        reads = int(raw.info("stats")["total_reads_processed"]) - before

        assert {row["name"] for row in rows} == {f"job:{number}" for number in range(MANY)} | {"other"}
        assert reads < MANY / 4

        assert main(["locks", "list", *where]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == MANY + 2
        assert sum(line.startswith("LOCK ") for line in lines) == 1

        assert main(["locks", "list", "--match", "job:1?", "--json", *where]) == 0
        assert [row["name"] for row in json.loads(capsys.readouterr().out)] == [
            f"job:1{n}" for n in range(10)
        ]
        assert main(["locks", "list", "--limit", "7", "--json", *where]) == 0
        said = capsys.readouterr()
        assert len(json.loads(said.out)) == 7
        assert said.err == "coord: there are more than --limit\n"
        assert main(["locks", "list", "--match", "nothing*", *where]) == 0
        assert capsys.readouterr().out == "nothing is locked\n"
        assert main(["locks", "list", "--match", "nothing*", "--json", *where]) == 0
        assert json.loads(capsys.readouterr().out) == []


def test_who_has_read_enough_is_not_told_of_it(own_server: servers.Process) -> None:
    with Redis(port=own_server.port) as raw, Coord(raw) as hub:
        for number in range(MANY):
            hub.lock(f"job:{number}", ttl=600).acquire()
    words = [
        sys.executable,
        "-m",
        "coord",
        "locks",
        "list",
        "--json",
        "--url",
        f"redis://{own_server.address}",
    ]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as command:
        assert command.stdout is not None
        assert command.stderr is not None
        command.stdout.readline()
        command.stdout.close()
        complaint = command.stderr.read()

    assert complaint == ""
    assert command.returncode == 1


@pytest.mark.parametrize("kind", ["token_bucket", "sliding_window", "fixed_window", "concurrency_limit"])
def test_a_reset_finds_the_kind_or_says_that_there_is_none(
    capsys: pytest.CaptureFixture[str], hub: Coord, where: list[str], kind: str
) -> None:
    made: Any = getattr(hub, kind)
    limiter = (
        made("logins", limit=1) if kind == "concurrency_limit" else made("logins", "1/minute", deny_cache=0)
    )
    take = limiter.try_acquire
    assert take("ann")
    assert not take("ann")

    other = "fixed" if kind == "token_bucket" else "bucket"
    assert main(["limits", "reset", "logins", "ann", "--kind", other, *where]) == 1
    assert f"but as a {kind.replace('_', ' ')}" in capsys.readouterr().out
    assert not take("ann")
    assert main(["limits", "reset", "logins", "ann", *where]) == 0
    assert take("ann")
    limiter.reset("ann")
    assert main(["limits", "reset", "logins", "ann", "--json", *where]) == 1
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["reset"] is False


def test_who_is_throttled_is_found_whatever_the_kind(
    capsys: pytest.CaptureFixture[str], hub: Coord, where: list[str]
) -> None:
    window = hub.sliding_window("logins", "1/minute")
    window.try_acquire("ann")
    assert main(["limits", "throttled", "logins", "1/minute", *where]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[0] == "ann"
    assert main(["limits", "throttled", "logins", "1/minute", "--kind", "fixed", *where]) == 2
    assert "is a sliding window; say --kind sliding" in capsys.readouterr().err

    hub.fixed_window("logins", "1/minute").try_acquire("ann")
    assert main(["limits", "throttled", "logins", "1/minute", *where]) == 2
    assert "say --kind sliding or fixed" in capsys.readouterr().err
    with hub.concurrency_limit("downloads", limit=1).hold("ann"):
        assert main(["limits", "throttled", "downloads", "1/minute", *where]) == 2
        assert "is a concurrency limit" in capsys.readouterr().err
    hub.fixed_window("logins", "1/minute").reset("ann")
    window.reset("ann")


def test_a_board_of_periods_or_shards_says_so(
    capsys: pytest.CaptureFixture[str], hub: Coord, where: list[str]
) -> None:
    periods = hub.leaderboard("x", period=["day", "month"])
    periods.submit("ann", 1)
    shards = hub.sharded_leaderboard("y", shards=3)
    shards.submit("ann", 1)

    assert main(["board", "x", *where]) == 1
    assert "in periods: day, month; say which by --period" in capsys.readouterr().err
    assert main(["board", "x", "--period", "week", *where]) == 1
    assert "in periods: day, month" in capsys.readouterr().err
    assert main(["board", "y", *where]) == 1
    assert "in shards: say --shards 3" in capsys.readouterr().err
    assert main(["board", "z", *where]) == 1
    assert capsys.readouterr().err == ""
    periods.clear()
    shards.clear()


def test_a_table_fits_where_it_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    row = ("n" * 48, "h" * 48, "several", "1,234.5 s", "1,234.5 s", "1795906232415331", "12")
    headings = ("LOCK", "HOLDER", "MODE", "HELD FOR", "LEASE LEFT", "FENCE", "WAITERS")
    monkeypatch.setenv("COLUMNS", "80")
    lines = table(headings, [row], headings[3:])
    assert max(map(len, lines)) == 80
    assert all(number in lines[1] for number in row[3:])

    monkeypatch.delenv("COLUMNS")
    assert "n" * 48 in table(headings, [row], headings[3:])[1], "what goes into a pipe is whole"
