"""The capabilities in PCI configuration space, register by register, under the names that the specifications
give the registers. All are little-endian, and counted from the capability's start.

Sources: PCI Power Management 1.2, 3.2; PCI Local Bus Specification 3.0, 6.8.1 and appendix H; PCI-to-PCI
Bridge 1.2, 13 (slot ID); PCI Express Base Specification 5.0, 7.5.3 and 7.8; virtio 1.3, 4.1.4 (VIRTIO);
QEMU include/hw/pci/pci_bridge.h (PCIBridgeQemuCap). formats/msix.py has MSI-X's.
"""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache
from typing import Any

from construct import Array, Bytes, Int8ul, Int16ul, Int32ul, Int64ul, Struct

from msixtool.formats import members, msix
from msixtool.formats.pci import CapabilityId, ExtendedCapabilityId, Register

_LIST = Struct("capability ID" / Int8ul, "next pointer" / Int8ul).subcons
_EXTENDED_LIST = Struct("extended capability header" / Int32ul).subcons

LIST_ENTRY = Struct(*_LIST)
"""One of which nothing else is known."""

POWER = Struct(
    *_LIST,
    "Power Management Capabilities" / Int16ul,
    "Power Management Control/Status" / Int16ul,
    "Power Management bridge and data" / Int16ul,
)

MSI_ENABLE, MSI_64BIT, MSI_MASKABLE = 0x0001, 0x0080, 0x0100
"""Of MSI Message Control."""


@lru_cache(maxsize=4)
def msi(control: int) -> Any:
    """The capability with this Message Control: three of its registers go by two bits of that."""
    wide = ["MSI upper address" / Int32ul] if control & MSI_64BIT else []
    masks = [
        "MSI reserved" / Int16ul,
        "MSI mask bits" / Int32ul,
        "MSI pending bits" / Int32ul,
    ]
    return Struct(
        *_LIST,
        "MSI Message Control" / Int16ul,
        "MSI address" / Int32ul,
        *wide,
        "MSI data" / Int16ul,
        *(masks if control & MSI_MASKABLE else []),
    )


VENDOR = Struct(*_LIST, "capability length" / Int8ul)
"""What follows is the vendor's own."""

VIRTIO_STRUCTURE = Struct(
    *VENDOR.subcons,
    "virtio structure type" / Int8ul,
    "virtio structure BAR" / Int8ul,
    "virtio structure padding" / Bytes(3),
    "virtio structure offset" / Int32ul,
    "virtio structure length" / Int32ul,
)
"""virtio's own (virtio_pci_cap): where one of its structures stands."""
VIRTIO_NOTIFY = Struct(*VIRTIO_STRUCTURE.subcons, "virtio notify multiplier" / Int32ul)
"""That of type NOTIFY: bytes between two queues' registers."""


class VirtioStructure(IntEnum):
    """Types of virtio structures; through ACCESS the guest reaches BARs: it writes where and how much."""

    COMMON = 1
    NOTIFY = 2
    ISR = 3
    DEVICE = 4
    ACCESS = 5


RESERVE = Struct(
    *VENDOR.subcons,
    "type" / Int8ul,
    "bus-reserve" / Int32ul,
    "io-reserve" / Int64ul,
    "mem-reserve" / Int32ul,
    "pref32-reserve" / Int32ul,
    "pref64-reserve" / Int64ul,
)
"""QEMU's own of a bridge or port, `type` 1: what firmware is to reserve behind it, in buses and bytes, under
the names of its properties; all ones where one is not set."""

SLOT_ID = Struct(*_LIST, "slot ID expansion" / Int8ul, "chassis number" / Int8ul)
SHPC = Struct(*_LIST, "SHPC select" / Int8ul, "SHPC pending" / Int8ul)
SUBSYSTEM = Struct(*_LIST, "bridge subsystem IDs" / Bytes(6))
SATA = Struct(*_LIST, "SATA capability" / Bytes(6))
ADVANCED_FEATURES = Struct(*_LIST, "AF capabilities" / Int16ul, "AF control" / Int16ul)

