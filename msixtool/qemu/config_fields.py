"""The bit fields of the registers of PCI configuration space, and what their values mean.

Source: PCI Local Bus Specification 3.0, chapter 6; PCI Power Management 1.2; PCI-to-PCI Bridge 1.2; PCI
Express Base Specification 5.0, sections 7.5 to 7.8; virtio 1.3, section 4.1.4. The registers are those of
qemu/config_masks.py, by the names that they have there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from msixtool.qemu.config_names import base_class, extended_capability_name, vendor_name

InWords = Callable[[int], str]


@dataclass(frozen=True, slots=True)
class RegisterField:
    """Bits of a register. `name` is empty where they are what the register is named for.

    `words` puts their value, shifted down, into words. `low_part_tells`: where only the
    lowest bits are known they are taken for the whole, as the rest is zero in all but giant devices.
    """

    name: str
    mask: int
    words: InWords = hex
    low_part_tells: bool = False

    def value(self, register: int) -> int:
        """The field's value in a register's."""
        return (register & self.mask) // (self.mask & -self.mask)


def _on_off(value: int) -> str:
    return "on" if value else "off"


def _yes_no(value: int) -> str:
    return "yes" if value else "no"


def _vectors(value: int) -> str:
    return f"{value + 1} vector{'' if value == 0 else 's'}"


def _power_of_two(unit: str) -> InWords:
    def words(value: int) -> str:
        return f"{1 << value} {unit}{'' if value == 0 else 's'}"

    return words


def _one_of(*names: str) -> InWords:
    def words(value: int) -> str:
        return names[value] if value < len(names) and names[value] else f"{value:#x}"

    return words


def _each_of(*names: str) -> InWords:
    """A bit for each, the first lowest; those without a name are counted as bits."""

    def words(value: int) -> str:
        bits = (bit for bit in range(value.bit_length()) if value >> bit & 1)
        found = (names[bit] if bit < len(names) and names[bit] else f"bit {bit}" for bit in bits)
        return ", ".join(found) or "none"

    return words


def _times(factor: int) -> InWords:
    """For the upper bits of an offset or an address."""

    def words(value: int) -> str:
        return hex(value * factor)

    return words


def _width(value: int) -> str:
    return f"x{value}"


_SPEED = _one_of("none", "2.5 GT/s", "5 GT/s", "8 GT/s", "16 GT/s", "32 GT/s", "64 GT/s")
_PORT_TYPE = _one_of(
    "endpoint",
    "legacy endpoint",
    "",
    "",
    "root port",
    "upstream port",
    "downstream port",
    "PCI Express to PCI bridge",
    "PCI to PCI Express bridge",
    "root complex integrated endpoint",
    "root complex event collector",
)
_BAR = (
    RegisterField("space", 0x1, _one_of("memory", "I/O")),
    RegisterField("type", 0x6, _one_of("32-bit", "below 1 MiB", "64-bit")),
    RegisterField("prefetchable", 0x8, _yes_no),
    RegisterField("address", 0xFFFFFFFFFFFFFFF0, _times(16)),
)

_UNCORRECTABLE = tuple(
    RegisterField(name, 1 << bit, _on_off)
    for bit, name in (
        (4, "data link protocol error"),
        (5, "surprise down"),
        (12, "poisoned TLP"),
        (13, "flow control protocol error"),
        (14, "completion timeout"),
        (15, "completer abort"),
        (16, "unexpected completion"),
        (17, "receiver overflow"),
        (18, "malformed TLP"),
        (19, "ECRC error"),
        (20, "unsupported request"),
        (21, "ACS violation"),
        (22, "internal error"),
        (23, "multicast blocked TLP"),
        (24, "AtomicOp egress blocked"),
        (25, "TLP prefix blocked"),
    )
)

_CORRECTABLE = tuple(
    RegisterField(name, 1 << bit, _on_off)
    for bit, name in (
        (0, "receiver error"),
        (6, "bad TLP"),
        (7, "bad DLLP"),
        (8, "replay number rollover"),
        (12, "replay timer timeout"),
        (13, "advisory non-fatal error"),
        (14, "internal error"),
        (15, "header log overflow"),
    )
)


def _speeds(value: int) -> str:
    """A bit for each speed, the slowest lowest."""
    return ", ".join(_SPEED(bit + 1) for bit in range(7) if value >> bit & 1) or "none"


_CURRENT = _one_of("0 (self powered)", *(f"{most} mA" for most in (55, 100, 160, 220, 270, 320, 375)))
_ERRORS = _each_of("correctable", "non-fatal", "fatal", "unsupported request")
_L0S = _one_of(*(f"{most} ns" for most in (64, 128, 256, 512)), "1 µs", "2 µs", "4 µs", "more")
_L1 = _one_of(*(f"{most} µs" for most in (1, 2, 4, 8, 16, 32, 64)), "more")
"""At most so long."""
_EVENTS = _each_of(
    "attention button",
    "power fault",
    "MRL sensor",
    "presence",
    "command completed",
    "hot-plug interrupt",
    *[""] * 2,
    "link state",
)
_TIMEOUTS = _each_of("50 µs to 10 ms", "10 ms to 250 ms", "250 ms to 4 s", "4 s to 64 s", "disabling")

_ASPM = _one_of("none", "L0s", "L1", "L0s and L1")

_WINDOW_TYPE = RegisterField("type", 0xF, _one_of("16-bit", "32-bit"))
_PREFETCHABLE_TYPE = RegisterField("type", 0xF, _one_of("32-bit", "64-bit"))

FIELDS: dict[str, tuple[RegisterField, ...]] = {
    # The header
    "vendor ID": (RegisterField("", 0xFFFF, vendor_name),),
    "device ID": (RegisterField("", 0xFFFF),),
    "Status": (RegisterField("capability list", 0x10, _yes_no),),
    "revision ID": (RegisterField("", 0xFF),),
    "class code": (
        RegisterField("programming interface", 0xFF),
        RegisterField("subclass", 0xFF00),
        RegisterField("base class", 0xFF0000, base_class),
    ),
    "header type": (
        RegisterField("layout", 0x7F, _one_of("device", "bridge", "CardBus bridge")),
        RegisterField("multi-function", 0x80, _yes_no),
    ),
    **{f"BAR {number}": _BAR for number in range(6)},
    "ROM BAR": (RegisterField("enable", 0x1, _on_off), RegisterField("address", 0xFFFFF800, _times(0x800))),
    "I/O Base": (_WINDOW_TYPE,),
    "I/O Limit": (_WINDOW_TYPE,),
    "Prefetchable Memory Base": (_PREFETCHABLE_TYPE,),
    "Prefetchable Memory Limit": (_PREFETCHABLE_TYPE,),
    # Power management
    "Power Management Capabilities": (
        RegisterField("version", 0x7, str),
        RegisterField("PME clock", 0x8, _yes_no),
        RegisterField("device-specific initialisation", 0x20, _yes_no),
        RegisterField("auxiliary current", 0x1C0, _CURRENT),
        RegisterField("D1 support", 0x200, _yes_no),
        RegisterField("D2 support", 0x400, _yes_no),
        RegisterField("PME support", 0xF800, _each_of("D0", "D1", "D2", "D3hot", "D3cold")),
    ),
    "Power Management Control/Status": (
        RegisterField("power state", 0x3, _one_of("D0", "D1", "D2", "D3hot")),
        RegisterField("no soft reset", 0x8, _yes_no),
        RegisterField("PME enable", 0x100, _on_off),
        RegisterField("data select", 0x1E00),
        RegisterField("data scale", 0x6000),
        RegisterField("PME status", 0x8000, _on_off),
    ),
    # MSI and MSI-X
    "MSI Message Control": (
        RegisterField("enable", 0x1, _on_off),
        RegisterField("vectors that it is capable of", 0xE, _power_of_two("vector")),
        RegisterField("vectors enabled", 0x70, _power_of_two("vector")),
        RegisterField("64-bit address", 0x80, _yes_no),
        RegisterField("per-vector masking", 0x100, _yes_no),
    ),
    "MSI-X table size": (
        RegisterField("", 0x7FF, _vectors, low_part_tells=True),
        RegisterField("function mask", 0x4000, _on_off),
        RegisterField("enable", 0x8000, _on_off),
    ),
    "MSI-X table": (RegisterField("BAR", 0x7, str), RegisterField("offset", 0xFFFFFFF8, _times(8))),
    "MSI-X PBA": (RegisterField("BAR", 0x7, str), RegisterField("offset", 0xFFFFFFF8, _times(8))),
    # virtio's vendor capabilities
    "capability length": (RegisterField("", 0xFF, lambda value: f"{value} bytes"),),
    "virtio structure type": (
        RegisterField("", 0xFF, _one_of("", "common configuration", "notify", "ISR", "device", "access")),
    ),
    "virtio structure BAR": (RegisterField("", 0xFF, str),),
    "virtio structure offset": (RegisterField("", 0xFFFFFFFF),),
    "virtio structure length": (RegisterField("", 0xFFFFFFFF),),
    "virtio notify multiplier": (RegisterField("", 0xFFFFFFFF, str),),
    # Bridges
    "slot ID expansion": (
        RegisterField("expansion slots", 0x1F, str),
        RegisterField("first in chassis", 0x20, _yes_no),
    ),
    # PCI Express
    "PCI Express Capabilities": (
        RegisterField("version", 0xF, str),
        RegisterField("port type", 0xF0, _PORT_TYPE),
        RegisterField("slot implemented", 0x100, _yes_no),
        RegisterField("interrupt message number", 0x3E00, str),
    ),
    "Device Capabilities": (
        RegisterField("maximum payload", 0x7, lambda value: f"{128 << value} bytes"),
        RegisterField("phantom functions", 0x18, str),
        RegisterField("extended tag", 0x20, _yes_no),
        RegisterField("L0s latency", 0x1C0, _L0S),
        RegisterField("L1 latency", 0xE00, _L1),
        RegisterField("role-based error reporting", 0x8000, _yes_no),
        RegisterField("slot power limit", 0x3FC0000, str),
        RegisterField("function level reset", 0x10000000, _yes_no),
    ),
    "Device Control": (
        RegisterField("error reporting", 0xF, _ERRORS),
        RegisterField("relaxed ordering", 0x10, _on_off),
        RegisterField("maximum payload", 0xE0, lambda value: f"{128 << value} bytes"),
        RegisterField("extended tag", 0x100, _on_off),
        RegisterField("no snoop", 0x800, _on_off),
        RegisterField("maximum read request", 0x7000, lambda value: f"{128 << value} bytes"),
        RegisterField("initiate function level reset", 0x8000, _on_off),
    ),
    "Link Capabilities": (
        RegisterField("maximum link speed", 0xF, _SPEED),
        RegisterField("maximum link width", 0x3F0, _width),
        RegisterField("ASPM support", 0xC00, _ASPM),
        RegisterField("L0s exit latency", 0x7000, _L0S),
        RegisterField("L1 exit latency", 0x38000, _L1),
        RegisterField("clock power management", 0x40000, _yes_no),
        RegisterField("surprise down reporting", 0x80000, _yes_no),
        RegisterField("link active reporting", 0x100000, _yes_no),
        RegisterField("bandwidth notification", 0x200000, _yes_no),
        RegisterField("port number", 0xFF000000, str),
    ),
    "Slot Capabilities": (
        RegisterField("attention button", 0x1, _yes_no),
        RegisterField("power controller", 0x2, _yes_no),
        RegisterField("MRL sensor", 0x4, _yes_no),
        RegisterField("attention indicator", 0x8, _yes_no),
        RegisterField("power indicator", 0x10, _yes_no),
        RegisterField("hot-plug surprise", 0x20, _yes_no),
        RegisterField("hot-plug capable", 0x40, _yes_no),
        RegisterField("slot power limit", 0x1FF80, str),
        RegisterField("electromechanical interlock", 0x20000, _yes_no),
        RegisterField("no command completed", 0x40000, _yes_no),
        RegisterField("slot number", 0xFFF80000, str, low_part_tells=True),
    ),
    "Slot Control": (
        RegisterField("notifications", 0x103F, _EVENTS),
        RegisterField("attention indicator", 0xC0, _one_of("reserved", "on", "blink", "off")),
        RegisterField("power indicator", 0x300, _one_of("reserved", "on", "blink", "off")),
        RegisterField("slot power", 0x400, _one_of("on", "off")),
        RegisterField("interlock", 0x800, _on_off),
    ),
    "Slot Status": (
        RegisterField("events", 0x11F, _EVENTS),
        RegisterField("MRL sensor", 0x20, _one_of("closed", "open")),
        RegisterField("card present", 0x40, _yes_no),
        RegisterField("interlock", 0x80, _on_off),
    ),
    "Device Capabilities 2": (
        RegisterField("completion timeout", 0x1F, _TIMEOUTS),
        RegisterField("ARI forwarding", 0x20, _yes_no),
        RegisterField("AtomicOp routing", 0x40, _yes_no),
        RegisterField("end-end TLP prefixes", 0x200000, _yes_no),
    ),
    "Link Capabilities 2": (RegisterField("supported link speeds", 0xFE, _speeds),),
    "Link Control 2": (RegisterField("target link speed", 0xF, _SPEED),),
    # Extended capabilities
    "extended capability header": (
        RegisterField("ID", 0xFFFF, extended_capability_name),
        RegisterField("version", 0xF0000, str),
        RegisterField("next pointer", 0xFFF00000),
    ),
    "Uncorrectable Error Status": _UNCORRECTABLE,
    "Uncorrectable Error Mask": _UNCORRECTABLE,
    "Uncorrectable Error Severity": _UNCORRECTABLE,
    "Correctable Error Status": _CORRECTABLE,
    "Correctable Error Mask": _CORRECTABLE,
    "AER Capabilities and Control": (
        RegisterField("first error pointer", 0x1F, str),
        RegisterField("ECRC generation capable", 0x20, _yes_no),
        RegisterField("ECRC generation", 0x40, _on_off),
        RegisterField("ECRC check capable", 0x80, _yes_no),
        RegisterField("ECRC check", 0x100, _on_off),
        RegisterField("multiple header recording capable", 0x200, _yes_no),
        RegisterField("multiple header recording", 0x400, _on_off),
    ),
    "ACS Capability": (
        RegisterField("source validation", 0x1, _yes_no),
        RegisterField("translation blocking", 0x2, _yes_no),
        RegisterField("request redirect", 0x4, _yes_no),
        RegisterField("completion redirect", 0x8, _yes_no),
        RegisterField("upstream forwarding", 0x10, _yes_no),
        RegisterField("egress control", 0x20, _yes_no),
        RegisterField("direct translated", 0x40, _yes_no),
    ),
    "ARI capability": (
        RegisterField("MFVC function groups", 0x1, _yes_no),
        RegisterField("ACS function groups", 0x2, _yes_no),
        RegisterField("next function", 0xFF00, str),
    ),
    "ATS Capability": (
        RegisterField("invalidate queue depth", 0x1F, str),
        RegisterField("page aligned requests", 0x20, _yes_no),
    ),
    "SR-IOV NumVFs": (RegisterField("", 0xFFFF, str),),
}
"""By the register's name. What is in no field is shown as a number."""
