"""A client of a language model that keeps to limits of requests and tokens a minute, and of calls at a time.

Run: python examples/llm_client.py [URL]
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import anyio

from coord import AsyncCoord, Coord, RateLimited, upstream_pause

TOO_MANY = 429


@dataclass(frozen=True)
class Answer:
    """What a provider answers; a stand-in for one here."""

    text: str
    tokens: int
    status: int
    headers: dict[str, str]


async def provider(prompt: str) -> Answer:
    await anyio.sleep(0.01)
    if "too much" in prompt:
        return Answer("", 0, 429, {"Retry-After": "2"})
    return Answer(prompt.upper(), 3 * len(prompt), 200, {})


class Client:
    """Asks a provider, within its limits."""

    def __init__(self, coord: AsyncCoord, model: str) -> None:
        self.model = model
        self.requests = coord.token_bucket("requests", "600/minute burst 5")
        self.tokens = coord.token_bucket("tokens", "6_000/minute burst 1_000", overdraft=1_000)
        self.calls = coord.concurrency_limit("calls", limit=3, fair=True)
        self.admission = coord.admission(self.requests, self.tokens, at_once=self.calls)
        self.most = 0

    async def ask(self, prompt: str, *, timeout: float = 10) -> str:
        estimate = 100 + len(prompt)
        cost = {"requests": 1, "tokens": estimate}
        hold = self.admission.hold(self.model, cost=cost, timeout=timeout, refund_on=(OSError,))
        async with hold as permit:
            self.most = max(self.most, (await self.calls.status(self.model)).used)
            answer = await provider(prompt)
            await permit.settle({"requests": 1, "tokens": answer.tokens})
        if answer.status == TOO_MANY:
            pause = upstream_pause(answer.headers)
            if pause is not None:
                await self.requests.penalize(self.model, until=pause)
        return answer.text


async def suspending(url: str) -> None:
    async with AsyncCoord.connect(url, prefix="example") as coord:
        client = Client(coord, "model-1")
        await coord.limits(client.requests, client.tokens).reset("model-1")
        answers: list[str] = []

        async def ask(number: int) -> None:
            answers.append(await client.ask(f"question {number}"))

        async with anyio.create_task_group() as tasks:
            for number in range(8):
                tasks.start_soon(ask, number)
        print(f"async: {len(answers)} questions were answered, at most {client.most} at a time")
        used = 1000 - (await client.tokens.status("model-1")).remaining
        print(f"async: {used} tokens count, and {8 * 110} had been estimated")
        await client.ask("this is too much")
        try:
            await client.ask("hello?", timeout=0.5)
        except RateLimited as denied:
            print(f"async: the provider wants a pause, so {denied.decision.name!r} denies for now")


def blocking(url: str) -> None:
    with Coord.connect(url, prefix="example") as coord:
        requests = coord.token_bucket("requests", "60/minute")
        tokens = coord.token_bucket("tokens", "1000/minute")
        quota = coord.limits(requests, tokens)
        quota.reset("model-2")
        first = quota.try_acquire("model-2", cost={"requests": 1, "tokens": 900})
        second = quota.try_acquire("model-2", cost={"requests": 1, "tokens": 900})
        left = requests.status("model-2").remaining
        print(
            f"sync:  {first.allowed}, then {second.allowed} for want of {second.name}; requests left: {left}"
        )
        calls = coord.admission(requests, at_once=coord.concurrency_limit("calls", limit=1, fair=True))
        with calls.hold("model-2"):
            permit = calls.try_acquire("model-2")
        if not permit:
            print(f"sync:  a second call at a time is denied by {permit.name!r}")


if __name__ == "__main__":
    target = sys.argv[1] if len(sys.argv) > 1 else "embedded://"
    blocking(target)
    anyio.run(suspending, target)
