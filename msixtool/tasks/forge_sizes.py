"""What follows where MSI-X states get another size: the vmdesc, and the lengths of packages.

Sources: QEMU migration/vmstate.c, vmsd_desc_field_end (a struct's `size` counts what is in it);
migration/savevm.c, qemu_savevm_send_packaged (a command that says how many bytes of items follow it).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any, cast

from msixtool.containers.base import Source
from msixtool.errors import UsageError
from msixtool.formats import build, qevm, vmdesc
from msixtool.formats.layout import Field, Layout, field_size
from msixtool.formats.qevm import CommandType, ItemType
from msixtool.stream.items import Item, StreamIndex
from msixtool.stream.rewrite import Replacement

_PACKAGED = CommandType.PACKAGED.name.lower()
_HOLDERS = ("msix state", "virtio")
"""Types of the fields that an MSI-X state is, or lies in."""


Growth = Mapping[int, tuple[Item, int]]
"""The sections whose MSI-X state changes, by offset in the stream, and by how many bytes."""


def resized_packages(index: StreamIndex, source: Source, growth: Growth) -> Iterator[Replacement]:
    """The lengths of the packages (postcopy sends devices in one) that the sections stand in."""
    for item in index.items:
        if item.type != ItemType.COMMAND or item.idstr != _PACKAGED:
            continue
        length = int.from_bytes(source.read(item.data_offset, item.data_length), "big")
        inside = range(item.end, item.end + length)
        by = sum(by for offset, (_, by) in growth.items() if offset in inside)
        if by:
            data = (length + by).to_bytes(item.data_length, "big")
            yield Replacement(item.data_offset, item.data_offset + item.data_length, data)


def resized_description(index: StreamIndex, growth: Growth) -> list[Replacement]:
    """What changes in the vmdesc: its own length and the sizes that follow; nothing where there is none.

    The text keeps the style of its QEMU. Raises UsageError where it does not describe such a state.
    """
    description = index.description
    if description is None:
        return []
    spaced = vmdesc.is_spaced(description.text)
    if vmdesc.build(description.document, spaced=spaced) != description.text:
        raise UsageError(
            "the number of vectors cannot change: the vmdesc is in no style of QEMU's",
            offset=description.offset,
        )
    document = deepcopy(description.document)
    for item, by in growth.values():
        _grow_device(_entry_of(index, item, document), item, by)
    text = vmdesc.build(document, spaced=spaced)
    header = build(
        qevm.VMDESC_HEADER, {"type": qevm.ItemType.VMDESCRIPTION.value, "length": len(text)}, what="vmdesc"
    )
    start = description.offset + len(header)
    return [
        Replacement(description.offset, start, header),
        Replacement(start, start + len(description.text), text).trimmed(description.text),
    ]


def _entry_of(index: StreamIndex, item: Item, document: vmdesc.Document) -> dict[str, Any]:
    """The vmdesc's entry of a section: of duplicates the one at the same place in their order."""
    same = [other for other in index.full_sections() if _key(other) == _key(item)]
    number = next(place for place, other in enumerate(same) if other.offset == item.offset)
    entries = [
        entry
        for entry in cast("list[Any]", document["devices"])
        if isinstance(entry, dict) and (entry.get("name"), entry.get("instance_id", 0)) == _key(item)
    ]
    if number >= len(entries):
        raise UsageError("the number of vectors cannot change: the vmdesc lacks", section=item.idstr)
    found: dict[str, Any] = entries[number]
    return found


def _key(item: Item) -> tuple[str | None, int]:
    return item.idstr, item.instance_id or 0


def _grow_device(entry: dict[str, Any], item: Item, by: int) -> None:
    """Add `by` bytes to the field that holds the MSI-X state, and to all that encloses it."""
    layout = Layout(entry)
    chain = _chain(layout)
    if not chain and isinstance(entry.get("size"), int) and len(layout.fields) == 1:
        # A section that QEMU writes by a function of its own: one buffer.
        entry["size"] = field_size(entry) + by
        chain = [layout.fields[0]]
    if not chain or any(_is_array(field) for field in chain):
        raise UsageError(
            "the number of vectors cannot change: the vmdesc shows no MSI-X state", section=item.idstr
        )
    for field in chain:
        field.described["size"] = field.size + by


def _is_array(field: Field) -> bool:
    return field.elements != 1 or isinstance(field.described, vmdesc.RepeatedNames)


def _chain(layout: Layout) -> list[Field]:
    """The field that holds the MSI-X state, behind all the fields that it lies in; empty for none."""
    for field in layout.fields:
        if field.type in _HOLDERS:
            return [field]
        below = [] if field.inside is None else _chain(field.inside)
        if below:
            return [field, *below]
    return next((below for each in layout.subsections if (below := _chain(each))), [])
