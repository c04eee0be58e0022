"""What the package says of itself on an index, and which checks there are."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
ON_AN_INDEX = re.compile(r"\]\(([^)]+)\)")


@pytest.fixture(scope="module")
def hatch_build() -> Any:
    pytest.importorskip("hatchling", reason="an environment from before the test extra had the build backend")
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def metadata(hatch_build: Any) -> dict[str, Any]:
    made: dict[str, Any] = {}
    hatch_build.CustomMetadataHook(str(ROOT), {}).update(made)
    return made


@pytest.mark.parametrize(
    ("remote", "page"),
    [
        ("https://forge.example/org/coord.git", "https://forge.example/org/coord"),
        ("https://name:token@forge.example:8443/org/coord/", "https://forge.example:8443/org/coord"),
        ("git@forge.example:org/coord.git", "https://forge.example/org/coord"),
        ("ssh://git@forge.example:22/org/coord", "https://forge.example/org/coord"),
        ("/srv/git/coord.git", None),
        ("file:///srv/git/coord.git", None),
        ("../coord", None),
        ("", None),
    ],
)
def test_the_address_is_that_of_the_page_without_credentials(
    hatch_build: Any, remote: str, page: str | None
) -> None:
    assert hatch_build.public_address(remote) == page


def test_every_link_of_the_readme_works_from_an_index(
    hatch_build: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COORD_REPOSITORY", "https://forge.example/org/coord")
    made = metadata(hatch_build)
    targets = ON_AN_INDEX.findall(made["readme"]["text"])

    assert len(targets) > 20
    for target in targets:
        page, found, path = target.partition("https://forge.example/org/coord/blob/HEAD/")
        assert page == "" or page.startswith("https://")
        assert not found or (ROOT / path.partition("#")[0]).exists(), target
    assert all(url.startswith("https://forge.example/org/coord") for url in made["urls"].values())


def test_without_an_address_there_are_no_links_to_nowhere(
    hatch_build: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COORD_REPOSITORY", "/srv/git/coord.git")
    made = metadata(hatch_build)

    assert made["urls"] == {}
    assert all(target.startswith("https://") for target in ON_AN_INDEX.findall(made["readme"]["text"]))
    assert "Guard a critical section" in made["readme"]["text"]


def test_contributing_names_each_check() -> None:
    refused = subprocess.run([ROOT / ".ci" / "run", "nonsense"], capture_output=True, text=True, check=False)
    checks = re.findall(r"\w+", refused.stderr.partition("[")[2])
    page = (ROOT / "docs" / "contributing.md").read_text("utf-8")

    assert refused.returncode == 2
    assert {"format", "lint", "types", "tests", "docs", "build"} == {*checks}
    assert all(f"`.ci/run {check}`" in page for check in checks)
