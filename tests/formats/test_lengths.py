"""The list of arrays and buffers whose length is a field of the stream is whole."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from msixtool.formats.lengths import SIZED_BY

TREES = [Path(path) for path in os.environ.get("MSIXTOOL_QEMU_SOURCE", "").split(os.pathsep) if path]
ELSEWHERE = {"configuration", "configuration/capabilities", "virtio-net-device", "virtio-net-device/rss"}
"""Read by schemas of their own."""
NO_STREAM = {"cpr fd", "cpr vfio device"}
"""Handed over beside the stream (cpr-transfer)."""


def calls(text: str) -> Iterator[tuple[str, list[str]]]:
    """Each VMSTATE_ macro in a description, and its arguments."""
    for found in re.finditer(r"(VMSTATE_\w+)\s*\(((?:[^()]|\([^()]*\))*)\)", text):
        yield found[1], [each.strip() for each in re.split(r",(?![^()]*\))", found[2])]


def sized_in(tree: Path) -> dict[tuple[str, str], str]:
    """(vmsd, field): the field that says its length and that a load takes as it comes, of a source tree."""
    texts = [path.read_text(errors="replace") for path in tree.rglob("*.[ch]") if "tests" not in path.parts]
    names = dict(re.findall(r'#define\s+(TYPE_\w+)\s+"([^"]*)"', "\n".join(texts)))
    sized = {}
    for text in texts:
        for found in re.finditer(r"VMStateDescription\s+\w+\s*=\s*\{(.*?)\n\};", text, re.DOTALL):
            name = re.search(r"\.name\s*=\s*(\"[^\"]*\"|\w+)", found[1])
            vmsd = name[1].strip('"') if name else ""
            loaded: set[str] = set()
            for macro, arguments in calls(found[1]):
                if re.search(r"VARRAY|VBUFFER", macro):
                    for length in loaded.intersection(arguments[1:]):
                        sized[names.get(vmsd, vmsd), arguments[0]] = length
                elif re.match(r"VMSTATE_U?INT\d+(_V|_TEST)?$", macro):
                    loaded.add(arguments[0])
    return sized


@pytest.mark.skipif(not TREES, reason="MSIXTOOL_QEMU_SOURCE names no QEMU source tree")
def test_each_array_of_qemus_source_that_the_stream_sizes_is_listed() -> None:
    for tree in TREES:
        found = sized_in(tree)
        assert len(found) > 15, tree.name
        for (vmsd, field), length in found.items():
            if vmsd not in ELSEWHERE | NO_STREAM:
                assert (vmsd, field) in SIZED_BY, f"{tree.name}: {vmsd}/{field} is as long as {length} says"
