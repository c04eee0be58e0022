"""``coord locks``: what is locked now, by whom; and breaking a lock whose holder is gone."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING
from urllib.parse import unquote

from coord._engine.keys import Keys
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
from coord.locks import LockStatus

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

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
    with reached(arguments.url, no_memory=nothing_to_see) as opened, answering(arguments.url):
        coord = Coord(opened.client, prefix=arguments.prefix)
        if arguments.verb == "list":
            found = opened.client.scan_iter(match=f"{_before(arguments)}*}}", count=1000)
            return _list(coord, found, arguments)
        return (_show if arguments.verb == "show" else _break)(coord, arguments)


def _list(coord: Coord, keys: Iterable[bytes | str], arguments: argparse.Namespace) -> int:
    held: list[tuple[str, LockStatus]] = []
    before = _before(arguments)
    for key in keys:
        spelled = (key.decode() if isinstance(key, bytes) else str(key))[len(before) : -1]
        # A long name is kept as a hash only, which is shown as it is and cannot be looked at by name.
        status = None if spelled.startswith("#") else coord.lock(unquote(spelled)).status()
        if status is None:
            held.append((spelled, UNNAMED))
        elif status.held:
            held.append((unquote(spelled), status))
    held.sort(key=lambda row: row[0])
    if arguments.json:
        print(json.dumps([{"name": name, **asdict(status)} for name, status in held], indent=2))
    else:
        print("\n".join(_table(held)) if held else "nothing is locked")
    return 0


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
        print("\n".join(_table([(arguments.name, status)])))
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


def _table(rows: list[tuple[str, LockStatus]]) -> list[str]:
    cells = [
        (
            printable(name, WIDEST),
            printable(status.holder or "?", WIDEST),
            status.mode or "?",
            seconds(status.held_for),
            seconds(status.remaining),
            str(status.fence or "?"),
            "?" if status is UNNAMED else str(status.waiters),
        )
        for name, status in rows
    ]
    return table(HEADINGS, cells, HEADINGS[3:])
