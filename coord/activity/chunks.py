"""Bitmaps in chunks: where an id lies, and how the bytes of a chunk are read.

The server numbers the bits of a byte from the left. A chunk is read as a little-endian integer, which
needs no padding where a chunk is shorter than another; there, the bit of offset ``o`` weighs
``2 ** (o ^ 7)``: the byte is the same, and within it left and right change places.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["CHUNK", "MAX_ID", "bits_of", "offsets_in", "packed", "place"]

CHUNK = 2**17
"""How many ids one chunk holds: 16 KiB, which every operation on it gets through in microseconds."""

MAX_ID = 2**63
"""The highest id that may be marked as a number."""

_SET_IN = [[offset for offset in range(8) if byte >> (7 - offset) & 1] for byte in range(256)]


def place(number: int) -> tuple[int, int]:
    """Return the chunk that an id lies in, and its offset there."""
    return divmod(number, CHUNK)


def bits_of(chunk: bytes | None) -> int:
    """Read a chunk as one integer; a missing one is empty."""
    return int.from_bytes(chunk or b"", "little")


def offsets_in(bits: int) -> Iterator[int]:
    """Walk over the offsets of the bits that are set, in ascending order."""
    for position, byte in enumerate(bits.to_bytes((bits.bit_length() + 7) // 8, "little")):
        if byte:
            for offset in _SET_IN[byte]:
                yield 8 * position + offset


def packed(offsets: Iterable[int]) -> bytes:
    """Write the bytes of a chunk in which ``offsets`` are set, and that ends after the last of them."""
    chosen = list(offsets)
    chunk = bytearray(max(chosen) // 8 + 1)
    for offset in chosen:
        chunk[offset >> 3] |= 128 >> (offset & 7)
    return bytes(chunk)
