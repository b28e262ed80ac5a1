"""The first way: from the end. The vmdesc sizes every section; RAM is never read.

Front and back are read exactly and checked header by header, footer by footer. What lies
between is the PART items of RAM and its END, found by searching backwards for its header and
walking its records up to the footer. Anything that does not fit makes this way give up: the
forward way then says what is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from msixtool.containers.base import WINDOW
from msixtool.errors import FormatError
from msixtool.formats import build, qevm, ram
from msixtool.formats.described import Described
from msixtool.formats.qevm import CommandType, ItemType
from msixtool.stream import runs, scan
from msixtool.stream.description import Vmdesc
from msixtool.stream.forward import ForwardReader, vmdesc_item
from msixtool.stream.items import Item
from msixtool.stream.ram import RamWalker
from msixtool.stream.window import WindowBehind

_SWITCHOVER = build(
    qevm.COMMAND, {"command": CommandType.SWITCHOVER_START.value, "payload": b""}, what="command"
)
_EOS = build(ram.RECORD_HEADER, ram.Flag.EOS.value, what="end of records")
MAX_TRIES = 64
"""How many places that look like RAM's END are walked before this way gives up: pages may hold anything."""


def read_from_end(reader: ForwardReader, offset: int, description: Vmdesc) -> bool:
    """Fill the reader's index from `offset` (behind the configuration section) on.

    True when every section was found and checked; False when something does not fit: the
    index then holds items that the caller throws away.
    """
    index = reader.index
    middle = reader.read(offset, until_part=True)
    if index.damage:
        return False
    if index.terminated:
        return index.end == description.end
    try:
        tail = _tail(reader, description, middle)
        if tail is None:
            return False
        between = _between(reader, middle, tail[0].offset if tail else description.offset - 1)
    except FormatError:
        return False
    if between is None:
        return False
    index.items += between + tail
    index.items.append(vmdesc_item(description.offset, description.end))
    index.terminated, index.end = True, description.end
    return True


def _tail(reader: ForwardReader, description: Vmdesc, middle: int) -> list[Item] | None:
    """The FULL sections behind RAM, walked from the end marker back; None where one does not fit."""
    early = list(reader.index.full_sections())
    devices = description.contents.devices
    for item, layout in zip(early, devices, strict=False):
        if item.idstr != layout.idstr:
            return None
    if len(early) > len(devices):
        return None
    late = devices[len(early) :]
    footer = qevm.FOOTER_SIZE if reader.index.footers else 0
    end = description.offset - 1
    start = end - sum(_length(layout, footer) for layout in late)
    source = WindowBehind(reader.source, start, description.offset)
    if start < middle or source.read(end, 1) != bytes([ItemType.EOF]):
        return None
    items: list[Item] = []
    for layout in reversed(late):
        found = _section_before(source, end, layout, footer)
        if found is None:
            return None
        items.append(found)
        end = found.offset
    return items[::-1]


def _section_before(source: WindowBehind, end: int, layout: Described, footer: int) -> Item | None:
    """The FULL section that `layout` is of and that ends at `end`, footer and all, if it stands there."""
    offset = end - _length(layout, footer)
    header = scan.header_at_start(source.read(offset, qevm.SECTION_HEADER_MAX))
    if header is None or header.type != ItemType.SECTION_FULL or header.idstr != layout.idstr:
        return None
    if footer and source.read(end - footer, footer) != qevm.footer(header.section_id):
        return None
    item = header.item(header.type, offset, header.size).ending(end - footer, footer)
    item.layout = layout
    return item


def _length(layout: Described, footer: int) -> int:
    """Bytes of a whole FULL section with a footer of so many."""
    return qevm.SECTION_HEADER_NAMELESS + len(layout.idstr.encode()) + layout.size + footer


def _between(reader: ForwardReader, start: int, end: int) -> list[Item] | None:
    """The items from the first PART or END at `start` up to the first late FULL at `end`."""
    announced = list(reader.ends.announced.values())
    if len(announced) != 1 or announced[0].idstr != ram.IDSTR:
        # Parts of several sections take turns: walk them.
        return _walked(reader, end)
    header = announced[0]
    last = _find_end(reader, start, end, header.section_id)
    if last is None:
        return None
    items = [_ram_item(ItemType.SECTION_END, last, end, header, bool(reader.index.footers))]
    if reader.source.read(last - len(_SWITCHOVER), len(_SWITCHOVER)) == _SWITCHOVER:
        last -= len(_SWITCHOVER)
        items.insert(0, _switchover(last))
    if last > start:
        part = qevm.part_header(ItemType.SECTION_PART, header.section_id)
        separator = _separator(reader, header.section_id)
        if (
            reader.source.read(start, len(part)) != part
            or reader.source.read(last - len(separator), len(separator)) != separator
        ):
            return None
        items.insert(0, _ram_item(ItemType.SECTION_PART, start, last, header, bool(reader.index.footers)))
    return items


