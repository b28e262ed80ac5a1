"""The samples: as their README has them, and made again by the installed QEMU."""

from __future__ import annotations

import hashlib
import lzma
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .devices import package

SAMPLES = Path(__file__).parents[2] / "samples"
MAKE = [sys.executable, str(SAMPLES / "make.py")]
ROW = re.compile(
    r"^\| `(\S+\.mig\.xz)` \| (\S+) \| `(\S+)` \| (\d+) \| (\d+) \| `([0-9a-f]{64})` \|$", re.MULTILINE
)
PROVENANCE = {row[0]: row[1:] for row in ROW.findall((SAMPLES / "README.md").read_text())}


def test_the_readme_tells_the_provenance_of_every_sample() -> None:
    files = {path.name: path.read_bytes() for path in SAMPLES.glob("*.mig.xz")}
    assert len(files) >= 6
    assert {name: (str(len(data)), hashlib.sha256(data).hexdigest()) for name, data in files.items()} == {
        name: (size, digest) for name, (_, _, size, _, digest) in PROVENANCE.items()
    }
    for name, data in files.items():
        stream = lzma.decompress(data)
        assert stream.startswith(b"QEVM")
        assert str(len(stream)) == PROVENANCE[name][3]


@pytest.mark.parametrize("name", ["q35-virtio-e1000e", "q35-function-mask"])
def test_a_sample_made_again_is_the_same(qemu: str, tmp_path: Path, name: str) -> None:
    subprocess.run([*MAKE, "--qemu", qemu, "--out", str(tmp_path), name], check=True, timeout=120)
    (made,) = tmp_path.iterdir()
    stream = lzma.decompress(made.read_bytes())
    assert stream.startswith(b"QEVM")
    if made.name not in PROVENANCE or PROVENANCE[made.name][1] != package(qemu):
        pytest.skip(f"{made.name} was committed from another QEMU than {package(qemu)}")
    assert stream == lzma.decompress((SAMPLES / made.name).read_bytes())


def test_a_sample_that_is_there_is_not_written_over(qemu: str, tmp_path: Path) -> None:
    command = [*MAKE, "--qemu", qemu, "--out", str(tmp_path), "pc-virtio-pending"]
    subprocess.run(command, check=True, timeout=120)
    (made,) = tmp_path.iterdir()
    made.write_bytes(b"mine")
    again = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert again.returncode == 1
    assert again.stderr == f"{made}: File exists\n"
    assert made.read_bytes() == b"mine"
    subprocess.run([*command, "--force"], check=True, timeout=120)
    assert lzma.decompress(made.read_bytes()).startswith(b"QEVM")


def test_an_unknown_sample_is_refused_with_a_list() -> None:
    result = subprocess.run([*MAKE, "--qemu", "true", "nosuch"], capture_output=True, text=True, timeout=120)
    assert result.returncode == 2
    assert "no such sample: nosuch" in result.stderr
