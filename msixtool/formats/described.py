"""The layout of a section as its vmdesc describes it: looked at only as far as it is asked for.

Most of a vmdesc, which may be hostile, never is. A list or struct that makes no sense raises FormatError
where it is met.

Source: QEMU migration/vmstate.c (vmsd_desc_field_start), for the form of a field.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from msixtool.errors import FormatError
from msixtool.formats import vmdesc, vmstate
from msixtool.formats.layout import LANDMARK_TYPES, NO_LANDMARKS, Field, Landmarks, Layout
from msixtool.formats.lengths import SIZED_BY, SIZED_FIELDS
from msixtool.kept import cached_property

MAX_ELEMENTS = 1 << 24
"""The longest array that is believed; QEMU's longest has some 10^5 elements."""
MAX_FIELD_SIZE = 1 << 40
"""The longest field that is believed, in bytes."""

_WHOLE = frozenset((*vmstate.LIST_TYPES, vmstate.TREE_TYPE))
"""Types whose elements are described in line without their markers: only the size as a whole tells."""


_INSIDE = frozenset(("struct", "fields", "vmsd_name"))
"""The keys of a field that has something inside."""


@lru_cache(1 << 8)
def _kept(types: frozenset[str]) -> frozenset[str]:
    """One for all that are equal: a stream may have 10^5."""
    return types


class Described(Layout):
    """A vmsd as it was written: made from the vmdesc's object for a section, a struct or a subsection."""

    def __init__(self, described: dict[str, Any]) -> None:
        self.__dict__["described"] = described

    def __eq__(self, other: object) -> bool:
        return self.described == other.described if isinstance(other, Described) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<Layout {self.name[:60]!r}: {len(self.described.get('fields', ()))} fields>"

    @property
    def name(self) -> str:
        return str(self.described.get("vmsd_name", ""))

    @cached_property
    def idstr(self) -> str:
        return str(self.described.get("name", ""))

    @property
    def instance_id(self) -> int:
        """The instance_id of the section that it is of; 0 where it has none that makes sense."""
        instance = self.described.get("instance_id", 0)
        return instance & 0xFFFFFFFF if isinstance(instance, int) else 0

    @property
    def version(self) -> int | None:
        version = self.described.get("version")
        return version if isinstance(version, int) else None

    @property
    def is_vmsd(self) -> bool:
        return bool(self.described.get("vmsd_name"))

    @property
    def _entries(self) -> list[dict[str, Any]]:
        """The objects of the fields. Raises FormatError where there is no list of them."""
        return _objects_of(self.described, "fields")

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """The fields in stream order. Raises FormatError where a size is none."""
        found: list[Field] = []
        offset = 0
        for entry in self._entries:
            size = _size_of(entry)
            count = _element_count(entry) if "array_len" in entry else None
            name, kind = str(entry.get("name", "")), str(entry.get("type", ""))
            inner = _nested(entry, kind)
            inside = None if inner is None else Described(inner)
            sized_by = SIZED_BY.get((self.name, name)) if name in SIZED_FIELDS else None
            in_line = tuple(map(Described, _in_line(entry))) if kind in _WHOLE else ()
            found.append(Field(name, kind, offset, size, count, inside, sized_by, "index" in entry, in_line))
            offset += size if count is None else size * count
        return tuple(found)

    @cached_property
    def subsections(self) -> tuple[Described, ...]:
        """The subsections in stream order. Raises FormatError where there is no list of them."""
        return tuple(map(Described, _objects_of(self.described, "subsections")))

    @property
    def fields_size(self) -> int:
        return sum([_length_of(each) for each in self._entries])

    @cached_property
    def size(self) -> int:
        """As a Layout has it. Each section of a stream is asked, and most have no subsection."""
        return super().size if self.described.get("subsections") else self.fields_size

    @cached_property
    def plain_types(self) -> frozenset[str] | None:
        """The types of its fields where nothing is in them, as in most of a very long stream; else None, as
        where they make no sense."""
        if self.described.get("subsections") or not self._is_sound:
            return None
        types = set()
        for each in self.described.get("fields") or ():
            if not _INSIDE.isdisjoint(each):
                return None
            types.add(str(each.get("type", "")))
        return _kept(frozenset(types))

    def field_objects(self) -> Iterator[list[dict[str, Any]]]:
        """The objects of its fields, then of those of each struct in it, as they stand in the vmdesc.

        Raises nothing: what makes no sense has none.
        """
        entries = self._known_objects("fields")
        yield entries
        for each in entries:
            if not _INSIDE.isdisjoint(each):
                kind = str(each.get("type", ""))
                inner = _nested(each, kind)
                in_line = _in_line(each) if kind in _WHOLE else []
                for struct in in_line if inner is None else (inner,):
                    yield from Described(struct).field_objects()
        for subsection in self._known_objects("subsections"):
            yield from Described(subsection).field_objects()

    def _known_objects(self, key: str) -> list[dict[str, Any]]:
        try:
            return _objects_of(self.described, key)
        except FormatError:
            return []

    @cached_property
    def landmarks(self) -> Landmarks:
        types = self.plain_types
        if types is not None:
            none = types.isdisjoint(LANDMARK_TYPES)
        else:
            none = self._is_sound and all(
                LANDMARK_TYPES.isdisjoint([str(each.get("type")) for each in fields])
                for fields in self.field_objects()
            )
        return NO_LANDMARKS if none else super().landmarks

    @property
    def _is_sound(self) -> bool:
        """Whether its size makes sense."""
        try:
            return self.size >= 0
        except FormatError:
            return False

    @property
    def is_empty(self) -> bool:
        return not self.described.get("fields")

    @property
    def is_hollow(self) -> bool:
        return "fields" not in self.described

    def grown(self, types: tuple[str, ...], by: int) -> Described | None:
        """The same with `by` bytes more in the first field of one of these types, and in all around it.

        None where there is none, or where it is, or lies in, an array: there the text says one size for many.
        """
        for number, field in enumerate(self.known_fields):
            inner = field.inside.grown(types, by) if isinstance(field.inside, Described) else None
            if field.type in types or inner is not None:
                return self._grown_field(number, field, inner, by)
        for number, subsection in enumerate(self.known_subsections):
            other = subsection.grown(types, by) if isinstance(subsection, Described) else None
            if other is not None:
                return self._with("subsections", number, other.described)
        return None

    def grown_whole(self, by: int) -> Described | None:
        """The same of a section that QEMU writes by a function of its own: one buffer; else None."""
        if not isinstance(self.described.get("size"), int) or len(self.fields) != 1:
            return None
        grown = self._grown_field(0, self.fields[0], None, by)
        return grown and Described({**grown.described, "size": _size_of(self.described) + by})

    def _grown_field(self, number: int, field: Field, inner: Described | None, by: int) -> Described | None:
        entry = self.described["fields"][number]
        if field.elements != 1 or isinstance(entry, vmdesc.RepeatedNames):
            return None
        changed: dict[str, Any] = {}
        if inner is not None:
            changed = {"struct": inner.described} if "struct" in entry else inner.described
        return self._with("fields", number, {**entry, **changed, "size": field.size + by})

    def _with(self, key: str, number: int, entry: dict[str, Any]) -> Described | None:
        """The same with another object in one of its lists."""
        if isinstance(self.described, vmdesc.RepeatedNames):
            return None
        entries = list(self.described[key])
        entries[number] = entry
        return Described({**self.described, key: entries})


