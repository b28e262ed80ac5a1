"""Where MSI-X lives: from the sections of a stream to its devices with MSI-X.

A section's vmdesc says where `pci config`, `msix state` and `virtio` stand. Without one the
profile of the kind does; a stranger is taken to have its MSI-X state right behind its
PCIDevice, as nearly all devices have, if what stands at the start of its section is one.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from msixtool.containers.base import Source
from msixtool.devices import virtio
from msixtool.devices.config_space import ConfigSpace, MsixCapability
from msixtool.devices.device import MsixDevice, kind_of
from msixtool.errors import FormatError, TruncatedError
from msixtool.formats import msix, pci
from msixtool.msix.state import MsixState
from msixtool.qemu.profiles import Place, Profile, profile_of
from msixtool.stream import description as vmdesc
from msixtool.stream import items as kinds
from msixtool.stream.items import Damage, DamageRule, Item, StreamIndex
from msixtool.stream.iterable import vfio_config
from msixtool.stream.window import Window

MAX_DAMAGE = 1000
"""How many damaged places in devices are reported before the rest of the devices is left."""
_VIRTIO_HEAD = 1 << 17
"""How much of a virtio blob is read: transport of 2048 vectors, configuration and 1024 queues."""
_AER_ENTRY_SIZE = 4 * (1 + 4 + 4) + 8
_PCI_PATH = re.compile(r":[0-9a-f]{2}\.[0-7]\Z")
"""How the path of a device on a PCI bus ends: slot and function."""
_VFIO = "vfio"
_EXPRESS_SUBSECTION = b"\x05\x0cvmxnet3/pcie"
"""Subsection of a vmxnet3 on PCI Express (2.6 to 4.1): a version follows, then its PCIDevice."""
_COMPANION_MAX = 1 << 16


class Layout(NamedTuple):
    """Where things stand in a section's data, in bytes from its start."""

    config: int | None = None
    config_size: int = pci.CONFIG_SIZE
    table: int | None = None
    size: int | None = None
    """Bytes of the MSI-X vmstate, where the vmdesc says it."""
    virtio: int | None = None
    guessed: bool = False


def find_devices(source: Source, index: StreamIndex) -> tuple[list[MsixDevice], list[Damage]]:
    """The devices with MSI-X in stream order, and what is damaged in or about them."""
    devices: list[MsixDevice] = []
    damage: list[Damage] = []
    apart = {path_of(item) for item in index.full_sections() if _keeps_config_elsewhere(item)}
    for item in index.items:
        if not _may_hold_a_device(item) or (path_of(item) in apart and not _keeps_config_elsewhere(item)):
            continue
        trouble: list[Damage] = []
        try:
            device = _device(source, item, index, trouble)
        except FormatError as error:
            trouble.append(_of(error, item, DamageRule.MSIX_STATE))
            device = None
        damage += trouble
        if device is not None:
            devices.append(device)
        if len(damage) >= MAX_DAMAGE:
            break
    return devices, damage


def read_device(source: Source, item: Item, index: StreamIndex | None = None) -> MsixDevice | None:
    """The MSI-X state of one section, or None where it has none.

    Of a device whose configuration space is in another section, that is found in `index`.
    Raises FormatError where the section should have a state and it cannot be read.
    """
    return _device(source, item, index, [])


def _may_hold_a_device(item: Item) -> bool:
    """A FULL section; QEMU 5.2 saved the device configuration of vfio in the END section."""
    return item.type == kinds.FULL or (item.type == kinds.END and kind_of(str(item.idstr)) == _VFIO)


def path_of(item: Item) -> str:
    """The part of an idstr before the last slash: the device's path on its bus. Empty for none."""
    return str(item.idstr).rpartition("/")[0]


def _keeps_config_elsewhere(item: Item) -> bool:
    profile = profile_of(kind_of(str(item.idstr)))
    return profile is not None and profile.config_in is not None


