from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections import Counter
from datetime import date
from typing import TYPE_CHECKING

import pytest

from coord.__main__ import main
from coord.commands.terminal import printable
from coord.demo.ledger import Ledger, Record
from coord.demo.logfile import Range, chunks, parse, read_lines, survey
from coord.demo.traffic import generate

if TYPE_CHECKING:
    from pathlib import Path

REST = '"GET /a/b?c=d HTTP/1.1" 200 12 "-" "curl/8.0"'
STAMP = "[17/May/2015:10:05:03 +0000]"
GOOD = f"192.0.2.1 - - {STAMP} {REST}"


def test_a_good_line() -> None:
    assert parse(GOOD) == ("192.0.2.1", date(2015, 5, 17), "/a/b")


@pytest.mark.parametrize(
    "line",
    [
        f'192.0.2.1 - - {STAMP} "GET /a/b HTTP/1.1" 200',
        f'192.0.2.1 - - {STAMP} "GET /a/b HTTP/1.1" 200 12 "http://exam',
        f'192.0.2.1 - - {STAMP} "GET /a/b HTTP/1.1" 200 12 "-" "Mozilla/5.0 (compatible; bot',
        f'192.0.2.1 - - {STAMP} "GET /a/b" 404 -',
        f'192.0.2.1 - a user {STAMP} "GET /a/b HTTP/1.1" 200 12 "-" "say \\"hi\\""',
    ],
)
def test_what_follows_the_status_may_be_cut_off(line: str) -> None:
    entry = parse(line)
    assert entry is not None
    assert entry.page == "/a/b"


@pytest.mark.parametrize(
    ("request_line", "page"),
    [
        ("GET / HTTP/1.1", "/"),
        ("GET /?q=1 HTTP/1.1", "/"),
        ('GET /say\\"hi\\" HTTP/1.1', '/say\\"hi\\"'),
        ("GET /é HTTP/1.1", "/é"),
        ("-", "-"),
        ("", "-"),
        ("\\x16\\x03\\x01", "-"),
        ("GET ?x HTTP/1.1", "-"),
    ],
)
def test_the_page_is_the_path_without_its_query(request_line: str, page: str) -> None:
    entry = parse(f'192.0.2.1 - - {STAMP} "{request_line}" 200 1 "-" "-"')
    assert entry is not None
    assert entry.page == page


@pytest.mark.parametrize("host", ["::1", "2001:db8::7", "fe80::1%eth0", "host.example"])
def test_a_host_is_whatever_stands_first(host: str) -> None:
    entry = parse(f"{host} - - {STAMP} {REST}")
    assert entry is not None
    assert entry.host == host


@pytest.mark.parametrize(
    ("stamp", "day"),
    [
        ("17/May/2015:00:30:00 +0200", date(2015, 5, 16)),
        ("17/May/2015:23:30:00 -0100", date(2015, 5, 18)),
        ("17/May/2015:05:29:59 +0530", date(2015, 5, 16)),
        ("31/Dec/2015:23:00:00 -0330", date(2016, 1, 1)),
        ("29/Feb/2016:12:00:00 +0000", date(2016, 2, 29)),
        ("30/Jun/2015:23:59:60 +0000", date(2015, 6, 30)),
    ],
)
def test_the_day_is_that_of_utc(stamp: str, day: date) -> None:
    entry = parse(f"192.0.2.1 - - [{stamp}] {REST}")
    assert entry is not None
    assert entry.day == day


