"""What can be wrong with a PCI function that has MSI-X, its vectors left aside.

Sources: PCI Local Bus Specification 3.0, sections 6.2.5 (BARs), 6.7, 6.8.1 and 6.8.2; QEMU
hw/pci/msix.c (msix_init), hw/pci/pci.c (get_pci_config_device, get_pci_irq_state),
hw/virtio/virtio.c (virtio_load), hw/virtio/virtio-pci.c.
"""

from __future__ import annotations

from collections.abc import Iterator

from msixtool.devices.config_space import BarPlace, ConfigSpace, MsixCapability
from msixtool.devices.device import MsixDevice
from msixtool.devices.virtio import VirtioState
from msixtool.formats import msix, pci
from msixtool.formats import virtio as virtio_format
from msixtool.tasks.rules.catalogue import RULES, RuleFinding

CONTROL_RESERVED = 0x3800
"""Message Control, the bits between the table size and the function mask."""
PCI_VERSION = 2
"""The most that QEMU takes for the version of a PCIDevice."""

_BARS = {pci.HeaderType.DEVICE: 6, pci.HeaderType.BRIDGE: 2}
_FIRST_BAR = 0x10
_MSI_ENABLE = 0x01


def check_function(device: MsixDevice) -> Iterator[RuleFinding]:
    """All findings about one device but those about its vectors."""
    yield from _saved(device)
    if device.config is not None:
        if device.capability is None and device.config.damage is None:
            text = "the section has MSI-X state, and configuration space has no MSI-X capability"
            yield _finding(device, "capability-missing", text, 0)
        if device.capability is not None:
            yield from _capability(device, device.config, device.capability)
    if device.virtio is not None:
        yield from _virtio(device, device.virtio)


def _finding(
    device: MsixDevice, rule: str, message: str, at: int | None, vector: int | None = None
) -> RuleFinding:
    """A finding at an offset in configuration space, where that is in the stream."""
    known = at is not None and device.config_offset is not None
    offset = device.config_offset + at if known else device.offset  # type: ignore[operator]
    return RuleFinding(rule, RULES[rule].severity, message, device.name, device.instance, vector, offset)


def _saved(device: MsixDevice) -> Iterator[RuleFinding]:
    """The vmstate around configuration space."""
    if device.version_id is not None and not 0 <= device.version_id <= PCI_VERSION:
        text = f"PCIDevice version: expected 0 to {PCI_VERSION}, found {device.version_id}"
        yield _finding(device, "pci-version", text, -4)
    for pin, level in enumerate(device.irq_state):
        if level not in (0, 1) and device.config is not None:
            text = f"level of INTx pin {pin}: expected 0 or 1, found {level:#x}"
            yield _finding(device, "irq-state", text, len(device.config.data) + 4 * pin)


def _capability(device: MsixDevice, config: ConfigSpace, capability: MsixCapability) -> Iterator[RuleFinding]:
    at = capability.offset
    if capability.control & CONTROL_RESERVED:
        text = f"Message Control {capability.control:#06x}: bits 11 to 13 are reserved, and QEMU has 0"
        yield _finding(device, "message-control-reserved", text, at + 2)
    yield from _places(device, config, capability)
    if capability.enabled and not config.bus_master:
        text = "MSI-X is enabled and bus mastering is off: no message can leave the function"
        yield _finding(device, "bus-master-off", text, 4)
    msi = config.find(pci.CapabilityId.MSI)
    if msi is not None and capability.enabled and config.data[msi + 2] & _MSI_ENABLE:
        text = "MSI and MSI-X are both enabled: what the function does is undefined"
        yield _finding(device, "msi-and-msix", text, msi + 2)


