"""Devices with MSI-X: where their state stands in their section, and which vectors are used at load.

Source: the VMSTATE_MSIX and msix_vector_use of each device in QEMU's hw/, and streams of
QEMU 5.2, 7.2, 10.0 and 11.1. The key is the part of the section's idstr after the last slash.
"""

from __future__ import annotations

from difflib import get_close_matches
from enum import Enum
from typing import NamedTuple

from msixtool.errors import UsageError


class UsedAtLoad(Enum):
    """Which vectors a device has marked used when msix_load runs in a fresh process.

    notify does nothing for a vector that is not used: a pending one that the load unmasks is lost.
    """

    ALL = "all"
    NONE = "none"
    FIRST = "vector 0"
    UNKNOWN = "unknown"

    def vectors(self, count: int) -> frozenset[int] | None:
        """The used ones of `count` vectors, or None where that is not known."""
        if self is UsedAtLoad.UNKNOWN:
            return None
        used = {UsedAtLoad.ALL: count, UsedAtLoad.FIRST: min(1, count)}.get(self, 0)
        return frozenset(range(used))


class Place(Enum):
    """Where the MSI-X vmstate stands in a section."""

    AFTER_PCI = "right behind PCIDevice"
    AFTER_AER = "behind PCIDevice and its AER log"
    VIRTIO = "inside the virtio field"
    ALONE = "a section of its own"
    VFIO = "behind PCIDevice in the device configuration among vfio's records"


class Profile(NamedTuple):
    """One kind of device.

    `config_size` is the configuration space in the vmstate in bytes; None where it follows from
    the PCI Express capability (4096 with it, 256 without).
    """

    used: UsedAtLoad
    place: Place = Place.AFTER_PCI
    config_size: int | None = 4096
    device: str = ""
    """The name of `-device` where it is not the kind."""
    capability_may_be_smaller: bool = False
    """The table size of the capability may be below the number of vectors saved."""
    config_in: str | None = None
    """The kind of the section that holds the configuration space, where it is another one."""


_VIRTIO = Profile(UsedAtLoad.NONE, Place.VIRTIO, None)

PROFILES: dict[str, Profile] = {
    "e1000e": Profile(UsedAtLoad.ALL),
    "igb": Profile(UsedAtLoad.ALL),
    "vmxnet3": Profile(UsedAtLoad.ALL, config_size=None),
    # QEMU 1.5 to 4.1 saved it apart from the rest of the device.
    "vmxnet3-msix": Profile(UsedAtLoad.ALL, Place.ALONE, None, "vmxnet3", config_in="vmxnet3"),
    "xhci": Profile(UsedAtLoad.NONE, device="qemu-xhci"),
    "megasas": Profile(UsedAtLoad.FIRST, config_size=256),
    "megasas-gen2": Profile(UsedAtLoad.FIRST),
    "pcie-root-port": Profile(UsedAtLoad.ALL, Place.AFTER_AER),
    "nvme": Profile(UsedAtLoad.NONE, capability_may_be_smaller=True),
    "ivshmem-doorbell": Profile(UsedAtLoad.ALL, config_size=256),
    "ivshmem": Profile(UsedAtLoad.NONE, config_size=256),
    # vfio enables MSI-X on the host's device, and with it its notifiers, after msix_load.
    "vfio": Profile(UsedAtLoad.NONE, Place.VFIO, 4096, "vfio-pci"),
}

CONFIG_HOLDERS = frozenset(profile.config_in for profile in PROFILES.values() if profile.config_in)
"""Kinds that may hold the configuration space of a device whose MSI-X state is in another section."""


def profile_of(kind: str) -> Profile | None:
    """The profile of a kind of device, or None for a stranger. Any `virtio-…` counts as virtio."""
    found = PROFILES.get(kind)
    if found is None and kind.startswith(("virtio-", "vhost-")) and not kind.endswith("-early"):
        return _VIRTIO
    return found


def check_kind(kind: str) -> None:
    """Raises UsageError, naming those that are known and what was meant, for a kind that is not."""
    if profile_of(kind) is not None:
        return
    known = sorted(PROFILES)
    like = get_close_matches(kind, [*known, *_VIRTIO_KINDS], 1)
    meant = f" (did you mean {like[0]!r}?)" if like else ""
    expected = f"one of {', '.join(known)}, virtio-net and other virtio-…"
    raise UsageError(f"unknown kind {kind[:100]!r}{meant}", expected=expected)


_VIRTIO_KINDS = ("virtio-net", "virtio-blk", "virtio-scsi", "virtio-console", "virtio-gpu", "virtio-rng")
