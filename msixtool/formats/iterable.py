"""The records of hand-written sections: dirty-bitmap, block, htab, storage keys, TOD clock, vfio.

They have no vmsd but a grammar, which stream/iterable.py follows. All integers are big-endian. `end` is the
size of the record in bytes without the data that it announces.

Sources: QEMU migration/block-dirty-bitmap.c; migration/block.c (removed in 9.1); hw/ppc/spapr.c;
hw/s390x/s390-stattrib.c, s390-skeys.c and tod.c; hw/vfio/migration.c.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag

from construct import Computed, If, Int8ub, Int16ub, Int32ub, Int64ub, Struct, Tell, this

from msixtool.formats.qevm import ID_STRING

RECORD_MAX = 1024
"""More bytes than any record here has."""


class BitmapFlag(IntFlag):
    """Flags of a dirty-bitmap chunk."""

    EOS = 0x01
    ZEROES = 0x02
    BITMAP_NAME = 0x04
    NODE_NAME = 0x08
    START = 0x10
    COMPLETE = 0x20
    BITS = 0x40
    EXTRA = 0x80


DIRTY_BITMAP_CHUNK = Struct(
    "flags" / Int8ub,
    "node" / If(this.flags & BitmapFlag.NODE_NAME, ID_STRING),
    "bitmap" / If(this.flags & BitmapFlag.BITMAP_NAME, ID_STRING),
    "start" / If(this.flags & BitmapFlag.START, Struct("granularity" / Int32ub, "flags" / Int8ub)),
    "bits"
    / If(
        lambda this: this.flags & BitmapFlag.BITS and not this.flags & BitmapFlag.START,
        Struct(
            "sector" / Int64ub,
            "sectors" / Int32ub,
            "size" / If(lambda this: not this._.flags & BitmapFlag.ZEROES, Int64ub),
        ),
    ),
    "end" / Tell,
)
"""`bits.size` bytes of bits follow, where there are any."""


class BlockFlag(IntFlag):
    """The lower bits of a block-migration record's header; the rest of it is a sector."""

    DEVICE_BLOCK = 0x01
    EOS = 0x02
    PROGRESS = 0x04
    ZERO_BLOCK = 0x08


DISK_BLOCK_SIZE = 1 << 20
"""Bytes of disk in a record."""

BLOCK_RECORD = Struct(
    "header" / Int64ub,
    "flags" / Computed(this.header & 0x1FF),
    "device"
    / If(lambda this: this.flags & BlockFlag.DEVICE_BLOCK and not this.flags & BlockFlag.EOS, ID_STRING),
    "end" / Tell,
)
"""BLOCK_SIZE bytes follow a DEVICE_BLOCK that is no ZERO_BLOCK."""

NO_HTAB = 0xFFFFFFFF
"""In the place of the header, where memory is not mapped by a hash page table (radix)."""
HTAB_HEADER = Int32ub
HTAB_CHUNK = Struct("index" / Int32ub, "valid" / Int16ub, "invalid" / Int16ub, "end" / Tell)
"""`valid` entries follow; a chunk of zeros is the last one."""
HTAB_ENTRY_SIZE = 16


class StorageFlag(IntEnum):
    """The lower 12 bits of the header of storage attributes and keys."""

    EOS = 0x01
    MORE = 0x02
    DONE = 0x08


STORAGE_RECORD = Struct(
    "header" / Int64ub,
    "flags" / Computed(this.header & 0xFFF),
    "count" / If(this.flags == StorageFlag.MORE, Int64ub),
    "end" / Tell,
)
"""`count` bytes follow, one a page."""

TOD_CLOCK = Struct("present" / Int8ub, "high" / Int8ub, "low" / Int64ub)
"""The byte alone where there is no clock."""
TOD_CLOCK_SIZE = TOD_CLOCK.sizeof()


class VfioTag(IntEnum):
    """What a vfio record is."""

    END = 0xFFFFFFFFEF100001
    CONFIG = 0xFFFFFFFFEF100002
    SETUP = 0xFFFFFFFFEF100003
    DATA = 0xFFFFFFFFEF100004
    INIT_DATA_SENT = 0xFFFFFFFFEF100005
    CONFIG_LOAD_READY = 0xFFFFFFFFEF100006


VFIO_END = Int64ub.build(VfioTag.END)
"""What ends a device configuration."""
VFIO_RECORD = Struct("tag" / Int64ub, "size" / If(this.tag == VfioTag.DATA, Int64ub), "end" / Tell)
"""`size` bytes of the device's own follow DATA; a device configuration and END follow CONFIG."""
