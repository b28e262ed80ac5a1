"""What each kind of section is on a command line: its `-device`, and the properties its state shows.

One module a family, as QEMU's hw/ has it; a kind is one declaration, which registers itself under the
name that its sections end in. What a stream says of a device is handed to it as a `Seen`.

Source: QEMU hw/ of 5.2 to 10.2 (vmstate names, PCI ids, properties), `-device help` of 5.2 to 11.1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from importlib import import_module
from typing import Protocol

from msixtool.qemu.versions import Version

FAMILIES = ("chipset", "display", "net", "ports", "storage", "usb", "virtio")
"""The modules of this package whose import fills the registry."""

Options = dict[str, str]
"""Properties of a `-device`, in the order in which they are printed."""


class Backend(StrEnum):
    """The property that ties a device to its backend, where it needs one."""

    NONE = ""
    DRIVE = "drive"
    FLOPPY = "floppy"
    CARD = "card"
    NETDEV = "netdev"
    CHARDEV = "chardev"
    AUDIODEV = "audiodev"
    MEMDEV = "memdev"
    RNG = "rng"
    FSDEV = "fsdev"
    BMC = "bmc"


class VirtioSeen(Protocol):
    """The virtio part of a device's state."""

    @property
    def vectors(self) -> int:
        """Entries of the MSI-X table; 0 for no MSI-X."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """Entries of each queue as the device offers them."""

    @property
    def features(self) -> int:
        """What the driver accepted."""

    @property
    def device_config(self) -> bytes:
        """The device's own configuration, as it was when it was last read."""

    def has(self, subsection: str) -> bool:
        """Whether the blob has a subsection of this name."""

    def own(self, name: str) -> object:
        """A member of the state of the device type, with a slash before each level; None for none."""


class Seen(Protocol):
    """One device, as its stream shows it. Offsets are in its PCI configuration space."""

    @property
    def config(self) -> bytes:
        """256 or 4096 bytes; empty for a device that is not on a PCI bus."""

    @property
    def is_pci(self) -> bool:
        """Whether it is a function on a PCI bus: some of them do not save their configuration space."""

    @property
    def length(self) -> int:
        """Bytes of the section."""

    @property
    def version(self) -> Version:
        """The QEMU that takes the command."""

    @property
    def machine(self) -> Version | None:
        """The version in the machine type's name."""

    @property
    def behind_port(self) -> bool:
        """Whether it is on a PCI Express bus that is no root bus."""

    @property
    def virtio(self) -> VirtioSeen | None:
        """What is virtio about it."""

    @property
    def highest_port(self) -> int:
        """The highest port of a USB controller that something is plugged into; 0 for none."""

    def capability(self, number: int) -> int | None:
        """The offset of a capability."""

    def extended(self, number: int) -> int | None:
        """The offset of an extended capability."""

    def value(self, path: str) -> object:
        """A field by its path in the vmdesc; None where there is none."""

    def elements(self, name: str) -> int | None:
        """How many elements of this name its vmdesc has in a list; None without one."""

    def tail(self, count: int) -> bytes:
        """The first bytes behind what is virtio in the section."""

    def beside(self, section: str, path: str) -> object:
        """A field of another section with the same path in front of its name."""

    def block(self, name: str) -> int | None:
        """Bytes of the device's RAM block of this name."""


def no_options(_: Seen) -> Options:
    """For a device whose state shows no property."""
    return {}


@dataclass(frozen=True)
class DeviceKind:
    """`devices` are names for `-device` by PCI ids (`vendor:device`), under "" for all others."""

    section: str
    devices: Mapping[str, str]
    options: Callable[[Seen], Options] = no_options
    backend: Backend = Backend.NONE
    rom: bool = False
    """Whether the device has an option ROM unless it is told otherwise."""
    port: bool = False
    """Whether there is a PCI bus behind it."""
    note: str | None = None
    """What its state does not tell."""
    named: Callable[[Seen], str] | None = None
    """Tells devices of the same ids apart."""

    def device(self, seen: Seen) -> str | None:
        """The name for `-device`; None where the ids are of none that is known."""
        if self.named is not None and (seen.config or not seen.is_pci):
            return self.named(seen)
        return self.devices.get(ids(seen.config)) or self.devices.get("")


def ids(config: bytes) -> str:
    """`8086:100e` of a configuration space."""
    return f"{int.from_bytes(config[:2], 'little'):04x}:{int.from_bytes(config[2:4], 'little'):04x}"


@dataclass
class _Registry:
    kinds: dict[str, DeviceKind] = field(default_factory=dict)
    loaded: bool = False


_registry = _Registry()


def register(*kinds: DeviceKind) -> None:
    """Make kinds known by the names of their sections."""
    for kind in kinds:
        assert kind.section not in _registry.kinds, kind.section
        _registry.kinds[kind.section] = kind


def device_kind(section: str) -> DeviceKind | None:
    """The kind of a section by the last part of its idstr; None for a stranger."""
    if not _registry.loaded:
        for family in FAMILIES:
            import_module(f"{__name__}.{family}")
        _registry.loaded = True
    return _registry.kinds.get(section)
