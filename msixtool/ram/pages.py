"""The pages in RAM's records: all of them in one walk, of which those are kept that are asked for.

Source: QEMU migration/ram.c, ram_load_precopy; a page may be sent many times, and the last time counts.
"""

from __future__ import annotations

import zlib
from bisect import bisect_left
from collections.abc import Mapping

from msixtool.containers.base import Source
from msixtool.errors import FormatError
from msixtool.formats import qevm, ram as fmt, sizeof
from msixtool.formats.qevm import CONTINUING, FOOTER_SIZE, PART_HEADER_SIZE
from msixtool.formats.ram import Flag
from msixtool.ram import xbzrle
from msixtool.stream import runs
from msixtool.stream.items import Item, RamBlock, StreamIndex
from msixtool.stream.ram import RamLayout, RamWalker
from msixtool.stream.window import Window

Pages = dict[tuple[str, int], bytes]
"""Contents by block and offset in it."""


class PageWalker(RamWalker):
    """Walks all of RAM's records for the pages in them. What takes runs of whole pages and zero pages
    overrides `_counted`; all other records that are wanted are given to `_take` or `_take_change`."""

    def __init__(self, source: Source, index: StreamIndex, *, skim: bool = False) -> None:
        layout = RamLayout(page_size=index.page_size or fmt.USUAL_PAGE_SIZE)
        super().__init__(source, layout, index.blocks, skim=skim)

    def walk_all(self, index: StreamIndex) -> None:
        """Walk all of RAM. Raises InputError where a record makes no sense, or the stream ends."""
        for item in index.items:
            if item.idstr == fmt.IDSTR and item.type in CONTINUING:
                self._walk_parts(item)

    def _walk_parts(self, item: Item) -> None:
        """The PART or END items of one run."""
        window, offset = Window(self.source), item.offset
        while offset < item.end:
            offset = self.walk(offset + PART_HEADER_SIZE)
            if window.peek(offset, 1) == qevm.FOOTER_MARK:
                offset += FOOTER_SIZE

    def _is_wanted(self, page: int) -> bool:
        """Whether the page at this offset of the current block is."""
        raise NotImplementedError

    def _take(self, page: int, content: bytes) -> None:
        """Take a page that was sent: its content, or the one byte that fills it."""
        raise NotImplementedError

    def _take_change(self, page: int, delta: bytes) -> None:
        """Take what changed of a page (XBZRLE)."""
        raise NotImplementedError

    def _record(self, window: Window, offset: int, header: int, flags: int) -> int:
        length = super()._record(window, offset, header, flags)
        page, kind = header & -self.layout.page_size, flags & ~Flag.CONTINUE
        if kind in self._RECORDS and self._is_wanted(page):
            body = offset + fmt.RECORD_HEADER_SIZE
            if not flags & Flag.CONTINUE:
                body += 1 + window.exactly(body, 1, "a RAM block's name")[0]
            self._content(page, kind, window.exactly(body, offset + length - body, "a page"), offset)
        return length

    def _content(self, page: int, kind: int, body: bytes, offset: int) -> None:
        """Take what the record at `offset` holds, whose bytes behind the block's name are `body`."""
        if kind == Flag.COMPRESS_PAGE:
            self._take(page, self._inflated(body[sizeof(fmt.COMPRESSED_HEAD) :], offset))
        elif kind == Flag.XBZRLE:
            self._take_change(page, body[sizeof(fmt.XBZRLE_HEAD) :])
        else:
            self._take(page, body)

    def _inflated(self, data: bytes, offset: int) -> bytes:
        size = self.layout.page_size
        try:
            page = zlib.decompressobj().decompress(data, size + 1)
        except zlib.error as error:
            raise FormatError("compressed page", offset=offset, found=error) from None
        if len(page) != size:
            raise FormatError("compressed page", offset=offset, expected=f"{size} bytes", found=len(page))
        return page


class PageTaker(PageWalker):
    """Keeps in `pages` the last copy of those in `wanted`, offsets by block."""

    def __init__(self, source: Source, index: StreamIndex, wanted: Mapping[str, set[int]]) -> None:
        super().__init__(source, index, skim=not source.sequential)
        self.pages: Pages = {}
        self._wanted = wanted
        self._sorted = {block: sorted(offsets) for block, offsets in wanted.items()}
        flags = (fmt.CONTINUED_PAGE, fmt.CONTINUED_ZERO)
        self._headers = {
            (block, flag): {fmt.PACKED_HEADER.pack(offset | flag) for offset in offsets}
            for block, offsets in wanted.items()
            for flag in flags
        }

    @property
    def multifd(self) -> bool:
        """Whether pages went over other channels, which are not in the stream."""
        return self.count.flushes > 0

    def _is_wanted(self, page: int) -> bool:
        return self.current is not None and page in self._wanted.get(self.current.idstr, ())

    def _skimmed(self, offset: int, header: int, flags: int) -> int:
        passed = super()._skimmed(offset, header, flags)
        if passed and self.current is not None:
            size, first = self.layout.page_size, header - flags
            wanted = self._sorted.get(self.current.idstr, [])
            step = runs.stride(size)
            for page in wanted[bisect_left(wanted, first) :]:
                place = offset + (page - first) // size * step
                if place >= offset + passed:
                    break
                self._take(page, self.source.read(place + fmt.RECORD_HEADER_SIZE, size))
        return passed

    def _counted(self, data: bytes, index: int, stride: int, records: int, flags: int) -> int:
        headers = self._headers.get((self.current.idstr, flags)) if self.current is not None else None
        for at in range(index, index + records * stride, stride) if headers else ():
            head = data[at : at + fmt.RECORD_HEADER_SIZE]
            if head in headers:  # type: ignore[operator]
                content = data[at + fmt.RECORD_HEADER_SIZE : at + stride]
                self._take(fmt.PACKED_HEADER.unpack(head)[0] - flags, content)
        return super()._counted(data, index, stride, records, flags)

    def _take(self, page: int, content: bytes) -> None:
        if self.current is not None:
            whole = content * self.layout.page_size if len(content) == 1 else content
            self.pages[self.current.idstr, page] = whole

    def _take_change(self, page: int, delta: bytes) -> None:
        before = None if self.current is None else self.pages.get((self.current.idstr, page))
        if before is not None:
            self._take(page, xbzrle.patched(delta, before))


def mapped_page(source: Source, block: RamBlock, offset: int, page_size: int, base: int) -> bytes | None:
    """One page of a mapped-ram block, by its bitmap; None where the file does not hold the block.

    Pages that are zero are left out: their bits are clear. `base` is the stream's offset in its file.
    """
    bitmap, content = block.bitmap_offset, block.pages_offset
    if not bitmap or not content or min(bitmap, content) < base:
        return None
    number = offset // page_size
    byte = source.read(bitmap - base + number // 8, 1)
    if not byte:
        return None
    if not byte[0] >> number % 8 & 1:
        return bytes(page_size)
    page = source.read(content - base + offset, page_size)
    return page if len(page) == page_size else None