def _places(device: MsixDevice, config: ConfigSpace, capability: MsixCapability) -> Iterator[RuleFinding]:
    """What msix_init checks of table and PBA, as far as a stream shows it."""
    table, pba = capability.table, capability.pba
    sizes = (msix.ENTRY_SIZE * capability.vectors, (capability.vectors + 63) // 64 * 8)
    if table.bar == pba.bar and table.offset < pba.offset + sizes[1] and pba.offset < table.offset + sizes[0]:
        text = (
            f"in BAR {table.bar} the table ({table.offset:#x}, {sizes[0]} bytes)"
            f" overlaps the PBA ({pba.offset:#x}, {sizes[1]} bytes)"
        )
        yield _finding(device, "table-pba-overlap", text, capability.offset + 4)
    for name, place, size, at in (
        ("table", table, sizes[0], capability.offset + 4),
        ("PBA", pba, sizes[1], capability.offset + 8),
    ):
        wrong = _wrong_bar(config, place.bar)
        if wrong is not None:
            yield _finding(device, "bar-indicator", f"the {name} is in BAR {place.bar}, which {wrong}", at)
            continue
        room = _room(config, place)
        if place.offset + size > room:
            text = (
                f"the {name} ends at {place.offset + size:#x}, and BAR {place.bar} has {room:#x} bytes"
                f" at most: its address is no multiple of more"
            )
            yield _finding(device, "beyond-bar", text, at)


def _register(config: ConfigSpace, bar: int) -> int:
    at = _FIRST_BAR + 4 * bar
    return int.from_bytes(config.data[at : at + 4], "little")


def _wrong_bar(config: ConfigSpace, bar: int) -> str | None:
    """Why a BAR can hold neither table nor PBA, or None."""
    count = _BARS.get(config.header.layout, 0)
    if bar >= count:
        return f"does not exist: the function has {count}"
    index = 0
    while index <= bar:
        register = _register(config, index)
        if register & 1:
            if index == bar:
                return "is in I/O space"
            index += 1
            continue
        wide = register & 6 == 4
        if wide and index + 1 == bar:
            return f"is the upper half of BAR {index}"
        index += 2 if wide else 1
    return None


def _room(config: ConfigSpace, place: BarPlace) -> int:
    """The most bytes that a memory BAR can have: its address is a multiple of its size."""
    low = _register(config, place.bar)
    address = low & ~0xF
    wide = low & 6 == 4
    if wide:
        address |= _register(config, place.bar + 1) << 32
    return address & -address if address else 1 << (64 if wide else 32)


def _virtio(device: MsixDevice, state: VirtioState) -> Iterator[RuleFinding]:
    """In the order in which virtio_load meets them."""
    start = device.offset - state.msix_offset
    if _out_of_range(state.config_vector, state.vectors):
        yield _vector(device, "config_vector", state.config_vector, start + state.core_offset - 2)
    if state.core.queue_sel >= virtio_format.MAX_QUEUES:
        text = f"queue_sel: expected less than {virtio_format.MAX_QUEUES}, found {state.core.queue_sel}"
        yield _at(device, "virtio-queue-select", text, start + state.core_offset + 2)
    size = virtio_format.QUEUE_WITH_VECTOR.sizeof()
    for number, queue in enumerate(state.queues):
        at = start + state.queues_offset + number * size
        if queue.desc == 0 and queue.last_avail_idx:
            text = f"queue {number} has no address, and its last_avail_idx is {queue.last_avail_idx:#x}"
            yield _at(device, "virtio-queue-index", text, at + 12)
        if _out_of_range(queue.vector, state.vectors):
            yield _vector(device, f"the vector of queue {number}", queue.vector, at + 14)


def _out_of_range(vector: int | None, vectors: int) -> bool:
    return vector is not None and vector != virtio_format.NO_VECTOR and vector >= vectors


def _vector(device: MsixDevice, what: str, vector: int | None, offset: int) -> RuleFinding:
    text = f"{what} is {vector}: expected less than {device.vectors}, or {virtio_format.NO_VECTOR} for none"
    return _at(device, "virtio-vector", text, offset, vector)


def _at(device: MsixDevice, rule: str, message: str, offset: int, vector: int | None = None) -> RuleFinding:
    """A finding at an offset in the stream."""
    return RuleFinding(rule, RULES[rule].severity, message, device.name, device.instance, vector, offset)
