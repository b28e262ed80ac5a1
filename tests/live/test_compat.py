"""Changed properties, really tried: what the installed QEMU does is what `compat` predicts.

Each case of compat_cases.py is saved, loaded into its target, and predicted from the two streams;
verdict, first cause, section and configuration offset must be what QEMU said.
"""

from __future__ import annotations

import io
import shlex
import subprocess
from functools import cache
from pathlib import Path

import pytest

from msixtool import Dump
from msixtool.cli import run
from msixtool.tasks.compat import compare
from msixtool.tasks.compat.vmstate_diff import compare_files
from msixtool.tasks.compat.vmstate_file import read_vmstate_file
from msixtool.tasks.explain import explain
from msixtool.tasks.finding import Code
from tests.conftest import REPOSITORY

from .compat_cases import CASES, Case, fresh, loaded, saved
from .devices import device_names, version

SAMPLE = REPOSITORY / "samples" / "q35-net-4-vectors-7.2.mig.xz"


@cache
def source_of(case: Case, qemu: str) -> bytes:
    return saved(case, qemu)


def available(case: Case, qemu: str) -> bool:
    names = {device.partition(",")[0] for device in (*case.source, *case.target)}
    return version(qemu) >= case.since and names <= device_names(qemu)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_prediction_is_what_qemu_does(case: Case, qemu: str) -> None:
    if not available(case, qemu):
        pytest.skip("this QEMU has not all of the case's devices, or cannot save them")
    stream = source_of(case, qemu)
    target = fresh(case, qemu)
    with Dump.open(io.BytesIO(stream)) as one, Dump.open(io.BytesIO(target)) as other:
        predicted = compare(one, other, target_version=version(qemu))
    result = loaded(case, qemu, stream)
    assert predicted.compatible == result.ok, (predicted.first, result.stderr)
    if predicted.first is not None:
        told = explain(io.BytesIO(result.stderr.encode()))[0].told
        if told.code is not Code.OTHER:
            assert predicted.first.code is told.code, result.stderr
        if told.section is not None:
            assert predicted.first.section == told.section
        assert predicted.first.config_offset == told.config_offset, result.stderr


def command(qemu: str, vectors: int) -> str:
    """A command line like the sample's."""
    nic = f"virtio-net-pci,romfile=,addr=2,vectors={vectors}"
    return shlex.join([qemu, "-M", "q35", "-m", "8", "-accel", "tcg", "-nodefaults", "-device", nic])


@pytest.fixture
def stream(qemu: str, tmp_path: Path) -> Path:
    """A stream of the command with 4 vectors."""
    path = tmp_path / "source.mig"
    words = shlex.split(command(qemu, 4))
    # The harness has a BIOS image and settings of its own: the real command makes this one.
    assert run(["capture", "-o", str(path), "--run", "--", *words, "-display", "none"]) == 0
    return path


def test_a_command_is_the_target_and_really_loads_it(
    qemu: str, stream: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert run(["compat", str(stream), "--qemu", command(qemu, 4), "--try"]) == 0
    shown = capsys.readouterr()
    assert "Nothing was found that stops the load." in shown.out
    assert "Tried: QEMU loaded it, as predicted." in shown.out


def test_a_command_that_refuses_is_predicted_with_its_reason(
    qemu: str, stream: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert run(["compat", str(stream), "--qemu", command(qemu, 3), "--try"]) == 1
    shown = capsys.readouterr().out
    assert "1. 0000:00:02.0/virtio-net: config-mismatch at 0x9a" in shown
    assert "MSI-X table size: 4 vectors, the target has 3" in shown
    assert "Tried: QEMU refused it, as predicted:" in shown
    assert "Bad config data: i=0x9a" in shown


def test_a_command_that_does_not_start_is_an_error_with_qemus_words(
    qemu: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["compat", str(SAMPLE), "--qemu", f"{qemu} -display none -device nosuchdevice"]) == 2
    shown = capsys.readouterr()
    assert "nosuchdevice" in shown.err
    assert len(shown.err.splitlines()) == 1


def test_the_vmstate_description_of_a_real_qemu_is_read(qemu: str, tmp_path: Path) -> None:
    path = tmp_path / "vmstate.json"
    subprocess.run(
        [qemu, "-machine", "q35", "-display", "none", "-dump-vmstate", str(path)],
        check=True,
        capture_output=True,
        timeout=120,
    )
    described = read_vmstate_file(str(path))
    assert described.machine.startswith("pc-q35-")
    (device,) = described.layouts("PCIDevice")[:1]
    assert (device.version, device.minimum_version) == (2, 1)
    assert [field.size for field in device.fields if field.name == "config"] == [256, 4096]
    assert any(each.name == "ide_drive/pio_state" for each in described.layouts("ide_drive")[0].subsections)
    assert compare_files(described, described) == []
