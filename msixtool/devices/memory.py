"""Where a machine's RAM is, as its stream tells.

Source: QEMU hw/rtc/mc146818rtc.c (vmstate_rtc: CMOS comes first); ram/memory_map.py has the rest.
"""

from __future__ import annotations

from msixtool.containers.base import Source
from msixtool.ram.memory_map import CMOS_SIZE, Region, other_regions, pc_regions
from msixtool.stream.items import StreamIndex

_RTC = "mc146818rtc"
_Q35_NORTHBRIDGE = "mch"
"""Kind of the section that a q35 machine alone has."""


def guest_regions(source: Source, index: StreamIndex, *, pc: bool) -> list[Region]:
    """The pieces of guest physical memory that are RAM; empty where the machine is not known."""
    if not pc:
        return other_regions(index.blocks)
    cmos, q35 = None, "q35" in (index.machine or "")
    for item in index.full_sections():
        if item.idstr == _RTC and item.data_length >= CMOS_SIZE:
            cmos = source.read(item.data_offset, CMOS_SIZE)
        q35 |= str(item.idstr).endswith(f"/{_Q35_NORTHBRIDGE}")
    return pc_regions(index.blocks, cmos, q35=q35)
