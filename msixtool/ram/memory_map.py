"""Where RAM blocks stand in guest physical memory.

A stream names its blocks and does not say where they are. On a PC the firmware is told by CMOS how
much of main memory lies below 4 GiB and how much above, whatever machine type and max-ram-below-4g
made it so. Source: QEMU hw/i386/pc.c (pc_cmos_init, pc_memory_init, pc_get_device_memory_range),
pc_piix.c and pc_q35.c (the hole); hw/arm/virt.c, hw/riscv/virt.c (base_memmap, virt_memmap).
"""

from __future__ import annotations

from collections.abc import Sequence

from msixtool.formats import x86
from msixtool.kept import NamedTuple
from msixtool.stream.items import RamBlock

MIB, GIB = 1 << 20, 1 << 30
FOUR_GIB = 4 * GIB
CMOS_SIZE = 128
"""Bytes of CMOS, with which the data of the section mc146818rtc begins."""

_UNIT = 64 << 10
_LOW = 16 * MIB

_Q35_HOLE, _Q35_LIMIT = 2 * GIB, 0xB0000000
_PC_HOLE, _PC_LIMIT = 3 * GIB, 0xE0000000
"""Where low memory ends on a machine whose RAM reaches its limit."""

_BASES = {
    "mach-virt.ram": GIB,
    "riscv_virt_board.ram": 2 * GIB,
    "ppc_spapr.ram": 0,
    "s390.ram": 0,
    "loongarch.ram": 0,
}
"""Main memory of the machines whose RAM is one piece, by the name of its block."""

_PC_MAIN = ("pc.ram", "microvm.ram")
MAIN_MEMORY = (*_PC_MAIN, *_BASES)
"""Names of the block that is all of main memory, unless a backend was given."""
_OBJECTS = "/objects/"
"""Before the id of a memory backend in the names of blocks, where canonical paths are used."""
_OF_THE_MACHINE = frozenset(
    {
        *("pc.bios", "pc.rom", "isa-bios", "system.flash0", "system.flash1"),
        *("vmclock_page", "tpm-ppi", "tpm-crb-cmd"),
    }
)


class Region(NamedTuple):
    """`length` bytes of guest physical memory from `start` on: those of `block` from `offset` on."""

    start: int
    length: int
    block: str
    offset: int = 0


def pc_regions(blocks: Sequence[RamBlock], cmos: bytes | None, *, q35: bool) -> list[Region]:
    """The RAM of a PC; empty where it cannot be told which blocks are main memory, or in which order.

    `cmos` are the first bytes of the RTC's state; without them the hole is where the machine type has it.
    """
    told = None if cmos is None else told_by_cmos(cmos)
    main = _main_memory(blocks, None if told is None else sum(told))
    if not main:
        return []
    total = sum(block.used_length for block in main)
    below = told[0] if told is not None and sum(told) == total else _below(total, q35=q35)
    regions = _piece(main, 0, below, 0) + _piece(main, below, total, FOUR_GIB)
    return regions + _hotplugged(blocks, main, total - below)


def told_by_cmos(cmos: bytes) -> tuple[int, int]:
    """Bytes of main memory below and above 4 GiB, as CMOS has them."""
    between = x86.CMOS_BELOW.value(cmos) * _UNIT
    extended = x86.CMOS_EXTENDED.value(cmos) << 10
    below = _LOW + between if between else MIB + extended
    return below, x86.CMOS_ABOVE.value(cmos) * _UNIT


def _below(total: int, *, q35: bool) -> int:
    """Bytes of low memory where max-ram-below-4g was not given."""
    hole, limit = (_Q35_HOLE, _Q35_LIMIT) if q35 else (_PC_HOLE, _PC_LIMIT)
    return hole if total >= limit else total


def backends(blocks: Sequence[RamBlock]) -> list[RamBlock]:
    """The blocks that are memory backends by their names: those of devices and ROMs have others."""
    return [
        block
        for block in blocks
        if block.idstr.startswith(_OBJECTS)
        or not ("/" in block.idstr or "." in block.idstr or block.idstr in _OF_THE_MACHINE)
    ]


def _main_memory(blocks: Sequence[RamBlock], total: int | None) -> list[RamBlock]:
    """The blocks of main memory in the order of their addresses; empty where that is not known."""
    default = [block for block in blocks if block.idstr in _PC_MAIN]
    if default:
        return default[:1]
    others = backends(blocks)
    fitting = [block for block in others if block.used_length == total]
    if len(fitting) == 1:
        return fitting
    # A node a backend: they are listed by size, those of one size in the order in which they were made.
    sizes = {block.used_length for block in others}
    whole = sum(block.used_length for block in others)
    return others if len(sizes) == 1 and total in (None, whole) else []


def _piece(main: Sequence[RamBlock], first: int, end: int, start: int) -> list[Region]:
    """The bytes `first` up to `end` of main memory, which stand at `start`."""
    regions, at = [], 0
    for block in main:
        low, high = max(first, at), min(end, at + block.used_length)
        if low < high:
            regions.append(Region(start + low - first, high - low, block.idstr, low - at))
        at += block.used_length
    return regions


def _hotplugged(blocks: Sequence[RamBlock], main: Sequence[RamBlock], above: int) -> list[Region]:
    """DIMMs at their default addresses, one behind the other; none where their order is not known."""
    dimms = [block for block in backends(blocks) if block not in main]
    if len({block.used_length for block in dimms}) > 1:
        return []
    start = -(-(FOUR_GIB + above) // GIB) * GIB
    regions = []
    for block in dimms:
        regions.append(Region(start, block.used_length, block.idstr))
        start += block.used_length
    return regions


def other_regions(blocks: Sequence[RamBlock]) -> list[Region]:
    """The RAM of a machine that is no PC; empty for a machine that is not known."""
    return [
        Region(_BASES[block.idstr], block.used_length, block.idstr)
        for block in blocks
        if block.idstr in _BASES
    ]
