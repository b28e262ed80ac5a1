"""The numbers of PCI that have names: capabilities, classes, vendors.

Source: PCI Code and ID Assignment Specification 1.11; QEMU include/hw/pci/pci_ids.h.
"""

from __future__ import annotations

from msixtool.formats import pci

_CAPABILITIES: dict[int, str] = {
    pci.CapabilityId.PM: "power management",
    pci.CapabilityId.AGP: "AGP",
    pci.CapabilityId.VPD: "vital product data",
    pci.CapabilityId.SLOTID: "slot ID",
    pci.CapabilityId.MSI: "MSI",
    pci.CapabilityId.PCIX: "PCI-X",
    pci.CapabilityId.VENDOR: "vendor-specific",
    pci.CapabilityId.SHPC: "SHPC",
    pci.CapabilityId.SSVID: "bridge subsystem IDs",
    pci.CapabilityId.EXPRESS: "PCI Express",
    pci.CapabilityId.MSIX: "MSI-X",
    pci.CapabilityId.SATA: "SATA",
    pci.CapabilityId.AF: "advanced features",
}

_EXTENDED: dict[int, str] = {
    pci.ExtendedCapabilityId.AER: "advanced error reporting",
    pci.ExtendedCapabilityId.DEVICE_SERIAL_NUMBER: "device serial number",
    pci.ExtendedCapabilityId.VENDOR: "vendor-specific",
    pci.ExtendedCapabilityId.ACS: "access control services",
    pci.ExtendedCapabilityId.ARI: "alternative routing-ID",
    pci.ExtendedCapabilityId.ATS: "address translation services",
    pci.ExtendedCapabilityId.SRIOV: "SR-IOV",
    pci.ExtendedCapabilityId.PRI: "page requests",
    pci.ExtendedCapabilityId.PASID: "process address space ID",
    pci.ExtendedCapabilityId.DVSEC: "designated vendor-specific",
}


def capability_name(identifier: int) -> str:
    """A capability id in words."""
    return _CAPABILITIES.get(identifier) or ("nothing" if not identifier else f"capability {identifier:#04x}")


def extended_capability_name(identifier: int) -> str:
    """An extended capability id in words."""
    return _EXTENDED.get(identifier) or f"extended capability {identifier:#06x}"


def vendor_name(identifier: int) -> str:
    """A vendor ID in words."""
    name = _VENDORS.get(identifier)
    return f"{identifier:#06x} ({name})" if name else f"{identifier:#06x}"


_VENDORS = {
    0x1000: "LSI",
    0x1013: "Cirrus Logic",
    0x1022: "AMD",
    0x1033: "NEC",
    0x10EC: "Realtek",
    0x104C: "Texas Instruments",
    0x1106: "VIA",
    0x1234: "QEMU",
    0x15AD: "VMware",
    0x1AF4: "Red Hat, virtio",
    0x1B36: "Red Hat, QEMU",
    0x8086: "Intel",
}
"""Those of QEMU's devices."""


_BASE_CLASSES = (
    "unclassified",
    "mass storage",
    "network",
    "display",
    "multimedia",
    "memory",
    "bridge",
    "communication",
    "system peripheral",
    "input",
    "docking station",
    "processor",
    "serial bus",
)


def base_class(value: int) -> str:
    """The highest byte of a class code in words."""
    return _BASE_CLASSES[value] if value < len(_BASE_CLASSES) else f"{value:#x}"


_CLASSES = {
    0x0100: "SCSI controller",
    0x0101: "IDE controller",
    0x0104: "RAID controller",
    0x0105: "ATA controller",
    0x0106: "SATA controller",
    0x0107: "SAS controller",
    0x0108: "non-volatile memory controller",
    0x0200: "Ethernet controller",
    0x0280: "network controller",
    0x0300: "VGA display",
    0x0380: "display",
    0x0401: "audio device",
    0x0403: "HD audio device",
    0x0480: "multimedia device",
    0x0500: "RAM",
    0x0600: "host bridge",
    0x0601: "ISA bridge",
    0x0604: "PCI bridge",
    0x0680: "bridge",
    0x0700: "serial controller",
    0x0780: "communication controller",
    0x0880: "system peripheral",
    0x0900: "keyboard",
    0x0902: "mouse",
    0x0980: "input device",
    0x0C03: "USB controller",
    0x0C05: "SMBus controller",
}
"""Base class and subclass, of QEMU's devices."""


def class_name(value: int) -> str:
    """A class code in words, with its number."""
    name = _CLASSES.get(value >> 8) or base_class(value >> 16)
    return f"{value:#08x} ({name})"
