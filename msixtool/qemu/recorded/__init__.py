"""What QEMU's releases said of themselves when they were asked: RELEASE.json for each that was.

`python -m tests.record QEMU` in the repository writes one. Each has
`vmsds`: version_id and minimum_version_id of the vmsd of each device type, by its name, and
`subsections`: the names of all subsections that are nested in them.

Source: the -dump-vmstate of x86_64 builds. What it does not show (CPUs and virtio save themselves in code)
stands in qemu/vmstates.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from msixtool.qemu.versions import Version, parse_version

Record = Mapping[str, Any]


@lru_cache(maxsize=1)
def releases() -> dict[Version, Record]:
    """The records by release, the oldest first."""
    paths = Path(__file__).parent.glob("*.json")
    found = {parse_version(path.stem): json.loads(path.read_text("utf-8")) for path in paths}
    return dict(sorted(found.items()))
