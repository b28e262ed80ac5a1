"""What guest RAM holds in a stream, as one digest for each block: for comparison, not for reading.

Source: QEMU migration/ram.c, ram_load_precopy and decompress_data. A page may be sent many times
and the last time counts, so 8 bytes of hash (of SHA-256, which CPUs have instructions for) are kept for
each page that is not zero: some 3 MiB for each GiB of 4 KiB pages, however long the stream is.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import ClassVar

from msixtool.containers.base import Progress, bar_of
from msixtool.dump import OpenDump
from msixtool.errors import FormatError
from msixtool.formats import qevm, ram as fmt
from msixtool.formats.qevm import CONTINUING, FOOTER_SIZE, PART_HEADER_SIZE
from msixtool.formats.ram import Flag
from msixtool.stream.items import Damage, DamageRule, Item, RamBlock
from msixtool.stream.window import Window

PAGE_SIZE = 4096
"""Bytes of a page where the stream does not say."""

_HASH_SIZE = 8
_DIGITS = 32
_CHUNK = 64
"""Pages whose hashes are kept together: a chunk in which no page is set takes nothing."""
_NO_HASH = bytes(_HASH_SIZE)
_HEADER = struct.Struct(">Q")
_EOS, _MULTIFD_FLUSH, _CONTINUE = int(Flag.EOS), int(Flag.MULTIFD_FLUSH), int(Flag.CONTINUE)
_EMPTY = bytes(_CHUNK * _HASH_SIZE)


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

    page_size: int
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
            total.update(number.to_bytes(8, "big") + chunk)
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
        _read(reader, damage)
        reader.reached(dump.index.end)
    return [reader.blocks[block.idstr].digest(block) for block in dump.index.blocks], damage


def _read(reader: _Reader, damage: list[Damage]) -> None:
    """Have the reader read all of RAM; what stops it is damage."""
    dump = reader.dump
    try:
        if dump.index.mapped_ram:
            for block in dump.index.blocks:
                reader.mapped(block)
        else:
            for item in dump.index.items:
                if item.idstr == fmt.SECTION and item.type in CONTINUING:
                    reader.parts(item)
    except FormatError as error:
        damage.append(Damage.of(error, reader.offset, DamageRule.RAM_RECORD, fmt.SECTION))


class _Reader:
    def __init__(self, dump: OpenDump, progress: Progress | None) -> None:
        self.dump = dump
        self.progress = progress
        self.source = dump.source
        self.window = Window(dump.source)
        self.page_size = dump.index.page_size or PAGE_SIZE
        self.zero = bytes(self.page_size)
        self.blocks = {block.idstr: _PageHashes(self.page_size) for block in dump.index.blocks}
        self.limits = {block.idstr: block.used_length for block in dump.index.blocks}
        self.current: str | None = None
        self.offset = 0

    def reached(self, offset: int) -> None:
        """Show how far it is, where somebody looks."""
        if self.progress is not None:
            self.progress(offset, self.dump.index.end)

    def hash(self, data: bytes) -> bytes:
        """The hash of a page's content; all zero for a page that is."""
        return _NO_HASH if data == self.zero else hashlib.sha256(data).digest()[:_HASH_SIZE]

    def parts(self, item: Item) -> None:
        """The PART or END items of one run: headers, records, footers."""
        self.offset = item.offset
        while self.offset < item.end:
            self.offset = self.records(self.offset + PART_HEADER_SIZE)
            if self.window.peek(self.offset, 1) == qevm.FOOTER_MARK:
                self.offset += FOOTER_SIZE

    def records(self, offset: int) -> int:
        """The records from `offset` on; the offset behind the EOS that ends them."""
        kept = offset
        mask = self.page_size - 1
        while True:
            offset = self.run(offset)
            header = int.from_bytes(
                self.window.exactly(offset, fmt.RECORD_HEADER_SIZE, "a RAM record"), "big"
            )
            flags = header & mask
            self.offset = offset
            offset += fmt.RECORD_HEADER_SIZE
            if flags == _EOS:
                return offset
            if flags != _MULTIFD_FLUSH:
                offset = self.record(offset, header - flags, flags)
            if offset - kept > 1 << 20:
                self.source.drop(kept, offset)
                self.reached(offset)
                kept = offset

    def run(self, offset: int) -> int:
        """The nearly always only records: pages of the block of the record before, as far as the buffer has
        them; the offset behind them. Whatever else there is, damage too, is left to `record`."""
        pages = self.blocks.get(self.current or "")
        if pages is None:
            return offset
        data, begin = self.window.at(offset, fmt.RECORD_HEADER_SIZE, "a RAM record")
        limit, size, mask = self.limits[self.current or ""], self.page_size, self.page_size - 1
        index, last = begin, len(data) - fmt.RECORD_HEADER_SIZE - 1
        while index <= last:
            (header,) = _HEADER.unpack_from(data, index)
            flags = header & mask
            body = index + fmt.RECORD_HEADER_SIZE
            if header - flags >= limit:
                break
            if flags == fmt.CONTINUED_PAGE and body + size <= len(data):
                pages.put(header // size, self.hash(data[body : body + size]))
                index = body + size
            elif flags == fmt.CONTINUED_ZERO:
                pages.put(header // size, self.hash(data[body : body + 1] * size) if data[body] else _NO_HASH)
                index = body + 1
            else:
                break
        return offset + index - begin

    def record(self, offset: int, address: int, flags: int) -> int:
        """One page's record, whose header ends at `offset`; the offset behind it."""
        read = self._RECORDS.get(flags & ~_CONTINUE)
        if read is None:
            raise FormatError("RAM record", expected="known flags", found=f"{flags:#x}")
        if not flags & _CONTINUE:
            length = self.window.exactly(offset, 1, "a RAM block's name")[0]
            self.current = self.window.exactly(offset + 1, length, "a RAM block's name").decode("latin-1")
            offset += 1 + length
        pages = self.blocks.get(self.current or "")
        if pages is None or address >= self.limits[self.current or ""]:
            found = f"{self.current!a} {address:#x}"
            raise FormatError("RAM record", expected="a page of a block in the list", found=found)
        return read(self, pages, address // self.page_size, offset)

    def page(self, pages: _PageHashes, page: int, offset: int) -> int:
        pages.put(page, self.hash(self.window.exactly(offset, self.page_size, "a page of RAM")))
        return offset + self.page_size

    def filled(self, pages: _PageHashes, page: int, offset: int) -> int:
        fill = self.window.exactly(offset, 1, "a zero page's record")
        pages.put(page, _NO_HASH if fill == b"\0" else self.hash(fill * self.page_size))
        return offset + 1

    def compressed(self, pages: _PageHashes, page: int, offset: int) -> int:
        length = int.from_bytes(self.window.exactly(offset, 4, "a compressed page"), "big")
        pages.put(page, self.hash(self.inflated(offset + 4, length)))
        return offset + 4 + length

    def xbzrle(self, pages: _PageHashes, page: int, offset: int) -> int:
        length = int.from_bytes(self.window.exactly(offset + 1, 2, "an XBZRLE record"), "big")
        delta = self.window.exactly(offset + 3, length, "an XBZRLE record")
        # The page itself is long gone: what it became is known by what it was and what changed.
        pages.put(page, self.hash(pages.get(page) + delta))
        pages.exact = False
        return offset + 3 + length

    _RECORDS: ClassVar[dict[int, Callable[[_Reader, _PageHashes, int, int], int]]] = {
        int(Flag.PAGE): page,
        int(Flag.ZERO): filled,
        int(Flag.COMPRESS_PAGE): compressed,
        int(Flag.XBZRLE): xbzrle,
    }

    def inflated(self, offset: int, length: int) -> bytes:
        """The page that a zlib stream holds."""
        bound = self.page_size + (self.page_size >> 8) + 64
        data = self.window.exactly(offset, min(length, bound), "a compressed page")
        try:
            page = zlib.decompressobj().decompress(data, self.page_size + 1)
        except zlib.error as error:
            raise FormatError("compressed page", offset=offset, found=error) from None
        if len(page) != self.page_size:
            raise FormatError(
                "compressed page", offset=offset, expected=f"{self.page_size} bytes", found=len(page)
            )
        return page

    def mapped(self, block: RamBlock) -> None:
        """The pages of a mapped-ram block that its bitmap names."""
        if not block.pages_offset or not block.bitmap_offset:
            return
        pages, base = self.blocks[block.idstr], self.dump.base_offset
        if min(block.bitmap_offset, block.pages_offset) < base:
            raise FormatError(
                f"mapped-ram block {block.idstr}",
                expected=f"bitmap and pages at or behind {base:#x} in the file",
                found=f"{block.bitmap_offset:#x} and {block.pages_offset:#x}",
            )
        for page in self.set_bits(block.bitmap_offset - base, block.used_length):
            self.offset = block.pages_offset - base + page * self.page_size
            pages.put(page, self.hash(self.window.exactly(self.offset, self.page_size, "a page of RAM")))

    def set_bits(self, offset: int, used_length: int) -> Iterator[int]:
        """The pages whose bits are set in a bitmap of 64-bit little-endian words."""
        bitmap = Window(self.source)
        step = 1 << 12
        for first in range(0, -(-used_length // self.page_size), 8 * step):
            words = bitmap.peek(offset + first // 8, step)
            if not words:
                return
            bits = int.from_bytes(words, "little")
            while bits:
                lowest = bits & -bits
                page = first + lowest.bit_length() - 1
                if page * self.page_size < used_length:
                    yield page
                bits ^= lowest


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
