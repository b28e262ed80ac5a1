"""`fields`: every decoded field of a stream's sections, by its path in the vmdesc."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from msixtool.devices import virtio_layout
from msixtool.dump import OpenDump, matches
from msixtool.errors import FormatError, UsageError
from msixtool.formats import vmstate
from msixtool.formats.layout import Field, Layout
from msixtool.formats.opaque import OPAQUE
from msixtool.stream.items import Damage, DamageRule, Item
from msixtool.tasks.field_tree import Elements, Group, Inside, Leaf, Node, build_tree

MAX_SECTION = 64 << 20
"""The longest section that is decoded, in bytes; QEMU's have some 10^5, or what a virtio-gpu shows."""

_DATA = "data"
"""The name under which a section is given in hex where nothing describes it."""


@dataclass(slots=True)
class Section:
    """A section with device state, its data and the tree of its fields.

    `damage` says why the vmdesc could not be followed: the data is given in hex then.
    """

    item: Item
    data: bytes
    tree: Group
    damage: Damage | None = None

    @property
    def name(self) -> str:
        return str(self.item.idstr)

    @property
    def instance(self) -> int:
        return self.item.instance_id or 0

    def __getitem__(self, path: str) -> Any:
        """The value that `path` names, as `find` does, or a list of values. Raises UsageError for no such."""
        return find(self, path).value(self.data)

    def __repr__(self) -> str:
        return f"<Section {self.name[:60]!r}@{self.instance}: {len(self.data)} bytes>"

    def values(self) -> dict[str, Any]:
        """The fields as vmdesc nests them: numbers, lists, hex for bytes, None for NULL pointers."""
        return self.tree.value(self.data)


def select_sections(dump: OpenDump, pattern: str | None) -> list[Item]:
    """The sections with device state that `pattern` names; all for None.

    Raises UsageError where it names none.
    """
    found = [item for item in dump.index.full_sections() if pattern is None or matches(pattern, *item.key)]
    if pattern is not None and not found:
        there = {item.key for item in dump.index.full_sections()}
        raise dump.nothing_matches("section", pattern, sorted(there))
    return found


def read_section(dump: OpenDump, item: Item, *, fallback: Layout | None = None) -> Section:
    """Read one section and lay its vmdesc over it. Damage is in the section, nothing is raised for it.

    `fallback` is the layout of the section where its own stream has no vmdesc.
    """
    if item.data_length > MAX_SECTION:
        text = (
            f"too long to decode its fields: expected at most {MAX_SECTION} bytes, found {item.data_length}"
        )
        return Section(
            item,
            b"",
            Group(),
            Damage(text, item.offset, DamageRule.SECTION_RECORD, item.idstr, item.instance_id),
        )
    data = dump.window.peek(item.data_offset, item.data_length)
    raw = Group({_DATA: Leaf("buffer", 0, len(data))})
    layout = section_layout(dump, item) or fallback
    if layout is None or layout.is_empty:
        return Section(item, data, raw if data else Group())
    try:
        return Section(item, data, build_tree(layout, data, openers(dump, item)))
    except FormatError as error:
        if layout.has_null_pointers:
            # QEMU describes such arrays wrongly up to 9.2, and 10.x some of them.
            return Section(item, data, raw)
        rule = DamageRule.VMDESC_MISMATCH
        return Section(item, data, raw, Damage.of(error, item.offset, rule, item.idstr, item.instance_id))


def section_layout(dump: OpenDump, item: Item) -> Layout | None:
    """The layout of a section: by the vmdesc, or by what is known of virtio devices; None for nothing."""
    if item.layout is not None:
        return item.layout
    if dump.index.description is not None:
        # Where the vmdesc overstates an array of pointers, the reader did not go by it.
        return dump.index.description.contents.entries.get(item.key)
    device = dump.device_at.get(item.offset)
    if device is not None and device.virtio:
        return Layout(fields=(Field("virtio", vmstate.VIRTIO_BLOB, 0, item.data_length),))
    return None


def openers(dump: OpenDump, item: Item) -> dict[str, Inside]:
    """What describes those fields of a section that its vmdesc does not: the virtio blob, and OPAQUE."""
    found = dump.device_at.get(item.offset)
    capability = found.capability if found else None

    def virtio(data: bytes, offset: int, size: int) -> Layout | None:
        found = virtio_layout.read_blob(data[offset : offset + size], item.named.kind, capability)
        return found.layout() if found else None

    return {vmstate.VIRTIO_BLOB: virtio, **_OPENERS}


def _opener(type_name: str) -> Inside:
    return lambda data, offset, size: virtio_layout.opaque(type_name, data[offset : offset + size])


_OPENERS = {each: _opener(each) for each in OPAQUE}


def find(section: Section, path: str) -> Leaf:
    """The value, or array of values, that `path` names: `parent_obj[0]/version_id`, `core.mac[12]`.

    Names are the vmdesc's own, with the dots, slashes and brackets that are in them; members follow
    behind a slash (or a dot), elements of an array in brackets. Raises UsageError where there is no
    such field, or where it is a struct or an array of structs.
    """
    found = next(_resolve(section.tree, path), None)
    if isinstance(found, Leaf):
        return found
    expected = _members(section.tree) if found is None else f"the path of a value in it: {_members(found)}"
    raise UsageError(f"field {path[:200]!r}", section=section.name, expected=expected)


def leaf_bytes(leaf: Leaf, value: Any) -> bytes:
    """The bytes of `value`, a list for an array, in the place of `leaf`.

    Raises FormatError where it does not fit its type.
    """
    if leaf.count is None:
        return vmstate.encode(leaf.type, value, leaf.size)
    if not isinstance(value, list) or len(value) != leaf.count:
        found = f"{len(value)} values" if isinstance(value, list) else type(value).__name__
        raise FormatError(f"array of {leaf.type}", expected=f"a list of {leaf.count} values", found=found)
    return b"".join(vmstate.encode(leaf.type, each, leaf.size) for each in value)


_JOINTS = re.compile(r"[/.[]|\Z")
"""Where a name in a path may end."""


def _resolve(node: Node, path: str) -> Iterator[Node]:
    """The nodes that `path` leads to from `node`: several where the names in it allow several readings."""
    if not path:
        yield node
    elif isinstance(node, Group):
        names = [name for joint in _JOINTS.finditer(path) if (name := path[: joint.start()]) in node.members]
        if len(names) > 1:
            names = [name for name in node.members if name in names]
        for name in names:
            yield from _resolve(node.members[name], _behind_joint(path[len(name) :]))
    elif path.startswith("["):
        number, bracket, rest = path[1:].partition("]")
        element = _element(node, int(number)) if bracket and re.fullmatch(r"[0-9]{1,8}", number) else None
        if element is not None:
            yield from _resolve(element, _behind_joint(rest))


def _behind_joint(rest: str) -> str:
    """A path without the slash or dot that it begins with, unless nothing follows."""
    return rest[1:] if len(rest) > 1 and rest[0] in "/." else rest


def _element(node: Leaf | Elements, index: int) -> Node | None:
    if isinstance(node, Elements):
        return node.elements[index] if index < len(node.elements) else None
    return node.element(index) if node.count is not None and index < node.count else None


def _members(node: Node) -> str:
    """What may follow the path of something that is no value."""
    if isinstance(node, Group):
        names = list(node.members)
        return "one of " + ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
    assert isinstance(node, Elements)
    return f"[0] to [{len(node.elements) - 1}]" if node.elements else "nothing: the array is empty"
