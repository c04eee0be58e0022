"""What a URL says is done or refused, and no message tells a piece of a password."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

from coord._engine.addresses import SCHEMES, SECRET_OPTIONS, read

ENCODE = "percent-encoded"

REFUSED = [
    ("", "no scheme"), ("localhost:6379", "no scheme"), ("http://h", "must be one of redis"),
    ("redis://h/dbx", "the number of a database"), ("redis://h/1/2", "the number of a database"),
    ("redis://h/1?db=2", "the database twice"), ("redis://h?db=1&db=2", "gives db twice"),
    ("redis://u@h?username=v", "the username twice"), ("redis://:p@h?password=q", "the password twice"),
    ("redis://h:0", "no port from 1"), ("redis://h:65536", "no port from 1"), ("redis://h:port",
    "no port from 1"),
    ("redis://h1,h2", r"redis\+cluster:// or redis\+sentinel://"), ("redis://h#x", ENCODE),
    ("redis://h\n", ENCODE),
    ("redis://h?nonsense=1", "no option 'nonsense'; it may have client_name, db"),
    ("redis://h?nonsense", "no option 'nonsense'"), ("redis://h?decode_responses=true", "no option"),
    ("redis://h?ssl_cert_reqs=none", "write rediss://"),
    ("redis+cluster://h?ssl_cert_reqs=none", r"rediss\+cluster://"),
    ("redis+sentinel://h/m?ssl_ca_certs=x", r"write rediss\+sentinel://"), ("unix:///s?ssl_ca_certs=x",
    "no option"),
    ("rediss://h?ssl_cert_reqs=maybe", "none, optional or required"),
    ("rediss://h?ssl_ca_certs=/no/such/file", "a file that can be read"),
    ("rediss://h?ssl_check_hostname=maybe", "true or false"), ("rediss://h?ssl_min_version=TLSv1",
    "TLSv1.2 or TLSv1.3"),
    ("rediss://h?ssl_check_hostname=true&ssl_cert_reqs=none", "needs certificates to be checked"),
    (f"rediss://h?ssl_keyfile={__file__}", "needs the certificate"),
    ("redis://h?socket_timeout=0", "above zero"), ("redis://h?socket_timeout=nan", "above zero"),
    ("redis://h?socket_timeout=", "above zero"), ("redis://h?protocol=4", "2 or 3"),
    ("redis://h?max_connections=1", "4 or more"), ("redis://h?client_name=a%20b", "without a blank"),
    ("redis+cluster://", "names nodes"), ("redis+cluster://h/1", "one database"),
    ("redis+cluster://h?db=1", "one database"),
    ("redis+cluster://h?timeout=1", "no option"), ("redis+cluster://h?sentinel_password=x", "no option"),
    ("redis+sentinel://h:1", "service"), ("redis+sentinel:///m", "host:port"), ("redis+sentinel://h,/m",
    "host:port"),
    ("redis+sentinel://h/m/x", "the number of a database"), ("redis+sentinel://h/m?timeout=1", "no option"),
    ("unix://run/x.sock", "by its whole path"), ("unix://", "by its whole path"), ("unix:///a%00b",
    "by its whole path"),
    ("embedded://data", "embedded:///folder"), ("embedded:///", "no folder"), ("embedded:///..", "no folder"),
    ("embedded:///a%00b", "no folder"), ("embedded:///a?save=1", "no option 'save'; it has none"),
    ("memory://a/b", "no path"), ("memory://a?nonsense=1", "it has none"), ("memory://u:p@x", "no password"),
]  # fmt: skip


@pytest.mark.parametrize(("url", "match"), REFUSED)
def test_what_it_says_that_cannot_be_done_is_refused(url: str, match: str) -> None:
    with pytest.raises(ValueError, match=match) as caught:
        read(url)

    assert caught.value.__context__ is None


SECRETS = [
    "redis://:s3c/ret@h", "redis://:s3c#ret@h", "redis://:s3c?ret@h", "redis://u:12?s3cret@h",
    "redis://u:12#s3cret@h",
    "redis://u:12/s3cret@h", "redis://:s3c[ret@h", "redis://:s3cret%zz@h", "redis://:s3cret%FF@h",
    "redis://:s3c ret@h",
    "redis://h:s3cret", "redis://u:s3cret", "redis+sentinel://u:s3cret/m", "redis+cluster://:s3c/ret@h",
    "redis+sentinel://h/m?sentinel_password=s3cret&sentinel_password=s3cret",
    "redis://:s3cret@h?password=s3cret",
    "memory://u:s3cret@x", "embedded://u:s3cret@/x", "http://u:s3cret@x", "redis://:s3cret@h/x",
    "redis://:s3cret@h?x=1",
    "redis://:s3cret@h:99999",
]  # fmt: skip


@pytest.mark.parametrize("url", SECRETS)
def test_no_piece_of_a_password_is_told(url: str) -> None:
    with pytest.raises(ValueError, match="url") as caught:
        read(url)
    told = "".join(traceback.format_exception(caught.value)).replace(url, "").replace("return ", "")

    assert caught.value.__context__ is None
    assert "s3c" not in str(caught.value)
    assert "s3c" not in told
    assert "ret@" not in told


def test_what_it_says_is_read(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.touch()
    sentinel = read(
        "rediss+sentinel://me:p%40ss@[::1]:1,two/main/3"
        f"?sentinel_username=watcher&sentinel_password=a%2Fb&ssl_ca_certs={ca}&ssl_check_hostname=no"
    )
    assert (sentinel.hosts, sentinel.place) == ((("::1", 1), ("two", 26379)), "main")
    assert sentinel.options == {
        "username": "me", "password": "p@ss", "db": 3, "ssl_ca_certs": str(ca), "ssl_check_hostname": False,
    }  # fmt: skip
    assert sentinel.sentinel == {"username": "watcher", "password": "a/b"}
    assert sentinel.is_tls
    assert sentinel.shown == "rediss+sentinel://[::1]:1,two/main/3"
    assert "p@ss" not in repr(sentinel)
    assert "a/b" not in repr(sentinel)

    assert read("redis://").hosts == (("localhost", 6379),)
    assert read("redis://:pw@").options == {"password": "pw"}
    assert read("redis+cluster://a:1,b/0").hosts == (("a", 1), ("b", 6379))
    assert read("unix://:pw@/run/r%C3%A9.sock?db=2").place == "/run/ré.sock"
    assert read("embedded:///with%20space").place == "/with space"
    assert read("memory://x").place == "x"


def test_every_scheme_and_every_option_is_in_the_documentation() -> None:
    page = (Path(__file__).parents[2] / "docs" / "howto" / "connect.md").read_text("utf-8")

    assert all(f"{scheme}://" in page for scheme in SCHEMES.split(", "))
    with pytest.raises(ValueError, match="may have") as caught:
        read("rediss+sentinel://h/m?nonsense=1")
    for option in {*str(caught.value).partition("may have ")[2].split(", "), "timeout"}:
        assert f"`{option}`" in page, option
    assert {option for option in str(caught.value).split(", ") if "password" in option} == SECRET_OPTIONS
