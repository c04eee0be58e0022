"""The quorum lock that ships, run over a simulated world: no threads, no sockets, no clock but the seed's.

Checked: no two leases have the same fence, and a lease that was granted before another was asked for has
the lower one, *whatever* clocks and expiry do; and, while clocks, delays and expiry are honest, no two
leases are valid at once. That the checks can fail is checked too, with mutants of the protocol.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from coord.redlock import QuorumRoom
from coord.redlock.votes import values
from tests.support.simulation import Faults, Possession, answered, disorder, history, overlap

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from coord.redlock.votes import Bid


HISTORIES = int(os.environ.get("COORD_HISTORIES", "12"))
"""How many for each property. A long search sets it to thousands."""
HONEST = Faults(loss=0.02, twice=0.02, restart_every=4, pause_every=3, cut_every=3)
FORGETFUL = Faults(loss=0.01, restart_every=2, restarts_forget=True, pause_every=3)
WILD = Faults(
    loss=0.02, twice=0.1, tail=0.2, longest_delay=2.0, drift=0.5, expire_every=0.05, pause_every=1,
    restart_every=5, clocks_stand_still=True,
)  # fmt: skip
RACY = Faults(tail=0.5, longest_delay=0.04, drift=0.5, expire_every=0.02, clocks_stand_still=True)
"""Expiry is as quick as messages are."""


@pytest.mark.parametrize("servers", [3, 4, 5])
def test_never_two_valid_leases_while_clocks_and_delays_are_honest(servers: int) -> None:
    leases = 0
    for seed in range(HISTORIES):
        found = history(seed, HONEST, servers=servers)
        leases += len(found)

        assert (seed, overlap(found), disorder(found)) == (seed, "", "")
    assert leases > 5 * HISTORIES, "too little happened to mean anything"


def test_never_two_valid_leases_although_servers_forget_as_long_as_young_ones_do_not_vote() -> None:
    leases = 0
    for seed in range(HISTORIES):
        found = history(seed, FORGETFUL, servers=3, quarantine=0.0)
        leases += len(found)

        assert (seed, overlap(found)) == (seed, "")
    assert leases > 3 * HISTORIES


@pytest.mark.parametrize("faults", [WILD, RACY], ids=["wild", "racy"])
@pytest.mark.parametrize("servers", [3, 5])
def test_fences_are_in_order_whatever_clocks_expiry_and_the_network_do(servers: int, faults: Faults) -> None:
    leases = overlaps = 0
    for seed in range(HISTORIES):
        found = history(seed, faults, servers=servers)
        leases += len(found)
        overlaps += bool(overlap(found))

        assert (seed, disorder(found)) == (seed, "")
    assert leases > 3 * HISTORIES
    assert overlaps > HISTORIES / 5, "leases must have overlapped for this to mean anything"


def test_a_history_is_a_function_of_its_seed() -> None:
    assert history(7, HONEST) == history(7, HONEST)
    assert history(7, HONEST) != history(8, HONEST)


class OnePhase(QuorumRoom):
    """Hands out the largest counter of a majority, and writes it back to nobody."""

    async def _confirm(self, bid: Bid, grants: dict[int, int], fence: int) -> list[Any]:
        return [answered(fence) for _ in grants]


class HalfIsEnough(QuorumRoom):
    """Takes N // 2 for a majority."""

    def __init__(self, nodes: Sequence[Any], *more: Any, **options: Any) -> None:
        super().__init__(nodes, *more, **options)
        self.quorum = len(nodes) // 2


class OfTheReachable(QuorumRoom):
    """Takes a majority of those that answered for one of all."""

    def _elects(self, yes: Callable[[Any], bool]) -> Callable[[list[Any]], bool]:
        def decided(outcomes: list[Any]) -> bool:
            answered = values(outcomes)
            self.quorum = max(1, len(answered) // 2 + 1)
            return None not in outcomes

        return decided


MUTANTS: dict[str, tuple[Callable[[list[Possession]], str], Faults, dict[str, Any]]] = {
    "no write-back": (disorder, WILD, {"room": OnePhase}),
    "write-back without still being the owner": (disorder, RACY, {"confirms_anyone": True, "servers": 3}),
    "quorum of the reachable": (overlap, HONEST, {"room": OfTheReachable}),
    "half is a majority": (overlap, HONEST, {"room": HalfIsEnough, "servers": 4}),
    "young servers vote": (overlap, FORGETFUL, {"servers": 3}),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_of_the_protocol_is_caught(name: str) -> None:
    wrong, faults, options = MUTANTS[name]
    for seed in range(150):
        caught = wrong(history(seed, faults, **options))
        if caught:
            print(f"{name}: seed {seed}: {caught}")  # noqa: T201  # with -s or on a failure
            return
    pytest.fail(f"150 histories did not catch it: {name}")
