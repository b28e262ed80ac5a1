"""Which register an offset in PCI configuration space belongs to.

By a device's own capability lists where they are known, and otherwise by where its kind has its
capabilities (qemu/kinds).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from msixtool.formats import pci
from msixtool.qemu import config_masks as masks
from msixtool.qemu.config_masks import ComparedRegister
from msixtool.qemu.config_names import capability_name, extended_capability_name
from msixtool.qemu.kinds import kind_of
from msixtool.qemu.kinds.facts import Capabilities


@dataclass(frozen=True, slots=True)
class PlacedRegister:
    """A register of configuration space, and the capability that it is part of, if it is of one."""

    register: ComparedRegister
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

_TEMPLATES = {
    pci.CapabilityId.MSI: b"\x05\0\x80\0",
    pci.CapabilityId.VENDOR: b"\x09\0\x10\x01",
    pci.CapabilityId.EXPRESS: b"\x10\0\x02\0",
}
"""What a capability's layout follows from, where the device's own bytes are not at hand: as most have it."""


def place_at(
    offset: int, layout: Capabilities, kind: str | None = None, config: bytes | None = None
) -> PlacedRegister | None:
    """The register at `offset` of a device with this layout; `config` is its configuration space, if any."""
    found = [place for place in places(layout, kind, config) if _covers(place.register, offset)]
    # Where registers overlap, that of the capability that begins later is meant.
    return max(found, key=lambda place: place.base or 0, default=None)


def _covers(register: ComparedRegister, offset: int) -> bool:
    return register.offset <= offset < register.offset + register.size


def places(layout: Capabilities, kind: str | None, config: bytes | None) -> Iterator[PlacedRegister]:
    """All registers of a device with this layout; some may overlap."""
    header = masks.BRIDGE if layout.header == pci.HeaderType.BRIDGE else ()
    for register in (*masks.IDENTITY, masks.POINTER, *header, *_bars(layout.header)):
        yield PlacedRegister(register)
    context = masks.Context(kind_of(kind).function)
    for identifier, base in layout.listed:
        data = _data(config, base) or _TEMPLATES.get(identifier, bytes([identifier]))  # type: ignore[call-overload]
        rule = masks.CAPABILITIES.get(identifier, masks.unknown_capability)
        name = capability_name(identifier)
        for register in rule(data.ljust(pci.CONFIG_SIZE, b"\0"), context):
            yield PlacedRegister(register.at(base), name, base)
    for identifier, base in layout.extended:
        extended = masks.EXTENDED_CAPABILITIES.get(identifier, masks.unknown_extended_capability)
        name = extended_capability_name(identifier)
        data = _data(config, base) or pci.Register(0, 3).packed(identifier | 2 << 16)
        for register in extended(data.ljust(pci.CONFIG_SIZE, b"\0"), context):
            yield PlacedRegister(register.at(base), name, base)


def _data(config: bytes | None, base: int) -> bytes:
    return b"" if config is None else config[base : base + pci.CONFIG_SIZE]


def _bars(header: int) -> Iterator[ComparedRegister]:
    bridge = header == pci.HeaderType.BRIDGE
    for number in range(2 if bridge else 6):
        yield ComparedRegister(f"BAR {number}", masks.BAR_OFFSET + 4 * number, 4)
    yield ComparedRegister("ROM BAR", 0x38 if bridge else 0x30, 4)
    yield from (_BRIDGE_REST if bridge else _DEVICE_REST)


_COMMON_REST = (
    ComparedRegister("Command", 0x04, 2),
    ComparedRegister("cache line size", 0x0C, 1),
    ComparedRegister("latency timer", 0x0D, 1),
    ComparedRegister("BIST", 0x0F, 1),
    ComparedRegister("interrupt line", 0x3C, 1),
    ComparedRegister("interrupt pin", 0x3D, 1),
)
_DEVICE_REST = (
    *_COMMON_REST,
    ComparedRegister("CardBus CIS pointer", 0x28, 4),
    ComparedRegister("subsystem vendor ID", 0x2C, 2),
    ComparedRegister("subsystem ID", 0x2E, 2),
    ComparedRegister("minimum grant", 0x3E, 1),
    ComparedRegister("maximum latency", 0x3F, 1),
)
_BRIDGE_REST = (
    *_COMMON_REST,
    ComparedRegister("primary bus", 0x18, 1),
    ComparedRegister("secondary bus", 0x19, 1),
    ComparedRegister("subordinate bus", 0x1A, 1),
    ComparedRegister("secondary latency timer", 0x1B, 1),
    ComparedRegister("Secondary Status", 0x1E, 2),
    ComparedRegister("Memory Base", 0x20, 2),
    ComparedRegister("Memory Limit", 0x22, 2),
    ComparedRegister("Prefetchable Base upper half", 0x28, 4),
    ComparedRegister("Prefetchable Limit upper half", 0x2C, 4),
    ComparedRegister("I/O Base upper half", 0x30, 2),
    ComparedRegister("I/O Limit upper half", 0x32, 2),
    ComparedRegister("Bridge Control", 0x3E, 2),
)
"""Registers of the header that QEMU compares only where a device has it do so."""
