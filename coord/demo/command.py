"""The command line of the demo: its arguments, and a run from start to end."""

from __future__ import annotations

import contextlib
import re
import secrets
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import redis

from coord import Coord
from coord.commands.server import UNREACHABLE, Refused, Unreachable, one_line, reached, secrets_of
from coord.commands.terminal import is_dumb, printable
from coord.demo.audit import gather
from coord.demo.fleet import Fleet
from coord.demo.logfile import Survey, chunks, survey
from coord.demo.progress import Progress
from coord.demo.report import Run, render
from coord.demo.traffic import generate
from coord.demo.worker import TTL, Orders

if TYPE_CHECKING:
    import argparse
    from collections.abc import Generator

    from coord._engine.urls import Opened
    from coord.demo.ledger import PlainClient

__all__ = ["add_arguments", "run"]

MOST_WORKERS = 64
"""Processes: each is a Python of its own, and more of them than cores only wait for one another."""

INTERRUPTED = 130
"""The exit status of what SIGINT ended, as shells have it: 128 + 2."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the demo's arguments."""
    parser.add_argument(
        "logfile",
        metavar="LOGFILE",
        nargs="?",
        type=Path,
        help="an access log in Combined Log Format (default: a generated day of traffic)",
    )
    parser.add_argument(
        "--url", default="embedded://", help="the server (default: embedded://, a private Valkey server)"
    )
    parser.add_argument(
        "--workers", metavar="N", default="4", help="how many processes, the last one async (default: 4)"
    )
    parser.add_argument("--kill-one", action="store_true", help="kill one worker midway, with SIGKILL")


def run(arguments: argparse.Namespace) -> int:
    """Run the demo.

    Returns:
        0 if the fleet's totals agree with the file, 1 if they do not, 3 if the server is lost, 130 if
        interrupted.

    Raises:
        Refused: Something about the arguments; nothing was started.
    """
    workers = _workers(arguments.workers, kill_one=arguments.kill_one)
    with contextlib.ExitStack() as stack:
        path = arguments.logfile or stack.enter_context(_generated())
        exact = _surveyed(path)
        alone = "lives inside one process, and the workers are others; try embedded://"
        opened = stack.enter_context(reached(arguments.url, no_memory=alone))
        title = "a generated day of traffic" if arguments.logfile is None else printable(path.name)
        print(f"{title}: {exact.lines:,} lines, {exact.size:,} bytes")
        try:
            return _read_together(arguments, path, exact, opened, workers)
        except KeyboardInterrupt:
            print("\ninterrupted; the workers are stopped")
            return INTERRUPTED


def _read_together(
    arguments: argparse.Namespace, path: Path, exact: Survey, opened: Opened, workers: int
) -> int:
    url = arguments.url if opened.server is None else opened.server.url
    prefix = f"coord-demo:{secrets.token_hex(6)}"
    cut = chunks(exact.size, workers)
    orders = [
        Orders(number, workers > 1 and number == workers, url, prefix, str(path.resolve()), exact.size, cut)
        for number in range(1, workers + 1)
    ]
    flavours = {one.worker: "async" if one.is_async else "sync" for one in orders}
    print(f"{_fleet(list(flavours.values()))} read it in {len(cut)} chunks, through {opened.shown}")
    progress = Progress(exact.lines, len(cut), TTL, secrets_of(url))
    try:
        with Fleet(orders, kill_one=arguments.kill_one, watcher=progress) as fleet:
            log = fleet.run()
        with Coord(opened.client, prefix=prefix) as coord:
            found = gather(coord, opened.client, prefix, len(cut))
    except UNREACHABLE as error:
        if isinstance(error, BrokenPipeError):  # that was our own output
            raise
        print(f"coord: the server no longer answers: {one_line(error, url)}", file=sys.stderr)
        return Unreachable.status
    finally:
        progress.close()
        _sweep(opened.client, prefix)
    if len(found.records) < len(cut):
        print(
            f"coord: no worker is left, and {len(found.records)} of {len(cut)} chunks are done",
            file=sys.stderr,
        )
        return 1
    if arguments.kill_one and log.kill is None:
        print("  nobody was killed: there was no chunk to hold")
    lines, agree = render(Run(exact, found, log, flavours, len(cut), fleet.ops))
    print("\n".join(_emphasised(lines)))
    return 0 if agree else 1


def _emphasised(lines: list[str]) -> list[str]:
    """Set the headings in bold, where that can be seen."""
    if is_dumb():
        return lines
    return [re.sub(r"^(\S.*?)(?=   |$)", "\x1b[1m\\1\x1b[0m", line) for line in lines]


def _workers(text: str, *, kill_one: bool) -> int:
    if not (re.fullmatch("[0-9]{1,3}", text) and 1 <= int(text) <= MOST_WORKERS):
        raise Refused(
            f"--workers must be a whole number from 1 to {MOST_WORKERS}, not {printable(text, 40)!r}"
        )
    if kill_one and int(text) < 2:  # noqa: PLR2004  # the one that is killed and one that goes on
        raise Refused("--kill-one needs at least 2 workers: one to kill, and one to carry on")
    return int(text)


@contextlib.contextmanager
def _generated() -> Generator[Path]:
    with tempfile.TemporaryDirectory(prefix="coord-demo-") as folder:
        path = Path(folder) / "access.log"
        path.write_text("".join(f"{line}\n" for line in generate()), encoding="utf-8")
        yield path


def _surveyed(path: Path) -> Survey:
    try:
        if path.exists() and not path.is_file():
            raise Refused(f"cannot read {printable(str(path), 200)}: it is not a regular file")
        return survey(path)
    except OSError as error:
        raise Refused(f"cannot read {printable(str(path), 200)}: {error.strerror}") from None


def _fleet(flavours: list[str]) -> str:
    count = len(flavours)
    if count == 1:
        return f"1 worker process ({flavours[0]})"
    return f"{count} worker processes ({flavours.count('sync')} sync, {flavours.count('async')} async)"


def _sweep(client: PlainClient, prefix: str) -> None:
    """Delete the run's keys. Should the server be gone, they are gone or will expire."""
    with contextlib.suppress(redis.RedisError):
        keys = list(client.scan_iter(match=f"{prefix}:*", count=1000))
        for start in range(0, len(keys), 1000):
            client.unlink(*keys[start : start + 1000])
