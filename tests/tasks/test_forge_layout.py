"""Where table, pending bits and their BAR go for another number of vectors."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from msixtool import UsageError
from msixtool.devices.config_space import BarPlace, ConfigSpace, MsixCapability
from msixtool.formats.pci import Bar
from msixtool.tasks.forge_layout import memory_bars, memory_window, places, room_for

VIRTIO = MsixCapability(0x98, 3, BarPlace(1, 0), BarPlace(1, 0x800))
E1000E = MsixCapability(0xA0, 4, BarPlace(3, 0), BarPlace(3, 0x2000))
NVME = MsixCapability(0x40, 64, BarPlace(0, 0x2000), BarPlace(0, 0x3000))
PAGE = 4096


@pytest.mark.parametrize(
    ("vectors", "pba", "size"),
    [
        (1, 0x800, PAGE),
        (128, 0x800, PAGE),
        (129, 0x810, PAGE),
        (254, 0xFE0, PAGE),
        (255, 0xFF0, 2 * PAGE),
        (256, 0x1000, 2 * PAGE),
        (2048, 0x8000, 16 * PAGE),
    ],
)
def test_a_bar_of_their_own_grows_as_qemus_does(vectors: int, pba: int, size: int) -> None:
    found = places("virtio-net", VIRTIO, 4, vectors)
    assert (found.table, found.pba, found.bar_size) == (BarPlace(1, 0), BarPlace(1, pba), size)


def test_a_bar_that_has_grown_shrinks_again() -> None:
    grown = MsixCapability(0x98, 2047, BarPlace(1, 0), BarPlace(1, 0x8000))
    assert places("virtio-net", grown, 2048, 4).pba == BarPlace(1, 0x800)


@pytest.mark.parametrize(
    ("vectors", "pba", "size"), [(1, 0x3000, 0x4000), (256, 0x3000, 0x4000), (257, 0x4000, 0x8000)]
)
def test_nvme_begins_its_pending_bits_on_a_page_of_their_own(vectors: int, pba: int, size: int) -> None:
    found = places("nvme", NVME, 65, vectors)
    assert (found.table, found.pba, found.bar_size) == (BarPlace(0, 0x2000), BarPlace(0, pba), size)


def test_elsewhere_both_stay_as_long_as_they_do_not_overlap() -> None:
    found = places("e1000e", E1000E, 5, 512)
    assert (found.table, found.pba, found.bar_size) == (BarPlace(3, 0), BarPlace(3, 0x2000), None)
    with pytest.raises(
        UsageError, match=r"513 vectors: the table in BAR 3 would reach 0x2010: expected at most 0x2000"
    ):
        places("e1000e", E1000E, 5, 513)


def space(*words: int, header: int = 0, tail: bytes = b"") -> ConfigSpace:
    registers = b"".join(word.to_bytes(4, "little") for word in words).ljust(24, b"\0")
    data = bytearray(14) + bytes([header, 0]) + registers + tail
    return ConfigSpace(bytes(data.ljust(256, b"\0")))


def test_memory_bars_are_found_with_their_upper_halves() -> None:
    found = memory_bars(space(0xFEBD0000, 0xC041, 0xFE00000C, 0x8, 0, 0xFEBE0004))
    assert found == [
        Bar(0, 0x10, 0xFEBD0000, wide=False),
        Bar(2, 0x18, 0x8_FE00000C, wide=True),
        Bar(5, 0x24, 0xFEBE0004, wide=False),
    ]
    assert [bar.number for bar in memory_bars(space(0xFEBD0000, 0xFEBE0000, 0xFEBF0000, header=1))] == [0, 1]


def test_the_window_of_a_bridge() -> None:
    windowed = space(header=1)
    data = bytearray(windowed.data)
    data[0x20:0x24] = b"\x20\xfe\x30\xfe"
    assert memory_window(ConfigSpace(bytes(data))) == (0xFE200000, 0xFE3FFFFF)
    data[0x20:0x24] = b"\xf0\xff\x00\x00"
    assert memory_window(ConfigSpace(bytes(data))) is None
    assert memory_window(space()) is None


def bar(address: int) -> Bar:
    return Bar(1, 0x14, address, wide=False)


def test_a_bar_stays_where_it_fits() -> None:
    assert room_for(bar(0xFEB00000), 0x10000, [0xFEB10000, 0xFEA00000], None) == 0xFEB00000


def test_a_bar_moves_to_the_nearest_free_place() -> None:
    assert room_for(bar(0xFEB01000), 0x10000, [], None) == 0xFEB00000
    assert room_for(bar(0xFEB01000), 0x10000, [0xFEB00000, 0xFEB02000], None) == 0xFEB10000
    assert room_for(bar(0xFEB00000), 0x10000, [0xFEB04000], None) == 0xFEB10000


def test_below_all_bars_is_the_last_choice() -> None:
    """There may be RAM."""
    crowded = [0xFEB00000 + 0x10000 * number for number in range(16)]
    assert room_for(bar(0xFEB01000), 0x10000, crowded, None) == 0xFEAF0000


def test_a_window_bounds_the_search() -> None:
    crowded = [0xFE200000 + 0x10000 * number + 0x2000 for number in range(16)]
    assert room_for(bar(0xFE200000), 0x10000, crowded, (0xFE200000, 0xFE2FFFFF)) is None
    assert room_for(bar(0xFE200000), 0x10000, crowded, (0xFE200000, 0xFE3FFFFF)) == 0xFE300000


@given(
    st.lists(st.tuples(st.integers(0, 255), st.integers(12, 16)), max_size=20),
    st.integers(0, 4095),
    st.integers(12, 16),
)
def test_no_byte_of_another_bar_is_ever_taken(
    neighbours: list[tuple[int, int]], place: int, bits: int
) -> None:
    """BARs that lie apart and are aligned to their sizes, as firmware places them."""
    start, end = 0xE0000000 + place * 4096, 0xE0001000 + place * 4096
    taken: list[tuple[int, int]] = [(start, end)]
    for number, log in neighbours:
        at = 0xE0000000 + number * 65536 // (1 << log) * (1 << log)
        if all(at + (1 << log) <= first or at >= last for first, last in taken):
            taken.append((at, at + (1 << log)))
    found = room_for(bar(start), 1 << bits, [first for first, _ in taken[1:]], None)
    assert found is not None
    assert found % (1 << bits) == 0
    assert all(found + (1 << bits) <= first or found >= last for first, last in taken[1:])
