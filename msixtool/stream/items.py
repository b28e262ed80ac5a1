"""The index of a stream: its items in order, and what was found out on the way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from msixtool.errors import MsixtoolError, shortened
from msixtool.formats.described import Described
from msixtool.formats.idstr import Idstr
from msixtool.formats.qevm import ItemType
from msixtool.kept import NamedTuple

if TYPE_CHECKING:
    from msixtool.qemu.versions import Version
    from msixtool.stream.description import Vmdesc


SectionKey = tuple[str, int]
"""What QEMU finds a section by: its idstr and instance_id."""


@dataclass(slots=True, repr=False)
class Item:
    """One item of a stream, or a run of consecutive PART items of one section.

    Offsets and lengths are in bytes of the decoded stream; `length` covers header, data and
    footer, `data_offset` and `data_length` the data alone. `instance_id` and `version_id` of a
    PART or END are those that its START announced.
    """

    type: ItemType
    offset: int
    length: int
    section_id: int | None = None
    idstr: str | None = None
    instance_id: int | None = None
    version_id: int | None = None
    data_offset: int = 0
    data_length: int = 0
    layout: Described | None = None
    """What the vmdesc says of a FULL section; None where it says nothing."""

    def __repr__(self) -> str:
        return f"<Item {self.type} {(self.idstr or '')[:60]!r}: {self.length} bytes at {self.offset:#x}>"

    @property
    def named(self) -> Idstr:
        """The idstr with its parts; an empty one where the item has none."""
        return Idstr(self.idstr or "")

    @property
    def key(self) -> SectionKey:
        """What a section is found by."""
        return str(self.idstr), self.instance_id or 0

    @property
    def is_vmsd(self) -> bool:
        """Whether its vmdesc names the vmsd that QEMU wrote it by: no code of the device's own did."""
        return self.layout is not None and self.layout.is_vmsd

    @property
    def end(self) -> int:
        return self.offset + self.length

    def ending(self, end: int, footer: int = 0) -> Item:
        """The same item, told where its data end and that a footer of so many bytes follows."""
        self.data_length, self.length = end - self.data_offset, end + footer - self.offset
        return self


class RamBlock(NamedTuple):
    """One RAM block that the stream lists; sizes in bytes, `address` guest-physical where it is sent."""

    idstr: str
    used_length: int
    page_size: int | None = None
    address: int | None = None
    pages_offset: int | None = None
    bitmap_offset: int | None = None

    @property
    def named(self) -> Idstr:
        """The idstr with its parts."""
        return Idstr(self.idstr)


@dataclass(slots=True)
class RamCount:
    """What a walk over RAM records saw: numbers of records by kind."""

    pages: int = 0
    zero: int = 0
    filled: int = 0
    """Of the zero records, those that fill the page with another byte."""
    compressed: int = 0
    xbzrle: int = 0
    flushes: int = 0


MAX_DAMAGE = 1000
"""How many damaged places are met, in a stream's items or in its devices, before the rest is left."""
MOST_DAMAGE = 2 * MAX_DAMAGE
"""How many damaged places an index lists."""


class DamageRule(StrEnum):
    """What kind of damage it is: the rule id under which `validate` reports it (docs/validate.md)."""

    CONTAINER = "container"
    CONFIGURATION = "configuration"
    ITEM = "item"
    COMMAND = "command"
    RAM_RECORD = "ram-record"
    SECTION_RECORD = "section-record"
    TRUNCATED = "truncated"
    NO_END_MARKER = "no-end-marker"
    FOOTER_MISSING = "footer-missing"
    FOOTER_MISMATCH = "footer-mismatch"
    VMDESC = "vmdesc"
    VMDESC_MISMATCH = "vmdesc-mismatch"
    SKIPPED = "skipped"
    CAPABILITY_LIST = "capability-list"
    VECTOR_COUNT = "vector-count"
    VECTOR_LIMIT = "vector-limit"
    MSIX_STATE = "msix-state"
    VIRTIO_STATE = "virtio-state"


class Damage(NamedTuple):
    """Something that contradicts the format, in one line, and where it stands.

    `offset` is in bytes of the decoded stream; `section` is the idstr of the section at fault.
    """

    text: str
    offset: int | None = None
    rule: str = DamageRule.SECTION_RECORD
    section: str | None = None
    instance: int | None = None

    @classmethod
    def of(
        cls,
        error: MsixtoolError,
        offset: int,
        rule: str = DamageRule.SECTION_RECORD,
        section: str | None = None,
        instance: int | None = None,
    ) -> Damage:
        """The damage that `error` tells of; `offset` and `section` count where the error has none."""
        place = offset if error.where.offset is None else error.where.offset
        return cls(error.explanation, place, rule, error.where.section or section, instance)

    @property
    def message(self) -> str:
        """What is wrong, the section named."""
        if self.section is None:
            return self.text
        return f"section {shortened(self.section)}: {self.text}"

    def __str__(self) -> str:
        return self.message if self.offset is None else f"offset {self.offset:#x}: {self.message}"


class StreamIndex:
    """All that the reader found. `end` is the offset behind the last byte that QEMU would read."""

    machine: str | None = None
    qemu: Version | None = None
    """The version of the QEMU that wrote it, where the capture of its device state noted it."""
    page_size: int | None = None
    """Of the target, in bytes; None where the stream does not say."""
    capabilities: tuple[str, ...] = ()
    uuid: bytes | None = None
    description: Vmdesc | None = None
    footers: bool | None = None
    """Whether sections end in a footer; None where no section tells."""
    ram: RamCount | None = None
    """Counts of RAM records; None where RAM was not walked."""
    mapped_ram: bool = False
    terminated: bool = False
    """Whether the end marker was found."""
    end: int = 0
    from_end: bool = False
    """Whether the vmdesc at its end led to all sections, so that RAM was left alone."""

    def __init__(self, version: int, damage: Iterable[Damage] = ()) -> None:
        self.version = version
        self.items: list[Item] = []
        self.blocks: list[RamBlock] = []
        self.damage = list(damage)

    def __repr__(self) -> str:
        return f"<StreamIndex of {str(self.machine)[:40]!r}: {len(self.items)} items, {self.end} bytes>"

    def report(self, damage: Damage) -> None:
        """Note what is damaged; what is known already is not said again, nor what comes behind very much."""
        if len(self.damage) < MOST_DAMAGE and damage not in self.damage:
            self.damage.append(damage)

    def full_sections(self) -> Iterator[Item]:
        """The sections that hold device state, in stream order."""
        full = ItemType.SECTION_FULL  # an enumeration's member costs Python 3.11 as much as a call
        return (item for item in self.items if item.type is full)
