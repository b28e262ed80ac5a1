"""Disk controllers and disks, but for virtio's.

Source: QEMU hw/scsi/, hw/ide/, hw/nvme/, hw/sd/, hw/block/fdc.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msixtool.formats import msix, pci
from msixtool.qemu.kinds import Backend, DeviceKind, Options, register_kinds, without_either
from msixtool.qemu.kinds.facts import (
    CAPABILITY_LIST,
    MSIX_PLACEMENT,
    PLAIN,
    Advice,
    Compat,
    Msix,
    Probe,
    UsedAtLoad,
    give_same,
)

if TYPE_CHECKING:
    from msixtool.qemu.kinds.seen import Seen

EMMC_LENGTH = 1400
"""From this length on an sd-card's section is an eMMC's (QEMU 11: 1179 bytes, 1404 with the extended CSD)."""


def _nvme(seen: Seen) -> Options:
    options = {"serial": "msixtool"}
    control = seen.register(pci.CapabilityId.MSIX, "control")
    if control is not None:
        options["msix_qsize"] = str((control & msix.CONTROL_QSIZE) + 1)
    queues = seen.elements("sq")
    if queues is not None and queues > 1:
        options["max_ioqpairs"] = str(queues - 1)
    return options


def _card(seen: Seen) -> str:
    return "emmc" if seen.length >= EMMC_LENGTH else "sd-card"


_MEGASAS = (
    "megasas has marked only vector 0 used. The next completion on the vector raises it again once the driver"
    " has initialised the controller; otherwise its timeout polls for completions."
)
_MEGASAS_ADVICE = Advice(registers={CAPABILITY_LIST: give_same("msi", "msix")})
_PVSCSI = give_same("x-disable-pcie", "x-old-pci-configuration")

register_kinds(
    DeviceKind("fdc", {"": "isa-fdc"}),
    DeviceKind(
        "ich9_ahci",
        {"": "ich9-ahci"},
        advice=Advice("Give the target the source's drives on the same ports."),
        probes=PLAIN,
    ),
    DeviceKind(
        "ide",
        {"8086:7010": "piix3-ide", "8086:7111": "piix4-ide"},
        advice=Advice("Give the target the source's drives on the same units."),
        probes=PLAIN,
    ),
    DeviceKind("isa-ide", {"": "isa-ide"}, alone=True),
    DeviceKind("lsiscsi", {"1000:0012": "lsi53c895a", "1000:0001": "lsi53c810"}, probes=PLAIN),
    DeviceKind(
        "megasas",
        {"": "megasas"},
        without_either,
        msix=Msix(UsedAtLoad.FIRST, config_size=256, vectors=15, recovery=_MEGASAS),
        loads_requests=False,
        advice=_MEGASAS_ADVICE,
        probes=PLAIN,
    ),
    DeviceKind(
        "megasas-gen2",
        {"": "megasas-gen2"},
        without_either,
        msix=Msix(UsedAtLoad.FIRST, vectors=15, recovery=_MEGASAS),
        loads_requests=False,
        advice=_MEGASAS_ADVICE,
        probes=PLAIN,
    ),
    DeviceKind(
        "mptsas",
        {"": "mptsas1068"},
        advice=Advice(registers={CAPABILITY_LIST: give_same("msi")}),
        probes=PLAIN,
    ),
    DeviceKind(
        "nvme",
        {"": "nvme"},
        _nvme,
        Backend.DRIVE,
        msix=Msix(
            UsedAtLoad.NONE,
            capability_may_be_smaller=True,
            paged=True,
            recovery=(
                "nvme marks a vector used when its completion queue is restored, after msix_load. The next"
                " completion on the queue raises it again; otherwise the driver's timeout polls the queue."
            ),
        ),
        probes=(Probe("serial=any"), Probe("serial=any,msix-exclusive-bar=on")),
        since=(11, 0),
        changes=(Compat("nvme,msix-exclusive-bar", "MSI-X in BAR 4 instead of BAR 0"),),
        advice=Advice(
            registers={
                "MSI-X table size": give_same("msix_qsize"),
                MSIX_PLACEMENT: give_same("msix_qsize", "max_ioqpairs", "msix-exclusive-bar"),
                "vendor ID": give_same("use-intel-id"),
                "device ID": give_same("use-intel-id"),
            },
            vectors="msix_qsize",
            blocked="Use QEMU 11.1 or later, which migrates nvme, on both sides; or unplug it first"
            " (device_del).",
        ),
    ),
    DeviceKind(
        "pciespscsi",
        {"": "am53c974"},
        advice=Advice(
            "Use a target of the source's QEMU version: its state has changed, and no machine type keeps it"
            " as it was."
        ),
        probes=PLAIN,
    ),
    DeviceKind(
        "pvscsi",
        {"": "pvscsi"},
        changes=(Compat("pvscsi,x-disable-pcie", "256 bytes of configuration space"),),
        by_property=frozenset({"parent_obj"}),
        advice=Advice(_PVSCSI, registers={CAPABILITY_LIST: _PVSCSI}),
        probes=PLAIN,
    ),
    DeviceKind("scsi-disk", {"": "scsi-hd"}, backend=Backend.DRIVE, note="disk or CD"),
    DeviceKind("sd-card", {"": "sd-card"}, backend=Backend.CARD, named=_card, alone=True),
    DeviceKind("sdhci", {"": "sdhci-pci"}, probes=PLAIN),
)
