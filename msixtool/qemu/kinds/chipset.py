"""What stands on the board or is plugged into its slow buses: watchdogs, serial ports, ACPI's devices.

Source: QEMU hw/i386/, hw/isa/, hw/watchdog/, hw/char/, hw/ipmi/, hw/acpi/,
hw/net/can/, hw/misc/ivshmem.c, hw/vfio/pci.c.
"""

from __future__ import annotations

from typing import Any

from msixtool.qemu.kinds import Backend, DeviceKind, register_kinds
from msixtool.qemu.kinds.facts import (
    MACHINE,
    PLAIN,
    Advice,
    Compat,
    Msix,
    MsixPlace,
    Probe,
    UsedAtLoad,
    give_same,
)


def _at_times(subsection: str, setting: str, machine: str) -> Advice:
    """On a subsection that a setting keeps out, as it does in machine types up to `machine`."""
    return Advice(
        subsections={
            subsection: f"is kept out by {setting} on the source, as in machine types up to {machine}."
        }
    )


_IVSHMEM = Advice(registers={"MSI-X table size": give_same("vectors")})


def _integrated(section: str, **facts: Any) -> DeviceKind:
    """A PCI function that comes with the machine, or with another section's device."""
    return DeviceKind(section, integrated=True, **facts)


def _on_board(machine: str, slot: int, function: int = 0) -> tuple[Probe, ...]:
    return (Probe(machine=machine, at=(slot, function)),)


