"""The algorithm of a lock over several servers: how they are asked, and when it is decided."""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import replace
from operator import itemgetter
from typing import TYPE_CHECKING, NoReturn, TypeVar, cast

from coord._engine.script import Script
from coord.errors import QuorumError
from coord.locks import LockRoom, LockStatus
from coord.locks.asking import UNDO_TIME
from coord.locks.calls import Grant, LockCalls, renewal
from coord.locks.eviction import warn_of_eviction
from coord.locks.lease import DRIFT_FLOOR, DRIFT_SHARE
from coord.redlock.outages import outages_of
from coord.redlock.votes import (
    Bid,
    QuarantinedError,
    UndecidedError,
    confirmation,
    is_grant,
    too_late,
    values,
    vote_of,
    votes_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from coord._engine.keys import Keys
    from coord._engine.nodes import Node
    from coord._engine.port import Outcome
    from coord._engine.renewable import Renewable
    from coord._engine.script import Call
    from coord.errors import Vote
    from coord.locks import AsyncLease

__all__ = ["QuorumRoom"]

N = TypeVar("N", int, float)
T = TypeVar("T")

PATIENCE_SHARE = 0.05
"""The part of a lease for which one server is waited for: so little that a lease is mostly left when all
are."""

LEAST_PATIENCE = 0.05
"""Seconds of the same for a short lease: a round trip with a pause of the server in it."""

OWED = 120.0
"""Seconds for which a release is owed to a server that did not answer, or two leases: then the lock has ended
there."""

FENCE = Script("quorum_fence", parse=confirmation, repeatable=True)


def _owed_anyway() -> None:
    """A copy of a request needs no further care: a token that ends, ends on every server."""


class QuorumRoom(LockRoom):
    """What all locks of one ``Quorum`` share: a ``LockRoom`` that asks several servers.

    Args:
        nodes: The servers.
        keys: How keys are spelled, alike on all of them.
        call_timeout: Seconds until a server must have answered.
        quarantine: For how long a server that has just started does not vote, at the least; ``None`` to let
            it vote at once.
    """

    def __init__(
        self, nodes: Sequence[Node], keys: Keys, *, call_timeout: float, quarantine: float | None
    ) -> None:
        super().__init__(nodes[0].port, keys)
        self.nodes = tuple(nodes)
        self.quorum = len(nodes) // 2 + 1
        self.outages = outages_of(self.nodes, self.quorum, is_strict=quarantine is not None)
        self._call_timeout = call_timeout
        self._quarantine = quarantine
        self._longest = 0.0
        self._introduced = False
        self._closed = False
        self._mutex = self.port.mutex(self._begin)
        self._begin()

    def _begin(self) -> None:
        """Begin without any request under way."""
        self._bids: dict[str, Bid] = {}
        self._flying = 0

    def close(self) -> None:
        """End what runs beside the callers."""
        super().close()
        self._closed = True
        for node in self.nodes:
            node.close()

    async def settle(self) -> None:
        """Wait for requests that nobody waits for any more; each has a deadline."""
        until = self.port.now() + 2 * self._call_timeout
        while self._flying and self.port.now() < until:
            await self.port.sleep(LEAST_PATIENCE / 10)

    async def look_out(self, seconds: float) -> None:
        """Warn of what is wrong with any server."""
        await self._race(
            [warn_of_eviction(node.port, f"server {node.label}", seconds) for node in self.nodes],
            lambda _: False,
        )

    async def introduce(self) -> None:
        """Get to know all servers, once.

        Raises:
            RuntimeError: The quorum is closed.
            ValueError: Two of them are one.
        """
        if self._closed:
            raise RuntimeError("this Quorum is closed")
        self.port.admit()
        if not self._introduced:
            await self._race([node.identify(self._call_timeout) for node in self.nodes], lambda _: False)
            self._introduced = True
        self._refuse_twins()

    def _refuse_twins(self) -> None:
        seen: dict[str, Node] = {}
        for node in self.nodes:
            twin = seen.setdefault(node.run_id, node)
            if node.run_id and twin is not node:
                raise ValueError(
                    f"{twin.label} and {node.label} are the same server; a quorum needs independent ones"
                )

    async def acquire(
        self,
        lock: LockCalls,
        token: str,
        ttl: float,
        waiter: str = "",
        *,
        on_repeat: Callable[[], object],
        within: float | None = None,
    ) -> Grant:
        """Ask all servers once. On an exception, the caller gives the token up.

        Raises:
            QuorumError: Too few of them could be asked.
        """
        del (
            within,
            waiter,
            on_repeat,
        )  # arrivals at different servers are in no common order; and each token ends
        start = self.port.now()
        with self._mutex:
            self._longest = max(self._longest, ttl)
            bid = self._bids.setdefault(token, Bid(lock, token, ttl))
            bid.flying += len(self.nodes)
        asked = await self._race([self._ask(node, bid) for node in self.nodes], self._elects(is_grant))
        votes = [vote_of(node, outcome) for node, outcome in zip(self.nodes, asked, strict=True)]
        grants = {i: one.value for i, one in enumerate(asked) if one is not None and one.value is not None}
        if len(grants) >= self.quorum:
            fence = await self._agree(bid, grants, votes)
            elapsed = self.port.now() - start
            if fence is not None and self._validity(ttl, elapsed) > 0:
                return Grant(fence, 0.0)
            if fence is not None:
                votes = [too_late(vote, elapsed, ttl) for vote in votes]
        self._judge(lock.name, votes)
        with contextlib.suppress(QuorumError):  # what could not be reached is owed
            await self.port.finish(self.release(lock, token, timeout=UNDO_TIME))
        return Grant(None, 0.0)

    async def _ask(self, node: Node, bid: Bid) -> int | None:
        patience = self._patience(bid.ttl)
        call = bid.lock.acquire(bid.token, bid.ttl, self.port.label(), on_repeat=_owed_anyway)
        try:
            if not node.known:
                await node.identify(patience)
                self._refuse_twins()
            self._require_age(node)
            grant = await node.run(call, patience)
            if bid.over and grant.fence is not None:
                await self._give_back(node, bid.lock, bid.token, UNDO_TIME)
                return None
            return grant.fence
        finally:
            with self._mutex:
                bid.flying -= 1
                if not bid.flying:
                    self._bids.pop(bid.token, None)

    async def _agree(self, bid: Bid, grants: dict[int, int], votes: list[Vote]) -> int | None:
        """Have the fence confirmed; return it if a quorum did, and note in ``votes`` who did not."""
        fence = max(grants.values())
        confirmed = await self._confirm(bid, grants, fence)
        for i, outcome in zip(grants, confirmed, strict=True):
            if outcome is not None and outcome.error is not None:
                votes[i] = vote_of(self.nodes[i], outcome)
            elif outcome is not None and outcome.value is None:
                votes[i] = replace(
                    votes[i], outcome="refused", why="its grant was gone when it was confirmed"
                )
        standing = sum(outcome is not None and outcome.value is not None for outcome in confirmed)
        return fence if standing >= self.quorum else None

    async def _confirm(
        self, bid: Bid, grants: dict[int, int], fence: int
    ) -> list[Outcome[int | None] | None]:
        """Write the agreed fence back to the servers that granted."""
        flows = [self._raise_fence(self.nodes[i], bid, granted, fence) for i, granted in grants.items()]
        return await self._race(flows, self._elects(is_grant))

    async def _raise_fence(self, node: Node, bid: Bid, granted: int, fence: int) -> int | None:
        keys = (bid.lock.key, bid.lock.fence_key)
        call = FENCE(keys, bid.token, granted, fence, bid.lock.memory(bid.ttl))
        answer = await node.run(call, self._patience(bid.ttl))
        node.seen(answer.run_id, answer.uptime)
        self._require_age(node)
        return fence if answer.stands else None

    def fenced(self, name: str) -> NoReturn:
        """Refuse to choose one of the servers."""
        raise TypeError(
            f"a lease of a Quorum has no server of its own to keep {name!r} on; "
            "give it a value of a Coord: lease.guard(coord.fenced(...))"
        )

    def _judge(self, name: str, votes: list[Vote]) -> None:
        """Raise unless an attempt failed because of another holder."""
        count = Counter(vote.outcome for vote in votes)
        if count["failed"] + count["quarantined"] > len(self.nodes) - self.quorum:
            raise QuorumError(name, tuple(votes))
        if not count["refused"]:
            raise UndecidedError(name, tuple(votes))

    def _require_age(self, node: Node) -> None:
        if self._quarantine is None:
            return
        longest = max(self._longest, self._quarantine)
        wanted = longest * (1 + DRIFT_SHARE) + DRIFT_FLOOR
        age = node.age()
        if age < 0:
            raise QuarantinedError("it does not tell its uptime by INFO; quarantine=False takes its word")
        if age < wanted:
            raise QuarantinedError(f"up for {age:.1f} s, it votes in {wanted - age:.1f} s")

    async def renew(self, lock: LockCalls, token: str, ttl: float) -> bool:
        """Start one lease anew; say whether a quorum did.

        Raises:
            QuorumError: Too few servers could be asked. The lease ends when it would have, or is renewed
                by another call before.
        """
        return (await self._renew([(lock, token, ttl)]))[0]

    async def renew_all(self, leases: Sequence[tuple[Renewable, float]]) -> list[bool]:
        """Start several leases anew, in one script a server; say of each whether a quorum did."""
        mine = [(cast("AsyncLease", lease), ttl) for lease, ttl in leases]
        return await self._renew([(lease._lock._calls, lease.token, ttl) for lease, ttl in mine])

    async def _renew(self, wanted: list[tuple[LockCalls, str, float]]) -> list[bool]:
        start = self.port.now()
        with self._mutex:
            self._longest = max(self._longest, *(ttl for _, _, ttl in wanted))
        patience = self._patience(min(ttl for _, _, ttl in wanted))
        call = renewal([(lock.key, token, ttl) for lock, token, ttl in wanted])

        def verdicts(outcomes: list[Outcome[list[bool]] | None]) -> list[bool | None]:
            answers = values(outcomes)
            return [self._verdict([answer[i] for answer in answers]) for i in range(len(wanted))]

        outcomes = await self._race(
            [node.run(call, patience) for node in self.nodes], lambda known: None not in verdicts(known)
        )
        renewed: list[bool] = []
        for i, verdict in enumerate(verdicts(outcomes)):
            lock, _, ttl = wanted[i]
            if verdict is None:
                raise QuorumError(lock.name, votes_of(self.nodes, outcomes, itemgetter(i)))
            renewed.append(verdict and self._validity(ttl, self.port.now() - start) > 0)
        return renewed

    def _verdict(self, answers: list[bool]) -> bool | None:
        """Say what a quorum of answers says; ``None`` if none does yet."""
        if sum(answers) >= self.quorum:
            return True
        if len(answers) - sum(answers) > len(self.nodes) - self.quorum:
            return False
        return None

    async def release(
        self,
        lock: LockCalls,
        token: str,
        waiter: str = "",
        *,
        end_anyway: bool = True,
        doubtful: bool = True,
        timeout: float | None = None,
    ) -> bool:
        """End a token on all servers; say whether a quorum cannot but have held it until now.

        Raises:
            QuorumError: Too few servers could be asked. They are owed it.
        """
        del waiter, end_anyway, doubtful  # nobody stands in line; a late acquire may be under way anywhere
        limit = self._call_timeout if timeout is None else min(timeout, self._call_timeout)
        with self._mutex:
            if token in self._bids:
                self._bids[token].over = True

        def decided(outcomes: list[Outcome[bool] | None]) -> bool:
            failed = sum(one is not None and one.error is not None for one in outcomes)
            return self._verdict(values(outcomes)) is not None or failed > len(self.nodes) - self.quorum

        flows = [self._give_back(node, lock, token, limit) for node in self.nodes]
        outcomes = await self._race(flows, decided)
        answers = values(outcomes)
        verdict = self._verdict(answers)
        if verdict is None and len(answers) < self.quorum:
            raise QuorumError(lock.name, votes_of(self.nodes, outcomes, bool))
        return verdict is not False

    async def _give_back(self, node: Node, lock: LockCalls, token: str, timeout: float) -> bool:
        call = lock.release(token, end_anyway=True)
        try:
            return await node.run(call, timeout)
        except Exception:
            node.owe(call, max(OWED, 2 * self._longest))
            raise

    async def status(self, lock: LockCalls) -> LockStatus:
        """Look at a lock: held is what a quorum says is held, for as long as a quorum says so."""
        found = await self._ask_all(lock.name, lock.status())
        held = [one for one in found if one.held]
        # A server that granted late has a counter of its own; the holder's fence is on a quorum.
        fence = self._agreed([one.fence for one in found if one.fence is not None])
        broken = next((one.broken for one in found if one.broken is not None), None)
        left = self._agreed([one.remaining for one in held if one.remaining is not None])
        if left is None:
            return LockStatus(False, None, fence, None, None, broken, None, 0)
        holder, _ = Counter(one.holder for one in held).most_common(1)[0]
        since = min(one.held_for or 0.0 for one in held)
        return LockStatus(True, holder, fence, since, left, broken, held[0].mode, 0)

    def _agreed(self, numbers: list[N]) -> N | None:
        """Find the largest number that a quorum reaches, if there is one."""
        return sorted(numbers, reverse=True)[self.quorum - 1] if len(numbers) >= self.quorum else None

    async def force_release(self, lock: LockCalls, reason: str) -> bool:
        """Take a lock from whoever holds it; say whether anybody did on any server."""
        answers = await self._ask_all(lock.name, lock.force_release(reason))
        return any(answers)

    async def _ask_all(self, name: str, call: Call[T]) -> list[T]:
        """Ask every server, and return the answers if they are a quorum's."""
        flows = [node.run(call, self._call_timeout) for node in self.nodes]
        outcomes = await self._race(flows, lambda _: False)
        answers = values(outcomes)
        if len(answers) < self.quorum:
            raise QuorumError(name, votes_of(self.nodes, outcomes, lambda _: True))
        return answers

    def _elects(self, yes: Callable[[T], bool]) -> Callable[[list[Outcome[T] | None]], bool]:
        """Make what tells, of the votes known so far, whether those to come can still change anything."""

        def decided(outcomes: list[Outcome[T] | None]) -> bool:
            ended = [one for one in outcomes if one is not None]
            good = sum(map(yes, values(ended)))
            return good >= self.quorum or len(ended) - good > len(outcomes) - self.quorum

        return decided

    async def _race(
        self, flows: Sequence[Coroutine[object, None, T]], enough: Callable[[list[Outcome[T] | None]], bool]
    ) -> list[Outcome[T] | None]:
        with self._mutex:
            self._flying += len(flows)
        return await self.port.race([self._counted(flow) for flow in flows], enough)

    async def _counted(self, flow: Coroutine[object, None, T]) -> T:
        try:
            return await flow
        finally:
            with self._mutex:
                self._flying -= 1

    def _patience(self, ttl: float) -> float:
        """For how long one server is waited for: much less than the lease."""
        return min(self._call_timeout, max(LEAST_PATIENCE, PATIENCE_SHARE * ttl))

    def _validity(self, ttl: float, elapsed: float) -> float:
        return ttl - elapsed - (ttl * DRIFT_SHARE + DRIFT_FLOOR)
