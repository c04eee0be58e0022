"""TLS and passwords said in a URL, on one server, a cluster and behind a Sentinel."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
import redis
from redis.sentinel import Sentinel

from coord import AsyncCoord, Coord
from tests.support import servers
from tests.support.flavours import awaitable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.anyio
trustme: Any = pytest.importorskip("trustme")

SERVER = "port 0\ntls-port {{port}}\nbind 127.0.0.1\ndir {{folder}}\nsave ''\n"
KEYS = "tls-cert-file {cert}\ntls-key-file {key}\ntls-ca-cert-file {ca}\ntls-auth-clients {auth}\n"


class Authority:
    """Signs certificates of servers and clients, and keeps them in files."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._signer = folder, trustme.CA()
        self.ca = folder / "ca.pem"
        self._signer.cert_pem.write_to_path(self.ca)

    def certificate(self, *names: str) -> tuple[Path, Path]:
        made = self._signer.issue_cert(*names)
        cert, key = self._folder / f"{names[0]}.pem", self._folder / f"{names[0]}.key"
        cert.write_bytes(b"".join(one.bytes() for one in made.cert_chain_pems))
        made.private_key_pem.write_to_path(key)
        return cert, key

    def config(self, *names: str, auth: str = "no", more: str = "") -> str:
        cert, key = self.certificate(*(names or ("localhost", "127.0.0.1")))
        return (SERVER + KEYS).format(cert=cert, key=key, ca=self.ca, auth=auth) + more


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def run() -> Iterator[Callable[..., int]]:
    binary = servers.BINARIES["redis7"]()
    if binary is None:
        pytest.skip("needs a server with TLS: the system's redis-server")
    with contextlib.ExitStack() as stack:

        def start(config: str, *options: str) -> int:
            port = servers.cluster_port() if "cluster-enabled" in config else 0
            return stack.enter_context(servers.running(binary, *options, config=config, port=port)).port

        yield start


@contextlib.asynccontextmanager
async def reached(flavour: str, url: str) -> AsyncIterator[Any]:
    if flavour == "sync":
        with Coord.connect(url, prefix="tls") as hub:
            yield awaitable(hub)
    else:
        async with AsyncCoord.connect(url, prefix="tls") as hub:
            yield hub


async def locks_and_waits(flavour: str, url: str) -> None:
    """Call, and be woken: over both kinds of connection that a Coord makes."""
    async with reached(flavour, url) as hub:
        lease = await hub.lock("x").acquire()
        with pytest.raises(TimeoutError, match="x"):
            await hub.lock("x").acquire(timeout=0.05)
        await lease.release()


async def test_certificates_are_checked_and_names_too(
    flavour: str, authority: Authority, run: Callable[..., int], tmp_path: Path
) -> None:
    port = run(authority.config())
    await locks_and_waits(flavour, f"rediss://127.0.0.1:{port}?ssl_ca_certs={authority.ca}")
    await locks_and_waits(flavour, f"rediss://localhost:{port}?ssl_cert_reqs=none")
    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other")
    with pytest.raises(redis.ConnectionError, match="certificate verify failed"):
        await locks_and_waits(flavour, f"rediss://127.0.0.1:{port}?ssl_ca_certs={stranger.ca}")
    with pytest.raises(redis.ConnectionError):
        await locks_and_waits(flavour, f"redis://127.0.0.1:{port}")

    elsewhere = run(authority.config("elsewhere.example"))
    there = f"rediss://127.0.0.1:{elsewhere}?ssl_ca_certs={authority.ca}"
    with pytest.raises(redis.ConnectionError, match="certificate verify failed"):
        await locks_and_waits(flavour, there)
    await locks_and_waits(flavour, f"{there}&ssl_check_hostname=false")


async def test_a_client_shows_its_own_certificate(
    flavour: str, authority: Authority, run: Callable[..., int]
) -> None:
    port = run(authority.config(auth="yes"))
    cert, key = authority.certificate("client.example")
    url = f"rediss://127.0.0.1:{port}?ssl_ca_certs={authority.ca}"

    await locks_and_waits(flavour, f"{url}&ssl_certfile={cert}&ssl_keyfile={key}")
    with pytest.raises((redis.ConnectionError, redis.TimeoutError)):
        await locks_and_waits(flavour, url)


async def test_a_cluster_is_reached_over_tls(
    flavour: str, authority: Authority, run: Callable[..., int]
) -> None:
    more = "cluster-enabled yes\ntls-cluster yes\ntls-protocols TLSv1.2\nrequirepass s3cret\n"
    port = run(authority.config(more=more))
    url = f"rediss+cluster://:s3cret@127.0.0.1:{port}?ssl_ca_certs={authority.ca}"
    with redis.Redis(port=port, password="s3cret", ssl=True, ssl_ca_certs=str(authority.ca)) as node:
        node.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        servers.until(
            lambda: b"cluster_state:ok" in node.execute_command("CLUSTER", "INFO"), "the cluster is up"
        )

    await locks_and_waits(flavour, url)
    with pytest.raises((redis.RedisError, redis.exceptions.RedisClusterException)):
        await locks_and_waits(flavour, f"{url}&ssl_min_version=TLSv1.3")


async def test_the_sentinels_have_passwords_and_tls_of_their_own(
    flavour: str, authority: Authority, run: Callable[..., int]
) -> None:
    both = "tls-replication yes\n"
    master = run(authority.config(more=f"{both}requirepass s3cret\nmasterauth s3cret\n"))
    watching = f"sentinel monitor main 127.0.0.1 {master} 1\nsentinel auth-pass main s3cret\n"
    watching += f"{both}requirepass 0ther\n"
    sentinel = run(authority.config(more=watching).replace("save ''\n", ""), "--sentinel")
    url = f"rediss+sentinel://:s3cret@127.0.0.1:{sentinel}/main?ssl_ca_certs={authority.ca}"

    await locks_and_waits(flavour, f"{url}&sentinel_password=0ther")
    with pytest.raises(redis.RedisError) as caught:
        await locks_and_waits(flavour, url)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("name", ["redis", "cluster", "sentinel"])
async def test_what_a_url_asks_of_connections_is_done(
    flavour: str, name: str, running_servers: Callable[[str], str]
) -> None:
    url = running_servers("valkey9" if name == "redis" else name)
    async with reached(
        flavour, f"{url}?client_name=shop-{flavour}&protocol=3&health_check_interval=9"
    ) as hub:
        await hub.lock("x").try_acquire()
        host = url.partition("://")[2].partition("/")[0]
        if name == "sentinel":
            sentinel: Any = Sentinel
            ip, port = sentinel([one.split(":") for one in host.split(",")]).discover_master("main")
            host = f"{ip}:{port}"
        nodes = [host]
        if name == "cluster":
            with redis.RedisCluster.from_url(f"redis://{host}") as cluster:
                nodes = [f"{node.host}:{node.port}" for node in cluster.get_nodes()]
        named = []
        for node in nodes:
            with redis.Redis.from_url(f"redis://{node}") as raw:
                named += [one for one in raw.client_list() if one["name"] == f"shop-{flavour}"]

        assert named
        assert {one["resp"] for one in named} == {"3"}
