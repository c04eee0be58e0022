"""A Redis operation as a value: what to send, where it goes, how to read the answer.

A ``Script`` is a file under ``coord/lua/``. Calling it with keys and arguments makes a ``Call``, which
a port can run, and nothing else happens until one does. ``Command`` makes the same kind of value from
a plain Redis command.

A line ``-- include board`` of a script stands for the text of ``coord/lua/shared/board.lua``: the rules that
several scripts share, which may include others. A server sees one text.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Call", "Command", "Reply", "Script"]

T = TypeVar("T")
_SOURCES = resources.files("coord").joinpath("lua")
"""Found now, since a block may be left when nothing can be imported any more."""

_INCLUDE = re.compile(r"^ *-- include (\w+)\n", re.MULTILINE)
Word = str | bytes | int
Reply = object
"""What a server answers, undecoded: ``int``, ``bytes``, ``None`` or a list of these."""


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One operation, ready to travel.

    Attributes:
        what: The script to run, or the name of a plain command.
        keys: Every key it touches, all in one hash slot.
        args: What follows the keys.
        parse: Turns the reply into the caller's answer.
        repeatable: Whether sending it twice does what sending it once does, with the same answer.
        on_repeat: Told when its reply was lost, before it is sent again: an earlier copy may still arrive.
        then: Given the reply and the seconds left, says what to send next on the same connection, if
            anything. ``parse`` is then given both replies as a list; the second is the exception if it was
            refused, and ``None`` if nothing was sent.
        once: Whether the caller has a fallback, and is better off with that than with another attempt.
    """

    what: Script[T] | str
    keys: tuple[str, ...]
    args: tuple[Word, ...]
    parse: Callable[[Reply], T]
    repeatable: bool
    on_repeat: Callable[[], object] | None = None
    then: Callable[[Reply, float], tuple[Word, ...] | None] | None = None
    once: bool = False

    def words(self, *, by_text: bool = False) -> tuple[Word, ...]:
        """Spell the call as a Redis command; a script by its hash, or whole when ``by_text``."""
        if isinstance(self.what, str):
            return (self.what, *self.keys, *self.args)
        if by_text:
            return ("EVAL", self.what.text, len(self.keys), *self.keys, *self.args)
        return ("EVALSHA", self.what.sha, len(self.keys), *self.keys, *self.args)


class _Sha:
    """The name under which a server caches a script, worked out when it is first asked for.

    No ``cached_property``: that of Python 3.11 takes a lock, which a forked child may inherit held.
    """

    def __get__(self, script: Script[T], kind: object = None) -> str:
        found = script.__dict__["sha"] = _sha(script.name)
        return found


@dataclass(frozen=True)
class Script(Generic[T]):
    """A Lua script of the package.

    Attributes:
        name: The file under ``coord/lua/``, without its ending.
        parse: Turns the script's reply into an answer.
        repeatable: Whether a call may be sent again when its reply was lost. True only if a repeated
            call changes nothing more and answers the same.
    """

    name: str
    parse: Callable[[Reply], T]
    repeatable: bool

    def __call__(
        self,
        keys: Sequence[str],
        *args: Word,
        on_repeat: Callable[[], object] | None = None,
        once: bool = False,
    ) -> Call[T]:
        """Make a call of this script on ``keys`` with ``args``."""
        return Call(self, tuple(keys), args, self.parse, self.repeatable, on_repeat, None, once)

    @property
    def text(self) -> str:
        """The Lua source, with what it includes in its place."""
        return _text(self.name)

    sha = _Sha()


@dataclass(frozen=True, slots=True)
class Command(Generic[T]):
    """A plain Redis command, for what needs no script.

    Attributes:
        name: The command.
        parse: Turns its reply into an answer.
        repeatable: As for a ``Script``.
    """

    name: str
    parse: Callable[[Reply], T]
    repeatable: bool

    def __call__(self, keys: Sequence[str], *args: Word) -> Call[T]:
        """Make a call of this command on ``keys``, then ``args``."""
        return Call(self.name, tuple(keys), args, self.parse, self.repeatable)


@cache
def _text(name: str) -> str:
    source = _SOURCES.joinpath(f"{name}.lua").read_text("utf-8")
    return _INCLUDE.sub(lambda line: _text(f"shared/{line[1]}"), source)


@cache
def _sha(name: str) -> str:
    return hashlib.sha1(_text(name).encode(), usedforsecurity=False).hexdigest()
