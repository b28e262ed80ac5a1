"""A PCI configuration space as a stream holds it: header, capabilities, MSI-X capability.

Source: PCI Local Bus Specification 3.0, sections 6.1, 6.7 and 6.8.2; PCI Express Base Specification
3.0, section 7.9.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property, lru_cache
from typing import Any

from msixtool.formats import members, msix, parse, pci, sizeof
from msixtool.kept import NamedTuple

_EXTENDED_LIMIT = 64
"""The most extended capabilities that are followed; QEMU's devices have five at most."""
_LAST_CAPABILITY = 0xFC
_ALIGNED = 0xFC
_HEAD, _EXTENDED_HEAD = sizeof(pci.CAPABILITY_HEADER), sizeof(pci.EXTENDED_CAPABILITY_HEADER)
_KEPT = 256
"""How many configuration spaces are remembered: devices alike, of one stream or of many, are read once."""


class Capability(NamedTuple):
    """One entry of the capability list: its id and its offset in configuration space."""

    id: int
    offset: int


class BarPlace(NamedTuple):
    """A place in a memory BAR: the BAR's number, and the offset in it in bytes."""

    bar: int
    offset: int


class MsixCapability(NamedTuple):
    """The MSI-X capability: where it stands, and what its registers say."""

    offset: int
    control: int
    table: BarPlace
    pba: BarPlace

    @property
    def vectors(self) -> int:
        """The table size: Message Control says it less one."""
        return (self.control & msix.CONTROL_QSIZE) + 1

    @property
    def enabled(self) -> bool:
        return bool(self.control & msix.CONTROL_ENABLE)

    @property
    def function_mask(self) -> bool:
        return bool(self.control & msix.CONTROL_FUNCTION_MASK)

    @property
    def function_masked(self) -> bool:
        """What QEMU computes on load: not enabled, or function mask set."""
        return not self.enabled or self.function_mask


class ConfigSpace:
    """256 or 4096 bytes of configuration space, `data`, which stay as they are."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def __eq__(self, other: object) -> bool:
        return self.data == other.data if isinstance(other, ConfigSpace) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.data)

    def __repr__(self) -> str:
        return f"<ConfigSpace {self.data[:4].hex(' ', 2)}: {len(self.data)} bytes>"

    @cached_property
    def header(self) -> Any:
        """The header's fields by name (formats.pci.HEADER)."""
        return parse(pci.HEADER, self.data, what="PCI configuration header")

    @property
    def bus_master(self) -> bool:
        return bool(pci.COMMAND_REGISTER.value(self.data) & pci.CommandBits.BUS_MASTER)

    @cached_property
    def _walk(self) -> tuple[tuple[Capability, ...], str | None]:
        return _walk_capabilities(self.data[: pci.CONFIG_SIZE])

    @property
    def capabilities(self) -> tuple[Capability, ...]:
        """The capability list in its order, as far as it makes sense."""
        return self._walk[0]

    @property
    def damage(self) -> str | None:
        """What is wrong with the capability list, or None."""
        return self._walk[1]

    @cached_property
    def extended_capabilities(self) -> tuple[Capability, ...]:
        """The list of extended capabilities in its order, as far as it makes sense."""
        return tuple(_walk_extended(self.data))

    def find(self, capability_id: int) -> int | None:
        """The offset of the first capability with this id, or None."""
        return next((entry.offset for entry in self.capabilities if entry.id == capability_id), None)

    @cached_property
    def msix(self) -> MsixCapability | None:
        """The MSI-X capability of the list, or None."""
        offset = self.find(msix.CAP_ID)
        return None if offset is None else self.msix_at(offset)

    def msix_at(self, offset: int) -> MsixCapability | None:
        """The MSI-X capability at `offset`, or None where none can stand there."""
        data = self.data[offset : offset + msix.CAP_SIZE]
        if len(data) < msix.CAP_SIZE or data[0] != msix.CAP_ID or offset + msix.CAP_SIZE > pci.CONFIG_SIZE:
            return None
        return _msix_capability(offset, data)

    def msix_candidates(self) -> list[MsixCapability]:
        """Places that look like an MSI-X capability although the list does not lead to them."""
        found = (self.msix_at(offset) for offset in range(pci.HEADER_SIZE, _LAST_CAPABILITY, 4))
        return [
            capability
            for capability in found
            if capability is not None
            and not capability.control & 0x3800
            and capability.table != capability.pba
        ]


@lru_cache(_KEPT)
def _msix_capability(offset: int, data: bytes) -> MsixCapability:
    raw = parse(msix.CAPABILITY, data, what="MSI-X capability")
    return MsixCapability(offset, raw.control, _place(raw.table), _place(raw.pba))


def _place(register: int) -> BarPlace:
    return BarPlace(register & msix.BIR_MASK, register & ~msix.BIR_MASK)


@lru_cache(_KEPT)
def _walk_capabilities(data: bytes) -> tuple[tuple[Capability, ...], str | None]:
    """The list, and in words why it ended early."""
    if len(data) < pci.CONFIG_SIZE:
        return (), f"configuration space: expected {pci.CONFIG_SIZE} bytes, found {len(data)}"
    if not pci.STATUS.value(data) & pci.Status.CAPABILITY_LIST:
        return (), None
    found: list[Capability] = []
    offset, source = pci.CAPABILITY_POINTER.value(data), pci.CAPABILITY_POINTER.offset
    while offset:
        # The specification reserves the low two bits: software masks them.
        offset &= _ALIGNED
        if offset < pci.HEADER_SIZE:
            return tuple(
                found
            ), f"capability list: the pointer at {source:#x} leads to {offset:#x}, into the header"
        if any(entry.offset == offset for entry in found):
            return tuple(found), f"capability list: the pointer at {source:#x} leads back to {offset:#x}"
        header = parse(pci.CAPABILITY_HEADER, data[offset : offset + _HEAD], what="capability")
        found.append(Capability(header.id, offset))
        offset, source = header.next, offset + members(pci.CAPABILITY_HEADER)["next"].offset
    return tuple(found), None


def _walk_extended(data: bytes) -> Iterator[Capability]:
    offset, seen = pci.FIRST_EXTENDED_CAPABILITY, set[int]()
    while pci.FIRST_EXTENDED_CAPABILITY <= offset <= len(data) - _EXTENDED_HEAD and offset not in seen:
        header = parse(
            pci.EXTENDED_CAPABILITY_HEADER, data[offset : offset + _EXTENDED_HEAD], what="extended capability"
        )
        if not header.value or len(seen) == _EXTENDED_LIMIT:
            return
        seen.add(offset)
        yield Capability(header.id, offset)
        offset = header.next
