"""RAM records of every kind, and finding the end of RAM without reading it."""

from __future__ import annotations

import zlib

import pytest

from msixtool.containers.file import BytesSource
from msixtool.formats import build, ram as fmt
from msixtool.formats.qevm import ItemType
from msixtool.stream.items import RamCount, StreamIndex
from msixtool.stream.read import read_stream
from tests.stream.build import (
    BLOCK,
    EOS,
    FLUSH,
    HEADER,
    PAGE,
    Stream,
    compressed,
    page,
    string,
    u32,
    u64,
    xbzrle,
    zero,
)
from tests.stream.ways import facts, from_the_end, in_order, sections, walked

SIZE = 16 * PAGE
NOISE = bytes(range(256)) * 16


def stream(*parts: bytes, **options: object) -> Stream:
    made = Stream(**options).ram(*parts)  # type: ignore[arg-type]
    return made.full(9, "globalstate", bytes(104))


def read(made: Stream) -> StreamIndex:
    """The index of a stream that is found alike from the end and in order, without complaint."""
    data = bytes(made)
    index, behind = walked(data), from_the_end(data)
    assert [str(damage) for damage in index.damage + behind.damage + in_order(data).damage] == []
    assert sections(index) == sections(behind) == sections(in_order(data))
    assert facts(index) == facts(behind) == facts(in_order(data))
    return index


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([page(0, NOISE, BLOCK), page(PAGE, NOISE)], RamCount(pages=2)),
        ([zero(0, BLOCK), *(zero(n * PAGE) for n in range(1, 16))], RamCount(zero=16)),
        ([zero(0, BLOCK, fill=7), zero(PAGE, fill=9), zero(2 * PAGE)], RamCount(zero=3, filled=2)),
        (
            [page(0, NOISE, BLOCK), xbzrle(0, b"\1\2\3"), xbzrle(PAGE, b"", BLOCK)],
            RamCount(pages=1, xbzrle=2),
        ),
        ([compressed(0, zlib.compress(NOISE), BLOCK), compressed(PAGE, b"")], RamCount(compressed=2)),
        ([FLUSH, FLUSH], RamCount(flushes=2)),
        (
            [page(0, NOISE, BLOCK), zero(PAGE), page(2 * PAGE, NOISE), FLUSH, zero(3 * PAGE)],
            RamCount(pages=2, zero=2, flushes=1),
        ),
    ],
    ids=["pages", "zero pages", "filled pages", "differences", "compressed", "flush", "mixed"],
)
def test_records_of_every_kind_are_counted(records: list[bytes], expected: RamCount) -> None:
    assert read(stream(b"".join(records))).ram == expected


def test_a_page_may_belong_to_the_block_of_an_earlier_part() -> None:
    index = read(stream(page(0, NOISE, BLOCK), page(PAGE, NOISE) + zero(2 * PAGE)))
    assert index.ram == RamCount(pages=2, zero=1)
    assert [item.type.word for item in index.items if item.idstr == "ram"] == ["start", "part", "end"]


