"""RAM's END that is one long run of pages: found, and walked, by a few headers of it."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from msixtool.stream import backward
from msixtool.stream.read import read_stream
from tests.stream.build import BLOCK, EOS, PAGE, Stream, compressed, page, zero
from tests.stream.ways import Counted, facts, from_the_end, in_order, sections, walked

NOISE = bytes(range(256)) * 16
BLOCKS = ((BLOCK, 1 << 40), ("vga.vram", 1 << 40))
RECORD = 8 + PAGE


def pages(count: int, first: int = 0, data: bytes = NOISE) -> bytes:
    """A run of pages in address order, of the block of the record before it."""
    return b"".join(page((first + n) * PAGE, data) for n in range(count))


def stream(end: bytes, part: bytes = b"") -> bytes:
    made = Stream().ram(page(0, NOISE, BLOCK) + part, end=end, blocks=BLOCKS)
    return bytes(made.full(9, "globalstate", bytes(104)))


def assert_all_ways_agree(data: bytes) -> None:
    index = walked(data)
    for other in (from_the_end(data), in_order(data)):
        assert sections(other) == sections(index)
        assert facts(other) == facts(index)
    assert index.damage == []


@pytest.mark.parametrize("part", [b"", pages(700, 1)], ids=["alone", "behind a part that is one too"])
@pytest.mark.parametrize("behind", [b"", zero(0, "vga.vram") + page(PAGE, NOISE)], ids=["last", "not last"])
def test_of_a_long_run_a_few_headers_are_read(part: bytes, behind: bytes) -> None:
    data = stream(pages(4096, 701) + behind, part)
    source = Counted(data)
    index = read_stream(source)
    assert sections(index) == sections(walked(data))
    assert index.ram is None
    assert source.fetched < len(data) / 3


PIECES = st.lists(
    st.one_of(
        st.builds(pages, st.integers(1, 40), st.integers(0, 1 << 20)),
        st.builds(lambda n: b"".join(zero(k * PAGE) for k in range(n)), st.integers(1, 40)),
        st.builds(
            lambda n, block: page(n * PAGE, NOISE, block),
            st.integers(0, 9),
            st.sampled_from([BLOCK, "vga.vram"]),
        ),
        st.builds(lambda n: compressed(0, bytes(n)), st.integers(0, 90)),
    ),
    max_size=6,
).map(b"".join)


@given(PIECES, PIECES, st.sampled_from([3 * RECORD + 100, RECORD + 100]))
def test_whatever_the_runs_every_way_finds_the_same(end: bytes, part: bytes, window: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backward, "WINDOW", window)
        assert_all_ways_agree(stream(end, part))


def test_ram_without_an_end_and_of_less_than_three_records_holds_no_run() -> None:
    """Its pages are full of the byte that all headers of a run end in."""
    data = bytes(Stream().ram(page(0, b"\x28" * PAGE), end=None).full(9, "globalstate", bytes(104)))
    assert sections(from_the_end(data)) == sections(walked(data))


def test_an_end_that_hides_in_what_looks_like_a_run_is_found_forward(monkeypatch: pytest.MonkeyPatch) -> None:
    """A compressed page of the right length keeps the pages behind the END in step with those before."""
    monkeypatch.setattr(backward, "WINDOW", 3 * RECORD + 100)
    header = EOS + b"\x7e\0\0\0\x02\x03\0\0\0\x02"
    slot = header + compressed(64 * PAGE, bytes(RECORD - len(header) - 12))
    before, _, behind = stream(pages(7, 65), pages(63, 1)).partition(header)
    data = before + slot + behind
    assert from_the_end(data).ram is not None
    assert_all_ways_agree(data)


def test_pages_that_look_like_runs_hide_no_end() -> None:
    """A guest may hold records of RAM in its memory."""
    inner = b"".join((n * PAGE + 0x28).to_bytes(8, "big") + bytes(PAGE) for n in range(400))
    kept = b"".join(page(n * 7 * PAGE, inner[n * PAGE : (n + 1) * PAGE].ljust(PAGE)) for n in range(400))
    assert_all_ways_agree(stream(kept, kept))
