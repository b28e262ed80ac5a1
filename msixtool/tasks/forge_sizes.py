"""What follows where MSI-X states get another size: the vmdesc, and the lengths of packages.

Sources: QEMU migration/vmstate.c, vmsd_desc_field_end (a struct's `size` counts what is in it);
migration/savevm.c, qemu_savevm_send_packaged (a command that says how many bytes of items follow it).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msixtool.containers.base import Source
from msixtool.errors import UsageError
from msixtool.formats import build, qevm, vmdesc
from msixtool.formats.described import Described
from msixtool.formats.qevm import CommandType, ItemType
from msixtool.stream.description import Contents
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
    contents = description.contents
    grown = {}
    for item, by in growth.values():
        number = _number_of(index, item, contents)
        grown[number] = _grown(contents.devices[number], item, by)
    document = contents.replaced(grown)
    text = vmdesc.build(document, spaced=spaced)
    header = build(
        qevm.VMDESC_HEADER, {"type": qevm.ItemType.VMDESCRIPTION.value, "length": len(text)}, what="vmdesc"
    )
    start = description.offset + len(header)
    return [
        Replacement(description.offset, start, header),
        Replacement(start, start + len(description.text), text).trimmed(description.text),
    ]


def _number_of(index: StreamIndex, item: Item, contents: Contents) -> int:
    """Which of the vmdesc's devices a section is: of duplicates the one at the same place in their order."""
    same = [other.offset for other in index.full_sections() if _key(other) == _key(item)]
    layouts = enumerate(contents.devices)
    numbers = [number for number, each in layouts if (each.idstr, each.instance_id) == _key(item)]
    place = same.index(item.offset)
    if place >= len(numbers):
        raise UsageError("the number of vectors cannot change: the vmdesc lacks", section=item.idstr)
    return numbers[place]


def _key(item: Item) -> tuple[str | None, int]:
    return item.idstr, item.instance_id or 0


def _grown(layout: Described, item: Item, by: int) -> Described:
    """`by` bytes more in the field that holds the MSI-X state, and in all that encloses it."""
    found = layout.grown(_HOLDERS, by) or layout.grown_whole(by)
    if found is None:
        raise UsageError(
            "the number of vectors cannot change: the vmdesc shows no MSI-X state", section=item.idstr
        )
    return found
