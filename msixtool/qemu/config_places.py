"""Which register an offset in PCI configuration space belongs to.

By a device's own capability lists where they are known, and otherwise by where each kind of
device has its capabilities: seen in streams of QEMU 5.2, 7.2, 10.0 and 11.1 of every device that
they have on a PC.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from msixtool.formats import pci
from msixtool.qemu import config_masks as masks
from msixtool.qemu.config_kinds import kind_of
from msixtool.qemu.config_masks import Register
from msixtool.qemu.config_words import capability_name, extended_capability_name

Standing = tuple[int, int]
"""A capability: its id, and its offset in configuration space."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a device has its capabilities, and the layout of its header."""

    capabilities: tuple[Standing, ...] = ()
    extended: tuple[Standing, ...] = ()
    header: int = pci.HeaderType.DEVICE


@dataclass(frozen=True, slots=True)
class Place:
    """A register of configuration space, and the capability that it is part of, if it is of one."""

    register: Register
    capability: str | None = None
    base: int | None = None
    """Where the capability begins."""

    @property
    def name(self) -> str:
        """The register's name, which says whose it is."""
        if self.register.name in _OF_EVERY_CAPABILITY:
            return f"{self.register.name} of the {self.capability} capability"
        if self.register.name == masks.EXTENDED_HEAD.name:
            return f"header of the {self.capability} capability"
        return self.register.name


_OF_EVERY_CAPABILITY = (masks.CAPABILITY_ID.name, masks.NEXT_POINTER.name)

_VIRTIO_STRUCTURES = ((0x09, 0x84), (0x09, 0x70), (0x09, 0x60), (0x09, 0x50), (0x09, 0x40))
_VIRTIO_EXPRESS = (
    *((0x09, 0xC8), (0x09, 0xB4), (0x09, 0xA4), (0x09, 0x94), (0x09, 0x84)),
    *((0x01, 0x7C), (0x10, 0x40)),
)
_VIRTIO = (
    Layout(((0x11, 0x98), *_VIRTIO_STRUCTURES)),
    Layout(((0x11, 0xDC), *_VIRTIO_EXPRESS)),
    Layout(((0x11, 0x40),)),
)
"""Modern, modern behind a PCI Express port, and with disable-modern=on."""

_AER = ((0x1, 0x100),)
_BRIDGE = pci.HeaderType.BRIDGE

LAYOUTS: dict[str, tuple[Layout, ...]] = {
    "e1000e": (Layout(((0x01, 0xC8), (0x05, 0xD0), (0x10, 0xE0), (0x11, 0xA0)), (*_AER, (0x3, 0x140))),),
    "igb": (
        Layout(
            ((0x01, 0x40), (0x05, 0x50), (0x11, 0x70), (0x10, 0xA0)), (*_AER, (0xE, 0x150), (0x10, 0x160))
        ),
    ),
    "vmxnet3": (Layout(((0x10, 0x48), (0x11, 0x9C), (0x05, 0x84)), ((0x3, 0x100),)),),
    "i82559er": (Layout(((0x01, 0xDC),)),),
    "xhci": (Layout(((0x11, 0x90), (0x10, 0xA0), (0x05, 0x70))),),
    "nvme": (Layout(((0x11, 0x40), (0x10, 0x80), (0x01, 0x60))),),
    "megasas": (Layout(((0x11, 0x68), (0x05, 0x50))),),
    "megasas-gen2": (Layout(((0x10, 0xA0), (0x11, 0x68), (0x05, 0x50))),),
    "mptsas": (Layout(((0x05, 0x40),)),),
    "pvscsi": (Layout(((0x10, 0x40), (0x05, 0x7C))),),
    "ich9_ahci": (Layout(((0x05, 0x80), (0x12, 0xA8))),),
    "intel-hda": (Layout(((0x05, 0x60),)),),
    "bochs-display": (Layout(((0x10, 0x80),)),),
    "pcie-root-port": (Layout(((0x10, 0x54), (0x11, 0x48), (0x0D, 0x40)), (*_AER, (0xD, 0x148)), _BRIDGE),),
    "ioh-3240-express-root-port": (Layout(((0x10, 0x90), (0x05, 0x60), (0x0D, 0x40)), _AER, _BRIDGE),),
    "xio3130-express-upstream-port": (Layout(((0x10, 0x90), (0x0D, 0x80), (0x05, 0x70)), _AER, _BRIDGE),),
    "xio3130-express-downstream-port": (Layout(((0x10, 0x90), (0x0D, 0x80), (0x05, 0x70)), _AER, _BRIDGE),),
    "pcie-pci-bridge": (Layout(((0x05, 0x8C), (0x01, 0x84), (0x10, 0x48), (0x0C, 0x40)), _AER, _BRIDGE),),
    "pci_bridge": (Layout(((0x05, 0x4C), (0x04, 0x48), (0x0C, 0x40)), (), _BRIDGE),),
    "i82801b11_bridge": (Layout(((0x0D, 0x50),), (), _BRIDGE),),
}
"""By the part of the section's idstr after the last slash; the likeliest first. In capability-list order."""


