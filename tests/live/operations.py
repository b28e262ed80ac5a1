"""What a guest and a device can do to MSI-X: each operation once for a real e1000e, once for the model.

Both sides show the same after each operation, or one of them is wrong: Message Control, the bus
master bit, table and PBA as the guest reads them, the value of the operation's own read, and the
first bytes of memory, where every message address that is tried here points.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from msixtool.msix import events as ev
from msixtool.msix.bar import Placement
from msixtool.msix.events import Events
from msixtool.msix.function import MsixFunction

from .e1000e import E1000e
from .guest import Guest
from .pci import COMMAND, COMMAND_MASTER, COMMAND_MEMORY, Msix

MEMORY = 0x100
"""Bytes of guest memory, from address 0, that are watched for messages."""
VECTORS = 5
MACHINE = [
    *("-machine", "q35", "-device", "pcie-root-port,id=rp,chassis=1,addr=2"),
    *("-device", "e1000e,romfile=,bus=rp"),
]
PATH = "0000:00:02.0:00.0"


class Observation(NamedTuple):
    """What can be seen from outside, after an operation; `value` is what it read."""

    value: int | None
    control: int
    bus_master: bool
    table: bytes
    pba: bytes
    memory: bytes

    def differences(self, other: Observation) -> str:
        """What differs, by words of 32 bits where it is memory; this one's value first."""
        found: list[str] = []
        for name, mine, its in zip(self._fields, self, other, strict=True):
            if isinstance(mine, bytes) and isinstance(its, bytes):
                pairs = zip(_words(mine), _words(its), strict=True)
                found += [f"{name}[{4 * at:#x}] {a:#x}, {b:#x}" for at, (a, b) in enumerate(pairs) if a != b]
            elif mine != its:
                found.append(f"{name} {_text(mine)}, {_text(its)}")
        return "; ".join(found)


def _words(data: bytes) -> list[int]:
    return [int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data), 4)]


def _text(value: object) -> str:
    return str(value) if isinstance(value, bool) or not isinstance(value, int) else hex(value)


class Side(Protocol):
    """The real device, or the model of it."""

    def write_table(self, offset: int, value: int, size: int) -> None: ...
    def read_table(self, offset: int, size: int) -> int: ...
    def write_pba(self, offset: int, value: int, size: int) -> None: ...
    def read_pba(self, offset: int, size: int) -> int: ...
    def write_control(self, offset: int, value: int, size: int) -> None: ...
    def write_command(self, value: int) -> None: ...
    def notify(self, vectors: tuple[int, ...]) -> None: ...
    def reset(self, *, system: bool) -> None: ...


