"""The migration stream itself: file header, section headers and footer, configuration, commands.

Source: QEMU migration/savevm.c and migration/savevm.h (the QEMU_VM_* bytes). All integers
are big-endian. A section's data has no length of its own: its end is known from the vmdesc,
from the section's grammar, or from its footer.
"""

from __future__ import annotations

from enum import IntEnum
from functools import cached_property

from construct import (
    Bytes,
    Const,
    GreedyBytes,
    GreedyRange,
    Int8ub,
    Int16ub,
    Int32ub,
    PascalString,
    Prefixed,
    PrefixedArray,
    Struct,
    Switch,
    this,
)

from msixtool.formats import parse, sizeof
from msixtool.formats.records import packed

MAGIC = b"QEVM"
VERSION = 3
"""The one stream version that QEMU has written since 2009; 2 is refused as obsolete."""


class ItemType(IntEnum):
    """The byte that begins each item of a stream."""

    EOF = 0x00
    SECTION_START = 0x01
    SECTION_PART = 0x02
    SECTION_END = 0x03
    SECTION_FULL = 0x04
    SUBSECTION = 0x05
    VMDESCRIPTION = 0x06
    CONFIGURATION = 0x07
    COMMAND = 0x08
    SECTION_FOOTER = 0x7E

    @cached_property
    def word(self) -> str:
        """As documents and screens have it: `full` of SECTION_FULL."""
        return self.name.removeprefix("SECTION_").lower()


OPENING = (ItemType.SECTION_START, ItemType.SECTION_FULL)
"""What begins a section: its header has the idstr."""
CONTINUING = (ItemType.SECTION_PART, ItemType.SECTION_END)
"""What goes on with a section that a START announced."""


class CommandType(IntEnum):
    """What a COMMAND asks for. 8 and 9 had other meanings in QEMU 3.0."""

    INVALID = 0
    OPEN_RETURN_PATH = 1
    PING = 2
    POSTCOPY_ADVISE = 3
    POSTCOPY_LISTEN = 4
    POSTCOPY_RUN = 5
    POSTCOPY_RAM_DISCARD = 6
    PACKAGED = 7
    ENABLE_COLO = 8
    POSTCOPY_RESUME = 9
    RECV_BITMAP = 10
    SWITCHOVER_START = 11


# latin-1 maps every byte to one character and back: whatever stands there survives a round trip.
_ENCODING = "latin-1"
ID_STRING = PascalString(Int8ub, _ENCODING)
"""A name of up to 255 bytes behind a length byte."""

VERSION_ID = Int32ub

HEADER = Struct("magic" / Const(MAGIC), "version" / Int32ub)

PART_HEADER = Struct("type" / Int8ub, "section_id" / Int32ub)
"""Header of a PART or END section: of the section that START announced."""

_IDENTITY = Struct("instance_id" / Int32ub, "version_id" / VERSION_ID)

SECTION_HEADER = Struct(*PART_HEADER.subcons, "idstr" / ID_STRING, *_IDENTITY.subcons)
"""Header of a START or FULL section."""

FOOTER = Struct("type" / Const(ItemType.SECTION_FOOTER.value, Int8ub), "section_id" / Int32ub)

HEADER_SIZE, PART_HEADER_SIZE, FOOTER_SIZE = map(sizeof, (HEADER, PART_HEADER, FOOTER))
_PART_HEADER, _PACKED_IDENTITY, _FOOTER = map(packed, (PART_HEADER, _IDENTITY, FOOTER))
_FOOTER_TYPE = ItemType.SECTION_FOOTER.value
IDSTR_OFFSET = PART_HEADER_SIZE + 1
"""Where the idstr stands in a SECTION_HEADER, behind its length."""
SECTION_HEADER_NAMELESS = IDSTR_OFFSET + sizeof(_IDENTITY)
"""Bytes of a SECTION_HEADER besides its idstr."""
SECTION_HEADER_MAX = SECTION_HEADER_NAMELESS + 255


def section_header_size(data: bytes) -> int:
    """Bytes of the SECTION_HEADER that `data` begins; without its idstr where its length is not there yet."""
    return SECTION_HEADER_NAMELESS + (data[PART_HEADER_SIZE] if len(data) > PART_HEADER_SIZE else 0)


def section_header(data: bytes) -> tuple[int, int, str, int, int]:
    """The values of the SECTION_HEADER that `data` is, no more and no less.

    A stream may have 10^5 of them: construct would take longer than all else does.
    """
    idstr = data[IDSTR_OFFSET : -_PACKED_IDENTITY.size].decode(_ENCODING)
    identity = _PACKED_IDENTITY.unpack_from(data, len(data) - _PACKED_IDENTITY.size)
    return *_PART_HEADER.unpack_from(data), idstr, *identity


def section_id(data: bytes) -> int:
    """The section_id of a PART_HEADER, or FOOTER, at the start of `data`."""
    found: int = _PART_HEADER.unpack_from(data)[1]
    return found


