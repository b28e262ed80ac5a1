"""Damaged streams: what is wrong is said, what is behind it is read, and nothing but an error is raised."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings, strategies as st

from msixtool.containers.file import BytesSource
from msixtool.devices.locate import find_devices
from msixtool.errors import MsixtoolError, NotAStreamError
from msixtool.formats import qevm
from msixtool.formats.qevm import CommandType, ItemType
from msixtool.msix.state import MsixState
from msixtool.stream import description as vmdesc
from msixtool.stream.items import StreamIndex
from msixtool.stream.read import read_stream
from msixtool.stream.writer import writer_of
from tests.conftest import SAMPLES, unpacked
from tests.stream.build import (
    BLOCK,
    END_MARKER,
    PAGE,
    Stream,
    config_space,
    header,
    msix_fields,
    page,
    pci_device,
    u32,
    zero,
)
from tests.stream.ways import WAYS, Counted, in_order, rare, sections, unaided, walked

SAMPLE = unpacked(next(path for path in SAMPLES if "first" in path.name or "e1000e" in path.name))
NAMES = ("timer", "0000:00:03.0/e1000e", "mc146818rtc", "globalstate")


def whole(*, footers: bool = True, vmdesc: bool = True, pages: bytes = bytes(PAGE)) -> Stream:
    """A stream with some of everything, a few KiB of it; `pages` are whole pages of RAM in it."""
    config = config_space(3)
    state = MsixState.reset(3)
    stream = Stream(footers=footers, vmdesc=vmdesc).command(CommandType.PING, u32(1))
    stream.ram(zero(0, BLOCK) + (page(PAGE, pages) if pages else b"") + zero(2 * PAGE))
    stream.full(4, NAMES[0], bytes(24))
    stream.full(5, NAMES[1], pci_device(config) + state.to_vmstate(), msix_fields(config, state))
    stream.full(6, NAMES[2], bytes(range(60)))
    return stream.full(9, NAMES[3], bytes(104))


def digest(data: bytes, way: Callable[[bytes, int], StreamIndex]) -> StreamIndex | None:
    """All that is made of a stream, as the tool does: the index, or None for no stream at all.

    Anything but an error of msixtool's own is a failure.
    """
    try:
        index = way(data, 0)
    except NotAStreamError:
        return None
    source = BytesSource(data)
    try:
        devices, damage = find_devices(source, index)
    except MsixtoolError as error:
        pytest.fail(f"damage of devices is reported, not raised: {error}")
    for device in devices:
        assert device.state.to_vmstate() == data[device.offset : device.offset + device.length]
    writer_of(index)
    for entry in index.damage + damage:
        assert "\n" not in str(entry)
        assert entry.text
    assert index.end <= len(data)
    assert all(item.end <= len(data) for item in index.items)
    return index


@pytest.mark.parametrize("vmdesc", [True, False], ids=["vmdesc", "no vmdesc"])
@pytest.mark.parametrize("footers", [True, False], ids=["footers", "no footers"])
def test_cut_off_anywhere_it_says_so_and_keeps_what_is_there(footers: bool, vmdesc: bool) -> None:
    data = bytes(whole(footers=footers, vmdesc=vmdesc, pages=b""))
    whole_index = walked(data)
    complete = [item.end for item in whole_index.items]
    step = 1 if footers and vmdesc else 7
    for size in range(8, len(data), step):
        index = digest(data[:size], walked)
        assert index is not None
        # Without footers nothing tells where the last section ends, and a zero may be the end marker.
        before = [item for item, end in zip(sections(whole_index), complete, strict=True) if end <= size]
        before = before if footers else before[:-1]
        assert sections(index)[: len(before)] == before
        if size == complete[-1 if not vmdesc else -2] + 1:
            assert index.terminated  # all but the vmdesc is there, and QEMU asks for no more
        elif footers:
            assert index.damage, f"{size} bytes"


@pytest.mark.parametrize("size", [0, 1, 4, 7])
def test_less_than_a_header_is_no_stream(size: int) -> None:
    with pytest.raises(NotAStreamError):
        walked(SAMPLE[:size])


@settings(max_examples=60, deadline=None)
@given(size=st.integers(8, len(SAMPLE) - 1), way=st.sampled_from([*WAYS, unaided]))
def test_a_real_stream_cut_off_anywhere(size: int, way: Callable[[bytes, int], StreamIndex]) -> None:
    index = digest(SAMPLE[:size], way)
    assert index is not None
    assert index.damage or index.end == size


@settings(max_examples=100, deadline=None)
@given(
    flips=st.lists(st.tuples(st.integers(0, len(SAMPLE) - 1), st.integers(1, 255)), min_size=1, max_size=6),
    way=st.sampled_from([*WAYS, unaided]),
)
def test_a_real_stream_with_bytes_changed(
    flips: list[tuple[int, int]], way: Callable[[bytes, int], StreamIndex]
) -> None:
    data = bytearray(SAMPLE)
    for offset, mask in flips:
        data[offset] ^= mask
    digest(bytes(data), way)


HEADS = bytes(whole())


@settings(max_examples=300, deadline=None)
@given(
    offset=st.integers(0, len(HEADS) - 1),
    removed=st.integers(0, 9),
    added=st.binary(max_size=9),
    way=st.sampled_from([*WAYS, unaided]),
)
def test_bytes_replaced_by_others(
    offset: int, removed: int, added: bytes, way: Callable[[bytes, int], StreamIndex]
) -> None:
    digest(HEADS[:offset] + added + HEADS[offset + removed :], way)


@pytest.mark.parametrize("name", ["postcopy", "dirty-bitmap", "s390x-ccw", "ppc64-pseries"])
def test_rare_streams_damaged_at_random(name: str) -> None:
    data, chance = rare(name), random.Random(name)
    for _ in range(12):
        broken = bytearray(data)
        for _ in range(3):
            # What stands at the front and behind RAM is what a reader may trip over.
            offset = chance.choice((chance.randrange(600), chance.randrange(len(data))))
            broken[offset] = chance.randrange(256)
        digest(bytes(broken), chance.choice((*WAYS, unaided)))


# What is said of each kind of damage


def broken(old: bytes, new: bytes, stream: Stream | None = None) -> StreamIndex:
    data = bytes(stream or whole())
    assert data.count(old) == 1
    index = digest(data.replace(old, new), walked)
    assert index is not None
    return index


def said(index: StreamIndex) -> list[tuple[str, str | None]]:
    return [(damage.rule, damage.section) for damage in index.damage]


TIMER_FOOTER = qevm.footer(4)


@pytest.mark.parametrize("vmdesc", [True, False], ids=["vmdesc", "no vmdesc"])
def test_a_footer_of_another_section(vmdesc: bool) -> None:
    index = broken(TIMER_FOOTER, qevm.footer(77), whole(vmdesc=vmdesc))
    assert said(index) == [("footer-mismatch", "timer")]
    assert "expected section_id 4, found 77" in str(index.damage[0])
    assert [item.idstr for item in index.full_sections()] == list(NAMES)


@pytest.mark.parametrize("vmdesc", [True, False], ids=["vmdesc", "no vmdesc"])
def test_a_footer_that_is_missing(vmdesc: bool) -> None:
    index = broken(TIMER_FOOTER, b"", whole(vmdesc=vmdesc))
    assert said(index) == [("footer-missing", "timer")]
    assert [item.idstr for item in index.full_sections()] == list(NAMES)


def test_a_footer_of_garbage() -> None:
    index = broken(TIMER_FOOTER, b"\x55\x55\x55\x55\x55")
    assert said(index) == [("footer-missing", "timer")]
    assert [item.idstr for item in index.full_sections()] == list(NAMES)


@pytest.mark.parametrize("vmdesc", [True, False], ids=["vmdesc", "no vmdesc"])
def test_an_unknown_item_is_skipped_with_its_size(vmdesc: bool) -> None:
    begin = header(4, "timer", version=1)
    index = broken(begin, b"\x44" + begin[1:], whole(vmdesc=vmdesc))
    assert said(index)[:2] == [("item", None), ("skipped", None)]
    assert "unknown item type: expected 0x00 to 0x04 or 0x08, found 0x44" in str(index.damage[0])
    length = len(begin) + 24 + 5
    assert index.damage[1].text == f"{length} bytes skipped"
    assert index.damage[1].offset == bytes(whole()).index(begin)
    assert [item.idstr for item in index.full_sections()] == list(NAMES[1:])


def test_a_name_that_makes_no_sense() -> None:
    index = broken(b"\x05timer", b"\x05\xfftime")
    assert said(index)[0] == ("item", None)
    assert "section header: expected a printable idstr" in str(index.damage[0])


def test_bytes_lost_inside_a_section() -> None:
    index = broken(bytes(range(20, 30)), b"")
    assert said(index) == [("vmdesc-mismatch", "mc146818rtc")]
    assert "out of step with vmdesc: expected 60 bytes, found 50" in str(index.damage[0])


def test_a_part_that_nobody_announced() -> None:
    stream = whole()
    stream.pieces.insert(4, qevm.part_header(ItemType.SECTION_PART, 1234) + bytes(8) + qevm.footer(1234))
    index = digest(bytes(stream), walked)
    assert index is not None
    assert said(index) == [("item", None), ("skipped", None)]
    assert "expected a section_id that a START announced, found 1234" in str(index.damage[0])
    assert [item.idstr for item in index.full_sections()] == list(NAMES)


def test_a_configuration_of_an_impossible_length() -> None:
    name = b"pc-q35-7.2"
    index = broken(u32(len(name)) + name, u32(0xFFFFFFFF) + name)
    assert said(index) == [("configuration", None), ("skipped", None)]
    assert [item.idstr for item in index.full_sections()] == list(NAMES)
    assert [item.type.word for item in index.items][:3] == ["start", "part", "end"]


@pytest.mark.parametrize("length", [0xFFFFFFFF, 1 << 26, 5000])
def test_a_description_that_should_be_longer_than_the_stream(length: int) -> None:
    stream = whole()
    text = stream.description[5:]
    data = bytes(stream).replace(u32(len(text)) + text, u32(length) + text)
    for way in (walked, in_order):
        index = digest(data, way)
        assert index is not None
        assert said(index) == [("vmdesc", None)]
        assert f"the stream ends inside the vmdesc: expected {length} bytes" in str(index.damage[0])
        assert [item.idstr for item in index.full_sections()] == list(NAMES)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'{"page_size"', b'["page_size"'),
        (b'"devices": [', b'"devices": 7'),
        (b'"size": 24', b'"size": -4'),
        (b'"size": 24', b'"size":1e9'),
        (b'"size": 24', b'"size":  {'),
    ],
)
def test_a_description_that_makes_no_sense_is_left_aside(old: bytes, new: bytes) -> None:
    index = broken(old, new)
    assert said(index)[0][0] == "vmdesc"
    assert [item.idstr for item in index.full_sections()] == list(NAMES)
    assert index.terminated


def test_an_end_marker_that_is_missing() -> None:
    data = bytes(whole(vmdesc=False))
    index = digest(data[:-1], walked)
    assert index is not None
    assert said(index) == [("no-end-marker", None)]
    assert not index.terminated


def test_what_follows_the_end_is_no_damage() -> None:
    for stream in (whole(), whole(vmdesc=False)):
        data = bytes(stream)
        for rest in (bytes(4096), b"\x55" * 33):
            index = digest(data + rest, walked)
            assert index is not None
            assert index.damage == []
            assert index.end == len(data)


# Hostile streams: the work must stay in proportion to their size


def headers(count: int) -> bytes:
    """FULL sections without footers, each of a name of its own."""
    return b"".join(
        b"\x04" + u32(n & 0xFFFF) + b"\x04" + f"{n:04x}".encode() + bytes(8) for n in range(count)
    )


HOSTILE = {
    "sections without footers": bytes(Stream().full(1, "first", b"x"))[: -len(END_MARKER)] + headers(20000),
    "commands": bytes(Stream(vmdesc=False).command(1))[:-1] + b"\x08\x00\x01\x00\x00" * 100000,
    "starts": bytes(Stream(vmdesc=False))[:-1]
    + b"".join(
        b"\x01" + u32(n) + b"\x05block" + bytes(8) + bytes(7) + b"\x02\x7e" + u32(n) for n in range(9000)
    ),
    "parts of unknown sections": bytes(Stream(vmdesc=False))[:-1]
    + b"".join(qevm.part_header(ItemType.SECTION_PART, n) + qevm.footer(n) for n in range(30000)),
    "footers": bytes(Stream(vmdesc=False))[:-1] + b"\x44" + b"\x7e\0\0\0\x01\x04" * 60000,
    "braces": bytes(Stream(vmdesc=False)) + b"\x06" + u32(300000) + b"{" * 300000,
    "nested lists": bytes(Stream(vmdesc=False)) + b"\x06" + u32(60012) + b'{"devices":' + b"[" * 60001,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_stream_costs_no_more_than_it_is_large(name: str) -> None:
    data = HOSTILE[name]
    source = Counted(data)
    index = read_stream(source)
    assert index.damage
    assert len(index.damage) <= 2000
    assert source.fetched < 60 * len(data)


def test_devices_without_end_that_cannot_be_read_are_not_all_listed() -> None:
    data = bytes(Stream(vmdesc=False))[: -len(END_MARKER)] + b"".join(
        header(n, "00/igb") + qevm.footer(n) for n in range(3000)
    )
    index = walked(data + END_MARKER)
    assert len(list(index.full_sections())) == 3000
    devices, damage = find_devices(BytesSource(data), index)
    assert devices == []
    assert len(damage) == 1000


def test_a_description_nested_too_deeply_is_damage() -> None:
    inner = '{"vmsd_name": "a", "fields": []}'
    for _ in range(100):
        inner = f'{{"vmsd_name": "a", "fields": [], "subsections": [{inner}]}}'
    text = f'{{"devices": [{inner}]}}'.encode()
    index = walked(bytes(whole(vmdesc=False)) + b"\x06" + u32(len(text)) + text)
    assert said(index) == [("vmdesc", None)]
    assert f"at most {vmdesc.MAX_VMDESC_DEPTH} levels" in str(index.damage[0])
