"""The fields of a section as a tree: what its vmdesc says, laid over its data.

Source: QEMU migration/vmstate.c, vmstate_save_state_v and vmsd_desc_field_start, of 2.3 to 11.1.
The elements of an array whose elements differ are field objects of one name: all of them with
`index` (up to 9.2), all but the last (10.x), or none (11.x). A tree has no values, only places:
they are decoded when they are asked for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

from msixtool.errors import FormatError
from msixtool.formats import qevm, vmstate
from msixtool.formats.layout import Layout, element_count, field_size, nested, objects_of
from msixtool.formats.vmdesc import RepeatedNames

MAX_VALUES = 1 << 19
"""The most values that one section is believed to have; QEMU's largest have some 10^5."""


@dataclass(slots=True)
class Leaf:
    """A value, or an array of `count` values of `size` bytes each; `offset` in the section's data."""

    type: str
    offset: int
    size: int
    count: int | None = None

    @property
    def length(self) -> int:
        """Bytes in all."""
        return self.size if self.count is None else self.size * self.count

    @property
    def is_bytes(self) -> bool:
        """Whether it is given in hex."""
        return self.count is None and vmstate.is_bytes(self.type, self.size)

    def value(self, data: bytes) -> vmstate.Value | list[vmstate.Value]:
        """The value, or the list of values, out of the section's data."""
        raw = data[self.offset : self.offset + self.length]
        if self.count is None:
            return vmstate.decode(self.type, raw)
        return vmstate.decode_array(self.type, raw, self.count)

    def element(self, index: int) -> Leaf:
        """One value of an array."""
        return Leaf(self.type, self.offset + index * self.size, self.size)

    def shifted(self, by: int) -> Leaf:
        """The same `by` bytes further on."""
        return Leaf(self.type, self.offset + by, self.size, self.count)


@dataclass(slots=True)
class Group:
    """A struct: members by name, in stream order, subsections behind the fields."""

    members: dict[str, Node] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<Group of {len(self.members)}: {', '.join(self.members)[:60]!r}>"

    def value(self, data: bytes) -> dict[str, Any]:
        """The members' values, nested."""
        return {name: member.value(data) for name, member in self.members.items()}

    def shifted(self, by: int) -> Group:
        """The same `by` bytes further on."""
        return Group({name: member.shifted(by) for name, member in self.members.items()})


@dataclass(slots=True)
class Elements:
    """An array whose elements are no plain values, or do not all have one type."""

    elements: Sequence[Node] = ()

    def __repr__(self) -> str:
        return f"<Elements: {len(self.elements)}>"

    def add(self, more: Iterable[Node]) -> None:
        """Add elements behind those that are there."""
        self.elements = more if isinstance(more, Repeated) and not self.elements else [*self.elements, *more]

    def value(self, data: bytes) -> list[Any]:
        """The elements' values."""
        if isinstance(self.elements, Repeated):
            return self.elements.values(data)
        return [element.value(data) for element in self.elements]

    def shifted(self, by: int) -> Elements:
        """The same `by` bytes further on."""
        return Elements([element.shifted(by) for element in self.elements])


