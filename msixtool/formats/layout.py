"""How the data of a section is laid out, as one value: fields with their sizes, structs inside, subsections.

A layout is made from what a vmdesc says of a section (described.py: looked at only as far as it is asked),
from what -dump-vmstate says of a device type (dump_vmstate.py), or from a construct schema (here).

Source: QEMU migration/vmstate.c, vmstate_save_state_v and vmsd_desc_field_start: a section's data is its
fields one after another, then its subsections, each behind a header.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from construct import (
    Array,
    Bytes,
    Const,
    FormatField,
    IfThenElse,
    RepeatUntil,
    SizeofError,
    Struct,
)

from msixtool.errors import FormatError
from msixtool.formats import qevm, vmstate
from msixtool.kept import NamedTuple, cached_property


class Field(NamedTuple):
    """One field, or `array_len` elements of it: `size` is that of one, `length` that of all, in bytes.

    `offset` counts from the start of what the field is in. An `array_len` of None is no array.
    """

    name: str
    type: str
    offset: int
    size: int
    array_len: int | None = None
    """Elements; None too for an array of which -dump-vmstate does not say its length."""
    inside: Layout | None = None
    """The layout of one element: of a struct, or the inline one of a vstruct or tmp."""
    sized_by: str | None = None
    """The field of the stream that its length comes from; None for a length that is fixed."""
    is_indexed: bool = False
    """Whether it is one element, with its number, of an array whose elements differ (up to 10.x)."""
    in_line: tuple[Layout, ...] = ()
    """The layouts of a list's or tree's elements, where it is one."""
    since: int = 0
    """The version of the whole from which on it is there; -dump-vmstate alone says it."""
    conditional: bool = False
    """Whether QEMU asks a function if it is there; -dump-vmstate alone says it."""

    @property
    def elements(self) -> int:
        """How many elements the one field object stands for."""
        return 1 if self.array_len is None else self.array_len

    @property
    def length(self) -> int:
        """Bytes of all elements."""
        return self.size * self.elements

    @property
    def is_hollow(self) -> bool:
        """Whether it is a struct of which nothing is said: a NULL pointer, up to 9.2."""
        return self.inside is not None and self.inside.is_hollow

    @property
    def described(self) -> dict[str, Any]:
        """The vmdesc's object of it, without what only a list has in line."""
        entry: dict[str, Any] = {"name": self.name, "type": self.type}
        if self.array_len is not None:
            entry["array_len"] = self.array_len
        if self.inside is not None:
            entry["struct"] = self.inside.described
        return {**entry, "size": self.size}

    @property
    def may_lack(self) -> bool:
        """Whether it is, or may be, an array of pointers with NULL among them: its sizes may be wrong."""
        return self.type in vmstate.NULL_TYPES or (self.is_hollow and self.length > 0)


class Placed(NamedTuple):
    """A field and where it stands: `offset` in bytes from the start of the section's data."""

    path: tuple[str, ...]
    offset: int
    field: Field

    @property
    def type(self) -> str:
        return self.field.type

    @property
    def size(self) -> int:
        """Bytes of all its elements."""
        return self.field.length

    @property
    def end(self) -> int:
        """The offset behind it."""
        return self.offset + self.field.length


class Landmarks(NamedTuple):
    """What of PCI and virtio a layout has: the first configuration space, MSI-X state and virtio blob."""

    config: Placed | None = None
    table: Placed | None = None
    virtio: Placed | None = None


NO_LANDMARKS = Landmarks()
LANDMARK_TYPES = frozenset((vmstate.VIRTIO_BLOB, vmstate.PCI_CONFIG, vmstate.MSIX_STATE))


