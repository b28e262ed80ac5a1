"""Looking for footers and headers: what counts as one, and what does not, at the edges of a window too."""

from __future__ import annotations

import pytest

from msixtool.containers.base import WINDOW
from msixtool.containers.file import BytesSource
from msixtool.formats import build, qevm
from msixtool.formats.qevm import ItemType
from msixtool.stream.scan import (
    SMALL,
    find_footer,
    find_header,
    header_at_start,
    plausible_header,
    plausible_item,
    resynchronise,
)
from tests.stream.build import header, u32

NOBODY: frozenset[int] = frozenset()
FOOTER = qevm.footer(5)
NEXT = header(6, "timer", version=2)
"""A header that may follow a footer."""


def header(name: str = "timer", *, sid: int = 6, version: int = 2, instance: int = 0, kind: int = 4) -> bytes:
    value = {
        "type": kind,
        "section_id": sid,
        "idstr": name,
        "instance_id": instance,
        "version_id": version,
    }
    return build(qevm.SECTION_HEADER, value, what="header")


def test_a_header_is_read_with_its_size() -> None:
    found = header_at_start(header("0000:00:03.0/e1000e", sid=40, version=1, instance=7) + b"data")
    assert found is not None
    assert (found.section_id, found.idstr, found.instance_id, found.version_id) == (
        40,
        "0000:00:03.0/e1000e",
        7,
        1,
    )
    assert found.size == 1 + 4 + 1 + 19 + 4 + 4


@pytest.mark.parametrize(
    ("data", "sound"),
    [
        (header(sid=0xFFFFFFFF, version=0xFFFFFFFF, instance=0xFFFFFFFF), True),
        (header("x" * 255), True),
        (header("a b~"), True),
        (header(""), False),
        (header("tim\x1fr"), False),
        (header("tim\x7fr"), False),
        (header("tim\xe9r"), False),
        (header(kind=1), True),
        (header(kind=2), False),
        (header()[:-1], False),
        (header()[:5], False),
        (b"", False),
    ],
)
def test_what_makes_a_header(data: bytes, sound: bool) -> None:
    assert (header_at_start(data) is not None) is sound
    assert sound or plausible_header(data) is None


DATE = 20061113
"""The version_id of an eeprom93xx."""


@pytest.mark.parametrize(
    ("data", "plausible"),
    [
        (header(sid=SMALL), True),
        (header(sid=SMALL + 1), False),
        (header("0000:00:03.0/eeprom", version=DATE, instance=SMALL), True),
        (header(version=0xFFFFFFFF), True),
        (header(instance=0xFFFFFFFF), True),
        (header(version=SMALL + 1, instance=SMALL + 1), False),
    ],
)
def test_a_header_that_is_searched_for_has_numbers_as_sections_have(data: bytes, plausible: bool) -> None:
    assert header_at_start(data) is not None
    assert (plausible_header(data) is not None) is plausible
    assert plausible_item(data, NOBODY, at_end=False) is plausible
    assert (find_header(BytesSource(b"\x55" * 9 + data), 0, NOBODY) is not None) is plausible
    assert (find_footer(BytesSource(FOOTER + data), 0, 5, NOBODY) is not None) is plausible


@pytest.mark.parametrize("at_end", [False, True])
@pytest.mark.parametrize(
    ("data", "sound"),
    [
        (NEXT, True),
        (header(sid=SMALL + 1), False),
        (qevm.part_header(ItemType.SECTION_PART, 9), True),
        (b"\x03" + u32(9) + b"more", True),
        (qevm.part_header(ItemType.SECTION_PART, 8), False),
        (b"\x08\0\x02\0\x04", True),
        (b"\x08\0\x1f\0\x04", True),
        (b"\x08\0\x20\0\x04", False),
        (b"\x08\x01\x02\0\x04", False),
        (b"\x08\0\x02\x01\x04", False),
        (b"\0", True),
        (b"\0\0", True),
        (b"\0\x06", True),
        (b"\0\x05", False),
        (b"\x05", False),
        (qevm.footer(5), False),
        (b"\x09", False),
    ],
)
def test_what_may_begin_an_item(data: bytes, sound: bool, at_end: bool) -> None:
    assert plausible_item(data, {9}, at_end) is sound


@pytest.mark.parametrize(
    "data",
    [b"", b"\x02\0\0", b"\x08\0", NEXT[:1], NEXT[:5], NEXT[:6], NEXT[:9], NEXT[:11], NEXT[:15], NEXT[:-1]],
)
def test_an_item_that_the_stream_ends_inside_is_one_at_the_end_alone(data: bytes) -> None:
    assert plausible_item(data, {9}, at_end=True)
    assert not plausible_item(data, {9}, at_end=False)


