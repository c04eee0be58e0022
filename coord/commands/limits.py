"""``coord limits``: what is charged, who is throttled now; and letting somebody go on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from coord._engine.keys import Keys, escape
from coord._engine.port import step
from coord._engine.replies import as_int
from coord._engine.script import Command
from coord.commands.scanning import Reader, add_listing_arguments, unescaped
from coord.commands.server import Refused, add_server_arguments, answering, reached, url_of
from coord.commands.terminal import WIDEST, Listing, printable, seconds
from coord.hub import Coord
from coord.limits.policy import Item

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from coord.hub import AsyncCoord
    from coord.limits.policy import Policy
    from coord.limits.room import Answer

__all__ = ["add_arguments", "run"]

FAMILIES = ("bucket", "window", "fixed", "concurrency")
KINDS = {
    "bucket": "bucket",
    "sliding": "window",
    "exact": "window",
    "approximate": "window",
    "fixed": "fixed",
}
CALLED = {"bucket": "bucket", "window": "sliding", "fixed": "fixed"}
NAMED = {
    "bucket": "token bucket",
    "window": "sliding window",
    "fixed": "fixed window",
    "concurrency": "concurrency limit",
}
LIFE = Command("PTTL", parse=as_int, repeatable=True)
GONE = -2
"""What PTTL says of a key that is not there."""


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
        made[name].add_argument("--kind", choices=KINDS, help="(default: that which is charged)")
    made["throttled"].add_argument("spec", metavar="SPEC", help="its numbers, such as '100/minute burst 20'")
    made["throttled"].add_argument("--cost", type=int, default=1, help="of the call (default: %(default)s)")
    made["reset"].add_argument("key", metavar="KEY", help="whom or what")
    for name, sub in made.items():
        if name != "reset":
            add_listing_arguments(sub)
        sub.set_defaults(verb=name)


def run(arguments: argparse.Namespace) -> int:
    """Run the command.

    Returns:
        0; 1 if nobody is throttled, or there was nothing to forget.

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
    url = url_of(arguments)
    with reached(url, no_memory=nothing_to_see, limit=arguments.timeout) as opened, answering(url):
        coord = Coord(opened.client, prefix=arguments.prefix, call_timeout=arguments.timeout)
        try:
            if arguments.verb == "reset":
                return _reset(coord, arguments)
            reader = Reader(opened, url, arguments)
            return (
                _list(reader, arguments) if arguments.verb == "list" else _throttled(reader, coord, arguments)
            )
        except (ValueError, TypeError) as error:
            raise Refused(str(error)) from None


def _found(
    reader: Reader, arguments: argparse.Namespace, family: str, name: str = "*"
) -> Iterator[_Found | None]:
    before = f"{Keys(arguments.prefix).prefix}:{family}:{{"
    for key in reader.keys(f"{before}*}}:{name}"):
        subject, _, rest = (key or "")[len(before) :].partition("}:")
        if ":" in rest:  # one of the further keys that a concurrency limit has
            continue
        limiter, whom = unescaped(rest), unescaped(subject)
        if key is None or limiter is None or whom is None:
            yield None
        elif reader.is_wanted(limiter if arguments.verb == "list" else whom):
            yield _Found(key, family, limiter, whom)


def _list(reader: Reader, arguments: argparse.Namespace) -> int:
    headings = ("LIMIT", "KIND", "KEY", "CLEAR IN")
    listing = Listing(headings, ["CLEAR IN"], "nothing is charged to anybody", as_json=arguments.json)
    found = (one for family in FAMILIES for one in _found(reader, arguments, family))
    for one, left in reader.asked(found, _life):
        if left < 0:  # coord leaves no such key for ever
            reader.foreign += 1
            continue
        cells = (printable(one.name, WIDEST), one.family, printable(one.subject, WIDEST), seconds(left))
        told = {"name": one.name, "kind": one.family, "key": one.subject, "reset_after": left}
        listing.add(cells, told)
    listing.end()
    reader.say_what_was_left_out()
    return 0


async def _life(coord: AsyncCoord, one: _Found) -> float | None:
    left = await coord._port.run(LIFE((one.key,)))
    return None if left == GONE else left / 1000


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