def _nested(entry: dict[str, Any], kind: str) -> dict[str, Any] | None:
    """The vmdesc's object inside a field: that of a struct, or the field itself where it is inline."""
    inner = entry.get("struct")
    if isinstance(inner, dict):
        return inner
    return entry if "fields" in entry and kind not in _WHOLE else None


def _in_line(entry: dict[str, Any]) -> list[dict[str, Any]]:
    """The objects of a list's or tree's elements: they stand in its own, their keys repeated."""
    pairs = entry.pairs if isinstance(entry, vmdesc.RepeatedNames) else list(entry.items())
    found: list[dict[str, Any]] = []
    for key, value in pairs:
        if key == "vmsd_name":
            found.append({})
        if found and key in ("vmsd_name", "version", "fields", "subsections"):
            found[-1][key] = value
    return found


def _objects_of(entry: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """The list of objects under `key`; empty where it is absent. Raises FormatError where it is none."""
    found = entry.get(key)
    if not found:
        return []
    if not isinstance(found, list) or not all([isinstance(each, dict) for each in found]):  # noqa: C419
        name = entry.get("vmsd_name") or entry.get("name") or "a struct"
        raise FormatError(f"vmdesc: {key} of {name}", expected="a list of objects")
    return found


def _length_of(entry: dict[str, Any]) -> int:
    """Bytes of a field, which is one element as a rule. Raises FormatError as those below."""
    size = entry.get("size")
    if type(size) is int and 0 <= size <= MAX_FIELD_SIZE and "array_len" not in entry:
        return size
    return _size_of(entry) * _element_count(entry)


def _size_of(entry: dict[str, Any]) -> int:
    """Bytes of one element of a field. Raises FormatError where that is no sane number."""
    size = _number(entry, "size", None)
    if size > MAX_FIELD_SIZE:
        raise FormatError(
            f"vmdesc: size of {entry.get('name')!r}", expected=f"at most {MAX_FIELD_SIZE}", found=size
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
