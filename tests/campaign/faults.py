"""What goes wrong: the kinds of fault, and the seeded schedule that they come in."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.support.proxy import Mischief

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    import redis

    from tests.campaign.fleet import Contender, Fleet
    from tests.support.proxy import Deed, Proxy, Way
    from tests.support.servers import Process

SOONEST, LATEST = 0.15, 0.45
LONGEST_DELAY = 0.6
SERVER_STOP = 0.5
SEARCH = 0.3
QUORUM_SHARE = 0.25
"""Of what is done on the way to a server: how much is done to the quorum's, who have one lock of many."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What can be harmed.

    Attributes:
        server: The process of the server that has the locks.
        control: A client of it that does not go through the proxy.
        proxy: What the contenders go through.
        others: The same of the quorum's servers.
        fleet: The contenders.
        ttl: The locks' lease.
    """

    server: Process
    control: redis.Redis
    proxy: Proxy
    others: Sequence[Proxy]
    fleet: Fleet
    ttl: float


class Nemesis:
    """Brings about one fault after another.

    Args:
        scene: What it harms.
        rng: What it chooses by.
    """

    def __init__(self, scene: Scene, rng: random.Random) -> None:
        self._scene = scene
        self._rng = rng
        self._later: list[threading.Timer] = []
        self.count: Counter[str] = Counter()

    def rage(self, seconds: float, kinds: Sequence[str]) -> None:
        """Bring about faults of these kinds for so long, and let then each come to its end."""
        until = time.monotonic() + seconds
        try:
            while time.monotonic() < until:
                kind = self._rng.choice(kinds)
                if KINDS[kind](self):
                    self.count[kind] += 1
                time.sleep(self._rng.uniform(SOONEST, LATEST))
        finally:
            for proxy in (self._scene.proxy, *self._scene.others):
                proxy.calm()
            for timer in self._later:
                timer.join(10)

    def _after(self, seconds: float, undo: Callable[[], None]) -> None:
        timer = threading.Timer(seconds, undo)
        self._later.append(timer)
        timer.start()

    def _proxy(self) -> Proxy:
        """Choose one; that of the server which has most of the locks more often."""
        if self._scene.others and self._rng.random() < QUORUM_SHARE:
            return self._rng.choice(self._scene.others)
        return self._scene.proxy

    def _arm(self, kind: str, way: Way, deed: Deed) -> bool:
        slow = deed in ("delay", "late")
        self._proxy().arm(
            way,
            *(
                Mischief(
                    kind,
                    deed,
                    seconds=self._rng.uniform(0.02, LONGEST_DELAY) if slow else 0.0,
                    hang_up=deed == "drop" and self._rng.random() < 0.5,
                )
                for _ in range(self._rng.randint(1, 4))
            ),
        )
        return True

    def drop_request(self) -> bool:
        """Requests do not arrive."""
        return self._arm("drop_request", "request", "drop")

    def drop_reply(self) -> bool:
        """Requests arrive and their replies do not."""
        return self._arm("drop_reply", "reply", "drop")

    def cut_reply(self) -> bool:
        """Replies end in their middle."""
        return self._arm("cut_reply", "reply", "cut")

    def delay_request(self) -> bool:
        """Requests arrive later, some when the client has long given up."""
        return self._arm("delay_request", "request", "delay")

    def delay_reply(self) -> bool:
        """Replies arrive later."""
        return self._arm("delay_reply", "reply", "delay")

    def late_request(self) -> bool:
        """The connection is reset first, and the request arrives after that."""
        return self._arm("late_request", "request", "late")

    def reset(self) -> bool:
        """Connections are reset."""
        self._proxy().reset("reset", self._rng.random())
        return True

    def stop_holder(self) -> bool:
        """A holder's process stands still for two leases."""
        holder = self._holder()
        if holder is None:
            return False
        holder.stop()
        self._after(2 * self._scene.ttl, holder.go_on)
        return True

    def kill_holder(self) -> bool:
        """A holder's process is killed; another takes its place."""
        holder = self._holder()
        if holder is None:
            return False
        self._scene.fleet.replace(holder)
        return True

    def _holder(self) -> Contender | None:
        until = time.monotonic() + SEARCH
        while time.monotonic() < until:
            if holders := self._scene.fleet.holders():
                return self._rng.choice(holders)
            time.sleep(0.001)
        return None

    def stop_server(self) -> bool:
        """The server's process stands still."""
        pid = self._scene.server.pid
        os.kill(pid, signal.SIGSTOP)
        self._after(SERVER_STOP, lambda: os.kill(pid, signal.SIGCONT))
        return True

    def script_flush(self) -> bool:
        """The server forgets its scripts."""
        self._scene.control.script_flush()
        return True

    def kill_pubsub(self) -> bool:
        """The server hangs up on everyone who listens for messages."""
        self._scene.control.client_kill_filter(_type="pubsub")
        return True

    def kill_clients(self) -> bool:
        """The server hangs up on everyone else."""
        self._scene.control.client_kill_filter(_type="normal")
        return True

    def pause_clients(self) -> bool:
        """The server lets everyone wait, or all who write."""
        everyone = self._rng.random() < 0.5
        self._scene.control.client_pause(self._rng.randint(100, 400), all=everyone)
        return True


ANSWERED = ("cut_reply", "late_request", "reset", "script_flush", "kill_pubsub", "kill_clients")
"""Kinds after which a call is soon answered all the same, so that few outcomes stay unknown."""

KINDS: dict[str, Callable[[Nemesis], bool]] = {
    "drop_request": Nemesis.drop_request,
    "drop_reply": Nemesis.drop_reply,
    "cut_reply": Nemesis.cut_reply,
    "delay_request": Nemesis.delay_request,
    "delay_reply": Nemesis.delay_reply,
    "late_request": Nemesis.late_request,
    "reset": Nemesis.reset,
    "stop_holder": Nemesis.stop_holder,
    "kill_holder": Nemesis.kill_holder,
    "stop_server": Nemesis.stop_server,
    "script_flush": Nemesis.script_flush,
    "kill_pubsub": Nemesis.kill_pubsub,
    "kill_clients": Nemesis.kill_clients,
    "pause_clients": Nemesis.pause_clients,
}
