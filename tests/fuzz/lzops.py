"""lzop files: recorded ones, small ones made here, and changes behind which the checksums are right again.

A wrong checksum ends the reading of a file at its header, or at the block. So most changes are to what a
file is made of, or to the stream in it, and the file is then put together anew.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from functools import cache
from importlib import import_module
from random import Random
from typing import NamedTuple

from msixtool.errors import FormatError
from msixtool.formats import lzop as fmt, parse
from msixtool.formats.qevm import HEADER_SIZE
from tests.fuzz import bases, octets
from tests.fuzz.outcome import Input

_HEAD = struct.Struct(">3H2B4I")
_FLAGS = (fmt.F_ADLER32_D, fmt.F_ADLER32_C, fmt.F_CRC32_D, fmt.F_CRC32_C, fmt.F_CRC32_HEADER)
_BLOCK = 256
"""Bytes of a block of the files that are made here: what is before a bad one can be read."""
_PLAIN = (0x1030, 0x20A0, 0x0940, 1, 5, 0, 0o644, 0, 0)


def _word(value: int) -> bytes:
    return value.to_bytes(4, "big")


class File(NamedTuple):
    """What a file is made of: the numbers of its header, flags the sixth, its name, and its blocks.

    A block is the size that it says its data have, and what is packed.
    """

    head: tuple[int, ...]
    name: bytes
    extra: bytes
    blocks: tuple[tuple[int, bytes], ...]

    @property
    def flags(self) -> int:
        return self.head[5]

    @property
    def data(self) -> bytes:
        """What is packed in it, as far as it can be unpacked."""
        return b"".join(_unpacked(size, packed) or b"" for size, packed in self.blocks)

    def __bytes__(self) -> bytes:
        head = _HEAD.pack(*self.head) + bytes([len(self.name)]) + self.name
        checksum = zlib.crc32 if self.flags & fmt.F_CRC32_HEADER else zlib.adler32
        pieces = [fmt.MAGIC, head, _word(checksum(head))]
        if self.flags & fmt.F_EXTRA_FIELD:
            pieces += [_word(len(self.extra)), self.extra, _word(checksum(self.extra))]
        for size, packed in self.blocks:
            pieces += [struct.pack(">2I", size, len(packed)), *self._checksums(size, packed), packed]
        return b"".join((*pieces, bytes(4)))

    def _checksums(self, size: int, packed: bytes) -> list[bytes]:
        """In the order of the file: those of the data, then those of the packed data."""
        data = _unpacked(size, packed) or b""
        wanted: list[tuple[int, Callable[[bytes], int], bytes]] = [
            (fmt.F_ADLER32_D, zlib.adler32, data),
            (fmt.F_CRC32_D, zlib.crc32, data),
        ]
        if len(packed) != size:
            wanted += [(fmt.F_ADLER32_C, zlib.adler32, packed), (fmt.F_CRC32_C, zlib.crc32, packed)]
        return [_word(of(what)) for flag, of, what in wanted if self.flags & flag]


def _lzo() -> type:
    found: type = import_module("lzallright").LZOCompressor
    return found


def _unpacked(size: int, packed: bytes) -> bytes | None:
    """The data of a block; None where it is no LZO1X data."""
    if len(packed) == size or size > fmt.BLOCK_SIZE:
        return packed
    try:
        data: bytes = _lzo().decompress(packed, size)  # type: ignore[attr-defined]
    except import_module("lzallright").LZOError:
        return None
    return data


def _packed(data: bytes) -> tuple[tuple[int, bytes], ...]:
    compressor = _lzo()()
    found = []
    for at in range(0, len(data), _BLOCK):
        block = data[at : at + _BLOCK]
        packed = bytes(compressor.compress(block))
        found.append((len(block), packed if len(packed) < len(block) else block))
    return tuple(found)


def of_stream(data: bytes, flags: int = 0) -> File:
    """A file with this in blocks of 256 bytes."""
    return File((*_PLAIN[:5], flags, *_PLAIN[6:]), b"", b"", _packed(data))


def taken_apart(data: bytes) -> File | None:
    """What the first file in `data` is made of; None where it is none."""
    try:
        head = parse(fmt.HEADER, data[: fmt.HEADER_MAX], what="lzop")
        at, extra, blocks = int(head.end), b"", []
        if head.flags & fmt.F_EXTRA_FIELD:
            size = int.from_bytes(data[at : at + 4], "big")
            extra = data[at + 4 : at + 4 + size]
            at += 8 + size
        while at < len(data):
            block = parse(fmt.BLOCK_HEAD, data[at : at + fmt.BLOCK_HEAD_MAX], what="lzop", flags=head.flags)
            if not block.size:
                break
            at += block.end
            blocks.append((int(block.size), data[at : at + block.packed_size]))
            at += block.packed_size
    except FormatError:
        return None
    start = len(fmt.MAGIC)
    numbers = _HEAD.unpack(data[start : start + _HEAD.size])
    return File(numbers, head.name.encode("latin-1"), extra, tuple(blocks))


@cache
def _files() -> list[tuple[str, bytes]]:
    """Files that lzop wrote, and short ones, of which most is headers and the stream's own structure."""
    folder = bases.DATA / "containers"
    found = [(name, (folder / name).read_bytes()) for name in ("stream.lzop", "members.lzop", "crc32.lzop")]
    for number, base in enumerate(bases.excerpts()[::30]):
        flags = sum(flag for bit, flag in enumerate(_FLAGS) if number >> bit & 1)
        found.append((f"lzop of {base.name}", bytes(of_stream(base.data, flags))))
    return found


