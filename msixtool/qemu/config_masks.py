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

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from msixtool.formats import capabilities as fmt, msix, pci, sizeof
from msixtool.formats.capabilities import VirtioStructure, capability_value
from msixtool.qemu.kinds.facts import EXPRESS_ERRORS, EXPRESS_LINK, NOTHING, POWER_ALL, PciFunction
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

    def value(self, data: bytes) -> int:
        """What the register holds in `data`, the configuration space."""
        return pci.Register(self.offset, self.size).value(data)


IDENTITY = (
    ComparedRegister("vendor ID", *pci.header_register("vendor_id")),
    ComparedRegister("device ID", *pci.header_register("device_id")),
    ComparedRegister(
        "Status", *pci.header_register("status"), free=0xFFFF & ~int(pci.Status.CAPABILITY_LIST)
    ),
    ComparedRegister("revision ID", *pci.header_register("revision_id")),
    ComparedRegister("class code", *pci.header_register("class_code")),
    ComparedRegister("header type", *pci.header_register("header_type")),
)
"""The header up to its BARs. Command, latency timer, subsystem ids and the INT pin are not compared."""

CAPABILITIES_POINTER = ComparedRegister("capabilities pointer", *pci.header_register("capability_pointer"))

BRIDGE = (
    ComparedRegister("I/O Base", *pci.header_register("io_base", pci.HeaderType.BRIDGE), free=0xF0),
    ComparedRegister("I/O Limit", *pci.header_register("io_limit", pci.HeaderType.BRIDGE), free=0xF0),
    ComparedRegister(
        "Prefetchable Memory Base",
        *pci.header_register("prefetchable_base", pci.HeaderType.BRIDGE),
        free=0xFFF0,
    ),
    ComparedRegister(
        "Prefetchable Memory Limit",
        *pci.header_register("prefetchable_limit", pci.HeaderType.BRIDGE),
        free=0xFFF0,
    ),
)
"""What a bridge's windows can be, in the lowest bits of each register."""

_ROM_ENABLE = 1
_IO, _BAR_TYPE = 0x1, 0xF


def sized_bar(bar: pci.Bar, size: int) -> ComparedRegister:
    """A registered BAR of `size` bytes: what is below its size is compared, its type bits among that."""
    free = (1 << 8 * bar.size) - 1 & ~(size - 1)
    return ComparedRegister(f"BAR {bar.number}", bar.register, bar.size, free)


def bar_of_unknown_size(bar: pci.Bar, known: int) -> ComparedRegister:
    """A BAR whose size is not known, or not even whether it is registered: bits in `known` are compared."""
    every = (1 << 8 * bar.size) - 1
    placed = every & ~(known or _BAR_TYPE)
    return ComparedRegister(f"BAR {bar.number}", bar.register, bar.size, 0, every & ~known, placed)


def rom(size: int, header: pci.HeaderType) -> ComparedRegister:
    """The ROM BAR of a device with an option ROM of `size` bytes."""
    free = 0xFFFFFFFF & ~(size - 1) | _ROM_ENABLE
    return ComparedRegister("ROM BAR", *pci.header_register("rom_address", header), free)


@dataclass(frozen=True, slots=True)
class Context:
    """What a capability's rules need besides its own bytes."""

    function: PciFunction | None
    port_type: int | None = None
    """Device/Port type of the PCI Express capability."""
    version: Version | None = None
    """The loading QEMU, as far as it is known."""


CapabilityRule = Callable[[bytes, Context], Iterator[ComparedRegister]]
"""From a capability's bytes, zeros behind them, to its registers, offsets from the capability."""

CAPABILITY_ID, NEXT_POINTER = (
    ComparedRegister(name, *place) for name, place in fmt.capability_registers(fmt.LIST_ENTRY).items()
)
((_, _EXTENDED_PLACE),) = fmt.capability_registers(fmt.EXTENDED_LIST_ENTRY).items()
EXTENDED_HEAD = ComparedRegister("extended capability header", *_EXTENDED_PLACE)


