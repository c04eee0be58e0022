"""What the scripts of a leaderboard cost a server, as run in the process of one contestant.

By the server's own account (``INFO commandstats``): when it is asked one thing at a time, so that it is woken
up for each and its caches are cold; when it has always more to do; and then what the commands of the script
cost alone, in a script that does nothing else.
"""

from __future__ import annotations

import random
import statistics
from functools import partial
from importlib import import_module
from itertools import groupby
from typing import TYPE_CHECKING, Any

from tests.benchmarks.rooms.board_work import FRIENDS, NAME, ROWS, fill, player

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.benchmarks.rounds import Sample

BATCH = 100
BATCHES = 12
RULES = ("competition", "ordinal", "modified", "dense", "fractional")
Words = tuple[Any, ...]


def scripts(urls: list[str], members: int, tiebreak: str) -> Sample:
    """Ask one thing after another of a board of so many members.

    Returns:
        For each thing the microseconds a call ``/one`` at a time, ``/saturated``, and of its commands alone
        (``/alone``).
    """
    client = import_module("redis").Redis.from_url(urls[0])
    fill(client, members, tiebreak)
    sample: Sample = {}
    for name, ask in _questions(members, tiebreak).items():
        calls = [ask() for _ in range(BATCH)]
        client.script_load(calls[0].what.text)
        words = [call.words() for call in calls]
        alone = _commands_alone(client, words)
        figures: dict[str, list[float]] = {"one": [], "saturated": [], "alone": []}
        for _ in range(BATCHES):
            words = [ask().words() for _ in range(BATCH)]
            figures["one"].append(_spent(client, _one_at_a_time, client, words[:10]))
            figures["saturated"].append(_spent(client, _together, urls[0], words))
            figures["alone"].append(_spent(client, _together, urls[0], alone))
        sample |= {f"{name}/{what}": statistics.median(found) for what, found in figures.items()}
    return sample


def _questions(members: int, tiebreak: str) -> dict[str, Callable[[], Any]]:
    """What is asked: the first call of each method."""
    leaderboard = import_module("coord.leaderboard")
    port = import_module("tests.support.together").AskingPort()
    keys = import_module("coord._engine.keys").Keys("coord")
    board = leaderboard.AsyncLeaderboard(leaderboard.Setup(port, keys, NAME, tiebreak=tiebreak))
    dice = random.Random(members)

    def who() -> str:
        return player(dice.randrange(members))

    def asked(flow: Any) -> Any:
        call = flow.send(None)
        flow.close()
        return call

    things: dict[str, Callable[[], Any]] = {
        **{f"rank, {ties}": partial(lambda ties: board.rank(who(), ties=ties), ties) for ties in RULES},
        "percentile": lambda: board.percentile(who()),
        f"around, {ROWS} rows": lambda: board.around(who(), ROWS),
        f"a page of {ROWS}": lambda: board.page(dice.randrange(1, members // ROWS), ROWS),
        f"{FRIENDS} friends": lambda: board.ranks_of(*(who() for _ in range(FRIENDS))),
        "submit": lambda: board.submit(who(), dice.randrange(members)),
    }
    return {name: partial(lambda thing: asked(thing()), thing) for name, thing in things.items()}


def _commands_alone(client: Any, calls: list[Words]) -> list[Words]:
    """Make calls of a script that does the same commands, and nothing else."""
    with client.monitor() as monitor:
        _one_at_a_time(client, calls)
        client.echo("over")
        seen = []
        for one in monitor.listen():
            if one["command"].startswith("ECHO"):
                break
            seen.append((one["client_type"] == "lua", one["command"].split(" ")))
    done = [[words for _, words in some] for lua, some in groupby(seen, key=lambda one: one[0]) if lua]
    made = []
    for commands in done:
        numbers = iter(range(1, 1 + sum(map(len, commands))))
        lines = [f"redis.call({', '.join(f'ARGV[{next(numbers)}]' for _ in words)})" for words in commands]
        sha = client.script_load("\n".join(lines))
        made.append(("EVALSHA", sha, 0, *(word for words in commands for word in words)))
    return made


def _one_at_a_time(client: Any, calls: list[Words]) -> None:
    for words in calls:
        client.execute_command(*words)


def _together(url: str, calls: list[Words]) -> None:
    """Have a server do calls of two connections, which are there before it begins with the first."""
    clients = [import_module("redis").Redis.from_url(url) for _ in range(2)]
    wires = [client.connection_pool.get_connection() for client in clients]
    for wire in wires:
        wire.send_packed_command(wire.pack_commands(calls))
    for wire in wires:
        for _ in calls:
            wire.read_response()
    for client, wire in zip(clients, wires, strict=True):
        wire.disconnect()
        client.close()


def _spent(client: Any, work: Callable[[Any, list[Words]], None], where: Any, calls: list[Words]) -> float:
    """Tell how many microseconds a script took by the server's account."""
    before = _scripts_so_far(client)
    work(where, calls)
    after = _scripts_so_far(client)
    return (after[1] - before[1]) / (after[0] - before[0])


def _scripts_so_far(client: Any) -> tuple[int, int]:
    told = client.info("commandstats").get("cmdstat_evalsha", {"calls": 0, "usec": 0})
    return told["calls"], told["usec"]
