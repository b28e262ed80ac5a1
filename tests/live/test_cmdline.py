"""The command lines that `cmdline` makes, really tried: the QEMU that wrote a stream loads it."""

from __future__ import annotations

import json
import re
import shutil
from contextlib import ExitStack
from pathlib import Path

import pytest

from msixtool import Dump
from msixtool.cli import run
from msixtool.errors import InputError
from msixtool.tasks.cmdline import command_line
from msixtool.tasks.compat.qemu_target import fresh_target, try_load
from tests.conftest import REPOSITORY

from .devices import version
from .saved import save_fresh

RECORDED = sorted((REPOSITORY / "tests" / "data" / "cmdline").glob("*/source.mig.xz"))


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.parent.name)
def test_a_stream_loads_into_its_command_line(path: Path, qemu: str, tmp_path: Path) -> None:
    if version(qemu)[:2] != (7, 2):
        pytest.skip("the streams were written by QEMU 7.2")
    bios = tmp_path / "blank,bios"
    with Dump.open(path) as dump:
        bios.write_bytes(bytes(command_line(dump).firmware or 0))
        command = command_line(dump, version=(7, 2), program=qemu, bios=str(bios))
        trial = try_load([command.program, *command.args, "-accel", "tcg", "-display", "none"], dump)
    assert trial.loaded, trial.stderr


def test_a_stream_is_compared_with_the_target_that_it_needs(
    qemu: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if version(qemu)[:2] != (7, 2):
        pytest.skip("the streams were written by QEMU 7.2")
    status = run(["compat", *map(str, RECORDED[:2]), "--on", qemu, "--try", "--json"])
    documents = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert status == 0
    assert [document["compatible"] for document in documents] == [True, True]
    assert [document["tried"]["loaded"] for document in documents] == [True, True]
    assert all(document["cmdline"][0] == "-nodefaults" for document in documents)


MACHINES = {
    "microvm": "-M microvm -device virtio-rng-device",
    "microvm with PCI": "-M microvm,pit=off,pic=off,pcie=on -device virtio-net-pci -device virtio-rng-device",
    "microvm with USB": "-M microvm,acpi=off,rtc=off -netdev user,id=n -device virtio-net-device,netdev=n",
    "microvm with a bus behind a transport": "-M microvm -device virtio-scsi-device,id=s,num_queues=3"
    " -drive if=none,id=d,driver=null-co,size=1M -device scsi-hd,bus=s.0,drive=d,scsi-id=2"
    " -device virtio-serial-device,id=v,max_ports=5 -chardev null,id=c"
    " -device virtserialport,bus=v.0,nr=3,chardev=c",
    "two baseboard controllers": "-M pc -device ipmi-bmc-sim,id=a -device isa-ipmi-kcs,bmc=a"
    " -device ipmi-bmc-sim,id=b -device pci-ipmi-bt,bmc=b",
    "a display without a section": "-M q35,smbus=off -device ati-vga",
    "a monitor's data beside it": "-M q35 -device ati-vga -device i2c-ddc",
    "an empty expander": "-M q35,cxl=on -device pxb-cxl,id=x,bus_nr=52 -device virtio-rng-pci,bus=pcie.0",
    "a CAN bus": "-M pc -object can-bus,id=c -device kvaser_pci,canbus=c",
    "a bridge for a seat": "-M pc -device pci-bridge-seat,id=s,chassis_nr=3 -device e1000,bus=s,addr=2",
    "both generations": "-M q35 -device virtio-net-pci-transitional -device virtio-rng-pci-transitional",
    "IndustryPack": "-M pc -device tpci200 -device ipoctal232",
}


@pytest.mark.parametrize("words", MACHINES.values(), ids=list(MACHINES))
def test_a_machine_is_made_again_from_its_stream(qemu: str, words: str) -> None:
    """Saved and loaded by the same QEMU: what it writes of a machine is enough to write its command."""
    made = [qemu, "-nodefaults", "-display", "none", *words.split()]
    with ExitStack() as stack:
        try:
            fresh = stack.enter_context(fresh_target(made))
        except InputError as error:
            if "Detected duplicate SaveStateEntry" in str(error):
                pytest.skip("this QEMU cannot have two of the device")
            raise
        dump = stack.enter_context(Dump.open(fresh.stream))
        command = command_line(dump, version=version(qemu)[:2], program=qemu)
        trial = try_load([qemu, *command.args, "-display", "none"], dump)
    assert trial.loaded, (command.args, trial.stderr)
    assert "-cpu" not in {note.option for note in command.notes}, "no guest has run"


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("-M q35 -device e1000e,subsys=0x4321", ["subsys=17185"]),
        ("-M q35 -device pcie-root-port,disable-acs=on,chassis=1", ["disable-acs=on"]),
        ("-M q35 -device intel-hda,old_msi_addr=on -device pcie-root-port,disable-acs=on,chassis=1",
         ["old_msi_addr=on", "disable-acs=on"]),
    ],
)  # fmt: skip
def test_a_property_that_is_not_known_is_found_by_trying(
    qemu: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: str, found: list[str]
) -> None:
    saved = tmp_path / "saved.mig"
    try:
        save_fresh(qemu, words, saved)
    except InputError as error:
        if re.search("Property '[^']*' not found", str(error)) is None:
            raise
        pytest.skip("this QEMU has the property no longer")
    status = run(["cmdline", str(saved), "--check", qemu, "--json"])
    document = json.loads(capsys.readouterr().out)
    assert status == 0
    notes = [note["message"] for note in document["notes"] if "found by trying" in note["message"]]
    for prop in found:
        assert any(word.endswith(f",{prop}") for word in document["args"])
        assert any(f" {prop}: found" in note for note in notes)
    assert len(notes) == len(found)


