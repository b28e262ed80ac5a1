"""How the data of a section is laid out, as one value: fields with their sizes, structs inside, subsections.

A layout is made from what a vmdesc says of a section, or from a construct schema. It is looked at only as far
as it is asked for: most of a vmdesc, which may be hostile, never is. A list or struct that makes no sense
raises FormatError where it is met.

Source: QEMU migration/vmstate.c, vmstate_save_state_v and vmsd_desc_field_start: a section's data is its
fields one after another, then its subsections, each behind a header.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from construct import Array, Bytes, Const, Struct

from msixtool.errors import FormatError
from msixtool.formats import build, described, qevm, sizeof, vmdesc, vmstate
from msixtool.formats.lengths import SIZED_BY, SIZED_FIELDS

MAX_ELEMENTS = 1 << 24
"""The longest array that is believed; QEMU's longest has some 10^5 elements."""
MAX_FIELD = 1 << 40
"""The longest field that is believed, in bytes."""

_WHOLE = frozenset((*vmstate.LIST_TYPES, vmstate.TREE_TYPE))
"""Types whose elements are described in line without their markers: only the size as a whole tells."""


class Field(NamedTuple):
    """One field, or `array_len` elements of it: `size` is that of one, `length` that of all, in bytes.

    `offset` counts from the start of what the field is in. An `array_len` of None is no array.
    """

    name: str
    type: str
    offset: int
    size: int
    array_len: int | None = None
    described: dict[str, Any] = {}  # noqa: RUF012
    """The object of the vmdesc."""
    inside: Layout | None = None
    """The layout of one element: of a struct, or the inline one of a vstruct or tmp."""
    sized_by: str | None = None
    """The field of the stream that its length comes from; None for a length that is fixed."""

    @property
    def elements(self) -> int:
        """How many elements the one field object stands for."""
        return 1 if self.array_len is None else self.array_len

    @property
    def length(self) -> int:
        """Bytes of all elements."""
        return self.size * self.elements

    @property
    def is_indexed(self) -> bool:
        """Whether it is one element, with its number, of an array whose elements differ (up to 10.x)."""
        return "index" in self.described

    @property
    def is_hollow(self) -> bool:
        """Whether it is a struct of which nothing is said: a NULL pointer, up to 9.2."""
        return self.described.get("struct") == {}

    @property
    def may_lack(self) -> bool:
        """Whether it is, or may be, an array of pointers with NULL among them: its sizes may be wrong."""
        return self.type in vmstate.NULL_TYPES or (self.is_hollow and self.length > 0)

    @property
    def in_line(self) -> tuple[Layout, ...]:
        """The layouts of a list's or tree's elements: they stand in its object, their keys repeated."""
        entry = self.described
        pairs = entry.pairs if isinstance(entry, vmdesc.RepeatedNames) else list(entry.items())
        found: list[dict[str, Any]] = []
        for key, value in pairs:
            if key == "vmsd_name":
                found.append({})
            if found and key in ("vmsd_name", "version", "fields", "subsections"):
                found[-1][key] = value
        return tuple(map(Layout, found))


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


class Landmarks(NamedTuple):
    """What of PCI and virtio a layout has: the first configuration space, MSI-X state and virtio blob."""

    config: Placed | None = None
    table: Placed | None = None
    virtio: Placed | None = None


NO_LANDMARKS = Landmarks()