def _compared(
    schema: Any,
    free: Mapping[str, int] = NOTHING,
    unsure: Mapping[str, int] = NOTHING,
    but: Collection[str] = (),
) -> Iterator[ComparedRegister]:
    """The registers of a capability, but for some: `free` and `unsure` bits by the register's name."""
    for name, place in fmt.capability_registers(schema).items():
        if name not in but:
            yield ComparedRegister(name, *place, free.get(name, 0), unsure.get(name, 0))


def _always(
    schema: Any,
    free: Mapping[str, int] = NOTHING,
    unsure: Mapping[str, int] = NOTHING,
    but: Collection[str] = (),
) -> CapabilityRule:
    """The rule of a capability of which the same is compared whatever it holds."""
    return lambda data, context: _compared(schema, free, unsure, but)


def _power(data: bytes, context: Context) -> Iterator[ComparedRegister]:
    control = "Power Management Control/Status"
    if context.function is None:
        return _compared(fmt.POWER, unsure={control: POWER_ALL})
    return _compared(fmt.POWER, {control: context.function.power_control})


_MSI_WRITABLE = 0x0071


def _msi(data: bytes, context: Context) -> Iterator[ComparedRegister]:
    control = capability_value(fmt.msi(0), "MSI Message Control", data)
    vectors = 1 << (control >> 1 & 7)
    free = {
        "MSI Message Control": _MSI_WRITABLE,
        "MSI address": 0xFFFFFFFC,
        "MSI mask bits": (1 << min(vectors, 32)) - 1,
    }
    layout = fmt.msi(control & (fmt.MSI_64BIT | fmt.MSI_MASKABLE))
    return _compared(layout, free, but=("MSI upper address", "MSI data"))


def _msix(data: bytes, context: Context) -> Iterator[ComparedRegister]:
    yield from (CAPABILITY_ID, NEXT_POINTER)
    free = msix.CONTROL_ENABLE | msix.CONTROL_FUNCTION_MASK
    yield ComparedRegister("MSI-X table size", *msix.CONTROL, free)
    yield ComparedRegister("MSI-X table", *msix.TABLE)
    yield ComparedRegister("MSI-X PBA", *msix.PBA)


def _vendor(data: bytes, context: Context) -> Iterator[ComparedRegister]:
    length, known = capability_value(fmt.VENDOR, "capability length", data), sizeof(fmt.VENDOR)
    if context.function is None or not context.function.is_virtio or length < sizeof(fmt.VIRTIO_STRUCTURE):
        yield from _compared(fmt.VENDOR)
        if length > known:
            yield ComparedRegister("vendor capability", known, length - known)
        return
    known = sizeof(fmt.VIRTIO_STRUCTURE)
    access = capability_value(fmt.VIRTIO_STRUCTURE, "virtio structure type", data) == VirtioStructure.ACCESS
    free = {
        "virtio structure BAR": 0xFF,
        "virtio structure offset": 0xFFFFFFFF,
        "virtio structure length": 0xFFFFFFFF,
    }
    yield from _compared(fmt.VIRTIO_STRUCTURE, free if access else NOTHING)
    if length > known and not access:
        yield ComparedRegister("virtio notify multiplier", known, length - known)


def virtio_structures(config: bytes, capabilities: Sequence[int]) -> Iterator[tuple[int, int]]:
    """(BAR, end in bytes) of each structure that a virtio device's capabilities place in a memory BAR."""
    for offset in capabilities:
        data = config[offset : offset + sizeof(fmt.VIRTIO_STRUCTURE)]
        if len(data) < sizeof(fmt.VIRTIO_STRUCTURE) or data[0] != pci.CapabilityId.VENDOR:
            continue
        kind, number, start, length = (
            capability_value(fmt.VIRTIO_STRUCTURE, f"virtio structure {name}", data)
            for name in ("type", "BAR", "offset", "length")
        )
        is_there = number < pci.BAR_COUNTS[pci.HeaderType.DEVICE]
        if (
            VirtioStructure.COMMON <= kind <= VirtioStructure.DEVICE
            and is_there
            and not pci.bar_register(number).value(config) & _IO
        ):
            yield number, start + length


