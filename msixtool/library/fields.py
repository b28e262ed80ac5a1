"""Every decoded field of a stream's sections, and the vmdesc itself: the answers of `fields`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from msixtool.documents import Document, Origin
from msixtool.documents.fields import description_text, fields_document, fields_json
from msixtool.dump import OpenDump
from msixtool.errors import UsageError
from msixtool.library.answer import OfOne
from msixtool.stream.items import Item
from msixtool.tasks.fields import Section, read_section, section_layout, select_sections
from msixtool.words import plural


@dataclass(frozen=True, slots=True, repr=False)
class Fields(OfOne):
    """The sections that were chosen, read one by one as they are asked for: while the stream is open.

    `fields["timer"]` is the one section of that name, and `fields["timer"]["cpu_clock_offset"]` a value.
    """

    origin: Origin
    dump: OpenDump
    items: tuple[Item, ...]
    broken: list[str] = field(default_factory=list)
    """What of the sections that were read could not be decoded."""

    def __iter__(self) -> Iterator[Section]:
        self.broken.clear()
        for item in self.items:
            section = read_section(self.dump, item)
            if section.damage is not None:
                self.broken.append(str(section.damage))
            yield section
        self.dump.check_unchanged()

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, name: str) -> Section:
        """The one section that `name` names, as `--device` does. Raises UsageError where it is not one."""
        own = {item.offset for item in self.items}
        found = [item for item in select_sections(self.dump, name) if item.offset in own]
        if len(found) != 1:
            expected = "just one section"
            raise UsageError(f"section {name!r}", path=self.origin.path, expected=expected, found=len(found))
        return read_section(self.dump, found[0])

    @property
    def damage(self) -> tuple[str, ...]:
        """That of the stream, then of the sections as far as they were read."""
        return (*self.origin.damage, *self.broken)

    def document(self) -> Document:
        """`msixtool.fields/1`."""
        return fields_document(self.origin, self)

    def json(self) -> list[str]:
        """The document as JSON on one line, in pieces: it takes a tenth of the room of the values."""
        return fields_json(self.origin, self)

    def summary(self) -> str:
        return plural(len(self), "section")


@dataclass(frozen=True, slots=True, repr=False)
class Description(OfOne):
    """The vmdesc of a stream, or what it says of some sections (`vmdesc`)."""

    origin: Origin
    vmdesc: Any

    def document(self) -> Document:
        """`msixtool.vmdesc/1`."""
        source = self.origin.document()
        return {
            "schema": "msixtool.vmdesc/1",
            "source": source,
            "vmdesc": self.vmdesc,
            "damage": list(self.damage),
        }

    def text(self, *, whole: bool = False) -> str:
        """The vmdesc, or with `whole` the document, as indented JSON: names that repeat all stay."""
        return description_text(self.document() if whole else self.vmdesc)

    def summary(self) -> str:
        return plural(
            len(self.vmdesc if isinstance(self.vmdesc, list) else self.vmdesc.get("devices", ())), "section"
        )


def description_of(dump: OpenDump, section: str | None) -> Description:
    """What the vmdesc says of the sections that `section` names; all of it for None.

    Raises UsageError where the stream has none, or no such section.
    """
    chosen = None if section is None else select_sections(dump, section)
    if dump.index.description is None:
        raise dump.lacks("the stream has no vmdesc")
    if chosen is None:
        return Description(Origin.of(dump), dump.index.description.document)
    layouts = [section_layout(dump, item) for item in chosen]
    return Description(Origin.of(dump), [None if each is None else each.described for each in layouts])
