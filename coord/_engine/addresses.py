"""What a URL says, read and checked before anything is connected.

All that a URL says is done, or it is a ``ValueError`` here: a part that its scheme has no use for, an
option that there is not, a value that cannot be. No message quotes what may be a piece of a password, and
no error of a parser, which may, is left in a traceback.
"""

from __future__ import annotations

import os
import re
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, parse_qsl, unquote, unquote_to_bytes, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["SCHEMES", "SECRET_OPTIONS", "Address", "read"]

REDIS_PORT, SENTINEL_PORT = 6379, 26_379
"""The ports that Redis and its Sentinels listen on unless told otherwise."""

LAST_PORT = 65_535
"""A port has 16 bits."""

FEWEST_CONNECTIONS = 4
"""An ``AsyncCoord`` shares one for calls, and needs others for messages and for what travels alone."""

ENCODE = "in a user name or password, each of / # ? @ : % must be percent-encoded"
HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:\s]*))(?::([0-9]{1,5}))?")
DATABASE = re.compile(r"/?([0-9]{0,9})")
SENTINELS_OWN = "sentinel_"
BROKEN = re.compile(r"%(?![0-9A-Fa-f]{2})|[\x00-\x20\x7f]")
"""A percent sign that encodes nothing, and what parsers drop in silence."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to connect, and how.

    Attributes:
        scheme: The URL's.
        hosts: Names and ports; none for what is on this machine.
        place: A socket's path, the Sentinels' name for a service, a folder, or a name in memory.
        options: Keywords of a connection, as ``redis-py`` calls them.
        sentinel: The keywords that are the Sentinels' own.
        shown: The URL without its secrets.
    """

    scheme: str
    hosts: tuple[tuple[str, int], ...]
    place: str
    options: Mapping[str, Any] = field(repr=False)
    sentinel: Mapping[str, Any] = field(repr=False)
    shown: str

    @property
    def is_tls(self) -> bool:
        """Whether connections are encrypted."""
        return self.scheme.startswith("rediss")


def read(url: str) -> Address:
    """Take a URL apart.

    Raises:
        TypeError: It is no text.
        ValueError: It says what cannot be done.
    """
    if not isinstance(url, str):
        raise TypeError(f"url must be a str, not {type(url).__name__}")
    scheme, found, _ = url.partition("://")
    scheme = scheme.lower()
    if not found:
        raise ValueError(f"the url has no scheme; it must be one of {SCHEMES}")
    if scheme not in _READERS:
        raise ValueError(f"the url's scheme is {scheme!r}; it must be one of {SCHEMES}")
    parts = None if BROKEN.search(url) else _split(url)
    if parts is None or parts.fragment or "@" in parts.path + parts.query or _decoded(parts.query) is None:
        raise ValueError(f"the {scheme}:// url cannot be read; {ENCODE}")
    reader, allowed = _READERS[scheme]
    credentials, _, hosts = parts.netloc.rpartition("@")
    said = _credentials(scheme, credentials)
    for name, value in _options(scheme, parts.query, allowed).items():
        if name in said:
            raise ValueError(f"the {scheme}:// url gives the {name} twice")
        said[name] = value
    where, place = reader(scheme, hosts, parts.path, said)
    _check_certificates(said)
    own = [name for name in said if name.startswith(SENTINELS_OWN)]
    sentinel = {name.removeprefix(SENTINELS_OWN): said.pop(name) for name in own}
    return Address(scheme, tuple(where), place, said, sentinel, f"{scheme}://{hosts}{parts.path}")


def _split(url: str) -> SplitResult | None:
    try:
        return urlsplit(url)
    except ValueError:
        return None


def _decoded(text: str) -> str | None:
    """Undo percent-encoding; ``None`` for what is no UTF-8."""
    try:
        return unquote(text, errors="strict")
    except ValueError:
        return None


def _credentials(scheme: str, text: str) -> dict[str, Any]:
    user, _, password = text.partition(":")
    found = {"username": _decoded(user), "password": _decoded(password)}
    if None in found.values():
        raise ValueError(f"the user name and password of a {scheme}:// url must be UTF-8, percent-encoded")
    said = {name: value for name, value in found.items() if value}
    if said and scheme in ("embedded", "memory"):
        raise ValueError(f"a {scheme}:// url has no user name and no password")
    return said


