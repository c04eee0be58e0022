"""What is measured of many threads, as run in the process of one contestant.

One of the contestants is coord as it might be: ``_Combining`` has the calls of all threads travel over one
connection. It knows neither deadlines nor failures, so what it gains is the most that could be gained.
"""

from __future__ import annotations

import socket
import threading
import time
from collections import deque
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tests.benchmarks.call_work import PLENTY, Decision, _connections, _cpu

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.benchmarks.harness import Sample

WARM_UP = 50


class _Parcel:
    """A call on its way."""

    def __init__(self, packed: bytes) -> None:
        self.packed = packed
        self.leads = False
        self.reply: object = None
        self.has_news = threading.Lock()
        self.has_news.acquire()


class _Combining:
    """One connection for all threads: who finds it free uses it for all who wait."""

    def __init__(self, url: str) -> None:
        where = urlsplit(url)
        self._line = socket.create_connection((where.hostname, where.port))
        self._line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = import_module("hiredis").Reader()
        self._waiting: deque[_Parcel] = deque()
        self._mutex = threading.Lock()
        self._is_led = False

    def ask(self, packed: bytes) -> object:
        parcel = _Parcel(packed)
        with self._mutex:
            self._waiting.append(parcel)
            parcel.leads, self._is_led = not self._is_led, True
        if not parcel.leads:
            parcel.has_news.acquire()
        if parcel.leads:
            self._lead()
        return parcel.reply

    def _lead(self) -> None:
        with self._mutex:
            batch = [*self._waiting]
            self._waiting.clear()
        self._line.sendall(b"".join(parcel.packed for parcel in batch))
        for parcel in batch:
            while (reply := self._reader.gets()) is False:
                self._reader.feed(self._line.recv(65536))
            parcel.reply = reply
        with self._mutex:
            heir = self._waiting[0] if self._waiting else None
            self._is_led = heir is not None
        if heir is not None:
            heir.leads = True
            heir.has_news.release()
        for parcel in batch:
            if not parcel.leads:
                parcel.has_news.release()


def _coord(url: str, asked: Decision) -> Callable[[], object]:
    del asked
    bucket = import_module("coord").Coord.connect(url).token_bucket("calls", rate=PLENTY, burst=PLENTY)
    return lambda: bucket.try_acquire("u")


def _combined(url: str, asked: Decision) -> Callable[[], object]:
    home = import_module("coord").Coord.connect(url)
    import_module("redis").Redis.from_url(url).script_load(asked.text)
    pack, line = import_module("hiredis").pack_command, _Combining(url)

    async def deliver(call: Any, seconds: float) -> Any:
        del seconds
        return call.parse(line.ask(pack(call.words())))

    home._port._courier.deliver = deliver
    bucket = home.token_bucket("calls", rate=PLENTY, burst=PLENTY)
    return lambda: bucket.try_acquire("u")


def _redis_py(url: str, asked: Decision) -> Callable[[], object]:
    client = import_module("redis").Redis.from_url(url)
    sha = client.script_load(asked.text)
    return lambda: client.evalsha(sha, len(asked.keys), *asked.keys, *asked.args)


OPENERS: dict[str, Callable[[str, Decision], Callable[[], object]]] = {
    "coord": _coord,
    "combined": _combined,
    "redis-py": _redis_py,
}


def threaded(
    urls: list[str], contestant: str, asked: dict[str, Any], threads: list[int], calls: int
) -> Sample:
    """Let many threads ask for decisions, each one after the other.

    Returns:
        For each number of threads ``n``: ``rate n`` decisions a second and ``cpu n`` microseconds of this
        process's time for each; ``connections`` open after the most of them.
    """
    before = _connections(urls[0])
    decide = OPENERS[contestant](urls[0], Decision(**asked))
    sample: Sample = {}
    for count in threads:
        _ask(decide, count, WARM_UP)
        spent, started = _cpu(), time.perf_counter()
        _ask(decide, count, max(1, calls // count))
        took, done = time.perf_counter() - started, max(1, calls // count) * count
        sample |= {f"rate {count}": done / took, f"cpu {count}": (_cpu() - spent) / done * 1e6}
    return sample | {"connections": _connections(urls[0]) - before}


def _ask(decide: Callable[[], object], count: int, turns: int) -> None:
    def one() -> None:
        for _ in range(turns):
            decide()

    crew = [threading.Thread(target=one) for _ in range(count)]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join()
