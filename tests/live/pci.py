"""PCI of a PC from the guest's side: configuration space, bridges, BARs, the MSI-X registers.

Sources: PCI Local Bus Specification 3.0, sections 3.2.2.3.2 (configuration mechanism #1), 6.1, 6.2.5
(headers and BARs), 6.8.2 (MSI-X); PCI-to-PCI Bridge Architecture Specification 1.2, section 3.2.5.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from .wire import GuestError, Qtest

CONFIG_ADDRESS = 0xCF8
CONFIG_DATA = 0xCFC

COMMAND = 0x04
COMMAND_IO, COMMAND_MEMORY, COMMAND_MASTER = 0x1, 0x2, 0x4
HEADER_TYPE = 0x0E
BARS = 0x10
CAPABILITIES = 0x34
PRIMARY_BUS, IO_WINDOW, MEMORY_WINDOW, PREFETCH_WINDOW = 0x18, 0x1C, 0x20, 0x24
BRIDGE_CONTROL, BRIDGE_BUS_RESET = 0x3E, 0x40

CAP_VENDOR, CAP_MSIX = 0x09, 0x11


@dataclass(frozen=True)
class Bar:
    """A BAR as it stands: `size` in bytes, `address` 0 where it was not placed."""

    index: int
    io: bool
    wide: bool
    size: int
    address: int


class Function:
    """One PCI function, reached through ports 0xcf8 and 0xcfc."""

    def __init__(
        self, qtest: Qtest, bus: int, slot: int, function: int, parent: Function | None = None
    ) -> None:
        self._qtest = qtest
        self.bus, self.slot, self.function = bus, slot, function
        self.parent = parent

    @property
    def path(self) -> str:
        """The device path that QEMU puts before the name of its section: `0000:00:02.0:00.0`."""
        above = "0000:00" if self.parent is None else self.parent.path
        return f"{above}:{self.slot:02x}.{self.function:x}"

    def read(self, offset: int, size: int) -> int:
        """Read `size` (1, 2 or 4) bytes of configuration space."""
        self._select(offset)
        return self._qtest.port_in(CONFIG_DATA + (offset & 3), size)

    def write(self, offset: int, value: int, size: int) -> None:
        """Write `size` (1, 2 or 4) bytes of configuration space."""
        self._select(offset)
        self._qtest.port_out(CONFIG_DATA + (offset & 3), value, size)

    def _select(self, offset: int) -> None:
        where = self.bus << 16 | self.slot << 11 | self.function << 8 | offset & 0xFC
        self._qtest.port_out(CONFIG_ADDRESS, 0x80000000 | where, 4)

    @property
    def exists(self) -> bool:
        return self.read(0, 2) != 0xFFFF

    @property
    def ids(self) -> tuple[int, int]:
        """Vendor and device id."""
        return self.read(0, 2), self.read(2, 2)

    @property
    def is_bridge(self) -> bool:
        return self.read(HEADER_TYPE, 1) & 0x7F == 1

    def capabilities(self) -> Iterator[tuple[int, int]]:
        """(id, offset) of each capability in the order of the list."""
        offset = self.read(CAPABILITIES, 1) & 0xFC
        seen: set[int] = set()
        while offset and offset not in seen:
            seen.add(offset)
            yield self.read(offset, 1), offset
            offset = self.read(offset + 1, 1) & 0xFC

    def capability(self, wanted: int) -> int | None:
        """The offset of the first capability with this id."""
        return next((offset for kind, offset in self.capabilities() if kind == wanted), None)

    def bar(self, index: int) -> Bar | None:
        """The BAR of this index with its size, found by writing ones and putting back what was there."""
        register = BARS + 4 * index
        low = self.read(register, 4)
        mask = self._probe(register, low)
        if mask == 0:
            return None
        if mask & 1:
            return Bar(index, True, False, -(mask & 0xFFFFFFFC) & 0xFFFF, low & 0xFFFFFFFC)
        wide = mask & 6 == 4
        address, mask = low & 0xFFFFFFF0, mask & 0xFFFFFFF0
        if wide:
            high = self.read(register + 4, 4)
            mask |= self._probe(register + 4, high) << 32
            address |= high << 32
        else:
            mask |= 0xFFFFFFFF << 32
        return Bar(index, False, wide, -mask & (1 << 64) - 1, address)

    def _probe(self, register: int, value: int) -> int:
        self.write(register, 0xFFFFFFFF, 4)
        mask = self.read(register, 4)
        self.write(register, value, 4)
        return mask

    def bars(self) -> list[Bar]:
        """All BARs; the upper half of a 64-bit one is not a BAR of its own."""
        found: list[Bar] = []
        index, count = 0, 2 if self.is_bridge else 6
        while index < count:
            bar = self.bar(index)
            if bar is not None:
                found.append(bar)
            index += 2 if bar is not None and bar.wide else 1
        return found

    def bar_address(self, index: int) -> int:
        """Where BAR `index` stands in memory now. Raises GuestError where it was not placed."""
        low = self.read(BARS + 4 * index, 4)
        address = low & 0xFFFFFFF0
        if low & 6 == 4:
            address |= self.read(BARS + 4 * index + 4, 4) << 32
        if not address:
            raise GuestError(f"{self.path}: BAR {index} has no address")
        return address

    def place_bar(self, bar: Bar, address: int) -> None:
        """Give a BAR an address."""
        self.write(BARS + 4 * bar.index, address & 0xFFFFFFFF, 4)
        if bar.wide:
            self.write(BARS + 4 * bar.index + 4, address >> 32, 4)

    def enable(self, *, memory: bool = True, io: bool = True, master: bool = True) -> None:
        """Set memory space, I/O space and bus mastering in the Command register; its other bits stay."""
        wanted = COMMAND_IO * io | COMMAND_MEMORY * memory | COMMAND_MASTER * master
        rest = self.read(COMMAND, 2) & ~(COMMAND_IO | COMMAND_MEMORY | COMMAND_MASTER)
        self.write(COMMAND, rest | wanted, 2)

    @property
    def bus_master(self) -> bool:
        return bool(self.read(COMMAND, 2) & COMMAND_MASTER)

    def reset_bus(self) -> None:
        """Of a bridge: reset everything behind it (Bridge Control, secondary bus reset)."""
        control = self.read(BRIDGE_CONTROL, 2)
        self.write(BRIDGE_CONTROL, control | BRIDGE_BUS_RESET, 2)
        self.write(BRIDGE_CONTROL, control, 2)

    def msix(self) -> Msix | None:
        """The MSI-X registers of this function, whose BARs must be placed; None where it has none."""
        offset = self.capability(CAP_MSIX)
        return None if offset is None else Msix(self._qtest, self, offset)


class Msix:
    """The MSI-X registers of a function: Message Control, the table and the PBA."""

    def __init__(self, qtest: Qtest, function: Function, offset: int) -> None:
        self._qtest = qtest
        self.function = function
        self.offset = offset
        table, pba = function.read(offset + 4, 4), function.read(offset + 8, 4)
        self.table_bar, self.table_offset = table & 7, table & ~7
        self.pba_bar, self.pba_offset = pba & 7, pba & ~7
        self.vectors = (self.control & 0x7FF) + 1
        self.table_address = function.bar_address(self.table_bar) + self.table_offset
        self.pba_address = function.bar_address(self.pba_bar) + self.pba_offset

    @property
    def control(self) -> int:
        """Message Control, 16 bits."""
        return self.function.read(self.offset + 2, 2)

    @control.setter
    def control(self, value: int) -> None:
        self.function.write(self.offset + 2, value, 2)

    def enable(self, *, enabled: bool = True, function_mask: bool = False) -> None:
        """Write both writable bits of Message Control."""
        self.control = 0x8000 * enabled | 0x4000 * function_mask | self.vectors - 1

    def entry(self, vector: int) -> tuple[int, int, int]:
        """(address, data, Vector Control) of a vector, by MMIO."""
        return _ENTRY.unpack(self._qtest.read(self.table_address + 16 * vector, 16))

    def set_entry(self, vector: int, address: int, data: int, control: int) -> None:
        """Write a table entry as a driver does: low and high address, data, Vector Control, 32 bits each."""
        for step, value in enumerate((address & 0xFFFFFFFF, address >> 32, data, control)):
            self._qtest.store(self.table_address + 16 * vector + 4 * step, value, 4)

    def set_masked(self, vector: int, masked: bool) -> None:
        """Write Vector Control with the mask bit alone."""
        self._qtest.store(self.table_address + 16 * vector + 12, int(masked), 4)

    def table(self) -> list[tuple[int, int, int]]:
        """(address, data, Vector Control) of every vector."""
        return list(_ENTRY.iter_unpack(self._qtest.read(self.table_address, 16 * self.vectors)))

    def pba(self) -> bytes:
        """The PBA as the guest reads it: padded to 64 bits."""
        return self._qtest.read(self.pba_address, (self.vectors + 63) // 64 * 8)

    def pending(self) -> list[int]:
        """The vectors whose pending bit the guest sees set."""
        bits = int.from_bytes(self.pba(), "little")
        return [vector for vector in range(self.vectors) if bits >> vector & 1]

    def vmstate(self) -> bytes:
        """What msix_save would write of this state: the table, then ceil(n/8) bytes of the PBA."""
        return self._qtest.read(self.table_address, 16 * self.vectors) + self.pba()[: (self.vectors + 7) // 8]


_ENTRY = struct.Struct("<QII")


def functions_on(qtest: Qtest, bus: int, parent: Function | None = None) -> list[Function]:
    """Every function that answers on one bus; `parent` is the bridge that it is behind."""
    found: list[Function] = []
    for slot in range(32):
        for number in range(8):
            function = Function(qtest, bus, slot, number, parent)
            if function.exists:
                found.append(function)
            if number == 0 and not (function.exists and function.read(HEADER_TYPE, 1) & 0x80):
                break
    return found


def scan(qtest: Qtest, bus: int = 0, parent: Function | None = None) -> list[Function]:
    """Every function on `bus` and behind its bridges, by the bus numbers that stand there; writes nothing."""
    found: list[Function] = []
    for function in functions_on(qtest, bus, parent):
        found.append(function)
        secondary = function.read(PRIMARY_BUS + 1, 1) if function.is_bridge else 0
        if secondary:
            found += scan(qtest, secondary, function)
    return found


@dataclass
class Placement:
    """Hands out bus numbers, and memory and I/O addresses from `memory` and `io` upwards."""

    qtest: Qtest
    memory: int = 0xC0000000
    io: int = 0xC000
    last_bus: int = 0

    def place(self, bus: int = 0, parent: Function | None = None) -> list[Function]:
        """Number the buses, place every BAR, turn all on; the functions, each bridge before its bus."""
        found: list[Function] = []
        for function in functions_on(self.qtest, bus, parent):
            found.append(function)
            for bar in function.bars():
                self._place_bar(function, bar)
            if function.is_bridge:
                found += self._place_bridge(function)
            function.enable()
        return found

    def _place_bar(self, function: Function, bar: Bar) -> None:
        if bar.io:
            address = _align(self.io, bar.size)
            self.io = address + bar.size
        else:
            address = _align(self.memory, max(bar.size, 0x1000))
            self.memory = address + bar.size
        function.place_bar(bar, address)

    def _place_bridge(self, bridge: Function) -> list[Function]:
        self.last_bus += 1
        secondary = self.last_bus
        bridge.write(PRIMARY_BUS, 0xFF0000 | secondary << 8 | bridge.bus, 4)
        memory, io = self._align_windows()
        behind = self.place(secondary, bridge)
        bridge.write(PRIMARY_BUS + 2, self.last_bus, 1)
        memory_end, io_end = self._align_windows()
        bridge.write(MEMORY_WINDOW, _window(memory >> 16 & 0xFFF0, memory_end - 1 >> 16 & 0xFFF0, 16), 4)
        bridge.write(IO_WINDOW, _window(io >> 8 & 0xF0, io_end - 1 >> 8 & 0xF0, 8), 2)
        bridge.write(PREFETCH_WINDOW, _window(0xFFF0, 0, 16), 4)
        return behind

    def _align_windows(self) -> tuple[int, int]:
        """Bridge windows begin and end on 1 MiB of memory and 4 KiB of I/O space."""
        self.memory, self.io = _align(self.memory, 1 << 20), _align(self.io, 0x1000)
        return self.memory, self.io


def _align(value: int, size: int) -> int:
    return (value + size - 1) // size * size


def _window(base: int, limit: int, bits: int) -> int:
    """Base and limit register of a bridge window; one that is empty has its limit below its base."""
    return base | limit << bits