def _device(source: Source, item: Item, index: StreamIndex | None, damage: list[Damage]) -> MsixDevice | None:
    layout = layout_of(source, item)
    if layout is None:
        return None
    if layout.virtio is not None:
        return _virtio_device(source, item, layout.virtio, damage)
    device = _plain_device(source, item, layout, damage)
    if device is not None and index is not None and _keeps_config_elsewhere(item):
        _join(source, device, index, damage)
    return device


def layout_of(source: Source, item: Item) -> Layout | None:
    """Where the MSI-X state stands in a section, or None where there is no sign of one."""
    if item.description is not None:
        found = _described(item)
        if found is not None:
            return None if found.virtio is not None and not _is_on_pci(item) else found
    profile = profile_of(kind_of(str(item.idstr)))
    if item.description is not None and profile is None:
        return None
    if profile is not None and not (profile.place is Place.VIRTIO and not _is_on_pci(item)):
        return _profiled(source, item, profile)
    return _guessed(source, item)


def _described(item: Item) -> Layout | None:
    """By the types of the vmdesc's fields; None where it has none of those that tell."""
    config = table = None
    for placed in vmdesc.walk(item.description or {}):
        if placed.type == "virtio":
            return Layout(virtio=placed.offset)
        if placed.type == "pci config":
            config = placed
        elif placed.type == "msix state":
            table = placed
    if table is None:
        return None
    if not table.size:
        return Layout()
    return Layout(
        config.offset if config else None,
        config.size if config else 0,
        table.offset,
        table.size,
    )


def _is_on_pci(item: Item) -> bool:
    """Whether a section's device is on a PCI bus; virtio is on others too (mmio, ccw), without MSI-X."""
    path = path_of(item)
    return not path or bool(_PCI_PATH.search(path))


def _profiled(source: Source, item: Item, profile: Profile) -> Layout | None:
    if profile.place is Place.ALONE:
        return Layout(table=0, size=item.data_length)
    if profile.place is Place.VFIO:
        return _vfio(source, item)
    if item.description is not None:
        return None
    if profile.place is Place.VIRTIO:
        return Layout(virtio=0)
    size = profile.config_size or _config_size(source.read(item.data_offset + 4, pci.EXPRESS_CONFIG_SIZE))
    table = pci.device_vmstate_size(size)
    if profile.place is Place.AFTER_AER:
        table += _aer_log_size(source, item.data_offset + table)
        if table == item.data_length:
            return None  # machine types up to 2.9 do not save it (x-migrate-msix)
    return Layout(4, size, table)


def _vfio(source: Source, item: Item) -> Layout | None:
    """Behind the tag of the device configuration, if there is one: with multifd it goes another way."""
    start = item.data_offset
    config = vfio_config(Window(source), start, start + item.data_length)
    if config is None:
        return None
    at = config - start + 4
    return Layout(at, pci.EXPRESS_CONFIG_SIZE, at - 4 + pci.device_vmstate_size(pci.EXPRESS_CONFIG_SIZE))


def _config_size(config: bytes) -> int:
    """256 or 4096, by what stands behind the first 256 bytes.

    On a conventional bus a PCI Express device has no such capability and yet 4096 bytes: beyond
    the first 256 an extended capability, whose id is not 0, or nothing at all. Where only 256 are
    saved an INTx level of 0 or 1 follows, and an MSI-X table soon.
    """
    extended = config[pci.CONFIG_SIZE : pci.EXPRESS_CONFIG_SIZE]
    whole = len(extended) == pci.EXPRESS_CONFIG_SIZE - pci.CONFIG_SIZE
    if whole and (any(extended[:2]) or not any(extended)):
        return pci.EXPRESS_CONFIG_SIZE
    return virtio.config_size(config)


def _aer_log_size(source: Source, offset: int) -> int:
    """Bytes of a PCIEAERLog: two counts and as many errors as the first says."""
    return 4 + _AER_ENTRY_SIZE * int.from_bytes(source.read(offset, 2), "big")


