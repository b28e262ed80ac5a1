"""Streams to measure on, made with an installed QEMU."""

from __future__ import annotations

import shlex
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path

from tests.live.guest import Guest, GuestError

NET = ("-device", "virtio-net-pci,romfile=,addr=2", "-device", "e1000e,romfile=,addr=3")
FORGED = "02.0"
"""A virtio device with two vectors or more, there in every input."""
FLEET = 1000
"""Streams in a fleet."""
_BLOCK = 16 << 20
_TIMEOUT = 600.0


@dataclass(frozen=True)
class Input:
    """One stream: MiB of guest RAM, how much of it is not zero, and what else is in the machine."""

    name: str
    ram: int = 8
    filled: float = 0.0
    devices: tuple[str, ...] = NET
    vmdesc: bool = True
    one: Input | None = None
    """Of a fleet: the machine that all of it are like. Then `path` is a folder."""

    @property
    def size(self) -> int:
        """About how many bytes of stream it comes to: 4 KiB a page that is not zero, else nine bytes."""
        if self.one is not None:
            return self.one.size
        pages = self.ram << 8
        return int(pages * (self.filled * 4104 + (1 - self.filled) * 9)) + (4 << 20)

    def path(self, folder: Path) -> Path:
        """The file in `folder` that it is kept in."""
        return folder / (self.name.replace(" ", "-").replace(",", "") + ".mig")

    def fresh(self) -> Input:
        """The same machine before it ran: RAM all zero. What this one is compared with."""
        return replace(self, name=f"{self.name}, fresh", filled=0.0)


def many_devices(count: int) -> tuple[str, ...]:
    """`count` virtio devices on the root bus, eight functions to a slot."""
    made: list[str] = []
    for number in range(count):
        slot, function = 2 + number // 8, number % 8
        made += ["-device", f"virtio-rng-pci,addr={slot:x}.{function},multifunction=on"]
    return tuple(made)


SMALL = (
    Input("8 MiB", filled=1.0),
    Input("2 virtio devices", devices=many_devices(2)),
    Input("60 virtio devices", devices=many_devices(60)),
    Input("2048 vectors", devices=("-device", "virtio-serial-pci,vectors=2048,addr=2")),
)
"""Measured side by side, because they are compared with each other."""


def sizes(gib: int) -> tuple[Input, Input]:
    """A guest with this much RAM, full and half empty."""
    return Input(f"{gib} GiB full", gib << 10, 1.0), Input(f"{gib} GiB half", gib << 10, 0.5)


def without_vmdesc(full: Input) -> Input:
    """The same with suppress-vmdesc=on: its sections can only be found by walking forward."""
    return replace(full, name=f"{full.name}, no vmdesc", vmdesc=False)


def fleet_of(one: Input) -> Input:
    """A folder of FLEET streams like this one: hard links, which take no room and stay in the page cache."""
    return Input(f"{FLEET} times {one.name}", one.ram, one=one)


def make(wanted: Input, folder: Path) -> Path:
    """The stream of `wanted` in `folder`, made now unless it is there already. Raises GuestError."""
    path = wanted.path(folder)
    if path.exists():
        return path
    if wanted.one is not None:
        return _make_fleet(make(wanted.one, folder), path)
    memory, partial = folder / "memory.part", path.with_suffix(".part")
    machine = "q35,memory-backend=ram" + ("" if wanted.vmdesc else ",suppress-vmdesc=on")
    arguments = [
        *("-machine", machine, "-m", str(wanted.ram)),
        *("-object", f"memory-backend-file,id=ram,size={wanted.ram}M,mem-path={memory},share=on"),
        *wanted.devices,
    ]
    try:
        _fill(memory, wanted.ram << 20, wanted.filled)
        with Guest(arguments, timeout=_TIMEOUT) as guest:
            _set_up(guest)
            guest.qmp.execute("migrate-set-parameters", **{"max-bandwidth": 1 << 40})
            guest.qmp.execute("migrate", uri=f"exec:cat > {shlex.quote(str(partial))}")
            _wait(guest)
        partial.rename(path)
    finally:
        memory.unlink(missing_ok=True)
        partial.unlink(missing_ok=True)
    return path


def _make_fleet(one: Path, path: Path) -> Path:
    partial = path.with_suffix(".part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    for number in range(FLEET):
        (partial / f"vm{number:04}.mig").hardlink_to(one)
    return partial.rename(path)


def _set_up(guest: Guest) -> None:
    """Every vector as a driver leaves it: a message of its own, unmasked, MSI-X enabled."""
    for function in guest.place():
        msix = function.msix()
        if msix is not None:
            for vector in range(msix.vectors):
                msix.set_entry(vector, 0xFEE00000 + (vector % 4 << 12), 0x4021 + vector % 200, 0)
            msix.enable()


def _fill(path: Path, size: int, share: float) -> None:
    """A file of `size` bytes: no page of the first `share` is zero or like its neighbour; then a hole."""
    block = (bytes(range(1, 256)) * (_BLOCK // 255 + 1))[:_BLOCK]
    with path.open("wb") as file:
        for _ in range(int(size * share) // _BLOCK):
            file.write(block)
        file.write(block[: int(size * share) % _BLOCK])
        file.truncate(size)


def _wait(guest: Guest) -> None:
    deadline = time.monotonic() + _TIMEOUT
    while time.monotonic() < deadline:
        status = guest.qmp.execute("query-migrate").get("status")
        if status == "completed":
            return
        if status in ("failed", "cancelled"):
            raise GuestError(f"migrate: {status}: {guest.stderr()}")
        time.sleep(0.05)
    raise GuestError("migrate: no end in sight")


def missing_room(inputs: list[Input], folder: Path) -> int:
    """How many bytes of disk are missing for what is not there yet, and for the largest output."""
    streams = sum(each.size for each in inputs if not each.path(folder).exists())
    largest = max((max(each.size, each.ram << 20) for each in inputs), default=0)
    return max(0, streams + largest + (1 << 30) - shutil.disk_usage(folder).free)