@dataclass(frozen=True, slots=True)
class Repeated(Sequence["Node"]):
    """Elements that are all laid out as the first is, `size` bytes apart: made when they are asked for.

    A virtio device has 2048 of them, and values are read by the column.
    """

    first: Node
    size: int
    number: int

    def __len__(self) -> int:
        return self.number

    @overload
    def __getitem__(self, index: int) -> Node: ...
    @overload
    def __getitem__(self, index: slice) -> list[Node]: ...
    def __getitem__(self, index: int | slice) -> Node | list[Node]:
        places = range(0, self.size * self.number, self.size)[index]
        if isinstance(places, range):
            return [self.first.shifted(place) for place in places]
        return self.first.shifted(places)

    def values(self, data: bytes) -> list[Any]:
        """The value of each element."""
        return self._column(self.first, data)

    def _column(self, node: Node, data: bytes) -> list[Any]:
        """The values of one part of the first element, and of the same part of all others."""
        if isinstance(node, Leaf) and (length := node.length):
            starts = range(node.offset, node.offset + self.size * self.number, self.size)
            raw = b"".join([data[start : start + length] for start in starts])
            if node.count is None:
                return vmstate.decode_array(node.type, raw, self.number)
            values = vmstate.decode_array(node.type, raw, self.number * node.count)
            return [values[at : at + node.count] for at in range(0, len(values), node.count)]
        if isinstance(node, Group) and node.members:
            columns = [self._column(member, data) for member in node.members.values()]
            return [dict(zip(node.members, row, strict=True)) for row in zip(*columns, strict=True)]
        return [node.shifted(self.size * index).value(data) for index in range(self.number)]


Node = Leaf | Group | Elements

Inside = Callable[[bytes, int, int], "dict[str, Any] | None"]
"""What describes a field of some type that the vmdesc does not: it takes the section's data and the
field's offset and size in it, and gives a description as a vmdesc would have it, or None."""


def build_tree(description: dict[str, Any], data: bytes, inside: dict[str, Inside] | None = None) -> Group:
    """The tree of the section that has `data` and that `description`, its vmdesc, describes.

    `inside` opens fields by their type. Raises FormatError where the vmdesc and the data do not agree.
    """
    return _Builder(data, inside or {}).group(description, 0, len(data))


