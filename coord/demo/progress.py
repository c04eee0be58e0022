"""How it goes, while it goes: one line that changes on a terminal, a few that stay elsewhere."""

from __future__ import annotations

import shutil
import signal
import sys
import time
from typing import TYPE_CHECKING

from coord.commands.terminal import printable

if TYPE_CHECKING:
    from coord.demo.fleet import Claim, Log

__all__ = ["Progress"]

BAR = 16
"""Letters of the bar: a fifth of a terminal, the rest being figures."""

STEPS = 4
"""Lines of progress where there is no terminal: one each quarter."""


class Progress:
    """Watches a fleet and shows what it does.

    Args:
        lines: How many lines there are to read.
        chunks: In how many chunks.
        ttl: How long a dead worker's lock lives on.
        secrets: What must not be shown, should a worker's last words contain it.
    """

    def __init__(self, lines: int, chunks: int, ttl: float, secrets: frozenset[str]) -> None:
        self._lines = lines
        self._chunks = chunks
        self._ttl = ttl
        self._secrets = secrets
        self._live = sys.stdout.isatty()
        self._steps_shown = 0

    def progress(self, log: Log, working: int) -> None:
        """See ``Watcher``."""
        done = len(log.committed)
        figures = (
            f"{log.lines:>{len(f'{self._lines:,}')},} of {self._lines:,} lines · "
            f"{done} of {self._chunks} chunks · {working} at work · {time.monotonic() - log.started:.1f} s"
        )
        if self._live:
            columns = shutil.get_terminal_size().columns
            full = BAR if done >= self._chunks else BAR * done // self._chunks
            line = f"  {'█' * full}{'░' * (BAR - full)}  {figures}"
            print(f"\r\x1b[K{line[: columns - 1]}", end="", flush=True)
        elif self._chunks and STEPS * done // self._chunks > self._steps_shown:
            self._steps_shown = STEPS * done // self._chunks
            print(f"  {done / self._chunks:>4.0%}  {figures}", flush=True)

    def killed(self, claim: Claim) -> None:
        """See ``Watcher``."""
        self._note(
            f"worker {claim.worker} killed (SIGKILL) as it took chunk {claim.chunk}: "
            f"its lock has at most {self._ttl:g} s to live"
        )

    def died(self, worker: int, status: int, said: str, others: int) -> None:
        """See ``Watcher``."""
        how = f"with status {status}" if status > 0 else f"by {signal.Signals(-status).name}"
        self._note(f"worker {worker} ended {how}" + ("; the others go on" if others else ""))
        for secret in self._secrets:
            said = said.replace(secret, "***")
        for line in said.splitlines():
            print(f"  worker {worker} | {printable(line, 200)}", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Take the changing line away."""
        if self._live:
            print("\r\x1b[K", end="", flush=True)

    def _note(self, text: str) -> None:
        self.close()
        print(f"  {text}", flush=True)
