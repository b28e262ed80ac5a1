"""Differences in words: what the streams at hand do not show."""

from __future__ import annotations

from typing import Any

import pytest

from msixtool.cli.diff_words import device_lines, field_lines, ram_line
from msixtool.msix.state import MsixState
from msixtool.tasks.diff import Change, DeviceView
from msixtool.tasks.diff_fields import FieldChange
from msixtool.tasks.ram_digest import BlockDigest, RamChange

NAME = "0000:00:04.0/e1000e"


def clauses(field: str, a: Any, b: Any, vector: int | None = None) -> list[str]:
    (line,) = device_lines([Change(NAME, 0, field, vector, a, b)], [DeviceView(NAME, 0, MsixState.reset(1))])
    assert (line.name, line.tone) == ("e1000e", "changed")
    return line.clauses


@pytest.mark.parametrize(
    ("field", "a", "b", "words"),
    [
        ("capability", {"offset": 0xA0}, None, ["capability not in B's stream"]),
        ("capability", None, {"offset": 0xA0}, ["capability not in A's stream"]),
        ("capability.offset", 0xA0, 0x40, ["capability at 0xa0 → 0x40"]),
        ("capability.table.bar", 3, 4, ["table in BAR 3 → 4"]),
        ("capability.pba.offset", 0x800, 0x1000, ["pending bits at 0x800 → 0x1000"]),
        ("capability.control", 0x8003, 0xC004, []),
        ("capability.control", 0x8003, 0x8803, ["Message Control 0x8003 → 0x8803"]),
        ("function_masked", True, False, []),
        ("bus_master", True, None, ["bus master on → not in the stream"]),
        ("config_vector", None, 3, ["config vector none → 3"]),
        ("queue_vectors", [1, 2], [1, None, 4], ["2 queues → 3", "queue 1 vector 2 → none"]),
        ("vectors", 1, 2, ["1 vector → 2"]),
    ],
)
def test_each_register_of_a_device_has_its_words(field: str, a: Any, b: Any, words: list[str]) -> None:
    assert clauses(field, a, b) == words


@pytest.mark.parametrize(
    ("field", "a", "b", "words"),
    [
        ("address", 0, 0xFEE00000, ["vector 7 address 0x0 → 0xfee00000"]),
        ("data", 16, 17, ["vector 7 data 0x10 → 0x11"]),
        ("masked", True, False, ["vector 7 masked → unmasked"]),
        ("control", 0, 3, ["vector 7 Vector Control 0x0 → 0x3"]),
        ("pending", True, False, ["pending 7 cleared"]),
    ],
)
def test_each_register_of_a_vector_has_its_words(field: str, a: Any, b: Any, words: list[str]) -> None:
    assert clauses(field, a, b, 7) == words


def test_instances_of_one_device_are_told_apart() -> None:
    changes = [Change("serial", instance, "vectors", None, 1, 2) for instance in (0, 1)]
    sides = [DeviceView("serial", instance, MsixState.reset(1)) for instance in (0, 1)]
    assert [line.name for line in device_lines(changes, sides)] == ["serial", "serial@1"]


def test_fields_stand_under_the_name_of_their_section() -> None:
    changes = [
        FieldChange("apic", 1, "id", 7, 16),
        FieldChange("apic", 1, "on", False, None),
        FieldChange("apic", 1, "raw", "00" * 24, "00" * 23 + "01"),
        FieldChange("apic", 1, "long", "00" * 25, {"a": [1]}),
        FieldChange("apic", 1, "config", "07", "03", 4),
        FieldChange("dma", 0, None, {"version": 1}, {"version": 2}),
        FieldChange("x", 0, None, None, {"version": 1, "length": 1}),
        FieldChange("y", 0, None, {"version": 1, "length": 20}, None),
    ]
    assert list(field_lines(changes)) == [
        ("apic@1", ""),
        ("", "id 7 → 0x10"),
        ("", "on false → nothing"),
        ("", f"raw {'00' * 24} → {'00' * 23}01"),
        ("", f'long {"00" * 24}… → {{"a": [1]}}'),
        ("", "config at 0x4 07 → 03"),
        ("dma", ""),
        ("", "version 1 → 2"),
        ("x", ""),
        ("", "added (1 byte)"),
        ("y", ""),
        ("", "removed (20 bytes)"),
    ]


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        (
            BlockDigest("r", 8192, 1, "a"),
            BlockDigest("r", 8192, 2, "b"),
            "r content differs, 1 → 2 pages not zero",
        ),
        (
            BlockDigest("r", 8192, 1, "a"),
            BlockDigest("r", 8192, 1, "b"),
            "r content differs, 1 page not zero",
        ),
        (
            BlockDigest("r", 8192, 2, "a", exact=False),
            BlockDigest("r", 8192, 2, "b"),
            "r content differs (or was sent in other XBZRLE deltas), 2 pages not zero",
        ),
        (
            BlockDigest("r", 8192, 1, "a"),
            BlockDigest("r", 4096, 1, "a"),
            "r 8192 bytes, 1 page not zero → 4096 bytes, 1 page not zero",
        ),
        (None, BlockDigest("r", 8192, 0, "a"), "r added (8192 bytes, 0 pages not zero)"),
        (BlockDigest("r", 8192, 0, "a"), None, "r removed (8192 bytes, 0 pages not zero)"),
    ],
)
def test_a_block_of_ram_is_one_line(a: BlockDigest | None, b: BlockDigest | None, words: str) -> None:
    assert ram_line(RamChange("r", a, b)) == words
