"""The way of a message from its vector to CPUs: APIC destinations and VT-d's remapping.

Source: Intel SDM volume 3, 11.6.2 (destinations) and 11.11 (messages); VT-d specification, 5.1.5; QEMU
hw/intc/apic.c (apic_get_delivery_bitmask), hw/i386/intel_iommu.c (vtd_interrupt_remap_msi),
hw/i386/x86-common.c and target/i386/kvm (15 bits of destination without remapping).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from msixtool.containers.base import Source
from msixtool.devices.cpus import Apic
from msixtool.formats import interrupts, parse, sizeof, x86
from msixtool.kept import NamedTuple
from msixtool.ram.memory import GuestMemory
from msixtool.stream.items import StreamIndex

_INTEL, _AMD = "iommu-intel", "amd-iommu"
_IRTE_SIZE = sizeof(interrupts.IRTE)
_BROADCAST, _X2APIC_BROADCAST = 0xFF, 0xFFFFFFFF


class RouteKind(StrEnum):
    """How a message goes."""

    APIC = "apic"
    REMAPPED = "remapped"
    OTHER = "other"
    """By an interrupt controller that is not a PC's."""
    NONE = "none"
    """There is no message: no vector, or an address that is no interrupt's."""
    UNKNOWN = "unknown"


class Unreachable(StrEnum):
    """Why a message can reach nobody."""

    NOT_AN_MSI = "not-an-msi"
    IRTE_NOT_PRESENT = "irte-not-present"
    NO_SUCH_CPU = "no-such-cpu"
    APIC_DISABLED = "apic-disabled"
    ILLEGAL_VECTOR = "illegal-vector"
    NO_SUCH_VECTOR = "no-such-vector"
    BUS_MASTER_OFF = "bus-master-off"


@dataclass(frozen=True, slots=True)
class Route:
    """Where a message goes; `cpus` are APIC ids, ascending, `cpu_vector` None where it carries none."""

    kind: RouteKind
    irte: int | None = None
    cpus: tuple[int, ...] = ()
    cpu_vector: int | None = None
    note: Unreachable | None = None

    def noted(self, note: Unreachable) -> Route:
        """The same with `note`, unless it has one."""
        return self if self.note else replace(self, note=note)


class Remapping(NamedTuple):
    """What remaps interrupts. `root` is a guest physical address, `entries` the length of the table."""

    root: int = 0
    entries: int = 0
    extended: bool = False
    """Destinations of 32 bits (EIM)."""
    enabled: bool = False
    unknown: bool = False
    """An IOMMU whose remapping is not followed (amd-iommu)."""
    translating: bool = False
    """Whether DMA of devices behind it is translated, too."""


def read_remapping(source: Source, index: StreamIndex) -> Remapping:
    """The state of the IOMMU that a stream has. Raises FormatError where it is cut short."""
    for item in index.full_sections():
        data = b""
        if item.idstr in (_INTEL, _AMD):
            data = source.read(item.data_offset, min(item.data_length, sizeof(interrupts.INTEL_IOMMU)))
        if item.idstr == _INTEL:
            raw = parse(interrupts.INTEL_IOMMU, data, what="iommu-intel", offset=item.data_offset)
            return Remapping(
                raw.intr_root, raw.intr_size, raw.intr_eime, raw.intr_enabled, False, raw.dmar_enabled
            )
        if item.idstr == _AMD:
            on = parse(interrupts.AMD_IOMMU_HEAD, data, what="amd-iommu", offset=item.data_offset).enabled
            return Remapping(unknown=on, translating=on)
    return Remapping()


def irte_index(address: int, data: int) -> int:
    """The entry that a message in remappable format names."""
    return x86.handle(address) + (data & 0xFFFF if address & x86.SUBHANDLE else 0)


class Router:
    """Finds the routes of messages on a PC; `want` first, so that guest memory is walked once."""

    def __init__(self, apics: Sequence[Apic], remapping: Remapping, memory: GuestMemory) -> None:
        self._apics = {apic.id: apic for apic in apics}
        self._remapping = remapping
        self._memory = memory

    def want(self, address: int, data: int) -> None:
        """Have what the route depends on read with the next walk over guest memory."""
        if self._is_remapped(address) and (index := irte_index(address, data)) < self._remapping.entries:
            self._memory.want(self._remapping.root + _IRTE_SIZE * index, _IRTE_SIZE)

    def route(self, address: int, data: int) -> Route:
        """The route of a message with this address and data."""
        if not x86.is_x86_msi(address):
            return Route(RouteKind.NONE, note=Unreachable.NOT_AN_MSI)
        if self._remapping.unknown:
            return Route(RouteKind.UNKNOWN)
        if self._is_remapped(address):
            return self._remapped(irte_index(address, data))
        # Bits 11 to 5 extend the destination where QEMU offers it to a guest (KVM, without an IOMMU).
        destination = address >> 12 & 0xFF | (address >> 5 & 0x7F) << 8
        logical = bool(address & x86.LOGICAL)
        return self._delivered(Route(RouteKind.APIC), destination, logical, data & 0xFF, data >> 8 & 7)

    def _is_remapped(self, address: int) -> bool:
        return x86.is_x86_msi(address) and self._remapping.enabled and bool(address & x86.REMAPPABLE)

    def _remapped(self, index: int) -> Route:
        route = Route(RouteKind.REMAPPED, index)
        if index >= self._remapping.entries:
            return route.noted(Unreachable.IRTE_NOT_PRESENT)
        data = self._memory.read(self._remapping.root + _IRTE_SIZE * index, _IRTE_SIZE)
        if data is None:
            return Route(RouteKind.UNKNOWN, index)
        low = parse(interrupts.IRTE, data, what="IRTE").low
        if not low & interrupts.IRTE_PRESENT:
            return route.noted(Unreachable.IRTE_NOT_PRESENT)
        destination = low >> 32 if self._remapping.extended else low >> 40 & 0xFF
        return self._delivered(
            route, destination, bool(low & interrupts.IRTE_LOGICAL), low >> 16 & 0xFF, low >> 5 & 7
        )

    def _delivered(self, route: Route, destination: int, logical: bool, vector: int, mode: int) -> Route:
        """The route with its CPUs and its CPU vector."""
        met = sorted(apic.id for apic in self._apics.values() if _is_meant(apic, destination, logical))
        carries = mode in (interrupts.FIXED, interrupts.LOWEST_PRIORITY)
        route = replace(route, cpus=tuple(met), cpu_vector=vector if carries else None)
        if not self._apics:
            return replace(route, kind=RouteKind.UNKNOWN)
        if carries and vector < interrupts.LOWEST_VECTOR:
            return route.noted(Unreachable.ILLEGAL_VECTOR)
        if not met:
            return route.noted(Unreachable.NO_SUCH_CPU)
        if not any(self._apics[each].enabled for each in met):
            return route.noted(Unreachable.APIC_DISABLED)
        return route


def _is_meant(apic: Apic, destination: int, logical: bool) -> bool:
    """Whether a destination names an APIC."""
    if destination in (_BROADCAST, _X2APIC_BROADCAST) and not logical:
        return True
    if not logical:
        return apic.id == destination
    if apic.x2apic:
        same = apic.logical_id >> 16 == destination >> 16
        return same and bool(apic.logical_id & destination & 0xFFFF)
    if apic.flat:
        return bool(apic.log_dest & destination & 0xFF)
    return apic.log_dest >> 4 == destination >> 4 and bool(apic.log_dest & destination & 0xF)
