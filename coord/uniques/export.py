"""How a counter's content is written down.

A raw counter's is the HyperLogLog itself, as ``GET`` returns it. Another's sketch cannot be told from that by
its bytes, and yet must not be mixed with it, since it knows ids by their hashes. So it is put in an
envelope: a title, then ``S`` and the HyperLogLog, or ``E`` and the hashes, eight bytes each.
"""

from __future__ import annotations

from coord.uniques.sketch import Sketch
from coord.uniques.store import Content

__all__ = ["dump", "load"]

_TITLE = b"coord unique 1\n"
_WIDTH = 8
"""Bytes of a hash."""


def dump(content: Content, *, raw: bool) -> bytes:
    """Write content down."""
    if raw:
        return content.as_sketch().dump()
    if content.sketch is not None:
        return _TITLE + b"S" + content.as_sketch().dump()
    hashes = sorted(int(word) for word in content.words)
    return _TITLE + b"E" + b"".join(one.to_bytes(_WIDTH, "big", signed=True) for one in hashes)


def load(data: bytes, *, raw: bool) -> Content:
    """Read what ``dump`` wrote.

    Raises:
        TypeError: ``data`` is not ``bytes``.
        ValueError: It is damaged, or of the other kind.
    """
    if not isinstance(data, bytes):
        raise TypeError(f"data must be bytes, not {type(data).__name__}")
    if data.startswith(_TITLE) == raw:
        raise ValueError(
            f"data was exported by a counter {'without' if raw else 'with'} raw=True, or by no counter: "
            "the two know ids by different names, and together would count them twice"
        )
    if raw:
        return Content(frozenset(), Sketch.load(data))
    kind, body = data[len(_TITLE) : len(_TITLE) + 1], data[len(_TITLE) + 1 :]
    if kind == b"S":
        return Content(frozenset(), Sketch.load(body))
    if kind != b"E" or len(body) % _WIDTH:
        raise ValueError(f"data is damaged ({len(data)} bytes)")
    hashes = (body[at : at + _WIDTH] for at in range(0, len(body), _WIDTH))
    return Content(frozenset(b"%d" % int.from_bytes(one, "big", signed=True) for one in hashes), None)
