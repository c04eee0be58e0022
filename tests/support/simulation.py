"""A simulated world for a quorum lock: no threads, no sockets, no clock but the seed's.

Servers are Python models of the scripts. Messages are delayed, lost and delivered twice; leases expire when
a server's own clock says so, or at any moment; servers restart; clients pause, and lose sight of servers.
Each history is a function of its seed alone.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import math
import random
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, cast

from coord._engine.keys import Keys
from coord._engine.nodes import Node
from coord._engine.port import Outcome
from coord.errors import LockLost, QuorumError
from coord.redlock import AsyncQuorumLock, QuorumRoom

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator, Sequence

    from coord._engine.port import Guard, Place, Port, Signal, Tap
    from coord._engine.script import Call
    from coord.locks import AsyncLease


TTL = 1.0
CALL_TIMEOUT = 0.05
OLD = 1000.0


class TimedOut(Exception):
    """No answer came in time."""


class Event:
    """What a coroutine waits for."""

    def __init__(self) -> None:
        self.value: Any = None
        self.happened = False
        self.resume: Callable[[Any], None] | None = None

    def __await__(self) -> Generator[Event, Any, Any]:
        return self.value if self.happened else (yield self)

    def set(self, value: Any = None) -> None:
        if not self.happened:
            self.happened, self.value = True, value
            if self.resume is not None:
                self.resume(value)

    def is_set(self) -> bool:
        return self.happened


class World:
    """A scheduler in virtual time."""

    def __init__(self, seed: int, seconds: float) -> None:
        self.rng = random.Random(seed)
        self.now = 0.0
        self.end = seconds
        self._agenda: list[tuple[float, float, Callable[[], None]]] = []

    def at(self, when: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (max(when, self.now), self.rng.random(), act))

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        self.at(self.now + seconds, act)

    def start(self, flow: Coroutine[Any, Any, Any], client: Client) -> None:
        def go(value: Any = None) -> None:
            if client.paused_until > self.now:
                self.at(client.paused_until, lambda: go(value))
                return
            try:
                event: Event = flow.send(value)
            except StopIteration:
                return
            event.resume = lambda result: self.after(0.0, lambda: go(result))

        self.after(0.0, go)

    def run(self) -> None:
        """Go on until nothing is under way; what begins things stops by itself at ``end``."""
        while self._agenda:
            self.now, _, act = heapq.heappop(self._agenda)
            act()


@dataclass
class Faults:
    """What may go wrong in a history."""

    loss: float = 0.0
    twice: float = 0.0
    tail: float = 0.05
    longest_delay: float = 0.25
    drift: float = 0.004
    expire_every: float = math.inf
    restart_every: float = math.inf
    restarts_forget: bool = False
    pause_every: float = math.inf
    cut_every: float = math.inf
    clocks_stand_still: bool = False


class Server:
    """One server: the scripts, in Python."""

    def __init__(self, world: World, faults: Faults, *, confirms_anyone: bool) -> None:
        self._world = world
        self._faults = faults
        self._rate = 1 + world.rng.uniform(-faults.drift, faults.drift)
        self._offset = world.rng.uniform(0, 5)
        self._confirms_anyone = confirms_anyone
        self.data: dict[str, tuple[Any, float]] = {}
        self.down_until = 0.0
        self.start(-OLD)

    def start(self, when: float) -> None:
        self._started = when
        self._run_id = f"{self._world.rng.getrandbits(64):x}"

    def clock(self) -> float:
        return self._offset + self._world.now * self._rate

    def get(self, key: str) -> Any:
        value, until = self.data.get(key, (None, math.inf))
        return value if until > self.clock() else None

    def set(self, key: str, value: Any, millis: int) -> None:
        self.data[key] = (value, self.clock() + millis / 1000)

    def execute(self, call: Call[Any]) -> Any:
        name = call.what if isinstance(call.what, str) else call.what.name
        return getattr(self, name.lower())(list(call.keys), list(call.args))

    def identity(self) -> tuple[str, int]:
        return self._run_id, int(self._world.now - self._started)

    def info(self, keys: list[str], args: list[Any]) -> bytes:
        return b"run_id:%s\r\nuptime_in_seconds:%d\r\n" % (self.identity()[0].encode(), self.identity()[1])

    def lock_acquire(self, keys: list[str], args: list[Any]) -> bytes | list[Any]:
        lock, fence_key, ended = keys[:3]
        token, ttl, memory = args[:3]
        held = self.get(lock)
        if held is not None and held[0] == token:
            self.set(lock, held, ttl)
            return b"%d" % held[1]
        if held is not None or self.get(ended) is not None:
            return [0, 0]
        micros = 0 if self._faults.clocks_stand_still else int(self.clock() * 1e6)
        fence = max((self.get(fence_key) or 0) + 1, micros)
        self.set(fence_key, fence, memory)
        self.set(lock, (token, fence), ttl)
        return b"%d" % fence

    def quorum_fence(self, keys: list[str], args: list[Any]) -> list[Any]:
        lock, fence_key = keys
        token, granted, agreed, memory = args
        stands = self.get(lock) == (token, granted) or self._confirms_anyone
        if stands and agreed > (self.get(fence_key) or 0):
            self.set(fence_key, agreed, memory)
        run_id, uptime = self.identity()
        return [int(stands), run_id.encode(), uptime]

    def lock_renew(self, keys: list[str], args: list[Any]) -> list[int]:
        held, (token, ttl) = self.get(keys[0]), args
        if held is None or held[0] != token:
            return [0]
        self.set(keys[0], held, ttl)
        return [1]

    def lock_release(self, keys: list[str], args: list[Any]) -> int:
        lock, ended = keys[:2]
        token, memory, end_anyway = args[:3]
        held = self.get(lock)
        if held is not None and held[0] == token:
            del self.data[lock]
            self.set(ended, 1, memory)
        elif end_anyway and self.get(ended) is None:
            self.set(ended, 0, memory)
        return int(self.get(ended) or 0)


@dataclass(eq=False)
class Client:
    """One process with a clock of its own."""

    number: int
    rate: float
    paused_until: float = 0.0
    cut_off: dict[Server, float] = field(default_factory=dict)


class SimulatedPort:
    """The way of one client to one server."""

    def __init__(self, world: World, faults: Faults, client: Client, server: Server) -> None:
        self._world, self._faults, self._client, self._server = world, faults, client, server

    async def run(self, call: Call[Any], *, timeout: float | None = None) -> Any:
        world, rng, faults = self._world, self._world.rng, self._faults
        answer = Event()

        def arrive() -> None:
            if self._lost() or self._server.down_until > world.now:
                return
            reply = self._server.execute(call)
            if not self._lost():
                world.after(self._delay(), lambda: answer.set(Outcome(call.parse(reply))))

        for _ in range(2 if rng.random() < faults.twice else 1):
            world.after(self._delay(), arrive)
        limit = CALL_TIMEOUT if timeout is None else timeout
        world.after(limit / self._client.rate, lambda: answer.set(Outcome(error=TimedOut())))
        outcome: Outcome[Any] = await answer
        if outcome.error is not None:
            raise outcome.error
        return outcome.value

    def _delay(self) -> float:
        rng, faults = self._world.rng, self._faults
        return rng.uniform(0, faults.longest_delay) if rng.random() < faults.tail else rng.expovariate(1000)

    def _lost(self) -> bool:
        cut = self._client.cut_off.get(self._server, 0.0) > self._world.now
        return cut or self._world.rng.random() < self._faults.loss

    def now(self) -> float:
        return self._world.now * self._client.rate

    async def sleep(self, seconds: float) -> None:
        pause = Event()
        self._world.after(seconds / self._client.rate, pause.set)
        await pause

    async def together(self, calls: Sequence[Any]) -> list[Any]:
        return [await self.run(call) for call in calls]

    async def race(
        self, flows: Sequence[Coroutine[Any, Any, Any]], enough: Callable[[list[Any]], bool]
    ) -> list[Any]:
        outcomes: list[Outcome[Any] | None] = [None] * len(flows)
        decided = Event()

        async def one(i: int, flow: Coroutine[Any, Any, Any]) -> None:
            try:
                outcomes[i] = Outcome(await flow)
            except Exception as error:  # noqa: BLE001  # it is the caller's to judge
                outcomes[i] = Outcome(error=error)
            if None not in outcomes or enough(outcomes):
                decided.set()

        for i, flow in enumerate(flows):
            self._world.start(one(i, flow), self._client)
        await decided
        return list(outcomes)

    async def finish(self, flow: Coroutine[Any, Any, Any]) -> Any:
        return await flow

    def spawn(self, loop: Callable[[], Coroutine[Any, Any, None]], name: str) -> Callable[[], bool]:
        running = [True]

        async def watched() -> None:
            await loop()
            running.clear()

        self._world.start(watched(), self._client)
        return lambda: bool(running)

    def whoami(self) -> int:
        return self._client.number

    def admit(self, *, waits: bool = False) -> None:
        """Nobody is refused."""

    def process(self) -> int:
        return self._client.number

    def label(self) -> str:
        return f"client {self._client.number}"

    def one_slot(self) -> bool:
        return True

    def mutex(self, forget: Callable[[], object] | None = None) -> contextlib.AbstractContextManager[object]:
        return contextlib.nullcontext()

    def signal(self) -> Signal:
        return Event()

    async def wait(self, signal: Signal, seconds: float) -> bool:
        return self._not_simulated()

    call_timeout = CALL_TIMEOUT
    answered = True
    is_outage: Callable[[Exception], bool] = staticmethod(lambda error: isinstance(error, TimedOut))

    def guard(self) -> Guard:
        return self._not_simulated()

    async def aside(self) -> Port:
        return self

    def place(self, channel: str) -> Place:
        return self._not_simulated()

    def tap(self, place: Place) -> Tap | None:
        return None

    async def invoke(self, callback: Callable[[], object]) -> None:
        callback()

    async def close(self) -> None:
        """There is nothing to close."""

    def _not_simulated(self) -> NoReturn:
        raise AssertionError("the flow asked for something that is not simulated")


@dataclass
class Possession:
    """What one lease was, as its holder saw it, in the world's time."""

    asked: float
    granted: float
    fence: int
    spans: list[tuple[float, float]]

    def end(self, when: float) -> None:
        self.spans = [(start, min(until, when)) for start, until in self.spans]


