"""The contenders' processes: started, listened to, stopped and killed by the pid that was started."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tests.campaign.journal import Tale, read_lines

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

ROOT = Path(__file__).parents[2]


class Contender:
    """One process.

    Args:
        who: Its name.
        config: What ``tests.campaign.contender`` is told.
    """

    def __init__(self, who: str, config: dict[str, Any]) -> None:
        command = [sys.executable, "-m", "tests.campaign.contender", json.dumps(config | {"who": who})]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, cwd=ROOT)
        assert self._process.stdout is not None
        self._mutex = threading.Lock()
        self._stopped = False
        self._gone = False
        self.flavour: str = config["flavour"]
        self.tale = Tale(who)
        self._reader = threading.Thread(target=read_lines, args=(self._process.stdout, self.tale))
        self._reader.start()

    @property
    def holds(self) -> bool:
        """Whether it runs and holds a lock, as far as is known."""
        return self.tale.holds and not self._stopped and not self._gone

    def stop(self) -> None:
        """Let it not take another step."""
        self._signal(signal.SIGSTOP, stopped=True)

    def go_on(self) -> None:
        """Let it step on, if it is still there."""
        self._signal(signal.SIGCONT, stopped=False)

    def _signal(self, number: signal.Signals, *, stopped: bool) -> None:
        with self._mutex:
            if not self._gone:
                self._process.send_signal(number)
                self._stopped = stopped

    def kill(self) -> None:
        """End it, without notice, and take in what it wrote until then."""
        with self._mutex:
            if self._gone:
                return
            self._gone = True
            early = self._process.poll()
            self._process.kill()
            self._process.wait()
        gone_at = time.monotonic()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()
        if early is not None:
            self.tale.errors.append(f"{self.tale.who} ended on its own, with code {early}")
        self.tale.end(gone_at)


class Fleet:
    """Contenders of several flavours, each replaced when it is killed, until the ``with`` block ends.

    Args:
        flavours: One process each.
        config: What all of them are told.
    """

    def __init__(self, flavours: Sequence[str], config: dict[str, Any]) -> None:
        self._flavours = flavours
        self._config = config
        self._started = 0
        self._all: list[Contender] = []
        self._alive: list[Contender] = []

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as undo:
            undo.callback(self.kill_all)
            for flavour in self._flavours:
                self._start(flavour)
            deadline = time.monotonic() + 20
            while not all(one.tale.attempts for one in self._alive):
                if time.monotonic() > deadline:
                    raise TimeoutError("the contenders did not begin within 20 s")
                time.sleep(0.01)
            undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill_all()

    def _start(self, flavour: str) -> None:
        self._started += 1
        who = f"{flavour}-{self._started}"
        contender = Contender(who, self._config | {"flavour": flavour})
        self._all.append(contender)
        self._alive.append(contender)

    def holders(self) -> list[Contender]:
        """Say who runs and holds a lock, as far as is known."""
        return [one for one in self._alive if one.holds]

    def replace(self, contender: Contender) -> None:
        """Kill one, and start another of its flavour."""
        contender.kill()
        self._alive.remove(contender)
        self._start(contender.flavour)

    def kill_all(self) -> None:
        """End every one of them."""
        for contender in self._alive:
            contender.kill()
        self._alive.clear()

    def tales(self) -> list[Tale]:
        """What they all told, those long gone included."""
        return [one.tale for one in self._all]