def _guessed(source: Source, item: Item) -> Layout | None:
    """The layout of a stranger whose section starts with a PCIDevice that has an MSI-X capability."""
    head = source.read(item.data_offset, pci.device_vmstate_size(pci.CONFIG_SIZE))
    if len(head) < pci.device_vmstate_size(pci.CONFIG_SIZE) or head[:4] != b"\0\0\0\2":
        return None
    space = ConfigSpace(head[4:])
    if space.msix is None or space.damage:
        return None
    size = _config_size(source.read(item.data_offset + 4, pci.EXPRESS_CONFIG_SIZE))
    table = pci.device_vmstate_size(size)
    levels = source.read(item.data_offset + 4 + size, 4 * pci.INTX_PINS)
    if any(levels[i : i + 4] not in (b"\0\0\0\0", b"\0\0\0\1") for i in range(0, len(levels), 4)):
        return None
    if table + msix.vmstate_size(space.msix.vectors) > item.data_length:
        return None
    return Layout(4, size, table, guessed=True)


def _plain_device(source: Source, item: Item, layout: Layout, damage: list[Damage]) -> MsixDevice | None:
    space = capability = None
    version: int | None = None
    levels: tuple[int, ...] = ()
    if layout.config is not None:
        head = _pci_device(source, item, layout.config, layout.config_size)
        space = ConfigSpace(head[4 : 4 + layout.config_size])
        version, levels = _pci_fields(head)
        capability = _capability(space, layout.size, item, damage)
    if layout.table is None:
        return None
    vectors = _vector_count(item, layout, capability, damage)
    if not vectors:
        return None
    data = _read(source, item, layout.table, msix.vmstate_size(vectors))
    return MsixDevice(
        item,
        item.data_offset + layout.table,
        MsixState.from_vmstate(data, vectors),
        space,
        None if layout.config is None else item.data_offset + layout.config,
        version,
        levels,
        capability,
    )


def _join(source: Source, device: MsixDevice, index: StreamIndex, damage: list[Damage]) -> None:
    """Give a device the configuration space that stands in another section of the same function."""
    kind = profile.config_in if (profile := device.profile) else None
    name = f"{path_of(device.item)}/{kind}".lstrip("/")
    for item in index.full_sections():
        if item.idstr != name or (item.instance_id or 0) != device.instance:
            continue
        found = _companion(source, item)
        if found is None:
            return
        at, size = found
        head = _pci_device(source, item, at, size)
        device.config, device.config_offset = ConfigSpace(head[4 : 4 + size]), item.data_offset + at
        device.version_id, device.irq_state = _pci_fields(head)
        layout = Layout(size=device.length)
        device.capability = _capability(device.config, layout.size, item, damage)
        _vector_count(device.item, layout, device.capability, damage)


def _companion(source: Source, item: Item) -> tuple[int, int] | None:
    """Offset in a section's data and size of its configuration space.

    A PCI Express vmxnet3 of QEMU 2.6 to 4.1 has it in a subsection, others at the start.
    """
    for placed in vmdesc.walk(item.description or {}):
        if placed.type == "pci config":
            return placed.offset, placed.size
    if item.description is not None:
        return None
    data = source.read(item.data_offset, min(item.data_length, _COMPANION_MAX))
    at = data.find(_EXPRESS_SUBSECTION)
    if at >= 0:
        return at + len(_EXPRESS_SUBSECTION) + 8, pci.EXPRESS_CONFIG_SIZE
    return 4, _config_size(data[4 : 4 + pci.EXPRESS_CONFIG_SIZE])


def _pci_device(source: Source, item: Item, config: int, size: int) -> bytes:
    """A PCIDevice by where the vmdesc has its configuration space, and how long.

    Raises FormatError where none can stand there.
    """
    if config < 4 or size < pci.CONFIG_SIZE:
        raise FormatError(
            "PCI configuration space",
            offset=item.data_offset + config,
            expected=f"{pci.CONFIG_SIZE} or {pci.EXPRESS_CONFIG_SIZE} bytes behind a version",
            found=f"{size} behind {config}",
        )
    return _read(source, item, config - 4, pci.device_vmstate_size(size))


