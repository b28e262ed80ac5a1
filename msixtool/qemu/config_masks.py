"""What QEMU compares of a configuration space when it loads one: registers and their free bits, as data.

Source: QEMU hw/pci/pci.c (get_pci_config_device, pci_init_cmask, pci_init_mask_bridge,
pci_register_bar, pci_add_capability), msi.c, msix.c, pcie.c, pcie_aer.c, pcie_sriov.c, shpc.c and
slotid_cap.c there, hw/virtio/virtio-pci.c; and what QEMU 5.2, 10.0 and 11.1 said of bits that
were flipped.

A bit is compared where the loading side's cmask has it and neither its wmask nor its w1cmask
does. cmask covers the registers named here and nothing else; `free` are the bits of them that
are not compared. Everything follows from the bytes of the loading side: its masks count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from msixtool.formats import pci
from msixtool.qemu.kinds.facts import POWER_ALL, PciFunction
from msixtool.qemu.versions import Version


@dataclass(frozen=True, slots=True)
class ComparedRegister:
    """`size` bytes at `offset` of configuration space, or of a capability; little-endian.

    Of the bits in `unsure` it cannot be told whether they are compared; those of them in `placed` differ from
    a fresh machine's on each one whose guest runs.
    """

    name: str
    offset: int
    size: int
    free: int = 0
    unsure: int = 0
    placed: int = 0

    def at(self, base: int) -> ComparedRegister:
        """The same register of a capability that stands at `base`."""
        return replace(self, offset=base + self.offset)

    def value(self, data: bytes) -> int:
        """What the register holds in `data`, the configuration space."""
        return pci.Register(self.offset, self.size).value(data)


def in_header(
    name: str, field: str, layout: pci.HeaderType = pci.HeaderType.DEVICE, *, free: int = 0
) -> ComparedRegister:
    """The register that HEADER calls `field`."""
    place = pci.register(field, layout)
    return ComparedRegister(name, place.offset, place.size, free)


IDENTITY = (
    in_header("vendor ID", "vendor_id"),
    in_header("device ID", "device_id"),
    in_header("Status", "status", free=0xFFFF & ~int(pci.Status.CAPABILITY_LIST)),
    in_header("revision ID", "revision_id"),
    in_header("class code", "class_code"),
    in_header("header type", "header_type"),
)
"""The header up to its BARs. Command, latency timer, subsystem ids and the INT pin are not compared."""

POINTER = in_header("capabilities pointer", "capability_pointer")

BRIDGE = (
    in_header("I/O Base", "io_base", pci.HeaderType.BRIDGE, free=0xF0),
    in_header("I/O Limit", "io_limit", pci.HeaderType.BRIDGE, free=0xF0),
    in_header("Prefetchable Memory Base", "prefetchable_base", pci.HeaderType.BRIDGE, free=0xFFF0),
    in_header("Prefetchable Memory Limit", "prefetchable_limit", pci.HeaderType.BRIDGE, free=0xFFF0),
)
"""What a bridge's windows can be, in the lowest bits of each register."""

BAR_OFFSET = pci.register("bars").offset
ROM_OFFSET = {layout: pci.register("rom_address", layout).offset for layout in pci.BARS}
_ROM_ENABLE = 1
_BAR_TYPE = 0xF


def bar(number: int, size: int, *, wide: bool) -> ComparedRegister:
    """A registered BAR of `size` bytes: what is below its size is compared, its type bits among that."""
    length = 8 if wide else 4
    return ComparedRegister(
        f"BAR {number}", BAR_OFFSET + 4 * number, length, free=(1 << 8 * length) - 1 & ~(size - 1)
    )


def bar_of_unknown_size(number: int, known: int, *, wide: bool) -> ComparedRegister:
    """A BAR whose size is not known, or not even whether it is registered: bits in `known` are compared."""
    length = 8 if wide else 4
    every = (1 << 8 * length) - 1
    return ComparedRegister(
        f"BAR {number}",
        BAR_OFFSET + 4 * number,
        length,
        unsure=every & ~known,
        placed=every & ~(known or _BAR_TYPE),
    )


def rom(size: int, header: pci.HeaderType) -> ComparedRegister:
    """The ROM BAR of a device with an option ROM of `size` bytes."""
    return ComparedRegister("ROM BAR", ROM_OFFSET[header], 4, free=0xFFFFFFFF & ~(size - 1) | _ROM_ENABLE)


@dataclass(frozen=True, slots=True)
class Context:
    """What a capability's rules need besides its own bytes."""

    function: PciFunction | None
    port_type: int | None = None
    """Device/Port type of the PCI Express capability."""
    version: Version | None = None
    """The loading QEMU, as far as it is known."""


