"""MSI-X: the capability, the table, the pending bit array, and their vmstate.

Sources: PCI Local Bus Specification 3.0, section 6.8.2 (capability, table, PBA); QEMU
hw/pci/msix.c, msix_save and msix_load (vmstate: the table's bytes, then the PBA's).
All integers are little-endian: QEMU stores the device's memory as it is.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from construct import Bytes, Const, Int8ul, Int16ul, Int32ul, Int64ul, Struct

from msixtool.formats import members, sizeof
from msixtool.formats.pci import Register
from msixtool.formats.records import Records, packed

CAP_ID = 0x11
"""PCI capability id of MSI-X."""

CONTROL_QSIZE = 0x07FF
"""Message Control, table size: number of vectors less one."""
CONTROL_FUNCTION_MASK = 0x4000
"""Message Control, function mask."""
CONTROL_ENABLE = 0x8000
"""Message Control, MSI-X enable."""

BIR_MASK = 0x7
"""Low bits of the Table and PBA registers: the BAR; the rest is the offset in it."""

MAX_VECTORS = 2048
"""The most vectors that the 11 bits of the table size can say."""
ENTRY_MASKED = 0x1
"""Vector Control, mask bit."""

CAPABILITY = Struct(
    "id" / Const(CAP_ID, Int8ul),
    "next" / Int8ul,
    "control" / Int16ul,
    "table" / Int32ul,
    "pba" / Int32ul,
)

CAP_SIZE = sizeof(CAPABILITY)

CONTROL, TABLE, PBA = (Register(*members(CAPABILITY)[name]) for name in ("control", "table", "pba"))
"""Its registers, offsets from the capability's start."""

ENTRY = Struct(
    "address" / Int64ul,
    "data" / Int32ul,
    "control" / Int32ul,
)
"""One table entry."""
ENTRY_SIZE = sizeof(ENTRY)
PACKED_ENTRY = packed(ENTRY)
PACKED_WORD = packed(Struct("word" / Int32ul))
"""For the table and the pending bits in device memory: a guest reads and writes them by such words, one at a
time, 10^6 times in a replay."""


def pba_size(vectors: int) -> int:
    """Bytes of the pending bits of `vectors` vectors as msix_save writes them: ceil(n/8).

    In device memory the array is padded to 64 bits; the vmstate is not.
    """
    return (vectors + 7) // 8


def vmstate_size(vectors: int) -> int:
    """Bytes of the MSI-X vmstate of `vectors` vectors: 16 each for the table, then the PBA."""
    return ENTRY_SIZE * vectors + pba_size(vectors)


def vectors_of_size(size: int) -> int | None:
    """The number of vectors whose vmstate has `size` bytes, or None where no number fits."""
    guess = size * 8 // (ENTRY_SIZE * 8 + 1)
    for vectors in (guess, guess + 1):
        if vmstate_size(vectors) == size:
            return vectors
    return None


@lru_cache(maxsize=64)
def vmstate(vectors: int) -> Any:
    """The schema of the MSI-X vmstate of `vectors` vectors: `table`, then `pba`."""
    return Struct("table" / Records(vectors, ENTRY), "pba" / Bytes(pba_size(vectors)))
