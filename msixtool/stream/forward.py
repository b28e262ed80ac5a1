"""The second way: forward from the first byte, item by item.

Needs nothing but the bytes. The end of a FULL section comes from the vmdesc where there is
one, else from the next footer, else from the next header; RAM and the other iterable
sections end where their grammar says. Source: QEMU migration/savevm.c, qemu_loadvm_state_main.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from msixtool.containers.base import Source
from msixtool.errors import FormatError, InputError, TruncatedError
from msixtool.formats import parse, qevm, ram
from msixtool.formats.qevm import CONTINUING, OPENING, CommandType, ItemType
from msixtool.qemu.versions import noted_version
from msixtool.stream import scan
from msixtool.stream.description import MAX_VMDESC_SIZE, vmdesc_of
from msixtool.stream.ends import EndFinder
from msixtool.stream.items import MAX_DAMAGE, Damage, DamageRule, Item, StreamIndex
from msixtool.stream.window import Window

MAX_ITEMS = 1 << 17
"""The most items that a stream is believed to have, runs of PART counted once: a kilobyte of memory each."""

_EOF, _START, _PART, _END = (
    ItemType.EOF,
    ItemType.SECTION_START,
    ItemType.SECTION_PART,
    ItemType.SECTION_END,
)
"""Looked up once: that costs Python 3.11 as much as a call."""
_CONFIGURATION_MAX = 1 << 16
_COMMANDS = {
    int(command): command.name.lower().replace("_", "-")
    for command in CommandType
    if command is not CommandType.INVALID
}
_PAYLOADS: dict[int, int] = {
    CommandType.OPEN_RETURN_PATH: 0,
    CommandType.PING: 4,
    CommandType.POSTCOPY_LISTEN: 0,
    CommandType.POSTCOPY_RUN: 0,
    CommandType.PACKAGED: 4,
    CommandType.SWITCHOVER_START: 0,
}
"""The payloads of one length, in bytes, as QEMU checks them; 8 and 9 had other meanings in 3.0."""


class ForwardReader:
    """Reads items into an index. One reader serves one stream."""

    def __init__(self, source: Source, index: StreamIndex, *, origin: int = 0) -> None:
        self.source = source
        self.index = index
        self.window = Window(source)
        self.ends = EndFinder(source, index, self.window, origin=origin)
        self._past_ram = False
        self._package_end: int | None = None

    def header(self) -> int:
        """Read the file header and the configuration section; the offset behind them."""
        offset = qevm.HEADER_SIZE
        if self.window.peek(offset, 1) == bytes([ItemType.CONFIGURATION]):
            try:
                offset = self._configuration(offset)
            except FormatError as error:
                self._damage(error, offset, DamageRule.CONFIGURATION)
                offset = self._next_item(offset + 1)
        return offset

    def read(self, offset: int, *, until_part: bool = False) -> int:
        """Read items from `offset` to the end; with `until_part` stop before the first PART or END.

        Damage goes into the index; nothing is raised for it. Returns the offset reached.
        """
        while len(self.index.items) < MAX_ITEMS and len(self.index.damage) < MAX_DAMAGE:
            try:
                head = self.window.peek(offset, qevm.SECTION_HEADER_MAX)
                if not head:
                    return self._ends_without_marker(offset)
                if head[0] == _EOF:
                    return self._end(offset)
                if until_part and head[0] in CONTINUING:
                    return offset
                offset = self.item(head, offset)
            except InputError as error:
                if not isinstance(error, FormatError) or isinstance(error, TruncatedError):
                    return self._broken_off(error, offset)
                self._damage(error, offset, _rule_of(error, head))
                offset = self._next_item(offset + 1)
            if self._package_end is not None:
                self._check_package(offset, self._package_end)
        text = f"more than {MAX_ITEMS} items or {MAX_DAMAGE} damaged places: the rest was left"
        self._note(text, offset, DamageRule.SKIPPED)
        self.index.end = offset
        return offset

    def _ends_without_marker(self, offset: int) -> int:
        self.index.end = offset
        text = "the stream ends without an end marker: expected 0x00, found nothing"
        self._note(text, offset, DamageRule.NO_END_MARKER)
        return offset

    def _broken_off(self, error: InputError, offset: int) -> int:
        """The stream, or the container that holds it, ends before it should."""
        rule = DamageRule.TRUNCATED if isinstance(error, TruncatedError) else DamageRule.CONTAINER
        self._damage(error, offset, rule)
        self.index.end = scan.readable_end(self.source, offset)
        return self.index.end

    def _check_package(self, offset: int, end: int) -> None:
        """A PACKAGED command announces how many bytes of items follow: an item must end there."""
        if offset > end:
            self._note("the package ends inside an item", end, DamageRule.COMMAND)
        if offset >= end:
            self._package_end = None

    def item(self, head: bytes, offset: int) -> int:
        """Read the item at `offset`, where `head` stands; the offset behind it."""
        kind = head[0]
        if kind in OPENING:
            return self._section(head, offset)
        if kind in CONTINUING:
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
        machine, version = qevm.without_note(raw.machine)
        if not machine.isascii() or not machine.isprintable():
            raise FormatError("machine type", offset=offset, expected="a name", found=ascii(raw.machine[:40]))
        self.index.machine, self.index.qemu = machine, noted_version(version)
        for subsection in raw.subsections:
            self._configured(subsection.header.name, subsection.body)
        self.index.items.append(
            Item(ItemType.CONFIGURATION, offset, length, data_offset=offset + 1, data_length=length - 1)
        )
        return offset + length

    def _configured(self, name: str, body: Any) -> None:
        if name == qevm.TARGET_PAGE_BITS:
            if 1 << min(body, 64) in qevm.PAGE_SIZES:
                self.ends.set_page_size(1 << body)
        elif name == qevm.CAPABILITIES:
            self.index.capabilities = tuple(body)
            self.ends.layout.ignore_shared = "x-ignore-shared" in body
            self.ends.layout.mapped_ram = self.index.mapped_ram = "mapped-ram" in body
        elif name == qevm.UUID:
            self.index.uuid = body

    def _section(self, head: bytes, offset: int) -> int:
        header = scan.header_at_start(head)
        if header is None:
            if len(head) < qevm.section_header_size(head):
                raise TruncatedError("the stream ends inside a section header", offset=offset)
            raise FormatError("section header", offset=offset, expected="a printable idstr")
        if header.type is _START:
            self.ends.announced[header.section_id] = header
        elif self._past_ram:
            # What follows RAM is small: now even a compressed stream can be read to its end.
            self.ends.look_for_description()
        self.ends.seen_ids.add(header.section_id)
        return self._finish(header.item(header.type, offset, header.size))

    def _part(self, kind: int, offset: int) -> int:
        section_id = qevm.section_id(self.window.exactly(offset, qevm.PART_HEADER_SIZE, "a section header"))
        header = self.ends.announced.get(section_id)
        if header is None:
            raise FormatError(
                "section part",
                offset=offset,
                expected="a section_id that a START announced",
                found=section_id,
            )
        if kind == _END and header.idstr == ram.IDSTR:
            self._past_ram = True
        return self._finish(header.item(ItemType(kind), offset, qevm.PART_HEADER_SIZE))

    def _finish(self, item: Item) -> int:
        """Find the end of the item's data, check the footer, and put the item into the index."""
        try:
            end, footer = self.ends.find(item)
        except InputError as error:
            error.at(section=item.idstr)
            if isinstance(error, FormatError) and not isinstance(error, TruncatedError):
                raise
            self._append(item.ending(scan.readable_end(self.source, item.data_offset)))
            raise
        self._append(item.ending(end, footer))
        return item.end

    def _append(self, item: Item) -> None:
        last = self.index.items[-1] if item.type is _PART and self.index.items else None
        if (
            last is not None
            and last.type is _PART
            and last.section_id == item.section_id
            and last.end == item.offset
        ):
            last.length += item.length
            last.data_length = item.data_offset + item.data_length - last.data_offset
            return
        self.index.items.append(item)

    def _command(self, offset: int) -> int:
        head = self.window.exactly(offset, qevm.COMMAND_HEADER_SIZE, "a command")
        number, length = qevm.command_header(head)
        name = _COMMANDS.get(number)
        if name is None:
            raise FormatError("unknown command", offset=offset, expected="1 to 11", found=number)
        payload = self.window.exactly(offset + qevm.COMMAND_HEADER_SIZE, length, "a command")
        expected = _PAYLOADS.get(number, length)
        if length != expected:
            text = f"command {name}: expected {expected} bytes, found {length}"
            self._note(text, offset, DamageRule.COMMAND)
        end = offset + qevm.COMMAND_HEADER_SIZE + length
        if number == CommandType.PACKAGED and length == expected:
            self._package_end = end + parse(qevm.PACKAGED_LENGTH, payload, what="package")
        elif number == CommandType.POSTCOPY_ADVISE and payload:
            self.ends.layout.postcopy = True
        place = offset + qevm.COMMAND_HEADER_SIZE
        self.index.items.append(
            Item(ItemType.COMMAND, offset, end - offset, idstr=name, data_offset=place, data_length=length)
        )
        return end

    def _end(self, offset: int) -> int:
        """The end marker at `offset`, and the vmdesc behind it."""
        self.index.terminated = True
        self.index.end = offset + 1
        header = self.window.peek(offset + 1, qevm.VMDESC_HEADER_SIZE)
        if header[:1] == bytes([ItemType.VMDESCRIPTION]):
            self._vmdescription(offset + 1, qevm.vmdesc_length(header.ljust(qevm.VMDESC_HEADER_SIZE, b"\0")))
        elif self.index.description is not None and header[:4] == qevm.MAGIC:
            self.ends.misled, self.index.description = True, None
        self._compare_with_description(offset)
        return self.index.end

    def _compare_with_description(self, offset: int) -> None:
        """The sections that the vmdesc describes and that never came."""
        if self.index.description is None:
            return
        devices = self.index.description.contents.devices
        found = {id(item.layout) for item in self.index.full_sections() if item.layout is not None}
        if len(found) == len(devices):
            return
        came = Counter([(item.idstr, item.instance_id) for item in self.index.full_sections()])
        for layout in devices:
            key = layout.idstr, layout.instance_id
            came[key] -= 1
            if came[key] == -1:
                text = "the vmdesc describes the section, but it is not in the stream"
                self.index.report(Damage(text, offset, DamageRule.VMDESC_MISMATCH, *key))

    def _vmdescription(self, offset: int, length: int) -> None:
        start = offset + qevm.VMDESC_HEADER_SIZE
        end = scan.readable_end(self.source, offset, start + length)
        try:
            if end < start + length:
                raise TruncatedError(
                    "the stream ends inside the vmdesc",
                    offset=offset,
                    expected=f"{length} bytes",
                    found=end - start,
                )
            if length > MAX_VMDESC_SIZE:
                raise FormatError(
                    "vmdesc", offset=offset, expected=f"at most {MAX_VMDESC_SIZE} bytes", found=length
                )
            if self.index.description is None or self.index.description.offset != offset:
                self.ends.use(vmdesc_of(self.source.read(start, length), offset))
        except FormatError as error:
            self._damage(error, offset, DamageRule.VMDESC)
        self.index.items.append(vmdesc_item(offset, end))
        self.index.end = end

    def _next_item(self, offset: int) -> int:
        """Where the reader is in step again behind `offset`; the end of the stream where it never is."""
        try:
            found = self.ends.next_item(offset)
        except InputError:
            found = None
        target = scan.readable_end(self.source, offset) if found is None else found
        self._note(f"{target - offset + 1} bytes skipped", offset - 1, DamageRule.SKIPPED)
        return target

    def _damage(self, error: InputError, offset: int, rule: DamageRule) -> None:
        self.index.report(Damage.of(error, offset, rule))

    def _note(self, text: str, offset: int, rule: DamageRule) -> None:
        self.index.report(Damage(text, offset, rule))


def vmdesc_item(offset: int, end: int) -> Item:
    """The item that a vmdesc from `offset` to `end` is."""
    return Item(ItemType.VMDESCRIPTION, offset, 0, data_offset=offset + qevm.VMDESC_HEADER_SIZE).ending(end)


def _rule_of(error: InputError, kind: bytes) -> DamageRule:
    """What is wrong with an item: its data, where the error names a section, else the item itself."""
    if error.where.section is not None:
        is_ram = error.where.section == ram.IDSTR
        return DamageRule.RAM_RECORD if is_ram else DamageRule.SECTION_RECORD
    return DamageRule.COMMAND if kind[0] == ItemType.COMMAND else DamageRule.ITEM