def _options(scheme: str, query: str, allowed: Mapping[str, Callable[[str], Any]]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        meant = allowed.get(name)
        if meant is None:
            raise ValueError(_no_option(scheme, name, allowed))
        if name in options:
            raise ValueError(f"the {scheme}:// url gives {name} twice")
        options[name] = meant(value)
        if options[name] is None:
            raise ValueError(f"{name} of a {scheme}:// url must be {_MEANT[meant]}")
    return options


def _no_option(scheme: str, name: str, allowed: Mapping[str, object]) -> str:
    encrypted = f"rediss{scheme.removeprefix('redis')}"
    if name in TLS and encrypted in _READERS:
        return f"{name} is for TLS, which a {scheme}:// url does not ask for; write {encrypted}://"
    has = f"it may have {', '.join(sorted(allowed))}" if allowed else "it has none"
    return f"a {scheme}:// url has no option {name!r}; {has}"


def _hosts(scheme: str, text: str, default_port: int) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    for one in text.split(","):
        match = HOST.fullmatch(one)
        port = int(match[3] or default_port) if match is not None else 0
        if match is None or not 1 <= port <= LAST_PORT:
            raise ValueError(f"the {scheme}:// url names no host, or no port from 1 to {LAST_PORT}; {ENCODE}")
        found.append((_decoded(match[1] or match[2] or "") or "", port))
    return found


def _add_database(scheme: str, path: str, said: dict[str, Any]) -> None:
    match = DATABASE.fullmatch(path)
    if match is None:
        raise ValueError(
            f"the path of a {scheme}:// url is the number of a database, as in {scheme}://host:6379/0"
        )
    if match[1]:
        if "db" in said:
            raise ValueError(f"the {scheme}:// url gives the database twice")
        said["db"] = int(match[1])


_Where = tuple[list[tuple[str, int]], str]


def _read_single(scheme: str, hosts: str, path: str, said: dict[str, Any]) -> _Where:
    where = _hosts(scheme, hosts, REDIS_PORT)
    if len(where) > 1:
        raise ValueError(
            f"a {scheme}:// url names one host; several are {scheme}+cluster:// or {scheme}+sentinel://"
        )
    _add_database(scheme, path, said)
    name, port = where[0]
    return [(name or "localhost", port)], ""


def _read_unix(scheme: str, hosts: str, path: str, said: dict[str, Any]) -> _Where:
    del said
    place = os.fsdecode(unquote_to_bytes(path))
    if hosts or not place.strip("/") or "\0" in place:
        raise ValueError(f"a {scheme}:// url names a socket by its whole path, as in unix:///run/redis.sock")
    return [], place


def _read_cluster(scheme: str, hosts: str, path: str, said: dict[str, Any]) -> _Where:
    where = _hosts(scheme, hosts, REDIS_PORT)
    if not all(name for name, _ in where):
        raise ValueError(f"a cluster's url names nodes of it, {scheme}://host:port,host:port; {ENCODE}")
    _add_database(scheme, path, said)
    if said.pop("db", 0):
        raise ValueError("a cluster has one database, 0")
    return where, ""


def _read_sentinel(scheme: str, hosts: str, path: str, said: dict[str, Any]) -> _Where:
    where = _hosts(scheme, hosts, SENTINEL_PORT)
    service, slash, database = path.removeprefix("/").partition("/")
    name = _decoded(service)
    if not name or not all(host for host, _ in where):
        raise ValueError(f"a Sentinel's url reads {scheme}://host:port,host:port/service[/db]; {ENCODE}")
    _add_database(scheme, slash + database, said)
    return where, name


def _read_embedded(scheme: str, hosts: str, path: str, said: dict[str, Any]) -> _Where:
    del scheme, said
    folder = os.fsdecode(unquote_to_bytes(path))
    if hosts:
        raise ValueError("embedded:// names a folder by its whole path, embedded:///folder, and no host")
    if "\0" in folder or (folder and not folder.strip("/.")):
        raise ValueError("the path of the embedded:// url names no folder of its own")
    return [], folder


def _read_memory(scheme: str, hosts: str, path: str, said: dict[str, Any]) -> _Where:
    del said
    if path:
        raise ValueError(f"a {scheme}:// url is a name and no path, as in {scheme}://tests")
    return [], hosts


def _check_certificates(said: dict[str, Any]) -> None:
    if said.get("ssl_cert_reqs") == "none" and said.get("ssl_check_hostname"):
        raise ValueError("ssl_check_hostname=true needs certificates to be checked, not ssl_cert_reqs=none")
    if "ssl_keyfile" in said and "ssl_certfile" not in said:
        raise ValueError("ssl_keyfile needs the certificate that it belongs to, ssl_certfile")


def _text(value: str) -> str | None:
    return value or None


def _word(value: str) -> str | None:
    return value if re.fullmatch(r"[!-~]+", value) else None


def _file(value: str) -> str | None:
    return value if Path(value).is_file() and os.access(value, os.R_OK) else None


def _truth(value: str) -> bool | None:
    return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}.get(value.lower())


