"""A server named on a command line: reaching it, and saying in one line why not."""

from __future__ import annotations

import contextlib
import getpass
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote, unquote, urlsplit

import redis
from redis.exceptions import ClusterError, RedisClusterException, TryAgainError

from coord._engine.addresses import SECRET_OPTIONS
from coord._engine.urls import CALL_TIMEOUT, SHORTEST_CALL, Opened, open_sync
from coord.commands.terminal import printable
from coord.errors import CoordError, WrongKeyType

if TYPE_CHECKING:
    import argparse
    from collections.abc import Generator

__all__ = [
    "UNREACHABLE",
    "Refused",
    "Unreachable",
    "add_server_arguments",
    "answering",
    "one_line",
    "reached",
    "secrets_of",
    "url_of",
]

UNREACHABLE = (redis.RedisError, RedisClusterException, OSError, CoordError)
VARIABLES = ("COORD_URL", "REDIS_URL")
USUAL = "redis://localhost:6379"

LONGEST_CALL = 3600.0
"""Seconds that a call may take at most: nobody waits longer for one answer."""

TO_BE_ASKED_AGAIN = (ClusterError, redis.ReadOnlyError, TryAgainError)
"""Answers that only say that the server cannot now."""


class Refused(Exception):
    """What was asked for cannot be done. The message is one line for the user."""

    status = 2


class Unreachable(Refused):
    """The server does not answer, or not to this. What it did is unknown, and asking again may help."""

    status = 3


def add_server_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of every command that looks at a server."""
    where = f"the server (default: ${' or $'.join(VARIABLES)}, or {USUAL})"
    parser.add_argument("--url", help=where)
    secret = parser.add_mutually_exclusive_group()
    secret.add_argument("--ask-password", action="store_true", help="ask for the server's password")
    secret.add_argument("--password-file", metavar="FILE", help="read it from the first line of a file")
    parser.add_argument("--prefix", default="coord", help="what its keys begin with (default: %(default)s)")
    parser.add_argument(
        "--timeout",
        type=float,
        default=CALL_TIMEOUT,
        metavar="SECONDS",
        help="how long a call may take (default: %(default)g)",
    )
    parser.add_argument("--json", action="store_true", help="for programs")


def url_of(arguments: argparse.Namespace) -> str:
    """Find out which server is meant, with its password: neither has to be on the command line.

    Raises:
        Refused: There is no password where there should be one, or a second one.
    """
    given = (os.environ.get(name) for name in VARIABLES)
    url: str = arguments.url or next(filter(None, given), USUAL)
    password = _password(arguments)
    if password is None:
        return url
    scheme, found, rest = url.partition("://")
    end = min((at for at in map(rest.find, "/?#") if at >= 0), default=len(rest))
    user, _, host = rest[:end].rpartition("@")
    if not found or ":" in user or "password=" in rest[end:].replace("sentinel_password=", ""):
        raise Refused("the url has a password of its own, or is none" if found else "--url: it has no scheme")
    return f"{scheme}://{user}:{quote(password, safe='')}@{host}{rest[end:]}"


def _password(arguments: argparse.Namespace) -> str | None:
    if arguments.ask_password:
        if not sys.stdin.isatty():
            raise Refused("--ask-password needs a terminal; use --password-file, or $COORD_URL")
        password = getpass.getpass("password: ")
    elif arguments.password_file is not None:
        try:
            password = Path(arguments.password_file).read_text("utf-8").partition("\n")[0].rstrip("\r")
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "it is not UTF-8"
            raise Refused(f"--password-file {printable(arguments.password_file, 200)}: {why}") from None
    else:
        return None
    if not password:
        raise Refused("the password is empty")
    return password


@contextlib.contextmanager
def reached(url: str, *, no_memory: str, limit: float = CALL_TIMEOUT) -> Generator[Opened]:
    """Open a client, and see whether the server answers.

    Args:
        url: Where to connect.
        no_memory: Why ``memory://`` makes no sense here.
        limit: How many seconds each step may take.

    Raises:
        Refused: The URL is wrong.
        Unreachable: The server does not answer.
    """
    scheme, _, rest = url.partition("://")
    if scheme == "memory":
        raise Refused(f"memory:// {no_memory}")
    if not SHORTEST_CALL <= limit <= LONGEST_CALL:
        raise Refused(f"--timeout must be from {SHORTEST_CALL:g} to {LONGEST_CALL:g} seconds")
    shown = f"{scheme}://{rest.partition('?')[0].rpartition('@')[2]}"
    opened = _opened(url, shown, limit)
    try:
        try:
            opened.client.ping()
        except redis.AuthenticationError as error:
            raise Refused(f"the server refuses: {one_line(error, url)}") from None
        except (*UNREACHABLE, TypeError) as error:
            raise Unreachable(f"cannot reach {printable(shown, 200)}: {one_line(error, url)}") from None
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
        Refused: It answers with an error.
        Unreachable: It no longer answers, or cannot now.
    """
    try:
        yield
    except BrokenPipeError:  # that was our own output
        raise
    except WrongKeyType as error:
        raise Refused(printable(str(error), 1000)) from None
    except TO_BE_ASKED_AGAIN as error:
        raise Unreachable(f"the server cannot now: {one_line(error, url)}") from None
    except (redis.ResponseError, redis.AuthenticationError) as error:
        raise Refused(f"the server refuses: {one_line(error, url)}") from None
    except UNREACHABLE as error:
        raise Unreachable(f"the server no longer answers: {one_line(error, url)}") from None


def _opened(url: str, shown: str, limit: float) -> Opened:
    try:
        return open_sync(url, limit)
    except (ValueError, ImportError, TypeError) as error:
        raise Refused(f"--url: {one_line(error, url)}") from None
    except UNREACHABLE as error:
        raise Unreachable(f"cannot reach {printable(shown, 200)}: {one_line(error, url)}") from None


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
