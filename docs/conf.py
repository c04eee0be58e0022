"""How Sphinx builds these pages: ``sphinx-build -n -W -b html docs docs/_build``."""

from __future__ import annotations

import dataclasses
import inspect
from typing import TYPE_CHECKING

import coord

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "coord"
author = "The coord authors"
copyright = "The coord authors"  # noqa: A001  # Sphinx' own name for it
version = release = coord.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"coord {release}"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_custom_sections = [("Complexity", "returns_style")]
python_use_unqualified_type_names = True
add_module_names = False

# Names of the standard library: their pages are elsewhere, and a build must not need the network.
nitpick_ignore_regex = [
    (r"py:.*", r"(collections\.abc\.)?(Mapping|Sequence)"),
    (r"py:class", r"F|LimiterOptions|LimitsOptions"),  # a type variable; unpacked into keyword arguments
    (r"py:.*", r"(tuple|Mapping)\[\w+"),  # cut at the comma of a written-out signature
    (r"py:.*", r"(datetime\.)?(date|datetime|timedelta|tzinfo)"),
    (r"py:.*", r"(types\.)?TracebackType"),
    (r"py:.*", r"(matplotlib\.(axes|figure)\.)?(Axes|Figure)"),
    (r"py:.*", r"(typing\.)?(Literal|Self)"),
    (r"py:.*", r"(bool|bytes|float|int|list|object|str|tuple|type|BaseException|Exception)"),
    (r"py:exc", r"(ImportError|RuntimeError|TimeoutError|TypeError|ValueError)"),
]

CONSTRUCTED_BY_USERS = (coord.Coord, coord.AsyncCoord)


def sign(*event: object) -> tuple[str, str] | None:
    """Hide how classes are constructed that only a ``Coord`` makes."""
    what, obj = event[1], event[3]
    made_by_a_coord = (
        what in ("class", "exception")
        and inspect.isclass(obj)
        and not dataclasses.is_dataclass(obj)
        and obj not in CONSTRUCTED_BY_USERS
    )
    return ("", "") if made_by_a_coord else None


def setup(app: Sphinx) -> None:
    """Let Sphinx know of the hook."""
    app.connect("autodoc-process-signature", sign)
