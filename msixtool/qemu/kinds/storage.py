"""Disk controllers and disks, but for virtio's.

Source: QEMU hw/scsi/, hw/ide/, hw/nvme/, hw/sd/, hw/block/fdc.c.
"""

from __future__ import annotations

from msixtool.formats import pci
from msixtool.qemu.kinds import Backend, DeviceKind, Options, Seen, register

EMMC_LENGTH = 1400
"""From this length on an sd-card's section is an eMMC's (QEMU 11: 1179 bytes, 1404 with the extended CSD)."""


def _interrupts(seen: Seen) -> Options:
    """megasas: MSI and MSI-X can be switched off, and the capabilities then are missing."""
    either = (("msi", pci.CapabilityId.MSI), ("msix", pci.CapabilityId.MSIX))
    return {name: "off" for name, number in either if seen.capability(number) is None}


def _nvme(seen: Seen) -> Options:
    options = {"serial": "msixtool"}
    at = seen.capability(pci.CapabilityId.MSIX)
    if at is not None:
        size = (int.from_bytes(seen.config[at + 2 : at + 4], "little") & 0x7FF) + 1
        options["msix_qsize"] = str(size)
    queues = seen.elements("sq")
    if queues is not None and queues > 1:
        options["max_ioqpairs"] = str(queues - 1)
    return options


def _card(seen: Seen) -> str:
    return "emmc" if seen.length >= EMMC_LENGTH else "sd-card"


register(
    DeviceKind("fdc", {"": "isa-fdc"}),
    DeviceKind("ich9_ahci", {"": "ich9-ahci"}),
    DeviceKind("ide", {"8086:7010": "piix3-ide", "8086:7111": "piix4-ide"}),
    DeviceKind("isa-ide", {"": "isa-ide"}),
    DeviceKind("lsiscsi", {"1000:0012": "lsi53c895a", "1000:0001": "lsi53c810"}),
    DeviceKind("megasas", {"": "megasas"}, _interrupts),
    DeviceKind("megasas-gen2", {"": "megasas-gen2"}, _interrupts),
    DeviceKind("mptsas", {"": "mptsas1068"}),
    DeviceKind("nvme", {"": "nvme"}, _nvme, Backend.DRIVE),
    DeviceKind("pciespscsi", {"": "am53c974"}),
    DeviceKind("pvscsi", {"": "pvscsi"}),
    DeviceKind("scsi-disk", {"": "scsi-hd"}, backend=Backend.DRIVE, note="disk or CD"),
    DeviceKind("sd-card", {"": "sd-card"}, backend=Backend.CARD, named=_card),
    DeviceKind("sdhci", {"": "sdhci-pci"}),
)