@dataclass(frozen=True)
class Layout:
    """A vmsd as it was written: made from the vmdesc's object for a section, a struct or a subsection."""

    described: dict[str, Any]

    @classmethod
    def of_schema(cls, schema: Any, value: Any = None) -> Layout:
        """The layout of a construct Struct; `value`, what it parsed, says what its size depends on."""
        return cls({"fields": described.fields_of(schema, value)})

    def __repr__(self) -> str:
        return f"<Layout {self.name[:60]!r}: {len(self.described.get('fields', ()))} fields>"

    @property
    def name(self) -> str:
        """The name of the vmsd; empty where it has none."""
        return str(self.described.get("vmsd_name", ""))

    @cached_property
    def idstr(self) -> str:
        """The idstr of the section that it is of, on the outermost level; else empty."""
        return str(self.described.get("name", ""))

    @property
    def instance_id(self) -> int:
        """The instance_id of the section that it is of; 0 where it has none that makes sense."""
        instance = self.described.get("instance_id", 0)
        return instance & 0xFFFFFFFF if isinstance(instance, int) else 0

    @property
    def version(self) -> int | None:
        """version_id of the vmsd."""
        version = self.described.get("version")
        return version if isinstance(version, int) else None

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """The fields in stream order. Raises FormatError where a size is none."""
        found: list[Field] = []
        offset = 0
        for entry in _objects_of(self.described, "fields"):
            size = field_size(entry)
            count = _element_count(entry) if "array_len" in entry else None
            name, kind = str(entry.get("name", "")), str(entry.get("type", ""))
            inner = _nested(entry, kind)
            inside = None if inner is None else Layout(inner)
            sized_by = SIZED_BY.get((self.name, name)) if name in SIZED_FIELDS else None
            found.append(Field(name, kind, offset, size, count, entry, inside, sized_by))
            offset += size if count is None else size * count
        return tuple(found)

    @cached_property
    def subsections(self) -> tuple[Layout, ...]:
        """The subsections in stream order."""
        return tuple(Layout(entry) for entry in _objects_of(self.described, "subsections"))

    @property
    def header_size(self) -> int:
        """Bytes before the fields of a subsection: 0x05, length, name, 32-bit version."""
        return 6 + len(self.name.encode())

    @cached_property
    def size(self) -> int:
        """Bytes of the data, fields and subsections together."""
        fields = _objects_of(self.described, "fields")
        end = sum([field_size(each) * _element_count(each) for each in fields])
        return end + sum(each.header_size + each.size for each in self.subsections)

    def walk(self, offset: int = 0, path: tuple[str, ...] = ()) -> Iterator[Placed]:
        """All fields in stream order, structs before what is in them, subsections last.

        An array that is one field object is one Placed; of an array of structs the first element's
        fields are walked, of an empty one none. Raises FormatError where the layout makes no sense.
        """
        at = offset
        for each in self.fields:
            place = (*path, each.name)
            at = offset + each.offset
            length = each.length
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
            if placed.type == "virtio":
                return Landmarks(virtio=placed)
            if placed.type == "pci config":
                found.setdefault("config", placed)
            elif placed.type == "msix state" and placed.size:
                found.setdefault("table", placed)
        return Landmarks(**found) if found else NO_LANDMARKS

    def structs(self) -> Iterator[Layout]:
        """This one and all in it: those of fields, whatever their size, then subsections.

        Raises nothing: what makes no sense has nothing in it.
        """
        yield self
        for each in self.known_fields:
            inside = each.in_line if each.type in _WHOLE else () if each.inside is None else (each.inside,)
            for layout in inside:
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
    def is_vmsd(self) -> bool:
        """Whether it has a name: of a section without, only the device's own code knows what it holds."""
        return "vmsd_name" in self.described

    @property
    def is_empty(self) -> bool:
        """Whether nothing is said of its fields."""
        return not self.described.get("fields")

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
        head = build(
            qevm.SUBSECTION_HEADER, {"name": self.name, "version_id": 0}, what=f"subsection {self.name!r}"
        )[: -sizeof(qevm.VERSION_ID)]
        return Struct("header" / Const(head), "version_id" / qevm.VERSION_ID, "fields" / self.schema())


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


def _nested(entry: dict[str, Any], kind: str) -> dict[str, Any] | None:
    """The vmdesc's object inside a field: that of a struct, or the field itself where it is inline."""
    inner = entry.get("struct")
    if isinstance(inner, dict):
        return inner
    return entry if "fields" in entry and kind not in _WHOLE else None


def _objects_of(entry: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """The list of objects under `key`; empty where it is absent. Raises FormatError where it is none."""
    found = entry.get(key)
    if not found:
        return []
    if not isinstance(found, list) or not all([isinstance(each, dict) for each in found]):  # noqa: C419
        name = entry.get("vmsd_name") or entry.get("name") or "a struct"
        raise FormatError(f"vmdesc: {key} of {name}", expected="a list of objects")
    return found


def field_size(entry: dict[str, Any]) -> int:
    """Bytes of one element of a field. Raises FormatError where that is no sane number."""
    size = _number(entry, "size", None)
    if size > MAX_FIELD:
        raise FormatError(
            f"vmdesc: size of {entry.get('name')!r}", expected=f"at most {MAX_FIELD}", found=size
        )
    return size


def _element_count(entry: dict[str, Any]) -> int:
    """How many elements one field object stands for. Raises FormatError where that is no sane number."""
    count = _number(entry, "array_len", 1)
    if count > MAX_ELEMENTS:
        raise FormatError(
            f"vmdesc: array_len of {entry.get('name')!r}", expected=f"at most {MAX_ELEMENTS}", found=count
        )
    return count


def _number(entry: dict[str, Any], key: str, default: int | None) -> int:
    value = entry.get(key, default)
    if type(value) is not int or value < 0:
        raise FormatError(f"vmdesc: {key} of field {entry.get('name')!r}", expected="a size", found=value)
    return value
