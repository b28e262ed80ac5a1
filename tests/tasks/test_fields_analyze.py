"""Value for value the same as QEMU's own scripts/analyze-migration.py, where that is at hand.

MSIXTOOL_ANALYZE_MIGRATION is the path of the script: it comes with QEMU's source (Debian:
`apt-get source qemu`), and 10.2's is the one that this was written against.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from msixtool import Dump
from msixtool.formats.qevm import ItemType
from msixtool.tasks.field_tree import Elements, Group, Leaf, Node
from msixtool.tasks.fields import read_section, select_sections
from tests.conftest import unpacked

SCRIPT = os.environ.get("MSIXTOOL_ANALYZE_MIGRATION", "")

pytestmark = pytest.mark.skipif(
    not Path(SCRIPT).is_file(), reason="MSIXTOOL_ANALYZE_MIGRATION names no analyze-migration.py"
)

_NUMBER = re.compile(r"0x([0-9a-f]+)(?: \(-\d+\))?")


def why_the_script_fails(dump: Dump) -> str | None:
    """The streams that analyze-migration.py of 10.2 cannot read, by what is in them."""
    index = dump.index
    if index.description is None:
        return "no vmdesc"
    if b"{" in len(index.description.text).to_bytes(4, "big").rpartition(b"\0")[2]:
        return "the vmdesc's length has a byte that looks like its opening brace"
    if index.mapped_ram:
        return "mapped-ram"
    if index.ram is not None and index.ram.compressed:
        return "compressed pages"
    if any(
        item.idstr not in ("switchover-start", None) for item in index.items if item.type == ItemType.COMMAND
    ):
        return "a command other than SWITCHOVER_START"
    if "configuration" not in index.description.document and (index.capabilities or index.uuid):
        return "subsections of a configuration section that the vmdesc (up to 8.1) does not describe"
    return None


def test_every_value_that_the_script_shows_is_the_same_here(stream_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "stream"
    path.write_bytes(unpacked(stream_path))
    run = subprocess.run(
        [sys.executable, SCRIPT, "-f", str(path), "-d", "state"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    with Dump.open(path, walk=True) as dump:
        reason = why_the_script_fails(dump)
        assert (run.returncode != 0) == (reason is not None), run.stderr[-300:]
        if reason is not None:
            pytest.skip(f"the script fails on this stream: {reason}")
        shown = {int(key.rsplit("(", 1)[1][:-1]): value for key, value in json.loads(run.stdout).items()}
        for item in select_sections(dump, None):
            section = read_section(dump, item)
            assert section.damage is None
            theirs = shown.pop(item.section_id)
            if isinstance(theirs, dict):
                compare(section.tree, theirs, section.data, section.name)
            else:
                assert theirs == ""  # a section without fields
        assert [
            value for value in shown.values() if not isinstance(value, dict) or "section sizes" not in value
        ] == []


def compare(ours: Node, theirs: Any, data: bytes, path: str) -> None:
    """Compare one node with what the script shows of it."""
    if isinstance(theirs, dict):
        assert isinstance(ours, Group), path
        assert ours.members.keys() == theirs.keys(), path
        for name, value in theirs.items():
            compare(ours.members[name], value, data, f"{path}/{name}")
    elif isinstance(theirs, list):
        elements = elements_of(ours)
        assert len(elements) == len(theirs), path
        for index, (one, value) in enumerate(zip(elements, theirs, strict=True)):
            compare(one, value, data, f"{path}[{index}]")
    elif isinstance(ours, Leaf) and ours.count is None:
        assert same_value(ours.value(data), theirs), (path, ours.value(data), theirs)
    else:
        # The script shows the bytes of what it does not know; here they are decoded.
        compare_bytes(ours, theirs, data, path)


def elements_of(node: Node) -> list[Node]:
    if isinstance(node, Elements):
        return node.elements
    assert isinstance(node, Leaf)
    assert node.count is not None
    return [node.element(index) for index in range(node.count)]


def same_value(ours: Any, theirs: Any) -> bool:
    """Whether a value of ours is the one that the script prints."""
    if isinstance(ours, bool) or isinstance(theirs, bool):
        return ours is theirs
    if ours is None:
        return theirs in ("nullptr", "30")
    number = _NUMBER.fullmatch(theirs)
    if number is not None:
        return isinstance(ours, int) and ours % (1 << 4 * len(number[1])) == int(number[1], 16)
    digits = theirs.replace(" ", "")
    if isinstance(ours, int):
        return ours == int(digits, 16)  # a timer, which the script shows as bytes
    return bool(ours == digits)


def compare_bytes(node: Node, theirs: str, data: bytes, path: str) -> None:
    """Every value in `node` must stand at its place in the bytes that the script shows."""
    blob = bytes.fromhex(theirs)
    leaves = list(leaves_of(node))
    base = leaves[0].offset if leaves else 0
    for leaf in leaves:
        start = leaf.offset - base
        assert data[leaf.offset : leaf.offset + leaf.length] == blob[start : start + leaf.length], path
    if leaves:
        assert leaves[-1].offset + leaves[-1].length - base == len(blob), path


def leaves_of(node: Node) -> list[Leaf]:
    if isinstance(node, Leaf):
        return [node]
    below = node.elements if isinstance(node, Elements) else list(node.members.values())
    return [leaf for member in below for leaf in leaves_of(member)]
