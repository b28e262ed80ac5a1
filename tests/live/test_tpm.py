"""A vTPM that the firmware has used: its state is as long as swtpm made it, and the same machine takes it."""

from __future__ import annotations

import io
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from msixtool import Dump

from .devices import device_names
from .guest import Guest
from .process import die_with_parent

PATIENCE = 120.0
"""Seconds that the firmware has to look for a disk, and swtpm to start, on a machine that is busy."""
BOOTED = "No bootable device"
"""What SeaBIOS writes when it is through, long after it has started the TPM."""

pytestmark = pytest.mark.skipif(shutil.which("swtpm") is None, reason="no swtpm is installed")


@contextmanager
def swtpm(folder: Path) -> Iterator[list[str]]:
    """A TPM with no history, and the arguments of a QEMU that has it; it ends with its QEMU."""
    folder.mkdir()
    control = folder / "control"
    command = [
        "swtpm",
        "socket",
        "--tpm2",
        "--tpmstate",
        f"dir={folder}",
        "--ctrl",
        f"type=unixio,path={control}",
    ]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=die_with_parent
    )
    try:
        until(control.exists, "swtpm has not started")
        yield ["-chardev", f"socket,id=tpm,path={control}", "-tpmdev", "emulator,id=emulated,chardev=tpm"]
    finally:
        process.terminate()
        process.wait()


def until(done: Callable[[], bool], otherwise: str) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.05)


@pytest.mark.parametrize("device", ["tpm-tis", "tpm-crb"])
def test_a_vtpm_that_was_used_loads_into_an_identical_machine(qemu: str, device: str, tmp_path: Path) -> None:
    if device not in device_names(qemu):
        pytest.skip("this QEMU has no such device")
    log = tmp_path / "firmware"
    pc = ["-machine", "q35", "-m", "32", "-bios", "bios-256k.bin", "-device", f"{device},tpmdev=emulated"]
    debug = ["-debugcon", f"file:{log}", "-global", "isa-debugcon.iobase=0x402"]
    with swtpm(tmp_path / "1") as tpm, Guest([*pc, *tpm, *debug], binary=qemu, timeout=PATIENCE) as guest:
        guest.qmp.execute("cont")
        until(lambda: log.exists() and BOOTED in log.read_text(errors="replace"), "the firmware hangs")
        guest.qmp.execute("stop")
        stream = guest.save()
    with swtpm(tmp_path / "2") as tpm, Guest([*pc, *tpm, *debug], binary=qemu, timeout=PATIENCE) as guest:
        fresh = guest.save()
    with (
        swtpm(tmp_path / "3") as tpm,
        Guest([*pc, *tpm, *debug], binary=qemu, timeout=PATIENCE, incoming=True) as guest,
    ):
        assert guest.load(stream).ok
    with Dump.open(io.BytesIO(stream)) as used, Dump.open(io.BytesIO(fresh)) as other:
        compared = used.compat(other)
        assert compared.compatible, compared.findings
        sizes = [
            each.fields("tpm-emulator")["tpm-emulator"].values()["state_blobs.volatil.size"]
            for each in (used, other)
        ]
    assert sizes[0] != sizes[1], "the firmware has used it"