_ROOT, _DOWNSTREAM = 4, 6
"""Device/Port types."""
_HAS_SLOT = 0x0100
_FLR_CAPABLE, _FLR = 1 << 28, 0x8000
_PRESENCE = 0x0040
PRESENCE_COMPARED_UNTIL: Version = (8, 0)
"""Presence Detect State of a slot is compared up to this release."""


def _express(data: bytes, context: Context) -> Iterator[ComparedRegister]:
    """Link Status is not compared. Of a stranger it is not known whether some bits are live."""
    flags, own = capability_value(fmt.EXPRESS_1, "PCI Express Capabilities", data), context.function
    resets = _FLR if capability_value(fmt.EXPRESS_1, "Device Capabilities", data) & _FLR_CAPABLE else 0
    errors = EXPRESS_ERRORS if own is not None and own.error_reporting else 0
    link = EXPRESS_LINK if own is not None and own.link_control else 0
    free = {"Device Control": errors | resets, "Device Status": errors, "Link Control": link}
    unsure = {"Device Control": EXPRESS_ERRORS, "Device Status": EXPRESS_ERRORS, "Link Control": EXPRESS_LINK}
    is_second = flags & 0xF >= 2
    return _compared(
        fmt.EXPRESS if is_second else fmt.EXPRESS_1,
        free | _express_2(data, context, flags) if is_second else free,
        unsure if own is None else NOTHING,
        but=("Link Status",),
    )


def _express_2(data: bytes, context: Context, flags: int) -> dict[str, int]:
    """The free bits of the registers of version 2."""
    port = flags >> 4 & 0xF
    free = {"Root Control": 0x0007 if port == _ROOT else 0}
    if flags & _HAS_SLOT and port in (_ROOT, _DOWNSTREAM):
        power = 0x0400 if capability_value(fmt.EXPRESS, "Slot Capabilities", data) & 0x2 else 0
        is_new = context.version is None or context.version > PRESENCE_COMPARED_UNTIL
        free |= {"Slot Control": 0x0BF9 | power, "Slot Status": 0x0019 | (_PRESENCE if is_new else 0)}
    forwarding = capability_value(fmt.EXPRESS, "Device Capabilities 2", data) & 0x0020
    return free | {"Device Control 2": 0x8000 | forwarding}


def express_port(data: bytes) -> int:
    """Device/Port type of the PCI Express capability that `data` begins with."""
    return capability_value(fmt.EXPRESS_1, "PCI Express Capabilities", data) >> 4 & 0xF


_CAPABILITIES: dict[int, CapabilityRule] = {
    pci.CapabilityId.PM: _power,
    pci.CapabilityId.MSI: _msi,
    pci.CapabilityId.MSIX: _msix,
    pci.CapabilityId.VENDOR: _vendor,
    pci.CapabilityId.SHPC: _always(fmt.SHPC, but=("SHPC select",)),
    pci.CapabilityId.SLOTID: _always(fmt.SLOT_ID, but=("chassis number",)),
    pci.CapabilityId.EXPRESS: _express,
    pci.CapabilityId.AF: _always(fmt.ADVANCED_FEATURES, unsure={"AF control": 0x0101}),
}
"""By capability id; of others all is compared that is known of them."""


_UNCORRECTABLE = dict.fromkeys(("Uncorrectable Error Status", "Uncorrectable Error Severity"), 0x03FFF030)
_CORRECTABLE = dict.fromkeys(("Correctable Error Status", "Correctable Error Mask"), 0x0000F1C1)
_MULTIPLE_HEADERS = 0x0200


