"""RAM records: the data of the `ram` section, version 4.

Source: QEMU migration/ram.c and migration/ram.h (RAM_SAVE_FLAG_*). Big-endian, but for the
bitmap of mapped-ram, whose 64-bit words are the host's. RAM is the bulk of a stream: the
reader passes over its records with plain `struct`; these schemas say what they are.
"""

from __future__ import annotations

from enum import IntEnum

from construct import If, Int8ub, Int16ub, Int32ub, Int64ub, Struct

from msixtool.formats.qevm import ID_STRING
from msixtool.formats.records import packed

IDSTR = "ram"
"""idstr of the section."""
USUAL_PAGE_SIZE = 4096
"""Bytes of a target's page where the stream does not say."""


class Flag(IntEnum):
    """Low bits of a record's 64-bit header; the rest of it is an address."""

    FULL = 0x01
    ZERO = 0x02
    MEM_SIZE = 0x04
    PAGE = 0x08
    EOS = 0x10
    CONTINUE = 0x20
    XBZRLE = 0x40
    HOOK = 0x80
    COMPRESS_PAGE = 0x100
    MULTIFD_FLUSH = 0x200


CONTINUED_PAGE = Flag.PAGE | Flag.CONTINUE
"""The flags of a whole page of the same block as the record before."""
CONTINUED_ZERO = Flag.ZERO | Flag.CONTINUE
"""The same of a page that is filled with one byte."""


RECORD_HEADER = Int64ub
RECORD_HEADER_SIZE = RECORD_HEADER.sizeof()
PACKED_HEADER = packed(Struct("header" / RECORD_HEADER))
"""For records in bulk."""
XBZRLE_ENCODED = 1
"""The one encoding byte that an XBZRLE record may hold."""

PAGE_RECORD_HEADER = Struct(
    "header" / RECORD_HEADER, "block" / If(lambda this: not this.header & Flag.CONTINUE, ID_STRING)
)
"""Header of a PAGE record: page_size bytes follow."""

ZERO_RECORD = Struct(*PAGE_RECORD_HEADER.subcons, "fill" / Int8ub)

CONTINUED_ZERO_SIZE = len(ZERO_RECORD.build({"header": CONTINUED_ZERO, "block": None, "fill": 0}))
"""Bytes of a CONTINUED_ZERO record."""

XBZRLE_HEAD = Struct("encoding" / Int8ub, "length" / Int16ub)
"""Behind PAGE_RECORD_HEADER, and before `length` bytes: what changed in the page."""

COMPRESSED_HEAD = Struct("length" / Int32ub)
"""The same before a zlib stream that inflates to one page (QEMU 2.4 to 9.0)."""

BLOCK = Struct("idstr" / ID_STRING, "used_length" / Int64ub)
"""One RAM block in the list that MEM_SIZE begins; lengths in bytes."""

BLOCK_FIXED = len(BLOCK.build({"idstr": "", "used_length": 0}))
"""Bytes of a BLOCK besides its name, whose length is its first byte."""
BLOCK_MAX = BLOCK_FIXED + 255
BLOCK_EXTRA = Int64ub
"""Behind a BLOCK: with postcopy its page size if that is huge, with x-ignore-shared its guest address."""
BLOCK_EXTRA_SIZE = BLOCK_EXTRA.sizeof()

MAPPED_RAM_HEADER = Struct(
    "version" / Int32ub,
    "page_size" / Int64ub,
    "bitmap_offset" / Int64ub,
    "pages_offset" / Int64ub,
)
"""Header of a block in a mapped-ram file (QEMU 9.0): both offsets are absolute file offsets in
bytes, and both are zero for a block whose pages are not in the file."""

MAPPED_RAM_VERSION = 1
