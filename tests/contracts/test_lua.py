"""The header, the code and the Python declaration of each script are held against each other."""

from __future__ import annotations

import importlib
import itertools
import pkgutil
import re
from pathlib import Path
from typing import Any

import pytest
import redis

import coord
from coord._engine.script import Script

LUA = Path(coord.__file__).parent / "lua"
FILES = sorted(LUA.glob("*.lua"))
CREATES = {"SET", "HSET", "RPUSH", "LPUSH", "PFADD", "SETBIT", "ZADD", "SADD", "INCR", "HINCRBY", "BITOP"}
SHARED = sorted((LUA / "shared").glob("*.lua"))
REPLACED = {"overlong"}
"""What a file gives another meaning on purpose: only a bucket's line can become too long."""
PERMANENT = {"board_submit"}
"""Scripts whose key the docs list as permanent."""
TEXTS = ("value", "channel", "token", "digits")
"""Variables of scripts that always hold text."""


def declared() -> dict[str, list[Script[Any]]]:
    """Every Script that a module of the package declares, by name."""
    found: dict[str, list[Script[Any]]] = {}
    for module in pkgutil.walk_packages(coord.__path__, "coord."):
        if "demo" in module.name or "_engine" in module.name or module.name.endswith("__main__"):
            continue
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, Script):
                found.setdefault(value.name, []).append(value)
    return found


def code(text: str) -> str:
    return "\n".join(line.split("--")[0] for line in text.splitlines())


def header(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if line.startswith("--"))


def documented(text: str, array: str) -> list[tuple[str, str]]:
    """The (index, name) rows that a header gives for KEYS or ARGV."""
    return re.findall(rf"^-- {array}\[([^\]]+)\]\s+(\w+)", header(text), re.MULTILINE)


def whole(path: Path) -> str:
    """A script with what it includes in its place, as a server gets it."""
    return re.sub(
        r"^ *-- include (\w+)\n",
        lambda line: whole(LUA / "shared" / f"{line[1]}.lua"),
        path.read_text(),
        flags=re.MULTILINE,
    )


def included(path: Path) -> list[Path]:
    """What a script itself includes."""
    names = re.findall(r"^-- include (\w+)\n", path.read_text(), re.MULTILINE)
    return [LUA / "shared" / f"{name}.lua" for name in names]


def defined(path: Path) -> set[str]:
    """The names that a file gives at its outermost level."""
    local = re.findall(r"^local (?:function )?([\w, ]+)", code(path.read_text()), re.MULTILINE)
    return {name.strip() for names in local for name in names.split(",")}


def creates(path: Path) -> set[str]:
    """The commands of a file's own lines that may create a key."""
    calls = re.findall(r"redis\.call\('(\w+)'([^)]*)\)", code(path.read_text()))
    # A bit is only ever cleared where one is set, which creates nothing.
    return CREATES & {name for name, args in calls if not (name == "SETBIT" and args.endswith(" 0"))}


def sets_a_ttl(text: str) -> bool:
    return bool(re.search(r"PEXPIRE|'PX(AT)?'", code(text))) or "'DEL', scratch" in code(text)


@pytest.mark.parametrize("path", SHARED, ids=lambda path: path.stem)
def test_what_shared_lines_create_gets_a_ttl(path: Path) -> None:
    if creates(path) and path.stem != "board":
        assert sets_a_ttl(path.read_text())


def test_what_is_shared_is_included_by_several() -> None:
    for shared in SHARED:
        assert sum(shared in included(path) for path in [*FILES, *SHARED]) > 1


def test_no_script_gives_a_name_of_what_it_includes_to_something_else() -> None:
    for path in FILES:
        texts = [path, *included(path)]
        for one, other in itertools.combinations(texts, 2):
            assert not defined(one) & defined(other) - REPLACED, (path.stem, one.stem, other.stem)


def test_every_file_is_declared_and_every_declaration_has_a_file() -> None:
    assert {path.stem for path in FILES} == set(declared())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
class TestScript:
    def test_its_name_is_a_family_and_a_verb(self, path: Path) -> None:
        assert re.fullmatch(r"[a-z]+_[a-z]+", path.stem)

    def test_it_opens_with_what_it_does_takes_and_returns(self, path: Path) -> None:
        text = path.read_text()

        assert text.startswith("-- ")
        assert documented(text, "KEYS")
        assert documented(text, "ARGV") or not re.search(r"\bARGV\b", code(text))
        assert "-- Returns " in header(text)

    def test_each_index_it_documents_is_used_and_no_other(self, path: Path) -> None:
        text = path.read_text()
        for array in ("KEYS", "ARGV"):
            rows = documented(text, array)
            single = {int(index) for index, _ in rows if index.isdigit()}
            used = {int(index) for index in re.findall(rf"{array}\[(\d+)\]", code(text))}

            assert used == single
            if len(single) < len(rows):
                assert re.search(rf"[^\w]{array}\b(?!\[\d)", code(text)), "a range that nothing reads"

    def test_it_names_its_keys_and_arguments_on_the_first_lines(self, path: Path) -> None:
        body = [line for line in code(path.read_text()).splitlines() if line.strip()]
        opening = next((i for i, line in enumerate(body) if not line.startswith("local ")), len(body))
        late = "\n".join(body[opening:])

        assert not re.search(r"\b(KEYS|ARGV)\[\d+\]", late)
        assert re.search(r"\bKEYS\b", body[0])

    def test_it_asks_for_the_time_at_most_once_and_by_no_other_clock(self, path: Path) -> None:
        text = code(whole(path))

        assert text.count("'TIME'") <= 1
        assert "os.time" not in text
        assert "os.clock" not in text

    def test_no_number_is_turned_into_text_by_chance(self, path: Path) -> None:
        text = code(whole(path))

        assert "tostring" not in text
        for left, right in re.findall(r"(\S+)\s*\.\.\s*(\S+)", text):
            assert left.rstrip(")").endswith("'") or "format" in right or left in TEXTS, (left, right)

    def test_what_it_creates_gets_a_ttl(self, path: Path) -> None:
        if creates(path) and path.stem not in PERMANENT:
            assert sets_a_ttl(whole(path))

    def test_it_uses_nothing_that_a_supported_server_lacks(self, path: Path) -> None:
        text = whole(path)

        assert not text.startswith("#!")
        for absent in (
            "cjson",
            "cmsgpack",
            "struct.",
            "bit.",
            "redis.setresp",
            "redis.replicate",
            "WITHSCORE'",
        ):
            assert absent not in code(text)

    def test_a_server_compiles_it_under_the_hash_that_python_computes(
        self, path: Path, real_server: str
    ) -> None:
        with redis.Redis.from_url(real_server) as client:
            assert client.script_load(whole(path)) == declared()[path.stem][0].sha

    def test_python_reads_the_same_file(self, path: Path) -> None:
        for script in declared()[path.stem]:
            assert script.text == whole(path)
            assert "-- include" not in script.text
