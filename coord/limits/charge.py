"""The receipt for what was charged, by which it can be corrected; and a block that has one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from coord._engine.checks import integer
from coord._engine.faces import no_block

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable
    from types import TracebackType

    from coord.limits.decision import Decision
    from coord.limits.gate import Gate, Verdict

__all__ = ["AsyncCharge", "AsyncCharging", "Cost", "costs_of"]

Cost = int | Mapping[str, int]
"""One number for all limits, or a number for each by its limiter's name."""


def costs_of(cost: Cost, names: Iterable[str], *, at_least: int) -> dict[str, int]:
    """Spell a cost out for each of several limits.

    Raises:
        TypeError: It is no ``int``, and no mapping to them.
        ValueError: It names other limits than these, or a number is below ``at_least``.
    """
    wanted = list(names)
    if not isinstance(cost, Mapping):
        return dict.fromkeys(wanted, integer(cost, "cost", at_least=at_least))
    if set(cost) != set(wanted):
        raise ValueError(
            f"cost must have a number for each of {', '.join(map(repr, wanted))}, not {dict(cost)!r}"
        )
    return {name: integer(cost[name], f"cost[{name!r}]", at_least=at_least) for name in wanted}


@no_block("async with limiter.charge(key, timeout=...) as charge")
class AsyncCharge:
    """The receipt for what was charged: leave to go ahead once. Made by ``acquire()`` and ``charge()``.

    Attributes:
        key: Whom or what was charged.
        decision: The decision; its ``delay`` has been waited for.
    """

    def __init__(self, gate: Gate, key: str, verdict: Verdict) -> None:
        self._gate = gate
        self._debits = verdict.debits
        self._charged = {item.policy.name: item.cost for debit in verdict.debits for item in debit.group}
        self.key = key
        self.decision: Decision = verdict.decision

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.key!r}, charged {self._charged!r}>"

    async def settle(self, cost: Cost) -> None:
        """Correct the cost to what it turned out to be.

        What was charged too much is given back, as far as it still counts; what was charged too little is
        charged now, up to the limit and the limiter's ``overdraft``. To settle at the same cost again does
        nothing. Sent at most once: after an exception the correction may have been made or not, and is
        not made by another call. A decision that no server made has nothing to settle.

        Args:
            cost: What it cost; of several limits, a number for each limiter by name, or 0 for all. It may be
                more than the limit.

        Raises:
            TypeError: ``cost`` is not an ``int``, or has a value that is none; or it is a number but 0,
                and there are several limits: requests and tokens never cost the same.
            ValueError: ``cost`` is negative, or does not name each limiter.

        Complexity: One round trip; O(1), for an exact sliding window O(n) in what was admitted since.
        """
        names = self._charged or [part.name for part in self.decision.parts or (self.decision,)]
        wanted = costs_of(cost, names, at_least=0)
        if len(wanted) > 1 and not isinstance(cost, Mapping) and cost:
            named = ", ".join(f"{name!r}: ..." for name in wanted)
            raise TypeError(f"several limits are settled by name, settle({{{named}}}), not settle({cost})")
        for debit in self._debits:
            changed = tuple(
                item._replace(cost=more)
                for item in debit.group
                if (more := wanted[item.policy.name] - self._charged[item.policy.name])
            )
            if not changed:
                continue
            self._charged.update((item.policy.name, wanted[item.policy.name]) for item in changed)
            answer = await self._gate.correct(changed, debit.answer.moment)
            for item, (_, done, _) in zip(changed, answer.rows if answer else (), strict=False):
                if item.cost > 0:
                    self._charged[item.policy.name] += done - item.cost

    async def refund(self) -> None:
        """Give all of it back, as ``settle(0)`` does."""
        await self.settle(0)

    async def _refund_after(self, error: BaseException) -> None:
        """Give all of it back since a block has failed."""
        try:
            await self._gate.room.port.finish(self.refund())
        except Exception as problem:  # noqa: BLE001  # the body's own exception is the one to see
            error.add_note(f"and on giving back what was charged: {type(problem).__name__}: {problem}")


class AsyncCharging:
    """A charge for one ``with`` block. Made by ``charge()``; good for one use."""

    def __init__(
        self,
        acquire: Callable[[], Coroutine[object, None, AsyncCharge]],
        refund_on: tuple[type[BaseException], ...],
    ) -> None:
        self._acquire = acquire
        self._refund_on = refund_on
        self._charge: AsyncCharge | None = None
        self._process = 0

    async def __aenter__(self) -> AsyncCharge:
        if self._charge is not None:
            raise RuntimeError("this block was used before; call charge() for each")
        self._charge = await self._acquire()
        self._process = self._charge._gate.room.port.process()
        return self._charge

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._charge is None:
            raise RuntimeError("this block was never entered")
        if isinstance(error, self._refund_on) and self._process == self._charge._gate.room.port.process():
            await self._charge._refund_after(error)  # which is not for a forked child to do
