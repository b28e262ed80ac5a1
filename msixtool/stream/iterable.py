"""Where the data of the other hand-written sections ends: they have no vmsd, but a grammar.

Each function takes a window, the offset of the data and the item's type, and returns the
offset behind the data. Big-endian throughout. They raise FormatError where a record makes no
sense and TruncatedError where the stream ends. Sources: the QEMU files named at each.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

from msixtool.errors import FormatError
from msixtool.stream import items as kinds
from msixtool.stream.window import Window

_SECTOR_BITS = 9
_BLOCK_SIZE = 1 << 20
_HTAB_ENTRY_SIZE = 16
_NO_HTAB = 0xFFFFFFFF


class Grammar(NamedTuple):
    """How a section's data ends; `full` where its FULL section has the grammar too."""

    end: Callable[[Window, int, str], int]
    full: bool = False


def _u64(window: Window, offset: int, what: str) -> int:
    return int.from_bytes(window.exactly(offset, 8, what), "big")


def _u32(window: Window, offset: int, what: str) -> int:
    return int.from_bytes(window.exactly(offset, 4, what), "big")


def _string(window: Window, offset: int, what: str) -> int:
    """The offset behind a length byte and as many characters."""
    return offset + 1 + window.exactly(offset, 1, what)[0]


def _unknown(what: str, offset: int, flags: int) -> FormatError:
    return FormatError(what, offset=offset, expected="known flags", found=f"{flags:#x}")


def dirty_bitmap(window: Window, offset: int, kind: str) -> int:
    """migration/block-dirty-bitmap.c: chunks of flags, names and bits until the one marked EOS."""
    what = "a dirty-bitmap chunk"
    while True:
        flags = window.exactly(offset, 1, what)[0]
        start, width = offset, 1
        if flags & 0x80:
            raise _unknown("dirty-bitmap chunk", start, flags)
        offset += width
        if flags & 0x08:
            offset = _string(window, offset, what)
        if flags & 0x04:
            offset = _string(window, offset, what)
        if flags & 0x10:
            offset += 4 + 1
        elif flags & 0x40:
            offset += 8 + 4
            if not flags & 0x02:
                offset += 8 + _u64(window, offset, what)
        if flags & 0x01:
            window.reaches(offset, what)
            return offset


def block(window: Window, offset: int, kind: str) -> int:
    """migration/block.c (removed in 9.1): 1 MiB blocks of disk until EOS."""
    what = "a block-migration record"
    while True:
        header = _u64(window, offset, what)
        flags = header & ((1 << _SECTOR_BITS) - 1)
        start, offset = offset, offset + 8
        if flags & 0x02:
            return offset
        if flags & 0x01:
            offset = _string(window, offset, what)
            if not flags & 0x08:
                offset += _BLOCK_SIZE
                window.reaches(offset, what)
        elif not flags & 0x04:
            raise _unknown("block-migration record", start, flags)


def htab(window: Window, offset: int, kind: str) -> int:
    """hw/ppc/spapr.c: the hash page table; START says its size, later parts send entries.

    A guest whose memory is not mapped by one (radix) has -1 in the place of each.
    """
    what = "hash page table entries"
    header = _u32(window, offset, what)
    if kind == kinds.START or header == _NO_HTAB:
        return offset + 4
    if header:
        raise FormatError("hash page table", offset=offset, expected="section header 0", found=header)
    offset += 4
    while True:
        index, valid, invalid = struct.unpack(">IHH", window.exactly(offset, 8, what))
        offset += 8
        if not index and not valid and not invalid:
            return offset
        offset += valid * _HTAB_ENTRY_SIZE
        window.reaches(offset, what)