EXPRESS_1 = Struct(
    *_LIST,
    "PCI Express Capabilities" / Int16ul,
    "Device Capabilities" / Int32ul,
    "Device Control" / Int16ul,
    "Device Status" / Int16ul,
    "Link Capabilities" / Int32ul,
    "Link Control" / Int16ul,
    "Link Status" / Int16ul,
)
"""Version 1 of it, as far as every device has it."""
EXPRESS = Struct(
    *EXPRESS_1.subcons,
    "Slot Capabilities" / Int32ul,
    "Slot Control" / Int16ul,
    "Slot Status" / Int16ul,
    "Root Control" / Int16ul,
    "Root Capabilities" / Int16ul,
    "Root Status" / Int32ul,
    "Device Capabilities 2" / Int32ul,
    "Device Control 2" / Int16ul,
    "Device Status 2" / Int16ul,
    "Link Capabilities 2" / Int32ul,
    "Link Control 2" / Int16ul,
    "Link Status 2" / Int16ul,
    "Slot Capabilities 2" / Int32ul,
    "Slot Control 2" / Int16ul,
    "Slot Status 2" / Int16ul,
)

EXTENDED_LIST_ENTRY = Struct(*_EXTENDED_LIST)
"""As UNKNOWN, of an extended capability."""

AER_1 = Struct(
    *_EXTENDED_LIST,
    "Uncorrectable Error Status" / Int32ul,
    "Uncorrectable Error Mask" / Int32ul,
    "Uncorrectable Error Severity" / Int32ul,
    "Correctable Error Status" / Int32ul,
    "Correctable Error Mask" / Int32ul,
    "AER Capabilities and Control" / Int32ul,
    "AER header log" / Bytes(16),
    "Root Error Command" / Int32ul,
    "Root Error Status" / Int32ul,
    "AER error source" / Int32ul,
    "AER TLP prefix log" / Bytes(8),
)
"""Version 1 of it, of which QEMU makes 64 bytes."""
AER = Struct(*AER_1.subcons[:-1], "AER TLP prefix log" / Bytes(16))

SERIAL_NUMBER = Struct(*_EXTENDED_LIST, "device serial number" / Bytes(8))
ACCESS_CONTROL = Struct(*_EXTENDED_LIST, "ACS Capability" / Int16ul, "ACS Control" / Int16ul)
ALTERNATIVE_ROUTING = Struct(*_EXTENDED_LIST, "ARI capability" / Bytes(4))
ADDRESS_TRANSLATION = Struct(*_EXTENDED_LIST, "ATS Capability" / Int16ul, "ATS Control" / Int16ul)

VIRTUAL_FUNCTIONS = Struct(
    *_EXTENDED_LIST,
    "SR-IOV Capabilities" / Int32ul,
    "SR-IOV Control" / Int16ul,
    "SR-IOV Status and VF counts" / Bytes(6),
    "SR-IOV NumVFs" / Int16ul,
    "SR-IOV VF layout" / Bytes(14),
    "SR-IOV System Page Size" / Int32ul,
    "VF BARs" / Array(6, Int32ul),
    "SR-IOV VF migration" / Int32ul,
)


SCHEMAS: dict[int, Any] = {
    CapabilityId.PM: POWER,
    CapabilityId.SLOTID: SLOT_ID,
    CapabilityId.MSI: msi(0),
    CapabilityId.VENDOR: VENDOR,
    CapabilityId.SHPC: SHPC,
    CapabilityId.SSVID: SUBSYSTEM,
    CapabilityId.EXPRESS: EXPRESS,
    CapabilityId.MSIX: msix.CAPABILITY,
    CapabilityId.SATA: SATA,
    CapabilityId.AF: ADVANCED_FEATURES,
}
EXTENDED_SCHEMAS: dict[int, Any] = {
    ExtendedCapabilityId.AER: AER,
    ExtendedCapabilityId.DEVICE_SERIAL_NUMBER: SERIAL_NUMBER,
    ExtendedCapabilityId.ACS: ACCESS_CONTROL,
    ExtendedCapabilityId.ARI: ALTERNATIVE_ROUTING,
    ExtendedCapabilityId.ATS: ADDRESS_TRANSLATION,
    ExtendedCapabilityId.SRIOV: VIRTUAL_FUNCTIONS,
}
"""By capability id, in the longest form that nothing but the id tells of."""


@lru_cache(maxsize=64)
def capability_registers(schema: Any) -> dict[str, Register]:
    """Where a capability has its registers, by their names, in its order."""
    return {name: Register(*place) for name, place in members(schema).items()}


def capability_register(schema: Any, name: str, base: int) -> Register:
    """The register of this name of a capability that stands at `base`."""
    offset, size = capability_registers(schema)[name]
    return Register(base + offset, size)


def capability_value(schema: Any, name: str, data: bytes, base: int = 0) -> int:
    """What that register holds in `data`."""
    return capability_register(schema, name, base).value(data)