@pytest.mark.parametrize(
    "line",
    [
        "",
        "   ",
        "garbage",
        "192.0.2.1",
        "192.0.2.1 - - [17/May/2015:10:0",
        f"192.0.2.1 - - {STAMP}",
        f'192.0.2.1 - - {STAMP} "GET /a HTT',
        f'192.0.2.1 - - {STAMP} "GET /a HTTP/1.1"',
        f'192.0.2.1 - - {STAMP} "GET /a HTTP/1.1" 20',
        f'192.0.2.1 - - {STAMP} "GET /a HTTP/1.1" 2000',
        f"192.0.2.1 - - [29/Feb/2015:10:05:03 +0000] {REST}",
        f"192.0.2.1 - - [17/Mai/2015:10:05:03 +0000] {REST}",
        f"192.0.2.1 - - [17/May/2015:25:05:03 +0000] {REST}",
        f"192.0.2.1 - - [17/May/2015:10:05:03 +9900] {REST}",
        f"192.0.2.1 - - [17/May/2015:10:05:03] {REST}",
        f"192.0.2.1 - - [17/May/0001:10:05:03 +0000] {REST}",
        f"192.0.2.1 - - [31/Dec/9999:23:59:59 -0100] {REST}",
    ],
)
def test_a_bad_line_is_none(line: str) -> None:
    assert parse(line) is None


LINES = [b"a", b"", b"bb", b"c" * 100, b"\xff\xfe", b"", b"last"]


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("closed", [True, False])
def test_every_line_is_read_in_exactly_one_chunk(tmp_path: Path, end: bytes, closed: bool) -> None:
    path = tmp_path / "log"
    path.write_bytes(end.join(LINES) + (end if closed else b""))
    size = path.stat().st_size
    expected = [line.decode(errors="backslashreplace") for line in LINES]
    for length in range(1, size + 1):
        parts = [Range(start, min(start + length, size)) for start in range(0, size, length)]
        assert [line for part in parts for line in read_lines(path, part, size)] == expected


def test_what_is_appended_later_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one\ntw")
    size = path.stat().st_size
    with path.open("ab") as file:
        file.write(b"o\nthree\n")
    for cut in range(1, size):
        parts = [Range(0, cut), Range(cut, size)]
        assert [line for part in parts for line in read_lines(path, part, size)] == ["one", "tw"]


@pytest.mark.parametrize("workers", [1, 4, 64])
@pytest.mark.parametrize("size", [0, 1, 2047, 2048, 100_000, 2_370_789, 10**10])
def test_chunks_cover_every_byte_once(size: int, workers: int) -> None:
    parts = chunks(size, workers)
    assert len(parts) <= 512
    assert [part.start for part in parts] == [0, *(part.end for part in parts[:-1])][: len(parts)]
    assert (parts[-1].end if parts else 0) == size
    assert all(part.start < part.end for part in parts)


def test_the_survey_of_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.touch()
    found = survey(path)
    assert (found.lines, found.requests, found.bad, found.first_bad) == (0, 0, 0, {})


