"""What QEMU's releases said of themselves when they were asked: RELEASE.json for each that was.

`python -m tests.record QEMU` in the repository writes one. Each has
`vmsds`: version_id and minimum_version_id of the vmsd of each device type, by its name, and
`subsections`: the names of all subsections that are nested in them, and
`functions`: of kinds whose configuration space no property changes, by the name of their section: header
layout, capabilities (id and offset), BARs (size and type), and what a guest can write of power management's
Control and Status (`power`), of the error reporting in Device Control (`errors`) and of Link Control
(`link`).

Source: the -dump-vmstate of x86_64 builds. What it does not show (CPUs and virtio save themselves in code)
stands in qemu/vmstates.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from msixtool.qemu.versions import Version, parse_version

Record = Mapping[str, Any]


@lru_cache(maxsize=1)
def releases() -> dict[Version, Record]:
    """The records by release, the oldest first."""
    import json
    from pathlib import Path

    paths = Path(__file__).parent.glob("*.json")
    found = {parse_version(path.stem): json.loads(path.read_text("utf-8")) for path in paths}
    return dict(sorted(found.items()))


def function_of(section: str) -> Record:
    """The configuration space of a kind of device in the newest release that has it.

    Raises LookupError where none was recorded with it.
    """
    for record in reversed(releases().values()):
        if section in record["functions"]:
            found: Record = record["functions"][section]
            return found
    raise LookupError(f"no release is recorded with {section}")