@dataclass(frozen=True, repr=False)
class Layout:
    """A vmsd: its fields and subsections in stream order; of -dump-vmstate, all that there may be."""

    name: str = ""
    """The name of the vmsd; empty where it has none."""
    fields: tuple[Field, ...] = ()
    subsections: tuple[Layout, ...] = ()
    version: int | None = None
    """version_id of the vmsd."""
    minimum_version: int | None = None
    """The oldest version that is read; -dump-vmstate alone says it."""
    idstr: str = ""
    """The idstr of the section that it is of, on the outermost level; else empty."""
    instance_id: int = 0

    @classmethod
    def of_schema(cls, schema: Any, value: Any = None) -> Layout:
        """The layout of a construct Struct.

        `value` is what it parsed: lengths that are not the schema's, and what is there at all, come from it.
        It may be None for a schema of fixed size.
        """
        return cls(fields=laid_out(_schema_fields(schema, value)))

    def __repr__(self) -> str:
        return f"<Layout {self.name[:60]!r}: {len(self.known_fields)} fields>"

    @cached_property
    def described(self) -> dict[str, Any]:
        """The vmdesc's object of it."""
        entry: dict[str, Any] = {"vmsd_name": self.name, "version": self.version} if self.name else {}
        entry["fields"] = [each.described for each in self.fields]
        if self.subsections:
            entry["subsections"] = [each.described for each in self.subsections]
        return entry

    @property
    def header_size(self) -> int:
        """Bytes before the fields of a subsection: 0x05, length, name, 32-bit version."""
        return qevm.SUBSECTION_NAMELESS + len(self.name.encode())

    @property
    def fields_size(self) -> int:
        """Bytes of the fields alone."""
        return sum(each.length for each in self.fields)

    @cached_property
    def size(self) -> int:
        """Bytes of the data, fields and subsections together. Raises FormatError where a size is none."""
        return self.fields_size + sum([each.header_size + each.size for each in self.subsections])

    def walk(self, offset: int = 0, path: tuple[str, ...] = ()) -> Iterator[Placed]:
        """All fields in stream order, structs before what is in them, subsections last.

        An array that is one field object is one Placed; of an array of structs the first element's
        fields are walked, of an empty one none. Raises FormatError where the layout makes no sense.
        """
        at = offset
        for each in self.fields:
            place = (*path, each.name)
            at = offset + each.offset
            length = each.size if each.array_len is None else each.size * each.array_len
            yield Placed(place, at, each)
            inside = each.inside if length else None
            if inside is not None:
                yield from inside.walk(at, place)
            at += length
        for subsection in self.subsections:
            body = at + subsection.header_size
            yield from subsection.walk(body, (*path, subsection.name))
            at = body + subsection.size

    def place(self, path: str) -> Placed | None:
        """The first field of this path (`core/queue_sel`), or None."""
        return next((placed for placed in self.walk() if "/".join(placed.path) == path), None)

    def of_type(self, *types: str) -> Placed | None:
        """The first field of one of these types, or None."""
        return next((placed for placed in self.walk() if placed.type in types), None)

    @cached_property
    def landmarks(self) -> Landmarks:
        """Where, by the types of its fields, a PCI device's states stand. Raises as `walk` does."""
        found: dict[str, Placed] = {}
        for placed in self.walk():
            kind = placed.field.type
            if kind not in LANDMARK_TYPES:
                continue
            if kind == vmstate.VIRTIO_BLOB:
                return Landmarks(virtio=placed)
            if kind == vmstate.PCI_CONFIG:
                found.setdefault("config", placed)
            elif placed.size:
                found.setdefault("table", placed)
        return Landmarks(**found) if found else NO_LANDMARKS

    def structs(self) -> Iterator[Layout]:
        """This one and all in it: those of fields, whatever their size, then subsections.

        Raises nothing: what makes no sense has nothing in it.
        """
        yield self
        for each in self.known_fields:
            for layout in each.in_line if each.inside is None else (each.inside,):
                yield from layout.structs()
        for subsection in self.known_subsections:
            yield from subsection.structs()

    def subsection_names(self) -> Iterator[str]:
        """The names of all subsections, those of what is nested in it too; raises nothing, as `structs`."""
        return (each.name for struct in self.structs() for each in struct.known_subsections)

    @property
    def known_fields(self) -> tuple[Field, ...]:
        """The fields; none, and nothing is raised, where they make no sense."""
        try:
            return self.fields
        except FormatError:
            return ()

    @property
    def known_subsections(self) -> tuple[Layout, ...]:
        """The subsections, as `known_fields`."""
        try:
            return self.subsections
        except FormatError:
            return ()

    @property
    def is_hollow(self) -> bool:
        """Whether it is of a NULL pointer: of a struct in a vmdesc of which nothing is said."""
        return False

    @property
    def is_empty(self) -> bool:
        """Whether nothing is said of its fields."""
        return not self.fields

    @property
    def is_vmsd(self) -> bool:
        """Whether it has a name: of a section without, only the device's own code knows what it holds."""
        return bool(self.name)

    @property
    def has_null_pointers(self) -> bool:
        """Whether an array of pointers has, or may have, NULL among its elements.

        Then the sizes may be wrong. Up to 9.2 an array that begins with NULL is described as if all
        of it were NULL, by an empty struct of one byte; since 10.0 a first run of elements that are
        none is given the length of the whole array.
        """
        return any(placed.field.may_lack for placed in self.walk())

    def schema(self) -> Struct:
        """A construct Struct that parses the section's data, and builds the same bytes from what it parsed.

        Of a name that repeats (arrays whose elements differ) the second is `name[1]`. Lists, trees, virtio
        and buffers are bytes: their length is that of their content, which the layout has as a whole.
        """
        seen: Counter[str] = Counter()
        members = [_named(each.name, seen) / _schema_of(each) for each in self.fields]
        for subsection in self.subsections:
            members.append(_named(subsection.name, seen) / subsection._behind_header())
        return Struct(*members)

    def _behind_header(self) -> Struct:
        head = Const(qevm.subsection_head(self.name))
        return Struct("header" / head, "version_id" / qevm.VERSION_ID, "fields" / self.schema())


