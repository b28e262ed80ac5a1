"""What machine types have changed about devices' PCI configuration and state, as data.

Source: QEMU hw/core/machine.c (hw_compat_*) and hw/i386/pc*.c (pc_compat_*) of 2.x to 10.2. A change
counts for machine types up to `until`: for those the property has the old value, for later ones the new.
A VM keeps what its machine type gives it, whatever QEMU runs it: a difference shows where the two sides
have different machine types, or one of them sets the property.
"""

from __future__ import annotations

from msixtool.qemu.kinds import kind_of
from msixtool.qemu.kinds.facts import Compat
from msixtool.qemu.versions import Version

EXPRESS_CHANGES = (
    Compat((2, 8), "pci-device,x-pcie-extcap-init=off", "header at 0x100 writable"),
    Compat((7, 2), "pci-device,x-pcie-err-unc-mask=off", "Uncorrectable Error Mask of AER"),
    Compat((9, 1), "pci-device,x-pcie-ext-tag=false", "extended tags in Device Capabilities"),
)
"""Of every PCI Express device; those of a kind alone stand in its declaration."""

OLDEST_MACHINE: tuple[tuple[Version, Version], ...] = (
    ((5, 2), (1, 4)),
    ((7, 2), (1, 4)),
    ((10, 0), (2, 4)),
    ((11, 1), (5, 2)),
)
"""QEMU release, and the oldest versioned PC machine type that it has."""


def changes(section: str, machine: Version, to: Version, *, express: bool = False) -> list[Compat]:
    """What a newer machine type of release `to` has otherwise than one of version `machine`, of a section by
    its kind, and by whether it is a PCI Express device."""
    found = [*kind_of(section).changes, *(EXPRESS_CHANGES if express else ())]
    return [change for change in found if machine <= change.until < to]


def oldest_machine(release: Version) -> Version | None:
    """The oldest PC machine type that a QEMU release surely still has; None where that is not recorded.

    Machine types are only ever removed: a release has those that a later one has.
    """
    return next((machine for known, machine in OLDEST_MACHINE if known >= release), None)


def newest_removed(release: Version) -> Version | None:
    """Machine types older than this are surely gone in a release; None where nothing is recorded."""
    found = [machine for known, machine in OLDEST_MACHINE if known <= release]
    return found[-1] if found else None
