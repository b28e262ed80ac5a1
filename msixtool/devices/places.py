"""Where a section has its configuration space, its MSI-X state and its virtio blob: the one answer to it.

A section's vmdesc says where `pci config`, `msix state` and `virtio` stand. Without one, and of what QEMU
writes by a function of the device's own, its kind does. A stranger is taken to have its MSI-X state right
behind its PCIDevice, as nearly all devices have, if what stands at the start of its section is one.

Source: QEMU hw/pci/pci.c, vmstate_pci_device; hw/virtio/virtio.c, virtio_save; hw/net/vmxnet3.c of 2.6 to 4.1
(vmxnet3/pcie); hw/vfio/pci.c, vfio_pci_save_config; streams of QEMU 5.2, 7.2, 10.0 and 11.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msixtool.containers.base import Source
from msixtool.devices import virtio
from msixtool.devices.config_space import ConfigSpace
from msixtool.devices.known import known_kind
from msixtool.formats import function, msix, parse, pci, qevm, sizeof
from msixtool.formats.layout import NO_LANDMARKS, Layout
from msixtool.kept import NamedTuple
from msixtool.stream.items import Item
from msixtool.stream.window import Window

if TYPE_CHECKING:
    from msixtool.qemu.kinds.facts import Msix

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


_NOWHERE = Places()


def places_of(source: Source, item: Item) -> Places:
    """Where a section has what it has. Raises FormatError where its vmdesc makes no sense."""
    layout = item.layout
    found = _NOWHERE if layout is None else _described(source, item, layout)
    if found.virtio is not None or found.table is not None or item.is_vmsd:
        return found
    return _of_kind(source, item, found)


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
        return _NOWHERE
    config, table, blob = found
    if blob is not None:
        return _in_blob(source, item, blob.offset, blob.size)
    return Places(
        config.offset if config else None,
        config.size if config else 0,
        table.offset if table else None,
        table.size if table else None,
    )


def _in_blob(source: Source, item: Item, at: int, blob: int) -> Places:
    """Of a section with a virtio blob of `blob` bytes at `at`.

    On PCI a PCIDevice stands first, then the MSI-X state where there is a capability. On other buses (mmio,
    ccw) virtio has neither.
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


def _of_kind(source: Source, item: Item, described: Places) -> Places:
    """Where the section has what its kind has, or else what its vmdesc says: `described`."""
    profile = known_kind(item).msix
    if profile is None:
        return _guessed(source, item) if item.layout is None else described
    from msixtool.qemu.kinds.facts import MsixPlace  # with all kinds

    place = profile.place
    if place is MsixPlace.ALONE:
        return Places(table=0, size=item.data_length)
    if place is MsixPlace.VFIO:
        return _in_vfio_records(source, item)
    if item.layout is not None:
        return described
    if place is MsixPlace.VIRTIO:
        return _in_blob(source, item, 0, item.data_length)
    return _profiled(source, item, profile, has_log=place is MsixPlace.AFTER_AER)


def _in_vfio_records(source: Source, item: Item) -> Places:
    from msixtool.stream.iterable import vfio_config  # with the records of all such sections

    start = item.data_offset
    config = vfio_config(Window(source), start, start + item.data_length)
    if config is None:  # with multifd it goes another way
        return _NOWHERE
    return _placed(config - start, pci.EXPRESS_CONFIG_SIZE)


def _placed(device: int, size: int, log: int = 0) -> Places:
    """Of a PCIDevice at `device` with `size` bytes of configuration space, then `log` bytes, then MSI-X."""
    return Places(device + pci.CONFIG_OFFSET, size, device + pci.device_vmstate_size(size) + log)


def _profiled(source: Source, item: Item, profile: Msix, *, has_log: bool) -> Places:
    if profile.config_subsection is not None:
        head = qevm.subsection_head(profile.config_subsection)
        at = source.read(item.data_offset, min(item.data_length, _COMPANION_MAX)).find(head)
        if at >= 0:
            behind = at + len(head) + sizeof(qevm.VERSION_ID)
            return _placed(behind, pci.EXPRESS_CONFIG_SIZE)._replace(table=None)
    size = profile.config_size or _config_size(source, item)
    if not has_log:
        return _placed(0, size)
    log = _aer_log_size(source, item, pci.device_vmstate_size(size))
    found = _placed(0, size, log)
    # Machine types up to 2.9 do not save its MSI-X state (x-migrate-msix).
    return found._replace(table=None) if found.table == item.data_length else found


def _config_size(source: Source, item: Item) -> int:
    """256 or 4096, by what stands behind the first 256 bytes.

    On a conventional bus a PCI Express device has no such capability and yet 4096 bytes: beyond
    the first 256 an extended capability, whose id is not 0, or nothing at all. Where only 256 are
    saved an INTx level of 0 or 1 follows, and an MSI-X table soon.
    """
    room = max(0, item.data_length - pci.CONFIG_OFFSET)
    config = source.read(item.data_offset + pci.CONFIG_OFFSET, min(room, pci.EXPRESS_CONFIG_SIZE))
    extended = config[pci.CONFIG_SIZE :]
    whole = len(config) == pci.EXPRESS_CONFIG_SIZE
    if whole and (any(extended[:2]) or not any(extended)):
        return pci.EXPRESS_CONFIG_SIZE
    return virtio.config_size(config)


def _aer_log_size(source: Source, item: Item, at: int) -> int:
    """Bytes of the PCIEAERLog at `at` in a section; what there is of its counts where the section ends."""
    offset, room = item.data_offset + at, max(0, item.data_length - at)
    head = source.read(offset, min(room, sizeof(function.AER_LOG_HEAD)))
    if len(head) < sizeof(function.AER_LOG_HEAD):
        return len(head)
    count: int = parse(function.AER_LOG_HEAD, head, what="AER log", offset=offset).log_num
    return sizeof(function.AER_LOG_HEAD) + count * sizeof(function.AER_ERROR)


def _guessed(source: Source, item: Item) -> Places:
    """Of a stranger whose section starts with a PCIDevice that has an MSI-X capability."""
    device = _pci_device(source, item, pci.CONFIG_SIZE)
    if device is None or device.version_id != pci.DEVICE_VERSION:
        return _NOWHERE
    space = ConfigSpace(device.config)
    if space.msix is None or space.damage:
        return _NOWHERE
    size = _config_size(source, item)
    device = _pci_device(source, item, size)
    if device is None or any(level not in (0, 1) for level in device.irq_state):
        return _NOWHERE
    if pci.device_vmstate_size(size) + msix.vmstate_size(space.msix.vectors) > item.data_length:
        return _NOWHERE
    return _placed(0, size)._replace(guessed=True)


def _pci_device(source: Source, item: Item, size: int) -> Any:
    """What stands at the start of a section, as a PCIDevice; None where there are not as many bytes."""
    length = pci.device_vmstate_size(size)
    data = source.read(item.data_offset, length) if item.data_length >= length else b""
    return parse(pci.device_vmstate(size), data, what="PCIDevice") if len(data) == length else None
