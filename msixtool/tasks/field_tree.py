"""The fields of a section as a tree: what its vmdesc says, laid over its data.

Source: QEMU migration/vmstate.c, vmstate_save_state_v and vmsd_desc_field_start, of 2.3 to 11.1.
The elements of an array whose elements differ are field objects of one name: all of them with
`index` (up to 9.2), all but the last (10.x), or none (11.x). A tree has no values, only places:
they are decoded when they are asked for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

from msixtool.errors import FormatError
from msixtool.formats import parse, qevm, vmstate
from msixtool.formats.layout import Field, Layout

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
        """Add elements behind those that are there: many at once, or one by one."""
        if not self.elements and isinstance(more, Repeated):
            self.elements = more
        elif isinstance(self.elements, list):
            self.elements.extend(more)
        else:
            self.elements = [*self.elements, *more]

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

_VARIABLE = frozenset((vmstate.TREE_TYPE, *vmstate.LIST_TYPES))

Inside = Callable[[bytes, int, int], Layout | None]
"""What describes a field of some type that the vmdesc does not: it takes the section's data and the
field's offset and size in it, and gives its layout, or None."""


def build_tree(layout: Layout, data: bytes, inside: dict[str, Inside] | None = None) -> Group:
    """The tree of the section that has `data` and that its vmdesc lays out so.

    `inside` opens fields by their type. Raises FormatError where the vmdesc and the data do not agree.
    """
    return _Builder(data, inside or {}).group(layout, 0, len(data))


