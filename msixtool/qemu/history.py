"""What machine types have changed about devices' PCI configuration and state, as data.

Source: QEMU hw/core/machine.c (hw_compat_*) and hw/i386/pc*.c (pc_compat_*) of 2.x to 10.2. An entry
counts for machine types up to `until`: for those the property has the old value, for later ones the new.
A VM keeps what its machine type gives it, whatever QEMU runs it: a difference shows where the two sides
have different machine types, or one of them sets the property.
"""

from __future__ import annotations

from dataclasses import dataclass

from msixtool.qemu.versions import Version


@dataclass(frozen=True, slots=True)
class Change:
    """`kinds` are the sections concerned by the last part of their idstr; a name that ends in `-` is a
    prefix; none means every PCI Express device."""

    until: Version
    kinds: tuple[str, ...]
    setting: str
    effect: str


_VIRTIO = ("virtio-", "vhost-")

CHANGES: tuple[Change, ...] = (
    Change((2, 3), ("virtio-",), "virtio-…-pci,any_layout=off", "offers ANY_LAYOUT later"),
    Change((2, 4), _VIRTIO, "virtio-pci,x-disable-pcie=on", "no PCI Express capability behind a port"),
    Change((2, 4), _VIRTIO, "virtio-pci,migrate-extra=off", "no virtio/extra_state in the stream"),
    Change((2, 5), ("vmxnet3",), "vmxnet3,x-old-msi-offsets=on", "MSI-X capability and PBA placed otherwise"),
    Change((2, 5), ("vmxnet3", "pvscsi"), "x-disable-pcie=on", "256 bytes of configuration space"),
    Change(
        (2, 6),
        _VIRTIO,
        "virtio-pci,disable-modern=on,disable-legacy=off",
        "MSI-X capability at 0x40 instead of 0x98, no virtio structures",
    ),
    Change((2, 7), _VIRTIO, "virtio-pci,page-per-vq=on", "notifications spread over a larger BAR"),
    Change((2, 8), _VIRTIO, "virtio-pci,x-pcie-deverr-init=off", "error reporting not writable"),
    Change((2, 8), (), "pci-device,x-pcie-extcap-init=off", "header at 0x100 writable"),
    Change((2, 8), ("pci_bridge",), "pci-bridge,shpc=on", "hot-plug capability of bridges"),
    Change(
        (2, 9), ("pcie-root-port",), "pcie-root-port,x-migrate-msix=false", "17 bytes less in its section"
    ),
    Change((2, 11), ("virtio-blk", "vhost-user-blk"), "virtio-blk-pci,vectors=2", "number of vectors"),
    Change((3, 1), ("pcie-root-port",), "pcie-root-port,x-speed=2_5,x-width=1", "Link Capabilities"),
    Change((3, 1), ("pcie-root-port",), "pcie-root-port,disable-acs=true", "no ACS capability"),
    Change((4, 0), _VIRTIO, "virtio-device,use-started=false", "no virtio/started in the stream"),
    Change((4, 1), _VIRTIO, "virtio-pci,x-pcie-flr-init=off", "function level reset in Device Capabilities"),
    Change((4, 2), ("virtio-blk",), "virtio-blk-device,queue-size=128", "256 entries in a queue later"),
    Change((4, 2), ("virtio-scsi",), "virtio-scsi-device,virtqueue_size=128", "256 entries in a queue later"),
    Change(
        (5, 1), ("virtio-blk",), "virtio-blk-device,num-queues=1", "queues and vectors follow the CPUs later"
    ),
    Change(
        (5, 1),
        ("virtio-scsi",),
        "virtio-scsi-device,num_queues=1",
        "queues and vectors follow the CPUs later",
    ),
    Change((5, 1), _VIRTIO, "virtio-pci,x-ats-page-aligned=off", "ATS capability"),
    Change((5, 2), ("virtio-net",), "virtio-net-pci-base,vectors=3", "3 vectors instead of 4"),
    Change((5, 2), ("nvme",), "nvme,msix-exclusive-bar=on", "MSI-X in BAR 4 instead of BAR 0"),
    Change(
        (6, 0),
        ("pcie-root-port",),
        "ICH9-LPC,acpi-pci-hotplug-with-bridge-support=off",
        "hot-plug bits in the Slot Capabilities of q35's ports",
    ),
    Change((7, 1), ("virtio-rng",), "virtio-rng-pci,vectors=0", "no MSI-X"),
    Change((7, 2), ("e1000e",), "e1000e,migrate-timadj=off", "8 bytes less in its section"),
    Change(
        (7, 2), ("virtio-mem",), "virtio-mem,x-early-migration=false", "no section virtio-mem-device-early"
    ),
    Change((7, 2), (), "pci-device,x-pcie-err-unc-mask=off", "Uncorrectable Error Mask of AER"),
    Change((8, 0), ("igb",), "pci-device,x-pcie-ari-nextfn-1=on", "next function in the ARI capability"),
    Change((8, 1), ("igb",), "igb,x-pcie-flr-init=off", "function level reset in Device Capabilities"),
    Change(
        (8, 1), ("pci_bridge",), "pci-bridge,x-pci-express-writeable-slt-bug=true", "secondary latency timer"
    ),
    Change(
        (8, 2), ("virtio-gpu",), "virtio-gpu-device,x-scanout-vmstate-version=1", "bytes saved of each output"
    ),
    Change(
        (9, 0), _VIRTIO, "virtio-pci,x-pcie-pm-no-soft-reset=off", "Power Management Control/Status, bit 3"
    ),
    Change((9, 1), (), "pci-device,x-pcie-ext-tag=false", "extended tags in Device Capabilities"),
    Change((9, 2), ("virtio-balloon",), "virtio-balloon-pci,vectors=0", "no MSI-X"),
    Change((9, 2), ("virtio-mem",), "virtio-mem-pci,vectors=0", "no MSI-X"),
    Change((10, 0), ("vfio",), "vfio-pci,x-migration-load-config-after-iter=off", "when its state is loaded"),
)
"""In the order of the machine types."""

OLDEST_MACHINE: tuple[tuple[Version, Version], ...] = (
    ((5, 2), (1, 4)),
    ((7, 2), (1, 4)),
    ((10, 0), (2, 4)),
    ((11, 1), (5, 2)),
)
"""QEMU release, and the oldest versioned PC machine type that it has."""

MIGRATABLE_SINCE: dict[str, Version] = {
    "igb": (8, 0),
    "nvme": (11, 0),
    "virtio-rtc": (11, 0),
    "vhost-user-fs": (8, 2),
}
"""Kinds that older releases do not have, or cannot load."""


def concerns(change: Change, kind: str) -> bool:
    """Whether a change is about a kind of section by its name."""
    return any(kind.startswith(name) if name.endswith("-") else kind == name for name in change.kinds)


def oldest_machine(release: Version) -> Version | None:
    """The oldest PC machine type that a QEMU release surely still has; None where that is not recorded.

    Machine types are only ever removed: a release has those that a later one has.
    """
    return next((machine for known, machine in OLDEST_MACHINE if known >= release), None)


def newest_removed(release: Version) -> Version | None:
    """Machine types older than this are surely gone in a release; None where nothing is recorded."""
    found = [machine for known, machine in OLDEST_MACHINE if known <= release]
    return found[-1] if found else None