def _seconds(value: str) -> float | None:
    return float(value) if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value) and float(value) > 0 else None


def _number(value: str) -> int | None:
    return int(value) if re.fullmatch(r"[0-9]{1,9}", value) else None


def _many(value: str) -> int | None:
    number = _number(value)
    return number if number is not None and number >= FEWEST_CONNECTIONS else None


def _protocol(value: str) -> int | None:
    return {"2": 2, "3": 3}.get(value)


def _checking(value: str) -> str | None:
    return value if value in ("none", "optional", "required") else None


def _tls_version(value: str) -> ssl.TLSVersion | None:
    return {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}.get(value)


_MEANT: dict[Callable[[str], Any], str] = {
    _text: "something",
    _word: "printable ASCII letters without a blank",
    _file: "a file that can be read",
    _truth: "true or false",
    _seconds: "a number of seconds above zero",
    _number: "a whole number",
    _many: f"a whole number, {FEWEST_CONNECTIONS} or more",
    _protocol: "2 or 3",
    _checking: "none, optional or required",
    _tls_version: "TLSv1.2 or TLSv1.3",
}

_Allowed = dict[str, "Callable[[str], Any]"]
CONNECTION: _Allowed = {
    "client_name": _word,
    "db": _number,
    "health_check_interval": _seconds,
    "max_connections": _many,
    "password": _text,
    "protocol": _protocol,
    "socket_connect_timeout": _seconds,
    "socket_timeout": _seconds,
    "username": _text,
}
TCP: _Allowed = {"socket_keepalive": _truth}
POOL: _Allowed = {"timeout": _seconds}
TLS: _Allowed = {
    "ssl_ca_certs": _file,
    "ssl_ca_data": _text,
    "ssl_cert_reqs": _checking,
    "ssl_certfile": _file,
    "ssl_check_hostname": _truth,
    "ssl_ciphers": _word,
    "ssl_keyfile": _file,
    "ssl_min_version": _tls_version,
}
SENTINELS: _Allowed = {"sentinel_password": _text, "sentinel_username": _text}
SECRET_OPTIONS = frozenset({"password", "sentinel_password"})

_READERS: dict[str, tuple[Callable[[str, str, str, dict[str, Any]], _Where], _Allowed]] = {
    "redis": (_read_single, CONNECTION | TCP | POOL),
    "rediss": (_read_single, CONNECTION | TCP | POOL | TLS),
    "unix": (_read_unix, CONNECTION | POOL),
    "redis+sentinel": (_read_sentinel, CONNECTION | TCP | SENTINELS),
    "rediss+sentinel": (_read_sentinel, CONNECTION | TCP | SENTINELS | TLS),
    "redis+cluster": (_read_cluster, CONNECTION | TCP),
    "rediss+cluster": (_read_cluster, CONNECTION | TCP | TLS),
    "embedded": (_read_embedded, {}),
    "memory": (_read_memory, {}),
}
SCHEMES = ", ".join(_READERS)
