"""What machine types have changed about devices' PCI configuration and state.

Which properties they set is recorded (qemu/recorded); what that does is said here and by the kinds. A VM
keeps what its machine type gives it, whatever QEMU runs it: a difference shows where the two sides have
different machine types, or one of them sets the property.

Source: QEMU hw/core/machine.c (hw_compat_*) and hw/i386/pc*.c (pc_compat_*) of 2.x to 10.2.
"""

from __future__ import annotations

from msixtool.kept import NamedTuple
from msixtool.qemu.kinds import kind_of
from msixtool.qemu.kinds.facts import Compat
from msixtool.qemu.recorded import setting_of, value_of
from msixtool.qemu.versions import Version

EXPRESS_CHANGES = (
    Compat("pci-device,x-pcie-extcap-init", "header at 0x100 writable"),
    Compat("pci-device,x-pcie-err-unc-mask", "Uncorrectable Error Mask of AER"),
    Compat("pci-device,x-pcie-ext-tag", "extended tags in Device Capabilities"),
)
"""Of every PCI Express device; those of a kind alone stand in its declaration."""

OLDEST_MACHINE: tuple[tuple[Version, Version], ...] = (
    ((5, 2), (1, 4)),
    ((7, 2), (1, 4)),
    ((10, 0), (2, 4)),
    ((11, 1), (5, 2)),
)
"""QEMU release, and the oldest versioned PC machine type that it has."""


class OldDefault(NamedTuple):
    """What machine types up to `until` have, as `-global` has it, and what it does."""

    until: Version
    setting: str
    effect: str


def changes(section: str, machine: Version, to: Version, *, express: bool = False) -> list[OldDefault]:
    """What a machine type of version `to` has otherwise than one of version `machine`, of a section by its
    kind, and by whether it is a PCI Express device."""
    known = [*kind_of(section).changes, *(EXPRESS_CHANGES if express else ())]
    found = (_change(compat, machine, to) for compat in known)
    return [change for change in found if change is not None]


def _change(compat: Compat, machine: Version, to: Version) -> OldDefault | None:
    if compat.until is not None:
        return (
            OldDefault(compat.until, compat.setting, compat.effect) if machine <= compat.until < to else None
        )
    device, *names = compat.setting.split(",")
    old = {name: setting_of(device, name, machine) for name in names}
    changed = {
        name: was for name, was in old.items() if was is not None and was.value != value_of(device, name, to)
    }
    if not changed:
        return None
    words = (f"{name}={was.value}" for name, was in changed.items())
    return OldDefault(min(was.until for was in changed.values()), ",".join((device, *words)), compat.effect)


def oldest_machine(release: Version) -> Version | None:
    """The oldest PC machine type that a QEMU release surely still has; None where that is not recorded.

    Machine types are only ever removed: a release has those that a later one has.
    """
    return next((machine for known, machine in OLDEST_MACHINE if known >= release), None)


def newest_removed(release: Version) -> Version | None:
    """Machine types older than this are surely gone in a release; None where nothing is recorded."""
    found = [machine for known, machine in OLDEST_MACHINE if known <= release]
    return found[-1] if found else None
