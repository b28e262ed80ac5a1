"""Guest memory out of streams: the last copy of a page, whatever the record; what is missing is None."""

from __future__ import annotations

import random
import zlib

import pytest

from msixtool.containers.file import BytesSource
from msixtool.errors import FormatError
from msixtool.ram import xbzrle as delta
from msixtool.ram.memory import GuestMemory
from msixtool.ram.memory_map import Region
from msixtool.ram.pages import mapped_page
from msixtool.stream.items import RamBlock
from msixtool.stream.read import read_stream
from tests.stream.build import BLOCK, FLUSH, PAGE, Stream, compressed, page, xbzrle, zero
from tests.stream.ways import Counted

SIZE = 16 * PAGE
NOISE = bytes(range(256)) * 16
OTHER = random.Random(1).randbytes(PAGE)


class Sequential(BytesSource):
    """Says that it can be read in order alone, so that no run of pages is skimmed."""

    sequential = True


def memory(*parts: bytes, source: type[BytesSource] = BytesSource) -> GuestMemory:
    data = source(bytes(Stream().ram(*parts).full(9, "globalstate", bytes(104))))
    return GuestMemory(data, read_stream(data), [Region(0, SIZE, BLOCK)])


RUN = b"".join(page(n * PAGE, bytes([n]) * PAGE, None if n else BLOCK) for n in range(16))
"""All pages of the block, in order, as the last pass over RAM has them."""


@pytest.mark.parametrize("source", [BytesSource, Sequential])
@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([page(0, NOISE, BLOCK)], NOISE),
        ([page(0, NOISE, BLOCK), page(0, OTHER, BLOCK)], OTHER),
        ([page(0, NOISE, BLOCK) + page(PAGE, NOISE) + page(0, OTHER)], OTHER),
        ([page(0, NOISE, BLOCK), zero(0, BLOCK)], bytes(PAGE)),
        ([zero(PAGE, BLOCK) + zero(0) + zero(2 * PAGE)], bytes(PAGE)),
        ([zero(0, BLOCK, fill=7)], b"\7" * PAGE),
        ([compressed(0, zlib.compress(NOISE), BLOCK)], NOISE),
        ([page(0, NOISE, BLOCK), xbzrle(0, b"\3\2ab\x80\x01\1c", BLOCK)], None),
        ([RUN], bytes(PAGE)),
        ([RUN, page(0, NOISE, BLOCK)], NOISE),
    ],
    ids=["page", "twice", "in a run", "zero again", "zero", "filled", "compressed", "delta", "run", "rounds"],
)
def test_the_last_copy_of_a_page_counts(
    source: type[BytesSource], parts: list[bytes], expected: bytes | None
) -> None:
    changed = NOISE[:3] + b"ab" + NOISE[5:133] + b"c" + NOISE[134:]
    assert memory(*parts, source=source).read(0, PAGE) == (expected or changed)


@pytest.mark.parametrize("source", [BytesSource, Sequential])
def test_every_page_of_a_run_is_found(source: type[BytesSource]) -> None:
    guest = memory(RUN, source=source)
    for number in range(16):
        guest.want(number * PAGE + 7, 2)
    assert [guest.read(number * PAGE + 7, 2) for number in range(16)] == [bytes([n, n]) for n in range(16)]
    assert guest.read(3 * PAGE - 1, 2) == b"\2\3"


def test_what_the_stream_does_not_hold_is_told_and_not_zero() -> None:
    guest = memory(page(0, NOISE, BLOCK))
    assert guest.read(PAGE - 2, 4) is None
    assert guest.read(SIZE, 1) is None
    assert guest.read(0, 2) == b"\0\1"
    assert list(guest.missing) == [
        f"guest memory at 0x0: the stream does not hold that page of {BLOCK}",
        "guest memory at 0x10000: no RAM that is known there",
    ]


def test_a_delta_of_a_page_that_never_came_is_no_page() -> None:
    assert memory(xbzrle(0, b"\3\2ab", BLOCK)).read(0, 1) is None


def test_of_several_channels_the_main_one_proves_nothing() -> None:
    guest = memory(zero(0, BLOCK) + FLUSH, zero(PAGE, BLOCK))
    assert guest.read(0, 8) is None
    assert "multifd" in next(iter(guest.missing))


def test_all_that_is_wanted_is_read_in_one_walk() -> None:
    data = Counted(bytes(Stream().ram(RUN).full(9, "globalstate", bytes(104))))
    guest = GuestMemory(data, read_stream(data), [Region(0, SIZE, BLOCK)])
    for number in range(16):
        guest.want(number * PAGE, 1)
    guest.read(0, 1)
    data.fetched = 0
    assert [guest.read(number * PAGE, 1) for number in range(16)] == [bytes([n]) for n in range(16)]
    assert data.fetched == 0


def test_records_that_make_no_sense_are_damage() -> None:
    made = bytes(Stream(vmdesc=False).ram(page(0, NOISE, BLOCK) + page(PAGE, NOISE)))
    source = BytesSource(made)
    index = read_stream(source)
    broken = BytesSource(made.replace((PAGE | 0x28).to_bytes(8, "big"), (PAGE | 0x6).to_bytes(8, "big")))
    guest = GuestMemory(broken, index, [Region(0, SIZE, BLOCK)])
    assert guest.read(0, 2) == b"\0\1"
    assert guest.read(PAGE, 2) is None
    assert [damage.section for damage in guest.damage] == ["ram"]


def test_blocks_by_name() -> None:
    guest = memory(page(2 * PAGE, NOISE, BLOCK))
    assert guest.blocks == (BLOCK,)
    assert guest.block_bytes(BLOCK, 2 * PAGE + 3, 2) == b"\3\4"
    assert guest.block_bytes(BLOCK, SIZE - 1, 2) is None
    assert guest.block_bytes("vga.vram", 0, 1) is None


@pytest.mark.parametrize("base", [0, 0x300])
def test_mapped_ram_is_read_by_its_bitmap(base: int) -> None:
    image = bytearray(0x20000)
    image[0x1000:0x1002] = (1 << 9).to_bytes(2, "little")
    image[0x8000 + 9 * PAGE : 0x8000 + 10 * PAGE] = NOISE
    source, block = BytesSource(bytes(image[base:])), RamBlock(BLOCK, SIZE, None, None, 0x8000, 0x1000)
    assert mapped_page(source, block, 9 * PAGE, PAGE, base) == NOISE
    assert mapped_page(source, block, 8 * PAGE, PAGE, base) == bytes(PAGE)
    assert mapped_page(source, block._replace(pages_offset=0, bitmap_offset=0), 0, PAGE, base) is None
    assert mapped_page(source, block._replace(bitmap_offset=1 << 40), 0, PAGE, base) is None


@pytest.mark.parametrize("bad", [b"\1", b"\0\0", b"\0\2a", b"\xff\x80\1a", b"\xff\x1f\2ab", b"\x80"])
def test_a_delta_that_does_not_fit_is_refused(bad: bytes) -> None:
    with pytest.raises(FormatError, match="XBZRLE"):
        delta.patched(bad, NOISE)
