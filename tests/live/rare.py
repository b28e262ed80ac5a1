"""Rare kinds of streams, each written by a real QEMU: other architectures, other ways to migrate.

A recipe starts the QEMU it needs and returns the bytes that it wrote. `tests/data/rare/make.py`
records them, `test_rare.py` makes some anew with the QEMU at hand.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import migrations
from .guest import Guest, GuestError, find_qemu
from .migrations import capabilities, migrate, temporary
from .pci import Function, Msix
from .wire import Qtest

X86 = "qemu-system-x86_64"
CLOCK = ("-rtc", "base=2026-01-01T00:00:00,clock=vm")
NET = "virtio-net-pci,romfile="
NIC = "e1000e,romfile="
PAGE = 4096


@dataclass(frozen=True)
class Recipe:
    """How to make one kind of stream, and which QEMU (program and versions) can."""

    name: str
    make: Callable[[str], bytes]
    program: str = X86
    since: tuple[int, int] = (0, 0)
    until: tuple[int, int] = (99, 0)
    arguments: str = ""

    def binary(self) -> str | None:
        """The program on this machine, if it is installed."""
        return find_qemu() if self.program == X86 else shutil.which(self.program)


def version_of(binary: str) -> tuple[int, int]:
    """The version that a QEMU prints. Raises GuestError where it prints none."""
    text = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"version (\d+)\.(\d+)", text)
    if not found:
        raise GuestError(f"{binary} --version: {text[:80]!r}")
    return int(found[1]), int(found[2])


RECIPES: dict[str, Recipe] = {}


def recipe(
    *arguments: str,
    program: str = X86,
    since: tuple[int, int] = (0, 0),
    until: tuple[int, int] = (99, 0),
) -> Callable[[Callable[[str, Sequence[str]], bytes]], None]:
    """Register a function of the binary and `arguments` under its name, underscores as hyphens."""

    def register(function: Callable[[str, Sequence[str]], bytes]) -> None:
        name = function.__name__.replace("_", "-")
        words = (*arguments, *CLOCK) if program == X86 else arguments

        def make(binary: str) -> bytes:
            return function(binary, words)

        RECIPES[name] = Recipe(name, make, program, since, until, " ".join(words))

    return register


def pc(machine: str, *devices: str) -> tuple[str, ...]:
    """Arguments of a PC with these devices in slots 2 and up."""
    placed = [f"{device},addr={slot}" for slot, device in enumerate(devices, 2)]
    return ("-machine", machine, *(word for device in placed for word in ("-device", device)))


class EcamFunction(Function):
    """A PCI function reached through memory (ECAM), as on machines without I/O ports."""

    def __init__(self, qtest: Qtest, base: int, slot: int) -> None:
        super().__init__(qtest, 0, slot, 0)
        self._base = base + (slot << 15)

    def read(self, offset: int, size: int) -> int:
        return self._qtest.load(self._base + offset, size)

    def write(self, offset: int, value: int, size: int) -> None:
        self._qtest.store(self._base + offset, value, size)


def play(guest: Guest, ecam: int, memory: int, doorbell: int) -> dict[str, Msix]:
    """Place the BARs of slots 2 and 3 from `memory` on, and give each vector a message to `doorbell`.

    The last vector of each stays masked; MSI-X and bus mastering are on. The registers by path.
    """
    found: dict[str, Msix] = {}
    for slot in (2, 3):
        function = EcamFunction(guest.qtest, ecam, slot)
        for bar in function.bars():
            if not bar.io:
                size = max(bar.size, PAGE)
                memory = (memory + size - 1) // size * size
                function.place_bar(bar, memory)
                memory += size
        function.enable()
        registers = function.msix()
        assert registers is not None
        for vector in range(registers.vectors):
            registers.set_entry(vector, doorbell, 0x50 + vector, int(vector == registers.vectors - 1))
        registers.enable()
        found[function.path] = registers
    return found


VIRT = ("-device", f"{NET},addr=2", "-device", f"{NIC},addr=3")
AARCH64 = ("-machine", "virt,highmem=off", "-cpu", "cortex-a57", *VIRT, "-device", "virtio-rng-device")
RISCV64 = ("-machine", "virt", *VIRT)
BUSES: dict[str, tuple[int, int, int]] = {
    "aarch64": (0x3F000000, 0x10000000, 0x08020040),
    "riscv64": (0x30000000, 0x40000000, 0x28000000),
}
"""ECAM, memory window and the address that messages go to (GICv2m, IMSIC) of the two virt machines."""


@recipe(*AARCH64, program="qemu-system-aarch64")
def aarch64_virt(binary: str, arguments: Sequence[str]) -> bytes:
    with Guest(arguments, binary=binary) as guest:
        play(guest, *BUSES["aarch64"])
        return guest.save()


@recipe(*RISCV64, program="qemu-system-riscv64")
def riscv64_virt(binary: str, arguments: Sequence[str]) -> bytes:
    with Guest(arguments, binary=binary) as guest:
        play(guest, *BUSES["riscv64"])
        return guest.save()


@recipe("-machine", "pseries", *VIRT, program="qemu-system-ppc64")
def ppc64_pseries(binary: str, arguments: Sequence[str]) -> bytes:
    with Guest(arguments, binary=binary, memory=256) as guest:
        return guest.save()


@recipe("-machine", "s390-ccw-virtio", "-device", "virtio-net-ccw", program="qemu-system-s390x")
def s390x_ccw(binary: str, arguments: Sequence[str]) -> bytes:
    with temporary() as folder:
        # The most that s390x takes for firmware that is no ELF file.
        blank = folder / "blank"
        blank.write_bytes(bytes(4096))
        with Guest([*arguments, "-bios", str(blank)], binary=binary, memory=16) as guest:
            return guest.save()


@recipe(*pc("pc", NET, NIC), program="qemu-system-i386")
def i386_pc(binary: str, arguments: Sequence[str]) -> bytes:
    with Guest(arguments, binary=binary) as guest:
        return guest.save()


@recipe("-machine", "microvm", "-device", "virtio-net-device")
def microvm(binary: str, arguments: Sequence[str]) -> bytes:
    with Guest(arguments, binary=binary, memory=4) as guest:
        return guest.save()


@recipe(*pc("q35", NET, NIC))
def xen_save(binary: str, arguments: Sequence[str]) -> bytes:
    with Guest(arguments, binary=binary, memory=4) as guest, temporary() as folder:
        path = folder / "devices"
        guest.qmp.execute("xen-save-devices-state", filename=str(path), live=False)
        return path.read_bytes()


@recipe("-netdev", "user,id=n", *pc("pc", f"{NET},netdev=n"))
def slirp(binary: str, arguments: Sequence[str]) -> bytes:
    with Guest(arguments, binary=binary, memory=4) as guest:
        return guest.save()


MEMORY_DEVICE = ("-m", "4M,maxmem=64M,slots=1", "-object", "memory-backend-ram,id=m,size=16M")


@recipe(*MEMORY_DEVICE, *pc("q35", "virtio-mem-pci,memdev=m"), since=(8, 0))
def virtio_mem_early(binary: str, arguments: Sequence[str]) -> bytes:
    with Guest(arguments, binary=binary) as guest:
        return guest.save()


@recipe(*pc("pc", "virtio-blk-pci,drive=disk"))
def dirty_bitmap(binary: str, arguments: Sequence[str]) -> bytes:
    with temporary() as folder:
        image = disk(folder, "8M")
        drive = f"driver=qcow2,node-name=disk,file.driver=file,file.filename={image}"
        with Guest(["-blockdev", drive, *arguments], binary=binary, memory=4) as guest:
            guest.qmp.execute("block-dirty-bitmap-add", node="disk", name="kept", persistent=True)
            guest.qmp.execute("block-dirty-bitmap-add", node="disk", name="passing")
            guest.qmp.execute("human-monitor-command", command_line='qemu-io disk "write 0 64k"')
            capabilities(guest, "dirty-bitmaps")
            # RAM and some empty parts: without a limit thousands of them come before 100 ms have passed.
            guest.qmp.execute("migrate-set-parameters", max_bandwidth=0x48000)
            return guest.save()


@recipe(*pc("pc", "virtio-blk-pci,drive=disk"), until=(9, 0))
def block_migration(binary: str, arguments: Sequence[str]) -> bytes:
    with temporary() as folder:
        image = disk(folder, "3M")
        with Guest(["-drive", f"if=none,id=disk,file={image}", *arguments], binary=binary, memory=4) as guest:
            guest.qmp.execute("human-monitor-command", command_line='qemu-io disk "write 1M 64k"')
            capabilities(guest, "block", "zero-blocks")
            return guest.save()


@recipe(*pc("pc", NET), since=(6, 0))
def background_snapshot(binary: str, arguments: Sequence[str]) -> bytes:
    with Guest(arguments, binary=binary, memory=4) as guest:
        capabilities(guest, "background-snapshot")
        guest.qmp.execute("cont")
        return guest.save()


MAPPED_RAM_OFFSET = 0x1234


@recipe(*pc("pc", NET, NIC), since=(9, 0))
def mapped_ram_offset(binary: str, arguments: Sequence[str]) -> bytes:
    """The whole file: the stream begins at MAPPED_RAM_OFFSET."""
    with Guest(arguments, binary=binary, memory=4) as guest, temporary() as folder:
        path = folder / "mapped"
        capabilities(guest, "mapped-ram")
        migrate(guest, f"file:{path},offset={MAPPED_RAM_OFFSET}")
        return path.read_bytes()


@recipe(*pc("pc-i440fx-2.1", NET, NIC), until=(7, 2))
def no_footers_no_vmdesc(binary: str, arguments: Sequence[str]) -> bytes:
    with Guest(arguments, binary=binary, memory=4) as guest:
        return guest.save()


@recipe(*pc("pc-i440fx-1.7", NET), until=(7, 2))
def no_footers(binary: str, arguments: Sequence[str]) -> bytes:
    with Guest(arguments, binary=binary, memory=4) as guest:
        return guest.save()


@recipe("-machine", "suppress-vmdesc=on", *pc("pc-i440fx-2.4", NET, NIC), until=(10, 0))
def no_vmdesc(binary: str, arguments: Sequence[str]) -> bytes:
    with Guest(arguments, binary=binary, memory=4) as guest:
        return guest.save()


EEPROMS = ("i82559er,romfile=", "tulip,romfile=", NIC)
"""The serial EEPROMs of these are sections of their own, whose version_id is a date."""


@recipe(*pc("pc", *EEPROMS))
def eeproms(binary: str, arguments: Sequence[str]) -> bytes:
    with Guest(arguments, binary=binary, memory=4) as guest:
        return guest.save()


@recipe(*pc("pc-i440fx-2.1", *EEPROMS), until=(7, 2))
def eeproms_no_footers_no_vmdesc(binary: str, arguments: Sequence[str]) -> bytes:
    with Guest(arguments, binary=binary, memory=4) as guest:
        return guest.save()


def disk(folder: Path, size: str) -> Path:
    """An empty qcow2 image. Raises GuestError where qemu-img is not installed."""
    program = shutil.which("qemu-img")
    if program is None:
        raise GuestError("qemu-img is not installed")
    path = folder / "disk.qcow2"
    subprocess.run([program, "create", "-q", "-f", "qcow2", str(path), size], check=True)
    return path


@recipe(*pc("pc", NET))
def multifd_main(binary: str, arguments: Sequence[str]) -> bytes:
    return migrations.multifd(binary, arguments)[0]


@recipe(*pc("pc", NET))
def multifd_channel(binary: str, arguments: Sequence[str]) -> bytes:
    return migrations.multifd(binary, arguments)[1]


@recipe(*pc("pc", NET))
def postcopy(binary: str, arguments: Sequence[str]) -> bytes:
    return migrations.postcopy(binary, arguments)


@recipe(*pc("pc", NET))
def xbzrle(binary: str, arguments: Sequence[str]) -> bytes:
    return migrations.xbzrle(binary, arguments)
