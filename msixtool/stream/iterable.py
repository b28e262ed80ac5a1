"""Where the data of the other hand-written sections ends: they have no vmsd, but a grammar.

Each function takes a window, the offset of the data and the item's type, and returns the offset behind
the data. The records are those of formats/iterable.py, whose sources they share. They raise FormatError
where a record makes no sense and TruncatedError where the stream ends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msixtool.errors import FormatError, TruncatedError
from msixtool.formats import iterable as fmt, parse
from msixtool.formats.iterable import BitmapFlag, BlockFlag, StorageFlag, VfioTag
from msixtool.formats.qevm import ItemType
from msixtool.kept import NamedTuple
from msixtool.stream.window import Window


class Grammar(NamedTuple):
    """How a section's data ends; `full` where its FULL section has the grammar too."""

    end: Callable[[Window, int, ItemType], int]
    full: bool = False


def _record(window: Window, offset: int, schema: Any, what: str) -> Any:
    """The record at `offset`. Raises TruncatedError as `Window.at` does."""
    data = window.peek(offset, fmt.RECORD_MAX)
    try:
        return parse(schema, data, what=what, offset=offset)
    except TruncatedError:
        window.exactly(offset, len(data) + 1, what)
        raise


def _unknown(what: str, offset: int, flags: int) -> FormatError:
    return FormatError(what, offset=offset, expected="known flags", found=f"{flags:#x}")


def dirty_bitmap(window: Window, offset: int, kind: ItemType) -> int:
    """Chunks of flags, names and bits until the one marked EOS."""
    what = "a dirty-bitmap chunk"
    while True:
        chunk = _record(window, offset, fmt.DIRTY_BITMAP_CHUNK, what)
        if chunk.flags & BitmapFlag.EXTRA:
            raise _unknown("dirty-bitmap chunk", offset, chunk.flags)
        bits = (chunk.bits.size or 0) if chunk.bits else 0
        offset += chunk.end + bits
        if chunk.flags & BitmapFlag.EOS:
            window.reaches(offset, what)
            return offset


def block(window: Window, offset: int, kind: ItemType) -> int:
    """Blocks of disk until EOS."""
    what = "a block-migration record"
    while True:
        record = _record(window, offset, fmt.BLOCK_RECORD, what)
        start, offset = offset, offset + record.end
        if record.flags & BlockFlag.EOS:
            return offset
        if record.flags & BlockFlag.DEVICE_BLOCK:
            if not record.flags & BlockFlag.ZERO_BLOCK:
                offset += fmt.DISK_BLOCK_SIZE
                window.reaches(offset, what)
        elif not record.flags & BlockFlag.PROGRESS:
            raise _unknown("block-migration record", start, record.flags)


def htab(window: Window, offset: int, kind: ItemType) -> int:
    """The hash page table: START says its size, later parts send entries.

    A guest whose memory is not mapped by one (radix) has -1 in the place of each.
    """
    what = "hash page table entries"
    header = _record(window, offset, fmt.HTAB_HEADER, what)
    start, offset = offset, offset + fmt.HTAB_HEADER.sizeof()
    if kind == ItemType.SECTION_START or header == fmt.NO_HTAB:
        return offset
    if header:
        raise FormatError("hash page table", offset=start, expected="section header 0", found=header)
    while True:
        chunk = _record(window, offset, fmt.HTAB_CHUNK, what)
        offset += chunk.end
        if not chunk.index and not chunk.valid and not chunk.invalid:
            return offset
        offset += chunk.valid * fmt.HTAB_ENTRY_SIZE
        window.reaches(offset, what)


def _storage(what: str, known: tuple[StorageFlag, ...]) -> Callable[[Window, int, ItemType], int]:
    """Records of a byte a page, of the flags that are `known`."""

    def end(window: Window, offset: int, kind: ItemType) -> int:
        while True:
            record = _record(window, offset, fmt.STORAGE_RECORD, what)
            if record.flags not in known:
                raise _unknown(what, offset, record.flags)
            offset += record.end + (record.count or 0)
            if record.flags == StorageFlag.EOS:
                return offset

    return end


s390_stattrib = _storage("s390 storage attributes", (StorageFlag.EOS, StorageFlag.MORE, StorageFlag.DONE))
s390_skeys = _storage("s390 storage keys", (StorageFlag.EOS, StorageFlag.MORE))


def todclock(window: Window, offset: int, kind: ItemType) -> int:
    """Whether there is a clock, and its 72 bits."""
    present = window.exactly(offset, 1, "the TOD clock")[0]
    return offset + (fmt.TOD_CLOCK_SIZE if present else 1)


_VFIO_LAST = (VfioTag.END, VfioTag.INIT_DATA_SENT, VfioTag.CONFIG_LOAD_READY)
"""The tags that end the data: the last two stand in the place of an END_OF_STATE."""
_VFIO_CONFIG_MAX = 1 << 16


def vfio(window: Window, offset: int, kind: ItemType) -> int:
    """Tagged records until END_OF_STATE.

    The device configuration has an END_OF_STATE of its own: it is the last one in a FULL section
    (QEMU 6.0 on), and the data follow it in an END section (5.2).
    """
    what = "a vfio record"
    while True:
        record = _record(window, offset, fmt.VFIO_RECORD, what)
        start, offset = offset, offset + record.end
        if record.tag in _VFIO_LAST:
            return offset
        if record.tag == VfioTag.DATA:
            offset += record.size
            window.reaches(offset, what)
        elif record.tag == VfioTag.CONFIG:
            offset = _vfio_config_end(window, offset)
            if kind == ItemType.SECTION_FULL:
                return offset
        elif record.tag != VfioTag.SETUP:
            raise _unknown("vfio record", start, record.tag)


def _vfio_config_end(window: Window, offset: int) -> int:
    """The offset behind the END_OF_STATE of a device configuration: no length is given."""
    data = window.peek(offset, _VFIO_CONFIG_MAX)
    found = data.find(fmt.VFIO_END)
    if found < 0:
        raise FormatError("vfio device configuration", offset=offset, expected="END_OF_STATE within 64 KiB")
    return offset + found + len(fmt.VFIO_END)


def vfio_config(window: Window, offset: int, end: int) -> int | None:
    """The offset of the device configuration in vfio data from `offset` to `end`, or None without one.

    Raises as the grammar does.
    """
    while offset < end:
        record = _record(window, offset, fmt.VFIO_RECORD, "a vfio record")
        offset += record.end
        if record.tag == VfioTag.CONFIG:
            return offset
        if record.tag == VfioTag.DATA:
            offset += record.size
        elif record.tag != VfioTag.SETUP:
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
