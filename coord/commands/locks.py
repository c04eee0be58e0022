"""``coord locks``: what is locked now, by whom; and breaking a lock whose holder is gone."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from coord._engine.keys import Keys
from coord.commands.scanning import Reader, add_listing_arguments, unescaped
from coord.commands.server import Refused, add_server_arguments, answering, reached, url_of
from coord.commands.terminal import WIDEST, Listing, printable, seconds, table
from coord.hub import Coord
from coord.locks import LockStatus

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from coord.hub import AsyncCoord

__all__ = ["add_arguments", "run"]

UNNAMED = LockStatus(True, None, None, None, None, None, None, 0)
HEADINGS = ("LOCK", "HOLDER", "MODE", "HELD FOR", "LEASE LEFT", "FENCE", "WAITERS")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    shared = parser.__class__(add_help=False)
    add_server_arguments(shared)
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    about = {
        "list": "every lock that is held now (by SCAN, so one taken meanwhile may be missed)",
        "show": "one lock, whether held or not",
        "break": "take a lock from whoever holds it",
    }
    made = {name: verbs.add_parser(name, help=text, parents=[shared]) for name, text in about.items()}
    for name in ("show", "break"):
        made[name].add_argument("name", metavar="NAME", help="the lock's name")
    made["break"].add_argument("--reason", required=True, help="why; it is shown by 'show' for a day")
    add_listing_arguments(made["list"])
    for name, sub in made.items():
        sub.set_defaults(verb=name)


def run(arguments: argparse.Namespace) -> int:
    """Run the command.

    Returns:
        0; 1 if there is no such lock to show or to break.

    Raises:
        Refused: The server cannot be reached, or an argument is off.
    """
    try:
        Keys(arguments.prefix)
        if arguments.verb != "list":
            Keys(arguments.prefix)("lock", arguments.name)
        if arguments.verb == "break" and not arguments.reason:
            raise Refused("--reason must say why")
    except ValueError as error:
        raise Refused(str(error)) from None
    nothing_to_see = "lives inside one process; there is nothing to see"
    url = url_of(arguments)
    with reached(url, no_memory=nothing_to_see, limit=arguments.timeout) as opened, answering(url):
        if arguments.verb == "list":
            return _list(Reader(opened, url, arguments), arguments)
        coord = Coord(opened.client, prefix=arguments.prefix, call_timeout=arguments.timeout)
        return (_show if arguments.verb == "show" else _break)(coord, arguments)


def _list(reader: Reader, arguments: argparse.Namespace) -> int:
    listing = Listing(HEADINGS, HEADINGS[3:], "nothing is locked", as_json=arguments.json)
    for name, status in reader.asked(_names(reader, arguments), _status):
        listing.add(_cells(name, status), {"name": name, **asdict(status)})
    listing.end()
    reader.say_what_was_left_out()
    return 0


def _names(reader: Reader, arguments: argparse.Namespace) -> Iterator[str | None]:
    before = _before(arguments)
    for key in reader.keys(f"{before}*}}"):
        name = None if key is None else unescaped(key[len(before) : -1])
        if name is None or reader.is_wanted(name):
            yield name


async def _status(coord: AsyncCoord, name: str) -> LockStatus | None:
    # A long name is kept as a hash only, which is shown as it is and cannot be looked at by name.
    status = UNNAMED if name.startswith("#") else await coord.lock(name).status()
    return status if status.held else None


def _before(arguments: argparse.Namespace) -> str:
    """Spell what the key of every lock begins with."""
    return f"{Keys(arguments.prefix).prefix}:lock:{{"


def _show(coord: Coord, arguments: argparse.Namespace) -> int:
    status = coord.lock(arguments.name).status()
    if arguments.json:
        print(json.dumps({"name": arguments.name, **asdict(status)}, indent=2))
        return 0 if status.held else 1
    name = printable(arguments.name)
    if status.held:
        print("\n".join(table(HEADINGS, [_cells(arguments.name, status)], HEADINGS[3:])))
    else:
        print(f"nobody holds {name!r}" + (f"; its last fence was {status.fence}" if status.fence else ""))
    if status.broken is not None:
        print(f"last broken because: {printable(status.broken, 200)}")
    return 0 if status.held else 1


def _break(coord: Coord, arguments: argparse.Namespace) -> int:
    lock = coord.lock(arguments.name)
    holder = lock.status().holder
    broken = lock.force_release(reason=arguments.reason)
    if arguments.json:
        print(json.dumps({"name": arguments.name, "broken": broken, "holder": holder}))
    elif broken:
        print(f"broke {printable(arguments.name)!r}, which {printable(holder or 'somebody')} held")
        print("its holder learns of it at its next renewal or release; only a fence stops its writes")
    else:
        print(f"nobody holds {printable(arguments.name)!r}")
    return 0 if broken else 1


def _cells(name: str, status: LockStatus) -> tuple[str, ...]:
    return (
        printable(name, WIDEST),
        printable(status.holder or "?", WIDEST),
        status.mode or "?",
        seconds(status.held_for),
        seconds(status.remaining),
        str(status.fence or "?"),
        "?" if status is UNNAMED else str(status.waiters),
    )
