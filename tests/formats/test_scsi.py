"""Which way a SCSI command's data goes, as QEMU has it."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from msixtool.formats.scsi import READS_AND_WRITES, sends

TREES = [Path(path) for path in os.environ.get("MSIXTOOL_QEMU_SOURCE", "").split(os.pathsep) if path]
NO_DATA = {"SCAN", "UPDATE_BLOCK", "WRITE_LONG_10"}
"""Named among those that send, but a disk never moves anything for these codes."""


def command(text: str) -> bytes:
    return bytes.fromhex(text).ljust(16, b"\0")


@pytest.mark.parametrize(
    ("name", "cdb", "way"),
    [
        ("WRITE(10)", "2a 00 00 00 00 08 00 00 08", True),
        ("WRITE(6) of 256 blocks", "0a 00 00 08 00", True),
        ("WRITE(16)", "8a 00 00 00 00 00 00 00 00 08 00 00 00 08", True),
        ("READ(10)", "28 00 00 00 00 08 00 00 08", False),
        ("SYNCHRONIZE CACHE", "35", False),
        ("UNMAP", "42 00 00 00 00 00 00 00 18", True),
        ("UNMAP of nothing", "42", False),
        ("MODE SELECT(10)", "55 10 00 00 00 00 00 00 10", True),
        ("VERIFY without data", "2f 00 00 00 00 08 00 00 08", False),
        ("VERIFY with data", "2f 02 00 00 00 08 00 00 08", True),
        ("WRITE SAME(16)", "93 00 00 00 00 00 00 00 00 08 00 00 00 08", True),
        ("WRITE SAME(16) without data", "93 01 00 00 00 00 00 00 00 08 00 00 00 08", False),
        ("PERSISTENT RESERVE OUT", "5f 00 00 00 00 00 00 00 18", True),
        ("WRITE BUFFER", "3b 02 00 00 00 00 01 00 00", True),
        ("START STOP UNIT", "1b 00 00 00 01", False),
        ("ATA PASS-THROUGH(16) from the device", "85 08 0e 00 00 00 01", False),
        ("ATA PASS-THROUGH(16) to the device", "85 0a 06 00 00 00 01", True),
        ("RESERVE TRACK", "53 00 00 00 00 00 00 00 08", False),
        ("MAINTENANCE IN", "a3 0c 00 00 00 00 00 00 02 00", False),
    ],
)
def test_which_way_the_data_of_a_command_goes(name: str, cdb: str, way: bool) -> None:
    assert sends(command(cdb)) is way, name


@pytest.mark.skipif(not TREES, reason="MSIXTOOL_QEMU_SOURCE names no QEMU source tree")
def test_the_codes_are_those_of_qemus_own_source() -> None:
    for tree in TREES:
        codes = re.findall(
            r"#define\s+(\w+)\s+(0x[0-9a-fA-F]{2})\b", (tree / "include/scsi/constants.h").read_text()
        )
        number = {name: int(code, 16) for name, code in codes}
        bus = (tree / "hw/scsi/scsi-bus.c").read_text()
        body = bus[bus.index("static void scsi_cmd_xfer_mode") :]
        named = set(re.findall(r"case (\w+):", body[: body.index("\n}\n")])) - NO_DATA
        ours = {code for code in range(0xC0) if any(sends(bytes([code]) + every) for every in DATA)}
        assert ours == {number[name] for name in named}, tree.name
        disk = (tree / "hw/scsi/scsi-disk.c").read_text()
        table = re.findall(r"\[(\w+)\]\s*= &scsi_disk_dma_reqops", disk)
        assert {number[name] for name in table} == READS_AND_WRITES, tree.name


DATA = [bytes([flags, 1, *range(1, 14)]) for flags in (0x12, 0x02)]
"""Flags and lengths with which each command that can send data does."""
