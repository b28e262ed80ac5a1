"""Where a section has its configuration space, its MSI-X state and its virtio blob: the one answer to it.

A section's vmdesc says where `pci config`, `msix state` and `virtio` stand. Without one, and of what QEMU
writes by a function of the device's own, its kind does (kind_places.py).

Source: QEMU hw/pci/pci.c, vmstate_pci_device; hw/virtio/virtio.c, virtio_save; streams of QEMU 5.2, 7.2, 10.0
and 11.1.
"""

from __future__ import annotations

from msixtool.containers.base import Source
from msixtool.devices.config_space import ConfigSpace
from msixtool.devices.section_places import NOWHERE, Places, virtio_places
from msixtool.formats.layout import NO_LANDMARKS, Layout
from msixtool.stream.items import Item


def places_of(source: Source, item: Item) -> Places:
    """Where a section has what it has. Raises FormatError where its vmdesc makes no sense."""
    layout = item.layout
    found = NOWHERE if layout is None else _described(source, item, layout)
    if found.virtio is not None or found.table is not None or item.is_vmsd:
        return found
    from msixtool.devices.kind_places import places_by_kind  # all kinds, of which a vmdesc needs none

    return places_by_kind(source, item, found)


def config_space(source: Source, item: Item) -> ConfigSpace | None:
    """The configuration space in a section; None where it has none, or where the section ends in it.

    Raises FormatError as `places_of` does.
    """
    places = places_of(source, item)
    if places.config is None or not places.config_size:
        return None
    size = min(places.config_size, max(0, item.data_length - places.config))
    data = source.read(item.data_offset + places.config, size)
    return ConfigSpace(data) if len(data) == places.config_size else None


def _described(source: Source, item: Item, layout: Layout) -> Places:
    """By the types of the vmdesc's fields."""
    found = layout.landmarks
    if found is NO_LANDMARKS:
        return NOWHERE
    config, table, blob = found
    if blob is not None:
        return virtio_places(source, item, blob.offset, blob.size)
    return Places(
        config.offset if config else None,
        config.size if config else 0,
        table.offset if table else None,
        table.size if table else None,
    )