def _named(name: str, seen: Counter[str]) -> str:
    seen[name] += 1
    return name if seen[name] == 1 else f"{name}[{seen[name] - 1}]"


def _schema_of(each: Field) -> Any:
    """The schema of a field: of all elements where it is an array."""
    if each.inside is not None and each.inside.size == each.size:
        one: Any = each.inside.schema()
    else:
        one = vmstate.schema_of(each.type, each.size)
    if each.array_len is None or not each.size:
        return one if each.length else Bytes(0)
    return Bytes(each.length) if isinstance(one, Bytes) else Array(each.array_len, one)


def laid_out(fields: Iterable[Field]) -> tuple[Field, ...]:
    """The fields one after another: each with the offset behind those before it."""
    offset, placed = 0, []
    for each in fields:
        placed.append(each._replace(offset=offset))
        offset += each.length
    return tuple(placed)


def struct_field(name: str, fields: Iterable[Field], array_len: int | None = None) -> Field:
    """A field of type struct that has `fields` inside, or an array of such."""
    inside = Layout(fields=laid_out(fields))
    return Field(name, vmstate.STRUCT, 0, inside.size, array_len, inside)


def is_fixed(schema: Any) -> bool:
    """Whether a schema has the same size whatever it parses."""
    try:
        schema.sizeof()
    except SizeofError:
        return False
    return True


def _schema_fields(schema: Any, value: Any) -> Iterator[Field]:
    """The members of a construct Struct."""
    for member in schema.subcons:
        name = str(member.name)
        yield from _members(name, member.subcon, None if value is None else value[name])


def _members(name: str, schema: Any, value: Any) -> Iterator[Field]:
    """What one member of a Struct is: a field, none, or one for each element of unlike ones."""
    if isinstance(schema, IfThenElse):
        if value is not None:
            yield from _members(name, schema.thensubcon, value)
    elif isinstance(schema, RepeatUntil) or (isinstance(schema, Array) and not is_fixed(schema.subcon)):
        for element in value:
            yield _field(name, schema.subcon, element)._replace(is_indexed=True)
    else:
        yield _field(name, schema, value)


def _field(name: str, schema: Any, value: Any) -> Field:
    if isinstance(schema, Const):
        schema = schema.subcon
    if isinstance(schema, Array):
        count: Any = schema.count if value is None else len(value)
        return _field(name, schema.subcon, None)._replace(array_len=count)
    if isinstance(schema, Struct):
        return struct_field(name, _schema_fields(schema, value))
    if isinstance(schema, Bytes):
        size: Any = schema.length if value is None else len(value)
        return Field(name, "buffer", 0, size)
    assert isinstance(schema, FormatField)
    return Field(name, vmstate.TYPE_OF_CODE[schema.fmtstr], 0, schema.length)