CapabilityRule = Callable[[bytes, Context], Iterator[ComparedRegister]]
"""From a capability's bytes (its own, or more) to its registers, offsets from the capability."""

CAPABILITY_ID = ComparedRegister("capability ID", 0, 1)
NEXT_POINTER = ComparedRegister("next pointer", 1, 1)
_HEAD = (CAPABILITY_ID, NEXT_POINTER)


def _word(data: bytes, offset: int, size: int = 2) -> int:
    return pci.Register(offset, size).value(data)


def _by_kind(context: Context, bits: int, live: bool) -> tuple[int, int]:
    """(free, unsure) of bits that only some kinds make live; of a stranger it is not known."""
    if context.function is None:
        return 0, bits
    return (bits, 0) if live else (0, 0)


def _power(data: bytes, context: Context) -> Iterator[ComparedRegister]:
    yield from _HEAD
    yield ComparedRegister("Power Management Capabilities", 2, 2)
    if context.function is None:
        yield ComparedRegister("Power Management Control/Status", 4, 2, unsure=POWER_ALL)
    else:
        yield ComparedRegister("Power Management Control/Status", 4, 2, free=context.function.power_control)
    yield ComparedRegister("Power Management bridge and data", 6, 2)


_MSI_64BIT = 0x0080
_MSI_MASKABLE = 0x0100
_MSI_WRITABLE = 0x0071


def _msi(data: bytes, context: Context) -> Iterator[ComparedRegister]:
    yield from _HEAD
    flags = _word(data, 2)
    yield ComparedRegister("MSI Message Control", 2, 2, free=_MSI_WRITABLE)
    yield ComparedRegister("MSI address", 4, 4, free=0xFFFFFFFC)
    behind = 0x10 if flags & _MSI_64BIT else 0x0C
    if flags & _MSI_MASKABLE:
        yield ComparedRegister("MSI reserved", behind - 2, 2)
        vectors = 1 << (flags >> 1 & 7)
        yield ComparedRegister("MSI mask bits", behind, 4, free=(1 << min(vectors, 32)) - 1)
        yield ComparedRegister("MSI pending bits", behind + 4, 4)


def _msix(data: bytes, context: Context) -> Iterator[ComparedRegister]:
    yield from _HEAD
    yield ComparedRegister("MSI-X table size", 2, 2, free=0xC000)
    yield ComparedRegister("MSI-X table", 4, 4)
    yield ComparedRegister("MSI-X PBA", 8, 4)


_VIRTIO_MEMORY = range(1, 5)
"""cfg_type of the structures that stand in a BAR: common, notify, ISR, device."""
_VIRTIO_ACCESS = 5
"""cfg_type of the capability through which the guest reaches BARs: it writes where and how much."""


def _vendor(data: bytes, context: Context) -> Iterator[ComparedRegister]:
    yield from _HEAD
    yield ComparedRegister("capability length", 2, 1)
    length = data[2]
    if context.function is None or not context.function.is_virtio or length < 16:
        if length > 3:
            yield ComparedRegister("vendor capability", 3, length - 3)
        return
    access = data[3] == _VIRTIO_ACCESS
    yield ComparedRegister("virtio structure type", 3, 1)
    yield ComparedRegister("virtio structure BAR", 4, 1, free=0xFF if access else 0)
    yield ComparedRegister("virtio structure padding", 5, 3)
    yield ComparedRegister("virtio structure offset", 8, 4, free=0xFFFFFFFF if access else 0)
    yield ComparedRegister("virtio structure length", 12, 4, free=0xFFFFFFFF if access else 0)
    if length > 16 and not access:
        yield ComparedRegister("virtio notify multiplier", 16, length - 16)


def virtio_structures(config: bytes, capabilities: Sequence[int]) -> Iterator[tuple[int, int]]:
    """(BAR, end in bytes) of each structure that a virtio device's capabilities place in a memory BAR."""
    for offset in capabilities:
        data = config[offset : offset + 16]
        if len(data) == 16 and data[0] == pci.CapabilityId.VENDOR and data[3] in _VIRTIO_MEMORY:
            number = data[4]
            low = _word(config, BAR_OFFSET + 4 * number, 4) if number < 6 else 1
            if not low & 1:
                yield number, _word(data, 8, 4) + _word(data, 12, 4)


def _shpc(data: bytes, context: Context) -> Iterator[ComparedRegister]:
    yield from _HEAD
    yield ComparedRegister("SHPC pending", 3, 1)


def _slot_id(data: bytes, context: Context) -> Iterator[ComparedRegister]:
    yield from _HEAD
    yield ComparedRegister("slot ID expansion", 2, 1)


