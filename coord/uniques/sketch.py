"""A HyperLogLog as Redis and Valkey store it, read and united here.

Keys in different slots of a cluster cannot be united by one command. Their sketches, of 12 KiB at most, are
fetched instead, and united and counted here, with the server's own hash function and estimator: the
answer is the one that ``PFCOUNT`` gives for keys of one slot, to the last digit.

The value is a string: ``HYLL``, a byte for the encoding, three unused, and eight with the last count, of
which the highest bit says that it is stale. Then follow the registers: *dense*, six bits each, the lowest
bits first; or *sparse*, as runs: ``00nnnnnn`` for n+1 zeros, ``01nnnnnn nnnnnnnn`` for n+1 zeros,
``1vvvvvnn`` for n+1 times v+1.

Sources: ``hyperloglog.c`` of Redis; A. Appleby, MurmurHash64A.
"""

from __future__ import annotations

import math
from itertools import chain

__all__ = ["REGISTERS", "Sketch"]

REGISTERS = 16384
"""Registers of a HyperLogLog, as Redis and Valkey have them; so are all the numbers below."""

_MAGIC = b"HYLL"
_HEADER = 16
_DENSE_SIZE = 12288
_DENSE, _SPARSE = 0, 1
_INDEX_BITS = 14
_RANKS = 50
_ALPHA = 0.721347520444481703680
_WORD = 2**64 - 1
_MULTIPLIER, _SHIFT, _SEED = 0xC6A4A7935BD1E995, 47, 0xADC83B19


class Sketch:
    """The registers of a HyperLogLog.

    Args:
        registers: One byte each; ``None`` for those of an empty sketch.
    """

    def __init__(self, registers: bytes | None = None) -> None:
        self._registers = bytearray(registers or bytes(REGISTERS))

    @classmethod
    def load(cls, value: bytes) -> Sketch:
        """Read a value as ``GET`` returns it.

        Raises:
            ValueError: It is no HyperLogLog, or a damaged one.
        """
        body = value[_HEADER:]
        registers = b""
        if len(value) >= _HEADER and value.startswith(_MAGIC):
            if value[4] == _DENSE and len(body) == _DENSE_SIZE:
                registers = _read_dense(body)
            elif value[4] == _SPARSE:
                registers = _read_sparse(body)
        if len(registers) != REGISTERS:
            raise ValueError(f"not a HyperLogLog, or a damaged one ({len(value)} bytes)")
        return cls(registers)

    def dump(self) -> bytes:
        """Write the value, dense, so that ``SET`` may restore it."""
        body = bytearray()
        for at in range(0, REGISTERS, 4):
            a, b, c, d = self._registers[at : at + 4]
            body += (a | b << 6 | c << 12 | d << 18).to_bytes(3, "little")
        return _MAGIC + bytes((_DENSE, 0, 0, 0)) + bytes(7) + b"\x80" + body

    def merge(self, other: Sketch) -> None:
        """Unite with another: as if all that is in either had been added to this one."""
        self._registers = bytearray(map(max, self._registers, other._registers))

    def add(self, element: bytes) -> None:
        """Do what ``PFADD`` does."""
        word = _murmur(element)
        rest = word >> _INDEX_BITS | 1 << _RANKS
        rank = (rest & -rest).bit_length()
        index = word & (REGISTERS - 1)
        self._registers[index] = max(self._registers[index], rank)

    def count(self) -> int:
        """Do what ``PFCOUNT`` does, in the same order, so that rounding agrees too."""
        histogram = [0] * (_RANKS + 2)
        for rank in self._registers:
            histogram[rank] += 1
        total = REGISTERS * _tau((REGISTERS - histogram[_RANKS + 1]) / REGISTERS)
        for rank in range(_RANKS, 0, -1):
            total = (total + histogram[rank]) * 0.5
        total += REGISTERS * _sigma(histogram[0] / REGISTERS)
        return math.floor(_ALPHA * REGISTERS * REGISTERS / total + 0.5)


def _read_dense(body: bytes) -> bytes:
    triples = zip(body[0::3], body[1::3], body[2::3], strict=True)
    return bytes(
        chain.from_iterable(
            (a & 63, (a >> 6 | b << 2) & 63, (b >> 4 | c << 4) & 63, c >> 2) for a, b, c in triples
        )
    )


def _read_sparse(body: bytes) -> bytes:
    registers = bytearray()
    at = 0
    while at < len(body) and len(registers) <= REGISTERS:
        code = body[at]
        at += 1
        if code & 0x80:
            registers += bytes([(code >> 2 & 31) + 1]) * ((code & 3) + 1)
        elif code & 0x40:
            registers += bytes(((code & 63) << 8 | (body[at] if at < len(body) else 0)) + 1)
            at += 1
        else:
            registers += bytes(code + 1)
    return bytes(registers)


def _murmur(data: bytes) -> int:
    """MurmurHash64A, little endian, with the seed of ``hyperloglog.c``."""
    word = _SEED ^ (len(data) * _MULTIPLIER & _WORD)
    whole = len(data) & ~7
    for at in range(0, whole, 8):
        part = int.from_bytes(data[at : at + 8], "little") * _MULTIPLIER & _WORD
        part = (part ^ part >> _SHIFT) * _MULTIPLIER & _WORD
        word = (word ^ part) * _MULTIPLIER & _WORD
    if whole < len(data):
        word = (word ^ int.from_bytes(data[whole:], "little")) * _MULTIPLIER & _WORD
    word = (word ^ word >> _SHIFT) * _MULTIPLIER & _WORD
    return word ^ word >> _SHIFT


def _sigma(x: float) -> float:
    if x == 1:
        return math.inf
    y, z, before = 1.0, x, -1.0
    while z != before:
        x *= x
        before = z
        z += x * y
        y += y
    return z


def _tau(x: float) -> float:
    if x in (0, 1):
        return 0.0
    y, z, before = 1.0, 1 - x, -1.0
    while z != before:
        x = math.sqrt(x)
        before = z
        y *= 0.5
        z -= (1 - x) ** 2 * y
    return z / 3
