"""One word for one thing: an option of one name is of one type, in whichever room it is taken."""

from __future__ import annotations

import inspect
from collections import defaultdict
from typing import TYPE_CHECKING

from tests.contracts.test_parity import surface
from tests.support.flavours import TWINS

if TYPE_CHECKING:
    from collections.abc import Iterator

ONE_OR_SEVERAL = {
    "at": "a read may be about the periods of several instants",
    "cost": "several limits may each have their own",
    "ids": "what ids an activity has, and the ids themselves",
    "key": "several limits may each have their own; a decorator may be given what finds it",
    "meta": "that of one member, or of each of many",
    "options": "those of each kind of limiter",
    "period": "a factory may be given several, and a board more kinds of them",
    "steps": "by their names, or with the cohort of each",
    "until": "a penalty may be given as a length of time too",
    "value": "the bytes of a guarded value, or which one it is",
}
"""The words that have more than one type, each with the reason."""


def words() -> Iterator[tuple[str, str, str]]:
    """Every parameter of every public method: its name, its type, and where it is."""
    for kind in TWINS:
        for name, member in surface(kind).items():
            function = getattr(member, "__func__", member)
            if isinstance(function, property) or name.startswith("__"):
                continue
            for one in list(inspect.signature(function).parameters.values())[1:]:
                yield one.name, str(one.annotation).removesuffix(" | None"), f"{kind.__name__}.{name}"


def test_a_word_has_one_type_in_all_rooms() -> None:
    types: dict[str, dict[str, str]] = defaultdict(dict)
    for word, annotation, where in words():
        types[word].setdefault(annotation, where)
    several = {word: found for word, found in types.items() if len(found) > 1}

    assert {word: found for word, found in several.items() if word not in ONE_OR_SEVERAL} == {}
    assert several.keys() == ONE_OR_SEVERAL.keys(), "an exception that is none any longer"


def test_patience_and_lives_are_durations_and_last_counts_periods() -> None:
    expected = {
        "timeout": "Seconds",
        "ttl": "Seconds",
        "within": "Seconds",
        "last": "int",
        "since": "Instant",
    }
    for word, annotation, where in words():
        assert annotation == expected.get(word, annotation), f"{word}= of {where}"
