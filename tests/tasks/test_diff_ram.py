"""The digest of RAM: by content alone, however it was sent."""

from __future__ import annotations

import io
import lzma
import re
import tracemalloc
import zlib
from collections import defaultdict

import pytest
from hypothesis import given, strategies as st

from msixtool import Dump
from msixtool.tasks.ram_digest import BlockDigest, diff_ram, digest_ram
from tests.conftest import CORPUS, REPOSITORY
from tests.stream.build import BLOCK, PAGE, Stream, compressed, page, xbzrle, zero

RARE = REPOSITORY / "tests" / "data" / "rare"


def content(seed: int) -> bytes:
    return bytes((seed + index) & 0xFF for index in range(PAGE))


def digests(stream: Stream) -> list[BlockDigest]:
    with Dump.open(io.BytesIO(bytes(stream))) as dump:
        found, damage = digest_ram(dump)
        assert damage == []
        assert dump.damage == []
    return found


def digest(*parts: bytes, footers: bool = True) -> BlockDigest:
    """The digest of one block of 16 pages that was sent in these parts."""
    (found,) = digests(Stream(footers=footers).ram(*parts))
    return found


ONE = page(0, content(1), BLOCK)
TWO = page(PAGE, content(2))


def test_a_block_has_its_size_and_the_number_of_its_pages_that_are_not_zero() -> None:
    found = digest(ONE + TWO + zero(2 * PAGE))
    assert (found.name, found.size, found.pages, found.exact) == (BLOCK, 16 * PAGE, 2, True)
    assert re.fullmatch("[0-9a-f]{32}", found.digest)


@pytest.mark.parametrize(
    "parts",
    [
        (ONE, TWO),
        (page(PAGE, content(2), BLOCK) + page(0, content(1)),),
        (ONE + TWO + zero(5 * PAGE), zero(6 * PAGE, BLOCK)),
        (page(0, content(9), BLOCK) + TWO, ONE),
        (zero(0, BLOCK) + TWO, zero(0) + page(0, content(1))),
        (ONE + TWO + page(3 * PAGE, content(3)), zero(3 * PAGE)),
        (ONE + TWO + page(3 * PAGE, bytes(PAGE)),),
        (compressed(0, zlib.compress(content(1)), BLOCK) + TWO,),
    ],
    ids=[
        "in two parts",
        "in another order",
        "zero pages sent",
        "sent again with other content",
        "zero first",
        "zero at last",
        "a page of zeros",
        "compressed",
    ],
)
@pytest.mark.parametrize("footers", [True, False])
def test_the_same_content_has_the_same_digest_however_it_was_sent(
    parts: tuple[bytes, ...], footers: bool
) -> None:
    assert digest(*parts, footers=footers) == digest(ONE + TWO)


@pytest.mark.parametrize(
    "parts",
    [
        ONE,
        ONE + page(2 * PAGE, content(2)),
        page(0, content(2), BLOCK) + page(PAGE, content(1)),
        ONE + page(PAGE, content(2)[:-1] + b"\0"),
        ONE + TWO + zero(PAGE),
        ONE + TWO + zero(2 * PAGE, fill=7),
    ],
    ids=["a page less", "elsewhere", "swapped", "one byte", "made zero", "filled"],
)
def test_other_content_has_another_digest(parts: bytes) -> None:
    assert digest(parts).digest != digest(ONE + TWO).digest


def test_a_page_that_a_record_fills_is_the_same_as_one_that_was_sent() -> None:
    assert digest(zero(0, BLOCK, fill=7)) == digest(page(0, b"\7" * PAGE, BLOCK))


def test_pages_count_in_their_own_block() -> None:
    blocks = (("a", 4 * PAGE), ("b", 4 * PAGE))
    first = digests(Stream().ram(page(0, content(1), "a") + page(0, content(2), "b"), blocks=blocks))
    again = digests(Stream().ram(page(0, content(2), "b"), page(0, content(1), "a"), blocks=blocks))
    swapped = digests(Stream().ram(page(0, content(2), "a") + page(0, content(1), "b"), blocks=blocks))
    assert first == again
    assert [block.name for block in first] == ["a", "b"]
    assert diff_ram(first, again) == []
    assert [change.name for change in diff_ram(first, swapped)] == ["a", "b"]


def test_deltas_are_followed_but_not_exact() -> None:
    delta = ONE + xbzrle(0, b"\x00\x01\x07")
    assert digest(delta) == digest(delta)
    assert not digest(delta).exact
    assert digest(delta).digest != digest(ONE).digest
    assert digest(delta).digest != digest(ONE + xbzrle(0, b"\x00\x01\x08")).digest
    # What the page was before counts, wherever it stands.
    after = [ONE + page(5 * PAGE, content(seed)) + xbzrle(5 * PAGE, b"\x00\x01\x07") for seed in (1, 2)]
    assert digest(after[0]).digest != digest(after[1]).digest
    (change,) = diff_ram([digest(delta)], [digest(ONE)])
    assert not change.exact


