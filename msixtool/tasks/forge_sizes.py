"""What follows where MSI-X states get another size: the vmdesc, and the lengths of packages.

Sources: QEMU migration/vmstate.c, vmsd_desc_field_end (a struct's `size` counts what is in it);
migration/savevm.c, qemu_savevm_send_packaged (a command that says how many bytes of items follow it).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from itertools import accumulate

from msixtool.containers.base import Source
from msixtool.errors import UsageError
from msixtool.formats import build, parse, qevm, sizeof, vmdesc, vmstate
from msixtool.formats.described import Described
from msixtool.formats.qevm import CommandType, ItemType
from msixtool.stream.description import Contents
from msixtool.stream.items import Item, StreamIndex
from msixtool.stream.rewrite import Replacement

_LENGTH_SIZE = sizeof(qevm.PACKAGED_LENGTH)
_PACKAGED = CommandType.PACKAGED.name.lower()
_HOLDERS = (vmstate.MSIX_STATE, vmstate.VIRTIO_BLOB)
"""Types of the fields that an MSI-X state is, or lies in."""


Growth = Mapping[int, tuple[Item, int]]
"""The sections whose MSI-X state changes, by offset in the stream, and by how many bytes."""


def resized_packages(index: StreamIndex, source: Source, growth: Growth) -> Iterator[Replacement]:
    """The lengths of the packages (postcopy sends devices in one) that the sections stand in."""
    offsets = sorted(growth)
    grown = [0, *accumulate(growth[offset][1] for offset in offsets)]
    for item in index.items:
        if (item.type, item.idstr, item.data_length) != (ItemType.COMMAND, _PACKAGED, _LENGTH_SIZE):
            continue
        data = source.read(item.data_offset, item.data_length)
        length = parse(qevm.PACKAGED_LENGTH, data, what="package", offset=item.offset)
        end = item.end + length
        by = grown[bisect_left(offsets, end)] - grown[bisect_left(offsets, min(item.end, end))]
        if by:
            data = build(qevm.PACKAGED_LENGTH, length + by, what="package")
            yield Replacement(item.data_offset, item.data_offset + item.data_length, data)


def resized_description(index: StreamIndex, growth: Growth) -> list[Replacement]:
    """What changes in the vmdesc: its own length and the sizes that follow; nothing where there is none.

    The text keeps the style of its QEMU. Raises UsageError where it does not describe such a state.
    """
    description = index.description
    if description is None:
        return []
    spaced = vmdesc.is_spaced(description.text)
    if vmdesc.vmdesc_text(description.document, spaced=spaced) != description.text:
        raise UsageError(
            "the number of vectors cannot change: the vmdesc is in no style of QEMU's",
            offset=description.offset,
        )
    contents = description.contents
    numbers = _numbers(index, contents)
    grown = {}
    for item, by in growth.values():
        number = numbers.get(item.offset)
        if number is None:
            raise UsageError("the number of vectors cannot change: the vmdesc lacks", section=item.idstr)
        grown[number] = _grown(contents.devices[number], item, by)
    document = contents.replaced(grown)
    text = vmdesc.vmdesc_text(document, spaced=spaced)
    header = build(
        qevm.VMDESC_HEADER, {"type": qevm.ItemType.VMDESCRIPTION.value, "length": len(text)}, what="vmdesc"
    )
    start = description.offset + len(header)
    return [
        Replacement(description.offset, start, header),
        Replacement(start, start + len(description.text), text).trimmed(description.text),
    ]


def _numbers(index: StreamIndex, contents: Contents) -> dict[int, int]:
    """Which of the vmdesc's devices each section is, by its offset: of duplicates each at its place."""
    numbers: dict[tuple[str, int], list[int]] = {}
    for number, each in enumerate(contents.devices):
        numbers.setdefault((each.idstr, each.instance_id), []).append(number)
    places: dict[tuple[str, int], int] = {}
    found: dict[int, int] = {}
    for item in index.full_sections():
        same, place = numbers.get(item.key, ()), places.get(item.key, 0)
        places[item.key] = place + 1
        if place < len(same):
            found[item.offset] = same[place]
    return found


def _grown(layout: Described, item: Item, by: int) -> Described:
    """`by` bytes more in the field that holds the MSI-X state, and in all that encloses it."""
    found = layout.grown(_HOLDERS, by) or layout.grown_whole(by)
    if found is None:
        raise UsageError(
            "the number of vectors cannot change: the vmdesc shows no MSI-X state", section=item.idstr
        )
    return found
