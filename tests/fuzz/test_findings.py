"""What the harness has found, each as the smallest input that shows it: it is read, or refused in one line.

A file is called READER.WHAT-IT-SHOWS; where a second input belongs to it, that has `.other` at its end.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tests.fuzz import bases, worker
from tests.fuzz.outcome import Input
from tests.fuzz.readers import READERS

FILES = sorted(path for path in bases.FINDINGS.iterdir() if path.suffix != ".other")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_finding_is_no_defect_any_more(path: Path) -> None:
    reader = READERS[path.name.partition(".")[0]]
    if reader.name == "qmp" and importlib.util.find_spec("qemu") is None:
        pytest.skip("qemu.qmp is not installed")
    other = path.with_name(path.name + ".other")
    made = Input(path.name, path.read_bytes(), other.read_bytes() if other.exists() else b"")
    ran = worker.run_input(reader, made, watched=False)
    assert not ran.kind, ran.text
    assert ran.outcome is not None
