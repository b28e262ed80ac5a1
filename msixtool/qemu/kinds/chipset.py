"""What stands on the board or is plugged into its slow buses: watchdogs, serial ports, ACPI's devices.

Source: QEMU hw/i386/, hw/isa/, hw/watchdog/, hw/char/, hw/ipmi/, hw/acpi/.
"""

from __future__ import annotations

from msixtool.qemu.kinds import Backend, DeviceKind, register

INTEGRATED = frozenset(
    {
        "I440FX",
        "PIIX3",
        "PIIX4",
        "piix4_pm",
        "mch",
        "ICH9LPC",
        "ich9_smb",
        "eeprom",
        "virtio-vga",
        "VMBusBridge",
    }
)
"""Sections of PCI functions that come with the machine, or with another section's device."""

register(
    DeviceKind("acpi-erst", {"": "acpi-erst"}, backend=Backend.MEMDEV),
    DeviceKind("i6300esb_wdt", {"": "i6300esb"}),
    DeviceKind("ib700_wdt", {"": "ib700"}),
    DeviceKind("iommu-intel", {"": "intel-iommu"}),
    DeviceKind("ipmi-interface-pci-bt", {"": "pci-ipmi-bt"}, backend=Backend.BMC),
    DeviceKind("ipmi-interface-pci-kcs", {"": "pci-ipmi-kcs"}, backend=Backend.BMC),
    DeviceKind("ivshmem-plain", {"": "ivshmem-plain"}, lambda _: {"master": "on"}, Backend.MEMDEV),
    DeviceKind("parallel_isa", {"": "isa-parallel"}, backend=Backend.CHARDEV),
    DeviceKind("pci-serial", {"": "pci-serial"}, backend=Backend.CHARDEV),
    DeviceKind("pci-serial-multi", {"1b36:0003": "pci-serial-2x", "": "pci-serial-4x"}),
    DeviceKind("pvpanic-pci", {"": "pvpanic-pci"}),
    DeviceKind("serial", {"": "isa-serial"}, backend=Backend.CHARDEV),
    DeviceKind("tpci200", {"": "tpci200"}),
    DeviceKind("vmclock", {"": "vmclock"}),
    DeviceKind("vmcoreinfo", {"": "vmcoreinfo"}),
    DeviceKind("vmgenid", {"": "vmgenid"}),
)