def test_the_survey_keeps_the_first_bad_lines(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("\n".join([GOOD, "bad", GOOD, "", *["x"] * 9]))
    found = survey(path)
    assert (found.requests, found.bad) == (2, 11)
    assert found.first_bad == {2: "bad", 4: "", 5: "x", 6: "x", 7: "x"}


def test_what_comes_from_outside_cannot_command_the_terminal() -> None:
    assert printable("a\x1b[2J\r\n\x9b\u202eb", 40) == "a\\x1b[2J\\r\\n\\x9b\\u202eb"
    assert printable("x" * 50, 10) == "x" * 9 + "…"


def test_the_generated_log_is_the_same_each_time() -> None:
    assert generate(300) == generate(300)
    assert len(generate(300)) == 300


def test_the_ledger_adds_up_what_it_has_read() -> None:
    ledger = Ledger(3)
    record = Record(1, 2, 30, 4, 0, {"2015-05-17": 4}, {"/": 3, "/é": 1}, {}, 9)
    ledger.add(Record.loads(record.dumps()))
    assert ledger.records == {1: record}
    assert ledger.pages == {"/": 3, "/é": 1}
    assert ledger.missing() == [0, 2]
    assert ledger.unread([b"1", "2"]) == [2]


def coord(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "coord", "demo", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONUTF8": "1"},
    )


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("log") / "access.log"
    path.write_text("\n".join(generate(1500, days=3)))
    return path


@pytest.mark.parametrize("options", [["--workers", 1], ["--workers", 2], ["--workers", 2, "--kill-one"]])
def test_the_report_says_what_the_file_says(log: Path, options: list[object]) -> None:
    lines = [line.split(" ") for line in log.read_text().split("\n")]
    good = [words for words in lines if len(words) > 8 and words[5].startswith('"GET')]
    pages = Counter(words[6].partition("?")[0] for words in good)
    days: dict[str, list[str]] = {}
    for words in good:
        days.setdefault(words[3][1:12], []).append(words[0])

    done = coord(log, *options)

    assert (done.returncode, done.stderr) == (0, "")
    assert f"Requests   {len(good):,} in 1,500 lines, 3 bad lines\n" in done.stdout
    rows = re.findall(r"^  2025-03-(\d\d) +([\d,]+) .* ([\d,]+)$", done.stdout, re.MULTILINE)
    assert rows == [(day[:2], str(len(hosts)), str(len(set(hosts)))) for day, hosts in sorted(days.items())]
    loyal = len(set.intersection(*map(set, days.values())))
    assert f"Active on each of the 3 days   {loyal} visitors (exactly {loyal})" in done.stdout
    ranked = re.findall(r"^ +\d+  (/\S*) +(\d+)$", done.stdout, re.MULTILINE)
    assert ranked[0] == (pages.most_common(1)[0][0], str(pages.most_common(1)[0][1]))
    assert all(pages[page] == int(count) for page, count in ranked)
    assert len(ranked) == 8
    worked = re.findall(r"^  worker \d +(a?sync) +(\d+) chunks? +([\d,]+) lines", done.stdout, re.MULTILINE)
    assert [flavour for flavour, _, _ in worked] == ["sync", "async"][: len(worked)]
    assert sum(int(count.replace(",", "")) for _, _, count in worked) == 1500
    assert (
        f"The totals agree with the file: {len(good):,} requests, {len(pages)} pages, 3 days" in done.stdout
    )
    assert ("killed (SIGKILL) as it took chunk" in done.stdout) is ("--kill-one" in options)


def test_an_empty_file_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.touch()
    done = coord(path, "--workers", 1)
    assert (done.returncode, done.stderr) == (0, "")
    assert "The totals agree with the file: 0 requests" in done.stdout


def test_interrupted_it_stops_its_workers_and_says_so(log: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "coord", "demo", str(log), "--workers", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1"},
        text=True,
        # A job in the background of a shell ignores Ctrl-C, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    assert process.stdout is not None
    while "worker processes" not in process.stdout.readline():
        pass
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "")
    assert "interrupted" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["no/such/file"], "no/such/file: No such file or directory"),
        (["."], "not a regular file"),
        (["--url", "redis://:hush@127.0.0.1:1"], "cannot reach redis://127.0.0.1:1"),
        (
            ["--url", "redis+sentinel://:hush@127.0.0.1:1/main"],
            "cannot reach redis+sentinel://127.0.0.1:1/main",
        ),
        (["--url", "redis+cluster://:hush@127.0.0.1:1"], "cannot reach redis+cluster://127.0.0.1:1"),
        (["--url", "redis://:hush/hush@127.0.0.1:1"], "percent-encoded"),
        (["--url", "redis://:hush@[127.0.0.1:1"], "percent-encoded"),
        (["--url", "http://:hush@127.0.0.1:1"], "scheme"),
        (["--url", "memory://"], "memory://"),
        (["--workers", "0"], "--workers must be"),
        (["--workers", "many"], "--workers must be"),
        (["--workers", "65"], "--workers must be"),
        (["--workers", "1", "--kill-one"], "--kill-one needs at least 2 workers"),
        (["--nonsense"], "--nonsense"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_a_status(
    arguments: list[str], said: str, log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = [] if arguments[0][0] != "-" else [str(log)]
    assert main(["demo", *arguments, *file]) == (3 if "cannot reach" in said else 2)
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert err.count("\n") == 1
    assert "hush" not in out + err


def test_help_is_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--help"]) == 0
    assert "--kill-one" in capsys.readouterr().out


def test_importing_coord_leaves_the_demo_alone() -> None:
    code = "import sys, coord; sys.exit(any(name.startswith('coord.demo') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