def names() -> list[str]:
    """What files are made from."""
    return [name for name, _ in _files()]


def file(rng: Random) -> Input:
    """A file of lzop's with other flags, lengths, blocks or checksums, or with another stream in it."""
    name, data = rng.choice(_files())
    return Input(name, mutate(rng, data))


def mutate(rng: Random, data: bytes) -> bytes:
    """The same of any file: in one of ten the bytes alone are changed, checksums and all."""
    made = None if rng.random() < 0.1 else taken_apart(data)
    if made is None:
        return octets.mutate(rng, data)
    for _ in range(rng.choice((1, 1, 2, 3))):
        made = rng.choices((_stream, _block, _order, _header), (5, 4, 1, 1))[0](rng, made)
    return bytes(made)


def _stream(rng: Random, made: File) -> File:
    """Another stream in the same file."""
    low = 0 if rng.random() < 0.1 else HEADER_SIZE
    return made._replace(blocks=_packed(octets.mutate(rng, made.data, low=low)[: 1 << 16]))


def _block(rng: Random, made: File) -> File:
    """A block whose packed data, or whose size, is another."""
    if not made.blocks:
        return _header(rng, made)
    at = rng.randrange(len(made.blocks))
    size, packed = made.blocks[at]
    if rng.random() < 0.2:
        size = min(max(1, size + rng.choice((-4096, -8, -1, 1, 8, 4096, 1 << 18))), 0xFFFFFFFF)
    else:
        packed = octets.mutate(rng, packed or b"\0", resize=rng.random() < 0.3) or b"\0"
    return made._replace(blocks=(*made.blocks[:at], (size, packed), *made.blocks[at + 1 :]))


def _order(rng: Random, made: File) -> File:
    """A block less, twice, or in another's place."""
    blocks = list(made.blocks)
    if blocks:
        taken = rng.choice(blocks) if rng.random() < 0.4 else blocks.pop(rng.randrange(len(blocks)))
        if rng.random() < 0.6:
            blocks.insert(rng.randrange(len(blocks) + 1), taken)
    return made._replace(blocks=tuple(blocks))


def _header(rng: Random, made: File) -> File:
    """Other checksums, an extra field, a name; seldom another version, method or flag."""
    head = list(made.head)
    how = rng.random()
    if how < 0.6:
        head[5] ^= rng.choice((*_FLAGS, fmt.F_EXTRA_FIELD))
    elif how < 0.7:
        at = rng.randrange(len(head))
        head[at] = rng.choice((0, 1, 2, 3, head[at] ^ 1 << rng.randrange(8), 255))
    name = rng.choice((made.name, b"", b"vm.save", bytes(rng.randrange(256) for _ in range(255))))
    extra = rng.randbytes(rng.choice((0, 1, 300, 1 << 12)))
    return made._replace(head=tuple(head), name=name, extra=extra)
