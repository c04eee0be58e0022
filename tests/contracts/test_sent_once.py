"""What may not be executed twice is sent at most once, whatever becomes of its reply."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import redis

from tests.contracts.test_lua import declared
from tests.support.hubs import hub_of
from tests.support.middleman import Middleman, middleman

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

pytestmark = pytest.mark.anyio

HOUR = 3600
LOST = (redis.ConnectionError, redis.TimeoutError, OSError)
"""The client's own words for a reply that did not come."""


@dataclass(frozen=True)
class Case:
    """A verb of the public API that runs a script which may not run twice.

    Attributes:
        act: Runs it on a subject.
        look: Says what came of it, asked of a ``Coord`` whose replies arrive.
        once: What ``look`` says after it ran once, on a fresh subject.
        before: Makes the subject what it is to be.
    """

    act: Callable[[Any, str], Awaitable[object]]
    look: Callable[[Any, str], Awaitable[object]]
    once: object
    before: Callable[[Any, str], Awaitable[object]] | None = None


def of_limiter(make: Callable[[Any], Any]) -> Case:
    """A charge to one of nine that there are."""
    return Case(lambda hub, who: make(hub).try_acquire(who), lambda hub, who: left(make(hub), who), 8)


async def left(limiter: Any, who: str) -> object:
    return (await limiter.status(who)).remaining


def bucket(hub: Any) -> Any:
    return hub.token_bucket("bucket", rate=1, per=9 * HOUR, burst=9)


def fixed(hub: Any) -> Any:
    return hub.fixed_window("fixed", limit=9, per=HOUR)


async def left_of_both(hub: Any, who: str) -> object:
    return (await left(bucket(hub), who), await left(fixed(hub), who))


def permits(hub: Any) -> Any:
    return hub.concurrency_limit("permits", limit=2, ttl=HOUR)


async def permits_used(hub: Any, who: str) -> object:
    return (await permits(hub).status(who)).used


async def lock_held(hub: Any, who: str) -> object:
    return (await hub.lock(who).status()).held


def board(hub: Any, who: str) -> Any:
    return hub.leaderboard(f"board-{who}", keep="sum")


async def scores(hub: Any, who: str) -> object:
    return [(row.member, row.score) for row in await board(hub, who).top(9)]


async def rank_then(hub: Any, who: str) -> object:
    """What a snapshot says."""
    (moved,) = await board(hub, who).movement("ann", snapshot="then")
    return moved.previous_rank


NON_REPEATABLE = {
    "limit_bucket": of_limiter(bucket),
    "limit_fixed": of_limiter(fixed),
    "limit_counter": of_limiter(
        lambda hub: hub.sliding_window("counter", limit=9, per=HOUR, precision="approximate")
    ),
    "limit_log": of_limiter(lambda hub: hub.sliding_window("log", limit=9, per=HOUR, precision="exact")),
    "limit_apply: a refund": Case(
        lambda hub, who: fixed(hub).refund(who, 1),
        lambda hub, who: left(fixed(hub), who),
        7,
        before=lambda hub, who: fixed(hub).try_acquire(who, cost=3),
    ),
    "limit_apply: several limits": Case(
        lambda hub, who: hub.limits(bucket(hub), fixed(hub)).try_acquire(who), left_of_both, (8, 8)
    ),
    "permit_reset": Case(
        lambda hub, who: permits(hub).reset(who),
        permits_used,
        0,
        before=lambda hub, who: permits(hub).try_acquire(who),
    ),
    "lock_break": Case(
        lambda hub, who: hub.lock(who).force_release(reason="a test"),
        lock_held,
        once=False,
        before=lambda hub, who: hub.lock(who, ttl=HOUR, renew=False).acquire(),
    ),
    "board_submit": Case(lambda hub, who: board(hub, who).submit("ann", 5), scores, [("ann", 5)]),
    "board_remove": Case(
        lambda hub, who: board(hub, who).remove("ann"),
        scores,
        [],
        before=lambda hub, who: board(hub, who).submit("ann", 5),
    ),
    "board_swap": Case(
        lambda hub, who: board(hub, who).snapshot("then"),
        rank_then,
        1,
        before=lambda hub, who: board(hub, who).submit("ann", 5),
    ),
}


def script_of(what: str) -> str:
    return what.split(":", maxsplit=1)[0]


@pytest.fixture
def between(real_server: str) -> Iterator[Middleman]:
    with middleman(int(real_server.rsplit(":", 1)[1].split("/", maxsplit=1)[0])) as one:
        yield one


@pytest.mark.parametrize("what", NON_REPEATABLE)
async def test_a_script_that_may_not_run_twice_is_sent_once_and_its_loss_is_told(
    between: Middleman, flavour: str, prefix: str, what: str
) -> None:
    """On clients that would send it ten times more, were they asked."""
    case = NON_REPEATABLE[what]
    sha = declared()[script_of(what)][0].sha

    def asked(words: list[bytes]) -> bool:
        return words[:2] == [b"EVALSHA", sha.encode()]

    async with (
        hub_of(flavour, between.upstream, prefix) as direct,
        hub_of(flavour, between.port, prefix) as hub,
    ):
        for subject in ("warm", "told"):
            if case.before is not None:
                await case.before(direct, subject)
        await case.act(hub, "warm")
        between.heard.clear()
        between.loses = asked
        with pytest.raises(LOST):
            await case.act(hub, "told")

        assert sum(map(asked, between.heard)) == 1
        assert await case.look(direct, "told") == case.once


def test_no_script_that_may_not_run_twice_is_left_out() -> None:
    unsafe = {name for name, made in declared().items() if not all(one.repeatable for one in made)}

    assert set(map(script_of, NON_REPEATABLE)) == unsafe
