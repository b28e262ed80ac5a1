"""PCI configuration space, and the vmstate of QEMU's PCIDevice around it.

Sources: PCI Local Bus Specification 3.0, sections 6.1, 6.2 and 6.7 (header, capability
list); PCI Express Base Specification, section 7.6 (extended capabilities); QEMU
hw/pci/pci.c, vmstate_pci_device. Configuration space is little-endian device memory, the
vmstate around it is big-endian.
"""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache
from typing import Any

from construct import (
    Array,
    Bytes,
    Computed,
    Int8ul,
    Int16ul,
    Int24ul,
    Int32sb,
    Int32ub,
    Int32ul,
    Struct,
    Switch,
    this,
)

from msixtool.formats import members, sizeof
from msixtool.formats.records import Packed
from msixtool.kept import NamedTuple

CONFIG_SIZE = 256
"""Bytes of conventional configuration space."""
EXPRESS_CONFIG_SIZE = 4096
"""Bytes of PCI Express configuration space."""
HEADER_SIZE = 64
"""Bytes of the header before the capabilities."""
FIRST_EXTENDED_CAPABILITY = 0x100
"""Offset of the first extended capability, in bytes."""

INTX_PINS = 4
"""Interrupt pins of a function: the vmstate holds a level for each."""
IRQ_LEVEL = Int32ub
"""One of them: 0 or 1."""
IRQ_LEVEL_SIZE = sizeof(IRQ_LEVEL)
DEVICE_VERSION = 2
"""version_id of a PCIDevice as QEMU writes it, and the greatest that it reads."""


class CommandBits(IntEnum):
    """Bits of the Command register that matter here."""

    IO = 0x0001
    MEMORY = 0x0002
    BUS_MASTER = 0x0004
    INTX_DISABLE = 0x0400


class Status(IntEnum):
    """Bits of the Status register that matter here."""

    CAPABILITY_LIST = 0x0010


class HeaderType(IntEnum):
    """Layout of the header, without the multi-function bit."""

    DEVICE = 0
    BRIDGE = 1
    CARDBUS = 2


HEADER_TYPE_MASK = 0x7F


class CapabilityId(IntEnum):
    """Conventional capabilities that QEMU's devices have."""

    PM = 0x01
    AGP = 0x02
    VPD = 0x03
    SLOTID = 0x04
    MSI = 0x05
    PCIX = 0x07
    VENDOR = 0x09
    SHPC = 0x0C
    SSVID = 0x0D
    EXPRESS = 0x10
    MSIX = 0x11
    SATA = 0x12
    AF = 0x13


class ExtendedCapabilityId(IntEnum):
    """Extended capabilities that QEMU's devices have."""

    AER = 0x0001
    DEVICE_SERIAL_NUMBER = 0x0003
    VENDOR = 0x000B
    ACS = 0x000D
    ARI = 0x000E
    ATS = 0x000F
    SRIOV = 0x0010
    PRI = 0x0013
    PASID = 0x001B
    DVSEC = 0x0023


_DEVICE_TAIL = Struct(
    "bars" / Array(6, Int32ul),
    "cardbus_cis" / Int32ul,
    "subsystem_vendor_id" / Int16ul,
    "subsystem_id" / Int16ul,
    "rom_address" / Int32ul,
    "capability_pointer" / Int8ul,
    "reserved" / Bytes(7),
    "interrupt_line" / Int8ul,
    "interrupt_pin" / Int8ul,
    "min_grant" / Int8ul,
    "max_latency" / Int8ul,
)

_BRIDGE_TAIL = Struct(
    "bars" / Array(2, Int32ul),
    "primary_bus" / Int8ul,
    "secondary_bus" / Int8ul,
    "subordinate_bus" / Int8ul,
    "secondary_latency_timer" / Int8ul,
    "io_base" / Int8ul,
    "io_limit" / Int8ul,
    "secondary_status" / Int16ul,
    "memory_base" / Int16ul,
    "memory_limit" / Int16ul,
    "prefetchable_base" / Int16ul,
    "prefetchable_limit" / Int16ul,
    "prefetchable_base_upper" / Int32ul,
    "prefetchable_limit_upper" / Int32ul,
    "io_base_upper" / Int16ul,
    "io_limit_upper" / Int16ul,
    "capability_pointer" / Int8ul,
    "reserved" / Bytes(3),
    "rom_address" / Int32ul,
    "interrupt_line" / Int8ul,
    "interrupt_pin" / Int8ul,
    "bridge_control" / Int16ul,
)

HEADER = Struct(
    "vendor_id" / Int16ul,
    "device_id" / Int16ul,
    "command" / Int16ul,
    "status" / Int16ul,
    "revision_id" / Int8ul,
    "class_code" / Int24ul,
    "cache_line_size" / Int8ul,
    "latency_timer" / Int8ul,
    "header_type" / Int8ul,
    "bist" / Int8ul,
    "layout" / Computed(this.header_type & HEADER_TYPE_MASK),
    "tail"
    / Switch(
        this.layout,
        {HeaderType.DEVICE.value: _DEVICE_TAIL, HeaderType.BRIDGE.value: _BRIDGE_TAIL},
        default=Bytes(HEADER_SIZE - 16),
    ),
)
"""The first 64 bytes, in the layout that the header type names."""