def _walked(reader: ForwardReader, end: int) -> list[Item] | None:
    """The items up to `end`, walked forward with what the reader knows already."""
    index = reader.index
    known = len(index.items)
    offset = known and index.items[-1].end
    while offset < end and not index.damage:
        offset = reader.item(reader.window.peek(offset, qevm.SECTION_HEADER_MAX), offset)
    items = index.items[known:]
    del index.items[known:]
    return items if offset == end and not index.damage else None


def _separator(reader: ForwardReader, section_id: int) -> bytes:
    """The bytes that must stand before the header of a RAM section's next part: EOS, and a footer."""
    return _EOS + (qevm.footer(section_id) if reader.index.footers else b"")


def _find_end(reader: ForwardReader, start: int, end: int, section_id: int) -> int | None:
    """The offset of RAM's END section: the last place whose records lead exactly to `end`."""
    footer = qevm.footer(section_id) if reader.index.footers else b""
    end -= len(footer)
    if reader.source.read(end, len(footer)) != footer:
        return None
    places = islice(_end_headers(reader, start, end, section_id), MAX_TRIES)
    return next((place for place in places if _walks_to(reader, place, end)), None)


def _end_headers(reader: ForwardReader, start: int, end: int, section_id: int) -> Iterator[int]:
    """Where the header of RAM's END may stand between two offsets, the last place first.

    That is behind a PART, behind the command that may follow one, or right at the start. Both are
    looked for with what must stand before them: the longer the needle, the quicker the search.
    """
    header = qevm.part_header(ItemType.SECTION_END, section_id)
    separator = _separator(reader, section_id)
    needles = (separator + header, separator + _SWITCHOVER + header)
    longest = len(needles[-1])
    high = end - len(header) + 1
    while high > start + 1:
        low = max(start + 1, high - WINDOW)
        base = max(0, low - longest)
        data = reader.source.read(base, high - base + len(header) - 1)
        limit = len(data)
        while (found := max(_last(data, needle, low - base + len(header), limit) for needle in needles)) >= 0:
            yield base + found - len(header)
            limit = found - 1
        high = min(low, _before_run(reader, data, base) - len(header) + 1)
    if reader.source.read(start, len(header)) == header:
        yield start


def _before_run(reader: ForwardReader, data: bytes, base: int) -> int:
    """Where the run of pages starts that `data` begins in; the end of `data` where it begins in none.

    Should an END hide in what looks like a run, it is not found, and the forward way is taken.
    """
    page_size = reader.ends.layout.page_size
    inside = runs.find_run(data, page_size)
    if inside is None:
        return base + len(data)
    count = runs.pages_before(reader.source, base + inside, page_size)
    return base + inside - count * runs.stride(page_size)


def _last(data: bytes, needle: bytes, first: int, limit: int) -> int:
    """The last place from `first` up to `limit` where the needle ends; -1 for none."""
    found = data.rfind(needle, max(0, first - len(needle)), limit)
    return found if found < 0 else found + len(needle)


def _walks_to(reader: ForwardReader, candidate: int, end: int) -> bool:
    walker = RamWalker(reader.source, reader.ends.layout, reader.ends.ram.blocks, skim=True)
    try:
        return walker.walk(candidate + qevm.PART_HEADER_SIZE) == end
    except FormatError:
        return False


def _ram_item(kind: ItemType, offset: int, end: int, header: scan.SectionHeader, footers: bool) -> Item:
    footer = qevm.FOOTER_SIZE if footers else 0
    return header.item(kind, offset, qevm.PART_HEADER_SIZE).ending(end - footer, footer)


def _switchover(offset: int) -> Item:
    return Item(
        ItemType.COMMAND,
        offset,
        len(_SWITCHOVER),
        idstr="switchover-start",
        data_offset=offset + len(_SWITCHOVER),
    )
