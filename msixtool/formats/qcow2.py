"""qcow2: the image header and the snapshot table. Big-endian.

Source: QEMU docs/interop/qcow2.txt (header, L1 and L2 tables, snapshots) and block/qcow2.h (limits).
The L1 and L2 tables are arrays of 64-bit words; the masks of their entries stand here, the
tables themselves are read with plain arrays.
"""

from __future__ import annotations

from enum import IntFlag

from construct import Const, If, Int8ub, Int16ub, Int32ub, Int64ub, Optional, Struct, this

from msixtool.formats import members, sizeof

MAGIC = b"QFI\xfb"
VERSIONS = (2, 3)

HEADER_MAX_SIZE = 112
"""Bytes up to the compression type and its padding; header extensions follow."""

MIN_CLUSTER_BITS = 9
MAX_CLUSTER_BITS = 21
MAX_L1_BYTES = 32 << 20
MAX_SNAPSHOTS = 65536
MAX_SNAPSHOT_EXTRA = 1024
MAX_SNAPSHOT_TABLE = 64 << 20
"""Bytes of the snapshot table that QEMU reads at most (block/qcow2.h, QCOW_MAX_SNAPSHOTS_SIZE)."""

CRYPT_METHODS = {1: "AES", 2: "LUKS"}


class Incompatible(IntFlag):
    """Features that a reader has to know."""

    DIRTY = 0x1
    CORRUPT = 0x2
    EXTERNAL_DATA = 0x4
    COMPRESSION_TYPE = 0x8
    EXTENDED_L2 = 0x10


KNOWN_FEATURES = 0x1F

COMPRESSION_DEFLATE = 0
COMPRESSION_ZSTD = 1

_VERSION_2 = Struct(
    "magic" / Const(MAGIC),
    "version" / Int32ub,
    "backing_file_offset" / Int64ub,
    "backing_file_size" / Int32ub,
    "cluster_bits" / Int32ub,
    "size" / Int64ub,
    "crypt_method" / Int32ub,
    "l1_size" / Int32ub,
    "l1_table_offset" / Int64ub,
    "refcount_table_offset" / Int64ub,
    "refcount_table_clusters" / Int32ub,
    "nb_snapshots" / Int32ub,
    "snapshots_offset" / Int64ub,
)
_VERSION_3 = Struct(
    "incompatible_features" / Int64ub,
    "compatible_features" / Int64ub,
    "autoclear_features" / Int64ub,
    "refcount_order" / Int32ub,
    "header_length" / Int32ub,
)
_COMPRESSION_TYPE = sizeof(_VERSION_2) + sizeof(_VERSION_3)
_LONGER = If(this.header_length > _COMPRESSION_TYPE, Int8ub)
HEADER = Struct(
    *_VERSION_2.subcons,
    "v3" / If(this.version >= 3, Struct(*_VERSION_3.subcons, "compression_type" / _LONGER)),
)
OFFSETS = {
    **{name: each.offset for name, each in members(_VERSION_2).items()},
    **{name: each.offset for name, each in members(_VERSION_3, sizeof(_VERSION_2)).items()},
    "compression_type": _COMPRESSION_TYPE,
}
"""Where each field of HEADER stands, in bytes."""

SNAPSHOT_ALIGNMENT = 8
"""Entries begin at multiples of this in the file."""

SNAPSHOT_HEADER = Struct(
    "l1_table_offset" / Int64ub,
    "l1_size" / Int32ub,
    "id_str_size" / Int16ub,
    "name_size" / Int16ub,
    "date_sec" / Int32ub,
    "date_nsec" / Int32ub,
    "vm_clock_nsec" / Int64ub,
    "vm_state_size" / Int32ub,
    "extra_data_size" / Int32ub,
)
SNAPSHOT_HEADER_SIZE = sizeof(SNAPSHOT_HEADER)
"""`extra_data_size` bytes of extra data follow, then the id, then the name."""

SNAPSHOT_EXTRA = Struct(
    "vm_state_size" / Optional(Int64ub),
    "disk_size" / Optional(Int64ub),
    "icount" / Optional(Int64ub),
)
"""None for what the entry is too short to hold. The size here replaces the 32-bit one."""

NO_ICOUNT = 0xFFFFFFFFFFFFFFFF

L1_ENTRY = Int64ub
L1_OFFSET_MASK = 0x00FFFFFFFFFFFE00
L2_OFFSET_MASK = 0x00FFFFFFFFFFFE00
L2_COMPRESSED = 1 << 62
L2_ALL_ZEROS = 1
"""In version 3 without extended L2 entries: the cluster reads as zeros."""

SECTOR = 512
"""Unit in which an L2 entry of a compressed cluster counts its length."""
SUBCLUSTERS = 32
"""Parts of a cluster that an extended L2 entry tells of: 32 bits for allocated, 32 for zeros."""


def compressed_place(entry: int, cluster_bits: int) -> tuple[int, int]:
    """Offset and length in bytes, at most, of the compressed cluster that an L2 entry tells of."""
    shift = 62 - (cluster_bits - 8)
    offset = entry & (1 << shift) - 1
    sectors = (entry & L2_COMPRESSED - 1) >> shift
    return offset, (sectors + 1) * SECTOR - offset % SECTOR