def _plain(name: str, size: int) -> CapabilityRule:
    """A capability of which all is compared."""

    def rule(data: bytes, context: Context) -> Iterator[ComparedRegister]:
        yield from _HEAD
        yield ComparedRegister(name, 2, size - 2)

    return rule


def _advanced_features(data: bytes, context: Context) -> Iterator[ComparedRegister]:
    yield from _HEAD
    yield ComparedRegister("AF capabilities", 2, 2)
    yield ComparedRegister("AF control", 4, 2, unsure=0x0101)


PORT_ROOT, PORT_UPSTREAM, PORT_DOWNSTREAM, PORT_BRIDGE = 4, 5, 6, 7
_HAS_SLOT = 0x0100
_FLR_CAPABLE = 1 << 28
_PRESENCE = 0x0040
PRESENCE_COMPARED_UNTIL: Version = (8, 0)
"""Presence Detect State of a slot is compared up to this release."""


def _express(data: bytes, context: Context) -> Iterator[ComparedRegister]:
    yield from _HEAD
    flags = _word(data, 2)
    yield ComparedRegister("PCI Express Capabilities", 2, 2)
    yield ComparedRegister("Device Capabilities", 4, 4)
    own = context.function
    errors, unsure = _by_kind(context, 0x000F, own is not None and own.error_reporting)
    resets = 0x8000 if _word(data, 4, 4) & _FLR_CAPABLE else 0
    yield ComparedRegister("Device Control", 8, 2, errors | resets, unsure)
    yield ComparedRegister("Device Status", 10, 2, errors, unsure)
    yield ComparedRegister("Link Capabilities", 12, 4)
    link, unsure = _by_kind(context, 0x00C0, own is not None and own.link_control)
    yield ComparedRegister("Link Control", 16, 2, link, unsure)
    if flags & 0xF >= 2:
        yield from _express_2(data, context, flags)


def _express_2(data: bytes, context: Context, flags: int) -> Iterator[ComparedRegister]:
    """The registers of version 2. Link Status is in none: QEMU does not compare it."""
    port = flags >> 4 & 0xF
    slot = bool(flags & _HAS_SLOT) and port in (PORT_ROOT, PORT_DOWNSTREAM)
    power = 0x0400 if _word(data, 20, 4) & 0x2 else 0
    presence = 0
    if slot and (context.version is None or context.version > PRESENCE_COMPARED_UNTIL):
        presence = _PRESENCE
    yield ComparedRegister("Slot Capabilities", 20, 4)
    yield ComparedRegister("Slot Control", 24, 2, free=(0x0BF9 | power) if slot else 0)
    yield ComparedRegister("Slot Status", 26, 2, free=(0x0019 | presence) if slot else 0)
    yield ComparedRegister("Root Control", 28, 2, free=0x0007 if port == PORT_ROOT else 0)
    yield ComparedRegister("Root Capabilities", 30, 2)
    yield ComparedRegister("Root Status", 32, 4)
    yield ComparedRegister("Device Capabilities 2", 36, 4)
    forwarding = 0x0020 if _word(data, 36, 4) & 0x20 else 0
    yield ComparedRegister("Device Control 2", 40, 2, free=0x8000 | forwarding)
    yield ComparedRegister("Device Status 2", 42, 2)
    yield ComparedRegister("Link Capabilities 2", 44, 4)
    yield ComparedRegister("Link Control 2", 48, 2)
    yield ComparedRegister("Link Status 2", 50, 2)
    yield ComparedRegister("Slot Capabilities 2", 52, 4)
    yield ComparedRegister("Slot Control 2", 56, 2)
    yield ComparedRegister("Slot Status 2", 58, 2)


def express_port(data: bytes) -> int:
    """Device/Port type of the PCI Express capability that `data` begins with."""
    return _word(data, 2) >> 4 & 0xF


def unknown_capability(data: bytes, context: Context) -> Iterator[ComparedRegister]:
    """One of an id that is not in CAPABILITIES: only its header is known to be compared."""
    yield from _HEAD


CAPABILITIES: dict[int, CapabilityRule] = {
    pci.CapabilityId.PM: _power,
    pci.CapabilityId.MSI: _msi,
    pci.CapabilityId.MSIX: _msix,
    pci.CapabilityId.VENDOR: _vendor,
    pci.CapabilityId.SHPC: _shpc,
    pci.CapabilityId.SLOTID: _slot_id,
    pci.CapabilityId.SSVID: _plain("bridge subsystem IDs", 8),
    pci.CapabilityId.EXPRESS: _express,
    pci.CapabilityId.SATA: _plain("SATA capability", 8),
    pci.CapabilityId.AF: _advanced_features,
}
"""By capability id."""


EXTENDED_HEAD = ComparedRegister("extended capability header", 0, 4)
_UNCORRECTABLE = 0x03FFF030
_CORRECTABLE = 0x0000F1C1
_MULTIPLE_HEADERS = 0x0200