def part_header(kind: ItemType, section_id: int) -> bytes:
    """The header of a PART or END section, as it is looked for."""
    return _PART_HEADER.pack(kind, section_id)


def footer(section_id: int) -> bytes:
    """The footer of a section, as it is looked for."""
    return _FOOTER.pack(_FOOTER_TYPE, section_id)


FOOTER_MARK = footer(0)[:1]
"""The byte that a footer begins with."""

SUBSECTION_HEADER = Struct(
    "type" / Const(ItemType.SUBSECTION.value, Int8ub),
    "name" / ID_STRING,
    "version_id" / VERSION_ID,
)


SUBSECTION_MARK = bytes([ItemType.SUBSECTION])
SUBSECTION_NAME_OFFSET = len(SUBSECTION_MARK) + 1
SUBSECTION_NAMELESS = SUBSECTION_NAME_OFFSET + sizeof(VERSION_ID)
"""Bytes of a SUBSECTION_HEADER besides its name, whose length is its second byte."""
SUBSECTION_HEADER_MAX = SUBSECTION_NAMELESS + 255


def subsection_head(name: str) -> bytes:
    """The SUBSECTION_HEADER of this name up to its version, as it is looked for."""
    encoded = name.encode()
    return SUBSECTION_MARK + bytes([len(encoded) & 0xFF]) + encoded


def subsection_header(data: bytes) -> tuple[str, int, int] | None:
    """Name, version_id and size of the SUBSECTION_HEADER that `data` begins with; None where it does not."""
    size = SUBSECTION_NAMELESS + data[1] if len(data) >= SUBSECTION_NAMELESS else SUBSECTION_HEADER_MAX
    if data[:1] != SUBSECTION_MARK or len(data) < size:
        return None
    found = parse(SUBSECTION_HEADER, data[:size], what="subsection header")
    return found.name, found.version_id, size


TARGET_PAGE_BITS = "configuration/target-page-bits"
PAGE_SIZES = tuple(1 << bits for bits in range(10, 21))
"""Sizes in bytes that a page of a target has, by the configuration or the vmdesc."""
CAPABILITIES = "configuration/capabilities"
UUID = "configuration/uuid"

CONFIGURATION_SUBSECTION = Struct(
    "header" / SUBSECTION_HEADER,
    "body"
    / Switch(
        this.header.name,
        {
            TARGET_PAGE_BITS: Int32ub,
            CAPABILITIES: PrefixedArray(Int32ub, ID_STRING),
            UUID: Bytes(16),
        },
        default=Bytes(0),
    ),
)

CONFIGURATION = Struct(
    "type" / Const(ItemType.CONFIGURATION.value, Int8ub),
    "machine" / PascalString(Int32ub, _ENCODING),
    "subsections" / GreedyRange(CONFIGURATION_SUBSECTION),
)
"""The configuration section: no section_id, no footer. A subsection of an unknown name is read
as one without a body; the reader sees that what follows is no item."""

GLOBAL_STATE = Struct("size" / Int32ub, "runstate" / Bytes(100))
"""How section `globalstate` begins (migration/global_state.c): a name that a NUL ends."""

_NOTE = "\0QEMU "


def with_note(machine: str, version: str) -> str:
    """A machine type with the QEMU version behind a NUL.

    QEMU compares the two names by strncmp, which looks no further than that (configuration_post_load).
    """
    return f"{machine}{_NOTE}{version}"


def without_note(name: str) -> tuple[str, str | None]:
    """The machine type, and the version that `with_note` put behind it, None where none stands there."""
    machine, noted, version = name.partition(_NOTE)
    return (machine, version) if noted else (name, None)


COMMAND_HEADER = Struct("type" / Int8ub, "command" / Int16ub, "length" / Int16ub)
COMMAND = Struct(
    "type" / Const(ItemType.COMMAND.value, Int8ub),
    "command" / Int16ub,
    "payload" / Prefixed(Int16ub, GreedyBytes),
)

PACKAGED_LENGTH = Int32ub
"""The payload of the command PACKAGED: how many bytes of items follow it."""

VMDESC_HEADER = Struct("type" / Const(ItemType.VMDESCRIPTION.value, Int8ub), "length" / Int32ub)

COMMAND_HEADER_SIZE, VMDESC_HEADER_SIZE = map(sizeof, (COMMAND_HEADER, VMDESC_HEADER))
_COMMAND_HEADER, _VMDESC_HEADER = map(packed, (COMMAND_HEADER, VMDESC_HEADER))


def command_header(data: bytes) -> tuple[int, int]:
    """Number of the command and length of its payload, of which there may be very many, in `data`."""
    _, number, length = _COMMAND_HEADER.unpack_from(data)
    return number, length


def vmdesc_length(data: bytes, offset: int = 0) -> int:
    """The length that a VMDESC_HEADER at `offset` of `data` says: it is looked for byte by byte."""
    found: int = _VMDESC_HEADER.unpack_from(data, offset)[1]
    return found
