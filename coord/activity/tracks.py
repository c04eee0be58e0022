"""Where the marks of one thing lie: the names of its bitmaps, and their chunks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from coord._engine.keys import escape
from coord.activity.expressions import Leaf

if TYPE_CHECKING:
    from coord._engine.keys import Keys
    from coord.activity.marks import Ids
    from coord.periods import Period

__all__ = ["Bitmap", "Track"]


@dataclass(frozen=True, slots=True)
class Bitmap(Leaf):
    """The bitmap of one thing in one period, in chunks that share a slot.

    Attributes:
        home: The key that all of its activity's keys begin with.
        directory: The key of the list of its chunks.
    """

    home: str
    directory: str

    def chunk(self, number: int) -> str:
        """Spell the key of a chunk."""
        return f"{self.directory}:{number}"


@dataclass(frozen=True, slots=True)
class Track:
    """One thing that ids are marked for: an activity as such, an event of it, a step of a funnel.

    Attributes:
        keys: Spells keys.
        name: The activity, which gives all its tracks their slot.
        path: What tells the track from others of the activity.
        names: What people call the parts of that.
    """

    keys: Keys
    name: str
    path: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.keys("activity", self.name)  # refuses a bad name

    @classmethod
    def of(cls, keys: Keys, name: str, ids: Ids) -> Track:
        """Name what an activity marks: bits of numbers, or apart from them, bits of text ids' numbers."""
        return cls(keys, name, () if ids == "int" else (ids,))

    def event(self, name: str) -> Track:
        """Name an event of this one."""
        return self._within("event", escape(name, "an event"), names=(name,))

    def step(self, funnel: str, name: str) -> Track:
        """Name a step of a funnel of this one."""
        return self._within("funnel", escape(funnel), escape(name, "a step"), names=(funnel, name))

    @property
    def title(self) -> str:
        """What people call it."""
        return "/".join((self.name, *self.names))

    def _within(self, *path: str, names: tuple[str, ...]) -> Track:
        return Track(self.keys, self.name, (*self.path, *path), (*self.names, *names))

    @property
    def home(self) -> str:
        """The key that all keys of the activity begin with."""
        return self.keys("activity", self.name)

    @property
    def numbers(self) -> str:
        """The key of the numbers of text ids, which all tracks of an activity share."""
        return self.keys("activity", self.name, "numbers")

    @property
    def scratch(self) -> str:
        """A key that exists only within a script."""
        return self.keys("activity", self.name, "scratch")

    def bitmap(self, period: Period) -> Bitmap:
        """Name the bitmap of a period."""
        directory = self.keys("activity", self.name, *self.path, period.kind, period.label)
        return Bitmap(self.home, directory)