def layouts_of(kind: str | None) -> tuple[Layout, ...]:
    """Where a kind of device may have its capabilities; none are known of a stranger."""
    if kind is None:
        return (Layout(),)
    found = LAYOUTS.get(kind)
    if found is None and kind.startswith(("virtio-", "vhost-")):
        return _VIRTIO
    return found or (Layout(),)


_TEMPLATES = {
    pci.CapabilityId.MSI: b"\x05\0\x80\0",
    pci.CapabilityId.VENDOR: b"\x09\0\x10\x01",
    pci.CapabilityId.EXPRESS: b"\x10\0\x02\0",
}
"""What a capability's layout follows from, where the device's own bytes are not at hand: as most have it."""


def place_at(
    offset: int, layout: Layout, kind: str | None = None, config: bytes | None = None
) -> Place | None:
    """The register at `offset` of a device with this layout; `config` is its configuration space, if any."""
    found = [place for place in places(layout, kind, config) if _covers(place.register, offset)]
    # Where registers overlap, that of the capability that begins later is meant.
    return max(found, key=lambda place: place.base or 0, default=None)


def _covers(register: Register, offset: int) -> bool:
    return register.offset <= offset < register.offset + register.size


def places(layout: Layout, kind: str | None, config: bytes | None) -> Iterator[Place]:
    """All registers of a device with this layout; some may overlap."""
    header = masks.BRIDGE if layout.header == pci.HeaderType.BRIDGE else ()
    for register in (*masks.IDENTITY, masks.POINTER, *header, *_bars(layout.header)):
        yield Place(register)
    context = masks.Context(None if kind is None else kind_of(kind))
    for identifier, base in layout.capabilities:
        data = _data(config, base) or _TEMPLATES.get(identifier, bytes([identifier]))  # type: ignore[call-overload]
        rule = masks.CAPABILITIES.get(identifier, masks.unknown_capability)
        name = capability_name(identifier)
        for register in rule(data.ljust(pci.CONFIG_SIZE, b"\0"), context):
            yield Place(register.at(base), name, base)
    for identifier, base in layout.extended:
        extended = masks.EXTENDED_CAPABILITIES.get(identifier, masks.unknown_extended_capability)
        name = extended_capability_name(identifier)
        data = _data(config, base) or identifier.to_bytes(2, "little") + b"\x02"
        for register in extended(data.ljust(pci.CONFIG_SIZE, b"\0"), context):
            yield Place(register.at(base), name, base)


def _data(config: bytes | None, base: int) -> bytes:
    return b"" if config is None else config[base : base + pci.CONFIG_SIZE]


def _bars(header: int) -> Iterator[Register]:
    bridge = header == pci.HeaderType.BRIDGE
    for number in range(2 if bridge else 6):
        yield Register(f"BAR {number}", masks.BAR_OFFSET + 4 * number, 4)
    yield Register("ROM BAR", 0x38 if bridge else 0x30, 4)
    yield from (_BRIDGE_REST if bridge else _DEVICE_REST)


_COMMON_REST = (
    Register("Command", 0x04, 2),
    Register("cache line size", 0x0C, 1),
    Register("latency timer", 0x0D, 1),
    Register("BIST", 0x0F, 1),
    Register("interrupt line", 0x3C, 1),
    Register("interrupt pin", 0x3D, 1),
)
_DEVICE_REST = (
    *_COMMON_REST,
    Register("CardBus CIS pointer", 0x28, 4),
    Register("subsystem vendor ID", 0x2C, 2),
    Register("subsystem ID", 0x2E, 2),
    Register("minimum grant", 0x3E, 1),
    Register("maximum latency", 0x3F, 1),
)
_BRIDGE_REST = (
    *_COMMON_REST,
    Register("primary bus", 0x18, 1),
    Register("secondary bus", 0x19, 1),
    Register("subordinate bus", 0x1A, 1),
    Register("secondary latency timer", 0x1B, 1),
    Register("Secondary Status", 0x1E, 2),
    Register("Memory Base", 0x20, 2),
    Register("Memory Limit", 0x22, 2),
    Register("Prefetchable Base upper half", 0x28, 4),
    Register("Prefetchable Limit upper half", 0x2C, 4),
    Register("I/O Base upper half", 0x30, 2),
    Register("I/O Limit upper half", 0x32, 2),
    Register("Bridge Control", 0x3E, 2),
)
"""Registers of the header that QEMU compares only where a device has it do so."""
