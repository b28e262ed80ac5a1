"""Pairs of machines of which the one's stream is loaded into the other, and what real QEMU says of it.

    python -m tests.live.compat_cases OUT --qemu 5.2=BIN --qemu 11.1=BIN …

records those of RECORDED as tests/data/compat has them: the source's stream, a fresh stream of the
target, and what the target's QEMU did with the first.
"""

from __future__ import annotations

import argparse
import json
import lzma
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .guest import Guest, LoadResult
from .pci import Msix

ANY = (0, 0)
DRIVE = ("-drive", "if=none,id=d0,driver=null-co,size=1M")
NULL = ("-chardev", "null,id=c0")

NET = "virtio-net-pci,romfile=,addr=2"
BLK = "virtio-blk-pci,drive=d0,addr=3"
E1000E = "e1000e,romfile=,addr=4"
XHCI = "qemu-xhci,addr=5"
NEC = "nec-usb-xhci,addr=5"
GPU = "virtio-gpu-pci,addr=6"
RAID = "megasas,romfile=,addr=7"
RAID2 = "megasas-gen2,romfile=,addr=7"
SCSI_OLD = "am53c974,addr=7"
VMXNET = "vmxnet3,romfile=,addr=8"
SERIAL = "virtio-serial-pci,id=serial,addr=9"
SCSI = "virtio-scsi-pci,addr=0xa"
TABLET = "virtio-tablet-pci,addr=0xb"
PORT = "pcie-root-port,id=rp,chassis=1,slot=1,addr=0xc"
BEHIND = "virtio-rng-pci,bus=rp"
NVME = "nvme,serial=s,drive=d0,addr=0xd"
BRIDGE = "pci-bridge,chassis_nr=2,addr=0xe"
DISPLAY = "VGA,romfile=,addr=0xf"

Devices = tuple[str, ...]


@dataclass(frozen=True)
class Case:
    """What is on both sides, and what differs: `target` and `more` replace `source` and nothing.

    `options` and `more` are further arguments of the source and of the target; `since` is the oldest
    QEMU that has what the case is about.
    """

    name: str
    source: Devices
    target: Devices
    options: tuple[str, ...] = ()
    more: tuple[str, ...] | None = None
    machine: str = "q35"
    target_machine: str | None = None
    since: tuple[int, int] = ANY

    def arguments(self, *, target: bool, version: str | None = None) -> list[str]:
        """The arguments of one side, with the machine type of `version` where there is one."""
        machine = self.target_machine if target and self.target_machine else self.machine
        options = self.more if target and self.more is not None else self.options
        kind = "q35" if machine == "q35" else "i440fx"
        name = machine if version is None else f"pc-{kind}-{version}"
        words = ["-machine", name, *options]
        for device in self.target if target else self.source:
            words += [*(DRIVE if "drive=d0" in device else ()), "-device", device]
        return words


def same(name: str, *devices: str, **more: object) -> Case:
    """A case whose two sides have the same devices."""
    return Case(name, devices, devices, **more)  # type: ignore[arg-type]


def change(name: str, before: str, after: str, *devices: str, **more: object) -> Case:
    """A case in which one device differs, among others that do not."""
    return Case(name, (*devices, before), (*devices, after), **more)  # type: ignore[arg-type]


def setting(name: str, device: str, options: str, *devices: str, **more: object) -> Case:
    """A case in which the target's device has these options as well."""
    return change(name, device, f"{device},{options}", *devices, **more)


