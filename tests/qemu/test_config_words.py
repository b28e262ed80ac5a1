"""Registers of configuration space in words, and where each kind of device has them."""

from __future__ import annotations

import pytest

from msixtool.qemu import config_masks as masks
from msixtool.qemu.config_fields import FIELDS
from msixtool.qemu.config_places import registers_of
from msixtool.qemu.config_words import device_name, differences
from msixtool.qemu.kinds import kinds


def test_every_register_with_words_is_one_that_a_device_can_have() -> None:
    layouts = [(kind.section, layout) for kind in kinds() for layout in kind.capabilities]
    names = {place.register.name for kind, layout in layouts for place in registers_of(layout, kind, None)}
    # Of capabilities that no device here has there are words all the same.
    rare = {"virtio notify multiplier", "ATS Capability"}
    assert set(FIELDS) - names <= rare


def test_what_no_bit_field_names_is_shown_as_a_number() -> None:
    found = differences("Status", 0x0010, 0x0210, 0xFFFF, 0xFFFF)
    assert [(each.field, each.source, each.target) for each in found] == [("Status", "0x0010", "0x0210")]
    assert differences("MSI-X table size", 4, 4, 0x7FF, 0xFFFF) == []
    register = masks.CAPABILITIES_POINTER
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
        ("Link Capabilities", 0x7000, 0x1000, "L0s exit latency", "more"),
        ("Power Management Capabilities", 0xC800, 0, "PME support", "D0, D3hot, D3cold"),
        ("Device Control", 0x5, 0, "error reporting", "correctable, fatal"),
        ("Slot Control", 0x1008, 0, "notifications", "presence, bit 12"),
        ("Slot Status", 0x100, 0, "events", "link state"),
        ("Device Capabilities 2", 0x1F, 0, "completion timeout", "50 µs to 10 ms, 10 ms to 250 ms"),
        ("class code", 0x020000, 0x060400, "", "0x020000 (Ethernet controller)"),
        ("class code", 0x0C0330, 0x060400, "", "0x0c0330 (USB controller)"),
        ("class code", 0x02FF00, 0x060400, "", "0x02ff00 (network)"),
    ],
)
def test_a_number_that_has_a_name_is_told_by_it(
    register: str, source: int, target: int, field: str, words: str
) -> None:
    every = 0xFFFFFFFF
    (found,) = differences(register, source, target, every, every)
    assert found.field == (f"{register}: {field}" if field else register)
    assert found.source.startswith(words)


@pytest.mark.parametrize(
    ("ids", "name"),
    [
        ("8680d310", "0x10d3 (e1000e)"),
        ("8680c910", "0x10c9 (igb)"),
        ("361b1000", "0x0010 (nvme)"),
        ("361b0d00", "0x000d (qemu-xhci)"),
        ("33109401", "0x0194 (nec-usb-xhci)"),
        ("f41a0110", "0x1001 (virtio-blk)"),
        ("f41a5210", "0x1052 (virtio-input)"),
        ("86803429", "0x2934 (ich9-usb-uhci1)"),
        ("8680c029", "0x29c0 (mch)"),
        ("8680ffff", "0xffff"),
    ],
)
def test_a_device_is_told_by_its_name(ids: str, name: str) -> None:
    assert device_name(bytes.fromhex(ids)) == name
