"""The second way: forward from the first byte, item by item.

Needs nothing but the bytes. The end of a FULL section comes from the vmdesc where there is
one, else from the next footer, else from the next header; RAM and the other iterable
sections end where their grammar says. Source: QEMU migration/savevm.c, qemu_loadvm_state_main.
"""

from __future__ import annotations

from typing import Any

from msixtool.containers.base import Source
from msixtool.errors import FormatError, InputError, TruncatedError
from msixtool.formats import parse, qevm
from msixtool.formats import ram as ram_format
from msixtool.formats.qevm import ItemType
from msixtool.stream import description as vmdesc
from msixtool.stream import items as kinds
from msixtool.stream import scan
from msixtool.stream.ends import EndFinder
from msixtool.stream.items import Damage, Item, StreamIndex
from msixtool.stream.window import Window

MAX_ITEMS = 1 << 20
"""The most items that a stream is believed to have, runs of PART counted once."""

_TYPES = {ItemType.SECTION_START: kinds.START, ItemType.SECTION_FULL: kinds.FULL}
_CONFIGURATION_MAX = 1 << 16


class ForwardReader:
    """Reads items into an index. One reader serves one stream."""

    def __init__(self, source: Source, index: StreamIndex, *, origin: int = 0) -> None:
        self.source = source
        self.index = index
        self.window = Window(source)
        self.ends = EndFinder(source, index, origin=origin)
        self._past_ram = False

    def header(self) -> int:
        """Read the file header and the configuration section; the offset behind them."""
        offset = qevm.HEADER_SIZE
        if self.window.peek(offset, 1) == bytes([ItemType.CONFIGURATION]):
            try:
                offset = self._configuration(offset)
            except FormatError as error:
                self._damage(error, offset)
                offset = self._next_item(offset)
        return offset

    def read(self, offset: int, *, until_part: bool = False) -> int:
        """Read items from `offset` to the end; with `until_part` stop before the first PART or END.

        Damage goes into the index; nothing is raised for it. Returns the offset reached.
        """
        while len(self.index.items) < MAX_ITEMS:
            try:
                kind = self.window.peek(offset, 1)
            except InputError as error:
                return self._broken_off(error, offset)
            if not kind:
                self.index.end = offset
                self.index.damage.append(
                    Damage(
                        "the stream ends without an end marker: expected 0x00, found nothing",
                        offset,
                        "no-end",
                    )
                )
                return offset
            if kind[0] == ItemType.EOF:
                return self._end(offset)
            if until_part and kind[0] in (ItemType.SECTION_PART, ItemType.SECTION_END):
                return offset
            try:
                offset = self.item(kind[0], offset)
            except FormatError as error:
                if isinstance(error, TruncatedError):
                    return self._broken_off(error, offset)
                self._damage(error, offset)
                offset = self._next_item(offset + 1)
            except InputError as error:
                return self._broken_off(error, offset)
        self.index.damage.append(Damage(f"more than {MAX_ITEMS} items: the rest was left", offset))
        return offset

    def _broken_off(self, error: InputError, offset: int) -> int:
        """The stream, or the container that holds it, ends before it should."""
        self._damage(error, offset, "truncated")
        self.index.end = scan.readable_end(self.source, offset)
        return self.index.end

    def item(self, kind: int, offset: int) -> int:
        """Read the item at `offset`; the offset behind it."""
        if kind in _TYPES:
            return self._section(offset)
        if kind in (ItemType.SECTION_PART, ItemType.SECTION_END):
            return self._part(kind, offset)
        if kind == ItemType.COMMAND:
            return self._command(offset)
        raise FormatError(
            "unknown item type",
            offset=offset,
            expected="0x00 to 0x04 or 0x08",
            found=f"{kind:#04x}",
        )

    def _configuration(self, offset: int) -> int:
        data = self.window.peek(offset, _CONFIGURATION_MAX)
        raw = parse(qevm.CONFIGURATION, data, what="configuration section", offset=offset)
        length = len(qevm.CONFIGURATION.build(raw))
        if not raw.machine.isascii() or not (raw.machine.isprintable()):
            raise FormatError("machine type", offset=offset, expected="a name", found=ascii(raw.machine[:40]))
        self.index.machine = raw.machine
        for subsection in raw.subsections:
            self._configured(subsection.header.name, subsection.body)
        self.index.items.append(
            Item(kinds.CONFIGURATION, offset, length, data_offset=offset + 1, data_length=length - 1)
        )
        return offset + length

    def _configured(self, name: str, body: Any) -> None:
        if name == qevm.TARGET_PAGE_BITS:
            if 10 <= body <= 20:
                self.ends.set_page_size(1 << body)
        elif name == qevm.CAPABILITIES:
            self.index.capabilities = tuple(body)
            self.ends.layout.ignore_shared = "x-ignore-shared" in body
            self.ends.layout.mapped_ram = self.index.mapped_ram = "mapped-ram" in body
        elif name == qevm.UUID:
            self.index.uuid = body

    def _section(self, offset: int) -> int:
        data = self.window.peek(offset, scan.HEADER_MAX)
        header = scan.section_header(data)
        if header is None:
            if len(data) < scan.HEADER_MAX and len(data) < 14 + (data[5] if len(data) > 5 else 0):
                raise TruncatedError("the stream ends inside a section header", offset=offset)
            raise FormatError("section header", offset=offset, expected="a printable idstr and small numbers")
        if header.type == ItemType.SECTION_START:
            self.ends.announced[header.section_id] = header
        elif self._past_ram:
            # What follows RAM is small: now even a compressed stream can be read to its end.
            self.ends.look_for_description()
        self.ends.seen_ids.add(header.section_id)
        start = offset + header.size
        item = Item(
            _TYPES[ItemType(header.type)],
            offset,
            header.size,
            header.section_id,
            header.idstr,
            header.instance_id,
            header.version_id,
            start,
        )
        return self._finish(item)

    def _part(self, kind: int, offset: int) -> int:
        section_id = int.from_bytes(self.window.exactly(offset, 5, "a section header")[1:], "big")
        header = self.ends.announced.get(section_id)
        if header is None:
            raise FormatError(
                "section part",
                offset=offset,
                expected="a section_id that a START announced",
                found=section_id,
            )
        item = Item(
            kinds.PART if kind == ItemType.SECTION_PART else kinds.END,
            offset,
            qevm.PART_HEADER_SIZE,
            section_id,
            header.idstr,
            header.instance_id,
            header.version_id,
            offset + qevm.PART_HEADER_SIZE,
        )
        if kind == ItemType.SECTION_END and header.idstr == ram_format.SECTION:
            self._past_ram = True
        return self._finish(item)

    def _finish(self, item: Item) -> int:
        """Find the end of the item's data, check the footer, and put the item into the index."""
        try:
            end, footer = self.ends.find(item)
        except InputError as error:
            error.at(section=item.idstr)
            if isinstance(error, FormatError) and not isinstance(error, TruncatedError):
                raise
            end = scan.readable_end(self.source, item.data_offset)
            item.data_length, item.length = end - item.data_offset, end - item.offset
            self._append(item)
            raise
        item.data_length = end - item.data_offset
        item.length = end + footer - item.offset
        self._append(item)
        return item.end

    def _append(self, item: Item) -> None:
        last = self.index.items[-1] if self.index.items else None
        if (
            last is not None
            and last.type == item.type == kinds.PART
            and last.section_id == item.section_id
            and last.end == item.offset
        ):
            last.length += item.length
            last.data_length = last.length - qevm.PART_HEADER_SIZE
            return
        self.index.items.append(item)

    def _command(self, offset: int) -> int:
        data = self.window.peek(offset, 5 + 0xFFFF)
        raw = parse(qevm.COMMAND, data, what="command", offset=offset)
        try:
            command = qevm.CommandType(raw.command)
        except ValueError:
            raise FormatError(
                "unknown command", offset=offset, expected="0 to 11", found=raw.command
            ) from None
        if command is qevm.CommandType.POSTCOPY_ADVISE and raw.payload:
            self.ends.layout.postcopy = True
        length = 5 + len(raw.payload)
        self.index.items.append(
            Item(
                kinds.COMMAND,
                offset,
                length,
                idstr=command.name.lower().replace("_", "-"),
                data_offset=offset + 5,
                data_length=len(raw.payload),
            )
        )
        return offset + length

    def _end(self, offset: int) -> int:
        """The end marker at `offset`, and the vmdesc behind it."""
        self.index.terminated = True
        self.index.end = offset + 1
        header = self.window.peek(offset + 1, 5)
        if header[:1] != bytes([ItemType.VMDESCRIPTION]):
            return self.index.end
        return self._vmdescription(offset + 1, int.from_bytes(header[1:], "big"))

    def _vmdescription(self, offset: int, length: int) -> int:
        end = min(offset + 5 + length, scan.readable_end(self.source, offset))
        try:
            if end < offset + 5 + length:
                raise TruncatedError(
                    "the stream ends inside the vmdesc",
                    offset=offset,
                    expected=f"{length} bytes",
                    found=end - offset - 5,
                )
            if length > vmdesc.MAX_SIZE:
                raise FormatError(
                    "vmdesc", offset=offset, expected=f"at most {vmdesc.MAX_SIZE} bytes", found=length
                )
            if self.index.description is None or self.index.description.offset != offset:
                self.ends.use(vmdesc.parse(self.source.read(offset + 5, length), offset))
        except FormatError as error:
            self._damage(error, offset, "vmdesc")
        self.index.items.append(
            Item(
                kinds.VMDESCRIPTION,
                offset,
                end - offset,
                data_offset=offset + 5,
                data_length=end - offset - 5,
            )
        )
        self.index.end = end
        return end

    def _next_item(self, offset: int) -> int:
        """Where the reader is in step again behind `offset`; the end of the stream where it never is."""
        try:
            found = scan.resynchronise(self.source, offset, frozenset(self.ends.announced))
        except InputError:
            found = None
        target = scan.readable_end(self.source, offset) if found is None else found
        self.index.damage.append(Damage(f"{target - offset + 1} bytes skipped", offset - 1, "skipped"))
        return target

    def _damage(self, error: InputError, offset: int, rule: str = "stream") -> None:
        self.index.damage.append(Damage.of(error, offset, rule))
