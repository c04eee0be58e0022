"""Where it is measured: servers on one core, this process on another, and what to say of both."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import redis

from tests.support.servers import BINARIES, running

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.support.servers import Process

__all__ = ["cores", "describe", "pin", "pinned", "servers", "url_of"]

PACKAGES = (
    "redis", "hiredis", "limits", "throttled-py", "pyrate-limiter", "python-redis-lock", "pottery",
    "valkey-glide", "valkey-glide-sync", "coredis",
)  # fmt: skip


def cores() -> tuple[int | None, int | None]:
    """The servers' core and the clients'; nothing where there is one, or where they cannot be chosen."""
    if sys.platform != "linux":
        return None, None
    found = sorted(os.sched_getaffinity(0))
    return (found[0], found[1]) if len(found) > 1 else (None, None)


def pin(core: int | None) -> None:
    """Keep this process, and those that it starts, on one core."""
    if core is not None and sys.platform == "linux":
        os.sched_setaffinity(0, {core})


@contextlib.contextmanager
def pinned(core: int | None) -> Iterator[None]:
    """Do so until the block ends."""
    if core is None or sys.platform != "linux":
        yield
        return
    usual = os.sched_getaffinity(0)
    pin(core)
    try:
        yield
    finally:
        os.sched_setaffinity(0, usual)


@contextlib.contextmanager
def servers(count: int, core: int | None) -> Iterator[list[Process]]:
    """Run Valkey servers on one core until the block ends."""
    binary = BINARIES["valkey9"]()
    if binary is None:
        raise RuntimeError("the benchmarks need the Valkey server of the `embedded` extra")
    with contextlib.ExitStack() as stack:
        with pinned(core):  # every thread of a server begins on the core of who started it
            nodes = [stack.enter_context(running(binary)) for _ in range(count)]
        yield nodes


def url_of(node: Process) -> str:
    """The URL of a server."""
    return f"redis://{node.address}"


def describe(url: str, command: str) -> str:
    """Say what the figures were measured on, and by which command."""
    with redis.Redis.from_url(url) as client:
        server = client.info("server")["valkey_version"]
    chosen = "cores not chosen" if cores() == (None, None) else "server and clients on one core each"
    python = f"{platform.python_implementation()} {platform.python_version()}"
    lines = [
        f"- {_processor()}, {os.cpu_count()} cores; {chosen}, over loopback",
        f"- {platform.system()}, {python}, Valkey {server}",
        f"- {', '.join(_installed(PACKAGES))}",
        f"- `{command}`",
    ]
    return "\n".join(lines) + "\n"


def _installed(packages: Sequence[str]) -> Iterator[str]:
    for package in packages:
        with contextlib.suppress(PackageNotFoundError):
            yield f"{package} {version(package)}"


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
