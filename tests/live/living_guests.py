"""Captures of living Linux guests of all kinds, and what trace says of them: none of it may be lost.

    python -m tests.live.living_guests COUNT [--qemu 5.2=CHROOT …] [--only NAME …]

takes COUNT captures of each guest with the installed QEMU, and with the one in each CHROOT; a JSON line each.
The figures of a long run stand in docs/trace.md. The guest's kernel is that of tests/live/linux.py.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from msixtool import Dump
from msixtool.tasks.trace import trace

from .guest import find_qemu
from .linux import DEVICES, Linux, disk, initrd, net
from .wire import GuestError

_PORTS = ["-device", "pcie-root-port,id=rp1,chassis=1", "-device", "pcie-root-port,id=rp2,chassis=2"]
_IOMMU = ["-device", "intel-iommu,intremap=on"]
_LEGACY = ",disable-modern=on,disable-legacy=off"
_PINGS = "for i in 1 2 3; do (while :; do ping -i 0.002 -q -s 1000 -c 9999 10.0.2.2 > /dev/null; done) & done"
_REMAPPED: dict[str, Any] = {"machine": "q35,kernel-irqchip=split", "append": "intel_iommu=on"}


@dataclass(frozen=True)
class Kind:
    """One guest: the arguments of Linux, more lines of its init, and what is done to it meanwhile."""

    options: dict[str, Any] = field(default_factory=dict)
    extra: str = ""
    booting: bool = False
    resets: bool = False


KINDS = {
    "split": Kind(),
    "packed": Kind({"devices": [*disk(",packed=on"), *net(",packed=on")]}),
    "no-event-idx": Kind({"devices": [*disk(",event_idx=off"), *net(",event_idx=off")]}),
    "legacy": Kind({"machine": "pc", "devices": [*disk(_LEGACY), *net(_LEGACY)]}),
    "root-ports": Kind({"cpus": "4", "devices": [*_PORTS, *disk(",bus=rp1"), *net(",bus=rp2")]}),
    "remapped": Kind({**_REMAPPED, "devices": [*_IOMMU, *DEVICES]}),
    "idle=poll": Kind({"append": "idle=poll"}),
    "threaded": Kind({"append": "threadirqs"}, extra="echo 1 > /sys/class/net/eth0/threaded"),
    "one-vector": Kind({"cpus": "4", "devices": [*disk(",vectors=2"), *net()]}),
    "nomsi": Kind({"append": "pci=nomsi"}),
    "x2apic": Kind({"cpus": "10", "memory": 160, "devices": [*DEVICES, "-cpu", "qemu64,+x2apic"]}),
    "sparse": Kind({"cpus": "6,sockets=2,cores=3,threads=1", "memory": 192}),
    "boot": Kind(booting=True),
    "reboot": Kind(resets=True),
    "translated": Kind(
        {
            **_REMAPPED,
            "devices": [*_IOMMU, *disk(",iommu_platform=on,disable-legacy=on"), *net(",iommu_platform=on")],
        }
    ),
    "one-cpu": Kind({"cpus": "1"}),
    "busy": Kind(extra=_PINGS),
    "3-gib": Kind({"memory": 3000}),
}


def captured(kind: Kind, binary: str, chroot: str, count: int) -> dict[str, Any]:
    """What trace says of `count` captures of one guest, each fifth with a later one besides."""
    told = dict.fromkeys(("captures", "rows", "owed", "lost", "suspects", "later"), 0)
    with Linux(binary, chroot=chroot, init=initrd(extra=kind.extra), **kind.options) as guest:
        if not kind.booting and not guest.goes_on(3):
            raise GuestError(f"does not boot: {guest.console()[-200:]}")
        for number in range(count):
            if kind.resets and number % 6 == 0:
                guest.qmp.execute("system_reset")
            time.sleep(random.uniform(0.05, 0.4))
            with Dump.open(io.BytesIO(guest.capture())) as dump:
                found = trace(dump)
                rows = [row for each in found.devices for row in each.interrupts]
                told["captures"] += 1
                told["rows"] += len(rows)
                told["owed"] += sum(row.owed is True for row in rows)
                told["lost"] += len(found.lost)
                told["suspects"] += len(found.suspects)
                if number % 5 == 4:
                    time.sleep(1.2)
                    with Dump.open(io.BytesIO(guest.capture())) as later:
                        told["later"] += len(trace(dump, later=later).lost)
    return told


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("count", type=int)
    parser.add_argument("--qemu", nargs="*", default=[], metavar="NAME=CHROOT")
    parser.add_argument("--only", nargs="*", choices=list(KINDS), default=list(KINDS))
    asked = parser.parse_args()
    installed = find_qemu()
    qemus = {"installed": (installed, "")} if installed else {}
    for each in asked.qemu:
        name, _, chroot = each.partition("=")
        qemus[name] = ("qemu-system-x86_64", chroot)
    wrong = 0
    for name in asked.only:
        for release, (binary, chroot) in qemus.items():
            assert binary is not None
            try:
                told = captured(KINDS[name], binary, chroot, asked.count)
                wrong += told["lost"] + told["later"]
            except GuestError as error:
                told = {"error": str(error)}
            print(json.dumps({"guest": name, "qemu": release, **told}), flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
