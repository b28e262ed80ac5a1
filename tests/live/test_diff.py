"""`diff` on saves of a real QEMU: a stopped VM is equal to itself, and of a running one only clocks move."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path

import pytest

import msixtool
from msixtool import Dump
from msixtool.tasks.diff import diff_devices, side_of
from msixtool.tasks.diff_fields import FieldDiff, diff_fields
from msixtool.tasks.ram_digest import diff_ram, digest_ram

from .guest import Guest

MACHINE = (
    *("-machine", "q35", "-rtc", "base=2026-01-01,clock=vm"),
    *("-device", "e1000e,romfile=", "-device", "virtio-net-pci,romfile=", "-device", "rtl8139,romfile="),
)


def compared(a: Dump, b: Dump) -> FieldDiff:
    """All fields; devices with MSI-X and RAM must be equal."""
    assert diff_devices([side_of(one) for one in a.devices], [side_of(one) for one in b.devices]) == []
    assert diff_ram(digest_ram(a)[0], digest_ram(b)[0]) == []
    return diff_fields(a, b)


def test_two_saves_of_a_stopped_vm_are_equal(qemu: str, tmp_path: Path) -> None:
    program = shutil.which("qemu-img")
    if program is None:
        pytest.skip("no qemu-img is installed")
    image = tmp_path / "image.qcow2"
    subprocess.run([program, "create", "-q", "-f", "qcow2", str(image), "1M"], check=True)
    drive = ("-drive", f"if=none,id=disk,format=qcow2,file={image}")
    with Guest([*MACHINE, *drive], binary=qemu) as guest:
        guest.place()
        for name in ("first", "second"):
            said = guest.qmp.execute("human-monitor-command", **{"command-line": f"savevm {name}"})
            assert said == ""
    with Dump.open(image, snapshot="first") as a, Dump.open(image, snapshot="second") as b:
        assert compared(a, b).changes == ()


def halted(guest: Guest) -> bytes:
    """A save of the guest once its CPU has come to its halt, which takes a while on a busy machine."""
    for _ in range(500):
        guest.tick()
        saved = guest.save()
        with msixtool.Dump.open(io.BytesIO(saved)) as dump:
            (section,) = dump.fields("cpu_common").document()["sections"]
        if section["fields"]["halted"] == 1:
            return saved
    raise AssertionError("the CPU does not halt")


def test_of_a_vm_that_ran_but_did_nothing_only_clocks_and_timers_move(qemu: str) -> None:
    with Guest(MACHINE, binary=qemu) as guest:
        guest.place()
        first = halted(guest)
        guest.tick()
        second = guest.save()
    with Dump.open(io.BytesIO(first)) as a, Dump.open(io.BytesIO(second)) as b:
        changes = compared(a, b).changes
    assert [change for change in changes if not change.moving] == []
    assert {"cpu_clock_offset", "cpu_ticks_offset", "TCTR"} <= {change.field for change in changes}