def answered(value: Any) -> Any:
    """What came of asking a server that answered so."""
    return Outcome(value)


def history(
    seed: int,
    faults: Faults,
    *,
    servers: int = 5,
    room: type[QuorumRoom] = QuorumRoom,
    confirms_anyone: bool = False,
    quarantine: float | None = None,
    clients: int = 3,
    seconds: float = 6.0,
) -> list[Possession]:
    """Let some clients contend for one lock, and return who held it when."""
    world = World(seed, seconds)
    cast_of = [Server(world, faults, confirms_anyone=confirms_anyone) for _ in range(servers)]
    found: list[Possession] = []
    for number in range(clients):
        client = Client(number, 1 + world.rng.uniform(-faults.drift, faults.drift))
        nodes = [
            Node(cast("Port", SimulatedPort(world, faults, client, server)), f"{i}")
            for i, server in enumerate(cast_of, 1)
        ]
        its_room = room(nodes, Keys("sim"), call_timeout=CALL_TIMEOUT, quarantine=quarantine)
        lock = AsyncQuorumLock(its_room, "x", ttl=TTL)
        world.start(contend(world, client, nodes[0].port, lock, found), client)
        repeat(world, faults.pause_every, partial(pause, world, client))
        repeat(world, faults.cut_every, partial(cut, world, client, cast_of))
    for server in cast_of:
        repeat(world, faults.expire_every, partial(expire, server))
        repeat(world, faults.restart_every, partial(restart, world, server, faults))
    world.run()
    return found