def _pci_fields(head: bytes) -> tuple[int, tuple[int, ...]]:
    """version_id and INTx levels of a PCIDevice."""
    words = [
        int.from_bytes(head[i : i + 4], "big") for i in range(len(head) - 4 * pci.INTX_PINS, len(head), 4)
    ]
    return int.from_bytes(head[:4], "big", signed=True), tuple(words)


def _capability(
    space: ConfigSpace, size: int | None, item: Item, damage: list[Damage]
) -> MsixCapability | None:
    """The MSI-X capability; where the list is damaged, what looks like one and fits the bytes."""
    if space.damage:
        damage.append(_damage(item, space.damage, DamageRule.CAPABILITY_LIST))
    if space.msix is not None or not space.damage:
        return space.msix
    vectors = None if size is None else msix.vectors_of_size(size)
    fitting = [c for c in space.msix_candidates() if vectors is None or c.vectors == vectors]
    return fitting[0] if len(fitting) == 1 else None


def _vector_count(item: Item, layout: Layout, capability: MsixCapability | None, damage: list[Damage]) -> int:
    """Vectors in the section: by the size of the bytes where that is known, else by the capability."""
    if layout.size is None:
        return capability.vectors if capability else 0
    vectors = msix.vectors_of_size(layout.size)
    if vectors is None:
        raise FormatError("MSI-X state", expected="the size of some number of vectors", found=layout.size)
    if vectors > msix.MAX_VECTORS:
        text = f"number of vectors: expected at most {msix.MAX_VECTORS}, found {vectors}"
        damage.append(_damage(item, text, DamageRule.VECTOR_LIMIT))
        return 0
    if capability is not None and capability.vectors != vectors:
        profile = profile_of(kind_of(str(item.idstr)))
        smaller = capability.vectors < vectors and profile is not None and profile.capability_may_be_smaller
        if not smaller:
            damage.append(
                _damage(
                    item,
                    f"number of vectors: expected {capability.vectors} by the MSI-X capability,"
                    f" found {vectors} in the state",
                    DamageRule.VECTOR_COUNT,
                )
            )
    return vectors


def _virtio_device(source: Source, item: Item, at: int, damage: list[Damage]) -> MsixDevice | None:
    start = item.data_offset + at
    data = source.read(start, min(_VIRTIO_HEAD, item.data_length - at))
    if len(data) < pci.device_vmstate_size(pci.CONFIG_SIZE):
        raise TruncatedError("the virtio state is cut short", offset=start, found=f"{len(data)} bytes")
    size = virtio.config_size(data[4:])
    space = ConfigSpace(data[4 : 4 + size])
    capability = _capability(space, None, item, damage)
    if capability is None:
        return None
    state, broken = _virtio_state(data, start, capability)
    if broken:
        damage.append(_of(broken, item, DamageRule.VIRTIO_STATE))
    table = pci.device_vmstate_size(size)
    msix_state = MsixState.from_vmstate(
        _read(source, item, at + table, msix.vmstate_size(capability.vectors)), capability.vectors
    )
    version, levels = _pci_fields(data[:table])
    return MsixDevice(item, start + table, msix_state, space, start + 4, version, levels, capability, state)


def _virtio_state(
    data: bytes, start: int, capability: MsixCapability
) -> tuple[virtio.VirtioState | None, FormatError | None]:
    try:
        return virtio.read(data, offset=start, capability=capability), None
    except FormatError as error:
        return None, error


def _read(source: Source, item: Item, at: int, length: int) -> bytes:
    """`length` bytes of a section's data from `at`. Raises TruncatedError where it has fewer."""
    room = max(0, item.data_length - at)
    data = source.read(item.data_offset + at, min(length, room))
    if len(data) < length:
        raise TruncatedError(
            "the section ends inside its MSI-X state",
            offset=item.data_offset + at,
            expected=f"{length} bytes",
            found=len(data),
        )
    return data


def _damage(item: Item, text: str, rule: DamageRule) -> Damage:
    return Damage(text, item.data_offset, rule, item.idstr, item.instance_id)


def _of(error: FormatError, item: Item, rule: DamageRule) -> Damage:
    return Damage.of(error, item.data_offset, rule, item.idstr, item.instance_id)
