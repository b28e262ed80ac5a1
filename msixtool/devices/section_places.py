"""Places in a section's data as a value, and those of a virtio blob, which tells them itself.

Source: QEMU hw/pci/pci.c, vmstate_pci_device; hw/virtio/virtio.c, virtio_save.
"""

from __future__ import annotations

from typing import NamedTuple

from msixtool.containers.base import Source
from msixtool.devices import virtio
from msixtool.devices.config_space import ConfigSpace
from msixtool.formats import pci
from msixtool.stream.items import Item


class Places(NamedTuple):
    """Where things stand in a section's data, in bytes from its start; None for what is not there."""

    config: int | None = None
    """Configuration space, that of a virtio blob on PCI included; 4 bytes of version stand before it."""
    config_size: int = 0
    """256 or 4096 bytes, or what else the vmdesc says."""
    table: int | None = None
    """The MSI-X vmstate."""
    size: int | None = None
    """Bytes of the MSI-X vmstate, where vmdesc or section say it."""
    virtio: int | None = None
    """The virtio blob, whatever its transport: `config` is None where that is not PCI."""
    virtio_size: int = 0
    guessed: bool = False


NOWHERE = Places()


def virtio_places(source: Source, item: Item, at: int, blob: int) -> Places:
    """Of a section with a virtio blob of `blob` bytes at `at`.

    On PCI a PCIDevice stands first, then the MSI-X state where there is a capability.

    On other buses (mmio, ccw) virtio has neither.
    """
    if not item.named.may_be_on_pci:
        return Places(virtio=at, virtio_size=blob)
    config = at + pci.CONFIG_OFFSET
    data = source.read(item.data_offset + config, min(pci.CONFIG_SIZE, max(0, item.data_length - config)))
    size = virtio.config_size(data)
    space = ConfigSpace(data)
    has_table = space.msix is not None or space.damage is not None
    table = at + pci.device_vmstate_size(size) if has_table else None
    return Places(config, size, table, virtio=at, virtio_size=blob)
