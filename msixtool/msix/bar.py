"""Where the table and the pending bits lie in memory, and which layouts QEMU refuses.

Sources: QEMU hw/pci/msix.c, msix_init and msix_init_exclusive_bar; hw/pci/pci.c,
pci_add_capability; PCI Local Bus Specification 3.0, section 6.8.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from msixtool.errors import UsageError
from msixtool.formats import msix as fmt, pci
from msixtool.msix.versions import Behaviour

EXCLUSIVE_SIZE = 4096
"""Bytes of the exclusive BAR as long as table and pending bits fit."""
EXCLUSIVE_PBA_OFFSET = EXCLUSIVE_SIZE // 2
"""Where the pending bits begin in it as long as the table fits below."""


@dataclass(frozen=True, slots=True)
class Placement:
    """A place in a BAR: the BAR's number, the offset in it, and the BAR's size in bytes."""

    bar: int
    offset: int
    bar_size: int


def align(size: int, unit: int) -> int:
    """`size` rounded up to a multiple of `unit`."""
    return -(-size // unit) * unit


def table_size(vectors: int) -> int:
    """Bytes of the table in memory."""
    return fmt.ENTRY_SIZE * vectors


def pba_memory(vectors: int) -> int:
    """Bytes of the pending bits in memory: whole words of 64 bits."""
    return align(vectors, 64) // 8


def vectors_seen(vectors: int, behaviour: Behaviour) -> int:
    """The number of vectors that msix_init sees. Raises UsageError where it is not 1 to 2048."""
    seen = vectors if behaviour.wide_vector_count else vectors & 0xFFFF
    if not 1 <= seen <= fmt.MAX_VECTORS:
        raise UsageError("EINVAL: number of vectors", expected=f"1 to {fmt.MAX_VECTORS}", found=seen)
    return seen


def counts_before_support(vectors: int, behaviour: Behaviour) -> bool:
    """Whether msix_init_exclusive_bar refuses a number of vectors before it asks for support of MSI."""
    too_many = not behaviour.exclusive_bar_grows and table_size(vectors) > EXCLUSIVE_PBA_OFFSET
    return behaviour.wide_vector_count or too_many


def exclusive_bar(vectors: int, bar: int, behaviour: Behaviour) -> tuple[Placement, Placement]:
    """Table and pending bits in a BAR of their own, as msix_init_exclusive_bar lays them out.

    4 KiB with the pending bits in the upper half; with more than 128 vectors they follow the
    table, and the BAR is the next power of two that holds both. Raises UsageError for a number of
    vectors that the version cannot place.
    """
    vectors = vectors_seen(vectors, behaviour)
    if table_size(vectors) > EXCLUSIVE_PBA_OFFSET and not behaviour.exclusive_bar_grows:
        limit = EXCLUSIVE_PBA_OFFSET // fmt.ENTRY_SIZE
        raise UsageError("EINVAL: vectors in an exclusive BAR", expected=f"at most {limit}", found=vectors)
    pba_offset = max(EXCLUSIVE_PBA_OFFSET, table_size(vectors))
    pba_bytes = pba_memory(vectors) if behaviour.exact_pba_size else (vectors // 8 + 1) * 8
    size = max(EXCLUSIVE_SIZE, 1 << (pba_offset + pba_bytes - 1).bit_length())
    return Placement(bar, 0, size), Placement(bar, pba_offset, size)


def check_layout(vectors: int, table: Placement, pba: Placement) -> None:
    """Raise UsageError where table and pending bits overlap, leave their BARs, or are not 8-byte aligned."""
    table_end = table.offset + table_size(vectors)
    pba_end = pba.offset + pba_memory(vectors)
    if table.bar == pba.bar and table.offset < pba_end and pba.offset < table_end:
        raise UsageError(f"EINVAL: table and PBA overlap in BAR {table.bar}")
    for name, place, end in (("table", table, table_end), ("PBA", pba, pba_end)):
        if end > place.bar_size:
            raise UsageError(
                f"EINVAL: {name} ends at {end:#x} in BAR {place.bar} of {place.bar_size:#x} bytes"
            )
        if place.offset & fmt.BIR_MASK:
            raise UsageError(f"EINVAL: {name} at {place.offset:#x} is not aligned to 8 bytes")


def place_capability(position: int, others: Mapping[int, int]) -> int:
    """Where the 12 bytes of the capability go: at `position`, or for 0 in the first gap behind the header.

    `others` are the capabilities that are there already: offset and size in bytes, of which QEMU
    reserves whole double words. Raises UsageError where they overlap, or where no gap is left.
    """
    used = {byte for at, size in others.items() for byte in range(at, at + align(size, 4))}

    def is_free(start: int) -> bool:
        return used.isdisjoint(range(start, start + fmt.CAP_SIZE))

    if position:
        if not is_free(position):
            raise UsageError(f"EINVAL: capability at {position:#x} overlaps another one")
        return position
    for start in range(pci.HEADER_SIZE, pci.CONFIG_SIZE - fmt.CAP_SIZE + 1):
        if is_free(start):
            return start
    raise UsageError("QEMU aborts: no room for the capability in configuration space")
