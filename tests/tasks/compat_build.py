"""Small streams made to measure: a machine, RAM blocks, and sections whose vmdesc is right."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from msixtool import Dump
from msixtool.formats import layout
from msixtool.formats.dump_vmstate import Vmstates
from msixtool.qemu.versions import Version
from msixtool.tasks.compat import Comparison, compare
from tests.stream.build import Stream, subsection

PAGE = 4096
RAM_ID = 1


@dataclass(frozen=True)
class Field:
    """A field: its bytes, or of a struct its inside. `count` elements of an array are one field."""

    name: str
    type: str
    data: bytes = b""
    inside: Vmsd | None = None
    count: int = 1

    @property
    def bytes(self) -> bytes:
        return self.data if self.inside is None else self.inside.bytes

    @property
    def field(self) -> layout.Field:
        inside = None if self.inside is None else self.inside.layout
        count = self.count if self.count > 1 else None
        return layout.Field(self.name, self.type, 0, len(self.bytes) // self.count, count, inside)


@dataclass(frozen=True)
class Vmsd:
    """A description with its fields and subsections."""

    name: str
    fields: Sequence[Field] = ()
    subsections: Sequence[Vmsd] = ()
    version: int = 1

    @property
    def bytes(self) -> bytes:
        data = b"".join(each.bytes for each in self.fields)
        for each in self.subsections:
            data += subsection(each.name, each.bytes, each.version)
        return data

    @property
    def layout(self) -> layout.Layout:
        fields = layout.laid_out(each.field for each in self.fields)
        return layout.Layout(self.name, fields, tuple(each.layout for each in self.subsections), self.version)


@dataclass(frozen=True)
class Section:
    """A FULL section; `vmsd` has its name where they are the same."""

    name: str
    vmsd: Vmsd
    instance: int = 0


def section(name: str, *fields: Field, subsections: Sequence[Vmsd] = (), version: int = 1) -> Section:
    """A section whose vmsd has the last part of its name."""
    return Section(name, Vmsd(name.rpartition("/")[2], fields, subsections, version))


def number(name: str, value: int, type_name: str = "uint32") -> Field:
    """An integer field of a size that its type's name says."""
    bits = int("".join(filter(str.isdigit, type_name)))
    return Field(name, type_name, value.to_bytes(bits // 8, "big"))


def struct(name: str, inside: Vmsd) -> Field:
    return Field(name, "struct", inside=inside)


@dataclass(frozen=True)
class Machine:
    """A stream. `style` is that of the QEMU that wrote it: 7.2, 10.0 or 11.1."""

    sections: Sequence[Section] = ()
    name: str = "pc-q35-7.2"
    blocks: Mapping[str, int] = field(default_factory=lambda: {"pc.ram": 2 * PAGE})
    style: str = "7.2"
    configured: bool = True
    footers: bool = True
    extra: bytes = b""
    """Subsections of the configuration."""

    @property
    def bytes(self) -> bytes:
        stream = Stream(
            footers=self.footers,
            machine=self.name if self.configured else None,
            more=self.extra,
            document={} if self.style == "7.2" else {"configuration": {}},
        )
        stream.ram(blocks=tuple(self.blocks.items()), sid=RAM_ID)
        for position, each in enumerate(self.sections, RAM_ID + 1):
            version = each.vmsd.version
            stream.full(position, each.name, each.vmsd.bytes, instance=each.instance, version=version)
            stream.devices[-1] |= each.vmsd.layout.described
        return bytes(stream)

    def dump(self) -> Dump:
        return Dump.open(io.BytesIO(self.bytes))


def comparison(
    source: Machine,
    target: Machine,
    *,
    version: Version | None = None,
    vmstate: Vmstates | None = None,
) -> Comparison:
    """What `compare` says of two machines."""
    return compare(source.dump(), target.dump(), target_version=version, vmstate=vmstate)