def _kind(reader: Reader, arguments: argparse.Namespace) -> str | None:
    """Find out of which kind a limiter is by what it has charged; ``None`` if that is nothing."""
    name = printable(arguments.name)
    wanted = None if arguments.kind is None else KINDS[arguments.kind]
    spelled = escape(arguments.name)
    charged = [
        family
        for family in FAMILIES
        if any(one is not None for one in _found(reader, arguments, family, spelled))
    ]
    if wanted in charged:
        return str(arguments.kind)
    if charged == ["concurrency"]:
        raise Refused(f"{name!r} is a concurrency limit: 'limits list' shows what is held")
    kinds = [CALLED[family] for family in charged if family in CALLED]
    if kinds and (wanted is not None or len(kinds) > 1):
        raise Refused(f"{name!r} is a {_kinds(charged)}; say --kind {' or '.join(kinds)}")
    return kinds[0] if kinds else None


def _throttled(reader: Reader, coord: Coord, arguments: argparse.Namespace) -> int:
    kind = _kind(reader, arguments)
    policy = _policy(coord, arguments.name, arguments.spec, kind or arguments.kind or "bucket")
    if not 1 <= arguments.cost <= policy.limit:
        raise Refused(f"--cost must be from 1 to {policy.limit}")
    headings = ("KEY", "REMAINING", "RETRY IN", "CLEAR IN")
    nobody = f"{printable(arguments.name)!r} throttles nobody" + ("" if kind else ": it has charged nothing")
    listing = Listing(headings, headings[1:], nobody, as_json=arguments.json)

    async def look(coord: AsyncCoord, one: _Found) -> Answer | None:
        room = coord._limits
        item = Item(policy, one.subject, one.key, arguments.cost)
        answer = await room.port.run(room.call("look", 0, [item]))
        return None if answer.granted else answer

    found = _found(reader, arguments, policy.family, escape(arguments.name))
    for one, answer in reader.asked(found, look):
        remaining, wait, reset = answer.rows[0]
        after = wait / 1_000_000, reset / 1_000_000
        told = {"key": one.subject, "remaining": remaining, "retry_after": after[0], "reset_after": after[1]}
        cells = (printable(one.subject, WIDEST), str(remaining), *map(seconds, after))
        listing.add(cells, told, after[0])
    listing.end()
    reader.say_what_was_left_out()
    return 0 if listing.shown else 1


def _reset(coord: Coord, arguments: argparse.Namespace) -> int:
    keys = Keys(arguments.prefix)
    wanted = FAMILIES if arguments.kind is None else (KINDS[arguments.kind],)
    lives = {
        family: step(coord._port.run(LIFE((keys.of_subject(family, arguments.name, arguments.key),))))
        for family in FAMILIES
    }
    charged = [family for family, left in lives.items() if left != GONE]
    forgotten = [family for family in charged if family in wanted]
    for family in forgotten:
        if family == "concurrency":
            coord.concurrency_limit(arguments.name, limit=1).reset(arguments.key)
        else:  # any numbers will do: a reset does not depend on them
            policy = _policy(coord, arguments.name, "1/s", CALLED[family])
            step(coord._limits.reset([policy.item(keys, arguments.key, 0)]))
    if arguments.json:
        told = {"name": arguments.name, "key": arguments.key, "reset": bool(forgotten), "kinds": forgotten}
        print(json.dumps(told))
    else:
        print(_told_of_a_reset(arguments, forgotten, charged))
    return 0 if forgotten else 1


def _told_of_a_reset(arguments: argparse.Namespace, forgotten: list[str], charged: list[str]) -> str:
    name, key = repr(printable(arguments.name)), repr(printable(arguments.key))
    if forgotten:
        return f"forgot what {name} had charged to {key}, as a {_kinds(forgotten)}"
    if charged:
        asked = NAMED[KINDS[arguments.kind]]
        return f"{name} has charged nothing to {key} as a {asked}, but as a {_kinds(charged)}"
    return f"{name} has charged nothing to {key}"


def _kinds(families: list[str]) -> str:
    return " and as a ".join(NAMED[family] for family in families)