def _aer(data: bytes, context: Context) -> Iterator[ComparedRegister]:
    yield EXTENDED_HEAD
    yield ComparedRegister("Uncorrectable Error Status", 4, 4, free=_UNCORRECTABLE)
    # Live since 8.0 for machine types of 8.0 and later, which also have some bits set by default.
    masked = _word(data, 8, 4)
    yield ComparedRegister("Uncorrectable Error Mask", 8, 4, free=_UNCORRECTABLE if masked else 0)
    yield ComparedRegister("Uncorrectable Error Severity", 12, 4, free=_UNCORRECTABLE)
    yield ComparedRegister("Correctable Error Status", 16, 4, free=_CORRECTABLE)
    yield ComparedRegister("Correctable Error Mask", 20, 4, free=_CORRECTABLE)
    several = 0x0400 if _word(data, 24, 4) & _MULTIPLE_HEADERS else 0
    yield ComparedRegister("AER Capabilities and Control", 24, 4, free=0x0140 | several)
    yield ComparedRegister("AER header log", 28, 16)
    root = context.port_type == PORT_ROOT
    yield ComparedRegister("Root Error Command", 44, 4, free=0x7 if root else 0)
    yield ComparedRegister("Root Error Status", 48, 4, free=0xF800007F if root else 0)
    yield ComparedRegister("AER error source", 52, 4)
    # Version 1 of the capability ends 8 bytes earlier.
    yield ComparedRegister("AER TLP prefix log", 56, 16 if data[2] & 0xF >= 2 else 8)


def _access_control(data: bytes, context: Context) -> Iterator[ComparedRegister]:
    yield EXTENDED_HEAD
    yield ComparedRegister("ACS Capability", 4, 2)
    yield ComparedRegister("ACS Control", 6, 2, free=_word(data, 4))


def _address_translation(data: bytes, context: Context) -> Iterator[ComparedRegister]:
    yield EXTENDED_HEAD
    yield ComparedRegister("ATS Capability", 4, 2)
    yield ComparedRegister("ATS Control", 6, 2, free=0x800F)


def _extended(name: str, size: int) -> CapabilityRule:
    """An extended capability of which all is compared."""

    def rule(data: bytes, context: Context) -> Iterator[ComparedRegister]:
        yield EXTENDED_HEAD
        yield ComparedRegister(name, 4, size - 4)

    return rule


_VF_BAR_SIZE = 0x4000
"""Of the virtual functions of igb and nvme, in bytes."""
_WIDE_MEMORY = 0x4


def _virtual_functions(data: bytes, context: Context) -> Iterator[ComparedRegister]:
    yield EXTENDED_HEAD
    yield ComparedRegister("SR-IOV Capabilities", 4, 4)
    yield ComparedRegister("SR-IOV Control", 8, 2, free=0x0019)
    yield ComparedRegister("SR-IOV Status and VF counts", 10, 6)
    yield ComparedRegister("SR-IOV NumVFs", 16, 2, free=0xFFFF)
    yield ComparedRegister("SR-IOV VF layout", 18, 14)
    yield ComparedRegister("SR-IOV System Page Size", 32, 4, free=0x0553)
    number = 0
    while number < 6:
        low = _word(data, 36 + 4 * number, 4)
        wide = low & 0x6 == _WIDE_MEMORY
        size = 8 if wide else 4
        if low & 0xF:
            free = (1 << 8 * size) - 1 & ~(_VF_BAR_SIZE - 1)
            yield ComparedRegister(f"VF BAR {number}", 36 + 4 * number, size, free=free)
        else:
            yield ComparedRegister(f"VF BAR {number}", 36 + 4 * number, size)
        number += size // 4
    yield ComparedRegister("SR-IOV VF migration", 60, 4)


def unknown_extended_capability(data: bytes, context: Context) -> Iterator[ComparedRegister]:
    """One of an id that is not in EXTENDED_CAPABILITIES: only its header is known to be compared."""
    yield EXTENDED_HEAD


EXTENDED_CAPABILITIES: dict[int, CapabilityRule] = {
    pci.ExtendedCapabilityId.AER: _aer,
    pci.ExtendedCapabilityId.DEVICE_SERIAL_NUMBER: _extended("device serial number", 12),
    pci.ExtendedCapabilityId.ACS: _access_control,
    pci.ExtendedCapabilityId.ARI: _extended("ARI capability", 8),
    pci.ExtendedCapabilityId.ATS: _address_translation,
    pci.ExtendedCapabilityId.SRIOV: _virtual_functions,
}
"""By extended capability id. A header of id 0 at 0x100 is an empty list, which is not compared."""
