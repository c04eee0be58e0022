from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any, cast

import pytest

from tests.support.flavours import TWINS

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

CONTEXT = {"__enter__": "__aenter__", "__exit__": "__aexit__", "__iter__": "__aiter__"}
OPERATORS = {"__and__", "__or__", "__xor__", "__sub__"}


def surface(kind: type) -> dict[str, Any]:
    """The members of a class that belong to its users."""
    own = {name: inspect.getattr_static(kind, name) for name in dir(kind)}
    names = {name for name in own if not name.startswith("_")} | (own.keys() & {*CONTEXT, *CONTEXT.values()})
    return {name: own[name] for name in names | OPERATORS & own.keys()}


def signature(member: Any, without: AbstractSet[str] = frozenset()) -> str:
    """A member's parameters and answer, with the async twins' names made those of the sync ones."""
    function = member.__func__ if isinstance(member, classmethod) else member
    function = function.fget if isinstance(function, property) else function
    found = inspect.signature(cast("Any", function))
    assert without <= found.parameters.keys()
    kept = [each for name, each in found.parameters.items() if name not in without]
    return re.sub(r"Async(?=[A-Z])", "", str(found.replace(parameters=kept)))


MADE_BY_COORD = {
    "Admission", "AdmissionPermit", "AdmissionHold", "Cohort", "ConcurrencyPermit", "ConcurrencyHold",
    "Charge", "Charging", "Guarded", "Hold", "Lease", "Limits", "Loss",
    "OrderedFunnel", "PeriodBoard", "Selection",
}  # fmt: skip
"""Nobody else makes these, and so the twins may be made differently: the sync ones from the async ones."""


ASYNC_ONLY = {
    ("Coord", "__init__"): {"coalesce"},
    ("Coord", "connect"): {"coalesce"},
    ("Coord", "lock"): {"renew_in"},
    ("Coord", "locks"): {"renew_in"},
    ("Lock", "__init__"): {"renew_in"},
    ("Locks", "__init__"): {"renew_in"},
}
"""The options that only an event loop gives a meaning to: all in which twins may differ."""


def pairs() -> list[Any]:
    return [pytest.param(sync, twin, id=sync.__name__) for sync, twin in TWINS.items()]


def test_every_sync_class_has_a_twin() -> None:
    assert {twin.__name__ for twin in TWINS.values()} == {f"Async{sync.__name__}" for sync in TWINS}
    assert len(TWINS) >= 10


@pytest.mark.parametrize(("sync", "twin"), pairs())
def test_twins_have_the_same_members(sync: type, twin: type) -> None:
    assert {CONTEXT.get(name, name) for name in surface(sync)} == set(surface(twin))


@pytest.mark.parametrize(("sync", "twin"), pairs())
def test_twins_take_and_give_the_same(sync: type, twin: type) -> None:
    async_surface = surface(twin)
    for name, member in surface(sync).items():
        other = async_surface[CONTEXT.get(name, name)]
        assert type(member) is type(other), name
        assert signature(member) == signature(other, ASYNC_ONLY.get((sync.__name__, name), set())), name
    if sync.__name__ not in MADE_BY_COORD:
        # Besides, a client's type is what twins disagree on.
        only = ASYNC_ONLY.get((sync.__name__, "__init__"), set())
        assert signature(sync.__init__) == signature(twin.__init__, only)  # type: ignore[misc]


@pytest.mark.parametrize(("sync", "twin"), pairs())
def test_twins_say_the_same_about_themselves(sync: type, twin: type) -> None:
    assert sync.__doc__ == twin.__doc__
    for name in surface(sync).keys() - CONTEXT.keys():
        assert getattr(sync, name).__doc__, f"{sync.__name__}.{name} has no docstring"
        assert getattr(sync, name).__doc__ == getattr(twin, name).__doc__


@pytest.mark.parametrize(("sync", "twin"), pairs())
def test_only_the_async_twin_has_coroutines(sync: type, twin: type) -> None:
    assert not any(inspect.iscoroutinefunction(member) for member in surface(sync).values())
