"""A plausible day of a small site's traffic, for those who have no log at hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import accumulate
from random import Random

__all__ = ["generate"]

_FIRST_DAY = datetime(2025, 3, 10, tzinfo=UTC)
_SEED = 11
"""Any number: the same traffic each time."""

_VISITORS = 900
"""Addresses: more than the 512 that are counted exactly, so that there is an estimate to see."""

_BY_HOUR = (2, 1, 1, 1, 1, 2, 4, 7, 10, 12, 12, 11, 10, 11, 12, 11, 10, 9, 9, 10, 10, 8, 6, 4)
"""How likely each hour is, beside the others: people sleep."""

_ASSETS = ("/static/site.css", "/static/site.js", "/static/logo.svg", "/favicon.ico")
_PAGES = (
    "/",
    "/docs/",
    "/docs/install",
    "/docs/tutorial",
    "/blog/",
    "/search?q=lock",
    "/docs/reference/locks",
    "/docs/reference/limits",
    "/blog/fences-and-leases",
    "/pricing",
    "/login",
    "/feed.xml",
    "/robots.txt",
    "/blog/counting-without-storing",
    "/about",
    "/docs/reference/leaderboards",
    "/wp-login.php",
)
_AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:136.0) Gecko/20100101 Firefox/136.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/134.0.0.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "curl/8.12.1",
)
# Addresses that RFC 5737 and RFC 3849 set aside for examples.
_NETWORKS = ("192.0.2.", "198.51.100.", "203.0.113.", "2001:db8::")
_BAD = ("Mar 10 09:14:02 web1 kernel: Out of memory", "203.0.113.7 - - [10/Mar/2025:14:2", "")


def generate(requests: int = 10_000, *, days: int = 1, seed: int = _SEED) -> list[str]:
    """Make up ``requests`` lines of Combined Log Format, the same for the same arguments.

    Three of them are damaged beyond reading, and one is cut off within its user agent.
    """
    rng = Random(seed)  # noqa: S311  # traffic, not secrets
    visitors = [_address(rng, number) for number in range(_VISITORS)]
    regularity = list(accumulate(1 / (rank + 4) for rank in range(_VISITORS)))
    popularity = list(accumulate(1 / (rank + 1) for rank in range(len(_PAGES))))
    hits: list[tuple[datetime, str]] = []
    while len(hits) < requests:
        host = rng.choices(visitors, cum_weights=regularity)[0]
        agent = _AGENTS[_hash(host) % len(_AGENTS)]
        when = _moment(rng, days)
        for page in rng.choices(_PAGES, cum_weights=popularity, k=rng.randint(1, 6)):
            assets = rng.sample(_ASSETS, k=rng.choice((0, 0, 1, 4)))
            hits += [(when, _line(rng, host, when, path, agent)) for path in (page, *assets)]
            when += timedelta(seconds=rng.randint(1, 90))
    lines = [line for _, line in sorted(hits[:requests])]
    return _damage(rng, lines)


def _hash(text: str) -> int:
    """Hash alike in every run, as ``hash()`` does not."""
    return sum(text.encode())


def _address(rng: Random, number: int) -> str:
    network = _NETWORKS[number % len(_NETWORKS)]
    return f"{network}{number:x}" if ":" in network else f"{network}{rng.randint(1, 254)}"


def _moment(rng: Random, days: int) -> datetime:
    hour = rng.choices(range(24), weights=_BY_HOUR)[0]
    return _FIRST_DAY + timedelta(days=rng.randrange(days), hours=hour, seconds=rng.randrange(3000))


def _line(rng: Random, host: str, when: datetime, page: str, agent: str) -> str:
    missing = page == "/wp-login.php"
    status = 404 if missing else rng.choices((200, 304, 500), weights=(90, 9, 1))[0]
    return (
        f'{host} - - [{when:%d/%b/%Y:%H:%M:%S %z}] "GET {page} HTTP/1.1" {status} {rng.randint(200, 60_000)} '
        f'"-" "{agent}"'
    )


def _damage(rng: Random, lines: list[str]) -> list[str]:
    places = rng.sample(range(len(lines)), k=min(len(lines), len(_BAD) + 1))
    for place, bad in zip(places, _BAD, strict=False):
        lines[place] = bad
    if len(places) > len(_BAD):
        lines[places[-1]] = lines[places[-1]][:-8]
    return lines
