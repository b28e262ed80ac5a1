"""Layouts of the exclusive BAR, as real QEMUs show them."""

from __future__ import annotations

import pytest

from msixtool.errors import UsageError
from msixtool.msix.bar import Placement, check_layout, exclusive_bar, place_capability, vectors_seen
from msixtool.msix.versions import NEWEST, Behaviour, QemuVersion


@pytest.mark.parametrize(
    ("vectors", "pba", "size"),
    [
        (1, 0x800, 4096),
        (128, 0x800, 4096),
        (129, 0x810, 4096),
        (240, 0xF00, 4096),
        (254, 0xFE0, 4096),
        (255, 0xFF0, 8192),
        (256, 0x1000, 8192),
        (508, 0x1FC0, 8192),
        (509, 0x1FD0, 16384),
        (2048, 0x8000, 65536),
    ],
)
def test_exclusive_bar_grows_with_the_table(vectors: int, pba: int, size: int) -> None:
    table_place, pba_place = exclusive_bar(vectors, 4, Behaviour())
    assert table_place == Placement(4, 0, size)
    assert pba_place == Placement(4, pba, size)
    check_layout(vectors, table_place, pba_place)


@pytest.mark.parametrize("version", [(2, 4), (3, 1)])
def test_exclusive_bar_left_more_room_for_pending_bits_before_4_0(version: QemuVersion) -> None:
    sizes = {
        n: exclusive_bar(n, 1, Behaviour(version))[0].bar_size for n in (1, 128, 240, 241, 255, 1927, 1928)
    }
    assert sizes == {1: 4096, 128: 4096, 240: 4096, 241: 8192, 255: 8192, 1927: 32768, 1928: 65536}
    assert exclusive_bar(241, 1, Behaviour((4, 0)))[0].bar_size == 4096


def test_exclusive_bar_had_no_room_for_more_than_128_vectors_before_2_4() -> None:
    for vectors in (1, 127, 128):
        assert exclusive_bar(vectors, 1, Behaviour((2, 3)))[1] == Placement(1, 0x800, 4096)
    with pytest.raises(
        UsageError, match="EINVAL: vectors in an exclusive BAR: expected at most 128, found 129"
    ):
        exclusive_bar(129, 1, Behaviour((2, 3)))
    assert exclusive_bar(129, 1, Behaviour((2, 4)))[1].offset == 0x810


def test_vector_count_was_cut_to_16_bits_before_10_2_save_in_10_0_7() -> None:
    for version in ((10, 1), (10, 1, 3), (10, 0), (10, 0, 6), (7, 2)):
        assert vectors_seen(0x1_0000 + 97, Behaviour(version)) == 97
    for version in ((10, 0, 7), (10, 0, 13), (10, 2), NEWEST):
        with pytest.raises(UsageError, match="found 65633"):
            vectors_seen(0x1_0000 + 97, Behaviour(version))


@pytest.mark.parametrize("version", [(7, 2), NEWEST])
def test_vector_count_is_1_to_2048(version: QemuVersion) -> None:
    assert [vectors_seen(n, Behaviour(version)) for n in (1, 2048)] == [1, 2048]
    for vectors in (0, 2049, 65535):
        with pytest.raises(UsageError, match=f"number of vectors: expected 1 to 2048, found {vectors}"):
            vectors_seen(vectors, Behaviour(version))


@pytest.mark.parametrize(
    ("table", "pba"),
    [
        (Placement(0, 0, 88), Placement(0, 80, 88)),
        (Placement(0, 8, 88), Placement(0, 0, 88)),
        (Placement(0, 0, 80), Placement(1, 0, 8)),
        (Placement(1, 0, 80), Placement(0, 0, 8)),
        (Placement(0, 16, 96), Placement(0, 0, 96)),
    ],
    ids=["PBA right behind", "table right behind", "two BARs", "two BARs, PBA in the lower", "a gap between"],
)
def test_check_layout_accepts_what_touches_and_fits_exactly(table: Placement, pba: Placement) -> None:
    check_layout(5, table, pba)


@pytest.mark.parametrize(
    ("table", "pba"),
    [
        (Placement(0, 0, 4096), Placement(0, 72, 4096)),
        (Placement(0, 0, 4096), Placement(0, 0, 4096)),
        (Placement(0, 64, 4096), Placement(0, 136, 4096)),
        (Placement(0, 64, 4096), Placement(0, 57, 4096)),
    ],
)
def test_check_layout_refuses_any_overlap_in_one_bar(table: Placement, pba: Placement) -> None:
    with pytest.raises(UsageError, match="overlap in BAR 0"):
        check_layout(5, table, pba)


def test_check_layout_counts_pending_bits_in_words_of_64() -> None:
    check_layout(64, Placement(0, 0, 4096), Placement(1, 0, 8))
    with pytest.raises(UsageError, match="PBA ends at 0x10 in BAR 1 of 0xf bytes"):
        check_layout(65, Placement(0, 0, 4096), Placement(1, 0, 15))


@pytest.mark.parametrize(
    ("others", "position"),
    [
        ({}, 0x40),
        ({0x40: 12}, 0x4C),
        ({0x40: 10}, 0x4C),
        ({0x4C: 8}, 0x40),
        ({0x4B: 8}, 0x53),
        ({0x40: 0xB4}, 0xF4),
    ],
)
def test_place_capability_takes_the_first_gap_of_12_bytes(others: dict[int, int], position: int) -> None:
    assert place_capability(0, others) == position


def test_place_capability_finds_no_gap_at_the_end() -> None:
    for others in ({0x40: 0xB8}, {0x41: 0xB4}):
        with pytest.raises(UsageError, match="no room for the capability"):
            place_capability(0, others)


def test_place_capability_at_a_given_place_refuses_an_overlap_alone() -> None:
    others = {0x40: 12, 0x60: 5}
    assert [place_capability(at, others) for at in (0x4C, 0x54, 0x68, 0xF4)] == [0x4C, 0x54, 0x68, 0xF4]
    for at in (0x4B, 0x55, 0x67):
        with pytest.raises(UsageError, match=f"capability at {at:#x} overlaps another one"):
            place_capability(at, others)
