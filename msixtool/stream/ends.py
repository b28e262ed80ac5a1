"""Where the data of a section ends: its grammar, the vmdesc, the next footer or the next header.

Source: QEMU migration/savevm.c; the vmdesc's sizes and the footers agree in every stream of a
sound QEMU, but for arrays of pointers since 10.0, whose length the vmdesc overstates.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from msixtool.containers.base import Source
from msixtool.errors import FormatError, InputError, TruncatedError
from msixtool.formats import qevm, ram
from msixtool.formats.described import Described
from msixtool.formats.idstr import kind_of_section
from msixtool.formats.qevm import ItemType
from msixtool.stream import scan
from msixtool.stream.description import Vmdesc, find_vmdesc
from msixtool.stream.items import Damage, DamageRule, Item, StreamIndex
from msixtool.stream.ram import RamLayout, RamWalker
from msixtool.stream.window import Window

if TYPE_CHECKING:
    from msixtool.stream.iterable import Grammar

_FULL = ItemType.SECTION_FULL
"""Looked up once: it costs Python 3.11 as much as a call."""
LIKELY_PAGE_SIZES = (4096, 65536, 8192, 16384, 1024, 2048)
"""Target page sizes to try where the stream does not say, in bytes, the commonest first."""
MAX_VAIN_SCANS = 16
"""How often a search for a footer may run to the end of the stream in vain before none is made any more."""


class EndFinder:
    """Finds the ends of the sections of one stream, and keeps what has been learned on the way."""

    def __init__(self, source: Source, index: StreamIndex, window: Window, *, origin: int = 0) -> None:
        self.source = source
        self.index = index
        self.window = window
        self.layout = RamLayout(origin=origin)
        self.ram = RamWalker(source, self.layout)
        self.announced: dict[int, scan.SectionHeader] = {}
        """START headers by section_id."""
        self.seen_ids: set[int] = set()
        self._entries: dict[tuple[str, int], Described] | None = None
        self._page_size_known = self._looked_for_description = False
        self._vain_scans = 0
        self.misled = False
        """Whether sizes were taken from a vmdesc that turned out to be another stream's."""

    def use(self, description: Vmdesc | None, *, last: bool = False) -> None:
        """Take sizes and the page size from `description` from here on; with `last` look for no other."""
        self._looked_for_description = self._looked_for_description or last
        if description is None:
            return
        self.misled = self.misled or self.index.description is not None
        self.index.description = description
        self._entries = description.contents.entries
        if description.contents.page_size:
            self.set_page_size(description.contents.page_size)

    def look_for_description(self) -> None:
        """Find the vmdesc from the end, if that has not been tried."""
        if self.index.description is not None or self._looked_for_description:
            return
        self._looked_for_description = True
        try:
            self.use(find_vmdesc(self.source))
        except FormatError as error:
            self.index.report(Damage.of(error, 0, DamageRule.VMDESC))
        except InputError:
            pass  # The container is damaged: the reader will come to the place and say so.

    def set_page_size(self, size: int) -> None:
        self.layout.page_size = self.index.page_size = size
        self._page_size_known = True

    def find(self, item: Item) -> tuple[int, int]:
        """The offset behind the item's data, and the size of the footer there."""
        is_full = item.type is _FULL
        if item.idstr == ram.IDSTR and not is_full:
            end = self._walk_ram(item.data_offset)
            self.index.blocks = self.ram.blocks
            if item.type != ItemType.SECTION_START:
                self.index.ram = self.ram.count
            return end, self._footer(end, item)
        layout = None
        if is_full and self._entries is not None:
            layout = self._entries.get((item.idstr or "", item.instance_id or 0))
        grammar = _grammar(item, layout)
        if grammar is not None and (not is_full or grammar.full):
            end = grammar.end(self.window, item.data_offset, item.type)
            item.layout = layout
            return end, self._footer(end, item)
        if is_full and self._entries is not None:
            return self._described_end(item, layout)
        return self._scanned_end(item)

    def _described_end(self, item: Item, layout: Described | None) -> tuple[int, int]:
        """As `find`, by what the vmdesc says, unless the bytes there say otherwise."""
        if layout is None:
            self._damage(item, "the vmdesc does not know the section", DamageRule.VMDESC_MISMATCH)
            return self._scanned_end(item)
        try:
            size = layout.size
        except FormatError as error:
            self.index.report(_of(error, item, DamageRule.VMDESC))
            return self._scanned_end(item)
        end = item.data_offset + size
        if self._has_own_footer(end, item):
            item.layout = layout
            return end, qevm.FOOTER_SIZE
        end = self._found_end(item, layout, size)
        return end, self._footer(end, item)

    def _found_end(self, item: Item, layout: Described, size: int) -> int:
        """The end that the vmdesc gives, or where the section's footer stands elsewhere that place."""
        end = item.data_offset + size
        inside = not size or bool(self.window.peek(end - 1, 1))
        if inside and self._looks_like_end(end):
            item.layout = layout
            return end
        found = self._scan_footer(item)
        if found is None or found == end:
            item.layout = layout
            if not inside:
                raise self._cut_short(item, size)
            return end
        if not layout.has_null_pointers:
            self._damage(
                item,
                f"section out of step with vmdesc: expected {size} bytes, found {found - item.data_offset}",
                DamageRule.VMDESC_MISMATCH,
            )
        return found

    def _cut_short(self, item: Item, size: int) -> TruncatedError:
        return TruncatedError(
            "the stream ends inside a section",
            offset=item.data_offset,
            expected=f"{size} bytes",
            found=scan.readable_end(self.source, item.data_offset) - item.data_offset,
        )

    def _looks_like_end(self, end: int) -> bool:
        """Whether a footer (of any section) stands at `end`, or an item where there are none."""
        behind = self.window.peek(end, qevm.SECTION_HEADER_MAX + qevm.FOOTER_SIZE)
        if behind[:1] == qevm.FOOTER_MARK:
            return True
        if self.index.footers is None and behind[:1] == bytes([ItemType.EOF]):
            return False  # No section has told yet, and zeros are everywhere: a footer may follow.
        return not self.index.footers and self._plausible(behind)

    def _plausible(self, data: bytes) -> bool:
        return scan.plausible_item(data, self.announced.keys(), at_end=False)

    def _scan_footer(self, item: Item) -> int | None:
        """The footer of the section, searched for; given up where that was in vain too often."""
        if self.index.footers is False or self._vain_scans >= MAX_VAIN_SCANS:
            return None
        sid = item.section_id or 0
        found = scan.find_footer(self.source, item.data_offset, sid, self.announced.keys())
        self._vain_scans += found is None
        return found

    def _scanned_end(self, item: Item) -> tuple[int, int]:
        """The end of data that nothing describes: the next footer, else the next header, else the end."""
        found = self._scan_footer(item)
        if found is not None:
            return found, self._footer(found, item)
        if not self.index.footers:
            following = scan.find_header(self.source, item.data_offset, self.seen_ids)
            return self._last_end(item) if following is None else (following, 0)
        following = self.next_item(item.data_offset)
        if following is None:
            raise TruncatedError("the stream ends inside a section", offset=item.data_offset)
        # What stands where the footer should be may be one of another section.
        end = max(item.data_offset, following - qevm.FOOTER_SIZE)
        if self.source.read(end, 1) != qevm.FOOTER_MARK:
            end = following
        return end, self._footer(end, item)

    def next_item(self, offset: int) -> int | None:
        """Where the reader can be in step again at or after `offset`; None where it never is.

        Raises InputError where the container is damaged before that.
        """
        return scan.resynchronise(self.source, offset, self.announced.keys(), self.seen_ids)

    def _last_end(self, item: Item) -> tuple[int, int]:
        """The end of the last section of a stream without footers and vmdesc: the end marker."""
        last = scan.readable_end(self.source, item.data_offset) - 1
        if last >= item.data_offset and self.source.read(last, 1) == b"\0":
            return last, 0
        raise TruncatedError("the stream ends inside a section", offset=item.data_offset)

    def _walk_ram(self, offset: int) -> int:
        first: FormatError | None = None
        before = self.ram.current
        for page_size, shared in self._guesses():
            self.layout.page_size, self.layout.ignore_shared = page_size, shared
            count = replace(self.ram.count)
            try:
                end = self.ram.walk(offset)
            except FormatError as error:
                first, self.ram.count, self.ram.current = first or error, count, before
                continue
            if self.ram.count.pages:
                self.set_page_size(page_size)
            return end
        assert first is not None
        # The reader goes on somewhere else: nobody knows of which block the next pages are.
        self.ram.current = None
        raise first

    def _guesses(self) -> list[tuple[int, bool]]:
        """Page sizes and layouts of the block list to try: one where the stream says, else several."""
        sizes = (self.layout.page_size,) if self._page_size_known else LIKELY_PAGE_SIZES
        # Without a configuration section nothing says that the list holds addresses.
        shared = (False, True) if self.index.machine is None else (self.layout.ignore_shared,)
        return [(size, flag) for flag in shared for size in sizes]

    def _has_own_footer(self, offset: int, item: Item) -> bool:
        """Whether the footer of the item stands at `offset`, where others have had one."""
        return bool(self.index.footers) and self.window.peek(offset, qevm.FOOTER_SIZE) == qevm.footer(
            item.section_id or 0
        )

    def _footer(self, offset: int, item: Item) -> int:
        """Check the footer at `offset`; its size there: 5, or 0 where it is missing."""
        if self._has_own_footer(offset, item):
            return qevm.FOOTER_SIZE
        data = self.window.peek(offset, qevm.FOOTER_SIZE)
        is_footer = data[:1] == qevm.FOOTER_MARK
        if is_footer and self.index.footers is False and self._plausible(data):
            is_footer = False
        if self.index.footers is None:
            self.index.footers = is_footer
        if not is_footer:
            return self._no_footer(offset, item, data)
        if len(data) < qevm.FOOTER_SIZE:
            raise TruncatedError("the stream ends inside a section footer", offset=offset)
        found = qevm.section_id(data)
        if found != item.section_id:
            self._damage(
                item,
                f"footer of another section: expected section_id {item.section_id}, found {found}",
                DamageRule.FOOTER_MISMATCH,
                offset,
            )
        return qevm.FOOTER_SIZE

    def _no_footer(self, offset: int, item: Item, data: bytes) -> int:
        if not data:
            if self.index.footers:
                raise TruncatedError("the stream ends before a section footer", offset=offset)
            return 0
        if self.index.footers:
            self._damage(
                item,
                f"section footer missing: expected 0x7e, found {data[0]:#04x}",
                DamageRule.FOOTER_MISSING,
                offset,
            )
            here, behind = (
                self._plausible(self.window.peek(place, qevm.SECTION_HEADER_MAX))
                for place in (offset, offset + qevm.FOOTER_SIZE)
            )
            if behind and not here:
                return qevm.FOOTER_SIZE
        return 0

    def _damage(self, item: Item, text: str, rule: DamageRule, offset: int | None = None) -> None:
        place = item.offset if offset is None else offset
        self.index.report(Damage(text, place, rule, item.idstr, item.instance_id))


def _of(error: FormatError, item: Item, rule: DamageRule) -> Damage:
    return Damage.of(error, item.offset, rule, item.idstr, item.instance_id)


def _grammar(item: Item, layout: Described | None) -> Grammar | None:
    """The grammar of a section that QEMU writes by hand: a vmsd has none."""
    if layout is not None and layout.is_vmsd:
        return None
    return _grammars().get(kind_of_section(item.idstr or ""))


@lru_cache(maxsize=1)
def _grammars() -> dict[str, Grammar]:
    from msixtool.stream.iterable import GRAMMARS  # rarely one, with all their records in tow

    return GRAMMARS
