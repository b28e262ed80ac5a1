"""Bytes of guest memory by guest physical address, as far as a stream holds them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msixtool.containers.base import Source
from msixtool.errors import InputError
from msixtool.formats import ram as fmt
from msixtool.formats.qevm import ItemType
from msixtool.ram import pages
from msixtool.ram.memory_map import Region
from msixtool.stream.items import MOST_DAMAGE, Damage, DamageRule, StreamIndex

MAX_PAGES = 1 << 13
"""The most pages that are kept: 32 MiB of 4 KiB pages."""

_DISCARD = "postcopy-ram-discard"


class GuestMemory:
    """Guest physical memory at the moment of the stream.

    `want` what will be read, then `read`: RAM is walked at the first read, for all that was wanted until
    then, and again only where something else is read later. A mapped-ram file is not walked at all.
    What the stream does not hold is None, with the reason in `missing`, and never zero.
    """

    def __init__(
        self, source: Source, index: StreamIndex, regions: Sequence[Region], *, base: int = 0
    ) -> None:
        self._source = source
        self._index = index
        self._regions = list(regions)
        self._base = base
        self._page_size = index.page_size or fmt.USUAL_PAGE_SIZE
        self._blocks = {block.idstr: block for block in index.blocks}
        self._kept: dict[tuple[str, int], bytes | None] = {}
        self._wanted: set[tuple[str, int]] = set()
        self.missing: dict[str, None] = {}
        """Why something that was read is not there: lines in the order of reading, each once."""
        self.damage: list[Damage] = []
        """What kept RAM from being walked to its end."""

    @property
    def blocks(self) -> tuple[str, ...]:
        """The names of the blocks that the stream lists."""
        return tuple(self._blocks)

    def want(self, address: int, length: int) -> None:
        """Have the walk keep these bytes too."""
        for block, offset, _ in self._pieces(address, length) or ():
            page = block, offset - offset % self._page_size
            if page not in self._kept and len(self._wanted) + len(self._kept) < MAX_PAGES:
                self._wanted.add(page)

    def read(self, address: int, length: int) -> bytes | None:
        """`length` bytes from guest physical `address`; None where one of them is not in the stream."""
        pieces = self._pieces(address, length)
        if pieces is None:
            self._note(address, "no RAM that is known there")
            return None
        self.want(address, length)
        self._fetch()
        return self._joined(address, pieces)

    def block_bytes(self, block: str, offset: int, length: int) -> bytes | None:
        """`length` bytes of a block, by its name; None where one of them is not in the stream."""
        known = self._blocks.get(block)
        if known is None or offset < 0 or offset + length > known.used_length:
            return None
        pieces = list(self._split(block, offset, length))
        for _, at, _ in pieces:
            self._wanted.add((block, at - at % self._page_size))
        self._fetch()
        return self._joined(offset, pieces)

    def _joined(self, address: int, pieces: Iterable[tuple[str, int, int]]) -> bytes | None:
        found = []
        for block, offset, size in pieces:
            inside = offset % self._page_size
            page = self._kept.get((block, offset - inside))
            if page is None:
                self._note(address, f"the stream does not hold that page of {block}")
                return None
            found.append(page[inside : inside + size])
        return b"".join(found)

    def _note(self, address: int, why: str) -> None:
        page = address - address % self._page_size
        if len(self.missing) < MOST_DAMAGE:
            self.missing[f"guest memory at {page:#x}: {why}"] = None

    def _pieces(self, address: int, length: int) -> list[tuple[str, int, int]] | None:
        """Block, offset and size of what lies there, a piece a page; None where not all of it is RAM."""
        found: list[tuple[str, int, int]] = []
        while length > 0:
            region = next((r for r in self._regions if r.start <= address < r.start + r.length), None)
            if region is None:
                return None
            size = min(length, region.start + region.length - address)
            found += self._split(region.block, address - region.start + region.offset, size)
            address, length = address + size, length - size
        return found

    def _split(self, block: str, offset: int, length: int) -> Iterable[tuple[str, int, int]]:
        while length > 0:
            size = min(length, self._page_size - offset % self._page_size)
            yield block, offset, size
            offset, length = offset + size, length - size

    def _fetch(self) -> None:
        """Have all wanted pages in `_kept`."""
        wanted, self._wanted = self._wanted - self._kept.keys(), set()
        if not wanted:
            return
        self._kept.update(dict.fromkeys(wanted))
        if self._index.mapped_ram:
            self._fetch_mapped(wanted)
        elif any(item.type == ItemType.COMMAND and item.idstr == _DISCARD for item in self._index.items):
            self.missing["postcopy: pages that were sent once came again, and not in this stream"] = None
        else:
            self._walk(wanted)

    def _fetch_mapped(self, wanted: Iterable[tuple[str, int]]) -> None:
        for name, offset in wanted:
            block = self._blocks[name]
            self._kept[name, offset] = pages.mapped_page(
                self._source, block, offset, self._page_size, self._base
            )

    def _walk(self, wanted: Iterable[tuple[str, int]]) -> None:
        by_block: dict[str, set[int]] = {}
        for block, offset in wanted:
            by_block.setdefault(block, set()).add(offset)
        taker = pages.PageTaker(self._source, self._index, by_block)
        try:
            taker.walk_all(self._index)
        except InputError as error:
            damage = Damage.of(error, 0, DamageRule.RAM_RECORD, fmt.IDSTR)
            if damage not in self.damage:
                self.damage.append(damage)
        if taker.multifd:
            # A page that the main channel has may have come again over another one, which is not here.
            self.missing[
                "multifd: the pages of guest memory went over channels that are not in the stream"
            ] = None
        else:
            self._kept.update(taker.pages)
