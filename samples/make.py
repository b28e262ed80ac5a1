#!/usr/bin/env python3
"""Make the samples again with an installed QEMU.

    python samples/make.py [--qemu BIN] [--out DIR] [--force] [NAME…]

Each sample is a machine whose guest is played from here (tests/live/guest.py): drivers set up
MSI-X as real ones do, and the stream that QEMU then saves is written to DIR/NAME-VERSION.mig.xz,
with the version of the QEMU that made it in its name. README.md says what each one shows.
"""

from __future__ import annotations

import argparse
import hashlib
import lzma
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.live.e1000e import E1000e  # noqa: E402
from tests.live.guest import Guest, GuestError, find_qemu  # noqa: E402
from tests.live.pci import Function, Msix  # noqa: E402
from tests.live.virtio import Virtio  # noqa: E402

QUEUES = 0x100000
"""Where the virtqueues of the samples stand in guest memory; a device has 64 KiB of it for each queue."""


CLOCK = ("-rtc", "base=2026-01-01T00:00:00,clock=vm")
"""A real-time clock that stands still, so that a sample made again is the same to the byte."""


@dataclass(frozen=True)
class Sample:
    """A machine and what its guest does: `play` gets the guest with its functions by device path."""

    name: str
    arguments: tuple[str, ...]
    play: Callable[[Guest, dict[str, Function]], None]


def registers(function: Function) -> Msix:
    """The MSI-X registers of a function that has them."""
    msix = function.msix()
    assert msix is not None
    return msix


def program(msix: Msix, interrupts: Iterable[int], *, masked: Iterable[int] = (), cpu: int = 0) -> None:
    """Give the first vectors these x86 interrupt vectors on one CPU, unmasked but for `masked`; enable MSI-X.

    The rest stays as reset left it: zero and masked.
    """
    hidden = set(masked)
    for vector, interrupt in enumerate(interrupts):
        msix.set_entry(vector, 0xFEE00000 | cpu << 12, 0x4000 | interrupt, int(vector in hidden))
    msix.enable()


def virtio(guest: Guest, function: Function, queues: Iterable[int | None], *, config: int | None = 0) -> None:
    """Start a virtio driver with one vector (or none) for each queue; every queue is laid out and enabled."""
    driver = Virtio(guest, function)
    driver.negotiate()
    driver.config_vector = config
    for queue, vector in enumerate(queues):
        driver.set_queue_vector(queue, vector)
        driver.enable_queue(queue, QUEUES + function.slot * 0x40000 + queue * 0x10000)
    driver.ready()


def play_first(guest: Guest, at: dict[str, Function]) -> None:
    """Two virtio drivers at work; an e1000e whose vector 2 was notified while it was masked."""
    net, block, nic, usb = (at[f"0000:00:{slot:02x}.0"] for slot in (2, 3, 4, 5))
    program(registers(net), range(0x22, 0x26))
    virtio(guest, net, [1, 2, None])
    program(registers(block), range(0x26, 0x28))
    virtio(guest, block, [1])
    program(registers(nic), range(0x31, 0x36), masked=[2, 4])
    E1000e.find(guest).notify(0, 2, settle=False)
    program(registers(usb), [0x41])


def play_old(guest: Guest, at: dict[str, Function]) -> None:
    """Programmed and enabled, programmed and not enabled, and enabled with one vector of many."""
    raid, vmxnet, nic, tablet = (at[f"0000:00:{slot:02x}.0"] for slot in (2, 3, 4, 5))
    program(registers(raid), [0x51])
    program(registers(vmxnet), range(0x61, 0x64), masked=[1])
    program(registers(nic), range(0x31, 0x36))
    registers(nic).enable(enabled=False)
    program(registers(tablet), [0x71, 0x72])
    virtio(guest, tablet, [1, 1])


def play_function_mask(guest: Guest, at: dict[str, Function]) -> None:
    """The function mask holds back what the vectors' own mask bits would let through."""
    nic, scsi = at["0000:00:02.0"], at["0000:00:03.0"]
    program(registers(nic), range(0x31, 0x36), masked=[3])
    registers(nic).enable(function_mask=True)
    E1000e.find(guest).notify(0, 1, 3, settle=False)
    program(registers(scsi), range(0x51, 0x55))
    virtio(guest, scsi, [1, 2, 3])
    registers(scsi).enable(function_mask=True)


def play_ports(guest: Guest, at: dict[str, Function]) -> None:
    """Devices behind root ports, and the ports' own vector; the second port has bus mastering off."""
    for slot, interrupt in ((2, 0x22), (3, 0x23), (4, 0x24)):
        program(registers(at[f"0000:00:{slot:02x}.0"]), [interrupt])
    at["0000:00:03.0"].enable(master=False)
    net, balloon, igb = (at[f"0000:00:{slot:02x}.0:00.0"] for slot in (2, 3, 4))
    program(registers(net), range(0x31, 0x35), cpu=1)
    virtio(guest, net, [1, 2, 3])
    program(registers(balloon), range(0x41, 0x43))
    program(registers(igb), range(0x51, 0x5B), masked=range(5, 10))


def play_new(guest: Guest, at: dict[str, Function]) -> None:
    """The kinds that only a new QEMU can save, and a display."""
    igb, nvme, display, usb = (at[f"0000:00:{slot:02x}.0"] for slot in (2, 3, 4, 5))
    program(registers(igb), range(0x31, 0x3B), masked=[9])
    program(registers(nvme), range(0x41, 0x45))
    program(registers(display), range(0x51, 0x54))
    virtio(guest, display, [1, 2])
    program(registers(usb), range(0x61, 0x69), masked=range(1, 8))


