"""Streams made from nothing, out of the schemas: what no QEMU at hand can write, and what none should.

A stream is a list of pieces joined behind `header()`. Each piece is bytes; sections take their
footer from `Stream`, so that the same stream can be had with and without them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from msixtool.formats import build, function, msix, qevm, ram
from msixtool.formats.layout import Field
from msixtool.formats.qevm import CommandType, ItemType
from msixtool.formats.ram import Flag
from msixtool.msix.state import MsixState

PAGE = 4096
BLOCK = "pc.ram"


@dataclass
class Stream:
    """Pieces of a stream in order; `bytes(stream)` ends it with the end marker and the vmdesc."""

    footers: bool = True
    vmdesc: bool = True
    machine: str | None = "pc-q35-7.2"
    page_size: int = PAGE
    page_bits: int | None = None
    capabilities: Sequence[str] = ()
    pieces: list[bytes] = field(default_factory=list)
    devices: list[dict[str, Any]] = field(default_factory=list)
    more: bytes = b""
    """More subsections of the configuration."""
    document: dict[str, Any] = field(default_factory=dict)
    """More members of the vmdesc, before the others."""

    def section(
        self,
        kind: ItemType,
        sid: int,
        data: bytes,
        name: str | None = None,
        instance: int = 0,
        version: int = 1,
    ) -> Stream:
        """A section of any kind: START and FULL with a name, PART and END without."""
        self.pieces.append(header(sid, name, instance, version, kind=kind) + data + self._footer(sid))
        return self

    def _footer(self, sid: int) -> bytes:
        return qevm.footer(sid) if self.footers else b""

    def full(
        self,
        sid: int,
        name: str,
        data: bytes,
        fields: list[dict[str, Any]] | None = None,
        *,
        instance: int = 0,
        version: int = 1,
        by_hand: bool = False,
    ) -> Stream:
        """A FULL section with its entry in the vmdesc: one buffer where no fields are given.

        What QEMU writes `by_hand`, by a function of the device's own, has no vmsd.
        """
        entry: dict[str, Any] = {"name": name, "instance_id": instance}
        entry |= {"size": len(data)} if by_hand else {"vmsd_name": name, "version": version}
        default = [{"name": "data", "size": len(data), "type": "buffer"}]
        self.devices.append({**entry, "fields": default if fields is None else fields})
        return self.section(ItemType.SECTION_FULL, sid, data, name, instance, version)

    def command(self, kind: CommandType | int, payload: bytes = b"") -> Stream:
        value = {"type": ItemType.COMMAND.value, "command": int(kind), "payload": payload}
        self.pieces.append(build(qevm.COMMAND, value, what="command"))
        return self

    def ram(
        self,
        *parts: bytes,
        end: bytes | None = b"",
        blocks: Sequence[tuple[str, int]] = ((BLOCK, 16 * PAGE),),
        sid: int = 2,
        tails: Sequence[bytes] = (),
    ) -> Stream:
        """The `ram` section: START with the block list, a PART for each of `parts`, END unless None."""
        self.section(ItemType.SECTION_START, sid, block_list(blocks, tails) + EOS, "ram", version=4)
        for part in parts:
            self.section(ItemType.SECTION_PART, sid, part + EOS)
        if end is not None:
            self.section(ItemType.SECTION_END, sid, end + EOS)
        return self

    @property
    def configuration(self) -> bytes:
        """The configuration section; nothing for machine types that had none."""
        if self.machine is None:
            return b""
        bodies: list[tuple[str, Any]] = []
        if self.page_bits is not None:
            bodies.append((qevm.TARGET_PAGE_BITS, self.page_bits))
        if self.capabilities:
            bodies.append((qevm.CAPABILITIES, list(self.capabilities)))
        kind = ItemType.SUBSECTION.value
        subsections = [
            {"header": {"type": kind, "name": name, "version_id": 1}, "body": body} for name, body in bodies
        ]
        value = {"type": ItemType.CONFIGURATION.value, "machine": self.machine, "subsections": subsections}
        return build(qevm.CONFIGURATION, value, what="configuration") + self.more

    @property
    def description(self) -> bytes:
        """The vmdesc behind the end marker."""
        document = self.document | {"page_size": self.page_size, "devices": self.devices}
        text = json.dumps(document).encode()
        head = {"type": ItemType.VMDESCRIPTION.value, "length": len(text)}
        return build(qevm.VMDESC_HEADER, head, what="vmdesc") + text if self.vmdesc else b""

    def __bytes__(self) -> bytes:
        return HEADER + self.configuration + b"".join(self.pieces) + END_MARKER + self.description


def header(
    sid: int, name: str | None, instance: int = 0, version: int = 0, *, kind: ItemType = ItemType.SECTION_FULL
) -> bytes:
    """The header of a section; of a PART or END without a name."""
    value = {"type": kind, "section_id": sid, "idstr": name, "instance_id": instance, "version_id": version}
    return build(qevm.PART_HEADER if name is None else qevm.SECTION_HEADER, value, what="header")


HEADER = build(qevm.HEADER, {"magic": qevm.MAGIC, "version": qevm.VERSION}, what="header")
END_MARKER = bytes([ItemType.EOF])


def u64(value: int) -> bytes:
    return value.to_bytes(8, "big")


def u32(value: int) -> bytes:
    return value.to_bytes(4, "big")


def subsection(name: str, data: bytes, version: int = 1) -> bytes:
    """A subsection, of a section or of the configuration."""
    return build(qevm.SUBSECTION_HEADER, {"name": name, "version_id": version}, what="subsection") + data


def string(text: str) -> bytes:
    return build(qevm.ID_STRING, text, what="string")


EOS = u64(Flag.EOS)


def block_list(blocks: Sequence[tuple[str, int]], tails: Sequence[bytes] = ()) -> bytes:
    """MEM_SIZE and the blocks; `tails` are what capabilities add behind each."""
    extra = list(tails) or [b""] * len(blocks)
    listed = b"".join(
        build(ram.BLOCK, {"idstr": name, "used_length": size}, what="block") + tail
        for (name, size), tail in zip(blocks, extra, strict=True)
    )
    return u64(sum(size for _, size in blocks) | Flag.MEM_SIZE) + listed


def page(address: int, data: bytes, block: str | None = None) -> bytes:
    """A PAGE record; without a block it continues the one before."""
    return _header(address | Flag.PAGE, block) + data


def zero(address: int, block: str | None = None, fill: int = 0) -> bytes:
    value = {"header": address | Flag.ZERO | _continued(block), "block": block, "fill": fill}
    return build(ram.ZERO_RECORD, value, what="zero page")


def xbzrle(address: int, data: bytes, block: str | None = None, encoding: int = 1) -> bytes:
    head = build(ram.XBZRLE_HEAD, {"encoding": encoding, "length": len(data)}, what="XBZRLE record")
    return _header(address | Flag.XBZRLE, block) + head + data


def compressed(address: int, data: bytes, block: str | None = None) -> bytes:
    head = build(ram.COMPRESSED_HEAD, {"length": len(data)}, what="compressed page")
    return _header(address | Flag.COMPRESS_PAGE, block) + head + data


FLUSH = u64(Flag.MULTIFD_FLUSH)


def _header(word: int, block: str | None) -> bytes:
    value = {"header": word | _continued(block), "block": block}
    return build(ram.PAGE_RECORD_HEADER, value, what="record header")


def _continued(block: str | None) -> int:
    return int(Flag.CONTINUE) if block is None else 0


def config_space(
    vectors: int = 3,
    *,
    size: int = 256,
    at: int = 0x70,
    control: int = 0,
    table: int = 0x0,
    pba: int = 0x800,
    command: int = 0x6,
    vendor: int = 0x8086,
    others: Sequence[tuple[int, int, bytes]] = (),
) -> bytes:
    """A configuration space with MSI-X at `at`; `others` are (id, offset, body) of more capabilities.

    `table` and `pba` are the raw registers, `control` the upper bits of Message Control.
    """
    space = bytearray(size)
    space[0:2], space[2:4] = vendor.to_bytes(2, "little"), b"\x34\x12"
    space[4:6], space[6:8] = command.to_bytes(2, "little"), b"\x10\x00"
    listed = [*others, (msix.CAP_ID, at, b"")] if vectors else list(others)
    pointer = 0x34
    for kind, offset, body in listed:
        space[pointer] = offset
        space[offset : offset + 2 + len(body)] = bytes([kind, 0]) + body
        pointer = offset + 1
    if vectors:
        value = {"id": msix.CAP_ID, "next": 0, "control": control | vectors - 1, "table": table, "pba": pba}
        space[at : at + msix.CAP_SIZE] = build(msix.CAPABILITY, value, what="capability")
    return bytes(space)


def pci_device(config: bytes, *, version: int = 2, levels: Iterable[int] = (0, 0, 0, 0)) -> bytes:
    """The vmstate of a PCIDevice."""
    value = {"version_id": version, "config": config, "irq_state": list(levels)}
    return build(function.schema(len(config), 0), {"pci": value}, what="PCIDevice")


def msix_fields(config: bytes, state: MsixState, rest: int = 0) -> list[dict[str, Any]]:
    """The vmdesc's fields of a section that begins with a PCIDevice and its MSI-X state."""
    parts = function.device_layout(len(config)), function.msix_layout(state.vectors)
    fields = [Field("parent_obj", "struct", 0, each.size, inside=each).described for each in parts]
    return [*fields, *([{"name": "rest", "type": "buffer", "size": rest}] if rest else [])]
