from __future__ import annotations

import inspect
import tomllib
from importlib import import_module, metadata
from pathlib import Path

import pytest

import coord
from coord import errors


def test_all_lists_every_public_name_and_nothing_else() -> None:
    public = {
        name
        for name in dir(coord)
        if not name.startswith("_") and not inspect.ismodule(value := getattr(coord, name))
        if getattr(value, "__module__", "").startswith("coord")
    }

    assert public | {"__version__"} == set(coord.__all__)
    assert sorted(coord.__all__) == list(coord.__all__)


def test_what_is_loaded_later_is_the_same_thing_as_in_its_room() -> None:
    for room in coord._LOADED_LATER:
        module = import_module(f"coord.{room}")
        for name in {*module.__all__} & {*coord.__all__}:
            assert getattr(coord, name) is getattr(module, name)


def test_a_name_that_is_not_public_is_missing_as_from_any_module() -> None:
    with pytest.raises(AttributeError, match="module 'coord' has no attribute 'Marker'"):
        coord.Marker  # noqa: B018


def test_every_public_name_says_what_it_is() -> None:
    for name in coord.__all__:
        value = getattr(coord, name)
        assert name == "__version__" or inspect.getdoc(value), name


def test_every_exception_is_drawn_in_the_tree() -> None:
    for name in errors.__all__:
        assert name in (errors.__doc__ or "")
        assert issubclass(getattr(errors, name), errors.CoordError)
        assert getattr(coord, name) is getattr(errors, name)


def test_the_version_has_one_source() -> None:
    assert metadata.version("coord") == coord.__version__


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(coord.__file__).parent / "py.typed").exists()


def test_two_dependencies_at_run_time() -> None:
    pyproject = Path(coord.__file__).parent.parent / "pyproject.toml"
    dependencies = tomllib.loads(pyproject.read_text())["project"]["dependencies"]

    assert sorted(name.split(">")[0] for name in dependencies) == ["anyio", "redis"]
