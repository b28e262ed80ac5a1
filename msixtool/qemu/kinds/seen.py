"""What a command line is made from: one device, as its stream shows it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from msixtool.qemu.versions import Version


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

    def register(self, capability: int, name: str) -> int | None:
        """What a register of a capability holds, by its name in formats/capabilities; None without it."""

    def capabilities(self, number: int) -> Iterator[int]:
        """The offsets of all capabilities of one id."""

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
