"""Asks the server about one or more limits, within a budget; or answers instead of it."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from coord._engine.checks import MAX_EXACT, micros
from coord.errors import CoordError, RateLimited
from coord.limits.decision import Decision
from coord.limits.fallback import REST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coord.limits.options import Behaviour
    from coord.limits.policy import Item, Policy
    from coord.limits.room import Answer, LimitRoom, Row

__all__ = ["Debit", "Gate", "Group", "Verdict", "combined", "decided"]

UNDO_TIME = 1.0
"""Seconds that giving a charge back may take: somebody was denied, or has given up, and waits for it."""

FIRST_TIME = 1.0
"""Seconds that the first call may take at the least: to load the client, connect and say hello takes far
longer than a round trip, and is done once."""

LONGEST_WAIT = (MAX_EXACT - 1) // 2
"""Microseconds that a turn may be booked ahead, 142 years: with the server's time still exact."""

Group = tuple["Item", ...]
"""What is asked in one call: all of one subject, or of one server."""


class Debit(NamedTuple):
    """What was charged in one call, and when.

    Attributes:
        group: The limits and costs.
        answer: What the server said.
        looked: Whether it was only looked at, and nothing was charged.
    """

    group: Group
    answer: Answer
    looked: bool = False


class Verdict(NamedTuple):
    """How an attempt ended.

    Attributes:
        decision: What to tell the caller.
        debits: What was charged; nothing after a denial or a fallback.
    """

    decision: Decision
    debits: tuple[Debit, ...] = ()