def test_blocks_of_one_side_and_of_other_sizes_are_changes() -> None:
    a = [BlockDigest("x", 4096, 1, "aa"), BlockDigest("y", 4096, 0, "bb")]
    b = [BlockDigest("y", 8192, 0, "bb", exact=False), BlockDigest("z", 4096, 0, "cc")]
    changes = diff_ram(a, b)
    assert [(change.name, change.a is None, change.b is None) for change in changes] == [
        ("x", False, True),
        ("y", False, False),
        ("z", True, False),
    ]
    assert all(change.exact for change in changes)


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (page(99 * PAGE, content(1), BLOCK), "expected an address below"),
        (page(0, content(1), "no.such"), "expected a block of the stream's list"),
        (compressed(0, zlib.compress(content(1)[1:]), BLOCK), f"expected {PAGE} bytes, found {PAGE - 1}"),
        (compressed(0, zlib.compress(bytes(PAGE + 1)), BLOCK), f"expected {PAGE} bytes, found {PAGE + 1}"),
        (compressed(0, b"\0" * 20, BLOCK), "compressed page"),
        ((0x880).to_bytes(8, "big"), "known flags"),
    ],
    ids=["beyond the block", "of another block", "short", "long", "not zlib", "flags"],
)
def test_a_record_that_makes_no_sense_is_damage_and_what_came_before_counts(
    record: bytes, expected: str
) -> None:
    stream = bytes(Stream().ram(ONE + record))
    with Dump.open(io.BytesIO(stream)) as dump:
        (found,), damage = digest_ram(dump)
    assert found == digest(ONE)
    assert [expected in str(each) for each in damage] == [True]


def test_a_stream_that_ends_within_ram_is_damage() -> None:
    stream = bytes(Stream().ram(ONE + TWO))
    with Dump.open(io.BytesIO(stream[: stream.index(content(2)) + 100])) as dump:
        _, damage = digest_ram(dump)
        assert damage
        assert dump.damage


def test_addresses_far_apart_take_no_memory_of_their_own() -> None:
    pages = 1 << 40
    records = zero(0, BLOCK) + b"".join(zero(PAGE * (number << 20)) for number in range(20_000))
    stream = bytes(
        Stream().ram(records + page(PAGE * (pages - 1), content(1)), blocks=((BLOCK, PAGE * pages),))
    )
    with Dump.open(io.BytesIO(stream)) as dump:
        tracemalloc.start()
        (found,), damage = digest_ram(dump)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert damage == []
    assert found.pages == 1
    assert peak < 8 << 20


def test_a_mapped_file_has_the_digest_of_the_same_pages_in_a_stream() -> None:
    data = lzma.decompress((RARE / "mapped-ram-offset-11.1.mig.xz").read_bytes())
    with Dump.open(io.BytesIO(data), offset=0x1234) as dump:
        mapped, damage = digest_ram(dump)
        blocks = dump.index.blocks
    assert damage == []
    assert sum(block.pages for block in mapped) > 0
    records = b""
    for block in blocks:
        start = block.pages_offset or 0
        for address in range(0, block.used_length, PAGE):
            sent = data[start + address : start + address + PAGE]
            if sent != bytes(PAGE):
                records += page(address, sent, block.idstr)
    sizes = [(block.idstr, block.used_length) for block in blocks]
    assert digests(Stream().ram(records, blocks=sizes)) == mapped


def test_a_bitmap_that_stands_before_its_stream_is_damage() -> None:
    data = lzma.decompress((RARE / "mapped-ram-offset-11.1.mig.xz").read_bytes())
    with Dump.open(io.BytesIO(data), offset=0x1234) as dump:
        dump.index.blocks[0] = dump.index.blocks[0]._replace(bitmap_offset=0x1000)
        _, damage = digest_ram(dump)
    assert ["bitmap and pages at or behind 0x1234" in str(each) for each in damage] == [True]


def test_real_deltas_can_be_followed() -> None:
    with Dump.open(RARE / "xbzrle-7.2.mig.xz") as dump:
        found, damage = digest_ram(dump)
    assert damage == []
    assert [block.name for block in found if not block.exact] == ["pc.ram"]


def test_one_vm_saved_in_many_ways_has_one_digest() -> None:
    by_version: dict[str, dict[str, list[BlockDigest]]] = defaultdict(dict)
    for path in sorted((CORPUS / "variants").glob("*/source.xz")):
        way, _, version = path.parent.name.rpartition("-")
        if way in ("plain", "compress", "mapped-ram", "no-footer", "no-config", "suppress-vmdesc", "xbzrle"):
            with Dump.open(path) as dump:
                by_version[version][way], damage = digest_ram(dump)
            assert damage == []
    if not by_version:
        pytest.skip("the corpus is not at hand")
    for ways in by_version.values():
        assert len(ways) > 3
        assert all(found == ways["plain"] for found in ways.values())


@st.composite
def sent(draw: st.DrawFn) -> tuple[dict[int, int], list[bytes]]:
    """What 16 pages end up as, by seed (0: zero), and the parts in which they were sent."""
    pages: dict[int, int] = {}
    parts: list[bytes] = []
    for _ in range(draw(st.integers(1, 3))):
        part = zero(0, BLOCK)
        pages.pop(0, None)
        for number, seed in draw(st.lists(st.tuples(st.integers(0, 15), st.integers(0, 3)), max_size=6)):
            pages[number] = seed
            part += page(number * PAGE, content(seed)) if seed else zero(number * PAGE)
        parts.append(part)
    return {number: seed for number, seed in pages.items() if seed}, parts


@given(sent())
def test_what_was_sent_last_counts(case: tuple[dict[int, int], list[bytes]]) -> None:
    pages, parts = case
    once = zero(0, BLOCK) + b"".join(
        page(number * PAGE, content(seed)) for number, seed in sorted(pages.items())
    )
    found = digest(*parts)
    assert found == digest(once)
    assert found.pages == len(pages)


def test_the_digest_is_the_same_on_every_machine() -> None:
    assert digest(ONE + TWO).digest == "7d4fccd43a6ef52d13355a6381481130"