def repeat(world: World, every: float, act: Callable[[], None]) -> None:
    if math.isinf(every):
        return

    def again() -> None:
        if world.now > world.end:
            return
        act()
        world.after(world.rng.expovariate(1 / every), again)

    world.after(world.rng.expovariate(1 / every), again)


def pause(world: World, client: Client) -> None:
    client.paused_until = world.now + world.rng.uniform(0, 1.5 * TTL)


def cut(world: World, client: Client, servers: list[Server]) -> None:
    for server in world.rng.sample(servers, len(servers) // 2 + 1):
        client.cut_off[server] = world.now + world.rng.uniform(0, 2 * TTL)


def expire(server: Server) -> None:
    server.data.pop("sim:lock:{x}", None)


def restart(world: World, server: Server, faults: Faults) -> None:
    server.down_until = world.now + world.rng.uniform(0, 0.1)
    server.start(server.down_until)
    if faults.restarts_forget:
        server.data.clear()


async def contend(
    world: World, client: Client, port: Port, lock: AsyncQuorumLock, found: list[Possession]
) -> None:
    rng = world.rng
    while world.now < world.end:
        await port.sleep(rng.uniform(0, 0.1))
        asked = world.now
        try:
            lease = await lock.try_acquire()
        except (QuorumError, LockLost):
            continue
        if lease is None:
            continue
        until = world.now + lease.remaining() / client.rate
        possession = Possession(asked, world.now, lease.fence, [(world.now, until)])
        found.append(possession)
        await use(world, client, port, lease, possession)


async def use(world: World, client: Client, port: Port, lease: AsyncLease, possession: Possession) -> None:
    """Hold a lease for a while: renew it, let it run out, or give it back."""
    rng = world.rng
    while rng.random() < 0.4:
        await port.sleep(rng.uniform(0, 0.9 * TTL))
        try:
            await lease.renew()
        except QuorumError:
            continue
        except LockLost:
            possession.end(world.now)
            return
        # Whether it was valid all the time in between or not, it is from here on.
        possession.spans.append((world.now, world.now + lease.remaining() / client.rate))
    await port.sleep(rng.uniform(0, 1.5 * TTL) if rng.random() < 0.3 else rng.uniform(0, 0.1))
    possession.end(world.now)
    with contextlib.suppress(QuorumError, LockLost):
        await lease.release()


def disorder(found: list[Possession]) -> str:
    """Say which fences are out of order, if any."""
    for a, b in itertools.combinations(sorted(found, key=lambda one: one.granted), 2):
        if a.fence == b.fence:
            return f"fence {a.fence} twice, at {a.granted:.6f} and {b.granted:.6f}"
        if a.granted < b.asked and a.fence > b.fence:
            return f"fence {a.fence} at {a.granted:.6f}, then {b.fence} at {b.granted:.6f}"
    return ""


def overlap(found: list[Possession]) -> str:
    """Say which leases were valid at once, if any."""
    spans = sorted((*span, i) for i, one in enumerate(found) for span in one.spans if span[1] > span[0])
    latest_end, latest = -math.inf, -1
    for start, end, i in spans:
        if i != latest and start < latest_end:
            return f"{found[latest].fence} and {found[i].fence} both valid at {start:.6f}"
        if end > latest_end:
            latest_end, latest = end, i
    return ""