@pytest.mark.parametrize("data", [b"\x04\x01", b"\x04\0\x01\0", NEXT[:6] + b"\xff", NEXT[:8] + b"\n"])
def test_what_no_header_begins_with_is_no_cut_one(data: bytes) -> None:
    assert not plausible_item(data, {9}, at_end=True)


EDGES = [0, 1, WINDOW - 6, WINDOW - 5, WINDOW - 1, WINDOW, WINDOW + 1, WINDOW + 200, 2 * WINDOW - 3]


@pytest.mark.parametrize("after", [0, 600])
@pytest.mark.parametrize("before", EDGES)
def test_a_footer_is_found_wherever_it_stands(before: int, after: int) -> None:
    source = BytesSource(bytes(before) + FOOTER + NEXT + bytes(after))
    assert find_footer(source, 0, 5, NOBODY) == before
    if before:
        assert find_footer(source, before, 5, NOBODY) == before
    assert find_footer(source, before + 1, 5, NOBODY) is None
    assert find_footer(source, 0, 7, NOBODY) is None


def test_a_footer_counts_if_an_item_follows() -> None:
    decoy = FOOTER + b"\x55" * 20
    source = BytesSource(decoy * 3 + FOOTER + NEXT)
    assert find_footer(source, 0, 5, NOBODY) == 3 * len(decoy)


def test_a_footer_before_an_end_marker_and_foreign_bytes_counts_where_there_is_no_better() -> None:
    doubtful = b"\x11" * 10 + FOOTER + b"\0\x55\x55"
    assert find_footer(BytesSource(doubtful), 0, 5, NOBODY) == 10
    assert find_footer(BytesSource(doubtful + doubtful), 0, 5, NOBODY) == 10
    assert find_footer(BytesSource(doubtful + FOOTER + NEXT), 0, 5, NOBODY) == len(doubtful)
    assert find_footer(BytesSource(b"\x11" * 10 + FOOTER + b"\x55\0"), 0, 5, NOBODY) is None


def test_an_offset_of_the_timer_section_that_looks_like_its_footer_is_none() -> None:
    """Of a living machine: cpu_ticks_offset ends with 7e, zeros follow; section_id 0."""
    footer = qevm.footer(0)
    timer = bytes.fromhex("00000000308a937e 0000000000000000 00000012b28d357e 00000000")
    assert find_footer(BytesSource(timer + footer + NEXT), 0, 0, NOBODY) == len(timer)
    padded = bytes(7) + footer + bytes(5000)
    assert find_footer(BytesSource(padded), 0, 0, NOBODY) == 7


def test_a_footer_at_the_very_end_counts() -> None:
    assert find_footer(BytesSource(bytes(9) + FOOTER), 0, 5, NOBODY) == 9


@pytest.mark.parametrize("after", [0, 600])
@pytest.mark.parametrize("before", EDGES)
def test_a_header_is_found_wherever_it_stands(before: int, after: int) -> None:
    source = BytesSource(bytes(before) + NEXT + bytes(after))
    assert find_header(source, 0, NOBODY) == before
    assert find_header(source, before + 1, NOBODY) is None
    assert find_header(source, 0, {6}) is None
    assert find_header(source, 0, NOBODY, before + 1) == before
    assert find_header(source, 0, NOBODY, before) is None


def test_a_header_with_a_short_name_or_one_seen_already_is_passed_over() -> None:
    source = BytesSource(header("ab", sid=4) + header("seen", sid=5) + NEXT)
    assert find_header(source, 0, {5}) == len(header("ab")) + len(header("seen"))


def test_the_reader_is_in_step_again_at_the_nearer_of_footer_and_header() -> None:
    part = qevm.part_header(ItemType.SECTION_PART, 9)
    behind_footer = b"\x55" * 30 + qevm.footer(77) + part + bytes(40)
    assert resynchronise(BytesSource(behind_footer + NEXT), 0, {9}, NOBODY) == 35
    assert resynchronise(BytesSource(NEXT + behind_footer), 0, {9}, NOBODY) == 0
    assert resynchronise(BytesSource(NEXT + behind_footer), 0, {9}, {6}) == len(NEXT) + 35
    assert resynchronise(BytesSource(behind_footer), 0, {8}, NOBODY) is None
    assert resynchronise(BytesSource(b"\x55" * 99), 0, {9}, NOBODY) is None


@pytest.mark.parametrize("before", EDGES)
def test_a_footer_at_the_edge_of_a_window_brings_the_reader_in_step(before: int) -> None:
    source = BytesSource(b"\x55" * before + qevm.footer(77) + qevm.part_header(ItemType.SECTION_PART, 9))
    assert resynchronise(source, 0, {9}, NOBODY) == before + 5
