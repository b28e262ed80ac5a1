"""lzop files: the header, and the head of each block of LZO1X data. All integers are big-endian.

Source: lzop 1.04, src/lzop.c (read_header, x_decompress) and conf.h.
"""

from __future__ import annotations

from typing import Any

from construct import Const, If, Int8ub, Int16ub, Int32ub, PascalString, Struct, Tell

MAGIC = b"\x89LZO\0\r\n\x1a\n"
BLOCK_SIZE = 256 << 10
"""Bytes of data in a block as lzop writes them."""
OLDEST_VERSION = 0x0940
"""The first version with this header."""
METHODS = (1, 2, 3)
"""LZO1X-1, LZO1X-1(15) and LZO1X-999, which are unpacked alike."""

F_ADLER32_D = 0x1
F_ADLER32_C = 0x2
F_EXTRA_FIELD = 0x40
F_CRC32_D = 0x100
F_CRC32_C = 0x200
F_MULTIPART = 0x400
F_FILTER = 0x800
F_CRC32_HEADER = 0x1000

HEADER = Struct(
    "magic" / Const(MAGIC),
    "version" / Int16ub,
    "library" / Int16ub,
    "needed" / Int16ub,
    "method" / Int8ub,
    "level" / Int8ub,
    "flags" / Int32ub,
    "mode" / Int32ub,
    "mtime_low" / Int32ub,
    "mtime_high" / Int32ub,
    "name" / PascalString(Int8ub, "latin-1"),
    "checksum" / Int32ub,
    "end" / Tell,
)
"""Without F_FILTER. `checksum` is that of all between the magic and it, by the flags CRC-32 or Adler-32; with
F_EXTRA_FIELD a length, as many bytes and a checksum follow."""
CHECKSUM_SIZE = 4
EXTRA_SIZE = Int32ub
"""The length of an extra field."""
HEADER_MAX = 300
"""More bytes than any HEADER has."""


def _has(flag: int, *, packed: bool = False) -> Any:
    """Whether a block has a checksum: that of the packed data only where that is not stored as it is."""
    return lambda this: (
        this.size and this._params.flags & flag and (not packed or this.packed_size != this.size)
    )


BLOCK_HEAD = Struct(
    "size" / Int32ub,
    "packed_size" / If(lambda this: this.size, Int32ub),
    "adler32" / If(_has(F_ADLER32_D), Int32ub),
    "crc32" / If(_has(F_CRC32_D), Int32ub),
    "packed_adler32" / If(_has(F_ADLER32_C, packed=True), Int32ub),
    "packed_crc32" / If(_has(F_CRC32_C, packed=True), Int32ub),
    "end" / Tell,
)
"""Before the `packed_size` bytes of a block; `flags` are those of the HEADER. A size of 0 ends the member."""
BLOCK_HEAD_MAX = 24