class _Builder:
    def __init__(self, data: bytes, inside: dict[str, Inside]) -> None:
        self.data = data
        self.inside = inside
        self.values = 0

    def group(self, layout: Layout, offset: int, end: int) -> Group:
        """The struct from `offset` to `end`, which it must fill."""
        group, reached = self.open_group(layout, offset, end, exact=True)
        if reached != end:
            raise FormatError(
                f"vmdesc of {layout.name or layout.idstr or 'a struct'}",
                expected=f"{end - offset} bytes as in the stream",
                found=reached - offset,
            )
        return group

    def open_group(self, layout: Layout, offset: int, end: int, *, exact: bool = False) -> tuple[Group, int]:
        """The struct at `offset`, and the offset behind it: `end` at most, or `end` where it is `exact`."""
        fields: Sequence[Field] = layout.fields
        if exact and layout.size != end - offset:
            fields = _mended(fields, end - offset - sum(map(_whole_size, layout.subsections)))
        group = Group()
        names = [each.name for each in fields]
        repeated = Counter(names) - Counter(set(names)) if len(set(names)) < len(names) else ()
        for each in fields:
            behind = offset + each.length
            if behind > end:
                raise FormatError(
                    f"vmdesc: size of field {each.name!r}",
                    expected=f"at most the {end - offset} bytes left",
                    found=each.length,
                )
            self.add(group, each, offset, each.name in repeated)
            offset = behind
        for subsection in layout.subsections:
            offset = self.subsection(group, subsection, offset, end)
        return group, offset

    def add(self, group: Group, each: Field, offset: int, repeated: bool) -> None:
        """Add what one field object describes: a member, or elements of an array of that name."""
        count, size = each.array_len, each.size
        if count is None and not repeated and not each.is_indexed:
            self.count(1)
            group.members[each.name] = self.node(each, offset)
            return
        # Elements of no size cannot be counted by what they take: one stands for all.
        number = 1 if count is None or not size else count
        self.count(number)
        if count is not None and not repeated and self.is_plain(each):
            group.members[each.name] = Leaf(each.type, offset, size, number if size else 0)
            return
        array = group.members.setdefault(each.name, Elements())
        assert isinstance(array, Elements)  # a name that repeats never makes anything else
        array.add(self.elements(each, offset, number))

    def elements(self, each: Field, offset: int, number: int) -> Sequence[Node]:
        """`number` elements of one kind, one behind another."""
        size = each.size
        if number > 1 and self.is_fixed(each):
            before = self.values
            first = self.node(each, offset)
            self.count((self.values - before) * (number - 1))
            return Repeated(first, size, number)
        places = range(offset, offset + size * number, size) if size else [offset] * number
        return [self.node(each, place) for place in places if not self.is_valid_marker(each, place)]

    def is_fixed(self, each: Field) -> bool:
        """Whether the vmdesc alone says how such an element is laid out, and nothing in the data."""
        if self.is_variable(each) or each.type in vmstate.NULL_TYPES:
            return False
        inner = each.inside
        return inner is None or (not inner.subsections and all(map(self.is_fixed, inner.fields)))

    def count(self, number: int) -> None:
        self.values += number
        if self.values > MAX_VALUES:
            raise FormatError("vmdesc of a section", expected=f"at most {MAX_VALUES} values", found="more")

    def is_plain(self, each: Field) -> bool:
        """Whether elements of this kind are plain values."""
        return each.type != vmstate.IRQ_STATE and not self.is_variable(each) and each.inside is None

    def is_variable(self, each: Field) -> bool:
        """Whether it is what is in it that says how long and what such a field is."""
        return each.type in self.inside or each.type in _VARIABLE

    def is_valid_marker(self, each: Field, offset: int) -> bool:
        """Whether this is the byte that says that the next field object is the element."""
        return each.type in vmstate.NULL_TYPES and self.data[offset : offset + 1] == vmstate.VALID_MARKER

    def node(self, each: Field, offset: int) -> Node:
        """What one element of a field is."""
        kind, size = each.type, each.size
        if kind == vmstate.IRQ_STATE and size % 4 == 0:
            return Leaf(vmstate.IRQ_STATE_TYPE, offset, 4, size // 4)
        if kind in vmstate.LIST_TYPES:
            return self.linked_list(each, offset, offset + size)
        if kind == vmstate.TREE_TYPE:
            return self.tree(each, offset, offset + size)
        opener = self.inside.get(kind)
        inner = each.inside if opener is None else opener(self.data, offset, size)
        if inner is None:
            return Leaf(kind, offset, size)
        if inner.is_hollow:
            # A NULL pointer in an array of structs, up to 9.2: the struct is empty.
            return Leaf("nullptr" if size == 1 else kind, offset, size)
        return self.group(inner, offset, offset + size)

    def subsection(self, group: Group, subsection: Layout, offset: int, end: int) -> int:
        """Add one subsection, whose header must stand at `offset`; the offset behind it."""
        name = subsection.name
        header = qevm.subsection_head(name)
        found = self.data[offset : offset + len(header)]
        if found != header:
            raise FormatError(f"subsection {name!r}", expected=header.hex(), found=found.hex() or "nothing")
        body = offset + subsection.header_size
        if body > end:
            raise FormatError(f"subsection {name!r}", expected="a header of its own", found="the end")
        group.members[name], offset = self.open_group(subsection, body, end)
        return offset

    def linked_list(self, each: Field, offset: int, end: int) -> Elements:
        """A list: 0x01 before each element, 0x00 behind the last."""
        made: list[Node] = []
        for layout in each.in_line:
            self.expect(vmstate.MORE, offset, each)
            group, offset = self.open_group(layout, offset + 1, end)
            made.append(group)
        self.expect(vmstate.NO_MORE, offset, each)
        _check_end(each, offset + 1, end)
        return Elements(made)

    def tree(self, each: Field, offset: int, end: int) -> Elements:
        """A tree: for each node `key` and `value`, where the key is a number or a struct."""
        count = parse(vmstate.NODES, self.data[offset : offset + 4], what=f"field {each.name!r}")
        layouts = each.in_line
        if len(layouts) not in (count, 2 * count):
            raise FormatError(f"vmdesc of field {each.name!r}", expected=f"{count} nodes", found=len(layouts))
        keyed = len(layouts) > count
        offset += 4
        made: list[Node] = []
        for index in range(count):
            self.expect(vmstate.MORE, offset, each)
            key: Node = Leaf("uint64", offset + 1, 8)
            offset += 1 if keyed else 9
            if keyed:
                key, offset = self.open_group(layouts[2 * index], offset, end)
            value, offset = self.open_group(layouts[2 * index + 1 if keyed else index], offset, end)
            made.append(Group({"key": key, "value": value}))
        self.expect(vmstate.NO_MORE, offset, each)
        _check_end(each, offset + 1, end)
        return Elements(made)

    def expect(self, marker: bytes, offset: int, each: Field) -> None:
        found = self.data[offset : offset + 1]
        if found != marker:
            raise FormatError(
                f"field {each.name!r}: marker of an element",
                expected=marker.hex(),
                found=found.hex() or "nothing",
            )


def _check_end(each: Field, reached: int, end: int) -> None:
    if reached != end:
        raise FormatError(
            f"field {each.name!r}",
            expected="to end where the vmdesc says",
            found=f"{abs(end - reached)} bytes {'more' if reached > end else 'less'}",
        )


def _whole_size(subsection: Layout) -> int:
    return subsection.header_size + subsection.size


def _mended(fields: Sequence[Field], room: int) -> Sequence[Field]:
    """The fields that take `room` bytes, where arrays of pointers are described wrongly.

    Up to 9.2 an array that begins with NULL is described as if it were all NULL: what is in it
    cannot be told. Since 10.0 the runs of an array are objects of their own, and the first one,
    where it is not of NULLs, has the length of the whole array.
    """
    taken = sum([each.length for each in fields])
    mended = list(fields)
    opaque = [place for place, each in enumerate(fields) if each.is_hollow and each.array_len is not None]
    if len(opaque) == 1 and taken < room:
        entry = fields[opaque[0]]
        mended[opaque[0]] = Field(entry.name, "unknown", entry.offset, entry.length + room - taken)
    places: dict[str, list[int]] = {}
    for place, each in enumerate(fields):
        places.setdefault(each.name, []).append(place)
    for same in places.values():
        first, others = fields[same[0]], [fields[place] for place in same[1:]]
        if first.type in vmstate.NULL_TYPES or not any(o.type in vmstate.NULL_TYPES for o in others):
            continue
        length = first.elements - sum(other.elements for other in others)
        if length > 0:
            mended[same[0]] = first._replace(array_len=length)
    return mended
