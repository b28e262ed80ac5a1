"""Passing over RAM records: the bulk of a stream, and nothing of it is kept.

Source: QEMU migration/ram.c, ram_load_precopy and parse_ramblocks. Records of one length that
follow each other (whole pages, zero pages) are checked as strided slices, at C speed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, ClassVar

from msixtool.containers.base import WINDOW, Source
from msixtool.errors import FormatError, TruncatedError
from msixtool.formats import parse, ram as fmt, sizeof, vmstate
from msixtool.formats.ram import Flag
from msixtool.stream import runs
from msixtool.stream.items import RamBlock, RamCount
from msixtool.stream.window import MAX_OFFSET, Window

MAX_BLOCKS = 1 << 12
"""The most RAM blocks that a list is believed to have; real ones have tens, and some 300 at most."""

_EOS = int(Flag.EOS)
_BYTES = bytes(range(256))
_CHUNK = 16
"""Records that are checked at a time at first; four times as many whenever all of them were of one kind."""


class RamLayout:
    """How the records of this stream are laid out. Sizes in bytes."""

    ignore_shared = False
    """The block list holds guest-physical addresses."""
    postcopy = False
    """The stream announced postcopy: blocks of huge pages carry their page size."""
    mapped_ram = False
    """The block list holds mapped-ram headers, each followed by a bitmap and the pages."""

    def __init__(self, page_size: int = fmt.USUAL_PAGE_SIZE, origin: int = 0) -> None:
        self.page_size = page_size
        self.origin = origin
        """Offset of the stream in its file: mapped-ram offsets count from the file's start."""


