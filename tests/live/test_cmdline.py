"""The command lines that `cmdline` makes, really tried: the QEMU that wrote a stream loads it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from msixtool import Dump
from msixtool.cli import run
from msixtool.tasks.cmdline import command_line
from msixtool.tasks.compat.qemu_target import try_load
from tests.conftest import REPOSITORY

from .devices import version

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