CAPABILITY_HEADER = Struct("id" / Int8ul, "next" / Int8ul)

EXTENDED_CAPABILITY_HEADER = Struct(
    "value" / Int32ul,
    "id" / Computed(this.value & 0xFFFF),
    "version" / Computed(this.value >> 16 & 0xF),
    "next" / Computed(this.value >> 20 & 0xFFC),
)
"""One 32-bit register: id (16 bits), version (4 bits), offset of the next (12 bits, 2 reserved)."""


class Register(NamedTuple):
    """A register: offset in configuration space and size, in bytes."""

    offset: int
    size: int

    def value(self, config: bytes) -> int:
        """What it holds."""
        return int.from_bytes(config[self.offset : self.offset + self.size], "little")

    def packed(self, value: int) -> bytes:
        """Its bytes when it holds `value`."""
        return value.to_bytes(self.size, "little")


_COMMON = members(HEADER)
_TAIL = max(each.end for each in _COMMON.values())
REGISTERS = {
    layout: {name: Register(*place) for name, place in {**_COMMON, **members(tail, _TAIL)}.items()}
    for layout, tail in ((HeaderType.DEVICE, _DEVICE_TAIL), (HeaderType.BRIDGE, _BRIDGE_TAIL))
}
"""Those of HEADER by its layout and their names."""


def header_register(name: str, layout: HeaderType = HeaderType.DEVICE) -> Register:
    """Where HEADER has a register of this name. Raises KeyError where that layout has none."""
    return REGISTERS[layout][name]


VENDOR_ID, DEVICE_ID, COMMAND_REGISTER = map(header_register, ("vendor_id", "device_id", "command"))
STATUS, REVISION_ID, CLASS_CODE = map(header_register, ("status", "revision_id", "class_code"))
HEADER_TYPE = header_register("header_type")
CAPABILITY_POINTER = header_register("capability_pointer")
BAR_SIZE = 4
"""Bytes of the register of a BAR; a 64-bit one takes two."""
BAR_COUNTS = {layout: header_register("bars", layout).size // BAR_SIZE for layout in REGISTERS}
"""How many BARs a function has."""


def bar_register(number: int) -> Register:
    """The register of a BAR, which holds the upper half of the one before where that is of 64 bits."""
    return Register(header_register("bars").offset + BAR_SIZE * number, BAR_SIZE)


class Bar(NamedTuple):
    """A BAR as it is programmed: `register` is its offset in configuration space, `wide` one of 64 bits."""

    number: int
    register: int
    word: int
    wide: bool

    @property
    def is_io(self) -> bool:
        """Whether it is one of I/O space."""
        return bool(self.word & 0x1)

    @property
    def address(self) -> int:
        """The address of a memory BAR, 0 where it has none."""
        return self.word & ~0xF

    @property
    def size(self) -> int:
        """Bytes of its registers."""
        return BAR_SIZE * (1 + self.wide)


def bars_of(config: bytes) -> list[Bar]:
    """The BARs of a function, registered or not; the upper half of a 64-bit one is no BAR of its own."""
    found: list[Bar] = []
    layout = HEADER_TYPE.value(config) & HEADER_TYPE_MASK
    count = BAR_COUNTS[HeaderType(layout)] if layout in BAR_COUNTS else 0
    index = 0
    while index < count:
        own = bar_register(index)
        wide = own.value(config) & 0x7 == 0x4 and index + 1 < count
        word = own._replace(size=BAR_SIZE * (1 + wide)).value(config)
        found.append(Bar(index, own.offset, word, wide))
        index += 1 + wide
    return found


@lru_cache(maxsize=4)
def device_vmstate(config_size: int) -> Any:
    """The vmstate of PCIDevice with `config_size` (256 or 4096) bytes of configuration space.

    version_id is big-endian and signed ("int32 le" in the vmdesc means: at most the local
    version); irq_state has one 32-bit level for each INTx pin. 276 or 4116 bytes.
    """
    return Packed(
        "version_id" / Int32sb, "config" / Bytes(config_size), "irq_state" / Array(INTX_PINS, IRQ_LEVEL)
    )


CONFIG_OFFSET = members(device_vmstate(CONFIG_SIZE))["config"].offset
"""Where configuration space stands in it."""
_AROUND = sizeof(device_vmstate(CONFIG_SIZE)) - CONFIG_SIZE


def device_vmstate_size(config_size: int) -> int:
    """Bytes of the vmstate of a PCIDevice with `config_size` bytes of configuration space."""
    return _AROUND + config_size