def s390_stattrib(window: Window, offset: int, kind: str) -> int:
    """hw/s390x/s390-stattrib.c: storage attributes, a byte a page."""
    what = "s390 storage attributes"
    while True:
        flags = _u64(window, offset, what) & 0xFFF
        start, offset = offset, offset + 8
        if flags == 0x01:
            return offset
        if flags == 0x02:
            offset += 8 + _u64(window, offset, what)
        elif flags != 0x08:
            raise _unknown("s390 storage attributes", start, flags)


def s390_skeys(window: Window, offset: int, kind: str) -> int:
    """hw/s390x/s390-skeys.c: storage keys, a byte a page."""
    what = "s390 storage keys"
    while True:
        flags = _u64(window, offset, what) & 0xFFF
        start, offset = offset, offset + 8
        if flags == 0x01:
            return offset
        if flags != 0x02:
            raise _unknown("s390 storage keys", start, flags)
        offset += 8 + _u64(window, offset, what)


def todclock(window: Window, offset: int, kind: str) -> int:
    """hw/s390x/tod.c: whether there is a clock, and its 72 bits."""
    present = window.exactly(offset, 1, "the TOD clock")[0]
    return offset + (10 if present else 1)


VFIO_END = 0xFFFFFFFFEF100001
VFIO_CONFIG = 0xFFFFFFFFEF100002
VFIO_SETUP = 0xFFFFFFFFEF100003
VFIO_DATA = 0xFFFFFFFFEF100004
VFIO_INIT_DATA_SENT = 0xFFFFFFFFEF100005
VFIO_CONFIG_LOAD_READY = 0xFFFFFFFFEF100006
_VFIO_LAST = (VFIO_END, VFIO_INIT_DATA_SENT, VFIO_CONFIG_LOAD_READY)
"""The tags that end the data: the last two stand in the place of an END_OF_STATE."""
_VFIO_CONFIG_MAX = 1 << 16


def vfio(window: Window, offset: int, kind: str) -> int:
    """hw/vfio/migration.c: tagged records until END_OF_STATE.

    The device configuration has an END_OF_STATE of its own: it is the last one in a FULL section
    (QEMU 6.0 on), and the data follow it in an END section (5.2).
    """
    what = "a vfio record"
    while True:
        tag = _u64(window, offset, what)
        start, offset = offset, offset + 8
        if tag in _VFIO_LAST:
            return offset
        if tag == VFIO_DATA:
            offset += 8 + _u64(window, offset, what)
            window.reaches(offset, what)
        elif tag == VFIO_CONFIG:
            offset = _vfio_config_end(window, offset)
            if kind == kinds.FULL:
                return offset
        elif tag != VFIO_SETUP:
            raise _unknown("vfio record", start, tag)


def _vfio_config_end(window: Window, offset: int) -> int:
    """The offset behind the END_OF_STATE of a device configuration: no length is given."""
    data = window.peek(offset, _VFIO_CONFIG_MAX)
    found = data.find(VFIO_END.to_bytes(8, "big"))
    if found < 0:
        raise FormatError("vfio device configuration", offset=offset, expected="END_OF_STATE within 64 KiB")
    return offset + found + 8


def vfio_config(window: Window, offset: int, end: int) -> int | None:
    """The offset of the device configuration in vfio data from `offset` to `end`, or None without one.

    Raises as the grammar does.
    """
    while offset < end:
        tag = _u64(window, offset, "a vfio record")
        offset += 8
        if tag == VFIO_CONFIG:
            return offset
        if tag == VFIO_DATA:
            offset += 8 + _u64(window, offset, "a vfio record")
        elif tag != VFIO_SETUP:
            return None
    return None


GRAMMARS = {
    "dirty-bitmap": Grammar(dirty_bitmap),
    "block": Grammar(block),
    "htab": Grammar(htab),
    "s390-storage_attributes": Grammar(s390_stattrib),
    "s390-skeys": Grammar(s390_skeys, full=True),
    "todclock": Grammar(todclock, full=True),
    "vfio": Grammar(vfio, full=True),
}
"""By the part of the idstr after the last slash."""
