"""Streams to measure on, made with an installed QEMU."""

from __future__ import annotations

import shlex
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from tests.live.guest import Guest, GuestError

NET = ("-device", "virtio-net-pci,romfile=", "-device", "e1000e,romfile=")
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


def many_devices(count: int) -> tuple[str, ...]:
    """`count` virtio devices, four behind each root port's worth of functions on the root bus."""
    made: list[str] = []
    for number in range(count):
        slot, function = 2 + number // 8, number % 8
        made += ["-device", f"virtio-rng-pci,addr={slot:x}.{function},multifunction=on"]
    return tuple(made)


INPUTS = (
    Input("8 MiB", filled=1.0),
    Input("1 GiB full", 1024, 1.0),
    Input("1 GiB half", 1024, 0.5),
    Input("1 GiB full, no vmdesc", 1024, 1.0, vmdesc=False),
    Input("2 virtio devices", devices=many_devices(2)),
    Input("60 virtio devices", devices=many_devices(60)),
    Input("2048 vectors", devices=("-device", "virtio-serial-pci,vectors=2048")),
)
LARGE = (Input("4 GiB full", 4096, 1.0), Input("8 GiB full", 8192, 1.0), Input("8 GiB half", 8192, 0.5))


def make(wanted: Input, folder: Path) -> Path:
    """The stream of `wanted` in `folder`, made now unless it is there already."""
    path = folder / (wanted.name.replace(" ", "-").replace(",", "") + ".mig")
    if path.exists():
        return path
    memory = folder / "memory"
    _fill(memory, wanted.ram << 20, wanted.filled)
    machine = "q35,memory-backend=ram" + ("" if wanted.vmdesc else ",suppress-vmdesc=on")
    arguments = [
        *("-machine", machine, "-m", str(wanted.ram)),
        *("-object", f"memory-backend-file,id=ram,size={wanted.ram}M,mem-path={memory},share=on"),
        *wanted.devices,
    ]
    partial = path.with_suffix(".part")
    try:
        with Guest(arguments, timeout=_TIMEOUT) as guest:
            guest.place()
            guest.qmp.execute("migrate-set-parameters", **{"max-bandwidth": 1 << 40})
            guest.qmp.execute("migrate", uri=f"exec:cat > {shlex.quote(str(partial))}")
            _wait(guest)
        partial.rename(path)
    finally:
        memory.unlink(missing_ok=True)
        partial.unlink(missing_ok=True)
    return path


def _fill(path: Path, size: int, share: float) -> None:
    """A file of `size` bytes whose first `share` is not zero; the rest is a hole."""
    with path.open("wb") as file:
        block = bytes(range(1, 256)) * (_BLOCK // 255 + 1)
        for _ in range(int(size * share) // _BLOCK):
            file.write(block[:_BLOCK])
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


def room_for(inputs: tuple[Input, ...], folder: Path) -> bool:
    """Whether the disk has room for the inputs and the memory of the largest."""
    streams = sum(int((made.ram << 20) * max(made.filled, 0.01)) for made in inputs)
    return shutil.disk_usage(folder).free > streams + (max(made.ram for made in inputs) << 20) + (1 << 30)
