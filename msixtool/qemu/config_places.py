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
    layout = pci.HeaderType.BRIDGE if bridge else pci.HeaderType.DEVICE
    for number in range(pci.BARS[layout]):
        yield ComparedRegister(f"BAR {number}", masks.BAR_OFFSET + pci.BAR_SIZE * number, pci.BAR_SIZE)
    yield masks.in_header("ROM BAR", "rom_address", layout)
    yield from (_BRIDGE_REST if bridge else _DEVICE_REST)


_COMMON_REST = (
    masks.in_header("Command", "command"),
    masks.in_header("cache line size", "cache_line_size"),
    masks.in_header("latency timer", "latency_timer"),
    masks.in_header("BIST", "bist"),
    masks.in_header("interrupt line", "interrupt_line"),
    masks.in_header("interrupt pin", "interrupt_pin"),
)
_DEVICE_REST = (
    *_COMMON_REST,
    masks.in_header("CardBus CIS pointer", "cardbus_cis"),
    masks.in_header("subsystem vendor ID", "subsystem_vendor_id"),
    masks.in_header("subsystem ID", "subsystem_id"),
    masks.in_header("minimum grant", "min_grant"),
    masks.in_header("maximum latency", "max_latency"),
)
_BRIDGE_REST = (
    *_COMMON_REST,
    masks.in_header("primary bus", "primary_bus", pci.HeaderType.BRIDGE),
    masks.in_header("secondary bus", "secondary_bus", pci.HeaderType.BRIDGE),
    masks.in_header("subordinate bus", "subordinate_bus", pci.HeaderType.BRIDGE),
    masks.in_header("secondary latency timer", "secondary_latency_timer", pci.HeaderType.BRIDGE),
    masks.in_header("Secondary Status", "secondary_status", pci.HeaderType.BRIDGE),
    masks.in_header("Memory Base", "memory_base", pci.HeaderType.BRIDGE),
    masks.in_header("Memory Limit", "memory_limit", pci.HeaderType.BRIDGE),
    masks.in_header("Prefetchable Base upper half", "prefetchable_base_upper", pci.HeaderType.BRIDGE),
    masks.in_header("Prefetchable Limit upper half", "prefetchable_limit_upper", pci.HeaderType.BRIDGE),
    masks.in_header("I/O Base upper half", "io_base_upper", pci.HeaderType.BRIDGE),
    masks.in_header("I/O Limit upper half", "io_limit_upper", pci.HeaderType.BRIDGE),
    masks.in_header("Bridge Control", "bridge_control", pci.HeaderType.BRIDGE),
)
"""Registers of the header that QEMU compares only where a device has it do so."""
