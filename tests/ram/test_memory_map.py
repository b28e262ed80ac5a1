"""Where RAM is: what CMOS says of a PC, and the machine types' holes where it says nothing."""

from __future__ import annotations

import pytest

from msixtool.ram.memory_map import FOUR_GIB, GIB, MIB, Region, other_regions, pc_regions
from msixtool.stream.items import RamBlock


def cmos(below: int, above: int = 0) -> bytes:
    """The bytes that pc_cmos_init writes of a machine's memory."""
    made = bytearray(128)
    made[0x17:0x19] = min((below - MIB) >> 10, 0xFFFF).to_bytes(2, "little")
    made[0x34:0x36] = (max(0, below - 16 * MIB) >> 16).to_bytes(2, "little")
    made[0x5B:0x5E] = (above >> 16).to_bytes(3, "little")
    return bytes(made)


def blocks(*sizes: int, name: str = "pc.ram") -> list[RamBlock]:
    return [RamBlock(name if n == 0 else f"{name}{n}", size) for n, size in enumerate(sizes)]


@pytest.mark.parametrize(
    ("total", "q35", "below"),
    [
        (8 * MIB, False, 8 * MIB),
        (2815 * MIB, True, 2815 * MIB),
        (2816 * MIB, True, 2 * GIB),
        (3583 * MIB, False, 3583 * MIB),
        (3584 * MIB, False, 3 * GIB),
        (16 * GIB, True, 2 * GIB),
    ],
)
def test_the_hole_is_where_the_machine_type_has_it(total: int, q35: bool, below: int) -> None:
    expected = [Region(0, below, "pc.ram")]
    if below < total:
        expected.append(Region(FOUR_GIB, total - below, "pc.ram", below))
    assert pc_regions(blocks(total), None, q35=q35) == expected
    assert pc_regions(blocks(total), cmos(below, total - below), q35=q35) == expected


def test_max_ram_below_4g_stands_in_cmos() -> None:
    found = pc_regions(blocks(4 * GIB), cmos(GIB, 3 * GIB), q35=True)
    assert found == [Region(0, GIB, "pc.ram"), Region(FOUR_GIB, 3 * GIB, "pc.ram", GIB)]


def test_cmos_that_a_guest_has_written_over_is_not_believed() -> None:
    assert pc_regions(blocks(4 * GIB), cmos(64 * MIB), q35=False)[0].length == 3 * GIB


def test_a_memory_backend_is_main_memory_where_its_size_is() -> None:
    listed = [RamBlock("dimm", GIB), RamBlock("mem", 512 * MIB), RamBlock("vga.vram", 16 * MIB)]
    found = pc_regions(listed, cmos(512 * MIB), q35=True)
    assert found == [Region(0, 512 * MIB, "mem"), Region(FOUR_GIB, GIB, "dimm")]


def test_nodes_of_one_size_follow_each_other() -> None:
    listed = [
        RamBlock("/objects/n0", 2 * GIB),
        RamBlock("/objects/n1", 2 * GIB),
        RamBlock("pc.bios", 1 << 18),
    ]
    assert pc_regions(listed, cmos(3 * GIB, GIB), q35=False) == [
        Region(0, 2 * GIB, "/objects/n0"),
        Region(2 * GIB, GIB, "/objects/n1"),
        Region(FOUR_GIB, GIB, "/objects/n1", GIB),
    ]


def test_what_could_be_in_another_order_is_not_guessed() -> None:
    nodes = [RamBlock("n0", 2 * GIB), RamBlock("n1", GIB)]
    assert pc_regions(nodes, cmos(3 * GIB), q35=False) == []
    dimms = [*blocks(GIB), RamBlock("d0", 2 * GIB), RamBlock("d1", GIB)]
    assert pc_regions(dimms, cmos(GIB), q35=False) == [Region(0, GIB, "pc.ram")]


def test_other_machines() -> None:
    assert other_regions([RamBlock("mach-virt.ram", GIB), RamBlock("flash", MIB)]) == [
        Region(GIB, GIB, "mach-virt.ram")
    ]
    assert other_regions([RamBlock("stranger.ram", GIB)]) == []