OTHERS = {
    "Arm": "qemu-system-aarch64 -M virt,gic-version=3,iommu=smmuv3 -cpu cortex-a53 -smp 2"
    " -device pcie-root-port,id=p,chassis=1 -device virtio-rng-pci,bus=p -device virtio-rng-device",
    "Arm with all levels": "qemu-system-aarch64 -M virt,virtualization=on,secure=on -cpu neoverse-n1",
    "Arm without a hypervisor": "qemu-system-aarch64 -M virt,secure=on,acpi=off -cpu cortex-a76",
    "RISC-V": "qemu-system-riscv64 -M virt,aia=aplic -bios none -device virtio-net-pci,romfile=",
    "POWER": "qemu-system-ppc64 -M pseries,cap-ibs=broken -m 256 -smp 1,maxcpus=4 -cpu power9"
    " -device spapr-pci-host-bridge,index=2,id=h -device virtio-rng-pci,bus=h.0 -chardev null,id=c"
    " -device virtio-serial-pci,id=s -device virtserialport,bus=s.0,nr=2,chardev=c -device spapr-vscsi,id=v"
    " -drive if=none,id=d,driver=null-co,size=1M -device scsi-hd,bus=v.0,drive=d",
    "POWER of long ago": "qemu-system-ppc64 -M pseries-4.1 -m 256 -smp 2",
    "an older POWER": "qemu-system-ppc64 -M pseries-3.1 -m 256 -cpu power8 -device e1000,romfile=",
}


@pytest.mark.parametrize("words", OTHERS.values(), ids=list(OTHERS))
def test_a_machine_that_is_no_pc_is_made_again(words: str) -> None:
    program, *rest = words.split()
    if shutil.which(program) is None:
        pytest.skip(f"no {program} is installed")
    made = [program, "-nodefaults", "-display", "none", *rest]
    with fresh_target(made) as fresh, Dump.open(fresh.stream) as dump:
        command = command_line(dump, version=version(program)[:2])
        trial = try_load([command.program, *command.args, "-display", "none"], dump)
    assert command.program == program
    assert trial.loaded, (command.args, trial.stderr)
