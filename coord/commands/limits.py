"""``coord limits``: what is charged, who is throttled now; and letting somebody go on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

from coord._engine.keys import Keys, escape
from coord._engine.port import step
from coord.commands.server import (
    WIDEST,
    Refused,
    add_server_arguments,
    answering,
    printable,
    reached,
    seconds,
    table,
)
from coord.hub import Coord
from coord.limits.policy import Item

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator

    from coord._engine.urls import Opened
    from coord.limits.policy import Policy

__all__ = ["add_arguments", "run"]

FAMILIES = ("bucket", "window", "fixed", "concurrency")
KINDS = ("bucket", "sliding", "exact", "approximate", "fixed")


class _Found(NamedTuple):
    """A limit's key, taken apart. A long name is kept as a hash only, which is shown as it is."""

    key: str
    family: str
    name: str
    subject: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    shared = parser.__class__(add_help=False)
    add_server_arguments(shared)
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    about = {
        "list": "whatever is charged to anybody, or held (by SCAN, so what is new may be missed)",
        "throttled": "who would be denied now; a limit's numbers are not on the server, so say them",
        "reset": "forget what is charged to somebody",
    }
    made = {name: verbs.add_parser(name, help=text, parents=[shared]) for name, text in about.items()}
    for name in ("throttled", "reset"):
        made[name].add_argument("name", metavar="NAME", help="the limiter's name")
        made[name].add_argument("--kind", choices=KINDS, default="bucket", help="(default: %(default)s)")
    made["throttled"].add_argument("spec", metavar="SPEC", help="its numbers, such as '100/minute burst 20'")
    made["throttled"].add_argument("--cost", type=int, default=1, help="of the call (default: %(default)s)")
    made["reset"].add_argument("key", metavar="KEY", help="whom or what")
    for name, sub in made.items():
        sub.set_defaults(verb=name)


def run(arguments: argparse.Namespace) -> int:
    """Run the command.

    Returns:
        0; 1 if nobody is throttled.

    Raises:
        Refused: The server cannot be reached, or an argument is off.
    """
    try:
        Keys(arguments.prefix)
        for text in (getattr(arguments, "name", "x"), getattr(arguments, "key", "x")):
            escape(text)
    except ValueError as error:
        raise Refused(str(error)) from None
    nothing_to_see = "lives inside one process; there is nothing to see"
    with reached(arguments.url, no_memory=nothing_to_see) as opened, answering(arguments.url):
        coord = Coord(opened.client, prefix=arguments.prefix)
        try:
            if arguments.verb == "reset":
                return _reset(coord, arguments)
            before = f"{Keys(arguments.prefix).prefix}:"
            found = _taken_apart(_scanned(opened, before), before)
            if arguments.verb == "throttled":
                return _throttled(coord, found, arguments)
            lasting = ((one, int(opened.client.pttl(one.key)) / 1000) for one in found)
            return _list([row for row in lasting if row[1] > 0], as_json=arguments.json)
        except (ValueError, TypeError) as error:
            raise Refused(str(error)) from None


def _scanned(opened: Opened, before: str) -> Iterator[bytes | str]:
    for family in FAMILIES:
        yield from opened.client.scan_iter(f"{before}{family}:{{*", count=1000)


def _taken_apart(keys: Iterable[bytes | str], before: str) -> Iterator[_Found]:
    for one in keys:
        key = one.decode() if isinstance(one, bytes) else one
        family, _, rest = key[len(before) :].partition(":{")
        subject, _, name = rest.partition("}:")
        if ":" not in name:  # not one of the further keys that a concurrency limit has
            yield _Found(key, family, unquote(name), unquote(subject))


def _list(rows: list[tuple[_Found, float]], *, as_json: bool) -> int:
    rows.sort(key=lambda row: (row[0].name, -row[1], row[0].subject))
    if as_json:
        told = [
            {"name": one.name, "kind": one.family, "key": one.subject, "reset_after": left}
            for one, left in rows
        ]
        print(json.dumps(told, indent=2))
    elif rows:
        cells = [
            (printable(one.name, WIDEST), one.family, printable(one.subject, WIDEST), seconds(left))
            for one, left in rows
        ]
        print("\n".join(table(("LIMIT", "KIND", "KEY", "CLEAR IN"), cells, ["CLEAR IN"])))
    else:
        print("nothing is charged to anybody")
    return 0


def _policy(coord: Coord, name: str, spec: str, kind: str) -> Policy:
    if kind == "bucket":
        return coord.token_bucket(name, spec)._flow._policy
    if kind == "fixed":
        return coord.fixed_window(name, spec)._flow._policy
    if kind == "sliding":
        return coord.sliding_window(name, spec)._flow._policy
    return coord.sliding_window(
        name, spec, precision="exact" if kind == "exact" else "approximate"
    )._flow._policy


def _throttled(coord: Coord, found: Iterable[_Found], arguments: argparse.Namespace) -> int:
    policy = _policy(coord, arguments.name, arguments.spec, arguments.kind)
    if not 1 <= arguments.cost <= policy.limit:
        raise Refused(f"--cost must be from 1 to {policy.limit}")
    room, denied = coord._limits, list[tuple[str, int, float, float]]()
    ours = Keys(arguments.prefix).of_subject(policy.family, arguments.name, "x").rpartition("}")[2]
    for one in found:
        if one.family != policy.family or not one.key.endswith(ours):
            continue
        answer = step(
            room.port.run(room.call("look", 0, [Item(policy, one.subject, one.key, arguments.cost)]))
        )
        if not answer.granted:
            remaining, wait, reset = answer.rows[0]
            denied.append((one.subject, remaining, wait / 1_000_000, reset / 1_000_000))
    denied.sort(key=lambda row: (-row[2], row[0]))
    if arguments.json:
        names = ("key", "remaining", "retry_after", "reset_after")
        print(json.dumps([dict(zip(names, row, strict=True)) for row in denied], indent=2))
    elif denied:
        cells = [
            (printable(key, WIDEST), str(left), seconds(wait), seconds(reset))
            for key, left, wait, reset in denied
        ]
        headings = ("KEY", "REMAINING", "RETRY IN", "CLEAR IN")
        print("\n".join(table(headings, cells, headings[1:])))
    else:
        print(f"{printable(arguments.name)!r} throttles nobody")
    return 0 if denied else 1


def _reset(coord: Coord, arguments: argparse.Namespace) -> int:
    # Any numbers will do: a reset does not depend on them.
    policy = _policy(coord, arguments.name, "1/s", arguments.kind)
    step(coord._limits.reset([policy.item(Keys(arguments.prefix), arguments.key, 0)]))
    if arguments.json:
        print(json.dumps({"name": arguments.name, "key": arguments.key, "reset": True}))
    else:
        print(f"forgot what {printable(arguments.name)!r} had charged to {printable(arguments.key)!r}")
    return 0
