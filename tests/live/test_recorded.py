"""What is recorded of an installed QEMU is what it says today."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.live.devices import version
from tests.record.record import FOLDER, record


def test_a_qemu_says_what_is_recorded_of_its_release(qemu: str) -> None:
    if shutil.which("qemu-img") is None:
        pytest.skip("no qemu-img is installed")
    path = FOLDER / f"{'.'.join(map(str, version(qemu)))}.json"
    if not path.exists():
        pytest.skip(f"{path.name} is not recorded: python -m tests.record {qemu}")
    assert record(qemu) == json.loads(path.read_text("utf-8"))
