"""Registers of configuration space in words, and where each kind of device has them."""

from __future__ import annotations

import pytest

from msixtool.qemu import config_masks as masks
from msixtool.qemu.config_fields import FIELDS
from msixtool.qemu.config_places import places
from msixtool.qemu.config_words import differences
from msixtool.qemu.kinds import kinds


def test_every_register_with_words_is_one_that_a_device_can_have() -> None:
    layouts = [(kind.section, layout) for kind in kinds() for layout in kind.capabilities]
    names = {place.register.name for kind, layout in layouts for place in places(layout, kind, None)}
    # Of capabilities that no device here has there are words all the same.
    rare = {"virtio notify multiplier", "ATS Capability"}
    assert set(FIELDS) - names <= rare


def test_what_no_bit_field_names_is_shown_as_a_number() -> None:
    found = differences("Status", 0x0010, 0x0210, 0xFFFF, 0xFFFF)
    assert [(each.field, each.source, each.target) for each in found] == [("Status", "0x0010", "0x0210")]
    assert differences("MSI-X table size", 4, 4, 0x7FF, 0xFFFF) == []
    register = masks.POINTER
    assert differences(register.name, 0x98, 0x40, 0xFF, 0xFF)[0].target == "0x40"


@pytest.mark.parametrize(
    ("register", "source", "target", "field", "words"),
    [
        ("extended capability header", 0x14010001, 0x1401000D, "ID", "advanced error reporting"),
        ("extended capability header", 0x7FFF, 0x3, "ID", "extended capability 0x7fff"),
        ("vendor ID", 0x8086, 0x1B36, "", "0x8086 (Intel)"),
        ("vendor ID", 0x5555, 0x1B36, "", "0x5555"),
        ("Link Capabilities 2", 0x06, 0x0E, "supported link speeds", "2.5 GT/s, 5 GT/s"),
        ("Link Capabilities", 0xC00, 0x400, "ASPM support", "L0s and L1"),
    ],
)
def test_a_number_that_has_a_name_is_told_by_it(
    register: str, source: int, target: int, field: str, words: str
) -> None:
    every = 0xFFFFFFFF
    (found,) = differences(register, source, target, every, every)
    assert found.field == (f"{register}: {field}" if field else register)
    assert found.source == words
