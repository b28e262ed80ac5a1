"""The registers of the header are where the specification has them, and BARs are walked in one way."""

from __future__ import annotations

import pytest

from msixtool.formats import parse, pci, qevm


@pytest.mark.parametrize(
    ("name", "layout", "place"),
    [
        ("vendor_id", pci.HeaderType.DEVICE, (0x00, 2)),
        ("command", pci.HeaderType.DEVICE, (0x04, 2)),
        ("status", pci.HeaderType.BRIDGE, (0x06, 2)),
        ("class_code", pci.HeaderType.DEVICE, (0x09, 3)),
        ("header_type", pci.HeaderType.DEVICE, (0x0E, 1)),
        ("bars", pci.HeaderType.DEVICE, (0x10, 24)),
        ("bars", pci.HeaderType.BRIDGE, (0x10, 8)),
        ("rom_address", pci.HeaderType.DEVICE, (0x30, 4)),
        ("rom_address", pci.HeaderType.BRIDGE, (0x38, 4)),
        ("capability_pointer", pci.HeaderType.DEVICE, (0x34, 1)),
        ("capability_pointer", pci.HeaderType.BRIDGE, (0x34, 1)),
        ("memory_base", pci.HeaderType.BRIDGE, (0x20, 2)),
        ("max_latency", pci.HeaderType.DEVICE, (0x3F, 1)),
        ("bridge_control", pci.HeaderType.BRIDGE, (0x3E, 2)),
    ],
)
def test_registers_are_where_the_specification_has_them(
    name: str, layout: pci.HeaderType, place: tuple[int, int]
) -> None:
    assert pci.header_register(name, layout) == place


def test_the_places_of_registers_are_those_that_the_schema_reads() -> None:
    config = bytearray(range(64))
    for layout in pci.BAR_COUNTS:
        config[pci.HEADER_TYPE.offset] = layout
        header = parse(pci.HEADER, config, what="header")
        for name in ("command", "class_code"):
            assert pci.header_register(name, layout).value(config) == header[name]
        for name in ("rom_address", "interrupt_line"):
            assert pci.header_register(name, layout).value(config) == header.tail[name]


def config_of(*words: int, layout: int = 0) -> bytes:
    config = bytearray(64)
    config[0x0E] = layout
    for index, word in enumerate(words):
        config[0x10 + 4 * index : 0x14 + 4 * index] = word.to_bytes(4, "little")
    return bytes(config)


def test_bars_are_walked_with_their_upper_halves() -> None:
    found = pci.bars_of(config_of(0xFE00000C, 0x1, 0xC001, 0xFEB00000, 0, 0x4))
    assert [(bar.number, bar.register, bar.address, bar.size) for bar in found if not bar.is_io] == [
        (0, 0x10, 0x1_FE000000, 8),
        (3, 0x1C, 0xFEB00000, 4),
        (4, 0x20, 0, 4),
        (5, 0x24, 0, 4),  # nothing is left for an upper half
    ]
    assert [bar.number for bar in found if bar.is_io] == [2]
    assert [bar.number for bar in pci.bars_of(config_of(4, 0, 4, layout=0x81))] == [0]
    assert pci.bars_of(config_of(4, layout=2)) == pci.bars_of(config_of(4, layout=0x7F)) == []


def test_headers_and_footers_are_those_of_the_stream() -> None:
    assert qevm.footer(0x0102) == b"\x7e\0\0\x01\x02"
    assert qevm.part_header(qevm.ItemType.SECTION_END, 7) == b"\x03\0\0\0\x07"
    assert (qevm.HEADER_SIZE, qevm.PART_HEADER_SIZE, qevm.FOOTER_SIZE) == (8, 5, 5)
    assert qevm.FOOTER_MARK == b"\x7e"
