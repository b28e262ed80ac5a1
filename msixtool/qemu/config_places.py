"""Which register an offset in PCI configuration space belongs to.

By a device's own capability lists where they are known, and otherwise by where its kind has its
capabilities (qemu/kinds).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from msixtool.formats import capabilities, pci, sizeof
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

_AS_MOST_HAVE_IT = {
    pci.CapabilityId.MSI: capabilities.MSI_64BIT,
    pci.CapabilityId.VENDOR: sizeof(capabilities.VIRTIO_STRUCTURE) | capabilities.VirtioStructure.COMMON << 8,
    pci.CapabilityId.EXPRESS: 2,
}
"""The two bytes behind a capability's header, from which its layout follows, where they are not at hand."""
_VERSION_2 = 2 << 16
"""Of an extended capability, in its header."""


def place_at(
    offset: int, layout: Capabilities, kind: str | None = None, config: bytes | None = None
) -> PlacedRegister | None:
    """The register at `offset` of a device with this layout; `config` is its configuration space, if any."""
    found = [place for place in registers_of(layout, kind, config) if _covers(place.register, offset)]
    # Where registers overlap, that of the capability that begins later is meant.
    return max(found, key=lambda place: place.base or 0, default=None)


def _covers(register: ComparedRegister, offset: int) -> bool:
    return register.offset <= offset < register.offset + register.size


def registers_of(layout: Capabilities, kind: str | None, config: bytes | None) -> Iterator[PlacedRegister]:
    """All registers of a device with this layout; some may overlap."""
    is_bridge = layout.header == pci.HeaderType.BRIDGE
    rest = _rest(pci.HeaderType.BRIDGE if is_bridge else pci.HeaderType.DEVICE)
    for register in (
        *masks.IDENTITY,
        masks.CAPABILITIES_POINTER,
        *(masks.BRIDGE if is_bridge else ()),
        *rest,
    ):
        yield PlacedRegister(register)
    context = masks.Context(kind_of(kind).function)
    for each, at in layout.listed:
        word = _AS_MOST_HAVE_IT.get(each, 0)  # type: ignore[call-overload]
        data = _data(config, at) or pci.Register(0, 4).packed(each | word << 16)
        for register in masks.in_capability(each, at, data, context):
            yield PlacedRegister(register, capability_name(each), at)
    for each, at in layout.extended:
        data = _data(config, at) or pci.Register(0, 4).packed(each | _VERSION_2)
        for register in masks.in_extended(each, at, data, context):
            yield PlacedRegister(register, extended_capability_name(each), at)


def _data(config: bytes | None, base: int) -> bytes:
    return b"" if config is None else config[base : base + pci.CONFIG_SIZE]


def _rest(layout: pci.HeaderType) -> Iterator[ComparedRegister]:
    """The registers of the header that QEMU compares only where a device has it do so."""
    for number in range(pci.BAR_COUNTS[layout]):
        yield ComparedRegister(f"BAR {number}", *pci.bar_register(number))
    for field, place in pci.REGISTERS[layout].items():
        if field in _NAMES:
            yield ComparedRegister(_NAMES[field], *place)


_NAMES = {
    "rom_address": "ROM BAR",
    "command": "Command",
    "cache_line_size": "cache line size",
    "latency_timer": "latency timer",
    "bist": "BIST",
    "interrupt_line": "interrupt line",
    "interrupt_pin": "interrupt pin",
    "cardbus_cis": "CardBus CIS pointer",
    "subsystem_vendor_id": "subsystem vendor ID",
    "subsystem_id": "subsystem ID",
    "min_grant": "minimum grant",
    "max_latency": "maximum latency",
    "primary_bus": "primary bus",
    "secondary_bus": "secondary bus",
    "subordinate_bus": "subordinate bus",
    "secondary_latency_timer": "secondary latency timer",
    "secondary_status": "Secondary Status",
    "memory_base": "Memory Base",
    "memory_limit": "Memory Limit",
    "prefetchable_base_upper": "Prefetchable Base upper half",
    "prefetchable_limit_upper": "Prefetchable Limit upper half",
    "io_base_upper": "I/O Base upper half",
    "io_limit_upper": "I/O Limit upper half",
    "bridge_control": "Bridge Control",
}
