"""What can be wrong with a PCI function that has MSI-X, its vectors left aside.

Sources: PCI Local Bus Specification 3.0, sections 6.2.5 (BARs), 6.7, 6.8.1 and 6.8.2; QEMU
hw/pci/msix.c (msix_init), hw/pci/pci.c (get_pci_config_device, get_pci_irq_state),
hw/virtio/virtio.c (virtio_load), hw/virtio/virtio-pci.c.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msixtool.devices.config_space import BarPlace, ConfigSpace, MsixCapability
from msixtool.devices.device import MsixDevice
from msixtool.formats import capabilities, msix, pci
from msixtool.msix.bar import pba_memory, table_size
from msixtool.qemu import refusals
from msixtool.qemu.refusals.refusal import Refusal
from msixtool.tasks import device_checks
from msixtool.tasks.rules.catalogue import RULES, RuleFinding

_RESERVED_BITS = 0x3800
"""Message Control, the bits between the table size and the function mask."""


def check_function(device: MsixDevice) -> Iterator[RuleFinding]:
    """All findings about one device but those about its vectors."""
    for refused in device_checks.refused(device):
        yield _at(device, refused.rule, refused.message, refused.at, refused.vector)
    yield from check_capability(device)


def check_capability(device: MsixDevice) -> Iterator[RuleFinding]:
    """What is wrong with the MSI-X capability, or with how it goes with the rest of the function."""
    if device.config is None:
        return
    if device.capability is None and device.config.damage is None:
        yield _refused(device, refusals.CAPABILITY_MISSING, 0)
    if device.capability is not None:
        yield from _capability(device, device.config, device.capability)


def _finding(
    device: MsixDevice, rule: str, message: str, at: int | None, vector: int | None = None
) -> RuleFinding:
    """A finding at an offset in configuration space, where that is in the stream."""
    known = at is not None and device.config_offset is not None
    return _at(device, rule, message, device.config_offset + at if known else None, vector)  # type: ignore[operator]


def _refused(device: MsixDevice, refusal: Refusal, at: int, **values: Any) -> RuleFinding:
    return _finding(device, refusal.rule, refusal.told(**values), at)


def _capability(device: MsixDevice, config: ConfigSpace, capability: MsixCapability) -> Iterator[RuleFinding]:
    at = capability.offset
    if capability.control & _RESERVED_BITS:
        yield _refused(device, refusals.CONTROL_RESERVED, at + msix.CONTROL.offset, source=capability.control)
    yield from _places(device, config, capability)
    if capability.enabled and not config.bus_master:
        text = "MSI-X is enabled and bus mastering is off: no message can leave the function"
        yield _finding(device, "bus-master-off", text, pci.COMMAND_REGISTER.offset)
    msi = config.find(pci.CapabilityId.MSI)
    if msi is not None and capability.enabled:
        control = capabilities.capability_register(capabilities.msi(0), "MSI Message Control", msi)
        if control.value(config.data) & capabilities.MSI_ENABLE:
            text = "MSI and MSI-X are both enabled: what the function does is undefined"
            yield _finding(device, "msi-and-msix", text, control.offset)


def _places(device: MsixDevice, config: ConfigSpace, capability: MsixCapability) -> Iterator[RuleFinding]:
    """What msix_init checks of table and PBA, as far as a stream shows it."""
    table, pba = capability.table, capability.pba
    sizes = (table_size(capability.vectors), pba_memory(capability.vectors))
    if table.bar == pba.bar and table.offset < pba.offset + sizes[1] and pba.offset < table.offset + sizes[0]:
        values = {"table": table.offset, "table_size": sizes[0], "pba": pba.offset, "pba_size": sizes[1]}
        yield _refused(
            device, refusals.TABLE_PBA_OVERLAP, capability.offset + msix.TABLE.offset, bar=table.bar, **values
        )
    for name, place, size, at in (
        ("table", table, sizes[0], capability.offset + msix.TABLE.offset),
        ("PBA", pba, sizes[1], capability.offset + msix.PBA.offset),
    ):
        wrong = _wrong_bar(config, place.bar)
        if wrong is not None:
            yield _refused(device, refusals.BAR_INDICATOR, at, what=name, bar=place.bar, why=wrong)
            continue
        room, end = _room(config, place), place.offset + size
        if end > room:
            yield _refused(device, refusals.BEYOND_BAR, at, what=name, bar=place.bar, end=end, room=room)


def _wrong_bar(config: ConfigSpace, bar: int) -> str | None:
    """Why a BAR can hold neither table nor PBA, or None."""
    found = pci.bars_of(config.data)
    count = sum(each.size for each in found) // pci.BAR_SIZE
    if bar >= count:
        return f"does not exist: the function has {count}"
    own = next(each for each in found if each.number <= bar < each.number + 1 + each.wide)
    if own.number != bar:
        return f"is the upper half of BAR {own.number}"
    return "is in I/O space" if own.is_io else None


def _room(config: ConfigSpace, place: BarPlace) -> int:
    """The most bytes that a memory BAR can have: its address is a multiple of its size."""
    bar = next(each for each in pci.bars_of(config.data) if each.number == place.bar)
    return bar.address & -bar.address if bar.address else 1 << (64 if bar.wide else 32)


def _at(
    device: MsixDevice, rule: str, message: str, offset: int | None, vector: int | None = None
) -> RuleFinding:
    """A finding at an offset in the stream, or at its MSI-X state where there is none."""
    place = device.offset if offset is None else offset
    return RuleFinding(rule, RULES[rule].severity, message, device.name, device.instance, vector, place)
