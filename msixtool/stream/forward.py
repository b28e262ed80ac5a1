"""The second way: forward from the first byte, item by item.

Needs nothing but the bytes. The end of a FULL section comes from the vmdesc where there is
one, else from the next footer, else from the next header; RAM and the other iterable
sections end where their grammar says. Source: QEMU migration/savevm.c, qemu_loadvm_state_main.
"""

from __future__ import annotations

from typing import Any

from msixtool.containers.base import Source
from msixtool.errors import FormatError, TruncatedError
from msixtool.formats import parse, qevm
from msixtool.formats import ram as ram_format
from msixtool.formats.qevm import ItemType
from msixtool.stream import description as vmdesc
from msixtool.stream import items as kinds
from msixtool.stream import scan
from msixtool.stream.items import Damage, Item, StreamIndex
from msixtool.stream.iterable import GRAMMARS
from msixtool.stream.ram import RamLayout, RamWalker
from msixtool.stream.window import Window

PAGE_SIZES = (4096, 65536, 8192, 16384, 1024, 2048)
"""Target page sizes to try where the stream does not say, in bytes, the commonest first."""

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
        self.layout = RamLayout(origin=origin)
        self.ram = RamWalker(source, self.layout)
        self.announced: dict[int, scan.SectionHeader] = {}
        self._seen_ids: set[int] = set()
        self._entries: dict[tuple[str, int], dict[str, Any]] | None = None
        self._page_size_known = False
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

    def use(self, description: vmdesc.Description | None) -> None:
        """Take sizes and the page size from `description` from here on."""
        if description is None:
            return
        self.index.description = description
        self._entries = vmdesc.entries(description.devices)
        if description.page_size:
            self._set_page_size(description.page_size)

    def read(self, offset: int, *, until_part: bool = False) -> int:
        """Read items from `offset` to the end; with `until_part` stop before the first PART or END.

        Damage goes into the index; nothing is raised for it. Returns the offset reached.
        """
        while len(self.index.items) < MAX_ITEMS:
            kind = self.window.peek(offset, 1)
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
            except TruncatedError as error:
                self._damage(error, offset, "truncated")
                self.index.end = self.source.size
                return self.source.size
            except FormatError as error:
                self._damage(error, offset)
                offset = self._next_item(offset + 1)
        self.index.damage.append(Damage(f"more than {MAX_ITEMS} items: the rest was left", offset))
        return offset

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
                self._set_page_size(1 << body)
        elif name == qevm.CAPABILITIES:
            self.index.capabilities = tuple(body)
            self.layout.ignore_shared = "x-ignore-shared" in body
            self.layout.mapped_ram = self.index.mapped_ram = "mapped-ram" in body
        elif name == qevm.UUID:
            self.index.uuid = body

    def _set_page_size(self, size: int) -> None:
        self.layout.page_size = self.index.page_size = size
        self._page_size_known = True

    def _section(self, offset: int) -> int:
        data = self.window.peek(offset, scan.HEADER_MAX)
        header = scan.section_header(data)
        if header is None:
            if len(data) < scan.HEADER_MAX and len(data) < 14 + (data[5] if len(data) > 5 else 0):
                raise TruncatedError("the stream ends inside a section header", offset=offset)
            raise FormatError("section header", offset=offset, expected="a printable idstr and small numbers")
        if header.type == ItemType.SECTION_START:
            self.announced[header.section_id] = header
        elif self._past_ram and self._entries is None and self.index.description is None:
            # What follows RAM is small: now even a compressed stream can be read to its end.
            self.use(self._find_description())
        self._seen_ids.add(header.section_id)
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
        return self._finish(item, header)

    def _find_description(self) -> vmdesc.Description | None:
        try:
            return vmdesc.find(self.source)
        except FormatError as error:
            self._damage(error, error.where.offset or 0, "vmdesc")
            return None

    def _part(self, kind: int, offset: int) -> int:
        section_id = int.from_bytes(self.window.exactly(offset, 5, "a section header")[1:], "big")
        header = self.announced.get(section_id)
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
        return self._finish(item, header)

    def _finish(self, item: Item, header: scan.SectionHeader) -> int:
        """Find the end of the item's data, check the footer, and put the item into the index."""
        try:
            end, footer = self._data_end(item, header)
        except TruncatedError as error:
            item.data_length = max(0, self.source.size - item.data_offset)
            item.length = self.source.size - item.offset
            self._append(item)
            error.at(section=item.idstr)
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

    def _data_end(self, item: Item, header: scan.SectionHeader) -> tuple[int, int]:
        """The offset behind the item's data, and the size of the footer there."""
        if item.idstr == ram_format.SECTION and item.type != kinds.FULL:
            end = self._walk_ram(item.data_offset)
            self.index.blocks = self.ram.blocks
            if item.type != kinds.START:
                self.index.ram = self.ram.count
            return end, self._footer(end, item)
        grammar = GRAMMARS.get(str(item.idstr).rsplit("/", 1)[-1])
        if grammar is not None and (item.type != kinds.FULL or grammar.full):
            end = grammar.end(self.window, item.data_offset, item.type)
            return end, self._footer(end, item)
        if item.type == kinds.FULL and self._entries is not None:
            described = self._described_end(item)
            if described is not None:
                return described, self._footer(described, item)
        return self._scanned_end(item)

    def _described_end(self, item: Item) -> int | None:
        """The end that the vmdesc gives, or None where the bytes there say otherwise."""
        assert self._entries is not None
        entry = self._entries.get((str(item.idstr), item.instance_id or 0))
        if entry is None:
            self._damage_at(item, "the vmdesc does not know the section", "vmdesc")
            return None
        size = vmdesc.data_size(entry)
        end = item.data_offset + size
        item.description = entry
        if end > self.source.size:
            raise TruncatedError(
                "the stream ends inside a section",
                offset=item.data_offset,
                expected=f"{size} bytes",
                found=self.source.size - item.data_offset,
            )
        if self._looks_like_end(end):
            return end
        found = self._scan_footer(item)
        if found is None or found == end:
            return end
        item.description = None
        if not _has_pointer_runs(entry):
            self._damage_at(
                item,
                f"section out of step with vmdesc: expected {size} bytes, found {found - item.data_offset}",
                "vmdesc",
            )
        return found

    def _looks_like_end(self, end: int) -> bool:
        """Whether a footer (of any section) stands at `end`, or an item where there are none."""
        behind = self.window.peek(end, scan.HEADER_MAX + qevm.FOOTER_SIZE)
        if behind[:1] == bytes([ItemType.SECTION_FOOTER]):
            return True
        return self.index.footers is not True and self._plausible(behind)

    def _plausible(self, data: bytes) -> bool:
        return scan.plausible_item(data, frozenset(self.announced), at_end=False)

    def _scan_footer(self, item: Item) -> int | None:
        if self.index.footers is False:
            return None
        return scan.find_footer(
            self.source, item.data_offset, item.section_id or 0, frozenset(self.announced)
        )

    def _scanned_end(self, item: Item) -> tuple[int, int]:
        """The end of data that nothing describes: the next footer, else the next header, else the end."""
        found = self._scan_footer(item)
        if found is not None:
            return found, self._footer(found, item)
        if self.index.footers:
            self._damage_at(item, f"no footer of section_id {item.section_id} follows", "footer-missing")
            following = scan.resynchronise(self.source, item.data_offset, frozenset(self.announced))
        else:
            following = scan.find_header(self.source, item.data_offset, frozenset(self._seen_ids))
        if following is not None:
            return following, 0
        return self._last_end(item)

    def _last_end(self, item: Item) -> tuple[int, int]:
        """The end of the last section of a stream without footers and vmdesc: the end marker."""
        size = self.source.size
        if size > item.data_offset and self.source.read(size - 1, 1) == b"\0":
            return size - 1, 0
        raise TruncatedError("the stream ends inside a section", offset=item.data_offset)

    def _walk_ram(self, offset: int) -> int:
        first: FormatError | None = None
        for page_size, shared in self._guesses():
            self.layout.page_size, self.layout.ignore_shared = page_size, shared
            try:
                end = self.ram.walk(offset)
            except FormatError as error:
                first = first or error
                continue
            if self.ram.count.pages:
                self._set_page_size(page_size)
            return end
        assert first is not None
        raise first

    def _guesses(self) -> list[tuple[int, bool]]:
        """Page sizes and layouts of the block list to try: one where the stream says, else several."""
        sizes = (self.layout.page_size,) if self._page_size_known else PAGE_SIZES
        # Without a configuration section nothing says that the list holds addresses.
        shared = (False, True) if self.index.machine is None else (self.layout.ignore_shared,)
        return [(size, flag) for flag in shared for size in sizes]

    def _footer(self, offset: int, item: Item) -> int:
        """Check the footer at `offset`; its size there: 5, or 0 where it is missing."""
        data = self.window.peek(offset, qevm.FOOTER_SIZE)
        is_footer = data[:1] == bytes([ItemType.SECTION_FOOTER])
        if is_footer and self.index.footers is False and self._plausible(data):
            is_footer = False
        if self.index.footers is None:
            self.index.footers = is_footer
        if not is_footer:
            return self._no_footer(offset, item, data)
        if len(data) < qevm.FOOTER_SIZE:
            raise TruncatedError("the stream ends inside a section footer", offset=offset)
        found = int.from_bytes(data[1:], "big")
        if found != item.section_id:
            self._damage_at(
                item,
                f"footer of another section: expected section_id {item.section_id}, found {found}",
                "footer-mismatch",
                offset,
            )
        return qevm.FOOTER_SIZE

    def _no_footer(self, offset: int, item: Item, data: bytes) -> int:
        if not data:
            if self.index.footers:
                raise TruncatedError("the stream ends before a section footer", offset=offset)
            return 0
        if self.index.footers:
            self._damage_at(
                item,
                f"section footer missing: expected 0x7e, found {data[0]:#04x}",
                "footer-missing",
                offset,
            )
        return 0

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
            self.layout.postcopy = True
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
        try:
            size = self.source.size - offset - 5
            if length > size:
                raise TruncatedError(
                    "the stream ends inside the vmdesc", offset=offset, expected=f"{length} bytes", found=size
                )
            if length > vmdesc.MAX_SIZE:
                raise FormatError(
                    "vmdesc", offset=offset, expected=f"at most {vmdesc.MAX_SIZE} bytes", found=length
                )
            if self.index.description is None or self.index.description.offset != offset:
                self.use(vmdesc.parse(self.source.read(offset + 5, length), offset))
        except FormatError as error:
            self._damage(error, offset, "vmdesc")
        length = min(length, self.source.size - offset - 5)
        self.index.items.append(
            Item(kinds.VMDESCRIPTION, offset, 5 + length, data_offset=offset + 5, data_length=length)
        )
        self.index.end = offset + 5 + length
        return self.index.end

    def _next_item(self, offset: int) -> int:
        """Where the reader is in step again behind `offset`; the end of the stream where it never is."""
        found = scan.resynchronise(self.source, offset, frozenset(self.announced))
        target = self.source.size if found is None else found
        self.index.damage.append(Damage(f"{target - offset + 1} bytes skipped", offset - 1, "skipped"))
        return target

    def _damage(self, error: FormatError, offset: int, rule: str = "stream") -> None:
        place = error.where.offset if error.where.offset is not None else offset
        section = f"section {error.where.section}: " if error.where.section else ""
        text = section + error.what
        if error.expected is not None:
            text += f": expected {error.expected}"
        if error.found is not None:
            text += f"{',' if error.expected is not None else ':'} found {error.found}"
        self.index.damage.append(Damage(text, place, rule))

    def _damage_at(self, item: Item, text: str, rule: str, offset: int | None = None) -> None:
        place = item.offset if offset is None else offset
        self.index.damage.append(Damage(f"section {item.idstr}: {text}", place, rule))


def _has_pointer_runs(entry: dict[str, Any]) -> bool:
    """Whether the vmdesc holds NULL markers: since 10.0 it overstates the length of such arrays."""
    return any(placed.type in ("nullptr", "ptr-marker") for placed in vmdesc.walk(entry))
