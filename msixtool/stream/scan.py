"""Finding the next item where nothing says how long the present one is.

A footer is 0x7e and the section_id: five known bytes. They may occur in data by accident, so
a hit counts only when what follows parses as an item too. Without footers the next section
header has to be recognised by itself: by its name, and by numbers as sections of QEMU have them.
Where a header must stand, any numbers are read as QEMU reads them.
"""

from __future__ import annotations

import re
from collections.abc import Set
from functools import lru_cache

from msixtool.containers.base import WINDOW, Source
from msixtool.errors import InputError
from msixtool.formats import qevm
from msixtool.formats.qevm import (
    CONTINUING,
    FOOTER_SIZE,
    IDSTR_OFFSET,
    MAGIC,
    OPENING,
    SECTION_HEADER_MAX,
    ItemType,
)
from msixtool.kept import NamedTuple
from msixtool.stream.items import Item

SMALL = 0xFFFF
"""What a number in a header that is searched for may be at most. section_ids count the registrations
of one process. An instance_id may be any (an address, a CPU's number), and so may a version_id (a date
in the `eeprom` of hw/nvram/eeprom93xx.c), but no section of QEMU has a large one of both."""
_OPENING = {int(kind): kind for kind in OPENING}
_IDENTITY_SIZE = qevm.SECTION_HEADER_NAMELESS - IDSTR_OFFSET
_SMALL_ID = rb"\x00\x00.."
"""A section_id up to SMALL."""
_HEADER_START = re.compile(b"[" + bytes(OPENING) + b"]" + _SMALL_ID + rb"[^\x00][\x20-\x7e]", re.DOTALL)
"""A header up to the first letter of its idstr."""
_OVERLAP = SECTION_HEADER_MAX + FOOTER_SIZE


_NEAR = 2048
"""Bytes in which a footer is looked for first: most sections are small."""


class SectionHeader(NamedTuple):
    """A START or FULL header as it stands in the stream; `size` in bytes."""

    type: ItemType
    section_id: int
    idstr: str
    instance_id: int
    version_id: int
    size: int

    def item(self, kind: ItemType, offset: int, size: int) -> Item:
        """An item of the section at `offset`, with a header of `size` bytes, whose end is to be found."""
        _, section_id, idstr, instance_id, version_id, _ = self
        return Item(kind, offset, size, section_id, idstr, instance_id, version_id, offset + size)


def header_at_start(data: bytes) -> SectionHeader | None:
    """The START or FULL header at the start of `data`, if a printable idstr stands in it."""
    size = qevm.section_header_size(data)
    return _header(data[:size]) if len(data) >= size and data[0] in _OPENING else None


@lru_cache(1 << 10)
def _header(data: bytes) -> SectionHeader | None:
    """Machines alike have the same headers: a fleet of them is read once."""
    kind, section_id, idstr, instance_id, version_id = qevm.section_header(data)
    if not _is_name(idstr):
        return None
    return SectionHeader(_OPENING[kind], section_id, idstr, instance_id, version_id, len(data))


def _is_name(text: str) -> bool:
    return bool(text) and text.isascii() and text.isprintable()


def plausible_header(data: bytes) -> SectionHeader | None:
    """The header at the start of `data` if its numbers are such as sections of QEMU have."""
    header = header_at_start(data)
    if header is None or header.section_id > SMALL or min(header.instance_id, header.version_id) > SMALL:
        return None
    return header


def plausible_item(data: bytes, known_ids: Set[int], at_end: bool) -> bool:
    """Whether an item may start at the start of `data`; `at_end` says that the stream ends with it."""
    if not data:
        return at_end
    kind = data[0]
    if kind in OPENING:
        return plausible_header(data) is not None or (at_end and _is_cut_header(data))
    if kind in CONTINUING:
        return qevm.section_id(data) in known_ids if len(data) >= qevm.PART_HEADER_SIZE else at_end
    if kind == ItemType.COMMAND:
        if len(data) < qevm.COMMAND_HEADER_SIZE:
            return at_end
        number, length = qevm.command_header(data)
        return number < 32 and length < 256
    # Behind the end marker: a vmdesc, another stream, or nothing but what a container pads with. One zero
    # is not enough: in the `timer` section, whose section_id is 0, an offset may hold a footer's five bytes.
    behind = data[1:2] == bytes([ItemType.VMDESCRIPTION]) or data[1:5] == MAGIC or not any(data[1:])
    return kind == ItemType.EOF and behind


