"""Where a section has its configuration space, its MSI-X state and its virtio blob: the one answer to it.

A section's vmdesc says where `pci config`, `msix state` and `virtio` stand. Without one the profile of the
kind does; a stranger is taken to have its MSI-X state right behind its PCIDevice, as nearly all devices
have, if what stands at the start of its section is one.

Source: QEMU hw/pci/pci.c, vmstate_pci_device; hw/virtio/virtio.c, virtio_save; hw/net/vmxnet3.c of 2.6 to
4.1 (vmxnet3/pcie); streams of QEMU 5.2, 7.2, 10.0 and 11.1.
"""

from __future__ import annotations

from typing import NamedTuple

from msixtool.containers.base import Source
from msixtool.devices import virtio
from msixtool.devices.config_space import ConfigSpace
from msixtool.formats import build, msix, parse, pci, qevm, sizeof
from msixtool.formats.layout import NO_LANDMARKS, Layout
from msixtool.qemu.kinds import kind_of
from msixtool.qemu.kinds.facts import Msix, MsixPlace
from msixtool.stream.items import Item
from msixtool.stream.iterable import vfio_config
from msixtool.stream.window import Window

_VERSION_SIZE = 4
"""Bytes of a PCIDevice before its configuration space."""
_COMPANION_MAX = 1 << 16


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


def places_of(source: Source, item: Item) -> Places:
    """Where a section has what it has. Raises FormatError where its vmdesc makes no sense."""
    layout = item.layout
    found = NOWHERE if layout is None else _described(source, item, layout)
    if found.virtio is not None or found.table is not None:
        return found
    profile = kind_of(item.idstr).msix
    if profile is not None and profile.place in (MsixPlace.ALONE, MsixPlace.VFIO):
        return _apart(source, item, profile)
    if layout is not None:
        return found
    if profile is not None and profile.place is MsixPlace.VIRTIO:
        return _virtio(source, item, 0, item.data_length)
    return _guessed(source, item) if profile is None else _profiled(source, item, profile)


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
        return _virtio(source, item, blob.offset, blob.size)
    return Places(
        config.offset if config else None,
        config.size if config else 0,
        table.offset if table else None,
        table.size if table else None,
    )


def _virtio(source: Source, item: Item, at: int, blob: int) -> Places:
    """On PCI a PCIDevice stands first, then the MSI-X state where there is a capability.

    On other buses (mmio, ccw) virtio has neither.
    """
    if not item.named.may_be_on_pci:
        return Places(virtio=at, virtio_size=blob)
    config = at + _VERSION_SIZE
    data = source.read(item.data_offset + config, min(pci.CONFIG_SIZE, max(0, item.data_length - config)))
    size = virtio.config_size(data)
    space = ConfigSpace(data)
    has_table = space.msix is not None or space.damage is not None
    table = at + pci.device_vmstate_size(size) if has_table else None
    return Places(config, size, table, virtio=at, virtio_size=blob)


def _apart(source: Source, item: Item, profile: Msix) -> Places:
    """Of a section that is all MSI-X state, or in which vfio's records come first."""
    if profile.place is MsixPlace.ALONE:
        return Places(table=0, size=item.data_length)
    start = item.data_offset
    config = vfio_config(Window(source), start, start + item.data_length)
    if config is None:  # with multifd it goes another way
        return NOWHERE
    at = config - start
    table = at + pci.device_vmstate_size(pci.EXPRESS_CONFIG_SIZE)
    return Places(at + _VERSION_SIZE, pci.EXPRESS_CONFIG_SIZE, table)


def _subsection_head(name: str) -> bytes:
    """The header of a subsection up to its version."""
    made = build(qevm.SUBSECTION_HEADER, {"name": name, "version_id": 0}, what="subsection header")
    return made[: -sizeof(qevm.VERSION_ID)]


def _profiled(source: Source, item: Item, profile: Msix) -> Places:
    if profile.config_subsection is not None:
        head = _subsection_head(profile.config_subsection)
        at = source.read(item.data_offset, min(item.data_length, _COMPANION_MAX)).find(head)
        if at >= 0:
            behind = at + len(head) + sizeof(qevm.VERSION_ID)
            return Places(behind + _VERSION_SIZE, pci.EXPRESS_CONFIG_SIZE)
    size = profile.config_size or _config_size(source, item)
    table = pci.device_vmstate_size(size)
    if profile.place is MsixPlace.AFTER_AER:
        table += _aer_log_size(source, item.data_offset + table)
        if table == item.data_length:  # machine types up to 2.9 do not save it (x-migrate-msix)
            return Places(_VERSION_SIZE, size)
    return Places(_VERSION_SIZE, size, table)


def _config_size(source: Source, item: Item) -> int:
    """256 or 4096, by what stands behind the first 256 bytes.

    On a conventional bus a PCI Express device has no such capability and yet 4096 bytes: beyond
    the first 256 an extended capability, whose id is not 0, or nothing at all. Where only 256 are
    saved an INTx level of 0 or 1 follows, and an MSI-X table soon.
    """
    config = source.read(item.data_offset + _VERSION_SIZE, pci.EXPRESS_CONFIG_SIZE)
    extended = config[pci.CONFIG_SIZE :]
    whole = len(config) == pci.EXPRESS_CONFIG_SIZE
    if whole and (any(extended[:2]) or not any(extended)):
        return pci.EXPRESS_CONFIG_SIZE
    return virtio.config_size(config)


def _aer_log_size(source: Source, offset: int) -> int:
    """Bytes of a PCIEAERLog; its counts alone where the stream ends there."""
    head = source.read(offset, sizeof(pci.AER_LOG_HEAD))
    if len(head) < sizeof(pci.AER_LOG_HEAD):
        return len(head)
    count = parse(pci.AER_LOG_HEAD, head, what="AER log", offset=offset).log_num
    return sizeof(pci.AER_LOG_HEAD) + int(count) * sizeof(pci.AER_ERROR)


def _guessed(source: Source, item: Item) -> Places:
    """Of a stranger whose section starts with a PCIDevice that has an MSI-X capability."""
    head = source.read(item.data_offset, pci.device_vmstate_size(pci.CONFIG_SIZE))
    if len(head) < pci.device_vmstate_size(pci.CONFIG_SIZE) or head[:_VERSION_SIZE] != b"\0\0\0\2":
        return NOWHERE
    space = ConfigSpace(head[_VERSION_SIZE:])
    if space.msix is None or space.damage:
        return NOWHERE
    size = _config_size(source, item)
    table = pci.device_vmstate_size(size)
    levels = source.read(item.data_offset + _VERSION_SIZE + size, 4 * pci.INTX_PINS)
    if any(levels[i : i + 4] not in (b"\0\0\0\0", b"\0\0\0\1") for i in range(0, len(levels), 4)):
        return NOWHERE
    if table + msix.vmstate_size(space.msix.vectors) > item.data_length:
        return NOWHERE
    return Places(_VERSION_SIZE, size, table, guessed=True)