class Gate:
    """Decides over some limits, all of them or none.

    Args:
        room: What all limiters share.
        behaviour: The options of the limiter that this gate is of.
    """

    def __init__(self, room: LimitRoom, behaviour: Behaviour) -> None:
        self.room = room
        self._port = room.port
        self._on_error = behaviour.on_error
        self._budget = behaviour.patience
        self._shadow = behaviour.shadow
        self._hook = behaviour.on_decision
        self._plain = self._hook is None and not self._shadow
        self._share = behaviour.share

    async def take(self, groups: Sequence[Group], more: int = 0) -> Verdict:
        """Charge now, or not at all."""
        return await self._attempt("take", more, groups)

    async def look(self, groups: Sequence[Group]) -> Decision:
        """Say how things stand."""
        return (await self._attempt("look", 0, groups)).decision

    async def wait_turn(self, groups: Sequence[Group], within: float) -> Verdict:
        """Book the next moment at which all limits allow it, and sleep until then.

        Raises:
            RateLimited: That moment is further away than ``within`` seconds. Nothing is charged.
            RuntimeError: The caller must not sleep where it is, and would have to. Nothing is charged.
        """
        if self._shadow:
            return await self.take(groups)
        patience, refusal = within, None
        try:
            self._port.admit(waits=within > 0)
        except RuntimeError as error:
            patience, refusal = 0.0, error  # what is free now may be had, but no turn be booked
        longest = LONGEST_WAIT if patience * 1_000_000 >= LONGEST_WAIT else micros(patience)
        verdict = await self._attempt("reserve", longest, groups)
        if verdict.decision.source == "fallback":
            verdict = Verdict(await self._wait_locally(groups, verdict.decision, patience))
        if not verdict.decision:
            if refusal is not None and verdict.decision.retry_after <= within:
                raise refusal
            raise RateLimited(groups[0][0].subject, verdict.decision)
        if verdict.decision.delay and verdict.debits:
            try:
                await self._port.sleep(verdict.decision.delay)
            except BaseException:
                with contextlib.suppress(Exception):
                    await self._port.finish(self._take_back(verdict.debits))
                raise
        return verdict

    async def correct(self, group: Group, moment: int) -> Answer | None:
        """Charge more to limits, or less where the cost is negative, after the fact.

        Args:
            group: The limits, and by how much.
            moment: When the charge that is corrected was dated; -1 for the newest.

        Returns:
            What the server said; ``None`` if it could not be asked and there is a fallback.
        """
        answer = await self._ask("settle", moment, group)
        self.room.forget(group)
        return answer

    async def penalize(self, group: Group, seconds: float) -> None:
        """Admit nothing for so long."""
        await self._ask("penalize", micros(seconds), group)

    async def tell(self, key: str, decision: Decision) -> Decision:
        """Let the hook see a decision, and shadow mode turn it."""
        if self._shadow and not decision.allowed:
            decision = replace(decision, allowed=True, shadowed=True)
        if self._hook is not None:
            hook = self._hook
            try:
                await self._port.invoke(lambda: hook(key, decision))
            except Exception:  # the decision stands, whatever becomes of its metrics
                self.room.log.exception("on_decision failed for limit %r", decision.name)
        return decision

    async def _attempt(self, verb: str, operand: int, groups: Sequence[Group]) -> Verdict:
        debits: Sequence[Debit] | None  # None if the server could not be asked
        if len(groups) == 1 and verb != "reserve":
            # The usual case, made short: there is never anything to take back.
            answer = await self._ask(verb, operand, groups[0])
            debits = None if answer is None else (Debit(groups[0], answer, verb == "look"),)
        else:
            debits = await self._charge_in_turn(verb, operand, groups)
        if debits is None:
            decision, debits = self._instead(verb, groups), ()
        else:
            decision = decided(debits)
            if not decision.allowed:
                if len(debits) > 1:
                    await self._take_back(debits)
                debits = ()
        if not self._plain:
            decision = await self.tell(groups[0][0].subject, decision)
        return Verdict(decision, tuple(debits))

    async def _charge_in_turn(
        self, verb: str, operand: int, groups: Sequence[Group]
    ) -> Sequence[Debit] | None:
        """Charge one group after the other until one denies; ``None`` if the server could not be asked."""
        debits: list[Debit] = []
        try:
            for group in groups:
                asking = self._charge(verb, operand, group, debits)
                # A booking goes to its end even if the caller gives up: only then is it known.
                answer = await (self._port.finish(asking) if verb == "reserve" else asking)
                if answer is None:
                    with contextlib.suppress(Exception):  # the server is in trouble
                        await self._take_back(debits)
                    return None
                if not answer.granted and verb != "look":
                    break
        except BaseException:
            with contextlib.suppress(Exception):
                await self._port.finish(self._take_back(debits))
            raise
        return debits

    async def _charge(self, verb: str, operand: int, group: Group, debits: list[Debit]) -> Answer | None:
        answer = await self._ask(verb, operand, group)
        if answer is not None:
            debits.append(Debit(group, answer, verb == "look"))
        return answer

    async def _take_back(self, debits: Sequence[Debit]) -> None:
        """Undo what was charged: a reservation that still waits as though it had never been made."""
        for debit in debits:
            group, answer = debit.group, debit.answer
            if not answer.granted or debit.looked:
                continue
            if answer.marks:
                call = self.room.call("undo", 0, group, answer.marks)
            else:
                back = tuple(item._replace(cost=-item.cost) for item in group)
                call = self.room.call("settle", answer.moment, back)
            await self._port.run(call, timeout=UNDO_TIME)
            self.room.forget(group)

    async def _ask(self, verb: str, operand: int, group: Group) -> Answer | None:
        """Ask the server; ``None`` if it could not be asked and there is a fallback."""
        call = self.room.call(verb, operand, group, once=self._on_error != "raise")
        if self._on_error == "raise":
            return await self._port.run(call, timeout=self._budget)
        room, budget = self.room, self._budget
        breaker = room.breaker(group[0].key, budget)
        if not breaker.lets_through(self._port.now()):
            return None
        if not room.heard and budget is not None:
            budget = max(budget, FIRST_TIME)
        try:
            answer = await self._port.run(call, timeout=budget)
        except (CoordError, RuntimeError, TypeError, ValueError):
            raise  # a wrong key, or a closed Coord: not the server's trouble
        except Exception as error:  # noqa: BLE001  # whatever a client library calls its failures
            room.heard = True
            breaker.failed(self._port.now())
            room.log.warning("a limiter answers without its server: %s", type(error).__name__)
            return None
        room.heard = True
        breaker.worked()
        return answer

    def _instead(self, verb: str, groups: Sequence[Group]) -> Decision:
        items = [item for group in groups for item in group]
        if self._on_error == "local":
            return combined(self.room.local.decide(items, self._share, charge=verb != "look"))
        allowed = self._on_error == "allow"
        return combined(
            [
                Decision(
                    allowed,
                    item.policy.limit,
                    item.policy.limit if allowed else 0,
                    0.0 if allowed else REST,
                    0.0,
                    item.policy.name,
                    item.policy.window,
                    "fallback",
                )
                for item in items
            ]
        )

    async def _wait_locally(self, groups: Sequence[Group], decision: Decision, within: float) -> Decision:
        """Sleep and try again, while the local limiter promises room in time."""
        items = [item for group in groups for item in group]
        if not self.room.local.can_ever(items, self._share):
            return decision
        until = self._port.now() + within
        while not decision and self._on_error == "local" and self._port.now() + decision.retry_after <= until:
            await self._port.sleep(decision.retry_after)
            decision = self._instead("take", groups)
        return decision


def decided(debits: Sequence[Debit]) -> Decision:
    """Make one decision of all that the server said."""
    if len(debits) == 1 and len(debits[0].group) == 1:
        ((item,), answer, _) = debits[0]
        return _part(item.policy, answer.rows[0], answer, granted=answer.granted)
    granted = all(debit.answer.granted for debit in debits)
    parts = [
        _part(item.policy, row, debit.answer, granted=granted)
        for debit in debits
        for item, row in zip(debit.group, debit.answer.rows, strict=True)
    ]
    return combined(parts)


def _part(policy: Policy, row: Row, answer: Answer, *, granted: bool) -> Decision:
    remaining, wait, reset = row
    allowed = answer.granted or wait == 0
    return Decision(
        allowed,
        policy.limit,
        remaining,
        0.0 if allowed else wait / 1_000_000,
        reset / 1_000_000,
        policy.name,
        policy.window,
        "redis",
        answer.wait / 1_000_000 if granted else 0.0,
    )


def combined(parts: Sequence[Decision]) -> Decision:
    """Make one decision of several: that of the limit that binds, with all as its parts."""
    if len(parts) == 1:
        return parts[0]
    if all(part.allowed for part in parts):
        binding = min(parts, key=lambda part: part.remaining / part.limit)
    else:
        binding = max(parts, key=lambda part: part.retry_after)
    delay = max(part.delay for part in parts)
    return replace(binding, parts=tuple(parts), delay=delay)