class _Builder:
    def __init__(self, data: bytes, inside: dict[str, Inside]) -> None:
        self.data = data
        self.inside = inside
        self.variable = {*inside, vmstate.TREE_TYPE, *vmstate.LIST_TYPES}
        self.values = 0

    def group(self, description: dict[str, Any], offset: int, end: int) -> Group:
        """The struct from `offset` to `end`, which it must fill."""
        group, reached = self.open_group(description, offset, end, exact=True)
        if reached != end:
            raise FormatError(
                f"vmdesc of {_name_of(description)}",
                expected=f"{end - offset} bytes as in the stream",
                found=reached - offset,
            )
        return group

    def open_group(
        self, description: dict[str, Any], offset: int, end: int, *, exact: bool = False
    ) -> tuple[Group, int]:
        """The struct at `offset`, and the offset behind it: `end` at most, or `end` where it is `exact`."""
        fields, subsections = objects_of(description, "fields"), objects_of(description, "subsections")
        if exact:
            fields = _mended(fields, end - offset - sum(map(_subsection_size, subsections)))
        group = Group()
        names = Counter(str(entry.get("name", "")) for entry in fields)
        for entry in fields:
            name = str(entry.get("name", ""))
            size = field_size(entry) * element_count(entry)
            if size > end - offset:
                raise FormatError(
                    f"vmdesc: size of field {name!r}",
                    expected=f"at most the {end - offset} bytes left",
                    found=size,
                )
            self.add(group, name, entry, offset, names[name] > 1)
            offset += size
        for subsection in subsections:
            offset = self.subsection(group, subsection, offset, end)
        return group, offset

    def add(self, group: Group, name: str, entry: dict[str, Any], offset: int, repeated: bool) -> None:
        """Add what one field object describes: a member, or elements of an array of that name."""
        count = entry.get("array_len")
        size = field_size(entry)
        if count is None and not repeated and "index" not in entry:
            self.count(1)
            group.members[name] = self.node(entry, offset, size)
            return
        # Elements of no size cannot be counted by what they take: one stands for all.
        number = 1 if count is None else element_count(entry) if size else 1
        self.count(number)
        if count is not None and not repeated and self.is_plain(entry):
            group.members[name] = Leaf(_type(entry), offset, size, number if size else 0)
            return
        array = group.members.setdefault(name, Elements())
        assert isinstance(array, Elements)  # a name that repeats never makes anything else
        array.add(self.elements(entry, offset, size, number))

    def elements(self, entry: dict[str, Any], offset: int, size: int, number: int) -> Sequence[Node]:
        """`number` elements of one kind, one behind another."""
        if number > 1 and self.is_fixed(entry):
            before = self.values
            first = self.node(entry, offset, size)
            self.count((self.values - before) * (number - 1))
            return Repeated(first, size, number)
        places = range(offset, offset + size * number, size) if size else [offset] * number
        return [self.node(entry, place, size) for place in places if not self.is_valid_marker(entry, place)]

    def is_fixed(self, entry: dict[str, Any]) -> bool:
        """Whether the vmdesc alone says how such an element is laid out, and nothing in the data."""
        if _type(entry) in self.variable or _type(entry) in vmstate.NULL_TYPES:
            return False
        inner = nested(entry)
        if inner is None:
            return True
        return not objects_of(inner, "subsections") and all(map(self.is_fixed, objects_of(inner, "fields")))

    def count(self, number: int) -> None:
        self.values += number
        if self.values > MAX_VALUES:
            raise FormatError("vmdesc of a section", expected=f"at most {MAX_VALUES} values", found="more")

    def is_plain(self, entry: dict[str, Any]) -> bool:
        """Whether elements of this kind are plain values."""
        special = _type(entry) == vmstate.IRQ_STATE or _type(entry) in self.variable
        return not special and nested(entry) is None

    def is_valid_marker(self, entry: dict[str, Any], offset: int) -> bool:
        """Whether this is the byte that says that the next field object is the element."""
        return _type(entry) in vmstate.NULL_TYPES and self.data[offset : offset + 1] == vmstate.VALID_MARKER

    def node(self, entry: dict[str, Any], offset: int, size: int) -> Node:
        """What one element of a field is."""
        type_name = _type(entry)
        if type_name == vmstate.IRQ_STATE and size % 4 == 0:
            return Leaf(vmstate.IRQ_STATE_TYPE, offset, 4, size // 4)
        if type_name in vmstate.LIST_TYPES:
            return self.linked_list(entry, offset, offset + size)
        if type_name == vmstate.TREE_TYPE:
            return self.tree(entry, offset, offset + size)
        opener = self.inside.get(type_name)
        inner = nested(entry) if opener is None else opener(self.data, offset, size)
        if inner is None:
            return Leaf(type_name, offset, size)
        if "fields" not in inner:
            # A NULL pointer in an array of structs, up to 9.2: the struct is empty.
            return Leaf("nullptr" if size == 1 else type_name, offset, size)
        return self.group(inner, offset, offset + size)

    def subsection(self, group: Group, subsection: dict[str, Any], offset: int, end: int) -> int:
        """Add one subsection, whose header must stand at `offset`; the offset behind it."""
        name = str(subsection.get("vmsd_name", ""))
        header = bytes([qevm.ItemType.SUBSECTION, len(name.encode()) & 0xFF]) + name.encode()
        found = self.data[offset : offset + len(header)]
        if found != header:
            raise FormatError(f"subsection {name!r}", expected=header.hex(), found=found.hex() or "nothing")
        body = offset + Layout(subsection).header_size
        if body > end:
            raise FormatError(f"subsection {name!r}", expected="a header of its own", found="the end")
        member, offset = self.open_group(subsection, body, end)
        group.members[name] = member
        return offset

    def linked_list(self, entry: dict[str, Any], offset: int, end: int) -> Elements:
        """A list: 0x01 before each element, 0x00 behind the last."""
        made: list[Node] = []
        for description in _inline(entry):
            self.expect(vmstate.MORE, offset, entry)
            group, offset = self.open_group(description, offset + 1, end)
            made.append(group)
        self.expect(vmstate.NO_MORE, offset, entry)
        _check_end(entry, offset + 1, end)
        return Elements(made)

    def tree(self, entry: dict[str, Any], offset: int, end: int) -> Elements:
        """A tree: for each node `key` and `value`, where the key is a number or a struct."""
        count = int.from_bytes(self.data[offset : offset + 4], "big")
        descriptions = list(_inline(entry))
        if len(descriptions) not in (count, 2 * count):
            raise FormatError(
                f"vmdesc of field {entry.get('name')!r}", expected=f"{count} nodes", found=len(descriptions)
            )
        keyed = len(descriptions) > count
        offset += 4
        made: list[Node] = []
        for index in range(count):
            self.expect(vmstate.MORE, offset, entry)
            key: Node = Leaf("uint64", offset + 1, 8)
            offset += 1 if keyed else 9
            if keyed:
                key, offset = self.open_group(descriptions[2 * index], offset, end)
            described = descriptions[2 * index + 1 if keyed else index]
            value, offset = self.open_group(described, offset, end)
            made.append(Group({"key": key, "value": value}))
        self.expect(vmstate.NO_MORE, offset, entry)
        _check_end(entry, offset + 1, end)
        return Elements(made)

    def expect(self, marker: bytes, offset: int, entry: dict[str, Any]) -> None:
        found = self.data[offset : offset + 1]
        if found != marker:
            raise FormatError(
                f"field {entry.get('name')!r}: marker of an element",
                expected=marker.hex(),
                found=found.hex() or "nothing",
            )


def _check_end(entry: dict[str, Any], reached: int, end: int) -> None:
    if reached != end:
        raise FormatError(
            f"field {entry.get('name')!r}",
            expected="to end where the vmdesc says",
            found=f"{abs(end - reached)} bytes {'more' if reached > end else 'less'}",
        )


def _type(entry: dict[str, Any]) -> str:
    return str(entry.get("type", ""))


def _name_of(description: dict[str, Any]) -> str:
    return str(description.get("vmsd_name") or description.get("name") or "a struct")


def _subsection_size(subsection: dict[str, Any]) -> int:
    return Layout(subsection).header_size + Layout(subsection).size


def _inline(entry: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The descriptions that stand one after another in a field object, their keys repeated."""
    pairs = entry.pairs if isinstance(entry, RepeatedNames) else list(entry.items())
    current: dict[str, Any] | None = None
    for key, value in pairs:
        if key == "vmsd_name":
            if current is not None:
                yield current
            current = {}
        if current is not None and key in ("vmsd_name", "version", "fields", "subsections"):
            current[key] = value
    if current is not None:
        yield current


def _mended(fields: list[dict[str, Any]], room: int) -> list[dict[str, Any]]:
    """The fields that take `room` bytes, where arrays of pointers are described wrongly.

    Up to 9.2 an array that begins with NULL is described as if it were all NULL: what is in it
    cannot be told. Since 10.0 the runs of an array are objects of their own, and the first one,
    where it is not of NULLs, has the length of the whole array.
    """
    taken = sum(field_size(entry) * element_count(entry) for entry in fields)
    if taken == room:
        return fields
    mended = list(fields)
    opaque = [
        place for place, entry in enumerate(fields) if entry.get("struct") == {} and "array_len" in entry
    ]
    if len(opaque) == 1 and taken < room:
        entry = fields[opaque[0]]
        size = field_size(entry) * element_count(entry) + room - taken
        mended[opaque[0]] = {"name": entry.get("name"), "type": "unknown", "size": size}
    for places in _places_by_name(fields).values():
        first, others = fields[places[0]], [fields[place] for place in places[1:]]
        if _type(first) in vmstate.NULL_TYPES or not any(_type(o) in vmstate.NULL_TYPES for o in others):
            continue
        length = element_count(first) - sum(map(element_count, others))
        if length > 0:
            mended[places[0]] = {**first, "array_len": length}
    return mended


def _places_by_name(fields: list[dict[str, Any]]) -> dict[str, list[int]]:
    places: dict[str, list[int]] = {}
    for place, entry in enumerate(fields):
        places.setdefault(str(entry.get("name")), []).append(place)
    return places