class RamWalker:
    """Walks the data of `ram` sections; keeps the block list and counts.

    With `skim` it passes over runs of pages by a few of their headers (stream/runs.py).
    """

    def __init__(
        self, source: Source, layout: RamLayout, blocks: Sequence[RamBlock] = (), *, skim: bool = False
    ) -> None:
        self.source = source
        self.layout = layout
        self.blocks = list(blocks)
        self.count = RamCount()
        self.current: RamBlock | None = None
        """The block that records with CONTINUE belong to, across sections too; None where it is not known."""
        self._skim = skim
        self._by_name = {block.idstr: block for block in blocks}
        self._window = Window(source)
        self._chunk = _CHUNK

    def walk(self, offset: int) -> int:
        """The offset behind the EOS record that ends the data starting at `offset`.

        Raises FormatError where a record makes no sense, TruncatedError where the stream ends.
        """
        window = self._window
        kept = offset
        while True:
            data, index = window.at(offset, fmt.RECORD_HEADER_SIZE, "a RAM record")
            (header,) = fmt.PACKED_HEADER.unpack_from(data, index)
            flags = header & (self.layout.page_size - 1)
            if flags == _EOS:
                return offset + fmt.RECORD_HEADER_SIZE
            passed = self._skimmed(offset, header, flags) or self._run(data, index, header, flags)
            offset += passed or self._record(window, offset, header, flags)
            if offset - kept > WINDOW:
                self._passed(kept, offset)
                kept = offset

    def _passed(self, start: int, end: int) -> None:
        """What is between will not be read again."""
        self.source.drop(start, end)

    def _run(self, data: bytes, index: int, header: int, flags: int) -> int:
        """Bytes of the whole records like this one that stand in the buffer from `index` on."""
        if flags == fmt.CONTINUED_PAGE:
            stride = runs.stride(self.layout.page_size)
        elif flags == fmt.CONTINUED_ZERO:
            stride = fmt.CONTINUED_ZERO_SIZE
        else:
            return 0
        after = index + stride
        if after + fmt.RECORD_HEADER_SIZE <= len(data) and data[after + 7] != flags:
            if self.current is not None and header - flags >= self.current.used_length:
                return 0
            return self._counted(data, index, stride, 1, flags)
        room = min(self._chunk, (len(data) - index) // stride)
        low = data[index + 7 : index + 7 + room * stride : stride]
        records = len(low) - len(low.lstrip(bytes([flags])))
        high = data[index + 6 : index + 6 + records * stride : stride]
        clean = high.translate(_flag_bits(self.layout.page_size))
        records = len(clean) - len(clean.lstrip(b"\0"))
        # Where runs are short, long ones are not tried: that would cost more than record by record.
        self._chunk = min(4 * self._chunk, WINDOW) if records == room else _CHUNK
        return self._counted(data, index, stride, self._inside_block(data, index, stride, records), flags)

    def _skimmed(self, offset: int, header: int, flags: int) -> int:
        """Bytes of a run of whole pages, if it lies in its block as a whole; 0 for none, or no skimming."""
        if not self._skim or flags != fmt.CONTINUED_PAGE:
            return 0
        pages = 1 + runs.pages_after(self.source, offset, self.layout.page_size)
        end = header - flags + pages * self.layout.page_size
        if self.current is not None and end > self.current.used_length:
            return 0
        self.count.pages += pages
        return pages * runs.stride(self.layout.page_size)

    def _counted(self, data: bytes, index: int, stride: int, records: int, flags: int) -> int:
        """Count records that are sound; their length in bytes."""
        if flags == fmt.CONTINUED_PAGE:
            self.count.pages += records
        else:
            self.count.zero += records
            fills = data[index + 8 : index + records * stride : stride]
            self.count.filled += records - fills.count(0)
        return records * stride

    def _inside_block(self, data: bytes, index: int, stride: int, records: int) -> int:
        """How many of the records stand for pages inside their block, up to the first that does not."""
        if self.current is None or not records:
            return records
        end = index + records * stride
        limit = fmt.PACKED_HEADER.pack(self.current.used_length)
        # The flags in the lowest byte do not matter: a block's length is a multiple of its pages.
        for byte, bound in enumerate(limit):
            not_below = data[index + byte : end : stride].translate(None, _BYTES[:bound])
            if not not_below:
                return records
            if not_below.strip(_BYTES[bound : bound + 1]):
                break
        inside = 0
        while inside < records and data[index : index + 8] < limit:
            inside, index = inside + 1, index + stride
        return inside

    def _record(self, window: Window, offset: int, header: int, flags: int) -> int:
        """Bytes of one record of any kind."""
        if flags == Flag.MULTIFD_FLUSH:
            self.count.flushes += 1
            return fmt.RECORD_HEADER_SIZE
        if flags == Flag.MEM_SIZE:
            total = header & ~(self.layout.page_size - 1)
            return self._block_list(window, offset + fmt.RECORD_HEADER_SIZE, total) - offset
        body = offset + fmt.RECORD_HEADER_SIZE
        reader = self._RECORDS.get(flags & ~Flag.CONTINUE)
        if reader is None:
            raise FormatError("RAM record", offset=offset, expected="known flags", found=f"{flags:#x}")
        if not flags & Flag.CONTINUE:
            body = self._block_id(window, body)
        address = header & ~(self.layout.page_size - 1)
        if self.current is not None and address >= self.current.used_length:
            raise FormatError(
                f"RAM record of block {self.current.idstr}",
                offset=offset,
                expected=f"an address below {self.current.used_length:#x}",
                found=f"{address:#x}",
            )
        return reader(self, window, body) - offset

    def _block_id(self, window: Window, offset: int) -> int:
        length = window.exactly(offset, 1, "a RAM block's name")[0]
        name = window.exactly(offset + 1, length, "a RAM block's name").decode("latin-1")
        self.current = self._by_name.get(name)
        if self.blocks and self.current is None:
            raise FormatError(
                "RAM record", offset=offset, expected="a block of the stream's list", found=ascii(name)
            )
        return offset + 1 + length

    def _zero(self, window: Window, offset: int) -> int:
        self.count.filled += window.exactly(offset, 1, "a zero page's record") != b"\0"
        self.count.zero += 1
        return offset + 1

    def _page(self, window: Window, offset: int) -> int:
        window.at(offset, self.layout.page_size, "a page of RAM")
        self.count.pages += 1
        return offset + self.layout.page_size

    def _xbzrle(self, window: Window, offset: int) -> int:
        size = sizeof(fmt.XBZRLE_HEAD)
        head = parse(fmt.XBZRLE_HEAD, window.exactly(offset, size, "an XBZRLE record"), what="XBZRLE record")
        encoding, length = head.encoding, head.length
        if encoding != fmt.XBZRLE_ENCODED or length > self.layout.page_size:
            raise FormatError(
                "XBZRLE record",
                offset=offset,
                expected=f"encoding 1 and at most {self.layout.page_size} bytes",
                found=f"encoding {encoding}, {length} bytes",
            )
        window.at(offset + size, length, "an XBZRLE record")
        self.count.xbzrle += 1
        return int(offset + size + length)

    def _compressed(self, window: Window, offset: int) -> int:
        size = sizeof(fmt.COMPRESSED_HEAD)
        data = window.exactly(offset, size, "a compressed page")
        length = int(parse(fmt.COMPRESSED_HEAD, data, what="compressed page").length)
        # zlib's own bound for data that does not compress.
        bound = self.layout.page_size + (self.layout.page_size >> 8) + 64
        if length > bound:
            raise FormatError(
                "compressed page", offset=offset, expected=f"at most {bound} bytes", found=length
            )
        window.at(offset + size, length, "a compressed page")
        self.count.compressed += 1
        return offset + size + length

    _RECORDS: ClassVar[dict[int, Callable[[RamWalker, Window, int], int]]] = {
        int(Flag.ZERO): _zero,
        int(Flag.PAGE): _page,
        int(Flag.XBZRLE): _xbzrle,
        int(Flag.COMPRESS_PAGE): _compressed,
    }

    def _block_list(self, window: Window, offset: int, total: int) -> int:
        """Read the list of RAM blocks whose sizes add up to `total`; the offset behind it."""
        blocks: list[RamBlock] = []
        left = total
        while left > 0 and len(blocks) < MAX_BLOCKS:
            data = window.peek(offset, fmt.BLOCK_MAX)
            try:
                raw = _block(data[: fmt.BLOCK_FIXED + data[0]] if data else data)
            except FormatError as error:
                raise error.at(offset=offset) from None
            if not (raw.idstr and raw.idstr.isprintable()) or raw.used_length > left:
                raise FormatError(
                    f"RAM block {raw.idstr!a}",
                    offset=offset,
                    expected=f"a name and at most {left} bytes left",
                    found=raw.used_length,
                )
            left -= raw.used_length
            offset, block = self._block_tail(
                window, offset + fmt.BLOCK_FIXED + len(raw.idstr), raw.idstr, raw.used_length
            )
            blocks.append(block)
        self.blocks, self.current = blocks, None
        self._by_name = {block.idstr: block for block in blocks}
        return offset

    def _block_tail(self, window: Window, offset: int, name: str, used: int) -> tuple[int, RamBlock]:
        page_size = address = None
        word = vmstate.number(window.peek(offset, fmt.BLOCK_EXTRA_SIZE))
        # With postcopy, blocks of huge pages carry their page size. Nothing says which do, but
        # no block name and no record looks like a power of two above the target's page.
        if (
            self.layout.postcopy
            and word > self.layout.page_size
            and word & (word - 1) == 0
            and word >> 40 == 0
        ):
            page_size, offset = word, offset + fmt.BLOCK_EXTRA_SIZE
        if self.layout.ignore_shared:
            address = vmstate.number(window.exactly(offset, fmt.BLOCK_EXTRA_SIZE, "a RAM block"))
            offset += fmt.BLOCK_EXTRA_SIZE
        if not self.layout.mapped_ram:
            return offset, RamBlock(name, used, page_size, address)
        size = sizeof(fmt.MAPPED_RAM_HEADER)
        raw = parse(
            fmt.MAPPED_RAM_HEADER, window.exactly(offset, size, "mapped-ram header"), what="mapped-ram header"
        )
        end = self._mapped_end(offset, offset + size, raw.version, raw.bitmap_offset, raw.pages_offset, used)
        return end, RamBlock(name, used, page_size, address, raw.pages_offset, raw.bitmap_offset)

    def _mapped_end(self, at: int, behind: int, version: int, bitmap: int, pages: int, used: int) -> int:
        """The offset behind a mapped-ram block's pages."""
        if version != fmt.MAPPED_RAM_VERSION:
            raise FormatError("mapped-ram header", offset=at, expected="version 1", found=version)
        if bitmap == pages == 0:
            return behind
        start = pages - self.layout.origin
        if start < behind:
            raise FormatError(
                "mapped-ram header",
                offset=at,
                expected=f"pages at or behind {behind + self.layout.origin:#x} in the file",
                found=f"{pages:#x}",
            )
        end = start + used
        self.source.drop(behind, min(end, MAX_OFFSET))
        if end > MAX_OFFSET or not self.source.read(end - 1, 1):
            raise TruncatedError(
                "the stream ends inside the pages of a mapped-ram block",
                offset=at,
                expected=f"pages up to {end:#x}",
            )
        return end


@lru_cache(maxsize=1 << 8)
def _block(data: bytes) -> Any:
    """A block of the list. Machines alike have the same: a fleet of them is read once."""
    return parse(fmt.BLOCK, data, what="RAM block")


@lru_cache(maxsize=8)
def _flag_bits(page_size: int) -> bytes:
    """A translation that leaves of a header's second lowest byte only the bits below the page."""
    mask = (page_size - 1) >> 8 & 0xFF
    return bytes(byte & mask for byte in range(256))
