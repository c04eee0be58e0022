"""Every check, by the name that the report calls it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.campaign import claims, history, shares, waits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.campaign.history import History

CHECKS: dict[str, Callable[[History], Iterator[str]]] = {
    "overlaps": history.overlaps,
    "lost updates": history.lost_updates,
    "fence regressions": history.fence_regressions,
    "stale writes accepted": history.stale_writes,
    "early losses": history.early_losses,
    "overstated leases": claims.overstated_leases,
    "revived leases": claims.revived_leases,
    "unexplained refusals": waits.unexplained_refusals,
    "slow hand-offs": waits.slow_hand_offs,
    "unfair order": waits.unfair_order,
    "too many permits": shares.too_many_permits,
    "too many charges": shares.too_many_charges,
    "unexplained denials": shares.unexplained_denials,
    "too many listeners": shares.too_many_listeners,
    "overdue calls": history.overdue_calls,
    "stranded": history.stranded,
    "leaked keys": history.leaked_keys,
    "unexpected errors": history.unexpected_errors,
}


def judge(found: History) -> dict[str, list[str]]:
    """Apply every check; return what each found, an empty list where all is well."""
    return {name: list(check(found)) for name, check in CHECKS.items()}