def _is_cut_header(data: bytes) -> bool:
    """Whether this may be the beginning of a START or FULL header, which the stream ends inside."""
    size = qevm.section_header_size(data)
    begun = len(data) <= IDSTR_OFFSET or _is_name(
        data[IDSTR_OFFSET : size - _IDENTITY_SIZE].decode("latin-1")
    )
    return len(data) < size and not any(data[1:3]) and begun


def _reach(window: bytes) -> int:
    """How far into a window to look: all of the last one, not what the next begins with of the others."""
    return len(window) if len(window) < WINDOW + _OVERLAP else WINDOW


def find_footer(source: Source, offset: int, section_id: int, known_ids: Set[int]) -> int | None:
    """The offset of the footer of `section_id` at or after `offset`, or None before the end.

    A hit before an end marker that foreign bytes follow counts only where there is no better one.
    """
    needle = qevm.footer(section_id)
    doubtful: int | None = None
    span = _NEAR
    while True:
        window = source.read(offset, span + _OVERLAP)
        at_end = len(window) < span + _OVERLAP
        reach = len(window) if at_end else span
        position = -1
        while 0 <= (position := window.find(needle, position + 1)) < reach:
            behind = window[position + FOOTER_SIZE : position + _OVERLAP]
            if plausible_item(behind, known_ids, at_end):
                return offset + position
            if doubtful is None and behind[:1] == bytes([ItemType.EOF]):
                doubtful = offset + position
        if at_end:
            return doubtful
        offset, span = offset + span, WINDOW


def find_header(source: Source, offset: int, seen_ids: Set[int], limit: int | None = None) -> int | None:
    """The offset of the next plausible FULL or START header at or after `offset`, or None.

    Only a section_id that has not been seen yet counts: it is announced once. `limit` is the
    offset at which to stop looking.
    """
    while limit is None or offset < limit:
        window = source.read(offset, WINDOW + _OVERLAP)
        position = 0
        while found := _HEADER_START.search(window, position):
            position = found.start() + 1
            if found.start() >= _reach(window) or (limit is not None and offset + found.start() >= limit):
                break
            header = plausible_header(window[found.start() : found.start() + SECTION_HEADER_MAX])
            if header is not None and header.section_id not in seen_ids and len(header.idstr) > 2:
                return offset + found.start()
        if len(window) < WINDOW + _OVERLAP:
            return None
        offset += WINDOW
    return None


def resynchronise(source: Source, offset: int, known_ids: Set[int], seen_ids: Set[int]) -> int | None:
    """The offset of the next item at or after `offset`, or None: where the present one makes no sense.

    It is the nearer of two: what follows some footer (any small section_id counts as a footer's,
    but then comes a START or FULL header, or the PART or END of a section that was announced), and
    the header of a section that was not seen yet.
    """
    behind_footer = _behind_a_footer(source, offset, known_ids)
    header = find_header(source, offset, seen_ids, behind_footer)
    return behind_footer if header is None else header


def _behind_a_footer(source: Source, offset: int, known_ids: Set[int]) -> int | None:
    types = bytes((*OPENING, *CONTINUING, ItemType.COMMAND))
    pattern = re.compile(qevm.FOOTER_MARK + _SMALL_ID + rb"(?=[" + types + rb"])", re.DOTALL)
    while True:
        window = source.read(offset, WINDOW + _OVERLAP)
        for found in pattern.finditer(window):
            behind = window[found.end() : found.end() + SECTION_HEADER_MAX]
            if found.start() < _reach(window) and plausible_item(behind, known_ids, at_end=False):
                return offset + found.end()
        if len(window) < WINDOW + _OVERLAP:
            return None
        offset += WINDOW


def readable_end(source: Source, offset: int, end: int | None = None) -> int:
    """The offset up to which a source can be read, at or after `offset` and up to `end` where that is asked.

    Where the source has a size and something at its last byte, what is before that is not read: a file
    or a disk may go on for gigabytes behind its stream.
    """
    try:
        if not source.sequential:
            last = source.size if end is None else min(end, source.size)
            if last <= offset or source.read(last - 1, 1):
                return max(last, offset)
    except InputError:
        pass
    try:
        while (end is None or offset < end) and (data := source.read(offset, WINDOW)):
            offset += len(data)
    except InputError:
        pass
    return offset if end is None else min(offset, end)
