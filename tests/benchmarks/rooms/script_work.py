"""What each script costs the server, as run in the process that measures it.

A script is met by using coord: a scenario prepares what the script will find, and then has it run. What was
sent is noted down, and sent again to a server in the same state, in the same order, first one by one and
then in pipelines.
"""

from __future__ import annotations

from importlib import import_module
from itertools import groupby, zip_longest
from typing import TYPE_CHECKING, Any

from tests.benchmarks.rooms import board_scenarios, count_scenarios, hold_scenarios
from tests.benchmarks.rooms.scenarios import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.benchmarks.rooms.scenarios import Act, Scenario
    from tests.benchmarks.rounds import Sample

KINDS = (hold_scenarios, count_scenarios, board_scenarios)
"""What fills ``SCENARIOS``, by being imported."""
BATCH = 500
NOT_INSIDE = ("cmdstat_config", "cmdstat_eval")
"""What the server counts beside the commands that scripts run: the reset of its figures, and the scripts."""
YARDSTICKS = {
    "a script that does nothing": "return 1",
    "one that calls `TIME`": "redis.call('TIME') return 1",
    "one that calls `GET` ten times": "for i = 1, 10 do redis.call('GET', KEYS[1]) end return 1",
    "one that writes ten numbers": "for i = 1, 10 do string.format('%.0f', i * 1e9) end return 1",
}
"""What scripts are made of: what every one of them costs beside its own work."""

Sent = list[tuple[str, tuple[Any, ...]]]
"""Calls, in the order in which they are sent: the name of a script, or nothing, and the words."""


def measured(urls: list[str], share: float) -> Sample:
    """Have each script run at its usual size, for a ``share`` of the usual times.

    Returns:
        By scenario: microseconds a call ``alone`` and ``saturated``, the ``commands`` it runs inside and the
        ``inside`` microseconds of those (alone), and the ``bytes`` of a request.
    """
    client = import_module("redis").Redis.from_url(urls[0])
    sample: Sample = {title: _yardstick(client, text) for title, text in YARDSTICKS.items()}
    for scenario in SCENARIOS:
        sample[scenario.title] = _one(client, urls[0], scenario, max(3, round(scenario.times * share)))
    return sample


def _one(client: Any, url: str, scenario: Scenario, times: int) -> Sample:
    act = _prepared(client, url, scenario)
    sent = [*_transposed(_noted(act, times))]
    texts = {call.what.text for calls in sent for call in calls if not isinstance(call.what, str)}
    words = [[(getattr(call.what, "name", ""), call.words()) for call in calls] for calls in sent]
    figures: Sample = {}
    for way, size in (("alone", 1), ("saturated", BATCH)):
        _prepared(client, url, scenario)
        for text in texts:
            client.script_load(text)
        figures |= _sent_again(client, words, scenario.script, way, size)
    ours = [one for calls in words for name, one in calls if name == scenario.script]
    connection = client.connection_pool.get_connection()
    packed = sum(len(piece) for one in ours for piece in connection.pack_command(*one))
    client.connection_pool.release(connection)
    return figures | {"bytes": packed / len(ours)}


def _prepared(client: Any, url: str, scenario: Scenario) -> Act:
    client.flushall()
    return scenario.prepare(import_module("coord").Coord.connect(url))


def _noted(act: Act, times: int) -> list[list[Any]]:
    """Note down the calls that each of so many acts makes."""
    courier = import_module("coord._engine.courier").Courier
    deliver = courier.deliver
    noted: list[list[Any]] = []

    async def note_and_deliver(self: Any, call: Any, *details: Any, **options: Any) -> Any:
        noted[-1].append(call)
        return await deliver(self, call, *details, **options)

    courier.deliver = note_and_deliver
    try:
        for n in range(times):
            noted.append([])
            act(n)
    finally:
        courier.deliver = deliver
    return noted


def _transposed(acts: list[list[Any]]) -> Iterable[list[Any]]:
    """Order calls so that the first of all acts come first, then the second: acts do not meet one another."""
    for calls in zip_longest(*acts):
        yield [call for call in calls if call is not None]


def _sent_again(client: Any, sent: list[Sent], script: str, way: str, size: int) -> Sample:
    """Send all that was sent, and add up what the server says of the script's share."""
    calls = spent = commands = inside = 0.0
    for step in sent:
        for is_ours, group in groupby(step, lambda one: one[0] == script):
            words = [one for _, one in group]
            client.config_resetstat()
            for start in range(0, len(words), size):
                _send(client, words[start : start + size])
            if not is_ours:
                continue
            told = client.info("commandstats")
            calls += told["cmdstat_evalsha"]["calls"]
            spent += told["cmdstat_evalsha"]["usec"]
            parts = [one for name, one in told.items() if not name.startswith(NOT_INSIDE)]
            commands += sum(one["calls"] for one in parts)
            inside += sum(one["usec"] for one in parts)
    figures: Sample = {way: spent / calls}
    if size == 1:
        figures |= {"commands": commands / calls, "inside": inside / calls}
    return figures


def _send(client: Any, several: list[tuple[Any, ...]]) -> None:
    if len(several) == 1:
        client.execute_command(*several[0])
        return
    with client.pipeline(transaction=False) as pipe:
        for words in several:
            pipe.execute_command(*words)
        pipe.execute()


def _yardstick(client: Any, text: str) -> Sample:
    words = ("EVALSHA", client.script_load(text), 1, "coord:lock:{nothing}")
    step = [("yardstick", words)] * 500
    alone = _sent_again(client, [step], "yardstick", "alone", 1)
    packed = sum(map(len, client.connection_pool.get_connection().pack_command(*words)))
    return alone | _sent_again(client, [step], "yardstick", "saturated", BATCH) | {"bytes": packed}
