"""Registers of configuration space in words, and where each kind of device has them."""

from __future__ import annotations

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
