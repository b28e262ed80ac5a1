"""Where table and pending bits go when the number of vectors changes, and where their BAR can go.

Sources: QEMU hw/pci/msix.c, msix_init_exclusive_bar; hw/nvme/ctrl.c, nvme_mbar_size; PCI Local Bus
Specification 3.0, sections 6.2.5.1 (a BAR is aligned to its size) and 6.8.2; PCI-to-PCI Bridge
Architecture Specification 1.2, section 3.2.5.8 (memory window).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from msixtool.devices.config_space import BarPlace, ConfigSpace, MsixCapability
from msixtool.errors import UsageError
from msixtool.formats import pci
from msixtool.formats.pci import Bar
from msixtool.msix.bar import EXCLUSIVE_PBA_OFFSET, align, exclusive_bar, pba_memory, table_size
from msixtool.msix.versions import Behaviour
from msixtool.qemu.kinds import kind_of

_PAGE = 4096
"""Bytes; nvme begins table and pending bits on pages of their own in its one BAR."""

_REACH = 16 << 20
"""How far from its old place a BAR may be moved, in bytes."""

_IO_APIC = 0xFEC00000
"""Where chipset devices begin on a PC."""


@dataclass(frozen=True, slots=True)
class TablePlaces:
    """Table and pending bits for a number of vectors; `bar_size` where the whole BAR is known."""

    table: BarPlace
    pba: BarPlace
    bar_size: int | None = None


def places(kind: str, capability: MsixCapability, before: int, vectors: int) -> TablePlaces:
    """Where table and pending bits of `vectors` vectors go, in a device that has `before` now.

    A BAR of their own grows as QEMU's does; elsewhere both stay where they are as long as the table
    ends before the pending bits. Raises UsageError where it does not.
    """
    table, pba = capability.table, capability.pba
    if _is_exclusive(capability, before):
        made, bits = exclusive_bar(vectors, table.bar, Behaviour())
        return TablePlaces(BarPlace(made.bar, made.offset), BarPlace(bits.bar, bits.offset), made.bar_size)
    msix = kind_of(kind).msix
    paged = msix is not None and msix.paged
    if paged and pba.offset == table.offset + align(table_size(before), _PAGE):
        offset = table.offset + align(table_size(vectors), _PAGE)
        end = offset + align(pba_memory(vectors), _PAGE)
        return TablePlaces(table, BarPlace(pba.bar, offset), 1 << (end - 1).bit_length())
    table_end, pba_end = table.offset + table_size(vectors), pba.offset + pba_memory(vectors)
    if table.bar == pba.bar and table.offset < pba_end and pba.offset < table_end:
        raise UsageError(
            f"{vectors} vectors: the table in BAR {table.bar} would reach {table_end:#x}",
            expected=f"at most {pba.offset:#x}, where the pending bits begin, or a place of them in the SPEC",
        )
    return TablePlaces(table, pba)


def _is_exclusive(capability: MsixCapability, vectors: int) -> bool:
    """Whether table and pending bits are laid out as in a BAR of their own."""
    table, pba = capability.table, capability.pba
    expected = max(EXCLUSIVE_PBA_OFFSET, table_size(vectors))
    return table.bar == pba.bar and table.offset == 0 and pba.offset == expected


def memory_bars(space: ConfigSpace) -> list[Bar]:
    """The memory BARs that have an address."""
    return [bar for bar in pci.bars_of(space.data) if not bar.is_io and bar.address]


def room_for(bar: Bar, size: int, others: Sequence[int], window: tuple[int, int] | None) -> int | None:
    """The address nearest to that of `bar` where `size` bytes (a power of two) collide with no other BAR.

    That is where it stands, if that is aligned and nothing begins inside. `others` are the addresses
    of all other memory BARs. Their sizes are not in a stream, but a BAR is aligned to its size and
    ends before the next one. `window` bounds the search behind a bridge: first and last address. None
    where nothing is free nearby.
    """
    home = bar.address - bar.address % size
    taken = [extent for extent in _extents([bar.address, *others]) if extent[0] != bar.address]
    lowest = min([home, *others])
    low, high = max(home - _REACH, 0), home + _REACH
    if window is not None:
        low, high = max(low, window[0]), min(high, window[1])
    # Below the lowest BAR may be RAM or a hole that the firmware uses: only where nothing else is left.
    candidates = sorted(range(align(low, size), high + 1, size), key=lambda at: (at < lowest, abs(at - home)))
    for candidate in candidates:
        end = candidate + size
        is_low = bar.address < 1 << 32
        fits = end - 1 <= high and (not is_low or end <= _IO_APIC)
        if candidate and fits and all(end <= start or candidate >= stop for start, stop in taken):
            return candidate
    return None


def _extents(addresses: Sequence[int]) -> list[tuple[int, int]]:
    """The most that the BAR at each address can cover."""
    ordered = sorted(set(addresses))
    following = [*ordered[1:], 1 << 64]
    return [
        (address, min(address + (address & -address), after))
        for address, after in zip(ordered, following, strict=True)
    ]


def memory_window(bridge: ConfigSpace) -> tuple[int, int] | None:
    """First and last address of a bridge's memory window, or None where it is no bridge or has none."""
    if bridge.header.layout != 1:
        return None
    tail = bridge.header.tail
    base, limit = tail.memory_base & 0xFFF0, tail.memory_limit & 0xFFF0
    return (base << 16, limit << 16 | 0xFFFFF) if base <= limit else None