register_kinds(
    _integrated("I440FX", probes=_on_board("pc", 0)),
    _integrated("PIIX3", probes=_on_board("pc", 1)),
    _integrated("PIIX4"),
    _integrated(
        "piix4_pm",
        probes=_on_board("pc", 1, 3),
        by_property=frozenset(
            {
                "acpi_pci_hotplug.acpi_index",
                "acpi_pci_hotplug.acpi_pcihp_pci_status",
                "acpi_pci_hotplug.acpi_pcihp_pci_status[0x0]",
                "acpi_pci_hotplug.hotplug_select",
            }
        ),
        advice=Advice(
            "Give the target the source's -smp with its maxcpus=, -m with its slots=, and its"
            f" acpi-pci-hotplug settings (-global PIIX4_PM.…); and use {MACHINE}. Since 7.0 QEMU expects"
            " acpi_index in it for machine types from 7.0: to load what 6.2 or older saved, give the"
            " target -global PIIX4_PM.x-not-migrate-acpi-index=on, as machine types up to 6.2 have it."
        ),
    ),
    _integrated("mch", probes=_on_board("q35", 0)),
    _integrated(
        "ICH9LPC",
        probes=_on_board("q35", 31),
        advice=Advice(
            f"Give the target the source's -smp with its maxcpus= and -m with its slots=; and use {MACHINE}."
        ),
    ),
    _integrated("ich9_smb", probes=_on_board("q35", 31, 3)),
    _integrated("eeprom"),
    _integrated("VMBusBridge"),
    DeviceKind(
        "hpet",
        equal_after_load={"num_timers_save": "number of timers"},
        advice=_at_times("hpet/offset", "hpet-offset-saved=off", "2.11"),
    ),
    _integrated("fw_cfg", advice=_at_times("fw_cfg/acpi_mr", "-global fw_cfg.acpi-mr-restore=off", "4.2")),
    _integrated("pckbd", advice=_at_times("pckbd/extended_state", "-global i8042.extended-state=off", "6.0")),
    _integrated("pl011", advice=_at_times("pl011/clock", "migrate-clk=off", "5.1")),
    _integrated("pl031", advice=_at_times("pl031/tick-offset", "migrate-tick-offset=off", "4.0")),
    _integrated(
        "ps2kbd",
        advice=Advice(
            subsections={
                "ps2kbd/command_reply_queue": "is sent only while a reply of the keyboard is pending: save"
                " again a moment later."
            }
        ),
    ),
    _integrated(
        "smmuv3",
        advice=Advice(
            subsections={"smmuv3/gbpa": "is sent where the guest has changed the register GBPA (from 8.0)."}
        ),
    ),
    DeviceKind("ivshmem-doorbell", msix=Msix(UsedAtLoad.ALL, config_size=256), advice=_IVSHMEM),
    DeviceKind("ivshmem", msix=Msix(UsedAtLoad.NONE, config_size=256)),
    # vfio enables MSI-X on the host's device, and with it its notifiers, after msix_load.
    DeviceKind(
        "vfio",
        msix=Msix(UsedAtLoad.NONE, MsixPlace.VFIO),
        changes=(Compat("vfio-pci,x-migration-load-config-after-iter", "when its state is loaded"),),
    ),
    DeviceKind("ctucan_pci", {"": "ctucan_pci"}, backend=Backend.CAN_PAIR, probes=PLAIN),
    DeviceKind("kvaser_pci", {"": "kvaser_pci"}, backend=Backend.CAN, probes=PLAIN),
    DeviceKind("mioe3680_pci", {"": "mioe3680_pci"}, backend=Backend.CAN_PAIR, probes=PLAIN),
    DeviceKind("pcm3680i_pci", {"": "pcm3680_pci"}, backend=Backend.CAN_PAIR, probes=PLAIN),
    DeviceKind("ipoctal232", {"": "ipoctal232"}, alone=True),
    DeviceKind("acpi-erst", {"": "acpi-erst"}, backend=Backend.MEMDEV),
    DeviceKind("i6300esb_wdt", {"": "i6300esb"}, probes=PLAIN),
    DeviceKind("ib700_wdt", {"": "ib700"}, alone=True),
    DeviceKind("iommu-intel", {"": "intel-iommu"}),
    DeviceKind("ipmi-interface", {"": "isa-ipmi-kcs"}, backend=Backend.BMC, alone=True),
    DeviceKind("ipmi-interface-isa-bt", {"": "isa-ipmi-bt"}, backend=Backend.BMC, alone=True),
    DeviceKind("smbus-ipmi", {"": "smbus-ipmi"}, backend=Backend.BMC, alone=True),
    DeviceKind("ipmi-interface-pci-bt", {"": "pci-ipmi-bt"}, backend=Backend.BMC, probes=PLAIN),
    DeviceKind("ipmi-interface-pci-kcs", {"": "pci-ipmi-kcs"}, backend=Backend.BMC, probes=PLAIN),
    DeviceKind("ivshmem-plain", {"": "ivshmem-plain"}, lambda _: {"master": "on"}, Backend.MEMDEV),
    DeviceKind("parallel_isa", {"": "isa-parallel"}, backend=Backend.CHARDEV, alone=True),
    DeviceKind("pci-serial", {"": "pci-serial"}, backend=Backend.CHARDEV, probes=PLAIN),
    DeviceKind("pci-serial-multi", {"1b36:0003": "pci-serial-2x", "": "pci-serial-4x"}),
    DeviceKind("pvpanic-pci", {"": "pvpanic-pci"}, probes=PLAIN),
    DeviceKind("serial", {"": "isa-serial"}, backend=Backend.CHARDEV, alone=True),
    DeviceKind("spapr_llan", {"": "spapr-vlan"}, backend=Backend.NETDEV),
    DeviceKind("spapr_vscsi", {"": "spapr-vscsi"}),
    DeviceKind("spapr_vty", {"": "spapr-vty"}, backend=Backend.CHARDEV),
    DeviceKind("tpm-crb", {"": "tpm-crb"}, backend=Backend.TPM, alone=True),
    DeviceKind("tpm-tis", {"": "tpm-tis"}, backend=Backend.TPM, alone=True),
    DeviceKind("tpci200", {"": "tpci200"}, probes=PLAIN),
    DeviceKind(
        "uefi-vars-sysbus",
        {"": "uefi-vars-x64"},
        alone=True,
        note="where UEFI's variables are kept (jsonfile=) is not in the stream",
    ),
    DeviceKind("vmclock", {"": "vmclock"}, alone=True),
    DeviceKind("vmcoreinfo", {"": "vmcoreinfo"}, alone=True),
    DeviceKind("vmgenid", {"": "vmgenid"}, alone=True),
)
