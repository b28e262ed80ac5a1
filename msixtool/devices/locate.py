"""Where MSI-X lives: from the sections of a stream to its devices with MSI-X.

places.py says where they stand in a section; here they are read.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

from msixtool.containers.base import Source
from msixtool.devices import virtio
from msixtool.devices.config_space import ConfigSpace, MsixCapability
from msixtool.devices.device import MsixDevice
from msixtool.devices.known import known_kind
from msixtool.devices.places import Places, places_of
from msixtool.errors import FormatError, TruncatedError
from msixtool.formats import msix, parse, pci
from msixtool.formats.qevm import ItemType
from msixtool.kept import NamedTuple
from msixtool.msix.state import MsixState
from msixtool.stream.items import MAX_DAMAGE, Damage, DamageRule, Item, StreamIndex

_VIRTIO_HEAD = 1 << 17
"""How much of a virtio blob is read: transport of 2048 vectors, configuration and 1024 queues."""
_VFIO = "vfio"


def find_devices(source: Source, index: StreamIndex) -> tuple[list[MsixDevice], list[Damage]]:
    """The devices with MSI-X in stream order, and what is damaged in or about them."""
    devices: list[MsixDevice] = []
    damage: list[Damage] = []
    others = _Named(index)
    held = [item for item in index.items if _may_hold_a_device(item)]
    apart = {item.named.path for item in held if _keeps_config_elsewhere(item)}
    for item in held:
        if apart and item.named.path in apart and not _keeps_config_elsewhere(item):
            continue
        trouble: list[Damage] = []
        try:
            device = _device(source, item, others, trouble)
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
    return _device(source, item, None if index is None else _Named(index), [])


class _Named:
    """The FULL sections of a stream by idstr and instance, gone through once, when the first is asked for."""

    def __init__(self, index: StreamIndex) -> None:
        self._index = index

    def find(self, idstr: str, instance: int) -> Item | None:
        return self._sections.get((idstr, instance))

    @cached_property
    def _sections(self) -> dict[tuple[str, int], Item]:
        return {item.key: item for item in self._index.full_sections()}


def _may_hold_a_device(item: Item) -> bool:
    """A FULL section; QEMU 5.2 saved the device configuration of vfio in the END section."""
    return item.type == ItemType.SECTION_FULL or (
        item.type == ItemType.SECTION_END and item.named.kind == _VFIO
    )


def _keeps_config_elsewhere(item: Item) -> bool:
    if item.is_vmsd:
        return False
    profile = known_kind(item).msix
    return profile is not None and profile.config_in is not None


class _PciDevice(NamedTuple):
    """What a PCIDevice holds, under the names that a MsixDevice has it."""

    config: ConfigSpace | None = None
    config_offset: int | None = None
    version_id: int | None = None
    irq_state: tuple[int, ...] = ()
    capability: MsixCapability | None = None


def _device(source: Source, item: Item, others: _Named | None, damage: list[Damage]) -> MsixDevice | None:
    """PCIDevice and MSI-X state of a section, as formats/function.py has them, and the rest of virtio."""
    places = places_of(source, item)
    if places.table is None:
        return None
    pci_device = _pci_device(source, item, places, places.size, damage)
    capability = pci_device.capability
    vectors = _vector_count(item, places.size, capability, damage)
    if not vectors:
        return None
    state = None
    if places.virtio is not None:
        state = _virtio_state(source, item, places.virtio, capability, damage)
    data = _read(source, item, places.table, msix.vmstate_size(vectors), "MSI-X state")
    msix_state = MsixState.from_vmstate(data, vectors)
    device = MsixDevice(item, item.data_offset + places.table, msix_state, *pci_device, state)
    if others is not None and _keeps_config_elsewhere(item):
        return _joined(source, device, others, damage)
    return device


def _joined(source: Source, device: MsixDevice, others: _Named, damage: list[Damage]) -> MsixDevice:
    """A device with the configuration space that stands in another section of the same function."""
    kind = profile.config_in if (profile := device.profile) else None
    name = f"{device.item.named.path}/{kind}".lstrip("/")
    item = others.find(name, device.instance)
    places = None if item is None else places_of(source, item)
    if item is None or places is None or places.config is None:
        return device
    pci_device = _pci_device(source, item, places, device.length, damage)
    _vector_count(device.item, device.length, pci_device.capability, damage)
    return replace(device, **pci_device._asdict())


def _pci_device(
    source: Source, item: Item, places: Places, msix_size: int | None, damage: list[Damage]
) -> _PciDevice:
    """The PCIDevice around the configuration space of a section whose MSI-X state has so many bytes.

    Raises FormatError where none can stand there.
    """
    config, size = places.config, places.config_size
    if config is None:
        return _PciDevice()
    if config < pci.CONFIG_OFFSET or size < pci.CONFIG_SIZE:
        raise FormatError(
            "PCI configuration space",
            offset=item.data_offset + config,
            expected=f"{pci.CONFIG_SIZE} or {pci.EXPRESS_CONFIG_SIZE} bytes behind a version",
            found=f"{size} behind {config}",
        )
    data = _read(source, item, config - pci.CONFIG_OFFSET, pci.device_vmstate_size(size), "PCIDevice")
    raw = parse(pci.device_vmstate(size), data, what="PCIDevice")
    space = ConfigSpace(raw.config)
    capability = _capability(space, msix_size, item, damage)
    return _PciDevice(space, item.data_offset + config, raw.version_id, tuple(raw.irq_state), capability)


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


def _vector_count(
    item: Item, size: int | None, capability: MsixCapability | None, damage: list[Damage]
) -> int:
    """Vectors in the section: by the size of the bytes where that is known, else by the capability."""
    if size is None:
        return capability.vectors if capability else 0
    vectors = msix.vectors_of_size(size)
    if vectors is None:
        raise FormatError("MSI-X state", expected="the size of some number of vectors", found=size)
    if vectors > msix.MAX_VECTORS:
        text = f"number of vectors: expected at most {msix.MAX_VECTORS}, found {vectors}"
        damage.append(_damage(item, text, DamageRule.VECTOR_LIMIT))
        return 0
    if capability is not None and capability.vectors != vectors:
        profile = known_kind(item).msix
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


def _virtio_state(
    source: Source, item: Item, at: int, capability: MsixCapability | None, damage: list[Damage]
) -> virtio.VirtioState | None:
    """What of a virtio blob can be read at once."""
    start = item.data_offset + at
    data = source.read(start, min(_VIRTIO_HEAD, item.data_length - at))
    try:
        return virtio.read_virtio(data, offset=start, capability=capability)
    except FormatError as error:
        damage.append(_of(error, item, DamageRule.VIRTIO_STATE))
        return None


def _read(source: Source, item: Item, at: int, length: int, what: str) -> bytes:
    """`length` bytes of a section's data from `at`. Raises TruncatedError where it has fewer."""
    room = max(0, item.data_length - at)
    data = source.read(item.data_offset + at, min(length, room))
    if len(data) < length:
        raise TruncatedError(
            f"the section ends inside its {what}",
            offset=item.data_offset + at,
            expected=f"{length} bytes",
            found=len(data),
        )
    return data


def _damage(item: Item, text: str, rule: DamageRule) -> Damage:
    return Damage(text, item.data_offset, rule, item.idstr, item.instance_id)


def _of(error: FormatError, item: Item, rule: DamageRule) -> Damage:
    return Damage.of(error, item.data_offset, rule, item.idstr, item.instance_id)
