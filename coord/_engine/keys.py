r"""The one place where a Redis key is spelled.

Layout, version 1 (public: dashboards and ACL rules may rely on it)::

    {prefix}:{kind}:{<name>}[:part]...      e.g.  shop:lock:{invoice%3A42}:fence

The braces around the name are in the key: they are Redis Cluster's hash tag, so that all keys of one
object share a slot. Rules that the property tests hold:

1. User text never contains ``{ } : * ? [ ] \`` or a control character once escaped, so it can leave
   neither its tag nor its place, and a glob made from it matches only itself.
2. Escaping is injective: two different names never share a key.
3. A name longer than ``LONGEST`` bytes once escaped is replaced by ``#`` and its BLAKE2b hash. ``#`` is
   itself escaped, so that no short name can look like a hashed one.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from urllib.parse import quote

__all__ = ["LONGEST", "Keys", "escape"]

LONGEST = 200
"""Bytes of a name in a key: room for a URL or two UUIDs, and little memory for the server, which keeps each
key."""

MOST_REMEMBERED = 4096
"""Names whose spelling is kept: those of a busy process, at about a mebibyte."""

_SAFE = "@/+=,!$&"


def escape(text: str, what: str = "name") -> str:
    """Return ``text`` so that it can stand inside a key, whatever it contains.

    Raises:
        TypeError: It is not a string.
        ValueError: It is empty, or has lone surrogates and so no UTF-8 form.
    """
    if not isinstance(text, str):
        raise TypeError(f"{what} must be a str, not {type(text).__name__} {text!r}")
    if not text:
        raise ValueError(f"{what} must not be empty")
    try:
        return (_remembered if len(text) <= LONGEST else _escaped)(text)
    except UnicodeEncodeError:
        raise ValueError(f"{what} {text!r} has lone surrogates, which UTF-8 cannot hold") from None


def _escaped(text: str) -> str:
    escaped = quote(text, safe=_SAFE)
    if len(escaped) <= LONGEST:
        return escaped
    return "#" + blake2b(text.encode(), digest_size=32).hexdigest()


_remembered = lru_cache(MOST_REMEMBERED)(_escaped)  # the same few thousand names come again and again


class Keys:
    """Spells the keys of one ``Coord``.

    Args:
        prefix: What every key begins with. May contain ``:`` to nest namespaces.
    """

    def __init__(self, prefix: str) -> None:
        if not isinstance(prefix, str):
            raise TypeError(f"prefix must be a str, not {type(prefix).__name__} {prefix!r}")
        spaces = [escape(space, "each part of prefix") for space in prefix.split(":")]
        self.prefix = ":".join(spaces)

    def __call__(self, kind: str, name: str, *parts: str) -> str:
        """Spell the key of object ``name`` of ``kind``; ``parts`` name its further keys."""
        return ":".join((self.prefix, kind, f"{{{escape(name)}}}", *parts))

    def of_subject(self, kind: str, name: str, subject: str) -> str:
        """Spell the key of one ``subject`` (a user, an address) of object ``name``.

        The tag holds the subject and not the object: every limit on one user shares a slot, and
        different users spread over the cluster.
        """
        return f"{self.prefix}:{kind}:{{{escape(subject, 'key')}}}:{escape(name)}"
