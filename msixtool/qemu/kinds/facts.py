"""What the declaration of a kind of device is made of: values, and the words that advice shares.

Source: the VMSTATE_MSIX and msix_vector_use of each device in QEMU's hw/, its realize function, and
hw/core/machine.c and hw/i386/pc*.c for what machine types change; streams of QEMU 5.2, 7.2, 10.0 and 11.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Any

from msixtool.formats.pci import HeaderType
from msixtool.kept import NamedTuple
from msixtool.qemu.versions import Version

NOTHING: Mapping[Any, Any] = MappingProxyType({})

# MSI-X


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


class MsixPlace(Enum):
    """Where the MSI-X vmstate stands in a section."""

    AFTER_PCI = "right behind PCIDevice"
    AFTER_AER = "behind PCIDevice and its AER log"
    VIRTIO = "inside the virtio field"
    ALONE = "a section of its own"
    VFIO = "behind PCIDevice in the device configuration among vfio's records"


class Msix(NamedTuple):
    """The MSI-X of a kind of device.

    `config_size` is the configuration space in the vmstate in bytes; None where it follows from
    the PCI Express capability (4096 with it, 256 without).
    """

    used: UsedAtLoad
    place: MsixPlace = MsixPlace.AFTER_PCI
    config_size: int | None = 4096
    vectors: int | None = None
    """How many there always are (its msix_init); None where a property says it."""
    capability_may_be_smaller: bool = False
    """The table size of the capability may be below the number of vectors saved."""
    config_in: str | None = None
    """The kind of the section that holds the configuration space, where it is another one."""
    config_subsection: str | None = None
    """The subsection with a PCIDevice of 4096 bytes, where the MSI-X state has a section of its own."""
    paged: bool = False
    """Table and pending bits begin on pages of their own, in a BAR that they share with registers."""
    needed_since: Version | None = None
    """Since when QEMU ends with a failed assertion where one without MSI-X is loaded."""
    recovery: str = (
        "The device has not marked the vector used by then. Its next interrupt on the vector, or a driver"
        " that polls, brings the work forward; this interrupt does not come back by itself."
    )
    """What brings an interrupt back that a load dropped as its vector was not used, in words."""


# Configuration space


class BarShape(NamedTuple):
    """A BAR: its size in bytes, and the type in its lowest bits once it is registered."""

    size: int
    type: int


class Probe(NamedTuple):
    """How a kind is asked for where its configuration space is recorded (qemu/recorded)."""

    options: str = ""
    device: str = ""
    """The name for -device, where it is not the first of the kind's."""
    machine: str = "q35"
    at: tuple[int, int] | None = None
    """Slot and function of one that is the machine's own."""
    behind_port: bool = False


PLAIN = (Probe(),)
"""Whatever its properties are, its configuration space is laid out in one way."""

POWER_ALL = 0x9F03
"""Power management's Control and Status: the power state, PME and data select. No device makes more live."""
EXPRESS_ERRORS, EXPRESS_LINK = 0x000F, 0x00C0
"""What some devices make live of Device Control and Device Status, and of Link Control."""


class PciFunction(NamedTuple):
    """What a kind of device adds to what the capabilities in its configuration space say.

    `bars` has its BARs by number: those that it can have registered, and no others.
    """

    bars: Mapping[int, BarShape] = NOTHING
    error_reporting: bool = False
    """Device Control and Device Status are live (pcie_cap_deverr_init)."""
    link_control: bool = False
    """Link Control is live (pcie_cap_lnkctl_init)."""
    power_control: int = 0
    """The bits of the power management's Control and Status that are writable or write-1-to-clear."""
    framebuffer: int | None = None
    """The BAR of a display's memory, which is a RAM block of its own with `vram` in its name."""
    is_virtio: bool = False
    """Its vendor capabilities are those of virtio, and say what its BARs hold."""


class Capabilities(NamedTuple):
    """Where a device has its capabilities, each as id and offset in the order of the list, and the layout of
    its header."""

    listed: tuple[tuple[int, int], ...] = ()
    extended: tuple[tuple[int, int], ...] = ()
    header: int = HeaderType.DEVICE


# History


class Compat(NamedTuple):
    """What some machine types have otherwise than later ones: the device and its properties, as they are
    recorded (qemu/recorded), and what they do."""

    setting: str
    effect: str
    until: Version | None = None
    """Where nothing is recorded: the last machine type that has it, and `setting` then has the values."""


# Advice

MACHINE = "the same -machine with its version"


def give_same(*properties: str, also: str = "") -> str:
    """That the target's device is to have the source's properties."""
    names = ", ".join(f"{name}=" for name in properties)
    return f"Give the target's device the source's {names}{also}."


MSIX_PLACEMENT, BARS, CAPABILITY_LIST = "MSI-X placement", "BARs", "capability list"
"""Groups of registers for which one advice counts, where a kind has none for the register alone."""


class Advice(NamedTuple):
    """What to change where a load is refused: the property, or the setting of the machine, that likely
    did it. Concrete or absent."""

    layout: str | None = None
    """Where its section has another layout, and `sizes` by the field that has another length."""
    sizes: Mapping[str, str] = NOTHING
    fields: Mapping[str, str] = NOTHING
    """By the last part of a field's name, where it is not the target's; under "" where none is named."""
    registers: Mapping[str, str] = NOTHING
    """By a register of configuration space, or a group of them."""
    queues: tuple[str, ...] = ()
    """The properties that decide how many queues there are, and how long."""
    vectors: str = "vectors"
    """The property that decides how many vectors there are."""
    blocked: str | None = None
    """Where a release cannot save it."""
    subsections: Mapping[str, str] = NOTHING
    """By a subsection that is sent at times alone: what it is sent for, or what keeps it out."""