def play_pending(guest: Guest, at: dict[str, Function]) -> None:
    """The link goes down while the driver has the config vector masked: a pending bit waits."""
    net = at["0000:00:02.0"]
    program(registers(net), range(0x22, 0x26), masked=[0])
    virtio(guest, net, [1, 2, 3])
    guest.qmp.execute("set_link", name="net", up=False)


def play_many(guest: Guest, at: dict[str, Function]) -> None:
    """The largest table there is, with a handful of vectors in use."""
    serial = at["0000:00:02.0"]
    program(registers(serial), range(0x31, 0x37), masked=[2])
    registers(serial).set_entry(2047, 0xFEE00000, 0x40EF, 1)
    virtio(guest, serial, [1, 2, 3, 4])


def play_net(guest: Guest, at: dict[str, Function]) -> None:
    """A plain virtio-net driver with as many vectors as the device has."""
    net = at["0000:00:02.0"]
    msix = registers(net)
    program(msix, range(0x22, 0x22 + msix.vectors))
    virtio(guest, net, [1, 2])


def devices(machine: str, *options: str, drive: bool = False) -> tuple[str, ...]:
    """A machine with these devices, from slot 2 on where they do not say where they are."""
    backend = ("-drive", "if=none,id=d0,driver=null-co,size=1M") if drive else ()
    placed = [
        option if "bus=" in option else f"{option},addr={slot}" for slot, option in enumerate(options, 2)
    ]
    return (
        "-machine",
        machine,
        *CLOCK,
        *backend,
        *(word for option in placed for word in ("-device", option)),
    )


def ports(*options: str) -> tuple[str, ...]:
    """Root ports from slot 2 on, each with one device behind it."""
    slots = range(2, 2 + len(options))
    roots = [f"pcie-root-port,id=rp{slot},chassis={slot}" for slot in slots]
    behind = [f"{option},bus=rp{slot}" for slot, option in zip(slots, options, strict=True)]
    return devices("q35", *roots, *behind)


NET = "virtio-net-pci,id=net,romfile="

SAMPLES = (
    Sample(
        "q35-virtio-e1000e",
        devices("q35", NET, "virtio-blk-pci,drive=d0", "e1000e,romfile=", "qemu-xhci", drive=True),
        play_first,
    ),
    Sample(
        "pc-megasas-vmxnet3",
        devices("pc", "megasas", "vmxnet3,romfile=", "e1000e,romfile=", "virtio-tablet-pci"),
        play_old,
    ),
    Sample("q35-function-mask", devices("q35", "e1000e,romfile=", "virtio-scsi-pci"), play_function_mask),
    Sample("q35-root-ports", ports(NET, "virtio-balloon-pci", "igb,romfile="), play_ports),
    Sample(
        "q35-nvme-igb",
        devices(
            "q35", "igb,romfile=", "nvme,serial=1,drive=d0", "virtio-gpu-pci", "nec-usb-xhci", drive=True
        ),
        play_new,
    ),
    Sample("pc-virtio-pending", devices("pc", NET), play_pending),
    Sample("pc-2048-vectors", devices("pc", "virtio-serial-pci,vectors=2048"), play_many),
    Sample("q35-net-4-vectors", devices("q35", NET + ",vectors=4"), play_net),
    Sample("q35-net-3-vectors", devices("q35", NET + ",vectors=3"), play_net),
)


def make(sample: Sample, binary: str) -> tuple[str, bytes]:
    """The file's name and the raw stream. Raises GuestError where this QEMU cannot make it."""
    with Guest(sample.arguments, binary=binary, memory=4) as guest:
        sample.play(guest, {function.path: function for function in guest.place()})
        return f"{sample.name}-{guest.version[0]}.{guest.version[1]}.mig.xz", guest.save()


def compress(stream: bytes) -> bytes:
    """xz with the largest preset: the same stream gives the same bytes with the same liblzma."""
    return lzma.compress(stream, preset=9 | lzma.PRESET_EXTREME)


def main() -> int:
    parser = argparse.ArgumentParser(description="Make the samples again with an installed QEMU.")
    parser.add_argument(
        "--qemu", metavar="BIN", default=find_qemu(), help="QEMU to use (default: %(default)s)"
    )
    parser.add_argument(
        "--out", metavar="DIR", type=Path, default=Path(__file__).parent, help="where to write"
    )
    parser.add_argument("--force", action="store_true", help="write over files that are there")
    parser.add_argument("names", metavar="NAME", nargs="*", help=", ".join(s.name for s in SAMPLES))
    options = parser.parse_args()
    if options.qemu is None:
        parser.error("no qemu-system-x86_64 is installed; --qemu names one")
    if unknown := set(options.names) - {sample.name for sample in SAMPLES}:
        parser.error(f"no such sample: {', '.join(sorted(unknown))}")
    failed = False
    for sample in SAMPLES:
        if options.names and sample.name not in options.names:
            continue
        try:
            name, stream = make(sample, options.qemu)
        except GuestError as error:
            print(f"{sample.name}: {error}", file=sys.stderr)
            failed = True
            continue
        failed |= not write(options.out / name, compress(stream), force=options.force)
    return int(failed)


def write(path: Path, data: bytes, *, force: bool) -> bool:
    """Write a file and say so with its size and SHA-256; what is there stays unless `force`."""
    try:
        with path.open("wb" if force else "xb") as file:
            file.write(data)
    except OSError as error:
        print(f"{path}: {error.strerror}", file=sys.stderr)
        return False
    print(f"{path}  {len(data)} bytes  sha256 {hashlib.sha256(data).hexdigest()}")
    return True


if __name__ == "__main__":
    sys.exit(main())