class RealSide:
    """An e1000e behind a root port of a QEMU; `clear` brings it to the state of a new process."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self._qtest = guest.qtest
        self._place()

    def _place(self) -> None:
        self._port, self._nic = (f for f in self._guest.place() if PATH.startswith(f.path))
        msix = self._nic.msix()
        assert msix is not None
        assert msix.vectors == VECTORS
        self._msix: Msix = msix
        self._device = E1000e(self._guest, self._nic)

    @property
    def capability(self) -> int:
        """Where the MSI-X capability stands."""
        return self._msix.offset

    def clear(self) -> None:
        # Disabling first leaves the cached function mask set, as a new process has it; a reset does not.
        self._msix.control = 0
        self.reset(system=True)
        self._qtest.write(0, bytes(MEMORY))

    def write_table(self, offset: int, value: int, size: int) -> None:
        self._qtest.store(self._msix.table_address + offset, value, size)

    def read_table(self, offset: int, size: int) -> int:
        return self._qtest.load(self._msix.table_address + offset, size)

    def write_pba(self, offset: int, value: int, size: int) -> None:
        self._qtest.store(self._msix.pba_address + offset, value, size)

    def read_pba(self, offset: int, size: int) -> int:
        return self._qtest.load(self._msix.pba_address + offset, size)

    def write_control(self, offset: int, value: int, size: int) -> None:
        self._nic.write(self._msix.offset + offset, value, size)

    def write_command(self, value: int) -> None:
        self._nic.write(COMMAND, value, 2)

    def notify(self, vectors: tuple[int, ...]) -> None:
        self._device.notify(*vectors)

    def reset(self, *, system: bool) -> None:
        if system:
            self._guest.qmp.execute("system_reset")
            self._guest.qmp.wait_event("RESET")
        else:
            self._port.reset_bus()
        self._place()

    def observe(self, value: int | None) -> Observation:
        """All that can be seen; `value` is what the operation read."""
        msix = self._msix
        table = self._qtest.read(msix.table_address, 16 * VECTORS)
        memory = self._qtest.read(0, MEMORY)
        return Observation(value, msix.control, self._nic.bus_master, table, msix.pba(), memory)


class ModelSide:
    """The model of the same device, with the memory that its messages reach."""

    def __init__(self, version: tuple[int, int, int], capability: int) -> None:
        self._function = MsixFunction(qemu_version=version)
        table, pba = Placement(3, 0, 0x4000), Placement(3, 0x2000, 0x4000)
        self._memory = bytearray(MEMORY + 4)
        self.effects: Counter[str] = Counter()
        """How often each kind of event happened."""
        self._deliver(self._function.init(VECTORS, table, pba, capability))
        for vector in range(VECTORS):
            self._deliver(self._function.vector_use(vector))
        self.write_command(COMMAND_MEMORY | COMMAND_MASTER)

    @property
    def enabled(self) -> bool:
        """Whether MSI-X is enabled: an e1000e whose is not interrupts by its pin instead."""
        return self._function.enabled()

    def _deliver(self, events: Events) -> None:
        """Write the messages among the events to memory, in their order."""
        for event in events:
            assert not isinstance(event, ev.Error), event
            self.effects[event.event] += 1
            if isinstance(event, ev.MessageEvent) and event.address < MEMORY:
                self._memory[event.address : event.address + 4] = event.data.to_bytes(4, "little")

    def write_table(self, offset: int, value: int, size: int) -> None:
        self._deliver(self._function.table_mmio_write(offset, value, size))

    def read_table(self, offset: int, size: int) -> int:
        return self._function.table_mmio_read(offset, size).value

    def write_pba(self, offset: int, value: int, size: int) -> None:
        self._deliver(self._function.pba_mmio_write(offset, value, size))

    def read_pba(self, offset: int, size: int) -> int:
        return self._function.pba_mmio_read(offset, size).value

    def write_control(self, offset: int, value: int, size: int) -> None:
        self._deliver(self._function.write_config(self._function.capability + offset, value, size))

    def write_command(self, value: int) -> None:
        self._deliver(self._function.write_config(COMMAND, value, 2))

    def notify(self, vectors: tuple[int, ...]) -> None:
        for vector in vectors if self.enabled else ():
            self._deliver(self._function.notify(vector))

    def reset(self, *, system: bool) -> None:
        """Either reset comes to the same: the PCI core ends bus mastering, and the driver sets it again."""
        self._function.bus_master = False
        self._deliver(self._function.reset())
        self.write_command(COMMAND_MEMORY | COMMAND_MASTER)

    def observe(self, value: int | None) -> Observation:
        """All that could be seen of the real device; `value` is what the operation read."""
        function = self._function
        table = b"".join(function.table_mmio_read(at).value.to_bytes(4, "little") for at in range(0, 80, 4))
        pba = b"".join(function.pba_mmio_read(at).value.to_bytes(4, "little") for at in (0, 4))
        memory = bytes(self._memory[:MEMORY])
        return Observation(value, function.control, function.bus_master, table, pba, memory)


@dataclass(frozen=True)
class WriteTable:
    offset: int
    value: int
    size: int

    def play(self, side: Side) -> None:
        side.write_table(self.offset, self.value, self.size)

    def __str__(self) -> str:
        return f"write table {self.offset:#x} {self.value:#x} {self.size}"


@dataclass(frozen=True)
class ReadTable:
    offset: int
    size: int

    def play(self, side: Side) -> int:
        return side.read_table(self.offset, self.size)

    def __str__(self) -> str:
        return f"read table {self.offset:#x} {self.size}"


@dataclass(frozen=True)
class WritePba:
    offset: int
    value: int
    size: int

    def play(self, side: Side) -> None:
        side.write_pba(self.offset, self.value, self.size)

    def __str__(self) -> str:
        return f"write pba {self.offset:#x} {self.value:#x} {self.size}"


@dataclass(frozen=True)
class ReadPba:
    offset: int
    size: int

    def play(self, side: Side) -> int:
        return side.read_pba(self.offset, self.size)

    def __str__(self) -> str:
        return f"read pba {self.offset:#x} {self.size}"


@dataclass(frozen=True)
class WriteControl:
    """A write to the capability, `offset` bytes from its start: Message Control is at 2 and 3."""

    offset: int
    value: int
    size: int

    def play(self, side: Side) -> None:
        side.write_control(self.offset, self.value, self.size)

    def __str__(self) -> str:
        return f"write capability {self.offset:#x} {self.value:#x} {self.size}"


@dataclass(frozen=True)
class WriteCommand:
    value: int

    def play(self, side: Side) -> None:
        side.write_command(self.value)

    def __str__(self) -> str:
        return f"write command {self.value:#x}"


@dataclass(frozen=True)
class Notify:
    vectors: tuple[int, ...]

    def play(self, side: Side) -> None:
        side.notify(self.vectors)

    def __str__(self) -> str:
        return f"notify {' '.join(map(str, self.vectors))}"


@dataclass(frozen=True)
class Reset:
    system: bool

    def play(self, side: Side) -> None:
        side.reset(system=self.system)

    def __str__(self) -> str:
        return f"reset  # of the {'system' if self.system else 'bus'}"


Operation = WriteTable | ReadTable | WritePba | ReadPba | WriteControl | WriteCommand | Notify | Reset
"""One thing to do: `play` does it to a side and returns what it read, if anything; `str` is its line in a
script for `msixtool replay`."""


def replay_script(operations: Iterable[Operation], version: tuple[int, int, int], capability: int) -> str:
    """A sequence as a script for `msixtool replay`: it does what ModelSide does, step by step."""
    model = ModelSide(version, capability)
    driver = str(WriteCommand(COMMAND_MEMORY | COMMAND_MASTER))
    place = f"init {VECTORS} table=3:0x0:0x4000 pba=3:0x2000:0x4000 cap={capability:#x}"
    lines = [f"qemu-version {'.'.join(map(str, version))}", place, f"use 0-{VECTORS - 1}", driver]
    for operation in operations:
        if isinstance(operation, Reset):
            lines += ["bus-master off", str(operation), driver]
        elif isinstance(operation, Notify) and not model.enabled:
            lines.append(f"# {operation}: MSI-X is not enabled, so the device takes its pin")
        else:
            lines.append(str(operation))
        operation.play(model)
    return "\n".join(lines) + "\n"
