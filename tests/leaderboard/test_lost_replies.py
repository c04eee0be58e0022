"""Submissions whose reply is lost: the caller is told, and each counted exactly once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import redis

from tests.support.hubs import hub_of
from tests.support.middleman import Middleman, middleman

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

pytestmark = pytest.mark.anyio

LOST = (redis.ConnectionError, redis.TimeoutError, OSError)

BOARDS: dict[str, Callable[[Any], Any]] = {
    "one board": lambda hub: hub.leaderboard("plain", keep="sum"),
    "of two periods": lambda hub: hub.leaderboard("periods", keep="sum", period=["day", "month"]),
    "sharded": lambda hub: hub.sharded_leaderboard("sharded", shards=3, keep="sum"),
}
SUBMISSIONS: dict[str, Callable[[Any], Awaitable[object]]] = {
    "one": lambda board: board.submit("ann", 5),
    "many": lambda board: board.submit_many({"ann": 5}),
}


@pytest.fixture
def between(real_server: str) -> Iterator[Middleman]:
    with middleman(int(real_server.rsplit(":", 1)[1].split("/", maxsplit=1)[0])) as one:
        yield one


@pytest.mark.parametrize("kind", BOARDS)
@pytest.mark.parametrize("how", SUBMISSIONS)
async def test_a_submission_whose_reply_is_lost_is_counted_once(
    between: Middleman, flavour: str, prefix: str, kind: str, how: str
) -> None:
    losses: list[bytes] = []

    def loses(words: list[bytes]) -> bool:
        losses.append(words[0])
        return len(losses) == 1

    async with hub_of(flavour, between.port, prefix) as hub:
        board = BOARDS[kind](hub)
        await SUBMISSIONS[how](board)
        between.loses = loses
        with pytest.raises(LOST):
            await SUBMISSIONS[how](board)

        assert losses == [b"EVALSHA"], "sent once"
        periods = ("day", "month") if kind == "of two periods" else ()
        for one in [board.of(period) for period in periods] or [board]:
            assert await one.score("ann") == 10