def _aer(data: bytes, context: Context) -> Iterator[ComparedRegister]:
    version = capability_value(fmt.AER, EXTENDED_HEAD.name, data) >> 16 & 0xF
    several = (
        0x0400 if capability_value(fmt.AER, "AER Capabilities and Control", data) & _MULTIPLE_HEADERS else 0
    )
    free = _UNCORRECTABLE | _CORRECTABLE | {"AER Capabilities and Control": 0x0140 | several}
    # Live since 8.0 for machine types of 8.0 and later, which also have some bits set by default.
    if capability_value(fmt.AER, "Uncorrectable Error Mask", data):
        free["Uncorrectable Error Mask"] = _UNCORRECTABLE["Uncorrectable Error Status"]
    if context.port_type == _ROOT:
        free |= {"Root Error Command": 0x7, "Root Error Status": 0xF800007F}
    return _compared(fmt.AER if version >= 2 else fmt.AER_1, free)


def _access_control(data: bytes, context: Context) -> Iterator[ComparedRegister]:
    return _compared(
        fmt.ACCESS_CONTROL, {"ACS Control": capability_value(fmt.ACCESS_CONTROL, "ACS Capability", data)}
    )


_VF_BAR_SIZE = 0x4000
"""Of the virtual functions of igb and nvme, in bytes."""
_WIDE_MEMORY = 0x4
_VF_FREE = {"SR-IOV Control": 0x0019, "SR-IOV NumVFs": 0xFFFF, "SR-IOV System Page Size": 0x0553}


def _virtual_functions(data: bytes, context: Context) -> Iterator[ComparedRegister]:
    yield from _compared(fmt.VIRTUAL_FUNCTIONS, _VF_FREE, but=("VF BARs",))
    first, length = fmt.capability_registers(fmt.VIRTUAL_FUNCTIONS)["VF BARs"]
    number = 0
    while number < length // pci.BAR_SIZE:
        at = first + pci.BAR_SIZE * number
        low = pci.Register(at, pci.BAR_SIZE).value(data)
        size = pci.BAR_SIZE * (1 + (low & 0x6 == _WIDE_MEMORY))
        free = (1 << 8 * size) - 1 & ~(_VF_BAR_SIZE - 1) if low & 0xF else 0
        yield ComparedRegister(f"VF BAR {number}", at, size, free)
        number += size // pci.BAR_SIZE


_EXTENDED: dict[int, CapabilityRule] = {
    pci.ExtendedCapabilityId.AER: _aer,
    pci.ExtendedCapabilityId.ACS: _access_control,
    pci.ExtendedCapabilityId.ATS: _always(fmt.ADDRESS_TRANSLATION, {"ATS Control": 0x800F}),
    pci.ExtendedCapabilityId.SRIOV: _virtual_functions,
}
"""As _CAPABILITIES. A header of id 0 at 0x100 is an empty list, which is not compared."""


def in_capability(identifier: int, base: int, data: bytes, context: Context) -> Iterator[ComparedRegister]:
    """What is compared of the capability of this id at `base`, whose bytes, or more, are `data`."""
    rule = _CAPABILITIES.get(identifier) or _always(fmt.SCHEMAS.get(identifier, fmt.LIST_ENTRY))
    return _placed(rule, base, data, context)


def in_extended(identifier: int, base: int, data: bytes, context: Context) -> Iterator[ComparedRegister]:
    """The same of an extended capability."""
    schema = fmt.EXTENDED_SCHEMAS.get(identifier, fmt.EXTENDED_LIST_ENTRY)
    rule = _EXTENDED.get(identifier) or _always(schema)
    return _placed(rule, base, data, context)


def _placed(rule: CapabilityRule, base: int, data: bytes, context: Context) -> Iterator[ComparedRegister]:
    found = rule(data.ljust(pci.CONFIG_SIZE, b"\0"), context)
    return (replace(register, offset=base + register.offset) for register in found)