@pytest.mark.parametrize("size", [1024, 4096, 8192, 16384, 65536])
@pytest.mark.parametrize("hint", ["vmdesc", "configuration", None])
def test_pages_of_other_sizes(size: int, hint: str | None) -> None:
    """The page size is known from the vmdesc or the configuration, or is found by trying."""
    content = (b"\x5a" * 7 + b"\0") * (size // 8)
    records = page(0, content, BLOCK) + zero(size) + page(2 * size, content) + page(3 * size, content)
    made = Stream(
        vmdesc=hint == "vmdesc",
        page_size=size,
        page_bits=size.bit_length() - 1 if hint == "configuration" else None,
    ).ram(records, blocks=[(BLOCK, 8 * size)])
    index = walked(bytes(made.full(9, "globalstate", bytes(104))))
    assert index.damage == []
    assert index.ram == RamCount(pages=3, zero=1)
    assert index.page_size == size


def test_the_list_of_blocks() -> None:
    blocks = [("pc.ram", SIZE), ("0000:00:02.0/virtio-net-pci.rom", 0x40000), ("/rom@etc/acpi/rsdp", PAGE)]
    made = Stream().ram(zero(0, "/rom@etc/acpi/rsdp"), blocks=blocks).full(9, "globalstate", bytes(104))
    index = read(made)
    assert [(block.idstr, block.used_length) for block in index.blocks] == blocks


def test_guest_addresses_of_blocks_that_are_shared() -> None:
    blocks = [("pc.ram", SIZE), ("pc.bios", PAGE)]
    made = Stream(capabilities=["x-ignore-shared"]).ram(blocks=blocks, tails=[u64(0x100000), u64(0xFFFC0000)])
    index = read(made.full(9, "globalstate", bytes(104)))
    assert [block.address for block in index.blocks] == [0x100000, 0xFFFC0000]


def test_page_sizes_of_blocks_of_huge_pages_with_postcopy() -> None:
    advise = u64(0x200000 | 0x1000) + u64(PAGE)
    blocks = [("pc.ram", 4 << 20), ("huge", 2 << 20), ("pc.bios", PAGE)]
    made = Stream(vmdesc=False).command(1).command(3, advise)
    made.ram(zero(0, "huge"), blocks=blocks, tails=[b"", u64(2 << 20), b""])
    index = walked(bytes(made.full(9, "globalstate", bytes(104))))
    assert index.damage == []
    assert [block.page_size for block in index.blocks] == [None, 2 << 20, None]


def mapped(blocks: list[tuple[str, int]], places: list[tuple[int, int]]) -> Stream:
    """RAM laid out for a file: a header in each block of the list; bitmap and pages must stand there."""
    tails = []
    for bitmap, pages in places:
        value = {"version": 1, "page_size": PAGE, "bitmap_offset": bitmap, "pages_offset": pages}
        tails.append(build(fmt.MAPPED_RAM_HEADER, value, what="header"))
    return Stream(capabilities=["mapped-ram"]).ram(blocks=blocks, tails=tails)


@pytest.mark.parametrize("origin", [0, 0x777])
def test_mapped_ram_is_passed_over_wherever_the_stream_begins(origin: int) -> None:
    before = len(HEADER) + len(Stream(capabilities=["mapped-ram"]).configuration)
    # START header, MEM_SIZE and the one block with its mapped-ram header.
    bitmap = origin + before + 17 + 8 + 15 + 28
    pages = origin + 0x10000
    made = mapped([(BLOCK, SIZE)], [(bitmap, pages)])
    start, eos = made.pieces[0][:-13], made.pieces[0][-13:]
    made.pieces[0] = start + bytes(pages - origin - before - len(start)) + NOISE * 16 + eos
    made.full(9, "globalstate", bytes(104))
    index = read_stream(BytesSource(bytes(made)), origin=origin)
    assert index.damage == []
    assert [(b.bitmap_offset, b.pages_offset) for b in index.blocks] == [(bitmap, pages)]
    assert [item.idstr for item in index.full_sections()] == ["globalstate"]


def test_a_block_without_pages_in_a_mapped_ram_file() -> None:
    made = mapped([(BLOCK, SIZE)], [(0, 0)]).full(9, "globalstate", bytes(104))
    assert read(made).blocks[0].pages_offset == 0


@pytest.mark.parametrize("pages", [0xFFFFFFFFFFFFF000, 0x100])
def test_mapped_ram_that_cannot_be_there_is_damage(pages: int) -> None:
    made = mapped([(BLOCK, SIZE)], [(0x200, pages)]).full(9, "globalstate", bytes(104))
    index = walked(bytes(made))
    assert index.damage
    assert index.damage[0].rule in ("ram-record", "truncated")
    assert "mapped-ram" in str(index.damage[0])


# The end of RAM, found from the end

HEADERS = b"\x7e\0\0\0\x02\x03\0\0\0\x02"
"""A footer of RAM and the header of its END."""
FAKE_END = EOS + HEADERS
"""The same behind the record that ends a part."""


def with_end(end: bytes, *parts: bytes) -> Stream:
    return Stream().ram(*parts, end=end).full(9, "globalstate", bytes(104))


@pytest.mark.parametrize(
    "end",
    [
        b"".join(page(n * PAGE, NOISE, BLOCK if n == 0 else None) for n in range(16)),
        b"".join(zero(n * PAGE, BLOCK if n == 0 else None) for n in range(16)),
        page(0, (FAKE_END * 227).ljust(PAGE, b"\0"), BLOCK),
        page(0, (FAKE_END + zero(0, BLOCK)).ljust(PAGE, b"\0"), BLOCK) + page(PAGE, NOISE),
        page(0, HEADERS.rjust(PAGE, b"\0"), BLOCK) + zero(PAGE),
    ],
    ids=["pages", "zero pages", "full of headers", "a header and a record", "a header at the page's end"],
)
def test_an_end_of_ram_with_pages_is_found_from_the_end(end: bytes) -> None:
    index = read(with_end(end, page(0, NOISE, BLOCK)))
    (found,) = (item for item in index.items if item.idstr == "ram" and item.type == ItemType.SECTION_END)
    assert found.data_length == len(end) + 8


def test_the_end_of_a_stream_in_a_page_of_ram_is_not_taken() -> None:
    """A guest may hold a migration stream in its memory."""
    inner = bytes(with_end(b"", page(0, NOISE[:64].ljust(PAGE, b"\0"), BLOCK)))
    tail = inner[inner.index(FAKE_END) :][:PAGE]
    index = read(
        with_end(b"", page(0, tail.rjust(PAGE, b"\0"), BLOCK) + page(PAGE, inner[:PAGE].ljust(PAGE)))
    )
    assert [item.type.word for item in index.items if item.idstr == "ram"] == ["start", "part", "end"]
    assert index.ram == RamCount(pages=2)


def test_too_many_false_ends_are_not_all_tried() -> None:
    """Each costs a walk: then RAM is read from the front instead."""
    end = b"".join(page(0, (FAKE_END + FLUSH * 3).ljust(PAGE, b"\0"), BLOCK) for _ in range(80))
    data = bytes(with_end(end, zero(0, BLOCK)))
    assert from_the_end(data).ram is not None
    assert sections(from_the_end(data)) == sections(walked(data))


# Damage


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (u64(0x80), "RAM record: expected known flags, found 0x80"),
        (u64(0), "RAM record: expected known flags, found 0x0"),
        (zero(0, "nowhere"), "expected a block of the stream's list, found 'nowhere'"),
        (zero(SIZE, BLOCK), "RAM record of block pc.ram: expected an address below 0x10000, found 0x10000"),
        (zero(0, BLOCK) + zero(PAGE) + zero(1 << 40), "found 0x10000000000"),
        (page(0, NOISE, BLOCK) + page(SIZE, NOISE), "found 0x10000"),
        (xbzrle(0, b"\1", BLOCK, encoding=2), "XBZRLE record: expected encoding 1"),
        (xbzrle(0, bytes(PAGE + 1), BLOCK), "4097 bytes"),
        (u64(0x100) + string(BLOCK) + u32(0xFFFFFFFF), "compressed page: expected at most"),
    ],
)
def test_a_damaged_record_is_named_and_the_rest_is_read(record: bytes, expected: str) -> None:
    index = walked(bytes(stream(record)))
    damage = index.damage[0]
    assert (damage.rule, damage.section) == ("ram-record", "ram")
    assert expected in damage.text
    assert [item.idstr for item in index.full_sections()] == ["globalstate"]
    assert index.terminated


def test_the_offset_of_a_damaged_record_is_its_own() -> None:
    data = bytes(stream(zero(0, BLOCK) + zero(PAGE) + zero(1 << 40) + zero(2 * PAGE)))
    assert walked(data).damage[0].offset == data.index(zero(1 << 40))


def test_from_the_end_damage_inside_ram_is_not_looked_for() -> None:
    data = bytes(stream(zero(0, BLOCK) + zero(1 << 40)))
    assert from_the_end(data).damage == []
    assert walked(data).damage != []


@pytest.mark.parametrize("used", [0xFFFFFFFFFFFFFFFF, SIZE + 1])
def test_a_block_larger_than_what_is_left_of_the_sum_is_damage(used: int) -> None:
    data = bytes(stream(zero(0, BLOCK))).replace(string(BLOCK) + u64(SIZE), string(BLOCK) + u64(used), 1)
    index = walked(data)
    assert "RAM block 'pc.ram': expected a name and at most 65536 bytes left" in str(index.damage[0])
    assert [item.idstr for item in index.full_sections()] == ["globalstate"]