CASES = (
    same("same", NET, BLK, E1000E, XHCI, GPU, RAID2, VMXNET, SERIAL, SCSI, TABLET, PORT, BEHIND),
    same("same-pc", NET, BLK, E1000E, XHCI, RAID, VMXNET, SERIAL, machine="pc"),
    setting("vectors-fewer", NET, "vectors=3"),
    setting("vectors-more", BLK, "vectors=9", E1000E),
    setting("vectors-none", NET, "vectors=0"),
    setting("vectors-bar", SCSI, "vectors=300"),
    setting("vectors-2048", SERIAL, "vectors=2048"),
    setting("legacy", BLK, "disable-modern=on"),
    setting("modern", NET, "disable-legacy=on"),
    setting("page-per-vq", NET, "page-per-vq=on"),
    setting("pio-notify", NET, "modern-pio-notify=on"),
    setting("blk-queues", BLK, "num-queues=4"),
    setting("blk-queue-size", BLK, "queue-size=64"),
    setting("scsi-queues", SCSI, "num_queues=4"),
    setting("serial-ports", SERIAL, "max_ports=64,vectors=2"),
    setting("serial-fewer-ports", SERIAL, "max_ports=16,vectors=2"),
    setting("net-mac", NET, "mac=52:54:00:01:02:03"),
    setting("input-serial", TABLET, "serial=x"),
    setting("outputs", GPU, "max_outputs=2"),
    setting("gpu-size", GPU, "xres=640"),
    setting("subsystem", E1000E, "subsys=0x1234"),
    setting("vmxnet3-mac", VMXNET, "mac=52:54:00:01:02:03"),
    setting("e1000e-mac", E1000E, "mac=52:54:00:01:02:03"),
    setting("multifunction", E1000E, "multifunction=on"),
    setting("xhci-ports", XHCI, "p2=8,p3=8"),
    setting("xhci-slots", NEC, "slots=32"),
    setting("xhci-msi", NEC, "msi=off"),
    setting("xhci-msix", NEC, "msix=off"),
    change("xhci-other", XHCI, NEC),
    setting("raid-msi", RAID2, "msi=off"),
    setting("raid-msix", RAID, "msix=off"),
    same("scsi-old", SCSI_OLD, machine="pc"),
    setting("raid-commands", RAID, "max_cmds=100"),
    change("raid-other", RAID, RAID2),
    setting("port-slot", PORT, "slot=9"),
    setting("port-hotplug", PORT, "hotplug=off"),
    setting("port-speed", PORT, "x-speed=2_5"),
    Case("behind-nothing", (PORT, BEHIND), (PORT,)),
    Case("behind-more", (PORT,), (PORT, BEHIND)),
    Case("moved-behind", (NET,), (PORT, "virtio-net-pci,romfile=,bus=rp")),
    setting("bridge-shpc", BRIDGE, "shpc=off"),
    setting("display-memory", DISPLAY, "vgamem_mb=32"),
    setting("nvme-vectors", NVME, "msix_qsize=17", since=(11, 0)),
    Case("device-added", (NET,), (NET, XHCI)),
    Case("device-removed", (NET, XHCI), (NET,)),
    change("device-moved", E1000E, "e1000e,romfile=,addr=0x14", NET),
    change("device-other", BLK, "virtio-tablet-pci,addr=3", NET),
    change("rom-missing", "virtio-net-pci,addr=2", NET),
    change("rom-added", NET, "virtio-net-pci,addr=2"),
    same("memory", NET, options=("-m", "8"), more=("-m", "16")),
    same("cpus-more", NET, options=("-smp", "1"), more=("-smp", "2")),
    same("cpus-fewer", NET, options=("-smp", "2"), more=("-smp", "1")),
    same("memory-slots", NET, more=("-m", "8,slots=2,maxmem=64M")),
    same("machine", NET, target_machine="pc"),
    same("hpet", NET, more=("-machine", "hpet=off")),
    Case(
        "serial-device",
        (SERIAL,),
        (SERIAL, "virtserialport,bus=serial.0,chardev=c0"),
        options=NULL,
    ),
)
"""Every kind of change that is told apart."""

