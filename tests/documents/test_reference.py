"""The reference shows each class whole: the methods that it inherits, and every field of an answer."""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path

import pytest

import coord

API = (Path(__file__).parents[2] / "docs" / "reference" / "api.md").read_text("utf-8")
SHOWN = dict(re.findall(r"^\.\. autoclass:: (\w+)(?:\(\))?\n((?:   :.*\n)*)", API, re.MULTILINE))
ANSWERS = [name for name in coord.__all__ if dataclasses.is_dataclass(getattr(coord, name))]


def inherited_methods(kind: type) -> set[str]:
    bases = [base for base in kind.__mro__[1:] if base.__module__.partition(".")[0] == "coord"]
    named = {name for base in bases for name, what in vars(base).items() if inspect.isfunction(what)}
    return {name for name in named - set(vars(kind)) if not name.startswith("_")}


@pytest.mark.parametrize("name", SHOWN)
def test_a_class_is_shown_with_the_methods_that_it_inherits(name: str) -> None:
    if inherited_methods(getattr(coord, name)):
        assert ":inherited-members:" in SHOWN[name]


@pytest.mark.parametrize("name", ANSWERS)
def test_each_field_of_an_answer_has_a_sentence(name: str) -> None:
    bases = [base for base in getattr(coord, name).__mro__ if dataclasses.is_dataclass(base)]
    told = "\n".join(inspect.getdoc(base) or "" for base in bases)
    fields = [field.name for field in dataclasses.fields(getattr(coord, name))]

    assert name in SHOWN
    assert [field for field in fields if not re.search(rf"^    {field}: \S", told, re.MULTILINE)] == []
