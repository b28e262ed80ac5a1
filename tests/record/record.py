"""One QEMU, asked: its vmstates by -dump-vmstate, and the configuration spaces of its devices by qtest.

Source: QEMU system/vl.c and migration/savevm.c (dump_vmstate_json_to_file), docs/devel/qtest.rst.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msixtool.qemu.recorded
from tests.live.devices import version
from tests.record.probe import functions

FOLDER = Path(msixtool.qemu.recorded.__file__).parent
_NO_DEVICE = "vmschkmachine"

Record = dict[str, Any]


def record(binary: str) -> Record:
    """All that the package reads of a QEMU: JSON of the documented form of qemu/recorded."""
    dumped = _dump(binary)
    return {
        "release": ".".join(map(str, version(binary))),
        "vmsds": dict(sorted(_vmsds(dumped).items())),
        "subsections": sorted(set(_subsections(dumped))),
        "functions": functions(binary),
    }


def text_of(made: Record) -> str:
    """JSON with a line for each entry, so that two releases can be compared line by line."""
    parts = []
    for key, value in made.items():
        text = json.dumps(value)
        if isinstance(value, dict):
            rows = ",\n".join(f"  {json.dumps(name)}: {json.dumps(row)}" for name, row in value.items())
            text = f"{{\n{rows}\n }}"
        elif isinstance(value, list):
            text = "[\n" + ",\n".join(f"  {json.dumps(row)}" for row in value) + "\n ]"
        parts.append(f' "{key}": {text}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _dump(binary: str) -> dict[str, Any]:
    command = [binary, "-machine", "q35", "-display", "none", "-dump-vmstate", "/dev/stdout"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    dumped: dict[str, Any] = json.loads(run.stdout)
    del dumped[_NO_DEVICE]
    return {name: device for name, device in dumped.items() if "Description" in device}


def _vmsds(dumped: dict[str, Any]) -> dict[str, list[int]]:
    """version_id and minimum_version_id of each device's vmsd, but of those that two have in two versions."""
    found: dict[str, set[tuple[int, int]]] = {}
    for device in dumped.values():
        vmsd = device["Description"]
        versions = (vmsd["version_id"], vmsd["minimum_version_id"])
        found.setdefault(vmsd["name"], set()).add(versions)
    return {name: list(versions.pop()) for name, versions in found.items() if len(versions) == 1}


def _subsections(dumped: dict[str, Any]) -> Iterator[str]:
    for device in dumped.values():
        yield from _inside(device["Description"])


def _inside(vmsd: dict[str, Any]) -> Iterator[str]:
    for subsection in vmsd.get("Subsections", ()):
        yield subsection["name"]
        yield from _inside(subsection)
    for field in vmsd.get("Fields", ()):
        if "Description" in field:
            yield from _inside(field["Description"])