RECORDED = (
    ("same", "10.0", "7.2"),
    ("same-pc", "5.2", "11.1"),
    ("vectors-fewer", "7.2", "7.2"),
    ("vectors-bar", "5.2", "10.0"),
    ("legacy", "11.1", "10.0"),
    ("modern", "7.2", "5.2"),
    ("pio-notify", "10.0", "10.0"),
    ("blk-queue-size", "7.2", "11.1"),
    ("blk-queue-size", "11.1", "7.2"),
    ("serial-ports", "7.2", "7.2"),
    ("outputs", "7.2", "10.0"),
    ("subsystem", "5.2", "5.2"),
    ("vmxnet3-mac", "11.1", "11.1"),
    ("multifunction", "7.2", "10.0"),
    ("xhci-ports", "10.0", "11.1"),
    ("raid-msi", "10.0", "5.2"),
    ("scsi-old", "5.2", "7.2"),
    ("scsi-old", "5.2", "11.1"),
    ("scsi-old", "7.2", "10.0"),
    ("scsi-old", "11.1", "10.0"),
    ("port-speed", "11.1", "11.1"),
    ("behind-more", "5.2", "5.2"),
    ("behind-more", "10.0", "10.0"),
    ("moved-behind", "7.2", "7.2"),
    ("nvme-vectors", "11.1", "11.1"),
    ("device-added", "5.2", "7.2"),
    ("rom-missing", "7.2", "7.2"),
    ("memory", "10.0", "11.1"),
    ("cpus-more", "11.1", "11.1"),
    ("cpus-more", "11.1", "10.0"),
    ("cpus-more", "7.2", "7.2"),
    ("cpus-fewer", "10.0", "10.0"),
    ("machine", "7.2", "7.2"),
)
"""Case, QEMU of the source, QEMU of the target."""


def program(guest: Guest) -> None:
    """Play a firmware and its drivers: place every BAR, give every vector a message, turn MSI-X on."""
    guest.place()
    for msix in guest.msix().values():
        _program(msix)


def _program(msix: Msix) -> None:
    for vector in range(min(msix.vectors, 8)):
        msix.set_entry(vector, 0xFEE00000, 0x4030 + vector, vector % 2)
    msix.enable()


def saved(case: Case, binary: str, version: str | None = None) -> bytes:
    """The stream of the case's source, whose guest has set its devices up."""
    with Guest(case.arguments(target=False, version=version), binary=binary) as guest:
        program(guest)
        return guest.save()


def fresh(case: Case, binary: str, version: str | None = None) -> bytes:
    """A fresh stream of the case's target."""
    with Guest(case.arguments(target=True, version=version), binary=binary) as guest:
        return guest.save()


def loaded(case: Case, binary: str, stream: bytes, version: str | None = None) -> LoadResult:
    """What the case's target does with a stream."""
    with Guest(case.arguments(target=True, version=version), binary=binary, incoming=True) as guest:
        return guest.load(stream)


def record(out: Path, case: Case, source: tuple[str, str], target: tuple[str, str]) -> None:
    """Write one case; `source` and `target` are the version and the binary of each side."""
    version = min((source[0], target[0]), key=lambda text: tuple(map(int, text.split("."))))
    folder = out / f"{case.name}-{source[0]}-{target[0]}"
    folder.mkdir(parents=True, exist_ok=True)
    stream = saved(case, source[1], version)
    result = loaded(case, target[1], stream, version)
    for name, data in (("source", stream), ("target", fresh(case, target[1], version))):
        (folder / f"{name}.mig.xz").write_bytes(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))
    outcome = {
        "source": {"version": source[0], "args": case.arguments(target=False, version=version)},
        "target": {"version": target[0], "args": case.arguments(target=True, version=version)},
        "status": result.status,
        "stderr": result.stderr,
    }
    (folder / "outcome.json").write_text(json.dumps(outcome, indent=1) + "\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """Record RECORDED with the binaries given."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--qemu", action="append", default=[], metavar="VERSION=BIN")
    options = parser.parse_args(arguments)
    binaries = dict(pair.split("=", 1) for pair in options.qemu)
    cases = {case.name: case for case in CASES}
    for name, source, target in RECORDED:
        record(options.out, cases[name], (source, binaries[source]), (target, binaries[target]))


if __name__ == "__main__":
    main()
