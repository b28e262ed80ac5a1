"""The story of docs/explain.md, from a KubeVirt status to the mended command line, with a real QEMU."""

from __future__ import annotations

import io
import re
import shlex
from pathlib import Path

from msixtool.tasks.explain import explain
from tests.conftest import REPOSITORY

from .guest import Guest

STATUS = REPOSITORY / "tests" / "data" / "logs" / "kubevirt-status.yaml"
PAGE = REPOSITORY / "docs" / "explain.md"
SIZES = {"/roms/old.rom": 200 << 10, "/roms/new.rom": 400 << 10}


def command_lines() -> dict[str, list[str]]:
    """The command lines of the page, by what they are called there."""
    found = re.findall(r"^(source|target|mended): (-machine .*)$", PAGE.read_text(), re.MULTILINE)
    return {name: shlex.split(line) for name, line in found}


def test_the_status_says_what_qemu_says_and_the_mended_command_line_loads(qemu: str, tmp_path: Path) -> None:
    for name, size in SIZES.items():
        (tmp_path / Path(name).name).write_bytes(bytes(size))
    source, target, mended = (
        [word.replace("/roms", str(tmp_path)) for word in command_lines()[name]]
        for name in ("source", "target", "mended")
    )
    with Guest(source, binary=qemu) as guest:
        stream = guest.save()
    with Guest(target, binary=qemu, incoming=True) as guest:
        refused = guest.load(stream)
    assert not refused.ok
    said, shown = (
        [each.text for each in explain(io.BytesIO(data))]
        for data in (refused.stderr.encode(), STATUS.read_bytes())
    )
    assert said == shown
    with Guest(mended, binary=qemu, incoming=True) as guest:
        loaded = guest.load(stream)
    assert loaded.ok, loaded.stderr
