"""What guest RAM holds in a stream, as one digest for each block: for comparison, not for reading.

Source: QEMU migration/ram.c, ram_load_precopy and decompress_data. A page may be sent many times
and the last time counts, so 8 bytes of hash (of SHA-256, which CPUs have instructions for) are kept for
each page that is not zero: some 3 MiB for each GiB of 4 KiB pages, however long the stream is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from msixtool.containers.base import Progress, bar_of
from msixtool.dump import OpenDump
from msixtool.errors import FormatError
from msixtool.formats import ram as fmt, vmstate
from msixtool.ram.pages import PageWalker
from msixtool.stream.items import Damage, DamageRule, RamBlock
from msixtool.stream.window import Window

_HASH_SIZE = 8
_DIGITS = 32
_CHUNK = 64
"""Pages whose hashes are kept together: a chunk in which no page is set takes nothing."""
_NO_HASH = bytes(_HASH_SIZE)
_EMPTY = bytes(_CHUNK * _HASH_SIZE)
_BITMAP_STEP = 1 << 12
"""Bytes of a bitmap that are looked at together."""


@dataclass(frozen=True, slots=True)
class BlockDigest:
    """One RAM block: `size` in bytes, `pages` the number of those that are not zero.

    `digest` depends on the content alone, in hex, and not on the order or the way in which it
    was sent. It is not `exact` where XBZRLE deltas were applied to pages: equal digests mean
    equal content even then, but the same content can have two digests.
    """

    name: str
    size: int
    pages: int
    digest: str
    exact: bool = True


@dataclass(slots=True)
class _PageHashes:
    """The hashes of a block's pages; a page that is zero has none."""

    chunks: dict[int, bytearray] = field(default_factory=dict)
    exact: bool = True

    def put(self, page: int, value: bytes) -> None:
        chunk = self.chunks.get(page // _CHUNK)
        if chunk is None:
            if value == _NO_HASH:
                return
            chunk = self.chunks[page // _CHUNK] = bytearray(_EMPTY)
        at = page % _CHUNK * _HASH_SIZE
        chunk[at : at + _HASH_SIZE] = value

    def get(self, page: int) -> bytes:
        chunk = self.chunks.get(page // _CHUNK, _EMPTY)
        at = page % _CHUNK * _HASH_SIZE
        return bytes(chunk[at : at + _HASH_SIZE])

    def digest(self, block: RamBlock) -> BlockDigest:
        total = hashlib.sha256()
        pages = 0
        for number in sorted(self.chunks):
            chunk = bytes(self.chunks[number])
            if chunk == _EMPTY:
                continue
            total.update(vmstate.encode("uint64", number, 8) + chunk)
            pages += sum(chunk[at : at + _HASH_SIZE] != _NO_HASH for at in range(0, len(chunk), _HASH_SIZE))
        return BlockDigest(block.idstr, block.used_length, pages, total.hexdigest()[:_DIGITS], self.exact)


def digest_ram(dump: OpenDump) -> tuple[list[BlockDigest], list[Damage]]:
    """A digest of each RAM block, in the stream's order, and what kept RAM from being read to its end.

    Reads all of RAM. Pages that the stream does not hold (shared ones that were ignored, those on
    other multifd channels) count as zero.
    """
    damage: list[Damage] = []
    with bar_of(f"RAM of {dump.path}") as progress:
        reader = _Reader(dump, progress)
        reader.read(damage)
    return [reader.hashes[block.idstr].digest(block) for block in dump.index.blocks], damage


class _Reader(PageWalker):
    """Keeps a hash of each page, by its block."""

    def __init__(self, dump: OpenDump, progress: Progress | None) -> None:
        super().__init__(dump.source, dump.index)
        self.dump = dump
        self.progress = progress
        self.size = self.layout.page_size
        self.zero = bytes(self.size)
        self.hashes = {block.idstr: _PageHashes() for block in dump.index.blocks}

    def read(self, damage: list[Damage]) -> None:
        """Read all of RAM; what stops it is damage."""
        try:
            if self.dump.index.mapped_ram:
                for block in self.dump.index.blocks:
                    self.mapped(block)
            else:
                self.walk_all(self.dump.index)
        except FormatError as error:
            start = next((item.offset for item in self.dump.index.items if item.idstr == fmt.IDSTR), 0)
            damage.append(Damage.of(error, start, DamageRule.RAM_RECORD, fmt.IDSTR))
        self.reached(self.dump.index.end)

    def reached(self, offset: int) -> None:
        """Show how far it is, where somebody looks."""
        if self.progress is not None:
            self.progress(offset, self.dump.index.end)

    def hash(self, data: bytes) -> bytes:
        """The hash of a page's content; all zero for a page that is."""
        return _NO_HASH if data == self.zero else hashlib.sha256(data).digest()[:_HASH_SIZE]

    def own(self) -> _PageHashes:
        """Those of the block that records are of. Raises FormatError where the stream does not say it."""
        if self.current is None:
            raise FormatError("RAM record", expected="a page of a block in the list", found="one of no block")
        return self.hashes[self.current.idstr]

    def _passed(self, start: int, end: int) -> None:
        super()._passed(start, end)
        self.reached(end)

    def _is_wanted(self, page: int) -> bool:
        return True

    def _counted(self, data: bytes, index: int, stride: int, records: int, flags: int) -> int:
        put, size, hash_of, header_of = self.own().put, self.size, self.hash, fmt.PACKED_HEADER.unpack_from
        length = stride - fmt.RECORD_HEADER_SIZE
        times = size // length
        for at in range(index, index + records * stride, stride):
            content = data[at + fmt.RECORD_HEADER_SIZE : at + stride]
            put(header_of(data, at)[0] // size, _NO_HASH if content == b"\0" else hash_of(content * times))
        return records * stride

    def _take(self, page: int, content: bytes) -> None:
        self.own().put(page // self.size, self.hash(content * (self.size // len(content))))

    def _take_change(self, page: int, delta: bytes) -> None:
        # The page itself is long gone: what it became is known by what it was and what changed.
        pages = self.own()
        pages.put(page // self.size, self.hash(pages.get(page // self.size) + delta))
        pages.exact = False

    def mapped(self, block: RamBlock) -> None:
        """The pages of a mapped-ram block that its bitmap names."""
        if not block.pages_offset or not block.bitmap_offset:
            return
        pages, base = self.hashes[block.idstr], self.dump.base_offset
        if min(block.bitmap_offset, block.pages_offset) < base:
            raise FormatError(
                f"mapped-ram block {block.idstr}",
                expected=f"bitmap and pages at or behind {base:#x} in the file",
                found=f"{block.bitmap_offset:#x} and {block.pages_offset:#x}",
            )
        window = Window(self.source)
        for page in self.set_bits(block.bitmap_offset - base, block.used_length):
            offset = block.pages_offset - base + page * self.size
            pages.put(page, self.hash(window.exactly(offset, self.size, "a page of RAM")))

    def set_bits(self, offset: int, used_length: int) -> Iterator[int]:
        """The pages whose bits are set in a bitmap: eight in a byte, as its words are little-endian."""
        bitmap, count = Window(self.source), -(-used_length // self.size)
        for first in range(0, count, 8 * _BITMAP_STEP):
            data = bitmap.peek(offset + first // 8, _BITMAP_STEP)
            if not data:
                return
            for number, byte in enumerate(data if any(data) else b"", first // 8):
                yield from (
                    page for page in range(8 * number, min(8 * number + 8, count)) if byte >> page % 8 & 1
                )


@dataclass(frozen=True, slots=True)
class RamChange:
    """A block whose size or content differs; None on the side that lacks it."""

    name: str
    a: BlockDigest | None
    b: BlockDigest | None

    @property
    def exact(self) -> bool:
        """Whether the content surely differs."""
        a, b = self.a, self.b
        return a is None or b is None or (a.exact and b.exact) or a.size != b.size


def diff_ram(a: list[BlockDigest], b: list[BlockDigest]) -> list[RamChange]:
    """The blocks that differ, in A's order, then those that only B has."""
    left, right = ({block.name: block for block in blocks} for blocks in (a, b))
    names = {**left, **right}
    changes = [RamChange(name, left.get(name), right.get(name)) for name in names]
    return [change for change in changes if _content(change.a) != _content(change.b)]


def _content(block: BlockDigest | None) -> tuple[int, int, str] | None:
    return None if block is None else (block.size, block.pages, block.digest)
