"""Where a section without a vmdesc, or one that QEMU writes by hand, has its MSI-X state: its kind tells.

A stranger is taken to have it right behind its PCIDevice, as nearly all devices have, if what stands at the
start of its section is one.

Source: QEMU hw/pci/pci.c, vmstate_pci_device; hw/net/vmxnet3.c of 2.6 to 4.1 (vmxnet3/pcie); hw/vfio/pci.c,
vfio_pci_save_config; streams of QEMU 5.2, 7.2, 10.0 and 11.1.
"""

from __future__ import annotations

from msixtool.containers.base import Source
from msixtool.devices import virtio
from msixtool.devices.config_space import ConfigSpace
from msixtool.devices.section_places import NOWHERE, Places, virtio_places
from msixtool.formats import build, msix, parse, pci, qevm, sizeof
from msixtool.qemu.kinds import kind_of
from msixtool.qemu.kinds.facts import Msix, MsixPlace
from msixtool.stream.items import Item
from msixtool.stream.iterable import vfio_config
from msixtool.stream.window import Window

_COMPANION_MAX = 1 << 16


def places_by_kind(source: Source, item: Item, described: Places) -> Places:
    """Where the section has what its kind has, or else what its vmdesc says: `described`."""
    profile = kind_of(item.idstr).msix
    if profile is not None and profile.place in (MsixPlace.ALONE, MsixPlace.VFIO):
        return _apart(source, item, profile)
    if item.layout is not None:
        return described
    if profile is not None and profile.place is MsixPlace.VIRTIO:
        return virtio_places(source, item, 0, item.data_length)
    return _guessed(source, item) if profile is None else _profiled(source, item, profile)


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
    return Places(at + pci.CONFIG_OFFSET, pci.EXPRESS_CONFIG_SIZE, table)


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
            return Places(behind + pci.CONFIG_OFFSET, pci.EXPRESS_CONFIG_SIZE)
    size = profile.config_size or _config_size(source, item)
    table = pci.device_vmstate_size(size)
    if profile.place is MsixPlace.AFTER_AER:
        table += _aer_log_size(source, item.data_offset + table)
        if table == item.data_length:  # machine types up to 2.9 do not save it (x-migrate-msix)
            return Places(pci.CONFIG_OFFSET, size)
    return Places(pci.CONFIG_OFFSET, size, table)


def _config_size(source: Source, item: Item) -> int:
    """256 or 4096, by what stands behind the first 256 bytes.

    On a conventional bus a PCI Express device has no such capability and yet 4096 bytes: beyond
    the first 256 an extended capability, whose id is not 0, or nothing at all. Where only 256 are
    saved an INTx level of 0 or 1 follows, and an MSI-X table soon.
    """
    config = source.read(item.data_offset + pci.CONFIG_OFFSET, pci.EXPRESS_CONFIG_SIZE)
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
    if len(head) < pci.device_vmstate_size(pci.CONFIG_SIZE) or head[: pci.CONFIG_OFFSET] != b"\0\0\0\2":
        return NOWHERE
    space = ConfigSpace(head[pci.CONFIG_OFFSET :])
    if space.msix is None or space.damage:
        return NOWHERE
    size = _config_size(source, item)
    table = pci.device_vmstate_size(size)
    levels = source.read(item.data_offset + pci.CONFIG_OFFSET + size, 4 * pci.INTX_PINS)
    if any(levels[i : i + 4] not in (b"\0\0\0\0", b"\0\0\0\1") for i in range(0, len(levels), 4)):
        return NOWHERE
    if table + msix.vmstate_size(space.msix.vectors) > item.data_length:
        return NOWHERE
    return Places(pci.CONFIG_OFFSET, size, table, guessed=True)
