"""The differences between the fields of two streams, section by section."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from msixtool.containers.base import WINDOW
from msixtool.dump import OpenDump, matches
from msixtool.errors import visible
from msixtool.formats import vmstate
from msixtool.formats.idstr import Idstr
from msixtool.qemu.moving import is_moving, moving_bytes
from msixtool.stream.items import Damage, Item
from msixtool.tasks.field_tree import Elements, Group, Leaf, Node
from msixtool.tasks.fields import Section, read_section, section_layout

GAP = 4
"""Differing bytes of a buffer that have at most this many equal ones between them are one change."""
MAX_RUNS = 64
"""A buffer with more changes than this is given as a whole."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One difference. `field` is the path in the vmdesc, or None for the section as a whole.

    `offset` counts bytes in a buffer: `a` and `b` are its bytes from there in hex. Where a side
    lacks the field or the section, its value is None. `moving` fields differ between any two
    saves of a VM that ran in between.
    """

    section: str
    instance: int
    field: str | None
    a: Any
    b: Any
    offset: int | None = None
    moving: bool = False

    def __repr__(self) -> str:
        a, b = (visible(str(value))[:60] for value in (self.a, self.b))
        return f"<FieldChange {self.section[:60]!r}@{self.instance} {str(self.field)[:60]!r}: {a} to {b}>"


@dataclass(frozen=True, slots=True)
class FieldDiff:
    """All differences between the sections of two streams, and what could not be decoded."""

    changes: tuple[FieldChange, ...]
    damage: tuple[Damage, ...]


def diff_fields(
    a: OpenDump, b: OpenDump, *, by_vector: Collection[tuple[str, int]] = (), pattern: str | None = None
) -> FieldDiff:
    """Compare the sections with device state that `pattern` names (None: all), those that only B has last.

    `by_vector` has the devices (name, instance) whose MSI-X states are compared by vector: their
    bytes are not compared here once more.
    """
    changes: list[FieldChange] = []
    damage: list[Damage] = []
    for left, right in _pairs(a, b):
        item = left or right
        assert item is not None
        key = item.key
        if pattern is not None and not matches(pattern, *key):
            continue
        if left is None or right is None:
            changes.append(FieldChange(*key, None, _summary(left), _summary(right)))
            continue
        if left.version_id != right.version_id:
            versions = [{"version": side.version_id} for side in (left, right)]
            changes.append(FieldChange(*key, None, versions[0], versions[1]))
        if _same_bytes(a, left, b, right):
            continue
        sections = (
            read_section(a, left, fallback=section_layout(b, right)),
            read_section(b, right, fallback=section_layout(a, left)),
        )
        damage += [section.damage for section in sections if section.damage]
        changes += _SectionComparison(*sections, by_vector=key in by_vector).changes()
    return FieldDiff(tuple(changes), tuple(damage))


def _pairs(a: OpenDump, b: OpenDump) -> Iterator[tuple[Item | None, Item | None]]:
    """The sections of both, matched by name and instance, duplicates by their order."""
    left, right = _by_key(a), _by_key(b)
    for key, item in left.items():
        yield item, right.get(key)
    yield from ((None, item) for key, item in right.items() if key not in left)


def _by_key(dump: OpenDump) -> dict[tuple[str, int, int], Item]:
    found: dict[tuple[str, int, int], Item] = {}
    numbers: dict[tuple[str, int], int] = {}
    for item in dump.index.full_sections():
        key = item.key
        number = numbers.get(key, 0)
        found[*key, number] = item
        numbers[key] = number + 1
    return found


def _same_bytes(a: OpenDump, left: Item, b: OpenDump, right: Item) -> bool:
    """Whether the data of two sections is the same, read piece by piece: nothing bounds its length."""
    if left.data_length != right.data_length:
        return False
    for start in range(0, left.data_length, WINDOW):
        length = min(WINDOW, left.data_length - start)
        ours = a.window.peek(left.data_offset + start, length)
        if ours != b.window.peek(right.data_offset + start, length):
            return False
    return True


def _summary(item: Item | None) -> dict[str, Any] | None:
    return None if item is None else {"version": item.version_id, "length": item.data_length}


class _SectionComparison:
    """Two sections side by side."""

    def __init__(self, a: Section, b: Section, *, by_vector: bool) -> None:
        self.a, self.b = a, b
        self.by_vector = by_vector
        self.kind = Idstr(a.name).kind

    def changes(self) -> Iterator[FieldChange]:
        yield from self.groups("", self.a.tree, self.b.tree)

    def groups(self, path: str, a: Group, b: Group) -> Iterator[FieldChange]:
        prefix = f"{path}/" if path else ""
        for name in {**a.members, **b.members}:
            yield from self.nodes(prefix + name, a.members.get(name), b.members.get(name))

    def nodes(self, path: str, a: Node | None, b: Node | None) -> Iterator[FieldChange]:
        if isinstance(a, Group) and isinstance(b, Group):
            yield from self.groups(path, a, b)
        elif isinstance(a, Leaf) and isinstance(b, Leaf):
            yield from self.leaves(path, a, b)
        elif isinstance(a, Elements) and isinstance(b, Elements):
            for index in range(max(len(a.elements), len(b.elements))):
                yield from self.nodes(f"{path}[{index}]", _at(a, index), _at(b, index))
        else:
            left = None if a is None else a.value(self.a.data)
            right = None if b is None else b.value(self.b.data)
            yield FieldChange(self.a.name, self.a.instance, path, left, right)

    def leaves(self, path: str, a: Leaf, b: Leaf) -> Iterator[FieldChange]:
        left = self.a.data[a.offset : a.offset + a.length]
        right = self.b.data[b.offset : b.offset + b.length]
        if left == right or (self.by_vector and a.type == b.type == vmstate.MSIX_STATE):
            return
        if a.count is not None and b.count is not None:
            for index in range(max(a.count, b.count)):
                one = a.element(index) if index < a.count else None
                other = b.element(index) if index < b.count else None
                yield from self.nodes(f"{path}[{index}]", one, other)
        elif a.is_bytes and b.is_bytes and len(left) == len(right):
            yield from self.buffers(path, left, right)
        else:
            values = a.value(self.a.data), b.value(self.b.data)
            moving = is_moving(self.kind, path, a.type)
            yield FieldChange(self.a.name, self.a.instance, path, *values, moving=moving)

    def buffers(self, path: str, a: bytes, b: bytes) -> Iterator[FieldChange]:
        moving = moving_bytes(self.kind, path) or frozenset()
        # Bytes that move must not be joined with bytes that do not.
        runs = list(differing_runs(a, b, 0 if moving else GAP, MAX_RUNS + 1))
        if len(runs) > MAX_RUNS:
            runs = [(0, len(a))]
        for start, end in runs:
            yield FieldChange(
                self.a.name,
                self.a.instance,
                path,
                a[start:end].hex(),
                b[start:end].hex(),
                start,
                moving.issuperset(range(start, end)),
            )


def _at(array: Elements, index: int) -> Node | None:
    return array.elements[index] if index < len(array.elements) else None


def differing_runs(a: bytes, b: bytes, gap: int, most: int) -> Iterator[tuple[int, int]]:
    """Where two buffers of one length differ: start and end of each run, `most` of them at most.

    Runs that have at most `gap` equal bytes between them are one.
    """
    start = end = -1
    found = 0
    position = 0
    while (position := _next_difference(a, b, position)) < len(a):
        if start >= 0 and position - end > gap:
            yield start, end
            start, found = -1, found + 1
            if found == most:
                return
        start = position if start < 0 else start
        position += 1
        end = position
    if start >= 0:
        yield start, end


def _next_difference(a: bytes, b: bytes, position: int) -> int:
    """The offset of the first byte at or behind `position` that differs, or the length."""
    step = 1 << 12
    while position < len(a) and a[position : position + step] == b[position : position + step]:
        position += step
    while position < len(a) and a[position] == b[position]:
        position += 1
    return min(position, len(a))
