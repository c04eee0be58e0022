"""A server named on a command line: reaching it, and saying in one line why not."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

import redis
from redis.exceptions import RedisClusterException

from coord._engine.addresses import SECRET_OPTIONS
from coord._engine.urls import Opened, open_sync
from coord.errors import CoordError, WrongKeyType

if TYPE_CHECKING:
    import argparse
    from collections.abc import Collection, Generator, Sequence

__all__ = [
    "UNREACHABLE",
    "WIDEST",
    "Refused",
    "add_server_arguments",
    "answering",
    "one_line",
    "printable",
    "reached",
    "seconds",
    "secrets_of",
    "table",
]

WIDEST = 48
"""The most letters of a name that a table shows."""

UNREACHABLE = (redis.RedisError, RedisClusterException, OSError, CoordError)


class Refused(Exception):
    """What was asked for cannot be done. The message is one line for the user."""


def add_server_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of every command that looks at a server."""
    parser.add_argument("--url", default="redis://localhost:6379", help="the server (default: %(default)s)")
    parser.add_argument("--prefix", default="coord", help="what its keys begin with (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="for programs")


@contextlib.contextmanager
def reached(url: str, *, no_memory: str) -> Generator[Opened]:
    """Open a client, and see whether the server answers.

    Args:
        url: Where to connect.
        no_memory: Why ``memory://`` makes no sense here.

    Raises:
        Refused: It cannot be reached.
    """
    scheme, _, rest = url.partition("://")
    if scheme == "memory":
        raise Refused(f"memory:// {no_memory}")
    shown = f"{scheme}://{rest.partition('?')[0].rpartition('@')[2]}"
    opened = _opened(url, shown)
    try:
        try:
            opened.client.ping()
        except (*UNREACHABLE, TypeError) as error:
            raise Refused(f"cannot reach {printable(shown, 200)}: {one_line(error, url)}") from None
        yield opened
    finally:
        for client in (opened.client, *opened.helpers):
            client.close()
        if opened.server is not None:
            opened.server.close()


@contextlib.contextmanager
def answering(url: str) -> Generator[None]:
    """Say in one line what a server that was reached would not do.

    Raises:
        Refused: It no longer answers, or answers with an error.
    """
    try:
        yield
    except WrongKeyType as error:
        raise Refused(printable(str(error), 1000)) from None
    except redis.ResponseError as error:
        raise Refused(f"the server refuses: {one_line(error, url)}") from None
    except UNREACHABLE as error:
        raise Refused(f"the server no longer answers: {one_line(error, url)}") from None


def _opened(url: str, shown: str) -> Opened:
    try:
        return open_sync(url)
    except (ValueError, ImportError, TypeError) as error:
        raise Refused(f"--url: {one_line(error, url)}") from None
    except UNREACHABLE as error:
        raise Refused(f"cannot reach {printable(shown, 200)}: {one_line(error, url)}") from None


def one_line(error: Exception, url: str) -> str:
    """Spell an error in one line, without the secrets of ``url``."""
    told, _, _ = str(error).partition(" : <")  # a Sentinel's complaint goes on with the repr of a client
    text = " ".join(told.split()) or type(error).__name__
    for secret in secrets_of(url):
        text = text.replace(secret, "***")
    return printable(text, 300)


def secrets_of(url: str) -> frozenset[str]:
    """Return what of ``url`` must not be shown."""
    try:
        parts = urlsplit(url)
    except ValueError:  # then no error quotes it either
        return frozenset()
    password = parts.netloc.rpartition("@")[0].partition(":")[2]
    options = parse_qs(parts.query)
    by_option = [value for name in SECRET_OPTIONS for value in options.get(name, [])]
    return frozenset({password, unquote(password), *by_option} - {""})


def printable(text: str, width: int = 72) -> str:
    """Spell what came from outside so that a terminal shows it and does not obey it."""
    shown = "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text[: width + 1]
    )
    return shown if len(shown) <= width else shown[: width - 1] + "…"


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], numbers: Collection[str]) -> list[str]:
    """Lay rows out in columns; those whose heading is among ``numbers`` to the right."""
    widths = [max(len(row[column]) for row in (headings, *rows)) for column in range(len(headings))]
    return [
        "  ".join(
            cell.rjust(width) if heading in numbers else cell.ljust(width)
            for heading, cell, width in zip(headings, row, widths, strict=True)
        ).rstrip()
        for row in (headings, *rows)
    ]


def seconds(value: float | None) -> str:
    """Spell a duration."""
    return "?" if value is None else f"{value:,.1f} s"
