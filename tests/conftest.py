"""What every test may ask for: a server of each kind, and a ``coord`` of each flavour on it."""

from __future__ import annotations

import contextlib
import itertools
import re
from typing import TYPE_CHECKING, Any

import pytest

from coord import AsyncCoord, Coord
from tests.support import servers
from tests.support.flavours import awaitable
from tests.support.hubs import client_of, no_second_looks, travel_alone
from tests.support.keys import keys_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

DEFAULT = ("memory", "valkey9")
EVERY = ("memory", *servers.BINARIES, "cluster", "sentinel")
PERMANENT = re.compile(r"^[^{]*:(fenced:\{[^}]*\}|(board|shard):\{[^}]*\}(:(scores|reached|meta|expiry))?)$")
"""The keys that the docs list as permanent."""

_numbers = itertools.count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--servers",
        default=",".join(DEFAULT),
        help=f"a comma-separated list of {', '.join(EVERY)}, or 'all' that can be found here",
    )
    parser.addoption(
        "--coalesce",
        choices=["on", "off"],
        default="on",
        help="'off' to have every call of an AsyncCoord travel alone",
    )
    parser.addoption(
        "--loop", choices=["asyncio", "uvloop"], default="asyncio", help="which event loop async tests run on"
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--coalesce") == "off":
        travel_alone()


def _chosen(config: pytest.Config) -> list[str]:
    wanted = config.getoption("--servers")
    if wanted != "all":
        return str(wanted).split(",")
    return [name for name in EVERY if name not in servers.BINARIES or servers.BINARIES[name]()]


def pytest_report_header(config: pytest.Config) -> str:
    missing = sorted(set(EVERY) - set(_chosen(config)))
    return f"servers: {', '.join(_chosen(config))}" + (f" (not: {', '.join(missing)})" if missing else "")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "server" in metafunc.fixturenames:
        metafunc.parametrize("server", _chosen(metafunc.config), indirect=True, scope="session")
    if "flavour" in metafunc.fixturenames:
        metafunc.parametrize("flavour", ["sync", "async"])


@pytest.fixture
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.config.getoption("--loop") == "uvloop"}


@pytest.fixture(scope="session")
def running_servers() -> Iterator[Callable[[str], str]]:
    """Start each kind of server once, when first asked for, and give its URL."""
    urls: dict[str, str] = {}
    with contextlib.ExitStack() as stack:

        def url_of(name: str) -> str:
            if name not in urls:
                urls[name] = _start(name, stack)
            return urls[name]

        yield url_of


def _start(name: str, stack: contextlib.ExitStack) -> str:
    if name == "memory":
        url = "memory://tests"
        stack.enter_context(client_of(url))  # holds on to the data
        return url
    binary = servers.BINARIES["valkey9" if name in ("cluster", "sentinel") else name]()
    if binary is None:
        pytest.fail(f"there is no {name} server here")
    if name == "cluster":
        return stack.enter_context(servers.cluster(binary))
    if name == "sentinel":
        return stack.enter_context(servers.sentinels(binary))
    return f"redis://{stack.enter_context(servers.running(binary)).address}/0"


@pytest.fixture
def server(request: pytest.FixtureRequest, running_servers: Callable[[str], str]) -> str:
    """The URL of a server."""
    url: str = running_servers(request.param)
    return url


@pytest.fixture
def real_server(running_servers: Callable[[str], str]) -> str:
    """The URL of a real server, for what needs one and not one of each."""
    return running_servers("valkey9")


@pytest.fixture
def own_server() -> Iterator[servers.Process]:
    """A server of one's own, to be stopped, looked at, and talked to through a proxy."""
    binary = servers.BINARIES["valkey9"]()
    assert binary is not None
    with servers.running(binary) as process:
        yield process


@pytest.fixture
def prefix() -> str:
    return f"test{next(_numbers)}"


@pytest.fixture
def client(server: str) -> Iterator[Any]:
    """A sync client of the server, for looking behind coord's back."""
    with client_of(server) as opened:
        yield opened


@pytest.fixture
def no_leaks(client: Any, prefix: str) -> Iterator[None]:
    """Fail a test that leaves a key without TTL which the docs do not list as permanent."""
    yield
    keys = keys_of(client, prefix)
    leaked = [key for key in keys if client.pttl(key) == -1 and not PERMANENT.match(key)]
    for key in keys:
        client.delete(key)
    assert leaked == []


@pytest.fixture
async def coord(no_leaks: None, server: str, flavour: str, prefix: str) -> AsyncIterator[Any]:
    """A Coord of either flavour; the sync one may be awaited too."""
    if flavour == "sync":
        with Coord.connect(server, prefix=prefix) as hub:
            yield awaitable(hub)
    else:
        async with AsyncCoord.connect(server, prefix=prefix) as hub:
            yield hub


@pytest.fixture
async def other_coord(no_leaks: None, server: str, flavour: str, prefix: str) -> AsyncIterator[Any]:
    """A Coord of the flavour that ``coord`` is not, on the same keys."""
    if flavour == "async":
        with Coord.connect(server, prefix=prefix) as hub:
            yield awaitable(hub)
    else:
        async with AsyncCoord.connect(server, prefix=prefix) as hub:
            yield hub


@pytest.fixture
def no_fallback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks again unasked within a test: who gets a lock or a permit has been woken."""
    no_second_looks(monkeypatch)
